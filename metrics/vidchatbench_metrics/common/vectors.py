"""Vectors of features."""

from __future__ import annotations

import numpy as np

from vidchatbench.api import Array


def cosine(first: Array, second: Array) -> float:
    """Returns the cosine of the angle between two vectors, in -1..1; 0 if one of them is zero.

    Args:
        first: Of shape (n,).
        second: Of shape (n,).
    """
    a, b = first.astype(np.float64), second.astype(np.float64)
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    if lengths == 0.0:
        return 0.0
    # Rounding can carry the quotient past 1 by the last bit.
    return float(np.clip(float(a @ b) / lengths, -1.0, 1.0))
