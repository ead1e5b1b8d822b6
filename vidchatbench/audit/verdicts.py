"""Verdicts: what may be said of a metric from the scores of replies whose fault is known.

Three words, and a reason with every one. ``notices`` and ``does not notice`` are claims and need evidence of their own:
a difference that is not significant is no proof that there is none. What neither evidence supports is ``cannot tell``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vidchatbench.api.cards import Dimension
from vidchatbench.audit.recipe import Recipe
from vidchatbench.audit.recipes import Ladder
from vidchatbench.audit.schema import (
    ALPHA,
    CheatFinding,
    LadderFinding,
    OrderFinding,
    Paired,
    Scored,
    StepFinding,
    Verdict,
)
from vidchatbench.audit.trend import Trend, is_rising, tau_of
from vidchatbench.report.drawing.text import plural
from vidchatbench.results.statistics.intervals import DRAWS, Interval
from vidchatbench.results.statistics.paired import MAX_ENUMERATED

LADDER_MARGIN = 0.1
"""Share of the way from oracle to null that a metric may lose at a step that it is said not to notice."""

CHEAT_MARGIN = 0.5
"""Share of that way that a cheat must surely lose at least, or the metric has fallen for it."""

SMALL_EFFECT = 0.2
"""Where there is no null: margin in standard deviations of the real replies' scores (Cohen 1988, a small effect)."""

_FULL = 100.0


@dataclass(frozen=True)
class Scale:
    """The way from oracle to null of one metric.

    Attributes:
        direction: Whether ``higher`` or ``lower`` is better.
        oracle: What the real replies score.
        null: What replies score that are wrong on purpose; ``None`` where it is not surely worse than the oracle.
        spread: Standard deviation of the real replies' scores over samples; 0 where it says nothing.
    """

    direction: str
    oracle: float | None
    null: float | None
    spread: float

    @property
    def span(self) -> float | None:
        """Loss from oracle to null, positive."""
        return None if self.null is None or self.oracle is None else abs(self.oracle - self.null)

    def loss(self, difference: float) -> float:
        """Returns a difference of scores as a loss: positive is worse."""
        return -difference if self.direction == "higher" else difference

    def losses(self, interval: tuple[float, float]) -> Interval:
        """Returns an interval of differences as one of losses."""
        low, high = sorted(self.loss(limit) for limit in interval)
        return Interval(low, high)

    def margin(self, share: float) -> float | None:
        """Returns the loss that counts as none: a share of the span, else a small part of the spread."""
        if self.span is not None:
            return share * self.span
        return SMALL_EFFECT * self.spread if self.spread > 0 else None

    def place(self, value: float) -> float | None:
        """Returns a value on the anchored scale: 0 is the null, 100 the oracle."""
        if self.null is None or self.oracle is None or self.oracle == self.null:
            return None
        return _FULL * (value - self.null) / (self.oracle - self.null)

    def places(self, interval: tuple[float, float]) -> tuple[float, float] | None:
        """Returns an interval of values on the anchored scale."""
        one, other = self.place(interval[0]), self.place(interval[1])
        return None if one is None or other is None else (min(one, other), max(one, other))


def scale_of(direction: str, oracle: Scored, null: Scored | None, spread: float) -> Scale:
    """Returns the scale of a metric; its null counts only where its interval lies wholly beyond the oracle's."""
    zero = None
    if null is not None and null.value is not None and oracle.value is not None and oracle.ci95 and null.ci95:
        apart = null.ci95[1] < oracle.ci95[0] if direction == "higher" else null.ci95[0] > oracle.ci95[1]
        zero = null.value if apart else None
    return Scale(direction, oracle.value, zero, spread)


def needed_identities(comparisons: int, alpha: float = ALPHA) -> int:
    """Returns the least number of identities with which one of so many comparisons can be significant after Holm.

    With n identities the exact test knows 2^n exchanges of signs, two of which are as extreme as can be.
    """
    return math.ceil(math.log2(2 * comparisons / alpha) + 1e-12)


def can_reach(identities: int, comparisons: int, alpha: float = ALPHA) -> bool:
    """Whether the paired test could be significant at all with so many identities and comparisons."""
    least = 2 / 2**identities if identities <= MAX_ENUMERATED else 1 / (exchanges_for(comparisons) + 1)
    return least * comparisons < alpha


def exchanges_for(comparisons: int, alpha: float = ALPHA) -> int:
    """Returns how many exchanges a test needs so that Holm's correction leaves it able to find anything."""
    return max(DRAWS, math.ceil(2 * comparisons / alpha))


def judge(paired: Paired, scale: Scale, share: float) -> tuple[Verdict, str]:
    """Returns what may be said of one difference, and why.

    Args:
        paired: The difference to what it is compared with.
        scale: The metric's scale.
        share: Share of the way from oracle to null below which a loss counts as none.
    """
    if paired.n == 0:
        return "cannot tell", "no sample has both scores"
    if paired.equal == paired.n:
        return "does not notice", f"the score is the same for {_all(paired.n)}"
    if can_reach(paired.identities, paired.comparisons):
        verdict, reason = _judge_tested(paired, scale, share)
    else:
        few = f"{paired.identities} of the {needed_identities(paired.comparisons)} identities that it takes"
        verdict, reason = "cannot tell", f"n too small, {few}"
    return verdict, f"{reason}; {tendency(paired)}"


def tendency(paired: Paired) -> str:
    """Returns for how many samples the score got worse, better or stayed: a description, no claim."""
    better = paired.n - paired.worse - paired.equal
    counts = ((paired.worse, "worse"), (better, "better"), (paired.equal, "equal"))
    words = ", ".join(f"{word} for {count}" for count, word in counts if count)
    return f"{words} of {plural(paired.n, 'sample')}" if words else "no sample has both scores"


def _judge_tested(paired: Paired, scale: Scale, share: float) -> tuple[Verdict, str]:
    loss = scale.loss(paired.difference)
    if paired.p_holm < ALPHA and loss > 0:
        return "notices", "significantly worse"
    if paired.p_holm < ALPHA and loss < 0:
        return "does not notice", "significantly better"
    margin = scale.margin(share)
    if margin is not None and paired.ci95 is not None and scale.losses(paired.ci95).high < margin:
        return "does not notice", f"a loss of {margin:.3g} can be ruled out"
    unseen = "" if paired.detectable is None else f"; one under {paired.detectable:.3g} could have gone unnoticed"
    return "cannot tell", f"n too small: no difference found{unseen}"


def _all(n: int) -> str:
    return "the only sample" if n == 1 else f"all {n} samples"


def judge_cheat(recipe: Recipe, dimension: Dimension, scored: Scored, paired: Paired, scale: Scale) -> CheatFinding:
    """Returns the finding for one cheat.

    A metric has fallen for a cheat if it scores no worse than the real replies, or surely keeps more than half of the
    way between null and oracle.
    """
    verdict, reason = judge(paired, scale, CHEAT_MARGIN)
    place = None if scored.value is None else scale.place(scored.value)
    limits = None if place is None or scored.ci95 is None else scale.places(scored.ci95)
    half = _FULL * (1 - CHEAT_MARGIN)
    if verdict == "notices" and place is not None and place > half:
        if limits is not None and limits[0] > half:
            verdict, reason = "does not notice", f"{reason}, yet it keeps {place:.0f} of 100 points"
        else:
            verdict, reason = "cannot tell", f"{reason}; whether it keeps over half of the scale is open"
    return CheatFinding(
        recipe=recipe.name,
        title=recipe.title,
        expected=dimension in recipe.hurts,
        scored=scored,
        paired=paired,
        anchored=place,
        anchored_ci95=limits,
        verdict=verdict,
        reason=reason,
    )


def judge_ladder(
    ladder: Ladder,
    dimension: Dimension,
    rows: Sequence[tuple[Recipe, Scored, Paired]],
    order: OrderFinding,
    scale: Scale,
    oracle: Scored,
) -> LadderFinding:
    """Returns the finding for one ladder.

    Args:
        ladder: The ladder.
        dimension: Dimension of the metric.
        rows: Its steps, weakest first: recipe, score, difference to the re-encoded reply.
        order: Whether the steps come in their order.
        scale: The metric's scale.
        oracle: What the real replies score.
    """
    steps = []
    for recipe, scored, paired in rows:
        verdict, reason = judge(paired, scale, LADDER_MARGIN)
        outside = _is_outside(scored, oracle, scale)
        steps.append(
            StepFinding(
                recipe=recipe.name,
                step=float(recipe.step),
                scored=scored,
                paired=paired,
                outside_oracle=outside,
                verdict=verdict,
                reason=reason,
            )
        )
    verdict, reason = _judge_steps(steps, order)
    return LadderFinding(
        family=ladder.family,
        title=ladder.title,
        unit=ladder.unit,
        expected=dimension in ladder.hurts,
        order=order,
        steps=tuple(steps),
        first_noticed=next((one.step for one in steps if one.verdict == "notices"), None),
        first_outside=next((one.step for one in steps if one.outside_oracle), None),
        verdict=verdict,
        reason=reason,
    )


def _judge_steps(steps: Sequence[StepFinding], order: OrderFinding) -> tuple[Verdict, str]:
    if not steps:
        return "cannot tell", "no step was scored"
    if all(one.paired.n and one.paired.equal == one.paired.n for one in steps):
        return "does not notice", f"every step scores the same, for {_all(steps[0].paired.n)}"
    if order.p_holm is not None and order.p_holm < ALPHA:
        if order.tau > 0:
            how = "at every step" if order.strict else "in the main, not at every step"
            return "notices", f"the mean gets worse {how} (tau {order.tau:.2f})"
        return "does not notice", f"the score gets better with the fault (tau {order.tau:.2f})"
    noticed = next((one for one in steps if one.verdict == "notices"), None)
    if noticed is not None:
        return "notices", f"from step {noticed.step:g} on: {noticed.reason}"
    strongest = steps[-1]
    return strongest.verdict, f"the strongest step: {strongest.reason}"


def _is_outside(scored: Scored, oracle: Scored, scale: Scale) -> bool | None:
    if scored.value is None or oracle.ci95 is None:
        return None
    return scored.value < oracle.ci95[0] if scale.direction == "higher" else scored.value > oracle.ci95[1]


def order_of_means(trend: Trend, p_holm: float) -> OrderFinding:
    """Returns the finding on order of a metric that is a mean."""
    return OrderFinding(
        tau=trend.tau,
        p=trend.p,
        p_holm=p_holm,
        strict=trend.strict,
        n=trend.n,
        identities=trend.identities,
        identities_strict=trend.identities_strict,
    )


def order_of_sets(values: Sequence[float | None], scale: Scale, n: int, identities: int) -> OrderFinding:
    """Returns the finding on order of a metric of sets: described, not tested."""
    losses = np.array([scale.loss(value) for value in values if value is not None], dtype=np.float64)
    return OrderFinding(
        tau=tau_of(losses),
        p=None,
        p_holm=None,
        strict=len(losses) == len(values) and is_rising(losses),
        n=n,
        identities=identities,
        identities_strict=None,
    )


def tally(findings: Sequence[tuple[bool, Verdict]]) -> Mapping[Verdict, int]:
    """Returns how often each verdict was given among findings that are the metric's business."""
    counts: dict[Verdict, int] = {"notices": 0, "does not notice": 0, "cannot tell": 0}
    for expected, verdict in findings:
        if expected:
            counts[verdict] += 1
    return counts
