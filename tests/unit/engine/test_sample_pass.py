"""Extractors of samples: planned after what they read, run once, kept as they come, and never in each other's way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
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
from vidchatbench.core.isolation import Blame, Failure
from vidchatbench.core.progress import SilentProgress
from vidchatbench.engine.extraction.jobs import ClipSource
from vidchatbench.engine.extraction.sample_pass import SamplePassReport, run_sample_requests
from vidchatbench.engine.features.lookup import FeatureLookup
from vidchatbench.engine.features.memory import MemoryStore
from vidchatbench.engine.plan import Inputs, Plan, Planner
from vidchatbench.engine.scoring import score_cells
from vidchatbench.engine.settings import RunConfig
from vidchatbench.media.memory import MemoryClip
from vidchatbench.plugins.availability import find_missing, weights_of
from vidchatbench.plugins.catalogue import Catalogue
from vidchatbench.submission.check import Output
from vidchatbench.weights.resolver import WeightResolver

HEARD = ExtractorSpec.of("test/heard")
ASKED: list[list[str]] = []


class Heard(AudioExtractor):
    id = "test/heard"

    def extract(self, audio: Audio, upstream: Mapping[str, Feature]) -> Feature:
        return Feature({}, {"text": f"{len(audio.samples)} samples"})


class Asked(SampleExtractor):
    """Joins what was heard with what the sample says; refuses, breaks or forgets as the text tells it to."""

    id = "test/asked"
    defaults: ClassVar[Mapping[str, Param]] = {"mood": "kind"}
    lacking = "nobody has said a word"

    def reads(self) -> tuple[Need, ...]:
        return (Need("heard", HEARD, (Role.CANDIDATE,)),)

    def content(self, sample: Sample, notes: SampleNotes) -> Content | None:
        if sample.initiator.transcript == "broken content":
            raise RuntimeError("no content")
        if sample.initiator.transcript is None:
            return None
        return {"words": sample.initiator.transcript, "declared": notes.declared_transcript}

    def extract(self, inputs: Sequence[SampleInput]) -> Iterator[tuple[int, Feature | Refusal]]:
        ASKED.append([given.name for given in inputs])
        for place, given in reversed(list(enumerate(inputs))):
            words = given.content["words"]
            if words == "refuse":
                yield place, Refusal("the judge would rather not")
            elif words == "forget":
                continue
            elif words == "break":
                raise RuntimeError("connection lost")
            else:
                heard = given.features["heard"].meta["text"]
                text = f"{self.params['mood']}: {heard} / {words} / {given.content['declared']}"
                yield place, Feature({"length": np.array([len(text)])}, {"text": text})


CARD = MetricCard.model_validate({
    "id": "test/answer", "version": 1, "title": "Answer", "dimension": "dialogue", "direction": "higher", "unit": "",
    "worst": 0.0, "roles": ("candidate",), "aggregation": "mean", "protocol": "answer/v1", "protocol_text": "p",
    "description": "d", "code_license": "MIT", "commercial_use": True, "citation": "c", "source": "s",
})  # fmt: skip


class Answer(Metric):
    default_card = CARD
    defaults: ClassVar[Mapping[str, Param]] = {"mood": "kind"}

    def make_card(self) -> MetricCard:
        return (
            self.default_card.vary(protocol=f"answer/{self.params['mood']}") if self.params != self.defaults else CARD
        )

    def needs(self) -> tuple[Need, ...]:
        return (Need("asked", ExtractorSpec.of("test/asked", mood=self.params["mood"]), (Role.CANDIDATE,)),)

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        return Score.ok(float(features["asked"]["length"][0]), text=str(features["asked"].meta["text"]))


@pytest.fixture
def catalogue() -> Catalogue:
    ASKED.clear()
    made = Catalogue()
    made.metrics.register("test/answer", f"{__name__}:Answer", origin="test")
    made.extractors.register("test/heard", f"{__name__}:Heard", origin="test")
    made.extractors.register("test/asked", f"{__name__}:Asked", origin="test")
    return made


def sample(name: str, words: str | None) -> Sample:
    side = Side(media="m.mp4", sha256="0" * 64, speaker_id=name, transcript=words)
    return Sample(id=name, task="dialogue", language="en", initiator=side)


def clip(samples: int, *, sound: bool = True) -> ClipSource:
    frames = np.zeros((30, 8, 8, 3), np.uint8)
    tone = np.full(samples, 0.1, np.float32) if sound else None
    made = MemoryClip.of(frames, fps=25, sound=tone, sample_rate=16_000) if sound else MemoryClip.of(frames, fps=25)
    return ClipSource(f"clip of {samples}", made.describe(), made)


Make = Callable[..., Plan]


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def plan(catalogue: Catalogue, store: MemoryStore, words: Mapping[str, str | None], **options: object) -> Plan:
    samples = [sample(name, text) for name, text in words.items()]
    clips = {
        (name, Role.CANDIDATE): clip(16_000 + 100 * i, sound=not name.startswith("silent"))
        for i, name in enumerate(words)
    }
    outputs = {name: Output(path=None, info=None) for name in words} if options.get("missing") else outputs_of(clips)
    notes = {name: SampleNotes(declared_transcript=f"declared by {name}") for name in words if options.get("notes")}
    planner = Planner(Inputs(samples, outputs, clips, notes=notes), catalogue, store)
    metric = catalogue.metric("test/answer", **({"mood": options["mood"]} if "mood" in options else {}))  # type: ignore[dict-item]
    return planner.build([metric])


def outputs_of(clips: Mapping[tuple[str, Role], ClipSource]) -> dict[str, Output]:
    return {name: Output(Path(name), found.info) for (name, _), found in clips.items()}


def heard(store: MemoryStore, made: Plan) -> FeatureLookup:
    """Stands in for the decoding pass: stores what was heard in each clip."""
    for request in made.sample_requests:
        for key in request.features.values():
            store.save(key, Feature({}, {"text": f"heard in {request.name}"}), {})
    return FeatureLookup(store)


def run(catalogue: Catalogue, made: Plan, known: FeatureLookup) -> SamplePassReport:
    return run_sample_requests(made.sample_requests, known, catalogue, RunConfig(workers=1), SilentProgress())


def scores(made: Plan, known: FeatureLookup) -> dict[str, Score]:
    outputs = {cell.sample.id: Output(None, None) for cell in made.cells}
    return {record.sample.id: record.score for record in score_cells(made.cells, outputs, known).records}


def test_all_samples_are_asked_at_once_and_every_answer_finds_its_sample(
    catalogue: Catalogue, store: MemoryStore
) -> None:
    made = plan(catalogue, store, {"a": "one", "b": "two", "c": "three"}, notes=True)
    known = heard(store, made)
    report = run(catalogue, made, known)
    assert ASKED == [["a", "b", "c"]]
    assert report.extracted == 3
    assert report.seconds["test/asked"] >= 0
    texts = {name: score.details["text"] for name, score in scores(made, known).items()}
    assert texts["b"] == "kind: heard in b / two / declared by b"


def test_what_is_stored_is_not_asked_again(catalogue: Catalogue, store: MemoryStore) -> None:
    first = plan(catalogue, store, {"a": "one", "b": "two"})
    run(catalogue, first, heard(store, first))
    again = plan(catalogue, store, {"a": "one", "b": "two", "c": "new"})
    assert [request.stored for request in again.sample_requests] == [True, True, False]
    assert again.reused == 2
    run(catalogue, again, heard(store, again))
    assert ASKED == [["a", "b"], ["c"]]
    settled = plan(catalogue, store, {"a": "one", "b": "two", "c": "new"})
    assert run(catalogue, settled, FeatureLookup(store)).extracted == 0
    assert len(ASKED) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"words": {"a": "other words"}},
        {"words": {"a": "one"}, "notes": True},
        {"words": {"a": "one"}, "mood": "stern"},
        {"words": {"x": None, "a": "one"}},
    ],
    ids=["words", "declared", "parameter", "clip"],
)
def test_whatever_is_read_is_in_the_key(catalogue: Catalogue, store: MemoryStore, other: dict[str, object]) -> None:
    words = other.pop("words")
    (one,) = plan(catalogue, store, {"a": "one"}).sample_requests
    (two,) = plan(catalogue, store, words, **other).sample_requests  # type: ignore[arg-type]
    assert one.key != two.key


def test_a_sample_that_lacks_the_words_is_not_applicable(catalogue: Catalogue, store: MemoryStore) -> None:
    made = plan(catalogue, store, {"a": "one", "b": None})
    known = heard(store, made)
    run(catalogue, made, known)
    found = scores(made, known)
    assert found["b"].status is Status.NOT_APPLICABLE
    assert found["b"].reason == "nobody has said a word"
    assert found["a"].status is Status.OK


def test_a_reply_without_sound_is_the_submissions_fault(catalogue: Catalogue, store: MemoryStore) -> None:
    made = plan(catalogue, store, {"a": "one", "silent": "two"})
    (cell,) = (cell for cell in made.cells if cell.sample.id == "silent")
    assert cell.settled is not None
    assert cell.settled.status is Status.OUTPUT_INVALID
    assert [request.name for request in made.sample_requests] == ["a"]


def test_a_refusal_or_silence_is_our_error_for_that_sample_alone(catalogue: Catalogue, store: MemoryStore) -> None:
    made = plan(catalogue, store, {"a": "one", "b": "refuse", "c": "forget"})
    known = heard(store, made)
    run(catalogue, made, known)
    found = scores(made, known)
    assert found["a"].status is Status.OK
    assert found["b"].status is found["c"].status is Status.ERROR
    assert found["b"].reason == "the judge would rather not"
    assert "no answer" in str(found["c"].reason)
    assert [
        request.stored for request in plan(catalogue, store, {"a": "one", "b": "refuse", "c": "forget"}).sample_requests
    ] == [
        True,
        False,
        False,
    ]


def test_what_came_before_a_break_is_kept(catalogue: Catalogue, store: MemoryStore) -> None:
    # Answers come last sample first here, so "a" and "b" are still open when "b" breaks.
    words = {"a": "one", "b": "break", "c": "three"}
    made = plan(catalogue, store, words)
    known = heard(store, made)
    run(catalogue, made, known)
    found = scores(made, known)
    assert found["c"].status is Status.OK
    assert found["a"].status is found["b"].status is Status.ERROR
    assert "connection lost" in str(found["a"].reason)
    assert [request.stored for request in plan(catalogue, store, words).sample_requests] == [False, False, True]


def test_a_failure_upstream_is_passed_on_and_nobody_is_asked(catalogue: Catalogue, store: MemoryStore) -> None:
    made = plan(catalogue, store, {"a": "one"})
    broken = Failure(Blame.OURS, "the ears are broken")
    known = FeatureLookup(store)
    known.put({key: broken for request in made.sample_requests for key in request.features.values()})
    run(catalogue, made, known)
    assert ASKED == []
    assert scores(made, known)["a"].reason == "the ears are broken"


def test_content_that_breaks_is_our_error(catalogue: Catalogue, store: MemoryStore) -> None:
    made = plan(catalogue, store, {"a": "broken content", "b": "fine"})
    known = heard(store, made)
    run(catalogue, made, known)
    found = scores(made, known)
    assert found["a"].status is Status.ERROR
    assert "no content" in str(found["a"].reason)
    assert found["b"].status is Status.OK


def test_what_is_read_counts_for_availability(catalogue: Catalogue) -> None:
    metric = catalogue.metric("test/answer")
    assert find_missing(metric, catalogue, WeightResolver({})) is None
    assert weights_of(metric, catalogue) == []
    lacking = Catalogue()
    lacking.metrics.register("test/answer", f"{__name__}:Answer", origin="test")
    lacking.extractors.register("test/asked", f"{__name__}:Asked", origin="test")
    found = find_missing(lacking.metric("test/answer"), lacking, WeightResolver({}))
    assert found is not None
    assert "test/heard" in found.reason
