"""A stored feature that is damaged or gone is computed again within the run that meets it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from vidchatbench.api.cards import MetricCard
from vidchatbench.api.extractors import Audio, AudioExtractor
from vidchatbench.api.features import ExtractorSpec, Feature, Need, Param, Refusal
from vidchatbench.api.metrics import Metric
from vidchatbench.api.sample_extractors import Content, SampleExtractor, SampleInput, SampleNotes
from vidchatbench.api.samples import Role, Sample, Side
from vidchatbench.api.scores import Score, Status
from vidchatbench.engine.extraction.executors import WarmExecutor
from vidchatbench.engine.extraction.jobs import ClipSource
from vidchatbench.engine.extraction.worker import Worker, WorkerSettings
from vidchatbench.engine.features.store import FeatureStore
from vidchatbench.engine.journal import Journal, read_journal
from vidchatbench.engine.pipeline import Outcome, Pipeline
from vidchatbench.engine.plan import Inputs
from vidchatbench.engine.settings import RunConfig
from vidchatbench.media.memory import MemoryClip
from vidchatbench.plugins.catalogue import Catalogue
from vidchatbench.submission.check import Output

CALLS: Counter[str] = Counter()
SAMPLES = ("a", "b", "c")


class Lower(AudioExtractor):
    id = "test/lower"

    def extract(self, audio: Audio, upstream: Mapping[str, Feature]) -> Feature:
        CALLS[self.id] += 1
        return Feature({"loud": np.array([np.abs(audio.samples).max()])})


class Upper(AudioExtractor):
    id = "test/upper"

    @property
    def requires(self) -> Mapping[str, ExtractorSpec]:
        return {"lower": ExtractorSpec.of("test/lower")}

    def extract(self, audio: Audio, upstream: Mapping[str, Feature]) -> Feature:
        CALLS[self.id] += 1
        return Feature({"twice": upstream["lower"]["loud"] * 2})


class Asked(SampleExtractor):
    id = "test/asked"
    lacking = "nothing was said"

    def reads(self) -> tuple[Need, ...]:
        return (Need("upper", ExtractorSpec.of("test/upper"), (Role.CANDIDATE,)),)

    def content(self, sample: Sample, notes: SampleNotes) -> Content | None:
        return {"name": sample.id}

    def extract(self, inputs: Sequence[SampleInput]) -> Iterator[tuple[int, Feature | Refusal]]:
        for place, given in enumerate(inputs):
            CALLS[self.id] += 1
            yield place, Feature({"answer": given.features["upper"]["twice"] + 1})


CARD = MetricCard.model_validate({
    "id": "test/answer", "version": 1, "title": "Answer", "dimension": "dialogue", "direction": "higher", "unit": "",
    "worst": 0.0, "roles": ("candidate",), "aggregation": "mean", "protocol": "answer/v1", "protocol_text": "p",
    "description": "d", "code_license": "MIT", "commercial_use": True, "citation": "c", "source": "s",
})  # fmt: skip


class Answer(Metric):
    default_card = CARD
    defaults: ClassVar[Mapping[str, Param]] = {}

    def needs(self) -> tuple[Need, ...]:
        return (
            Need("asked", ExtractorSpec.of("test/asked"), (Role.CANDIDATE,)),
            Need("upper", ExtractorSpec.of("test/upper"), (Role.CANDIDATE,)),
        )

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        return Score.ok(float(features["asked"]["answer"][0] + 100 * features["upper"]["twice"][0]))


class World:
    """Three clips in memory, and a store on disk."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.catalogue = Catalogue()
        self.catalogue.metrics.register(CARD.id, f"{__name__}:Answer", origin="test")
        for cls in (Lower, Upper, Asked):
            self.catalogue.extractors.register(cls.id, f"{__name__}:{cls.__name__}", origin="test")
        clips = {}
        for k, name in enumerate(SAMPLES):
            tone = np.full(16_000, 0.1 * (k + 1), np.float32)
            clip = MemoryClip.of(np.zeros((30, 8, 8, 3), np.uint8), fps=25, sound=tone)
            clips[name, Role.CANDIDATE] = ClipSource(name, clip.describe(), clip)
        side = Side(media="m.mp4", sha256="0" * 64, speaker_id="s")
        samples = [Sample(id=name, task="dialogue", language="en", initiator=side) for name in SAMPLES]
        outputs = {name: Output(Path(name), clips[name, Role.CANDIDATE].info) for name in SAMPLES}
        self.inputs = Inputs(samples, outputs, clips)

    def run(self) -> Outcome:
        CALLS.clear()
        store = FeatureStore(self.root / "store")
        settings = WorkerSettings(self.root / "store", "cpu", 1)
        pipeline = Pipeline(
            self.catalogue,
            store,
            RunConfig(workers=1),
            executor=WarmExecutor(Worker(settings)),
            journal=Journal(self.root / "run"),
        )
        return pipeline.run(self.inputs, [self.catalogue.metric(CARD.id)])

    def file(self, extractor: str, sample: str = "b") -> Path:
        sha = self.inputs.clips[sample, Role.CANDIDATE].sha256
        for path in (self.root / "store").rglob("*.json"):
            about = json.loads(path.read_text(encoding="utf-8"))
            if about["extractor"] == extractor and (about.get("sample") == sample or about.get("media") == [sha]):
                return path.with_suffix(".safetensors")
        raise AssertionError(extractor)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(tmp_path)
    monkeypatch.setattr("vidchatbench.engine.extraction.worker.load_catalogue", lambda: world.catalogue)
    return world


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 0x40
    path.write_bytes(content)


def scores(outcome: Outcome) -> list[tuple[Status, float | None]]:
    return [(record.score.status, record.score.value) for record in outcome.records]


@pytest.mark.parametrize("harm", [damage, Path.unlink], ids=["damaged", "removed"])
@pytest.mark.parametrize(
    ("extractors", "expected"),
    [
        (["test/upper"], {"test/upper": 1}),
        (["test/asked"], {"test/asked": 1}),
        (["test/upper", "test/asked"], {"test/upper": 1, "test/asked": 1}),
        (["test/lower", "test/upper"], {"test/lower": 1, "test/upper": 1}),
        (["test/lower", "test/upper", "test/asked"], {"test/lower": 1, "test/upper": 1, "test/asked": 1}),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, list) else "",
)
def test_what_is_lost_is_computed_again(
    world: World, harm: object, extractors: list[str], expected: dict[str, int]
) -> None:
    first = world.run()
    assert dict(CALLS) == {"test/lower": 3, "test/upper": 3, "test/asked": 3}
    assert [status for status, _ in scores(first)] == [Status.OK] * 3
    for extractor in extractors:
        harm(world.file(extractor))  # type: ignore[operator]
    again = world.run()
    assert dict(CALLS) == expected
    assert scores(again) == scores(first)
    # The number is one of six that cells ask for; what lies below them is not counted.
    assert again.plan.reused == 6 - len(set(extractors) - {"test/lower"})
    assert again.extraction.extracted == sum(expected.values())
    settled = world.run()
    assert dict(CALLS) == {}
    assert scores(settled) == scores(first)


def test_damage_of_what_nobody_reads_costs_nothing_until_it_is_read(world: World) -> None:
    first = world.run()
    damage(world.file("test/lower"))
    assert scores(world.run()) == scores(first)
    assert dict(CALLS) == {}
    world.file("test/upper").unlink()
    assert scores(world.run()) == scores(first)
    assert dict(CALLS) == {"test/lower": 1, "test/upper": 1}


def test_damage_is_noted_in_the_journal(world: World) -> None:
    world.run()
    path = world.file("test/upper")
    damage(path)
    world.run()
    events = [event for event in read_journal(world.root / "run") if event["event"] == "healed"]
    assert [event["features"] for event in events] == [[path.stem]]


def test_a_file_that_is_damaged_again_and_again_ends_as_our_error(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.run()
    key = world.file("test/upper").stem
    real = FeatureStore.load
    monkeypatch.setattr(FeatureStore, "load", lambda self, name: None if name == key else real(self, name))
    outcome = world.run()
    (failed,) = [record for record in outcome.records if record.score.status is Status.ERROR]
    assert failed.score.reason == "a stored feature is damaged or was removed; run again"


def test_a_store_that_cannot_be_written_does_not_keep_a_damaged_feature_in_use(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = world.run()
    damage(world.file("test/upper"))

    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "read-only")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        patch.setattr("vidchatbench.engine.features.store.write_atomically", refuse)
        again = world.run()
    assert scores(again) == scores(first)
    assert CALLS["test/upper"] == 1
