"""The audit's verdicts against tables worked out by hand: ties, few identities, sets, a cheat that pays."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vidchatbench.api.cards import MetricCard
from vidchatbench.api.features import Feature, Need
from vidchatbench.api.metrics import Metric, SetItem, SetMetric
from vidchatbench.api.samples import Sample
from vidchatbench.api.scores import Score
from vidchatbench.audit.page import render_audit, write_audit
from vidchatbench.audit.pairs import compare_pairs
from vidchatbench.audit.recipe import Recipe
from vidchatbench.audit.recipes import ORACLE, RECIPES, REENCODED, find_recipes
from vidchatbench.audit.run import audit_metric, scored_of
from vidchatbench.audit.schema import AuditReport, MetricAudit, Paired, RecipeUse, Scored, load_audit
from vidchatbench.audit.scores import Table
from vidchatbench.audit.trend import is_rising, tau_of, trend_of
from vidchatbench.audit.verdicts import Scale, can_reach, judge, needed_identities, scale_of, tally
from vidchatbench.errors import InputError
from vidchatbench.results.aggregate import Record, aggregate
from vidchatbench.results.schema import BenchmarkRef, SuiteRef, UnavailableMetric

MADE = tuple(recipe for recipe in find_recipes(None, training=False) if recipe.kind != "order")
BLUR = [recipe.name for recipe in RECIPES if recipe.family == "blur"]


def card(**changes: Any) -> MetricCard:
    told = {
        "id": "test/metric", "version": 1, "title": "Metric", "dimension": "video_quality", "direction": "higher",
        "unit": "dB", "worst": 0.0, "roles": ("candidate",), "aggregation": "mean", "null": "shuffled_replies",
        "protocol": "metric/v1", "protocol_text": "p", "description": "d", "code_license": "MIT",
        "commercial_use": True, "citation": "c", "source": "s",
    }  # fmt: skip
    return MetricCard.model_validate({**told, **changes})


class Plain(Metric):
    default_card = card()

    def needs(self) -> tuple[Need, ...]:
        return ()

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        raise NotImplementedError


class Lower(Plain):
    default_card = card(direction="lower", worst=1000.0)


class Voice(Plain):
    default_card = card(dimension="voice")


class Means:
    """Distance of the means, as a distance of sets."""

    def __init__(self, candidates: Sequence[np.ndarray], references: Sequence[np.ndarray]) -> None:
        self._sides = candidates, references

    def between(self, candidates: np.ndarray, references: np.ndarray) -> float:
        one = np.concatenate([self._sides[0][k] for k in candidates]).mean(axis=0)
        two = np.concatenate([self._sides[1][k] for k in references]).mean(axis=0)
        return float(np.linalg.norm(one - two))


class Sets(SetMetric):
    default_card = card(direction="lower", aggregation="set", worst=None, null=None)

    def needs(self) -> tuple[Need, ...]:
        return ()

    def item(self, features: Mapping[str, Feature]) -> SetItem | Score:
        raise NotImplementedError

    def distance(self, candidates: Sequence[np.ndarray], references: Sequence[np.ndarray]) -> Means:
        return Means(candidates, references)


def samples(identities: int, each: int = 1) -> list[Sample]:
    found = []
    for k, i in itertools.product(range(identities), range(each)):
        side = {"media": "m.mp4", "sha256": "0" * 64, "speaker_id": f"p{k:02d}"}
        found.append(
            Sample.model_validate(
                {"id": f"s{k:02d}{i}", "task": "dialogue", "language": "en", "initiator": side, "responder": side}
            )
        )
    return found


Rule = Callable[[Recipe, int], float | None]
"""The score of a recipe for the sample at a place; ``None`` where the reply is invalid."""


def table_of(metric: Metric, people: Sequence[Sample], rule: Rule) -> Table:
    table = Table(clusters={sample.id: sample.cluster for sample in people})
    for recipe in MADE:
        records = []
        for place, sample in enumerate(people):
            value = rule(recipe, place)
            records.append(Record.of(sample, metric, Score.invalid("bad") if value is None else Score.ok(value)))
        table.results[recipe.name] = aggregate(metric, records, {}, seed=0, fallible=False)
        table.values[recipe.name] = {r.sample.id: r.counted for r in records if r.counted is not None}
    return table


def audited(metric: Metric, people: Sequence[Sample], rule: Rule) -> MetricAudit:
    return audit_metric(metric, table_of(metric, people, rule), MADE, seed=0)


def honest(recipe: Recipe, place: int) -> float:
    """Sees picture and swaps, is blind to sound; the noise is the sample's own."""
    base = 40 + 0.7 * place
    if recipe.family == "blur":
        return base - 3 * recipe.step
    if recipe.family == "compression":
        return base - 0.3 * (recipe.step - 20)
    if recipe.kind == "cheat" and recipe.name not in {"silent", "other_voice"}:
        return 10 + 0.1 * place
    return base


def ladder(audit: MetricAudit, family: str) -> Any:
    return next(found for found in audit.ladders if found.family == family)


def cheat(audit: MetricAudit, name: str) -> Any:
    return next(found for found in audit.cheats if found.recipe == name)


# --- one difference -------------------------------------------------------------------------------------------------


def paired(**changes: Any) -> Paired:
    told = {
        "n": 20, "identities": 20, "difference": -1.0, "ci95": (-1.5, -0.5), "worse": 20, "equal": 0, "p": 0.0001,
        "p_holm": 0.003, "comparisons": 30, "detectable": 0.4,
    }  # fmt: skip
    return Paired.model_validate({**told, **changes})


SCALE = Scale("higher", oracle=40.0, null=10.0, spread=2.0)


def test_identities_that_a_comparison_needs() -> None:
    # 2 / 2^n * comparisons < 0.05: for one comparison 2/64 at six identities, for thirty 60/2048 at eleven.
    assert needed_identities(1) == 6
    assert needed_identities(30) == 11
    for comparisons in (1, 2, 7, 30, 31, 100):
        needed = needed_identities(comparisons)
        assert can_reach(needed, comparisons)
        assert not can_reach(needed - 1, comparisons)
    assert can_reach(500, 30)


@pytest.mark.parametrize(
    ("changes", "verdict", "reason"),
    [
        ({}, "notices", "significantly worse; worse for 20 of 20"),
        ({"equal": 20, "worse": 0, "difference": 0.0}, "does not notice", "the same for all 20"),
        ({"equal": 3, "n": 3, "identities": 2, "difference": 0.0}, "does not notice", "the same for all 3"),
        (
            {"n": 5, "identities": 5, "worse": 1, "equal": 1},
            "cannot tell",
            "worse for 1, better for 3, equal for 1 of 5",
        ),
        (
            {"n": 5, "identities": 5, "worse": 5},
            "cannot tell",
            "5 of the 11 identities that it takes; worse for 5 of 5",
        ),
        ({"difference": 1.0, "ci95": (0.5, 1.5), "worse": 0}, "does not notice", "significantly better"),
        ({"p_holm": 0.2, "ci95": (-2.0, 0.5)}, "does not notice", "a loss of 3 can be ruled out"),
        ({"p_holm": 0.2, "ci95": (-4.0, 0.5)}, "cannot tell", "one under 0.4 could have gone unnoticed"),
        ({"p_holm": 0.2, "ci95": None, "detectable": None}, "cannot tell", "no difference found; worse"),
        ({"n": 0, "identities": 0, "worse": 0}, "cannot tell", "no sample"),
        ({"p_holm": 0.05, "ci95": (-4.0, 0.0)}, "cannot tell", "no difference"),
    ],
)
def test_what_may_be_said_of_a_difference(changes: dict[str, Any], verdict: str, reason: str) -> None:
    found, told = judge(paired(**changes), SCALE, 0.1)
    assert found == verdict
    assert reason in told


def test_lower_is_better_turns_the_sign() -> None:
    lower = Scale("lower", oracle=10.0, null=40.0, spread=0.0)
    assert judge(paired(difference=1.0, ci95=(0.5, 1.5)), lower, 0.1)[0] == "notices"
    assert judge(paired(), lower, 0.1)[0] == "does not notice"
    assert lower.span == 30
    assert lower.place(25.0) == 50.0
    assert lower.losses((-1.0, 2.0)) == (-1.0, 2.0)
    assert SCALE.losses((-1.0, 2.0)) == (-2.0, 1.0)


def test_without_a_null_the_spread_of_the_real_replies_is_the_measure() -> None:
    alone = Scale("higher", oracle=40.0, null=None, spread=2.0)
    assert alone.margin(0.1) == pytest.approx(0.4)
    assert judge(paired(p_holm=0.2, ci95=(-0.3, 0.1)), alone, 0.1)[0] == "does not notice"
    assert judge(paired(p_holm=0.2, ci95=(-0.5, 0.1)), alone, 0.1)[0] == "cannot tell"
    ideal = Scale("higher", oracle=100.0, null=None, spread=0.0)
    assert ideal.margin(0.1) is None
    assert judge(paired(p_holm=0.2, ci95=(-1e-9, 0.0)), ideal, 0.1)[0] == "cannot tell"


def scored(value: float | None, ci95: tuple[float, float] | None = None) -> Scored:
    return Scored(value=value, ci95=ci95, n=5, n_failed=0)


def test_a_null_counts_only_where_it_is_surely_worse() -> None:
    oracle = scored(40.0, (38.0, 42.0))
    assert scale_of("higher", oracle, scored(10.0, (5.0, 15.0)), 1.0).null == 10.0
    assert scale_of("higher", oracle, scored(36.0, (33.0, 39.0)), 1.0).null is None, "the intervals meet"
    assert scale_of("higher", oracle, scored(60.0, (55.0, 65.0)), 1.0).null is None, "it is better"
    assert scale_of("lower", oracle, scored(60.0, (55.0, 65.0)), 1.0).null == 60.0
    assert scale_of("higher", oracle, scored(10.0), 1.0).null is None, "without an interval nothing is sure"
    assert scale_of("higher", oracle, None, 1.0).place(20.0) is None


# --- order ----------------------------------------------------------------------------------------------------------


def test_the_test_of_order_is_that_of_all_orders() -> None:
    # Three identities, three steps in order: of 6^3 = 216 arrangements, the given one and its mirror reach |tau| = 1.
    found = trend_of(np.array([[0.0, 1, 2], [5, 7, 9], [1, 2, 4]]), ["a", "b", "c"], seed=1, draws=200_000)
    assert (found.tau, found.strict, found.identities_strict, found.n) == (1.0, True, 3, 3)
    assert found.p == pytest.approx(2 / 216, abs=0.001)


def test_samples_of_one_identity_are_exchanged_together() -> None:
    # Two identities with two samples each: 36 arrangements, not 6^4.
    losses = np.array([[0.0, 1, 2], [0, 2, 3], [5, 7, 9], [1, 2, 4]])
    found = trend_of(losses, ["a", "a", "b", "b"], seed=1, draws=100_000)
    assert found.p == pytest.approx(2 / 36, abs=0.003)
    assert found.identities == 2


def test_ties_and_gaps_in_a_ladder() -> None:
    same = trend_of(np.ones((4, 6)), list("abcd"), seed=0)
    assert (same.tau, same.p, same.strict, same.identities_strict) == (0.0, 1.0, False, 0)
    # One tie among three pairs: (1 + 1 + 0) / 3.
    tied = trend_of(np.array([[0.0, 0.0, 1.0]]), ["a"], seed=0)
    assert tied.tau == pytest.approx(2 / 3)
    assert not tied.strict
    gap = trend_of(np.array([[0.0, 1, 2], [0, np.nan, 2]]), ["a", "b"], seed=0)
    assert (gap.n, gap.identities, gap.tau) == (1, 1, 1.0)
    nothing = trend_of(np.full((2, 3), np.nan), ["a", "b"], seed=0)
    assert (nothing.n, nothing.p) == (0, 1.0)
    assert tau_of(np.array([3.0, 2.0, 1.0])) == -1.0
    assert not is_rising(np.array([1.0]))
    with pytest.raises(ValueError, match="shape"):
        trend_of(np.ones((2, 3)), ["a"], seed=0)


def test_chance_is_called_chance() -> None:
    generator = np.random.default_rng(3)
    p = [trend_of(generator.normal(size=(5, 6)), list("abcde"), seed=0, draws=999).p for _ in range(200)]
    assert 0.01 <= np.mean(np.array(p) < 0.05) <= 0.1


# --- a metric that does what it should ------------------------------------------------------------------------------


def test_enough_identities_settle_everything() -> None:
    found = audited(Plain(), samples(12), honest)
    blur = ladder(found, "blur")
    assert (blur.verdict, blur.first_noticed, blur.order.tau, blur.order.strict) == ("notices", 0.5, 1.0, True)
    # The oracle's interval is about 40 + 0.7 * 5.5 +- 1.6: a loss of 1.5 lies within it, one of 3 beyond.
    assert blur.first_outside == 1.0
    assert [step.verdict for step in blur.steps] == ["notices"] * 5
    late = ladder(found, "sound_late")
    assert (late.verdict, late.expected, late.first_noticed) == ("does not notice", False, None)
    assert late.order.p == 1.0
    frozen = cheat(found, "frozen")
    assert (frozen.verdict, frozen.expected) == ("notices", True)
    assert frozen.anchored == pytest.approx(0)
    silent = cheat(found, "silent")
    assert (silent.verdict, silent.expected) == ("does not notice", False)
    assert found.codec_verdict == "does not notice"
    assert found.needed_identities == 11
    assert found.null == "shuffled"


def test_five_identities_support_the_order_and_equality_alone() -> None:
    found = audited(Plain(), samples(5), honest)
    blur = ladder(found, "blur")
    assert blur.verdict == "notices"
    assert blur.first_noticed is None
    assert {step.verdict for step in blur.steps} == {"cannot tell"}
    assert ladder(found, "sound_early").verdict == "does not notice"
    assert cheat(found, "frozen").verdict == "cannot tell"
    assert "worse for 5 of 5" in cheat(found, "frozen").reason
    assert cheat(found, "silent").verdict == "does not notice"


def test_two_identities_have_no_interval() -> None:
    found = audited(Plain(), samples(2), honest)
    assert found.oracle.ci95 is None
    assert [step.outside_oracle for step in ladder(found, "blur").steps] == [None] * 5
    assert cheat(found, "frozen").anchored is None


def test_samples_of_few_identities_are_not_many() -> None:
    found = audited(Plain(), samples(2, each=10), honest)
    assert found.identities == 2
    assert cheat(found, "frozen").verdict == "cannot tell"


def test_lower_is_better_reads_alike() -> None:
    found = audited(Lower(), samples(12), lambda recipe, place: 100 - honest(recipe, place))
    assert ladder(found, "blur").first_noticed == 0.5
    assert ladder(found, "blur").order.tau == 1.0
    assert ladder(found, "blur").first_outside == 1.0
    assert cheat(found, "frozen").verdict == "notices"
    assert cheat(found, "frozen").anchored == pytest.approx(0)


# --- metrics that do not --------------------------------------------------------------------------------------------


def test_a_metric_that_falls_for_a_frozen_image() -> None:
    def rule(recipe: Recipe, place: int) -> float:
        return 50 + 0.5 * place if recipe.name == "frozen" else honest(recipe, place)

    found = cheat(audited(Plain(), samples(12), rule), "frozen")
    assert found.verdict == "does not notice"
    assert "significantly better" in found.reason


def test_a_cheat_that_keeps_over_half_of_the_scale_pays() -> None:
    # Worse than the real reply for everybody, but by 5 of 30 points.
    def rule(recipe: Recipe, place: int) -> float:
        return honest(MADE[0], place) - 5 - 0.01 * place if recipe.name == "echo" else honest(recipe, place)

    found = cheat(audited(Plain(), samples(12), rule), "echo")
    assert found.paired.p_holm < 0.05
    assert found.anchored > 75
    assert found.verdict == "does not notice"
    assert "yet it keeps" in found.reason


def test_a_metric_that_likes_blur_does_not_notice_it() -> None:
    def rule(recipe: Recipe, place: int) -> float:
        return 40 + place + recipe.step if recipe.family == "blur" else honest(recipe, place)

    found = ladder(audited(Plain(), samples(12), rule), "blur")
    assert found.verdict == "does not notice"
    assert "better with the fault" in found.reason
    assert found.order.tau == -1.0


def test_an_order_with_a_slip_is_told_from_a_strict_one() -> None:
    def rule(recipe: Recipe, place: int) -> float:
        if recipe.name == BLUR[1]:
            return honest(recipe, place) + 4  # better than the step before
        return honest(recipe, place)

    found = ladder(audited(Plain(), samples(12), rule), "blur")
    assert found.verdict == "notices"
    assert not found.order.strict
    assert found.order.identities_strict == 0
    assert "not at every step" in found.reason


def test_noise_is_neither_noticed_nor_unnoticed() -> None:
    generator = np.random.default_rng(6)  # one in twenty finds something, as it should be
    noise = generator.normal(0, 30, (len(MADE), 12))
    place_of = {recipe.name: k for k, recipe in enumerate(MADE)}
    found = audited(Voice(), samples(12), lambda recipe, place: 100 + noise[place_of[recipe.name], place])
    assert [finding.verdict for finding in found.ladders] == ["cannot tell"] * 4
    assert all("n too small" in finding.reason for finding in found.ladders)


def test_an_invalid_reply_is_charged_the_worst_value_and_so_is_noticed() -> None:
    found = audited(Voice(), samples(12), lambda recipe, place: None if "silent" in recipe.name else 40 + 0.1 * place)
    silent = cheat(found, "silent")
    assert (silent.scored.value, silent.scored.n_failed, silent.verdict, silent.expected) == (0.0, 12, "notices", True)


def test_recipes_that_were_not_made_are_left_out() -> None:
    metric, people = Plain(), samples(12)
    table = table_of(metric, people, honest)
    del table.results["echo"], table.values["echo"]
    for name in BLUR[:2]:
        del table.results[name], table.values[name]
    found = audit_metric(metric, table, [recipe for recipe in MADE if recipe.name != "echo"], seed=0)
    assert "echo" not in {one.recipe for one in found.cheats}
    assert [step.step for step in ladder(found, "blur").steps] == [2, 4, 8]


def test_samples_that_a_submission_lacks_are_no_difference() -> None:
    metric, people = Plain(), samples(12)
    table = table_of(metric, people, honest)
    table.values["frozen"] = dict(list(table.values["frozen"].items())[:7])
    found = cheat(audit_metric(metric, table, MADE, seed=0), "frozen")
    assert (found.paired.n, found.paired.identities, found.verdict) == (7, 7, "cannot tell")


# --- pairs, by hand -------------------------------------------------------------------------------------------------


def test_differences_and_p_values_by_hand() -> None:
    metric, people = Plain(), samples(6)
    table = table_of(metric, people, honest)
    table.values["frozen"] = {s.id: table.values[ORACLE][s.id] - k - 1 for k, s in enumerate(people)}
    table.values["silent"] = {s.id: table.values[ORACLE][s.id] + (-1) ** k for k, s in enumerate(people)}
    pairs = [("frozen", ORACLE), ("silent", ORACLE), (REENCODED, ORACLE)]
    found = compare_pairs(metric, table, pairs, seed=0)
    frozen, silent, same = (found[pair] for pair in pairs)
    assert frozen.difference == pytest.approx(-3.5)
    assert (frozen.worse, frozen.equal, frozen.n) == (6, 0, 6)
    assert frozen.p == pytest.approx(2 / 64), "all worse: two of 64 exchanges of signs are as extreme"
    assert frozen.p_holm == pytest.approx(6 / 64)
    assert (silent.difference, silent.p, silent.worse) == (pytest.approx(0), 1.0, 3)
    assert (same.equal, same.p, same.p_holm) == (6, 1.0, 1.0)


def set_table(shift: Callable[[str], float], identities: int) -> Table:
    people = samples(identities)
    table = Table(clusters={sample.id: sample.cluster for sample in people})
    for recipe in MADE:
        own = np.random.default_rng(7)
        items = {}
        for sample in people:
            real = own.normal(size=(4, 3))
            moved = real + shift(recipe.name) * (1 + 0.1 * own.normal()) * np.array([1.0, 0.0, 0.0])
            items[sample.id] = SetItem(moved, real)
        table.items[recipe.name] = lambda items=items: items
        records = [Record.of_item(sample, Sets(), items[sample.id], {}) for sample in people]
        table.results[recipe.name] = aggregate(Sets(), records, {}, seed=0)
    return table


def test_sets_are_judged_by_the_jackknife_of_the_difference() -> None:
    shifts = {name: 0.2 * (k + 1) for k, name in enumerate(BLUR)} | {"frozen": 3.0}
    found = audit_metric(Sets(), set_table(lambda name: shifts.get(name, 0.0), 15), MADE, seed=0)
    blur = ladder(found, "blur")
    assert (blur.verdict, blur.order.tau, blur.order.strict, blur.order.p) == ("notices", 1.0, True, None)
    assert blur.first_noticed is not None
    assert blur.steps[-1].paired.difference == pytest.approx(1.0, abs=0.05)
    assert cheat(found, "frozen").verdict == "notices"
    assert ladder(found, "compression").verdict == "does not notice", "the same rows, whatever the file"
    assert found.oracle.floor is not None


def test_few_identities_say_nothing_of_sets() -> None:
    shifts = {name: 0.2 * (k + 1) for k, name in enumerate(BLUR)}
    found = audit_metric(Sets(), set_table(lambda name: shifts.get(name, 0.0), 5), MADE, seed=0)
    assert ladder(found, "blur").verdict == "cannot tell"
    assert ladder(found, "blur").order.tau == 1.0
    assert ladder(found, "sound_late").verdict == "does not notice"


# --- the report -----------------------------------------------------------------------------------------------------


def report_of(*metrics: MetricAudit, identities: int = 12) -> AuditReport:
    return AuditReport(
        benchmark=BenchmarkRef(name="toy", version="1.0.0", manifest_sha256="a" * 64, n_samples=14),
        vidchatbench_version="0.0.0",
        suite=SuiteRef(name="lite", version=1),
        seed=0,
        n_samples=identities,
        identities=identities,
        finished=datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
        metrics=metrics,
        unavailable=(UnavailableMetric(id="a/b", protocol="b/v1", reason="no <weight>", fix="get it"),),
        recipes=tuple(
            RecipeUse(
                name=r.name, family=r.family, title=r.title, kind=r.kind, step=float(r.step), unit=r.unit, does=r.does,
                hurts=r.hurts, sha256=r.sha256, n=12, not_made={"gen-1": "the sample has no real reply"},
            )
            for r in MADE
        ),
    )  # fmt: skip


def test_a_report_survives_the_disk_and_the_page_is_the_same_each_time(tmp_path: Path) -> None:
    report = report_of(audited(Plain(), samples(12), honest))
    page = write_audit(report, tmp_path / "out")
    assert load_audit(tmp_path / "out") == report
    assert page.read_text("utf-8") == render_audit(report)
    assert sorted(path.name for path in page.parent.iterdir()) == ["audit.html", "audit.json"]
    text = page.read_text("utf-8")
    assert "no &lt;weight&gt;" in text
    assert "<script" not in text
    assert report.metric("test/metric").title == "Metric"
    with pytest.raises(KeyError, match="test/metric"):
        report.metric("test/other")


def test_the_page_says_what_n_supports() -> None:
    few = render_audit(report_of(audited(Plain(), samples(5), honest), identities=5))
    assert "What 5 identities can support" in few
    assert "no single step and no cheat can be called noticed" in few
    enough = render_audit(report_of(audited(Plain(), samples(12), honest)))
    assert "no single step and no cheat can be called noticed" not in enough
    assert "from 0.5 px on" in enough


def test_a_hole_is_called_a_hole() -> None:
    def blind(recipe: Recipe, place: int) -> float:
        del recipe
        return 40 + place

    text = render_audit(report_of(audited(Plain(), samples(12), blind)))
    assert "a hole" in text
    assert "no metric looks" in text, "no metric of this audit is of the dimension that a shift must hurt"


def test_a_damaged_report_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_audit(tmp_path)
    path = tmp_path / "audit.json"
    content = json.loads(report_of(audited(Plain(), samples(3), honest)).to_json())
    path.write_text(json.dumps({**content, "surprise": 1}), encoding="utf-8")
    with pytest.raises(InputError, match="surprise: unknown field"):
        load_audit(path)


def test_counts_are_of_what_is_expected() -> None:
    found = tally([(True, "notices"), (False, "does not notice"), (True, "cannot tell"), (True, "notices")])
    assert found == {"notices": 2, "does not notice": 0, "cannot tell": 1}


def test_what_an_audit_keeps_of_a_result() -> None:
    table = table_of(Plain(), samples(4), honest)
    kept = scored_of(table.results[ORACLE])
    assert kept.value == pytest.approx(40 + 0.7 * 1.5)
    assert (kept.n, kept.n_failed) == (4, 0)
    assert kept.ci95 is not None
    assert math.isfinite(kept.ci95[0])
