"""Metrics that see all samples at once: what they are handed, what becomes of faults, and what they say besides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from vidchatbench.api.cards import MetricCard
from vidchatbench.api.features import ExtractorSpec, Feature, Need, Refusal
from vidchatbench.api.metrics import JointItem, JointMetric, JointScores
from vidchatbench.api.sample_extractors import Content, SampleExtractor, SampleInput, SampleNotes
from vidchatbench.api.samples import Role, Sample, Side
from vidchatbench.api.scores import Score, Status
from vidchatbench.engine.extraction.jobs import ClipSource
from vidchatbench.engine.features.memory import MemoryStore
from vidchatbench.engine.pipeline import Outcome, Pipeline
from vidchatbench.engine.plan import Inputs
from vidchatbench.engine.settings import RunConfig
from vidchatbench.media.memory import MemoryClip
from vidchatbench.plugins.catalogue import Catalogue
from vidchatbench.submission.check import Output

ITEMS: list[JointItem] = []

CARD = MetricCard.model_validate({
    "id": "test/joint", "version": 1, "title": "Joint", "dimension": "dialogue", "direction": "higher", "unit": "",
    "minimum": 0.0, "worst": 0.0, "roles": ("candidate",), "aggregation": "mean", "protocol": "joint/v1",
    "protocol_text": "p", "description": "d", "code_license": "MIT", "commercial_use": True, "citation": "c",
    "source": "s",
})  # fmt: skip


class Words(SampleExtractor):
    id = "test/words"

    def content(self, sample: Sample, notes: SampleNotes) -> Content | None:
        del notes
        return None if sample.initiator.transcript is None else {"words": sample.initiator.transcript}

    def extract(self, inputs: Sequence[SampleInput]) -> Iterator[tuple[int, Feature | Refusal]]:
        for place, one in enumerate(inputs):
            words = str(one.content["words"])
            yield place, Refusal("no words today") if words == "refuse" else Feature({}, {"length": len(words)})


class Joint(JointMetric):
    """Words of the sample over words of all; breaks where somebody says so."""

    default_card = CARD
    background: ClassVar[tuple[str, ...]] = ("words",)

    def needs(self) -> tuple[Need, ...]:
        return (Need("words", ExtractorSpec.of("test/words"), (Role.CANDIDATE,)),)

    def score_all(self, items: Sequence[JointItem]) -> JointScores:
        ITEMS[:] = items
        lengths = [item.features["words"].number("length") if item.features else 0.0 for item in items]
        if 5.0 in lengths:
            raise RuntimeError("five letters are too many")
        total = sum(lengths)
        # What is settled stays as it is, whatever is said of it here.
        return JointScores([Score.ok(length / total) for length in lengths], {"total": total})


@pytest.fixture
def catalogue() -> Catalogue:
    made = Catalogue()
    made.metrics.register("test/joint", f"{__name__}:Joint", origin="test")
    made.extractors.register("test/words", f"{__name__}:Words", origin="test")
    return made


def run(catalogue: Catalogue, words: Mapping[str, str | None], missing: tuple[str, ...] = ()) -> Outcome:
    samples = [
        Sample(
            id=name,
            task="dialogue",
            language="en",
            initiator=Side(media="m.mp4", sha256="0" * 64, speaker_id=name, transcript=text),
        )
        for name, text in words.items()
    ]
    clip = MemoryClip.of(np.zeros((30, 8, 8, 3), np.uint8), fps=25)
    source = ClipSource("clip", clip.describe(), clip)
    outputs = {name: Output(None, None) if name in missing else Output(Path(name), source.info) for name in words}
    clips = {(name, Role.CANDIDATE): source for name in words if name not in missing}
    pipeline = Pipeline(catalogue, MemoryStore(), RunConfig(workers=1))
    return pipeline.run(Inputs(samples, outputs, clips), [catalogue.metric("test/joint")])


def test_all_are_seen_the_lost_ones_with_their_background(catalogue: Catalogue) -> None:
    outcome = run(catalogue, {"a": "1", "b": "333", "c": "4444", "d": None}, missing=("b",))
    assert [(item.sample.id, sorted(item.features)) for item in ITEMS] == [
        ("a", ["words"]), ("b", ["words"]), ("c", ["words"]), ("d", []),
    ]  # fmt: skip
    assert [item.settled and item.settled.status for item in ITEMS] == [
        None, Status.OUTPUT_MISSING, None, Status.NOT_APPLICABLE,
    ]  # fmt: skip
    assert ITEMS[0].seconds == {Role.CANDIDATE: pytest.approx(1.2)}
    scores = [record.score for record in outcome.records]
    assert [score.value for score in scores] == [1 / 8, None, 4 / 8, None]
    (number,) = outcome.numbers
    assert number.value == pytest.approx((1 / 8 + 0 + 4 / 8) / 3)
    assert number.summary == {"total": 8.0}


def test_a_feature_that_failed_is_our_error_for_that_sample(catalogue: Catalogue) -> None:
    outcome = run(catalogue, {"a": "1", "b": "refuse"})
    assert [record.score.status for record in outcome.records] == [Status.OK, Status.ERROR]
    assert ITEMS[1].features == {}


def test_a_metric_that_breaks_is_an_error_for_all_that_are_not_settled(catalogue: Catalogue) -> None:
    outcome = run(catalogue, {"a": "1", "b": "55555", "c": "1"}, missing=("c",))
    scores = [record.score for record in outcome.records]
    assert [score.status for score in scores] == [Status.ERROR, Status.ERROR, Status.OUTPUT_MISSING]
    assert "five letters are too many" in str(scores[0].reason)
    assert outcome.numbers[0].summary == {}


@pytest.mark.parametrize(
    "answer",
    [None, JointScores([]), JointScores([Score.ok(1.0)] * 2, {"p": float("nan")}), JointScores([1.0, 2.0])],  # type: ignore[list-item]
    ids=["nothing", "too few", "not finite", "no scores"],
)
def test_what_is_no_answer_is_an_error(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, answer: JointScores
) -> None:
    monkeypatch.setattr(Joint, "score_all", lambda self, items: answer)
    outcome = run(catalogue, {"a": "1", "b": "22"})
    assert [record.score.status for record in outcome.records] == [Status.ERROR] * 2


def test_a_score_out_of_range_is_an_error(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Joint, "score_all", lambda self, items: JointScores([Score.ok(-1.0), Score.ok(1.0)]))
    assert [record.score.status for record in run(catalogue, {"a": "1", "b": "22"}).records] == [
        Status.ERROR,
        Status.OK,
    ]
