"""Whose initiator does a reply answer: ranks by hand, decoys that stay the same, and replies that answer nobody."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from vidchatbench.api import Feature, JointItem, Role, Sample, SampleNotes, Score, Side, Status
from vidchatbench_metrics.dialogue.contingency import (
    Contingency,
    chance_level,
    permutation_p,
    reciprocal_rank,
)
from vidchatbench_metrics.dialogue.other_samples import strangers
from vidchatbench_metrics.dialogue.sentence_embeddings import InitiatorEmbedding, ReplyEmbedding

DIM = 64
CARD = Contingency().card


def side(speaker: str, words: str | None = None) -> Side:
    return Side(media="m.mp4", sha256="0" * 64, speaker_id=speaker, transcript=words)


def sample(
    name: str, *, language: str = "en", words: str | None = None, speakers: tuple[str, str] | None = None
) -> Sample:
    asks, answers = speakers or (f"asks {name}", f"answers {name}")
    return Sample(id=name, task="dialogue", language=language, initiator=side(asks, words), responder=side(answers))


def said(vector: NDArray[np.floating] | None, status: str = "ok") -> Feature:
    array = np.zeros(0, np.float32) if vector is None else (vector / np.linalg.norm(vector)).astype(np.float32)
    return Feature({"vector": array}, {"status": status, "text": "words"})


def unit(place: int) -> NDArray[np.float64]:
    return np.eye(DIM)[place]


def item(name: str, initiator: NDArray[np.floating], reply: NDArray[np.floating], seconds: float = 5.0) -> JointItem:
    features = {"initiator": said(initiator), "reply": said(reply), "transcript": Feature({}, {"status": "ok"})}
    return JointItem(sample(name), features, None, {Role.INITIATOR: seconds})


def lost(one: JointItem, score: Score) -> JointItem:
    return dataclasses.replace(one, features={"initiator": one.features["initiator"]}, settled=score)


def answering(n: int, answers: int | None = None) -> list[JointItem]:
    """Samples whose first replies lean on their own initiator, at a cosine of .6, and whose others on nobody's."""
    rng = np.random.default_rng(4)
    replies = [0.6 * unit(i) + 0.8 * unit(40 + i % 20) for i in range(n)]
    replies = [reply if answers is None or i < answers else rng.normal(size=DIM) for i, reply in enumerate(replies)]
    return [item(f"s{i:02}", unit(i), reply) for i, reply in enumerate(replies)]


class TestRank:
    def test_by_hand(self) -> None:
        decoys = np.array([0.1, 0.5, 0.3])
        assert reciprocal_rank(0.6, decoys) == 1.0
        assert reciprocal_rank(0.4, decoys) == 0.5
        assert reciprocal_rank(0.0, decoys) == 0.25
        assert reciprocal_rank(0.5, decoys) == pytest.approx((1 + 1 / 2) / 2)
        assert reciprocal_rank(0.3, decoys) == pytest.approx((1 / 2 + 1 / 3) / 2)

    def test_rounding_decides_no_rank(self) -> None:
        assert reciprocal_rank(0.5, np.array([0.5 + 9e-7])) == 0.75
        assert reciprocal_rank(0.5, np.array([0.5 + 1.1e-6])) == 0.5

    def test_chance(self) -> None:
        assert chance_level(1) == 0.75
        assert chance_level(20) == pytest.approx(0.1736, abs=5e-5)
        # What equals everything is at chance.
        assert reciprocal_rank(0.2, np.full(20, 0.2)) == pytest.approx(chance_level(20))


class TestPermutation:
    def test_replies_that_fit_their_places_alone(self) -> None:
        # Of 8! orders one is as good.
        assert permutation_p(np.eye(8)) < 0.001

    def test_replies_that_are_all_the_same(self) -> None:
        assert permutation_p(np.repeat(np.arange(6.0)[:, None], 6, axis=1)) == 1.0

    def test_two_samples_have_two_orders(self) -> None:
        assert permutation_p(np.eye(2)) == pytest.approx(0.5, abs=0.02)

    def test_re_dealt_replies_give_an_even_p(self) -> None:
        rng = np.random.default_rng(0)
        found = np.array([permutation_p(rng.normal(size=(12, 12))) for _ in range(40)])
        assert 0.4 < found.mean() < 0.6
        assert (found < 0.05).sum() <= 5


class TestScores:
    def test_real_answers_are_first_and_p_says_so(self) -> None:
        made = Contingency().score_all(answering(24))
        assert [score.value for score in made.scores] == [1.0] * 24
        assert made.summary["chance"] == pytest.approx(chance_level(20))
        assert made.summary["gap"] == pytest.approx(0.6, abs=1e-6)
        assert made.summary["p"] < 0.001

    def test_the_fewer_replies_answer_the_lower_it_is(self) -> None:
        found = [Contingency().score_all(answering(24, answers)) for answers in (24, 16, 8, 0)]
        values = [float(np.mean([score.value or 0 for score in made.scores])) for made in found]
        assert values == sorted(values, reverse=True)
        assert values[-1] == pytest.approx(chance_level(20), abs=0.12)
        assert found[-1].summary["p"] > 0.05

    def test_replies_to_somebody_else_are_below_chance(self) -> None:
        items = answering(12)
        dealt = [
            dataclasses.replace(one, features={**one.features, "reply": items[(i + 1) % 12].features["reply"]})
            for i, one in enumerate(items)
        ]
        made = Contingency().score_all(dealt)
        assert all((score.value or 0) <= 0.5 for score in made.scores)
        assert made.summary["gap"] < 0
        assert made.summary["p"] > 0.5

    def test_one_reply_for_everybody_is_at_chance_with_no_gap(self) -> None:
        rng = np.random.default_rng(1)
        great = rng.normal(size=DIM)
        made = Contingency().score_all([item(f"s{i}", rng.normal(size=DIM), great) for i in range(15)])
        assert np.mean([score.value or 0 for score in made.scores]) == pytest.approx(chance_level(14))
        assert made.summary["gap"] == pytest.approx(0, abs=1e-9)
        assert made.summary["p"] == 1.0

    def test_a_reply_that_repeats_the_initiator_is_at_chance(self) -> None:
        items = answering(12)
        again = 0.91 * unit(0) + np.sqrt(1 - 0.91**2) * unit(50)
        near = 0.89 * unit(1) + np.sqrt(1 - 0.89**2) * unit(51)
        items[0], items[1] = item("s00", unit(0), again), item("s01", unit(1), near)
        made = Contingency().score_all(items)
        assert (made.scores[0].details["echo"], made.scores[1].details["echo"]) == (True, False)
        assert made.scores[0].value == pytest.approx(chance_level(11))
        assert made.scores[1].value == 1.0
        assert made.summary["echoes"] == 1

    def test_a_lost_reply_moves_no_other_score(self) -> None:
        items = answering(12, 6)
        whole = Contingency().score_all(items)
        missing = lost(items[3], Score(Status.OUTPUT_MISSING, None, "there is no output"))
        without = Contingency().score_all([*items[:3], missing, *items[4:]])
        assert without.scores[3].status is Status.OUTPUT_MISSING
        assert [s.value for i, s in enumerate(without.scores) if i != 3] == [
            s.value for i, s in enumerate(whole.scores) if i != 3
        ]

    def test_faults_and_lacks(self) -> None:
        items = answering(3)
        silent = dataclasses.replace(items[0], features={**items[0].features, "reply": said(None, "silent")})
        mute = dataclasses.replace(items[1], features={**items[1].features, "initiator": said(None, "silent")})
        made = Contingency().score_all([silent, mute, items[2]])
        assert made.scores[0].status is Status.OUTPUT_INVALID
        assert made.scores[1].status is Status.NOT_APPLICABLE
        assert made.scores[2].details["decoys"] == 1
        (alone,) = Contingency().score_all(items[:1]).scores
        assert alone.status is Status.NOT_APPLICABLE
        assert Contingency().score(items[0].sample, items[0].features).status is Status.NOT_APPLICABLE

    def test_an_initiator_that_could_not_be_embedded_is_our_error_for_whoever_draws_it(self) -> None:
        items = answering(3)
        broken = dataclasses.replace(items[0], features={}, settled=Score(Status.ERROR, None, "out of memory"))
        made = Contingency().score_all([broken, *items[1:]])
        assert [score.status for score in made.scores] == [Status.ERROR] * 3
        gone = dataclasses.replace(items[0], features={}, settled=Score.not_applicable("in French"))
        assert [score.status for score in Contingency().score_all([gone, *items[1:]]).scores[1:]] == [Status.OK] * 2


class TestDecoys:
    def test_the_same_in_any_order_and_at_most_so_many(self) -> None:
        items = answering(40)
        ids = [other.sample.id for other in strangers(items[7], items, 20, seed="x")]
        assert len(ids) == 20
        assert ids == [other.sample.id for other in strangers(items[7], items[::-1], 20, seed="x")]
        assert ids != [other.sample.id for other in strangers(items[7], items, 20, seed="y")]
        assert "s07" not in ids

    def test_nobody_who_speaks_in_the_sample_and_no_other_language(self) -> None:
        own = JointItem(sample("own", speakers=("a", "b")), {})
        others = [
            JointItem(sample("turned", speakers=("b", "a")), {}),
            JointItem(sample("same asker", speakers=("a", "c")), {}),
            JointItem(sample("french", language="fr"), {}),
            JointItem(sample("british", language="en-GB"), {}),
        ]
        assert [one.sample.id for one in strangers(own, [own, *others], 20, seed="x")] == ["british"]

    def test_those_of_like_length_first_then_the_nearest(self) -> None:
        lengths = {"far": 30.0, "12.1": 12.1, "12": 12.0, "8": 8.0, "7.8": 7.8}
        own = item("own", unit(0), unit(0), 10.0)
        others = [item(name, unit(1), unit(1), seconds) for name, seconds in lengths.items()]
        found = [one.sample.id for one in strangers(own, [own, *others], 20, seed="x", role=Role.INITIATOR)]
        assert set(found[:2]) == {"12", "8"}
        assert found[2:] == ["12.1", "7.8", "far"]
        made = Contingency().score_all([own, *others])
        assert (made.scores[0].details["decoys"], made.scores[0].details["of_like_length"]) == (5, 2)


class TestFeatures:
    def test_words_of_the_manifest_go_before_what_is_heard(self) -> None:
        extractor = InitiatorEmbedding()
        written, heard = sample("a", words=" Hello. "), sample("b")
        assert extractor.content(written, SampleNotes()) == {"text": "Hello."}
        assert extractor.reads_of(written) == ()
        assert extractor.content(heard, SampleNotes()) == {}
        (need,) = extractor.reads_of(heard)
        assert (need.extractor.id, need.roles) == ("dialogue/transcript", (Role.INITIATOR,))
        assert InitiatorEmbedding(transcripts="given").content(heard, SampleNotes(given_transcript="x")) is None

    def test_english_alone(self) -> None:
        for extractor in (InitiatorEmbedding(), ReplyEmbedding()):
            assert extractor.content(sample("a", language="fr", words="Bonjour."), SampleNotes()) is None

    def test_a_brought_reply_is_content(self) -> None:
        extractor = ReplyEmbedding(transcripts="given")
        assert extractor.reads() == ()
        assert extractor.content(sample("a"), SampleNotes(given_transcript="Yes.")) == {"text": "Yes."}
        assert extractor.content(sample("a"), SampleNotes()) is None

    def test_card_and_parameters(self) -> None:
        assert CARD.protocol == "contingency/whisper-large-v3-minilm-l6-v2-20decoys-v1"
        base = Contingency(transcripts="whisper-base").card
        assert base.protocol == "contingency/whisper-base-minilm-l6-v2-20decoys-v1"
        assert "whisper_base_model" in base.weights
        assert all((CARD.formula, CARD.reading, CARD.failure_modes))
