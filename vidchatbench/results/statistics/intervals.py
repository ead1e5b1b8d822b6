"""Intervals for means over clustered samples: the seeded cluster bootstrap with BCa limits.

Resampled are clusters (identities), never samples of one speaker as if they were independent. Sources: Efron 1987,
"Better Bootstrap Confidence Intervals"; clusters as in Miller 2024, arXiv 2411.00640. A bootstrap of few clusters is
too narrow, as a normal interval with an estimated spread is; the limits are widened as Student's t widens those
(Hesterberg 2015, "What Teachers Should Know About the Bootstrap", section 5.3: the expanded percentiles).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DRAWS = 10_000
MIN_CLUSTERS = 3
_CHUNK = 1_000


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


def cluster_mean_interval(
    values: Sequence[float],
    clusters: Sequence[str],
    *,
    seed: int,
    level: float = 0.95,
    draws: int = DRAWS,
    expand: bool = True,
) -> Interval | None:
    """Returns the BCa bootstrap interval of a mean over clustered values.

    The estimate is the plain mean of all values; a draw takes whole clusters with replacement, so it is the ratio of
    a sum to a count. The result depends on the values, the clusters and the seed, not on their order.

    Args:
        values: Finite values.
        clusters: Cluster of each value.
        seed: Seed of the draws.
        level: Confidence level in (0, 1).
        draws: Number of draws.
        expand: Whether the limits are widened for few clusters; the plain BCa otherwise.

    Returns:
        The interval, or ``None`` with fewer than three clusters, which say nothing of the spread between clusters.

    Raises:
        ValueError: If the lengths differ or a value is not finite.
    """
    if len(values) != len(clusters):
        raise ValueError(f"{len(values)} values but {len(clusters)} clusters")
    data = np.asarray(values, dtype=np.float64)
    if not np.isfinite(data).all():
        raise ValueError("values must be finite")
    names = sorted(set(clusters))
    if len(names) < MIN_CLUSTERS:
        return None
    index = np.searchsorted(names, list(clusters))
    # Sorted before summing: the same samples in another order must give the same bits.
    order = np.lexsort((data, index))
    sums = np.bincount(index[order], weights=data[order], minlength=len(names)).astype(np.float64)
    counts = np.bincount(index[order], minlength=len(names)).astype(np.float64)
    estimate = float(sums.sum() / counts.sum())
    means = _draw_means(sums, counts, seed, draws)
    if means.min() == means.max():
        return Interval(float(means[0]), float(means[0]))
    low, high = bca_limits(
        means[:, None], np.array([estimate]), _jackknife(sums, counts)[:, None], level, expand=expand
    )
    return Interval(float(low[0]), float(high[0]))


def _draw_means(sums: NDArray[np.float64], counts: NDArray[np.float64], seed: int, draws: int) -> NDArray[np.float64]:
    generator = np.random.Generator(np.random.PCG64(seed))
    n = len(sums)
    parts = []
    for start in range(0, draws, _CHUNK):
        picks = generator.integers(0, n, size=(min(_CHUNK, draws - start), n))
        parts.append(sums[picks].sum(axis=1) / counts[picks].sum(axis=1))
    return np.concatenate(parts)


def _jackknife(sums: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    without: NDArray[np.float64] = (sums.sum() - sums) / (counts.sum() - counts)
    return without


def bca_limits(
    draws: NDArray[np.float64],
    estimates: NDArray[np.float64],
    jackknife: NDArray[np.float64],
    level: float,
    *,
    expand: bool = True,
    occupied: NDArray[np.intp] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the lower and upper BCa limits of several statistics that were drawn together.

    Args:
        draws: Bootstrap replicates, of shape (draws, k).
        estimates: The statistics, of shape (k,).
        jackknife: The statistics without each cluster in turn, of shape (clusters, k).
        level: Confidence level in (0, 1).
        expand: Whether the limits are widened for few clusters.
        occupied: Clusters that have a value, of shape (k,); all by default.
    """
    from scipy.special import ndtr, ndtri  # not needed to print --help

    ordered = np.sort(draws, axis=0)
    n = len(ordered)
    # Draws equal to the estimate count half: with few clusters, ties are common and would shift the correction.
    below = ((ordered < estimates).sum(axis=0) + (ordered <= estimates).sum(axis=0)) / 2
    bias = ndtri(np.clip(below / n, 1 / n, 1 - 1 / n))
    deviation = jackknife.mean(axis=0) - jackknife
    spread = (deviation**2).sum(axis=0) ** 1.5
    cubes = (deviation**3).sum(axis=0)
    acceleration = np.divide(cubes, 6 * spread, out=np.zeros_like(spread), where=spread > 0)
    sizes = np.full(len(estimates), len(jackknife)) if occupied is None else np.maximum(occupied, 2)
    limits = []
    for tail in ((1 - level) / 2, (1 + level) / 2):
        z = bias + (np.array([expanded_quantile(tail, int(k)) for k in sizes]) if expand else float(ndtri(tail)))
        limits.append(_quantiles(ordered, ndtr(bias + z / (1 - acceleration * z))))
    return limits[0], limits[1]


@functools.cache
def expanded_quantile(tail: float, clusters: int) -> float:
    """Returns the quantile that stands for the normal one with an estimated spread: ``t * sqrt(n / (n - 1))``."""
    from scipy.special import stdtrit

    return float(stdtrit(clusters - 1, tail) * np.sqrt(clusters / (clusters - 1)))


def _quantiles(ordered: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    # As np.quantile does, with a share of its own for every column.
    place = np.clip(shares, 0.0, 1.0) * (len(ordered) - 1)
    before = np.floor(place).astype(np.intp)
    after = np.minimum(before + 1, len(ordered) - 1)
    columns = np.arange(ordered.shape[1])
    low, high = ordered[before, columns], ordered[after, columns]
    value: NDArray[np.float64] = low + (high - low) * (place - before)
    return value
