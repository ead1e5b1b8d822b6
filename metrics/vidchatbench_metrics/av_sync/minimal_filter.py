"""Minimal filtering along time: a short filter over a series with fewer products than outputs times taps.

SyncNet's first layer slides a kernel of five frames over a clip. Computed window by window, every frame is convolved
five times. Toom and Cook's scheme convolves eight combinations of eight frames instead, and combines the results to
four windows: 2 convolutions a window, not 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class MinimalFilter:
    """The three matrices of Toom and Cook's scheme, ``y = combine @ ((taps @ g) * (inputs @ d))``.

    ``y[i]`` is ``sum_k g[k] d[i + k]``. Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks"
    (arXiv 1509.09308), section 3.

    Attributes:
        inputs: float64 of shape (n, n), what is made of ``n`` inputs.
        taps: float64 of shape (n, taps), what is made of the filter.
        combine: float64 of shape (outputs, n), what is made of the products.
    """

    inputs: NDArray[np.float64]
    taps: NDArray[np.float64]
    combine: NDArray[np.float64]

    @classmethod
    def of(cls, outputs: int, taps: int, points: Sequence[float]) -> MinimalFilter:
        """Builds the scheme that evaluates polynomials at some points and at infinity.

        Args:
            outputs: Outputs at once.
            taps: Length of the filter.
            points: ``outputs + taps - 2`` different numbers; small ones keep the rounding small.

        Raises:
            ValueError: If the number of points is another.
        """
        n = outputs + taps - 1
        if len(set(points)) != n - 1:
            raise ValueError(f"{outputs} outputs of {taps} taps need {n - 1} different points, not {len(set(points))}")
        inputs = np.zeros((n, n))
        norms = np.ones(n)
        for j, point in enumerate(points):
            others = np.delete(np.asarray(points, np.float64), j)
            inputs[j, : n - 1] = np.poly(others)[::-1]
            norms[j] = np.prod(point - others)
        inputs[-1] = np.poly(np.asarray(points, np.float64))[::-1]
        return cls(inputs, _powers(points, taps) / norms[:, None], _powers(points, outputs).T)


def _powers(points: Sequence[float], count: int) -> NDArray[np.float64]:
    finite = np.asarray(points, np.float64)[:, None] ** np.arange(count)
    return np.vstack([finite, np.eye(count)[-1]])
