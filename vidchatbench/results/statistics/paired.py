"""Two systems on the same samples: difference, interval, permutation test, effect size, what would have been seen.

All comparisons of a table are drawn together: one set of resampled identities and one set of exchanged identities serve
every metric and every pair of systems, as one matrix product. Sources: paired approximate randomisation, Noreen 1989
and Dror et al. 2018 (ACL P18-1128), with p = (k + 1) / (n + 1); clustered differences and power, Miller 2024
(arXiv 2411.00640); family-wise error, Holm 1979, and for all pairs of a board Westfall and Young 1993,
"Resampling-Based Multiple Testing", algorithm 4.1; failures, McNemar 1947.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidchatbench.results.statistics.intervals import DRAWS, LEVEL, MIN_CLUSTERS, bca_limits, expanded_quantile

ALPHA = 0.05
POWER = 0.8
MAX_ENUMERATED = 13
"""With so few identities all exchanges are enumerated, and the test is exact."""

_CHUNK = 1_000
_TIE = 1e-12
_CLOSE = 1e-9
_MAX_BLOCK = 5_000_000

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PairedDifferences:
    """Comparisons of pairs of systems; every array has one entry per comparison.

    Attributes:
        n: Samples that both systems have a value for.
        clusters: Identities among them.
        difference: Mean of first minus second.
        low: Lower limit of the 95 % interval of the difference; NaN with fewer than three identities.
        high: Its upper limit.
        p: Two-sided p-value of the paired permutation test; 1 where nothing was compared.
        exchanges: Exchanges that it took; all there are where identities are few.
        effect: Difference over the standard deviation of the per-sample differences (Cohen's d of paired values); NaN
            where that is zero.
        detectable: Least difference that the test of a single comparison would have found in four of five repetitions;
            NaN as ``low``. See :func:`detectable_among`.
    """

    n: NDArray[np.intp]
    clusters: NDArray[np.intp]
    difference: Floats
    low: Floats
    high: Floats
    p: Floats
    exchanges: int
    effect: Floats
    detectable: Floats


def compare_paired(differences: Floats, clusters: Sequence[str], *, seed: int, draws: int = DRAWS) -> PairedDifferences:
    """Compares pairs of systems sample by sample.

    Args:
        differences: Value of the first system minus that of the second, of shape (samples, comparisons); NaN where one
            of them has none.
        clusters: Identity of each sample: the unit that is resampled and exchanged.
        seed: Seed of the draws.
        draws: Resamplings, and exchanges where not all can be enumerated.

    Raises:
        ValueError: If the shapes do not fit.
    """
    if differences.ndim != 2 or len(differences) != len(clusters):  # noqa: PLR2004
        raise ValueError(f"differences of shape {differences.shape} for {len(clusters)} samples")
    there = np.isfinite(differences)
    values = np.where(there, differences, 0.0)
    names, index = np.unique(np.asarray(clusters, dtype=np.str_), return_inverse=True)
    member = np.zeros((len(names), len(index)))
    member[index, np.arange(len(index))] = 1.0
    sums, counts = member @ values, member @ there
    n, occupied = counts.sum(axis=0), (counts > 0).sum(axis=0)
    difference = sums.sum(axis=0) / np.maximum(n, 1)
    rest = np.where(there, differences - difference, 0.0)
    deviation = np.sqrt((rest**2).sum(axis=0) / np.maximum(n - 1, 1))
    effect = np.divide(difference, deviation, out=np.full_like(difference, np.nan), where=deviation > 0)
    enough = occupied >= MIN_CLUSTERS
    low, high = _interval(sums, counts, difference, occupied, (seed, draws))
    return PairedDifferences(
        n=n.astype(np.intp),
        clusters=occupied.astype(np.intp),
        difference=difference,
        low=np.where(enough, low, np.nan),
        high=np.where(enough, high, np.nan),
        p=_permutation_p(sums, counts, seed, draws),
        exchanges=2 ** len(names) if len(names) <= MAX_ENUMERATED else draws,
        effect=effect,
        detectable=np.where(enough, _detectable(sums, counts, difference, occupied), np.nan),
    )


def holm(p: Sequence[float]) -> list[float]:
    """Returns Holm's adjusted p-values: rejecting those under alpha keeps the family-wise error at alpha."""
    order = np.argsort(np.asarray(p, dtype=np.float64), kind="stable")
    adjusted = [0.0] * len(p)
    highest = 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p) - rank) * float(p[place])))
        adjusted[place] = highest
    return adjusted


def detectable_among(comparisons: int) -> float:
    """Returns by how much the detectable difference grows with the number of comparisons that p is adjusted for.

    It is (z(1 - alpha / 2m) + z(.8)) / (z(1 - alpha / 2) + z(.8)): what the first step of Holm's procedure asks for.
    """
    from scipy.special import ndtri  # not needed to print --help

    power = float(ndtri(POWER))
    return (float(ndtri(1 - ALPHA / (2 * max(1, comparisons)))) + power) / (float(ndtri(1 - ALPHA / 2)) + power)


def exact_mcnemar(first: Sequence[bool], second: Sequence[bool], clusters: Sequence[str]) -> float:
    """Returns the two-sided p-value of the difference of two failure rates on the same samples.

    With one sample per identity it is McNemar's exact test on the samples in which one system failed and the other did
    not. With several, an identity is exchanged as a whole: all exchanges are counted, by convolution.

    Args:
        first: Whether the first system failed, of every sample.
        second: Whether the second did.
        clusters: Identity of each sample.
    """
    net: dict[str, int] = {}
    for one, other, cluster in zip(first, second, clusters, strict=True):
        net[cluster] = net.get(cluster, 0) + int(one) - int(other)
    sizes = [abs(size) for size in net.values() if size]
    sums = np.ones(1)
    for size in sizes:
        turned = np.zeros(len(sums) + 2 * size)
        turned[: len(sums)] += sums / 2
        turned[2 * size :] += sums / 2
        sums = turned
    values = np.arange(len(sums)) - len(sums) // 2
    return min(1.0, float(sums[np.abs(values) >= abs(sum(net.values()))].sum()))


def adjusted_for_all_pairs(shares: Floats, signs: Floats) -> Floats:
    """Returns p-values of all pairs of systems, adjusted for their number: a step-down test of the greatest statistic.

    The statistic of a pair is the sum of its differences over the root of the sum of their squares, which no exchange
    changes. In every exchange the greatest one among the pairs that are not better founded counts. So the chance that
    any two equal systems are told apart is at most alpha, and unlike Holm's procedure it needs no finer p-values the
    more pairs there are, and charges nothing for a copy of a system.

    Args:
        shares: What each identity adds to each system's score, of shape (identities, systems).
        signs: Exchanges, of shape (exchanges, identities).

    Returns:
        p-values of shape (systems, systems), symmetric, 1 on the diagonal.
    """
    n = shares.shape[1]
    p = np.ones((n, n))
    first, second = np.triu_indices(n, 1)
    if not len(first):
        return p
    apart = shares[:, first] - shares[:, second]
    size = np.sqrt((apart**2).sum(axis=0))
    magnitude = np.abs(shares).max(axis=0)
    different = size > _TIE * np.maximum(magnitude[first], magnitude[second])
    weight = np.divide(1.0, size, out=np.zeros_like(size), where=different)
    observed = np.abs(apart.sum(axis=0)) * weight
    order = np.argsort(-observed, kind="stable")
    first, second, weight, observed = first[order], second[order], weight[order], observed[order]
    least, reached = observed * (1 - _CLOSE), np.zeros(len(order))
    block = max(1, _MAX_BLOCK // len(order))
    for start in range(0, len(signs), block):
        moved = signs[start : start + block] @ shares
        statistic = np.abs(moved[:, first] - moved[:, second]) * weight
        greatest = np.maximum.accumulate(statistic[:, ::-1], axis=1)[:, ::-1]
        reached += (greatest >= least).sum(axis=0)
    enumerated = len(signs) == 2 ** len(shares)
    found = reached / len(signs) if enumerated else (reached + 1) / (len(signs) + 1)
    p[first, second] = p[second, first] = np.maximum.accumulate(found)
    return p


def _interval(
    sums: Floats, counts: Floats, estimate: Floats, occupied: NDArray[np.intp], drawing: tuple[int, int]
) -> tuple[Floats, Floats]:
    seed, draws = drawing
    n = len(sums)
    if n < MIN_CLUSTERS:
        nothing = np.full(sums.shape[1], np.nan)
        return nothing, nothing
    generator = np.random.Generator(np.random.PCG64(seed))
    means = np.empty((draws, sums.shape[1]))
    for start in range(0, draws, _CHUNK):
        size = min(_CHUNK, draws - start)
        # How often each identity is drawn; the same draw for all systems and metrics.
        weights = generator.multinomial(n, np.full(n, 1 / n), size=size).astype(np.float64)
        drawn = weights @ counts
        means[start : start + size] = np.divide(
            weights @ sums, drawn, out=np.broadcast_to(estimate, drawn.shape).copy(), where=drawn > 0
        )
    remaining = counts.sum(axis=0) - counts
    jackknife = np.divide(
        sums.sum(axis=0) - sums, remaining, out=np.broadcast_to(estimate, counts.shape).copy(), where=remaining > 0
    )
    return bca_limits(means, estimate, jackknife, LEVEL, occupied=occupied)


def _permutation_p(sums: Floats, counts: Floats, seed: int, draws: int) -> Floats:
    # Exchanging the two systems for one identity turns the sign of its differences.
    n = len(sums)
    observed = np.abs(sums.sum(axis=0))
    least = observed - _TIE * np.maximum(np.abs(sums).sum(axis=0), np.finfo(float).tiny)
    if n <= MAX_ENUMERATED:
        signs = 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
        p: Floats = (np.abs(signs @ sums) >= least).mean(axis=0)
    else:
        generator = np.random.Generator(np.random.PCG64([seed, 1]))
        reached = np.zeros(sums.shape[1])
        for start in range(0, draws, _CHUNK):
            signs = generator.choice((-1.0, 1.0), size=(min(_CHUNK, draws - start), n))
            reached += (np.abs(signs @ sums) >= least).sum(axis=0)
        p = (reached + 1) / (draws + 1)
    return np.where(counts.sum(axis=0) > 0, p, 1.0)


def _detectable(sums: Floats, counts: Floats, difference: Floats, occupied: NDArray[np.intp]) -> Floats:
    # Standard error of a mean over clusters, and the sum of quantiles of a two-sided test with the wanted power.
    residual = sums - counts * difference
    n = np.maximum(counts.sum(axis=0), 1)
    correction = occupied / np.maximum(occupied - 1, 1)
    error = np.sqrt(correction * (residual**2).sum(axis=0)) / n
    quantiles = np.array(
        [
            expanded_quantile((1 + LEVEL) / 2, int(k)) + expanded_quantile(POWER, int(k)) if k > 1 else np.nan
            for k in occupied
        ]
    )
    detectable: Floats = error * quantiles
    return detectable
