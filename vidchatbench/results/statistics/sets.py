"""Uncertainty of distances between sets: jackknife, real-versus-real floor, and the comparison of two systems.

A bootstrap would draw samples twice, which roughly doubles the small-sample bias of Fréchet distances; its interval
need not even hold the estimate. Leaving groups of identities out keeps every sample at most once. The samples of one
identity are pooled, for they are no independent draws: the positions that a distance is asked for are identities.
Sources: Shao and Tu 1995, "The Jackknife and Bootstrap", chapter 2.3 (delete-a-group); for the bias, Chong and Forsyth
2020, arXiv 1911.07023; for the test that ends early, Besag and Clifford 1991, "Sequential Monte Carlo p-values".
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api.features import Array
from vidchatbench.api.metrics import SetDistance, SetItem
from vidchatbench.results.statistics.intervals import MIN_CLUSTERS, Interval

MAX_GROUPS = 20
"""Groups of identities that are left out in turn; each costs one evaluation of the distance."""

FLOOR_SPLITS = 4
"""Random halvings of the identities over which the floor is averaged."""

_T_975 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093),
)
"""Student's t at 0.975 for 1 to 19 degrees of freedom."""

SET_DRAWS = 999
"""Most exchanges in the test of two systems; each costs two evaluations of the distance."""

_ENOUGH_REACHED = 10
_TIE = 1e-12

Prepare = Callable[[Sequence[Array], Sequence[Array]], SetDistance]
Positions = NDArray[np.intp]


class SetFloor(NamedTuple):
    """What real clips score against other real clips, and what the candidates score at the same numbers.

    Attributes:
        value: Mean distance between two disjoint halves of the references.
        candidate: Mean distance of the candidates of one half to the references of the other.
        n: Samples on each side, the smaller half.
    """

    value: float
    candidate: float
    n: int


class SetDifference(NamedTuple):
    """How far the distances of two systems to the same references lie apart.

    Attributes:
        difference: Distance of the first minus that of the second.
        interval: 95 % interval by the jackknife, ``None`` with fewer than three identities.
        p: Two-sided p-value of the paired permutation test.
        draws: Exchanges that it took.
    """

    difference: float
    interval: Interval | None
    p: float
    draws: int


class SetEstimate(NamedTuple):
    """A distance with its uncertainty.

    Attributes:
        value: The distance between all candidates and all references.
        interval: 95 % interval, ``None`` with fewer than three identities or too few rows without one of them.
        floor: ``None`` with a single identity, or too few rows in a half.
    """

    value: float
    interval: Interval | None
    floor: SetFloor | None


def estimate_set(items: Sequence[SetItem], clusters: Sequence[str], prepare: Prepare, *, seed: int) -> SetEstimate:
    """Returns the distance between candidates and references with interval and floor.

    Args:
        items: What each sample contributes, at least one.
        clusters: Identity of each sample, the unit that is left out.
        prepare: Builds the distance; see :meth:`vidchatbench.api.SetMetric.distance`.
        seed: Seed of the groups and halves.

    Raises:
        ValueError: If there is no item, or the distance is not finite.
    """
    if not items or len(items) != len(clusters):
        raise ValueError(f"{len(items)} items but {len(clusters)} clusters")
    sizes, index = _identities(clusters)
    candidates = _pooled([item.candidate for item in items], index)
    references = _pooled([item.reference for item in items], index)
    distance = prepare(candidates, references)
    everything = np.arange(len(sizes), dtype=np.intp)
    value = _finite(distance.between(everything, everything))
    generator = np.random.Generator(np.random.PCG64(seed))
    interval = floor = None
    # A part of a small set may have too few rows for the distance although the whole has enough.
    if len(sizes) >= MIN_CLUSTERS:
        with contextlib.suppress(ValueError):
            interval = _jackknife(lambda kept: _finite(distance.between(kept, kept)), len(sizes), generator, value)
    if len(sizes) > 1:
        with contextlib.suppress(ValueError):
            floor = _floor(distance, prepare(references, references), sizes, generator)
    return SetEstimate(value, interval, floor)


def compare_sets(
    first: Sequence[SetItem],
    second: Sequence[SetItem],
    clusters: Sequence[str],
    prepare: Prepare,
    *,
    seed: int,
    draws: int = SET_DRAWS,
) -> SetDifference:
    """Compares the distances of two systems to the same references.

    The bias of a distance at this number of samples is nearly the same for both and cancels in the difference. The test
    exchanges the two systems' candidates of whole identities; it ends as soon as ten exchanges have reached the
    observed difference, for then it is known not to be significant.

    Args:
        first: What each sample of the first system contributes.
        second: The same samples of the second system; only their candidates are read.
        clusters: Identity of each sample.
        prepare: Builds the distance.
        seed: Seed of groups and exchanges.
        draws: Most exchanges.

    Raises:
        ValueError: If there is nothing to compare, or the distance is not finite.
    """
    if not clusters or not len(first) == len(second) == len(clusters):
        raise ValueError(f"{len(first)} and {len(second)} items for {len(clusters)} samples")
    sizes, index = _identities(clusters)
    n = len(sizes)
    one_system, other_system = (_pooled([item.candidate for item in items], index) for items in (first, second))
    distance = prepare([*one_system, *other_system], _pooled([item.reference for item in first], index))
    everything = np.arange(n, dtype=np.intp)

    def apart(kept: Positions, exchanged: NDArray[np.bool_]) -> float:
        shift = np.where(exchanged[kept], n, 0)
        one = distance.between(np.sort(kept + shift), kept)
        return _finite(one - distance.between(np.sort(kept + n - shift), kept))

    nothing = np.zeros(n, dtype=bool)
    observed = apart(everything, nothing)
    generator = np.random.Generator(np.random.PCG64(seed))
    interval = None
    if n >= MIN_CLUSTERS:
        with contextlib.suppress(ValueError):
            interval = _jackknife(lambda kept: apart(kept, nothing), n, generator, observed)
    least, reached = abs(observed) * (1 - _TIE), 0
    for draw in range(1, draws + 1):
        exchanged = generator.integers(0, 2, size=n).astype(bool)
        reached += abs(apart(everything, exchanged)) >= least
        if reached == _ENOUGH_REACHED:
            return SetDifference(observed, interval, reached / draw, draw)
    return SetDifference(observed, interval, (reached + 1) / (draws + 1), draws)


def _identities(clusters: Sequence[str]) -> tuple[Positions, Positions]:
    """Returns how many samples each identity has, and the identity of each sample."""
    _, index, sizes = np.unique(np.asarray(clusters, dtype=np.str_), return_inverse=True, return_counts=True)
    return sizes, index


def _pooled(rows: Sequence[Array], index: Positions) -> list[Array]:
    """Returns the rows of each identity, of all its samples."""
    return [np.concatenate([rows[i] for i in np.flatnonzero(index == k).tolist()]) for k in range(index.max() + 1)]


def _jackknife(
    statistic: Callable[[Positions], float], n_identities: int, generator: np.random.Generator, value: float
) -> Interval:
    groups = min(n_identities, MAX_GROUPS)
    group_of = generator.permutation(n_identities) % groups
    left = [statistic(np.flatnonzero(group_of != group)) for group in range(groups)]
    spread = float(np.var(np.asarray(left)))  # sum of squares over the number of groups
    half = _T_975[groups - 2] * math.sqrt((groups - 1) * spread)
    return Interval(value - half, value + half)


def _floor(distance: SetDistance, real: SetDistance, sizes: Positions, generator: np.random.Generator) -> SetFloor:
    floors, candidates, least = [], [], []
    for _ in range(FLOOR_SPLITS):
        in_first = np.zeros(len(sizes), dtype=bool)
        in_first[generator.permutation(len(sizes))[: len(sizes) // 2]] = True
        first, second = np.flatnonzero(in_first), np.flatnonzero(~in_first)
        floors.append(_finite(real.between(first, second)))
        candidates.append(_finite(distance.between(first, second)))
        least.append(int(min(sizes[first].sum(), sizes[second].sum())))
    return SetFloor(float(np.mean(floors)), float(np.mean(candidates)), min(least))


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"the distance of a set must be finite, got {value!r}")
    return float(value)
