"""The engine connects the judge and hands it to the extractor that names it; a metric knows a name and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import numpy as np
import pytest

from vidchatbench.api import (
    ExtractorContext,
    Feature,
    JudgeAnswer,
    JudgeRequest,
    Param,
    Refusal,
    Sample,
    SampleExtractor,
    SampleInput,
    SampleNotes,
    Side,
    Suite,
    SuiteEntry,
    offer_judge,
    open_judge,
)
from vidchatbench.api.features import ExtractorSpec
from vidchatbench.api.sample_extractors import Content
from vidchatbench.core.isolation import Failure
from vidchatbench.core.progress import SilentProgress
from vidchatbench.engine.extraction.sample_pass import SampleRequest, read_content, run_sample_requests
from vidchatbench.engine.features.lookup import FeatureLookup
from vidchatbench.engine.features.memory import MemoryStore
from vidchatbench.engine.settings import RunConfig
from vidchatbench.engine.suites import choose_metrics
from vidchatbench.errors import InputError, UnavailableError, UsageError
from vidchatbench.judge.panel import Panel
from vidchatbench.plugins.catalogue import Catalogue
from vidchatbench_metrics.dialogue.judge_metrics import Judgement

SIDE = Side(media="a.mp4", sha256="0" * 64, speaker_id="s", transcript="How are you?")
SAMPLE = Sample(id="x", task="dialogue", language="en", initiator=SIDE)


class Fives:
    """A judge that gives every reply a 5."""

    name = "fives"

    def identity(self) -> Mapping[str, object]:
        return {"kind": "fives"}

    def score(self, requests: Sequence[JudgeRequest]) -> Iterator[tuple[int, JudgeAnswer | Refusal]]:
        for position in range(len(requests)):
            yield position, JudgeAnswer(np.full((1, 1, 5), 5, np.int8), np.zeros((1, 2), np.int64), {})


class Asks(SampleExtractor):
    """Asks the judge that its parameter names, if it names one."""

    id = "test/asks"
    defaults: ClassVar[Mapping[str, Param]] = {"by": None}

    @property
    def judge_name(self) -> str | None:
        return None if self.params["by"] is None else str(self.params["by"])

    def setup(self, context: ExtractorContext) -> None:
        self.handed_over = context.judge

    def content(self, sample: Sample, notes: SampleNotes) -> Content | None:
        return {"words": sample.initiator.transcript} if sample.initiator.transcript else None

    def extract(self, inputs: Sequence[SampleInput]) -> Iterator[tuple[int, Feature | Refusal]]:
        if self.handed_over is None:
            yield from ((k, Feature({}, {"judge": "none"})) for k in range(len(inputs)))
            return
        requests = [JudgeRequest(one.name, "en", str(one.content["words"]), "Fine.") for one in inputs]
        for position, answer in self.handed_over.score(requests):
            assert isinstance(answer, JudgeAnswer)
            yield position, Feature({"scores": answer.scores}, {"judge": self.handed_over.name})


@pytest.fixture
def catalogue() -> Catalogue:
    made = Catalogue()
    made.extractors.register("test/asks", f"{__name__}:Asks", origin="test")
    made.metrics.register("dialogue/judge", "vidchatbench_metrics.dialogue.judge_metrics:Judgement", origin="test")
    return made


def suite(judge: str) -> Suite:
    entry = SuiteEntry(metric="dialogue/judge", params={"judge": judge})
    return Suite(name="mine", version=1, description="mine", metrics=(entry,))


def run(catalogue: Catalogue, name: str | None) -> Feature | Failure:
    spec = ExtractorSpec.of("test/asks", by=name)
    features = FeatureLookup(MemoryStore())
    request = SampleRequest("key", spec, "x", {"words": "How are you?"})
    run_sample_requests([request], features, catalogue, RunConfig(workers=1), SilentProgress())
    return features.get("key")


def test_an_extractor_is_handed_the_judge_that_it_names(catalogue: Catalogue) -> None:
    offer_judge(Fives())
    feature = run(catalogue, "fives")
    assert isinstance(feature, Feature)
    assert feature.meta["judge"] == "fives"
    assert feature["scores"].max() == 5


def test_one_that_names_none_is_handed_none(catalogue: Catalogue) -> None:
    feature = run(catalogue, None)
    assert isinstance(feature, Feature)
    assert feature.meta["judge"] == "none"


def test_a_judge_that_is_not_connected_is_our_error(catalogue: Catalogue) -> None:
    failure = run(catalogue, "nobody")
    assert isinstance(failure, Failure)
    assert "judge 'nobody' is not connected" in failure.reason
    with pytest.raises(UnavailableError, match="llama-server"):
        read_content(Asks(by="nobody"), SAMPLE, SampleNotes())


def test_who_judges_is_read_with_the_sample() -> None:
    offer_judge(Fives())
    assert read_content(Asks(by="fives"), SAMPLE, SampleNotes()) == {
        "words": "How are you?",
        "judge": {"kind": "fives"},
    }
    assert read_content(Asks(), SAMPLE, SampleNotes()) == {"words": "How are you?"}
    mute = SAMPLE.model_copy(update={"initiator": SIDE.model_copy(update={"transcript": None})})
    assert read_content(Asks(by="fives"), mute, SampleNotes()) is None


def test_a_metric_that_is_given_an_address_connects_nothing() -> None:
    assert Judgement(judge="http://localhost:1/v1#only-named").params["judge"] == "only-named"
    with pytest.raises(UnavailableError):
        open_judge("only-named")


def test_the_judge_of_a_suite_is_connected_by_the_engine(catalogue: Catalogue) -> None:
    catalogue.suites["mine"] = suite("http://localhost:1/v1#of-a-suite")
    (metric,) = choose_metrics(catalogue, "mine", None).metrics
    assert metric.params["judge"] == "of-a-suite"
    judge = open_judge("of-a-suite")
    assert isinstance(judge, Panel)
    assert judge.settings.judges[0].base_url == "http://localhost:1/v1"


def test_a_run_with_another_judge_does_not_connect_that_of_the_suite(catalogue: Catalogue) -> None:
    catalogue.suites["mine"] = suite("http://localhost:1/v1#replaced")
    (metric,) = choose_metrics(catalogue, "mine", None, {"judge": "another"}).metrics
    assert metric.params["judge"] == "another"
    with pytest.raises(UnavailableError):
        open_judge("replaced")


def test_an_address_that_is_none_is_refused(catalogue: Catalogue) -> None:
    with pytest.raises(InputError, match="http or https"):
        Judgement(judge="ftp://localhost#m")
    catalogue.suites["mine"] = suite("ftp://localhost#m")
    with pytest.raises(UsageError, match="http or https"):
        choose_metrics(catalogue, "mine", None)
