"""Pairs of reference submissions, compared metric by metric with the statistics of all comparisons."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vidchatbench.api.metrics import Metric, SetItem, SetMetric, distance_of_means
from vidchatbench.audit.schema import Paired
from vidchatbench.audit.scores import Table
from vidchatbench.audit.verdicts import exchanges_for
from vidchatbench.core.isolation import Failure, attempt
from vidchatbench.results.statistics.paired import compare_paired, holm
from vidchatbench.results.statistics.sets import MAX_GROUPS, SetDifference, compare_sets

_TIE = 1e-9
_UPPER = 0.975

Pair = tuple[str, str]
"""Names of two reference submissions: the one that is looked at, and the one it is compared with."""


@dataclass(frozen=True)
class _Raw:
    n: int
    identities: int
    difference: float
    interval: tuple[float, float] | None
    worse: int
    equal: int
    p: float
    detectable: float | None


def compare_pairs(metric: Metric, table: Table, pairs: Sequence[Pair], *, seed: int) -> dict[Pair, Paired]:
    """Compares pairs of reference submissions in one metric; p-values are adjusted for all of the pairs.

    Args:
        metric: The metric.
        table: What it gives.
        pairs: What to compare with what.
        seed: Seed of all draws.

    Raises:
        UsageError: If a stored feature of a metric of sets is gone.
    """
    if not pairs:
        return {}
    if isinstance(metric, SetMetric):
        baselines = {name: table.items[name]() for name in {second for _, second in pairs} if name in table.items}
        raw = [_compare_set(metric, table, pair, baselines, seed) for pair in pairs]
    else:
        raw = _compare_means(metric, table, pairs, seed)
    adjusted = holm([one.p for one in raw])
    return {
        pair: Paired(
            n=one.n,
            identities=one.identities,
            difference=one.difference,
            ci95=one.interval,
            worse=one.worse,
            equal=one.equal,
            p=one.p,
            p_holm=p_holm,
            comparisons=len(pairs),
            detectable=one.detectable,
        )
        for pair, one, p_holm in zip(pairs, raw, adjusted, strict=True)
    }


def _compare_means(metric: Metric, table: Table, pairs: Sequence[Pair], seed: int) -> list[_Raw]:
    samples = sorted(table.clusters)
    columns = np.full((len(samples), len(pairs)), np.nan)
    worse, equal = np.zeros(len(pairs), dtype=int), np.zeros(len(pairs), dtype=int)
    sign = -1.0 if metric.card.direction == "higher" else 1.0
    for place, (first, second) in enumerate(pairs):
        one, two = table.values.get(first, {}), table.values.get(second, {})
        for row, sample in enumerate(samples):
            if sample not in one or sample not in two:
                continue
            apart = one[sample] - two[sample]
            if abs(apart) <= _TIE * max(1.0, abs(one[sample]), abs(two[sample])):
                apart = 0.0
                equal[place] += 1
            worse[place] += sign * apart > 0
            columns[row, place] = apart
    clusters = [table.clusters[sample] for sample in samples]
    compared = compare_paired(columns, clusters, seed=seed, draws=exchanges_for(len(pairs)))
    return [
        _Raw(
            int(compared.n[place]),
            int(compared.clusters[place]),
            float(compared.difference[place]),
            None if math.isnan(compared.low[place]) else (float(compared.low[place]), float(compared.high[place])),
            int(worse[place]),
            int(equal[place]),
            float(compared.p[place]),
            None if math.isnan(compared.detectable[place]) else float(compared.detectable[place]),
        )
        for place in range(len(pairs))
    ]


def _compare_set(
    metric: SetMetric, table: Table, pair: Pair, baselines: Mapping[str, Mapping[str, SetItem]], seed: int
) -> _Raw:
    """Compares two sets by the jackknife of the difference of their distances, which cancels most of the bias."""
    one, two = table.items[pair[0]]() if pair[0] in table.items else {}, baselines.get(pair[1], {})
    both = sorted(set(one) & set(two), key=lambda sample: (table.clusters[sample], sample))
    nothing = _Raw(0, 0, 0.0, None, 0, 0, 1.0, None)
    if not both:
        return nothing
    clusters = [table.clusters[sample] for sample in both]
    first, second = [one[sample] for sample in both], [two[sample] for sample in both]
    compared = attempt(lambda: compare_sets(first, second, clusters, metric.distance, seed=seed, draws=1))
    if isinstance(compared, Failure):
        return nothing
    identities = len(set(clusters))
    equal = sum(np.array_equal(a.candidate, b.candidate) for a, b in zip(first, second, strict=True))
    worse = sum(_apart(a) > _apart(b) for a, b in zip(first, second, strict=True))
    limits = None if compared.interval is None else (compared.interval.low, compared.interval.high)
    p = 1.0 if equal == len(both) else _jackknife_p(compared, min(identities, MAX_GROUPS))
    return _Raw(len(both), identities, compared.difference, limits, worse, equal, p, None)


def _jackknife_p(difference: SetDifference, groups: int) -> float:
    from scipy.special import stdtr, stdtrit  # not needed to print --help

    if difference.interval is None:
        return 1.0
    half = (difference.interval.high - difference.interval.low) / 2
    if half <= 0:
        return 1.0 if difference.difference == 0 else 0.0
    ratio = abs(difference.difference) / half * float(stdtrit(groups - 1, _UPPER))
    return 2 * float(stdtr(groups - 1, -ratio))


def _apart(item: SetItem) -> float:
    return distance_of_means(item).value or 0.0
