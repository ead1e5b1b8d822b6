"""The official suite and the extended one as whole runs: each network on seeded weights, each asked only once.

Two replies are cut out of the demonstration, of two people, long enough for every metric but those that span 128
frames. The system under test answers both samples with the second person's reply: one sample is right and one is wrong,
and there are two distinct clips to look at. Frame by frame metrics run at 5 frames a second, which is another protocol
but the same code. The no-reference scores are left out, because their package is an extra, and so is the dialogue,
which is about what is said and has tests of its own.

Only the process that plans a run reads its suite. Workers rebuild extractors from their ids and parameters, so nothing
has to be registered with them.
"""

from __future__ import annotations

import functools
import json
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from clips import Sound, make_clip, make_frames_clip
from integration_support import manifest_line, write_benchmark
from seeded_weights import NETWORK_OF_METRIC, SeededWeights

import vidchatbench as vcb
from vidchatbench import cli
from vidchatbench.api.metrics import Metric
from vidchatbench.api.plugins import Suite, SuiteEntry
from vidchatbench.demo import DemoPaths
from vidchatbench.media.probe import probe
from vidchatbench.media.reader import ClipReader
from vidchatbench.plugins.catalogue import load_catalogue
from vidchatbench.weights.lock import Pin
from vidchatbench_metrics.av_sync.network import PictureNetwork, SoundNetwork
from vidchatbench_metrics.emotion.deep3d import ReconstructionNetwork
from vidchatbench_metrics.emotion.hsemotion import EmotionNetwork
from vidchatbench_metrics.emotion.keras_network import KerasNetwork
from vidchatbench_metrics.emotion.tddfa import TddfaNetwork
from vidchatbench_metrics.faces.mtcnn import FaceDetector
from vidchatbench_metrics.identity.encoders import FaceNetwork
from vidchatbench_metrics.identity.facenet_network import FacenetEncoder
from vidchatbench_metrics.video_quality.clip_image import ClipImageEncoder
from vidchatbench_metrics.video_quality.i3d import I3dNetwork
from vidchatbench_metrics.video_quality.inception_network import FidInception
from vidchatbench_metrics.video_quality.lpips import LpipsDistance
from vidchatbench_metrics.voice.utmos_network import UtmosNetwork
from vidchatbench_metrics.voice.wavlm_network import SpeakerNetwork

FRAMES = 55
SECONDS = FRAMES / 25
KEYS = 11
"""Frames of the grid of 5 a second, on which faces are found as well."""

SUITE = "seeded"
SLOW_PER_FRAME = ("video_quality/psnr", "video_quality/ssim", "video_quality/lpips", "video_quality/lpips_face")
NEWER = ("video_quality/fvd_face", "video_quality/kvd_face", "video_quality/cmmd_face", "video_quality/lpips_face")
LEFT_OUT = ("iqa/", "dialogue/")
TOO_LONG_FOR_THE_CLIPS = {"video_quality/fvd_128f", "video_quality/kvd_128f"}
WITHOUT_WEIGHTS = {"video_quality/psnr", "video_quality/ssim", "video_quality/duration_ratio"}

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")


@dataclass(frozen=True)
class Stage:
    """A benchmark of two samples, two systems, and where features go."""

    root: Path

    @property
    def benchmark(self) -> Path:
        return self.root / "benchmark"

    def run(self, system: str, out: str, *, store: str = "store", **settings: Any) -> vcb.Results:
        """Evaluates a system with the seeded suite."""
        config = vcb.RunConfig(**{"workers": 1, "batch_size": 16, **settings}, store=self.root / store)
        return vcb.evaluate(
            self.root / system, benchmark=self.benchmark, suite=SUITE, out=self.root / out, config=config
        )


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> list[SuiteEntry]:
    """The extended suite, which holds the official one, on seeded weights."""
    seeded, entries = SeededWeights.of_session(tmp_path_factory), []
    names = [entry.metric for entry in load_catalogue().suite("extended").metrics]
    for name in dict.fromkeys((*names, *NEWER)):
        if not name.startswith(LEFT_OUT):
            rate = {"fps": 5} if name in {*SLOW_PER_FRAME, "identity/facenet"} else {}
            entries.append(SuiteEntry(metric=name, params={**rate, **seeded.params_of(name)}))
    return entries


@pytest.fixture(scope="module")
def stage(demo: DemoPaths, metrics: list[SuiteEntry], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = Stage(tmp_path_factory.mktemp("official"))
    media = made.benchmark / "media"
    media.mkdir(parents=True)
    lines = []
    for name, turn in (("a", "bo_answers"), ("b", "ada_answers")):
        whole = demo.benchmark / "media" / f"{turn}.mp4"
        reader = ClipReader(whole, probe(whole), video=True, audio=True)
        frames = [np.array(picture.rgb()) for picture, _ in reader][:FRAMES]
        sound = reader.audio.samples[: round(SECONDS * 16_000)]
        clip = make_frames_clip(media / f"{name}.mp4", frames, 25, sound, 16_000)
        lines.append(manifest_line(name, clip, made.benchmark, speaker=turn))
    write_benchmark(made.benchmark, lines)
    for system, answers in (("oracle", "ab"), ("monotonous", "bb")):
        (made.root / system).mkdir()
        for sample, answer in zip("ab", answers, strict=True):
            shutil.copyfile(media / f"{answer}.mp4", made.root / system / f"{sample}.mp4")
    suite = Suite(name=SUITE, version=1, description="made by a test", metrics=tuple(metrics))
    known = load_catalogue()
    catalogue = replace(known, suites={**known.suites, SUITE: suite})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIDCHATBENCH_CACHE", str(made.root / "cache"))
        patch.setenv("VIDCHATBENCH_WEIGHTS_DIR", str(SeededWeights.of_session(tmp_path_factory).folder))
        patch.setattr("vidchatbench.engine.evaluate.load_catalogue", lambda: catalogue)
        yield made


def rows(run: Path) -> list[dict[str, Any]]:
    """The scores of the samples, in a fixed order."""
    found: list[dict[str, Any]] = pq.read_table(run / "samples.parquet").to_pylist()
    return sorted(found, key=lambda row: (row["sample_id"], row["metric"]))


def numbers(run: Path) -> tuple[str, list[dict[str, Any]]]:
    """Every number of a run; text of a float is its shortest, so equal text is equal bits."""
    return json.dumps(json.loads((run / "results.json").read_text())["metrics"], sort_keys=True), rows(run)


# --- How often each network is asked --------------------------------------------------------------------------------


def one(*arguments: Any) -> int:
    del arguments
    return 1


def several(items: Any, *rest: Any) -> int:
    del rest
    return len(items)


FORWARD_CALLS: dict[str, tuple[type, str, Callable[..., int], int]] = {
    # 16 frames for fid and kid, and 16 faces for fid_face and kid_face: of each reference through its own window, and
    # of the one reply through the window of the other.
    "inception": (FidInception, "forward", several, 3 * 16 + 3 * 16),
    # The first 16 frames for fvd and kvd, and their faces; the clips are too short for those of 128 frames.
    "i3d": (I3dNetwork, "__call__", one, 3 + 3),
    "clip": (ClipImageEncoder, "__call__", one, 3 * 16 + 3 * 16),
    # Each sample's pairs, of whole pictures and of faces.
    "lpips": (LpipsDistance, "__call__", one, 2 * KEYS + 2 * KEYS),
    # Every frame of the two clips for arcface and drift, and a face of each reference.
    "arcface": (FaceNetwork, "embed", several, 2 * FRAMES + 2),
    "facenet": (FacenetEncoder, "encode", one, 2 * KEYS + 2),
    # 51 windows of the one reply in blocks of 4, with both rules for crops: for 8 metrics.
    "syncnet picture": (PictureNetwork, "embed", one, 2 * 13),
    "syncnet sound": (SoundNetwork, "embed", one, 1),
    "deep3d": (ReconstructionNetwork, "coefficients", one, 2 * KEYS),
    "tddfa": (TddfaNetwork, "parameters", one, 2 * KEYS),
    # One network for both kinds of agreement, another for valence and arousal.
    "hsemotion": (EmotionNetwork, "outputs", one, 2 * 2 * KEYS),
    "fer": (KerasNetwork, "run", one, 2 * KEYS),
    "wavlm": (SpeakerNetwork, "embed", one, 2),
    "utmos": (UtmosNetwork, "score", one, 1),
    # Key frames of both clips for all that look at faces, and the given face for two networks.
    "mtcnn": (FaceDetector, "detect", several, 2 * KEYS + 2 * 2),
}
"""Class, method, what a call counts for, and the calls that two clips need if nothing is done twice."""


@pytest.fixture(scope="module")
def calls() -> Iterator[Counter[str]]:
    """Counts what every network of this process is asked."""
    counts: Counter[str] = Counter()

    def watched(name: str, original: Callable[..., Any], size: Callable[..., int]) -> Callable[..., Any]:
        @functools.wraps(original)
        def call(self: object, *arguments: Any) -> Any:
            counts[name] += size(*arguments)
            return original(self, *arguments)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name, (owner, method, size, _) in FORWARD_CALLS.items():
            patch.setattr(owner, method, watched(name, getattr(owner, method), size))
        yield counts


@dataclass(frozen=True)
class Baseline:
    results: vcb.Results
    calls: Counter[str]
    out: Path


@pytest.fixture(scope="module")
def baseline(stage: Stage, calls: Counter[str]) -> Baseline:
    calls.clear()
    results = stage.run("monotonous", "baseline")
    return Baseline(results, Counter(calls), stage.root / "baseline")


def test_every_metric_has_a_value_or_says_why_not(baseline: Baseline, metrics: list[SuiteEntry]) -> None:
    results = baseline.results
    assert [metric.id for metric in results.metrics] == [entry.metric for entry in metrics]
    assert results.unavailable == ()
    assert results.complete
    silent = {metric.id for metric in results.metrics if metric.value is None}
    assert silent == TOO_LONG_FOR_THE_CLIPS
    for row in rows(baseline.out):
        assert row["status"] == ("not_applicable" if row["metric"] in silent else "ok"), row
        if row["metric"] in silent:
            assert row["reason"] == "the real reply lasts 2.20 s; 5.12 s is needed"


def test_the_sample_with_the_wrong_reply_is_the_worse_one(baseline: Baseline) -> None:
    """What is compared with the sample's own reference; the set's distances have no samples to compare."""
    worse = {"video_quality/psnr": -1, "video_quality/ssim": -1, "video_quality/lpips": 1, "identity/arcface": -1}
    worse |= {"video_quality/lpips_face": 1, "identity/facenet": -1, "emotion/agreement": -1, "voice/sim_o": -1}
    worse |= {"emotion/valence_ccc": -1, "emotion/agreement_fer": -1, "voice/resemblyzer": -1}
    found = {(row["metric"], row["sample_id"]): row["value"] for row in rows(baseline.out)}
    for metric, sign in worse.items():
        assert sign * (found[metric, "a"] - found[metric, "b"]) > 0, metric
    for metric in baseline.results.metrics:
        if metric.aggregation == "set" and metric.value is not None:
            assert found[metric.id, "a"] > 0, metric.id
            assert found[metric.id, "b"] == 0, metric.id


def test_numbers_of_seeded_networks_are_not_ranked(baseline: Baseline) -> None:
    for metric in baseline.results.metrics:
        named = [use for use in metric.weights if use.pin is Pin.NAMED]
        if metric.id in NETWORK_OF_METRIC:
            (use,) = named
            assert use.name == f"sha256-{use.sha256}"
            assert metric.params["network"] == f"sha256:{use.sha256}"
            assert metric.unranked == f"the weights {use.name} are not the pinned ones"
        else:
            assert named == []
            assert metric.unranked is None, metric.id


def test_every_reference_is_decoded_for_its_window_and_through_it(baseline: Baseline) -> None:
    # The reply to both samples is a copy of the second reference, and read under the name it was met under first.
    assert baseline.results.run.decode_passes == {"outputs/a.mp4": 2, "test/media/a.mp4": 2}


def test_every_network_is_asked_once_for_all_metrics(baseline: Baseline) -> None:
    assert baseline.calls == {name: expected for name, (_, _, _, expected) in FORWARD_CALLS.items()}


def test_a_second_evaluation_asks_no_network(baseline: Baseline, stage: Stage, calls: Counter[str]) -> None:
    calls.clear()
    again = stage.run("monotonous", "again")
    assert calls == {}
    assert again.run.features_extracted == 0
    assert again.run.decode_passes == {}
    assert numbers(stage.root / "again") == numbers(baseline.out)


@pytest.mark.parametrize(
    ("workers", "batch_size"),
    [(2, 1), pytest.param(1, 1, marks=pytest.mark.slow), pytest.param(2, 16, marks=pytest.mark.slow)],
)
def test_workers_and_batches_change_no_bit(baseline: Baseline, stage: Stage, workers: int, batch_size: int) -> None:
    name = f"with-{workers}-{batch_size}"
    found = stage.run("monotonous", name, store=f"store-{name}", workers=workers, batch_size=batch_size)
    assert (found.run.workers, found.run.batch_size) == (workers, batch_size)
    assert found.run.features_extracted == baseline.results.run.features_extracted
    assert numbers(stage.root / name) == numbers(baseline.out)


# --- The real replies as their own candidates -----------------------------------------------------------------------

IDEALS = {
    "video_quality/psnr": 100.0,
    "video_quality/ssim": 1.0,
    "video_quality/lpips": 0.0,
    "video_quality/lpips_face": 0.0,
    "video_quality/duration_ratio": 1.0,
    "emotion/agreement": 1.0,
    "emotion/agreement_fer": 1.0,
    "emotion/distribution_agreement": 1.0,
    "emotion/distribution_agreement_fer": 1.0,
    "emotion/valence_ccc": 1.0,
    "emotion/arousal_ccc": 1.0,
    "voice/sim_o": 1.0,
    "voice/resemblyzer": 1.0,
}


@pytest.fixture(scope="module")
def oracle(baseline: Baseline, stage: Stage, calls: Counter[str]) -> vcb.Results:
    del baseline  # most features of the real replies are there already
    calls.clear()
    return stage.run("oracle", "oracle_run")


def test_the_oracle_reaches_the_ideal(oracle: vcb.Results, baseline: Baseline) -> None:
    for name, ideal in IDEALS.items():
        assert oracle.metric(name).value == pytest.approx(ideal, abs=1e-6), name
    for metric in oracle.metrics:
        if metric.aggregation == "set" and metric.id not in TOO_LONG_FOR_THE_CLIPS:
            (mine, theirs) = (results.metric(metric.id).value for results in (oracle, baseline.results))
            assert mine is not None
            assert theirs is not None
            name = metric.id.partition("/")[2]
            if name.startswith(("kid", "kvd", "expression_kd", "cmmd")):
                assert mine == 0.0, metric.id
            else:
                assert mine == pytest.approx(0, abs=1e-6 * theirs), metric.id
            # Of two identities with the reply of one, the pairs that a paired kernel distance counts cancel.
            paired = name.startswith(("kid", "kvd", "expression_kd"))
            assert theirs == pytest.approx(0, abs=1e-6) if paired else theirs > mine, metric.id


def test_the_oracle_needs_only_what_nobody_asked_of_the_first_clip(oracle: vcb.Results, calls: Counter[str]) -> None:
    """As a candidate, the first reply is heard and looked at for lip sync; the rest was looked at as a reference."""
    assert oracle.run.decode_passes == {"outputs/a.mp4": 1}
    expected = {"syncnet picture": 2 * 13, "syncnet sound": 1, "utmos": 1}
    assert calls == {**expected, "lpips": 2 * KEYS}


# --- The official suite itself, on a computer without its weights ---------------------------------------------------


@pytest.fixture
def tiny(tmp_path: Path, private_cache: Path) -> Path:
    """A benchmark of one sample and its outputs, and no weights but those of packages."""
    del private_cache
    root = tmp_path / "tiny"
    (tmp_path / "outputs").mkdir()
    root.mkdir()
    clip = make_clip(root / "reply.mp4", seconds=1.2, fps=25, size=(64, 48), audio=Sound(seconds=1.2))
    write_benchmark(root, [manifest_line("x", clip, root)])
    shutil.copyfile(clip, tmp_path / "outputs" / "x.mp4")
    return root


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


@pytest.fixture
def command(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """Runs ``vidchatbench evaluate`` on the tiny benchmark in this process."""
    monkeypatch.setattr("vidchatbench.engine.evaluate.load_catalogue", load_catalogue)

    def call(*options: str, out: str) -> Done:
        words = ["evaluate", str(tmp_path / "outputs"), "--benchmark", str(tiny), "--out", str(tmp_path / out)]
        monkeypatch.setattr(sys, "argv", ["vidchatbench", *words, "--workers", "1", *options])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        code = ended.value.code
        captured = capsys.readouterr()
        return Done(code if isinstance(code, int) else 0, captured.out, captured.err)

    return call


def official() -> list[Metric]:
    catalogue = load_catalogue()
    return [catalogue.metric(entry.metric, **entry.params) for entry in catalogue.suite("official").metrics]


def test_what_lacks_weights_is_listed_with_the_command_that_brings_them(command: Callable[..., Done]) -> None:
    done = command("--suite", "official", "--json", out="run")
    assert done.code == 0, done.err
    results = json.loads(done.out)
    assert {metric["id"] for metric in results["metrics"]} == WITHOUT_WEIGHTS
    assert all(metric["value"] is not None for metric in results["metrics"])
    assert not results["complete"]
    lacking = {metric.card.id: metric.card for metric in official() if metric.card.id not in WITHOUT_WEIGHTS}
    assert {entry["id"] for entry in results["unavailable"]} == set(lacking)
    table = load_catalogue().weights
    for entry in results["unavailable"]:
        weights = entry["fix"].removeprefix("vidchatbench weights pull ").split()
        assert set(weights) <= set(lacking[entry["id"]].weights)
        assert all(table[weight].urls for weight in weights), "the command has nowhere to pull it from"
        assert all(weight in entry["reason"] for weight in weights)
        assert entry["reason"].endswith(" not on this computer")
        assert entry["protocol"] == lacking[entry["id"]].protocol


def test_where_no_metric_can_run_the_command_means_nothing(command: Callable[..., Done], tmp_path: Path) -> None:
    lacking = [metric.card for metric in official() if metric.card.id not in WITHOUT_WEIGHTS]
    done = command("--suite", "official", "--metrics", ",".join(card.id for card in lacking), out="none")
    assert done.code == 2
    assert done.out == ""
    told = " ".join(done.err.split())
    for card in lacking:
        assert card.id in told
    for weight in {card.weights[0] for card in lacking}:
        assert f"vidchatbench weights pull {weight}" in told
    assert not (tmp_path / "none" / "results.json").exists()


def test_permissive_leaves_out_what_is_not_for_commercial_use(command: Callable[..., Done]) -> None:
    done = command("--suite", "official", "--permissive", "--json", out="permissive")
    assert done.code == 0, done.err
    results = json.loads(done.out)
    assert results["run"]["permissive"]
    reasons = {entry["id"]: entry["reason"] for entry in results["unavailable"]}
    barred = {metric.card.id: metric.card for metric in official() if not metric.card.commercial_use}
    assert 0 < len(barred) < len(official()) - len(WITHOUT_WEIGHTS)
    assert {name for name, reason in reasons.items() if reason.startswith("left out by --permissive")} == set(barred)
    for name, card in barred.items():
        assert card.weights_license
        assert card.weights_license in reasons[name]
        assert not all(load_catalogue().weights[weight].commercial_use for weight in card.weights)
    for metric in official():
        if metric.card.commercial_use:
            assert all(load_catalogue().weights[weight].commercial_use for weight in metric.card.weights)


def test_permissive_leaves_out_networks_of_unknown_licence(baseline: Baseline, stage: Stage) -> None:
    results = stage.run("monotonous", "permissive_run", permissive=True)
    assert {entry.id for entry in results.unavailable} == set(NETWORK_OF_METRIC) & {
        metric.id for metric in baseline.results.metrics
    }
    assert all("unknown" in entry.reason for entry in results.unavailable)
    assert results.run.features_extracted == 0
    kept = {metric.id: metric.value for metric in results.metrics}
    assert kept == {name: baseline.results.metric(name).value for name in kept}
    assert kept
