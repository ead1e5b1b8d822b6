"""The anchored scale: what counts is cut at the real reply's own value, and a hole is not bought back."""

from __future__ import annotations

import hashlib
import math

import pytest

from vidchatbench.api.cards import Dimension, MetricCard
from vidchatbench.api.features import Need
from vidchatbench.api.metrics import Metric
from vidchatbench.api.samples import Sample, Side
from vidchatbench.api.scores import Score, Status
from vidchatbench.results.aggregate import Record, aggregate
from vidchatbench.results.scale import (
    PAPER_DIMENSIONS,
    Scale,
    describe_overall,
    hash_ceilings,
    members_of,
    overall_of,
)
from vidchatbench.results.schema import UNSEEN, Anchors, MetricResult

CEILINGS = {"s0": 0.8, "s1": 0.9, "s2": 0.7, "s3": 0.8}
ORACLE = Anchors(oracle=0.8, nulls={"shuffled_replies": 0.2}, samples_sha256=hash_ceilings(CEILINGS))


class Likeness(Metric):
    default_card = MetricCard(
        id="identity/likeness", version=1, title="Likeness", dimension=Dimension.IDENTITY, direction="higher", unit="",
        minimum=-1.0, maximum=1.0, worst=0.0, roles=(), aggregation="mean", null="shuffled_replies",
        protocol="likeness/v1", protocol_text="t", description="d", code_license="MIT", commercial_use=True,
        citation="c", source="s",
    )  # fmt: skip

    def needs(self) -> tuple[Need, ...]:
        return ()

    def score(self, sample, features):
        raise NotImplementedError


def result_of(values: dict[str, float | None], *, ceilings: dict[str, float] | None = None) -> MetricResult:
    metric, records = Likeness(), []
    for name, value in values.items():
        side = Side(media="a.mp4", sha256="0" * 64, speaker_id=f"p{name}")
        sample = Sample(id=name, task="dialogue", language="en", initiator=side, responder=side)
        score = Score(Status.OUTPUT_MISSING, None, "none") if value is None else Score.ok(value)
        records.append(Record.of(sample, metric, score))
    return aggregate(metric, records, {}, seed=0, anchors=ORACLE, ceilings=CEILINGS if ceilings is None else ceilings)


def test_the_real_reply_is_100_and_the_null_0() -> None:
    assert result_of(dict(CEILINGS)).anchored == pytest.approx(100.0)
    assert result_of(dict.fromkeys(CEILINGS, 0.2)).anchored == pytest.approx(0.0)


def test_a_still_picture_gains_nothing_over_the_real_reply() -> None:
    still = result_of(dict.fromkeys(CEILINGS, 0.995))
    assert still.value == pytest.approx(0.995), "the value itself is not touched"
    assert still.anchored == pytest.approx(100.0)
    assert result_of(dict.fromkeys(CEILINGS, 0.995), ceilings={}).anchored == pytest.approx(132.5)


def test_what_one_reply_has_too_much_does_not_pay_for_another() -> None:
    # Cut to .8, .9, .7 and left at .2: a mean of .65, by hand 100 (.65 - .2) / .6.
    found = result_of({"s0": 0.99, "s1": 0.99, "s2": 0.99, "s3": 0.2})
    assert found.anchored == pytest.approx(75.0)


def test_the_lower_side_is_not_cut() -> None:
    found = result_of({"s0": -0.4, "s1": 0.8, "s2": 0.2, "s3": 0.2})
    assert found.anchored == pytest.approx(0.0)


def test_a_failure_is_charged_and_the_interval_says_which_method() -> None:
    found = result_of({"s0": None, "s1": 0.9, "s2": 0.7, "s3": 0.8})
    assert found.anchored == pytest.approx(100 * (0.6 - 0.2) / 0.6)
    assert found.interval_method == "cluster_bca_bootstrap"
    perfect = result_of(dict(CEILINGS))
    assert perfect.interval_method == UNSEEN
    assert perfect.anchored_ci95 is not None
    assert perfect.anchored_ci95[0] < 30.0 < perfect.anchored_ci95[1], "four identities exclude few failures"


@pytest.mark.parametrize(
    ("direction", "value", "cut"),
    [("higher", 3.0, 2.0), ("higher", 1.0, 1.0), ("lower", 3.0, 3.0), ("lower", 1.0, 2.0)],
)
def test_the_cut_is_on_the_better_side(direction: str, value: float, cut: float) -> None:
    scale = Scale(direction, 2.0, 1.0, {"s": 2.0})  # type: ignore[arg-type]
    assert scale.cut("s", value) == cut
    assert scale.cut("another", value) == value


def test_the_hash_is_of_sorted_json_without_spaces() -> None:
    assert hash_ceilings({"b": 1.5, "a": 2.0}) == hashlib.sha256(b'{"a":2.0,"b":1.5}').hexdigest()


@pytest.mark.parametrize(
    ("scores", "overall"),
    [
        ([100.0] * 6, 100.0),
        ([100.0, 1.0], 10.0),
        ([100.0, 0.0], 10.0),
        ([100.0, -40.0], 10.0),
        ([81.0, 49.0], 63.0),
        ([], None),
    ],
)
def test_the_overall_score_is_a_geometric_mean_over_at_least_one_point(
    scores: list[float], overall: float | None
) -> None:
    assert overall_of(scores) == (None if overall is None else pytest.approx(overall))


def test_a_still_with_a_real_voice_stays_below_an_honest_blur() -> None:
    # validity.md 2, with identity capped: a still wins two dimensions and has none of lips, words and feeling.
    still, blur = [40.0, 100.0, 5.0, 0.0, 30.0, 100.0], [60.0, 84.0, 90.0, 80.0, 70.0, 95.0]
    assert math.fsum(still) / 6 > 45
    assert (overall_of(still) or 0) < 25
    assert (overall_of(blur) or 0) > 75


def test_every_one_of_the_papers_six_dimensions_is_named() -> None:
    assert [one.value for one in PAPER_DIMENSIONS] == [
        "video_quality", "identity", "dialogue", "av_sync", "emotion", "voice",
    ]  # fmt: skip
    members = members_of(
        [
            ("video_quality/psnr", Dimension.VIDEO_QUALITY, True),
            ("video_quality/fid", Dimension.VIDEO_QUALITY, False),
            ("dialogue/wer", Dimension.DIALOGUE, False),
            ("voice/sim_o", Dimension.VOICE, True),
            ("interaction/onset", Dimension.INTERACTION, True),
        ]
    )
    assert [one.dimension for one in members] == [*PAPER_DIMENSIONS, Dimension.INTERACTION]
    assert members[0].metrics == ("video_quality/psnr",)
    assert members[0].without_anchors == ("video_quality/fid",)
    assert members[1].metrics == members[2].metrics == ()
    assert describe_overall(members) == (
        "geometric mean of video quality, voice, interaction, each at least 1; nothing on the anchored scale for "
        "identity, dialogue, AV sync, emotion"
    )
    assert describe_overall(members_of([])) == "no overall score: no metric is on the anchored scale"
