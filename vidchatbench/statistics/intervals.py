"""Intervals for means over clustered samples: the seeded cluster bootstrap with BCa limits.

Resampled are clusters (identities), never samples of one speaker as if they were independent. Source: Efron 1987,
"Better Bootstrap Confidence Intervals"; clusters as in Miller 2024, arXiv 2411.00640.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DRAWS = 10_000
FEWEST_CLUSTERS = 3
_CHUNK = 1_000


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


def cluster_mean_interval(
    values: Sequence[float], clusters: Sequence[str], *, seed: int, level: float = 0.95, draws: int = DRAWS
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
    if len(names) < FEWEST_CLUSTERS:
        return None
    index = np.searchsorted(names, list(clusters))
    # Sorted before summing: the same samples in another order must give the same bits.
    order = np.lexsort((data, index))
    sums = np.bincount(index[order], weights=data[order], minlength=len(names)).astype(np.float64)
    counts = np.bincount(index[order], minlength=len(names)).astype(np.float64)
    estimate = float(sums.sum() / counts.sum())
    means = np.sort(_draw_means(sums, counts, seed, draws))
    if means[0] == means[-1]:
        return Interval(float(means[0]), float(means[-1]))
    return _bca(means, estimate, _jackknife(sums, counts), level)


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


def _bca(means: NDArray[np.float64], estimate: float, jackknife: NDArray[np.float64], level: float) -> Interval:
    normal = NormalDist()
    # Draws equal to the estimate count half: with few clusters, ties are common and would shift the correction.
    below = (np.searchsorted(means, estimate, "left") + np.searchsorted(means, estimate, "right")) / 2
    share = min(max(float(below) / len(means), 1 / len(means)), 1 - 1 / len(means))
    bias = normal.inv_cdf(share)
    deviation = jackknife.mean() - jackknife
    spread = float((deviation**2).sum()) ** 1.5
    acceleration = float((deviation**3).sum()) / (6 * spread) if spread > 0 else 0.0
    limits = []
    for tail in ((1 - level) / 2, (1 + level) / 2):
        z = bias + normal.inv_cdf(tail)
        adjusted = normal.cdf(bias + z / (1 - acceleration * z))
        limits.append(float(np.quantile(means, adjusted)))
    return Interval(*limits)
