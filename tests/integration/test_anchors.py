"""Anchors: the real replies and wrong ones as systems of their own, made of features alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest
from clips import Sound, make_clip, numbered
from integration_support import manifest_line, write_benchmark

import vidchatbench as vcb
from vidchatbench.api.cards import MetricCard
from vidchatbench.api.extractors import Audio, AudioExtractor
from vidchatbench.api.features import ExtractorSpec, Feature, Need, Param, as_array
from vidchatbench.api.metrics import Metric
from vidchatbench.api.samples import Role, Sample
from vidchatbench.api.scores import Score
from vidchatbench.audit.floors import build_floors
from vidchatbench.audit.recipes import FLOORS, find_recipes
from vidchatbench.core import paths
from vidchatbench.core.progress import SilentProgress
from vidchatbench.engine.anchors import build_anchors, partners, sound_partners
from vidchatbench.engine.extraction.jobs import ClipSource
from vidchatbench.engine.suites import MetricChoice
from vidchatbench.errors import InputError, UsageError
from vidchatbench.media.probe import AudioInfo, MediaInfo, VideoInfo
from vidchatbench.plugins.catalogue import Catalogue, load_catalogue
from vidchatbench.plugins.registry import Registry
from vidchatbench.results.anchors import anchors_file, known_anchors
from vidchatbench.results.floors import floors_file, read_floors
from vidchatbench.results.scale import hash_ceilings
from vidchatbench.results.schema import SuiteRef

PSNR = "video_quality/psnr"


class Pitch(AudioExtractor):
    """Zero crossings a second."""

    id = "test/pitch"

    def extract(self, audio: Audio, upstream: Mapping[str, Feature]) -> Feature:
        crossings = ((audio.samples[1:] >= 0) != (audio.samples[:-1] >= 0)).sum()
        return Feature({"value": as_array([crossings / audio.duration], "float64")})


class InStep(Metric):
    """Distance of the sound's pitch from what the picture announces: its length in seconds times 100 Hz."""

    defaults: ClassVar[Mapping[str, Param]] = {}
    default_card = MetricCard.model_validate({
        "id": "test/in_step", "version": 1, "title": "In step", "dimension": "av_sync", "direction": "lower",
        "unit": "Hz", "minimum": 0.0, "worst": 999.0, "roles": ("candidate",), "aggregation": "mean",
        "null": "shuffled_audio", "protocol": "in_step/v1", "protocol_text": "p", "description": "d",
        "code_license": "MIT", "commercial_use": True, "citation": "c", "source": "s",
    })  # fmt: skip

    def needs(self) -> tuple[Need, ...]:
        picture = ExtractorSpec.of("video_quality/length")
        sound = ExtractorSpec.of("test/pitch")
        return (Need("picture", picture, (Role.CANDIDATE,)), Need("sound", sound, (Role.CANDIDATE,)))

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        announced = 100 * float(features["picture"]["seconds"])
        return Score.ok(abs(float(features["sound"]["value"][0]) / 2 - announced))


@pytest.fixture
def catalogue(monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    known = load_catalogue()
    made = Catalogue(weights=dict(known.weights), suites=dict(known.suites))
    for registry, source in ((made.metrics, known.metrics), (made.extractors, known.extractors)):
        for name in source:
            registry.register(name, type_target(source, name), origin="core")
    made.metrics.register("test/in_step", f"{__name__}:InStep", origin="test")
    made.extractors.register("test/pitch", f"{__name__}:Pitch", origin="test")
    monkeypatch.setattr("vidchatbench.engine.extraction.worker.load_catalogue", lambda: made)
    return made


def type_target(registry: Registry[object], name: str) -> str:
    found = registry.get(name)
    return f"{found.__module__}:{found.__qualname__}"


@pytest.fixture
def benchmark(tmp_path: Path, private_cache: Path) -> vcb.Benchmark:
    """Three replies of 2, 3 and 4 s whose tone is 200, 300 and 400 Hz, and a sample that nobody replies to."""
    del private_cache
    root = tmp_path / "benchmark"
    root.mkdir()
    lines = []
    for seconds in (2, 3, 4):
        sound = Sound(frequency=100.0 * seconds, seconds=seconds, codec="pcm_s16le")
        clip = make_clip(
            root / f"{seconds}.mkv", seconds=seconds, fps=25, size=(64, 48), audio=sound, lossless=True, paint=numbered
        )
        lines.append(manifest_line(f"s{seconds}", clip, root, speaker=f"p{seconds}"))
    lines.append({**lines[0], "id": "listener", "task": "listening", "responder": None})
    return vcb.load_benchmark(write_benchmark(root, lines))


def test_the_oracle_and_the_nulls_of_a_sync_metric(benchmark: vcb.Benchmark, catalogue: Catalogue) -> None:
    metrics = [catalogue.metric("test/in_step"), catalogue.metric(PSNR)]
    sync, psnr = build_anchors(benchmark, metrics, catalogue, vcb.RunConfig(workers=1), SilentProgress())
    # In step with themselves; with the next one's sound, the longest for the last, they are off by 100 Hz each.
    assert sync.oracle == pytest.approx(0, abs=1.5)
    assert sync.nulls == {"shuffled_audio": pytest.approx(100, abs=2)}
    assert sync.n == 3
    # The practical ceiling: the real replies after an encoding at crf 18.
    assert psnr.ceiling == "reencoded_reply"
    assert psnr.oracle is not None
    assert 30 < psnr.oracle < 90
    assert sorted(psnr.samples) == ["s2", "s3", "s4"]
    assert psnr.oracle == pytest.approx(sum(psnr.samples.values()) / 3)
    assert psnr.samples_sha256 == hash_ceilings(psnr.samples)
    # The clips show the same pictures as far as both go: a scale between two equal ends would mean nothing.
    assert psnr.nulls == {}


def test_anchors_stand_beside_the_scores_of_an_evaluation(
    benchmark: vcb.Benchmark, tmp_path: Path, private_cache: Path
) -> None:
    core = load_catalogue()
    psnr = core.metric(PSNR, fps=5)  # as in the suite
    entries = build_anchors(benchmark, [psnr], core, vcb.RunConfig(workers=1), SilentProgress())
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    (outputs / "s2.mkv").write_bytes((benchmark.root / "2.mkv").read_bytes())
    results = vcb.evaluate(
        outputs, benchmark=benchmark.root, metrics=[PSNR], out=tmp_path / "run", config=vcb.RunConfig(workers=1)
    )
    assert results.metric(PSNR).anchors.oracle == entries[0].oracle
    assert private_cache in anchors_file(benchmark).parents
    assert results.run.features_extracted == 0, "the real reply's features were made for the anchors already"


def test_anchors_of_another_protocol_are_not_this_metrics(benchmark: vcb.Benchmark) -> None:
    core = load_catalogue()
    build_anchors(benchmark, [core.metric(PSNR, fps=5)], core, vcb.RunConfig(workers=1), SilentProgress())
    oracle = known_anchors(benchmark, [core.metric(PSNR, fps=5)], core.weights)[PSNR].oracle
    assert oracle is not None
    assert oracle < 90
    assert known_anchors(benchmark, [core.metric(PSNR, fps=10)], core.weights) == {}


def test_anchors_in_the_benchmarks_folder_go_first(benchmark: vcb.Benchmark) -> None:
    core = load_catalogue()
    build_anchors(benchmark, [core.metric(PSNR)], core, vcb.RunConfig(workers=1), SilentProgress())
    text = json.loads(anchors_file(benchmark).read_text())
    text["anchors"][0]["oracle"] = 77.0
    (benchmark.root / "anchors.json").write_text(json.dumps(text), encoding="utf-8")
    assert known_anchors(benchmark, [core.metric(PSNR)], core.weights)[PSNR].oracle == 77.0


def test_damaged_or_foreign_anchors_are_refused_by_name(benchmark: vcb.Benchmark) -> None:
    core = load_catalogue()
    path = benchmark.root / "anchors.json"
    path.write_text('{"schema_version": 1}', encoding="utf-8")
    with pytest.raises(InputError, match=r"anchors\.json"):
        known_anchors(benchmark, [core.metric(PSNR)], core.weights)
    foreign = {"schema_version": 1, "manifest_sha256": "0" * 64, "anchors": []}
    path.write_text(json.dumps(foreign), encoding="utf-8")
    with pytest.raises(InputError, match="another manifest"):
        known_anchors(benchmark, [core.metric(PSNR)], core.weights)


def test_samples_that_were_changed_are_refused(benchmark: vcb.Benchmark) -> None:
    core = load_catalogue()
    build_anchors(benchmark, [core.metric(PSNR)], core, vcb.RunConfig(workers=1), SilentProgress())
    text = json.loads(anchors_file(benchmark).read_text())
    text["anchors"][0]["samples"]["s2"] += 1
    (benchmark.root / "anchors.json").write_text(json.dumps(text), encoding="utf-8")
    with pytest.raises(InputError, match="not the hash of its samples"):
        known_anchors(benchmark, [core.metric(PSNR)], core.weights)
    for name in ("samples", "samples_sha256", "ceiling"):
        del text["anchors"][0][name]
    old = {**text, "schema_version": 1}
    (benchmark.root / "anchors.json").write_text(json.dumps(old), encoding="utf-8")
    assert known_anchors(benchmark, [core.metric(PSNR)], core.weights)[PSNR].samples == {}


def test_anchors_add_to_those_that_are_there(benchmark: vcb.Benchmark) -> None:
    core = load_catalogue()
    config = vcb.RunConfig(workers=1)
    for name in (PSNR, "video_quality/ssim"):
        build_anchors(benchmark, [core.metric(name)], core, config, SilentProgress())
    both = [core.metric(PSNR), core.metric("video_quality/ssim")]
    assert sorted(known_anchors(benchmark, both, core.weights)) == [PSNR, "video_quality/ssim"]
    assert paths.cache_root().is_dir()


def test_the_floor_rows_are_scored_as_any_system_is(benchmark: vcb.Benchmark) -> None:
    core, config, progress = load_catalogue(), vcb.RunConfig(workers=1), SilentProgress()
    metrics = (core.metric(PSNR, fps=5),)
    (entry,) = build_anchors(benchmark, metrics, core, config, progress)
    choice = MetricChoice(SuiteRef(name="custom", version=0), metrics)
    table = build_floors(benchmark, choice, core, config, progress)
    rows = {row.name: row for row in table.rows}
    assert tuple(rows) == tuple(recipe.name for recipe in find_recipes(FLOORS, training=False))
    (still,) = rows["frozen"].scores
    assert still.value is not None
    assert entry.oracle is not None
    assert 0 < still.value < entry.oracle - 20
    assert still.anchors == entry.anchors
    # Without a null that lies apart there is no scale, and no overall score.
    assert (still.anchored, rows["frozen"].overall) == (None, None)
    path = floors_file(benchmark.header.manifest_sha256)
    assert read_floors(path, benchmark.header.manifest_sha256, choice.suite) == table.rows
    assert read_floors(path, benchmark.header.manifest_sha256, SuiteRef(name="lite", version=1)) == ()
    with pytest.raises(InputError, match="another manifest"):
        read_floors(path, "0" * 64, choice.suite)


def test_there_must_be_something_to_build(benchmark: vcb.Benchmark) -> None:
    with pytest.raises(UsageError, match="nothing to build"):
        build_anchors(benchmark, [], load_catalogue(), vcb.RunConfig(workers=1), SilentProgress())


def side(name: str, speaker: str) -> Sample:
    line = {"media": "m.mp4", "sha256": "0" * 64, "speaker_id": speaker}
    return Sample.model_validate(
        {"id": name, "task": "dialogue", "language": "en", "initiator": line, "responder": line}
    )


@pytest.mark.parametrize("speakers", ["abcd", "aabb", "abab", "aabbcc", "aaab", "abcabc"])
def test_a_partner_is_always_somebody_else(speakers: str) -> None:
    samples = [side(f"s{i}", speaker) for i, speaker in enumerate(speakers)]
    found = partners(samples)
    assert partners(samples[::-1]) == found
    for sample in samples:
        assert found[sample.id].cluster != sample.cluster
    if speakers != "aaab":
        assert len({other.id for other in found.values()}) == len(samples), "one sample is lent twice"


def heard(picture: float, sound: float | None) -> ClipSource:
    video = VideoInfo.model_construct(duration=picture)
    audio = None if sound is None else AudioInfo.model_construct(duration=sound)
    return ClipSource("m.mp4", MediaInfo.model_construct(sha256="0" * 64, video=video, audio=audio))


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ([(4, 4), (4, 4), (4, 4), (4, 4)], "bcda"),  # as for replies
        ([(4, 4), (4, 3.81), (4, 4), (4, 4)], "bcda"),  # shorter by less than a window of sync
        ([(4, 4), (4, 3.7), (4, 4), (4, 4)], "ccda"),  # too short: the next one that is long enough
        ([(9, 9), (4, 4), (4, 6), (4, 5)], "ccda"),  # none is long enough for the first: the longest
        ([(4, 4), (4, None), (4, 4), (4, 4)], "ccda"),  # no sound at all
    ],
)
def test_sound_is_lent_by_somebody_who_speaks_long_enough(
    lengths: list[tuple[float, float | None]], expected: str
) -> None:
    samples = [side(name, name) for name in "abcd"]
    clips = {name: heard(*length) for name, length in zip("abcd", lengths, strict=True)}
    found = sound_partners(samples[::-1], clips)
    assert "".join(found[name].id for name in "abcd") == expected


def test_sound_is_lent_by_another_identity_or_by_nobody() -> None:
    samples = [side("a", "p"), side("b", "p"), side("c", "q")]
    clips = {"a": heard(4, 4), "b": heard(4, 9), "c": heard(4, 2)}
    assert {name: other.id for name, other in sound_partners(samples, clips).items()} == {"a": "c", "b": "c", "c": "a"}
    assert sound_partners(samples[:2], clips) == {}


def test_who_is_alone_has_no_partner() -> None:
    assert partners([side("a", "p"), side("b", "p")]) == {}
    assert partners([]) == {}
