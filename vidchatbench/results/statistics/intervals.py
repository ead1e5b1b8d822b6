"""Intervals for means over clustered samples: the seeded cluster bootstrap with BCa limits.

Resampled are clusters (identities), never samples of one speaker as if they were independent. Sources: Efron 1987,
"Better Bootstrap Confidence Intervals"; clusters as in Miller 2024, arXiv 2411.00640. A bootstrap of few clusters is
too narrow, as a normal interval with an estimated spread is; the limits are widened as Student's t widens those
(Hesterberg 2015, "What Teachers Should Know About the Bootstrap", section 5.3: the expanded percentiles).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DRAWS = 10_000
MIN_CLUSTERS = 3
LEVEL = 0.95
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
    level: float = LEVEL,
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


def unseen_failure_rate(n: int, level: float = LEVEL) -> float:
    """Returns the rate of failures that n trials without one do not exclude: ``1 - (1 - level)^(1/n)``.

    It is the exact upper limit of Clopper and Pearson 1934 at zero events, about 3 / n.
    """
    return 1.0 - math.pow(1.0 - level, 1.0 / n)


def widen_for_unseen_failures(interval: Interval, mean: float, worst: float, n: int) -> Interval:
    """Returns an interval with room for failures that did not occur.

    A bootstrap draws what was seen. A system that fails in one of a hundred samples, each at the price of the worst
    value, looks perfect in most sets of ten; its interval must reach towards the worst value all the same.

    Args:
        interval: The interval of a mean in which nothing was charged the worst value.
        mean: The mean.
        worst: What a failure is charged.
        n: Identities that the mean rests on.

    Returns:
        The interval, whose end on the side of ``worst`` lies further out by the greatest failure rate that ``n``
        identities do not exclude times the price of a failure; never beyond ``worst``, unless it was before.
    """
    room = unseen_failure_rate(n) * abs(mean - worst)
    if worst <= mean:
        return Interval(min(interval.low, max(worst, interval.low - room)), interval.high)
    return Interval(interval.low, max(interval.high, min(worst, interval.high + room)))


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
    from scipy.special import ndtri  # not needed to print --help

    ordered = np.sort(draws, axis=0)
    bias, acceleration = _corrections(draws, estimates, jackknife)
    sizes = np.full(len(estimates), len(jackknife)) if occupied is None else np.maximum(occupied, 2)
    limits = []
    for tail in ((1 - level) / 2, (1 + level) / 2):
        quantile = np.array([expanded_quantile(tail, int(k)) for k in sizes]) if expand else float(ndtri(tail))
        limits.append(_quantiles(ordered, _share(bias, acceleration, quantile)))
    return limits[0], limits[1]


def lower_limit_is_positive(
    draws: NDArray[np.float64], estimates: NDArray[np.float64], jackknife: NDArray[np.float64], level: float = LEVEL
) -> NDArray[np.bool_]:
    """Returns of which statistics the lower BCa limit lies above 0; arguments as of :func:`bca_limits`.

    It counts instead of sorting, because a board of many systems has thousands of pairs. A limit that lies between a
    draw of 0 or less and the next one counts as not above 0.
    """
    bias, acceleration = _corrections(draws, estimates, jackknife)
    share = _share(bias, acceleration, expanded_quantile((1 - level) / 2, len(jackknife)))
    place = np.clip(share, 0.0, 1.0) * (len(draws) - 1)
    positive: NDArray[np.bool_] = (draws <= 0).sum(axis=0) <= np.floor(place)
    return positive


def _corrections(
    draws: NDArray[np.float64], estimates: NDArray[np.float64], jackknife: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns BCa's correction of the bias and its acceleration."""
    from scipy.special import ndtri  # not needed to print --help

    n = len(draws)
    # Draws equal to the estimate count half: with few clusters, ties are common and would shift the correction.
    below = ((draws < estimates).sum(axis=0) + (draws <= estimates).sum(axis=0)) / 2
    deviation = jackknife.mean(axis=0) - jackknife
    spread = (deviation**2).sum(axis=0) ** 1.5
    cubes = (deviation**3).sum(axis=0)
    acceleration: NDArray[np.float64] = np.divide(cubes, 6 * spread, out=np.zeros_like(spread), where=spread > 0)
    return ndtri(np.clip(below / n, 1 / n, 1 - 1 / n)), acceleration


def _share(
    bias: NDArray[np.float64], acceleration: NDArray[np.float64], quantile: NDArray[np.float64] | float
) -> NDArray[np.float64]:
    """Returns which share of the draws lies below a BCa limit."""
    from scipy.special import ndtr  # not needed to print --help

    z = bias + quantile
    share: NDArray[np.float64] = ndtr(bias + z / (1 - acceleration * z))
    return share


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
