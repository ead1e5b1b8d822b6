"""Order: does a metric get worse from step to step of a ladder, and could that be chance?

The test exchanges the steps within identities: for a metric that is blind to the fault, every order of an identity's
scores is as likely as any other. It is exact for any number of identities, and with five steps each of them can be in
720 orders, so that even a handful of identities can tell. Sources: Kendall 1938 for tau; Page 1963, "Ordered
Hypotheses for Multiple Treatments", for the test of one order over several subjects, here with tau in place of ranks.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidchatbench.results.statistics.intervals import DRAWS

_TIE = 1e-9

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Trend:
    """How the loss goes with the step.

    Attributes:
        tau: Mean over samples of Kendall's tau between step and loss; ties count nothing.
        p: Two-sided p-value; 1 where there is nothing to compare.
        strict: Whether the mean loss grows with every step.
        identities_strict: Identities whose mean loss grows with every step.
        n: Samples with a score at every step.
        identities: Identities among them.
    """

    tau: float
    p: float
    strict: bool
    identities_strict: int
    n: int
    identities: int


def trend_of(losses: Floats, clusters: Sequence[str], *, seed: int, draws: int = DRAWS) -> Trend:
    """Returns how the loss goes with the step.

    Args:
        losses: Loss of each sample at each step, step 0 first, of shape (samples, steps); greater is worse. Samples
            with a NaN are left out.
        clusters: Identity of each sample.
        seed: Seed of the exchanges.
        draws: Number of exchanges.

    Raises:
        ValueError: If the shapes do not fit.
    """
    if losses.ndim != 2 or len(losses) != len(clusters):  # noqa: PLR2004
        raise ValueError(f"losses of shape {losses.shape} for {len(clusters)} samples")
    whole = np.isfinite(losses).all(axis=1)
    values = losses[whole]
    names, index = np.unique(np.asarray(clusters, dtype=np.str_)[whole], return_inverse=True)
    if not len(values) or losses.shape[1] < 2:  # noqa: PLR2004
        return Trend(0.0, 1.0, strict=False, identities_strict=0, n=len(values), identities=len(names))
    signs = np.stack([_signs(row) for row in values])
    own = np.zeros((len(names), *signs.shape[1:]))
    np.add.at(own, index, signs)
    orders = np.array(list(itertools.permutations(range(losses.shape[1]))), dtype=np.intp)
    pairs = list(itertools.combinations(range(losses.shape[1]), 2))
    observed = sum(float(own[:, a, b].sum()) for a, b in pairs)
    generator = np.random.Generator(np.random.PCG64(seed))
    drawn = np.zeros(draws)
    for k in range(len(names)):
        matrix = own[k]
        # What the identity would add in each order of its steps.
        possible = sum((matrix[orders[:, a], orders[:, b]] for a, b in pairs), np.zeros(len(orders)))
        drawn += possible[generator.integers(0, len(orders), size=draws)]
    reached = int((np.abs(drawn) >= abs(observed) - _TIE).sum())
    means = np.stack([values[index == k].mean(axis=0) for k in range(len(names))])
    return Trend(
        tau=observed / (len(pairs) * len(values)),
        p=(reached + 1) / (draws + 1),
        strict=is_rising(values.mean(axis=0)),
        identities_strict=sum(is_rising(row) for row in means),
        n=len(values),
        identities=len(names),
    )


def is_rising(values: Floats) -> bool:
    """Whether every value is surely greater than the one before, beyond rounding."""
    return bool(len(values) > 1 and all(_sign(a, b) > 0 for a, b in itertools.pairwise(values)))


def tau_of(values: Floats) -> float:
    """Returns Kendall's tau between the places of some losses and the losses; ties count nothing."""
    pairs = list(itertools.combinations(range(len(values)), 2))
    return sum(_sign(values[a], values[b]) for a, b in pairs) / len(pairs) if pairs else 0.0


def _signs(row: Floats) -> Floats:
    return np.array([[_sign(a, b) for b in row] for a in row], dtype=np.float64)


def _sign(first: float, second: float) -> int:
    apart = second - first
    return 0 if abs(apart) <= _TIE * max(1.0, abs(first), abs(second)) else 1 if apart > 0 else -1
