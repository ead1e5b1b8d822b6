"""The judge's metrics as pure functions, their cards, and the extractors between the harness's judge and the sample."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from vidchatbench.api import (
    AXES,
    ClipInfo,
    ExtractorContext,
    ExtractorSpec,
    Feature,
    Frame,
    JudgeAnswer,
    JudgeRequest,
    Param,
    Refusal,
    Role,
    Sample,
    SampleInput,
    SampleNotes,
    Side,
    Status,
    load_card,
    offer_judge,
)
from vidchatbench.api.samples import Turn
from vidchatbench.engine.extraction.sample_pass import read_content
from vidchatbench_metrics.dialogue import JUDGE_EXTRACTORS, JUDGE_METRICS
from vidchatbench_metrics.dialogue.judge_extractor import JudgeFrames, JudgeScores
from vidchatbench_metrics.dialogue.judge_metrics import Coherence, Judgement, Safety

URL = "http://secret-host:8080/v1"
SIDE = Side(media="a.mp4", sha256="0" * 64, speaker_id="s", transcript="How are you?")
SAMPLE = Sample(
    id="x", task="dialogue", language="en", initiator=SIDE, history=(Turn(role="responder", transcript="Hi."),)
)
META: dict[str, Param] = {
    "status": "ok",
    "judges": "a | b",
    "answered_by": "a-2026 | b",
    "fingerprints": "fp | unstated",
    "format": "json_schema | text",
    "prompt_sha256": "0" * 64,
    "seed": 0,
    "temperature": 0.0,
    "reply_words": 3,
    "cut": False,
    "not_taken": "",
    "tokens_estimated": False,
    "reasons": "fine | good",
}


def judged(scores: object, **meta: Param) -> dict[str, Feature]:
    array = np.asarray(scores, np.int8)
    tokens = np.array([[100, 10]] * len(array), np.int64).reshape(-1, 2)
    return {"judged": Feature({"scores": array, "tokens": tokens}, {**META, **meta})}


# Two judges, two repeats; axes in the order of AXES.
SCORES = [[[1, 2, 3, 4, 5], [1, 2, 3, 4, 5]], [[3, 2, 3, 4, 5], [5, 2, 3, 4, 5]]]


def test_the_judge_is_the_mean_of_axes_judges_and_repeats() -> None:
    score = Judgement(judge="a+b").score(SAMPLE, judged(SCORES))
    assert score.value == pytest.approx((1 + 1 + 3 + 5 + 4 * (2 + 3 + 4 + 5)) / 20)
    details = score.details
    assert [details[axis] for axis in AXES] == [2.5, 2, 3, 4, 5]
    assert details["judges_differ_by"] == pytest.approx(3 / 5)
    assert details["repeats_differ_by"] == pytest.approx(2 / 10)
    assert (details["tokens_in"], details["tokens_out"], details["repeats"]) == (200, 20, 2)
    assert details["answered_by"] == "a-2026 | b"


def test_an_axis_is_that_axis_alone() -> None:
    assert Coherence(judge="a").score(SAMPLE, judged(SCORES)).value == 2.0
    safety = Safety(judge="a").score(SAMPLE, judged([[[1, 1, 1, 1, 4]]]))
    assert safety.value == 4.0
    assert "tokens_in" not in safety.details, "what was spent is counted once"


@pytest.mark.parametrize("status", ["silent", "empty", "hallucinated"])
def test_a_reply_without_words_is_invalid(status: str) -> None:
    score = Judgement(judge="a").score(SAMPLE, judged(np.zeros((0, 0, 5)), status=status))
    assert score.status is Status.OUTPUT_INVALID


def test_cards() -> None:
    import vidchatbench_metrics.dialogue.judge_metrics as module

    for name, target in JUDGE_METRICS.items():
        metric = getattr(module, target.split(":")[1])
        card = metric.default_card
        assert card.id == name
        assert (card.minimum, card.maximum, card.worst) == (1, 5, 1)
        # Another person's reply is as safe and as natural as one's own.
        own = name.endswith(("_safety", "_naturalness"))
        assert card.null == (None if own else "shuffled_replies")
        assert set(card.roles) == {Role.CANDIDATE, Role.INITIATOR}
        assert card == load_card("vidchatbench_metrics.dialogue", f"cards/{name.split('/')[1]}.toml")
        assert all((card.formula, card.reading, card.failure_modes))
    assert set(JUDGE_EXTRACTORS) == {JudgeScores.id, JudgeFrames.id}


@pytest.mark.parametrize(
    ("params", "protocol"),
    [
        ({}, "judge/rubric-v1-whisper-large-v3-v1"),
        ({"judge": "a+b"}, "judge/rubric-v1-a+b-whisper-large-v3-v1"),
        ({"judge": "a", "frames": 3}, "judge/rubric-v1-a-3frames-whisper-large-v3-v1"),
        ({"judge": "a", "transcripts": "given"}, "judge/rubric-v1-a-given-v1"),
        ({"judge": f"{URL}#Qwen/Q2.5"}, "judge/rubric-v1-qwen-q2.5-whisper-large-v3-v1"),
    ],
)
def test_whatever_changes_the_number_is_in_the_protocol(params: dict[str, Param], protocol: str) -> None:
    assert Judgement(**params).card.protocol == protocol


def test_the_address_goes_nowhere() -> None:
    metric = Judgement(judge=f"{URL}#model")
    assert metric.params["judge"] == "model"
    for where in (metric.card.model_dump_json(), str(metric.params), str(metric.needs())):
        assert "secret-host" not in where
    assert Judgement(**metric.params).card == metric.card, "results can be scored again"


@pytest.mark.parametrize("params", [{"judge": "A B"}, {"judge": 3}, {"frames": 9}, {"frames": 1.5}])
def test_what_is_refused(params: dict[str, Param]) -> None:
    with pytest.raises(ValueError, match="judge"):
        Judgement(**params)


# --- the extractor --------------------------------------------------------------------------------------------------


class Recorder:
    """A judge that keeps what it is asked, refuses the reply ``refuse``, and answers the last first."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked: list[JudgeRequest] = []

    def identity(self) -> Mapping[str, object]:
        return {"rubric": "r", "judges": [self.name]}

    def score(self, requests: Sequence[JudgeRequest]) -> Iterator[tuple[int, JudgeAnswer | Refusal]]:
        self.asked += requests
        for position in reversed(range(len(requests))):
            if requests[position].reply == "refuse":
                yield position, Refusal("no")
            else:
                scores = np.full((1, 1, 5), len(requests[position].reply), np.int8)
                yield position, JudgeAnswer(scores, np.array([[7, 8]]), {"reply_words": 1})


@pytest.fixture
def judge() -> Recorder:
    return Recorder("recorder")


def set_up(judge: Recorder, **params: Param) -> JudgeScores:
    extractor = JudgeScores(judge=judge.name, **params)
    extractor.setup(ExtractorContext("cpu", 1, {}, judge))
    return extractor


def heard(text: str, status: str = "ok") -> Feature:
    return Feature({}, {"status": status, "text": text})


def inputs(extractor: JudgeScores, *replies: Feature, **more: Feature) -> list[SampleInput]:
    content = extractor.content(SAMPLE, SampleNotes())
    assert content is not None
    return [SampleInput(f"s{k}", content, {"transcript": reply, **more}) for k, reply in enumerate(replies)]


def test_replies_with_words_are_judged_and_keep_their_places(judge: Recorder) -> None:
    extractor = set_up(judge)
    given = inputs(extractor, heard("a"), heard("", "silent"), heard("refuse"), heard("aaa"))
    found = dict(extractor.extract(given))
    assert sorted(found) == [0, 1, 2, 3]
    first, silent, refused, last = (found[k] for k in range(4))
    assert isinstance(refused, Refusal)
    assert isinstance(first, Feature)
    assert isinstance(silent, Feature)
    assert isinstance(last, Feature)
    assert (first["scores"].max(), last["scores"].max()) == (1, 3)
    assert silent["scores"].shape == (0, 0, 5)
    assert silent.meta["status"] == "silent"
    assert [request.reply for request in judge.asked] == ["a", "refuse", "aaa"]
    assert judge.asked[0] == JudgeRequest("s0", "en", "How are you?", "a", (("responder", "Hi."),))


def test_a_sample_without_the_initiators_words_does_not_apply(judge: Recorder) -> None:
    extractor = set_up(judge)
    for words in (None, "", "  "):
        mute = SAMPLE.model_copy(update={"initiator": SIDE.model_copy(update={"transcript": words})})
        assert extractor.content(mute, SampleNotes()) is None


def test_the_content_names_all_that_the_judge_is_told_and_who_it_is(judge: Recorder) -> None:
    offer_judge(judge)
    extractor = JudgeScores(judge="recorder")
    assert extractor.judge_name == "recorder"
    content = read_content(extractor, SAMPLE, SampleNotes(declared_transcript="ignored"))
    assert content == {
        "judge": {"rubric": "r", "judges": ["recorder"]},
        "language": "en",
        "initiator": "How are you?",
        "history": [["responder", "Hi."]],
    }


def test_transcripts_that_the_user_brings(judge: Recorder) -> None:
    extractor = set_up(judge, transcripts="given")
    assert extractor.reads() == ()
    assert extractor.content(SAMPLE, SampleNotes()) is None
    content = extractor.content(SAMPLE, SampleNotes(given_transcript="brought"))
    assert content is not None
    list(extractor.extract([SampleInput("s", content)]))
    assert judge.asked[0].reply == "brought"


def test_without_a_judge_it_says_how_to_start_and_use_one() -> None:
    lack = JudgeScores().lack()
    assert lack is not None
    assert all(word in lack[1] for word in ("llama-server", "ollama serve", "vllm serve", "--judge http"))
    assert JudgeScores(judge="a").lack() is None


def test_pictures_are_read_of_the_initiator_and_handed_on(judge: Recorder) -> None:
    extractor = set_up(judge, frames=2)
    frames = {need.name: need for need in extractor.reads()}["frames"]
    assert frames.roles == (Role.INITIATOR,)
    assert frames.extractor == ExtractorSpec.of("dialogue/judge_frames", frames=2)
    pictures = Feature({"jpeg1": np.frombuffer(b"two", np.uint8), "jpeg0": np.frombuffer(b"one", np.uint8)})
    list(extractor.extract(inputs(extractor, heard("a"), frames=pictures)))
    assert judge.asked[0].frames == (b"one", b"two")


class Still:
    """A frame of one grey."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.time = index / 2

    def rgb(self) -> NDArray[np.uint8]:
        return np.full((90, 160, 3), self.index, np.uint8)

    def cover(self, height: int, width: int) -> NDArray[np.uint8]:
        raise NotImplementedError

    def window(self, box: tuple[float, float, float, float], height: int, width: int) -> NDArray[np.uint8]:
        raise NotImplementedError

    def fit(self, longest: int) -> tuple[NDArray[np.uint8], float]:
        assert longest == 512
        return self.rgb(), 1.0


@pytest.mark.parametrize(
    ("length", "wanted"),
    [(6, [1, 3, 5]), (30, [5, 15, 25]), (2, [0, 1]), (1, [0]), (0, []), (120, [20, 60, 100]), (250, [40, 128, 208])],
)
def test_pictures_are_evenly_spaced(length: int, wanted: list[int]) -> None:
    session = JudgeFrames(frames=3).begin(ClipInfo(160, 90, length / 2), {})
    for index in range(length):
        frame: Frame = Still(index)
        session.push(frame)
    feature = session.finish()
    greys = []
    for name in sorted(feature.arrays):
        picture = Image.open(io.BytesIO(feature[name].tobytes()))
        assert picture.format == "JPEG"
        greys.append(round(float(np.asarray(picture).mean())))
    assert greys == wanted
