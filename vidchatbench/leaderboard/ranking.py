"""The ranking, in one function: ranks, their intervals and tiers, per metric, per dimension and overall.

**Scale.** A metric with anchors is read on the scale on which the null is 0 and the oracle 100; what exceeds
the real reply's own value in a sample has been cut there. A dimension is the mean of its anchored metrics. The overall
score is the geometric mean of the dimensions, each taken as at least one point, so that a hole in one dimension cannot
be bought back in the others. Metrics without anchors are ranked in their own column and enter nothing else. Which
metrics enter depends on the benchmark alone, never on who is on the board.

**Rank** is one more than the number of systems with a better score; equal scores share it. Names, times and the order
of the systems play no part.

**Rank interval.** Identities are drawn with replacement, the same draws for every system and metric; a draw re-ranks
everybody, and the interval holds the middle 95 % of a system's ranks, widened to hold its rank.

**Tier.** One system is significantly better than another if its score is better, the permutation test over identities
gives p < 0.05 after adjustment for all pairs of the column, and the BCa interval of the difference excludes 0. The
adjustment is the step-down one of :func:`vidchatbench.results.statistics.paired.adjusted_for_all_pairs`: of a board of
equal systems, at most one in twenty shows two tiers. The tier of a system is the length of the longest chain of systems
that ends with it and in which each is significantly better than the next. So nobody is significantly better than
another of the same tier.

A column in which chance may not tell any two equal systems apart, and tiers that know of nobody else, cannot be had at
once: the more pairs, the more an observed difference must show. What holds instead: a copy of a system joins its tier
and moves nobody; a system from which all others differ more clearly than they do from each other costs nothing; and
nobody becomes significantly better than another by a third one's coming, but a difference that was barely significant
can become undecided. Who wants an answer for two systems compares these two. The rank's interval, which is drawn from
the scores alone, is the primary display.

Distances of sets cannot be drawn anew from per-sample values. There, one system is better than another if they differ
by more than the root of the sum of their squared half intervals, at Bonferroni's level for all pairs; as both are
measured against the same references, their errors go together, and the test errs on the safe side.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidchatbench.leaderboard.schema import Place
from vidchatbench.results.scale import POINT, overall_of
from vidchatbench.results.statistics.intervals import (
    DRAWS,
    LEVEL,
    MIN_CLUSTERS,
    bca_limits,
    lower_limit_is_positive,
)
from vidchatbench.results.statistics.paired import ALPHA, MAX_ENUMERATED, adjusted_for_all_pairs

TIE = 1e-9
"""Scores that differ by less, as a share of their size, are equal: no sum of floats may decide a rank."""

_MAX_PAIRS = 500
_PERCENT = 100.0

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RankedMetric:
    """A metric as the ranking sees it.

    Attributes:
        id: Its id.
        dimension: Its dimension.
        direction: Which way is better.
        oracle: What the real replies score; ``None`` without anchors.
        null: What the null scores; ``None`` without anchors.
    """

    id: str
    dimension: str
    direction: Literal["higher", "lower"]
    oracle: float | None = None
    null: float | None = None

    @property
    def is_anchored(self) -> bool:
        """True where the oracle is better than the null; a scale that runs backwards is none."""
        if self.oracle is None or self.null is None:
            return False
        return self.oracle > self.null if self.direction == "higher" else self.oracle < self.null

    @property
    def floor(self) -> float:
        """The least size that scores are taken to have when they are compared: near the null, one point."""
        return POINT if self.is_anchored else 0.0

    def scaled(self, values: Floats) -> Floats:
        """Returns values on the anchored scale, or turned so that higher is better."""
        if self.is_anchored and self.oracle is not None and self.null is not None:
            return _PERCENT * (values - self.null) / (self.oracle - self.null)
        return values if self.direction == "higher" else -values


class SetValue(NamedTuple):
    """The distance of a set with its interval."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class RankedSystem:
    """A system as the ranking sees it; a metric that is not ranked for it is left out of both.

    Attributes:
        id: Its id, which only tells it from the others.
        counted: What every sample counts in every metric that is a mean, cut at the real reply's value where the metric
            is anchored, in the order of the clusters; NaN where the metric does not apply.
        sets: Its distances of sets.
    """

    id: str
    counted: Mapping[str, Floats]
    sets: Mapping[str, SetValue]


class Standing(NamedTuple):
    """A system's score, on the anchored scale or turned so that higher is better, and its place."""

    score: float
    ci95: tuple[float, float] | None
    place: Place


@dataclass(frozen=True)
class Ranking:
    """Standings by metric, by dimension and overall, each by system id.

    ``members`` names what enters each dimension.
    """

    metrics: Mapping[str, Mapping[str, Standing]]
    dimensions: Mapping[str, Mapping[str, Standing]]
    overall: Mapping[str, Standing]
    members: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class _Scores:
    """Scores of some systems: the estimate, its draws, without each identity, and each identity's share of it."""

    ids: tuple[str, ...]
    estimate: Floats
    draws: Floats
    without: Floats
    shares: Floats


@dataclass(frozen=True)
class _Draws:
    weights: Floats
    signs: Floats
    member: Floats


def rank(
    systems: Sequence[RankedSystem],
    metrics: Sequence[RankedMetric],
    clusters: Sequence[str],
    *,
    seed: int,
    draws: int = DRAWS,
) -> Ranking:
    """Ranks systems that were scored on the same samples.

    Args:
        systems: The systems to rank; all of them complete and verified.
        metrics: The board's metrics.
        clusters: Identity of each sample.
        seed: Seed of all draws.
        draws: Resamplings, and exchanges where not all can be enumerated.

    Raises:
        ValueError: If two systems have one id, or a system has values for another number of samples.
    """
    if len({system.id for system in systems}) != len(systems):
        raise ValueError("two systems have the same id")
    if any(len(values) != len(clusters) for system in systems for values in system.counted.values()):
        raise ValueError(f"a system does not have {len(clusters)} samples")
    drawn = _draw(clusters, seed, draws)
    standings: dict[str, Mapping[str, Standing]] = {}
    per_dimension: dict[str, _Scores] = {}
    members: dict[str, tuple[str, ...]] = {}
    for dimension in dict.fromkeys(metric.dimension for metric in metrics):
        entering = []
        for metric in (metric for metric in metrics if metric.dimension == dimension):
            scores = _score_metric(metric, systems, drawn)
            standings[metric.id] = _stand(scores, drawn, metric.floor) if scores.ids else _stand_sets(metric, systems)
            if metric.is_anchored:
                members[dimension] = (*members.get(dimension, ()), metric.id)
                entering.append(scores)
        if entering:
            per_dimension[dimension] = _mean(entering)
    overall = _geometric(list(per_dimension.values()))
    return Ranking(
        metrics=standings,
        dimensions={name: _stand(scores, drawn, POINT) for name, scores in per_dimension.items()},
        overall=_stand(overall, drawn, POINT),
        members=members,
    )


_NOTHING: Floats = np.empty(0)


def _draw(clusters: Sequence[str], seed: int, draws: int) -> _Draws:
    names, index = np.unique(np.asarray(clusters, dtype=np.str_), return_inverse=True)
    n = len(names)
    member = np.zeros((n, len(index)))
    member[index, np.arange(len(index))] = 1.0
    signs: Floats
    generator = np.random.Generator(np.random.PCG64(seed))
    weights = generator.multinomial(n, np.full(n, 1 / n), size=draws).astype(np.float64) if n else np.zeros((draws, 0))
    if n <= MAX_ENUMERATED:
        signs = np.asarray(1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1), dtype=np.float64)
    else:
        generator = np.random.Generator(np.random.PCG64([seed, 1]))
        signs = np.asarray(generator.choice((-1.0, 1.0), size=(draws, n)), dtype=np.float64)
    return _Draws(weights, signs, member)


def _score_metric(metric: RankedMetric, systems: Sequence[RankedSystem], drawn: _Draws) -> _Scores:
    entering = [system for system in systems if np.isfinite(system.counted.get(metric.id, _NOTHING)).any()]
    n_clusters = len(drawn.member)
    if not entering:
        nothing = np.empty((n_clusters, 0))
        return _Scores((), np.empty(0), np.empty((len(drawn.weights), 0)), nothing, nothing)
    values = np.column_stack([system.counted[metric.id] for system in entering])
    there = np.isfinite(values)
    sums, counts = drawn.member @ np.where(there, values, 0.0), drawn.member @ there
    n = counts.sum(axis=0)
    # Exactly rounded, as the results are: equal samples give equal scores, whatever their order.
    exact = [math.fsum(column[applies].tolist()) for column, applies in zip(values.T, there.T, strict=True)]
    estimate = np.array(exact) / n
    remaining, taken = n - counts, drawn.weights @ counts
    means = np.divide(drawn.weights @ sums, taken, out=np.broadcast_to(estimate, taken.shape).copy(), where=taken > 0)
    without = np.divide(
        sums.sum(axis=0) - sums, remaining, out=np.broadcast_to(estimate, sums.shape).copy(), where=remaining > 0
    )
    scaled = metric.scaled
    # A share is what an identity adds to the mean.
    origin, one = scaled(np.array([0.0, 1.0])).tolist()
    ids = tuple(system.id for system in entering)
    return _Scores(ids, scaled(estimate), scaled(means), scaled(without), ((one - origin) * sums + origin * counts) / n)


def _common(parts: Sequence[_Scores]) -> list[_Scores]:
    """Returns scores of the systems that have all of them."""
    ids = tuple(name for name in parts[0].ids if all(name in part.ids for part in parts))
    chosen = []
    for part in parts:
        place = [part.ids.index(name) for name in ids]
        chosen.append(
            _Scores(ids, part.estimate[place], part.draws[:, place], part.without[:, place], part.shares[:, place])
        )
    return chosen


def _geometric(dimensions: Sequence[_Scores]) -> _Scores:
    """Returns the overall score: the geometric mean of the dimensions, each taken as at least one point.

    An identity's share of it is its share of every dimension times the slope of the overall score there, with the rest
    of the score spread evenly: what exchanging the identity changes, to the first order.
    """
    if not dimensions:
        return _Scores((), np.empty(0), np.empty((0, 0)), np.empty((0, 0)), np.empty((0, 0)))
    parts = _common(dimensions)

    def mean(arrays: Sequence[Floats]) -> Floats:
        logs = np.log(np.maximum(arrays[0], POINT))
        for array in arrays[1:]:
            logs = logs + np.log(np.maximum(array, POINT))
        whole: Floats = np.exp(logs / len(arrays))
        return whole

    estimate = np.array([overall_of(row) for row in np.column_stack([p.estimate for p in parts]).tolist()], dtype=float)
    slopes = [np.where(p.estimate > POINT, estimate / (len(parts) * np.maximum(p.estimate, POINT)), 0) for p in parts]
    shares = sum((slope * part.shares for slope, part in zip(slopes, parts, strict=True)), np.zeros(()))
    rest = (estimate - shares.sum(axis=0)) / max(1, len(shares))
    draws, without = mean([part.draws for part in parts]), mean([part.without for part in parts])
    return _Scores(parts[0].ids, estimate, draws, without, shares + rest)


def _mean(parts: Sequence[_Scores]) -> _Scores:
    """Returns the mean of several scores for the systems that have all of them."""
    parts = _common(parts)

    def mean(arrays: Sequence[Floats]) -> Floats:
        total = arrays[0]
        for array in arrays[1:]:
            total = total + array
        return total / len(arrays)

    estimates = np.column_stack([part.estimate for part in parts])
    return _Scores(
        parts[0].ids,
        np.array([math.fsum(row.tolist()) / len(parts) for row in estimates]),
        mean([part.draws for part in parts]),
        mean([part.without for part in parts]),
        mean([part.shares for part in parts]),
    )


def _stand(scores: _Scores, drawn: _Draws, floor: float) -> dict[str, Standing]:
    n = len(scores.ids)
    if not n:
        return {}
    ranks = rank_rows(scores.estimate[None, :], floor)[0]
    enough = len(drawn.member) >= MIN_CLUSTERS
    if enough:
        low, high = rank_limits(rank_rows(scores.draws, floor))
        below, above = bca_limits(scores.draws, scores.estimate, scores.without, LEVEL)
    else:
        # Two identities say nothing of the spread between identities.
        low, high = np.ones(n, dtype=np.intp), np.full(n, n, dtype=np.intp)
        below = above = np.full(n, np.nan)
    better = significantly_better(scores.estimate, scores.shares, drawn.signs, floor)
    if enough:
        better = _with_an_interval(better, scores)
    tiers = tiers_of(better, scores.estimate)
    return {
        name: Standing(
            float(scores.estimate[k]),
            (_rounded(below[k]), _rounded(above[k])) if enough else None,
            Place(
                rank=int(ranks[k]),
                rank_low=int(min(low[k], ranks[k])),
                rank_high=int(max(high[k], ranks[k])),
                tier=tiers[k],
            ),
        )
        for k, name in enumerate(scores.ids)
    }


def _rounded(value: float) -> float:
    # Products of matrices differ in the last digits with the number of systems and the processor.
    return float(f"{value:.9g}")


def rank_rows(values: Floats, floor: float = 0.0) -> NDArray[np.intp]:
    """Returns the rank of every system in every row, 1 for the highest value; equal values share the better rank.

    Args:
        values: Of shape (rows, systems), higher is better.
        floor: The least size that values are taken to have when they are compared.
    """
    order = np.argsort(-values, axis=1, kind="stable")
    ordered = np.take_along_axis(values, order, axis=1)
    size = np.maximum(np.abs(ordered), floor)
    close = TIE * np.maximum(size[:, :-1], size[:, 1:])
    starts = np.ones(values.shape, dtype=bool)
    starts[:, 1:] = ordered[:, :-1] - ordered[:, 1:] > close
    places = np.arange(1, values.shape[1] + 1, dtype=np.intp)
    shared = np.maximum.accumulate(np.where(starts, places, 0), axis=1)
    ranks = np.empty(values.shape, dtype=np.intp)
    np.put_along_axis(ranks, order, shared, axis=1)
    return ranks


def rank_limits(ranks: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Returns the best and the worst rank of the middle 95 % of the rows, of every system."""
    ordered = np.sort(ranks, axis=0)
    last = len(ordered) - 1
    tail = (1 - LEVEL) / 2
    return ordered[math.floor(tail * last)], ordered[math.ceil((1 - tail) * last)]


def significantly_better(estimate: Floats, shares: Floats, signs: Floats, floor: float = 0.0) -> NDArray[np.bool_]:
    """Returns which system the test finds better than which: entry (a, b) says that a is better than b.

    Exchanging two systems for an identity turns the sign of the difference of what it adds to their scores.

    Args:
        estimate: Scores, of shape (systems,), higher is better.
        shares: What each identity adds to the score, of shape (identities, systems).
        signs: Exchanges, of shape (exchanges, identities).
        floor: The least size that scores are taken to have when they are compared.
    """
    p = adjusted_for_all_pairs(shares, signs)
    magnitude = np.maximum(np.abs(estimate), floor)
    close = TIE * np.maximum(magnitude[:, None], magnitude[None, :])
    ahead = estimate[:, None] - estimate[None, :] > close
    better: NDArray[np.bool_] = ahead & (p < ALPHA)
    return better


def _with_an_interval(better: NDArray[np.bool_], scores: _Scores) -> NDArray[np.bool_]:
    """Returns the pairs of ``better`` whose BCa interval of the difference excludes 0."""
    surely = np.zeros_like(better)
    first, second = np.nonzero(better)
    for start in range(0, len(first), _MAX_PAIRS):
        a, b = first[start : start + _MAX_PAIRS], second[start : start + _MAX_PAIRS]
        surely[a, b] = lower_limit_is_positive(
            scores.draws[:, a] - scores.draws[:, b],
            scores.estimate[a] - scores.estimate[b],
            scores.without[:, a] - scores.without[:, b],
        )
    return surely


def tiers_of(better: NDArray[np.bool_], scores: Floats) -> list[int]:
    """Returns the tier of every system: the longest chain of significantly better ones that ends with it.

    Args:
        better: Entry (a, b) says that a is significantly better than b; then a's score is the better one.
        scores: Scores, only to visit nobody before those who are better.
    """
    tiers = [1] * len(scores)
    for k in np.argsort(-scores, kind="stable"):
        above = np.flatnonzero(better[:, k])
        if len(above):
            tiers[k] = 1 + max(tiers[a] for a in above)
    return tiers


def _stand_sets(metric: RankedMetric, systems: Sequence[RankedSystem]) -> dict[str, Standing]:
    entering = [(system.id, system.sets[metric.id]) for system in systems if metric.id in system.sets]
    if not entering:
        return {}
    scores = metric.scaled(np.array([distance.value for _, distance in entering]))
    ranks = rank_rows(scores[None, :], metric.floor)[0]
    n = len(entering)
    half = np.array([_half(distance) for _, distance in entering])
    margin = _stretch(n * (n - 1) // 2) * np.sqrt(half[:, None] ** 2 + half[None, :] ** 2)
    apart = scores[:, None] - scores[None, :]
    better = (apart > margin) & (apart > 0)
    tiers = tiers_of(better, scores)
    return {
        name: Standing(
            float(scores[k]),
            None,
            Place(
                rank=int(ranks[k]),
                rank_low=int(min(ranks[k], 1 + better[:, k].sum())),
                rank_high=int(max(ranks[k], n - better[k].sum())),
                tier=tiers[k],
            ),
        )
        for k, (name, _) in enumerate(entering)
    }


def _half(distance: SetValue) -> float:
    if distance.low is None or distance.high is None:
        return math.inf
    return max(distance.high - distance.value, distance.value - distance.low)


def _stretch(pairs: int) -> float:
    """Returns by how much a 95 % interval grows at Bonferroni's level for so many pairs."""
    from scipy.special import ndtri  # not needed to print --help

    return float(ndtri(1 - ALPHA / (2 * max(1, pairs))) / ndtri((1 + LEVEL) / 2))
