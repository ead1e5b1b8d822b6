"""SyncNet's distances between picture and sound at every shift, and the three numbers made of them.

``calc_pdist`` and ``evaluate`` of ``SyncNetInstance.py`` (joonson/syncnet_python @ 6efbb1c) in numpy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api import Array

SHIFTS = 15
"""Frames by which the sound is moved at most, to either side."""

_EPS = 1e-6


@dataclass(frozen=True)
class Lse:
    """SyncNet's numbers of a clip.

    Attributes:
        offset: Frames by which the sound comes too early; negative where it comes too late.
        distance: Mean distance at that offset (LSE-D), lower is better.
        confidence: How much the median over the shifts exceeds it (LSE-C), higher is better.
    """

    offset: int
    distance: float
    confidence: float


def shifted_distances(picture: Array, sound: Array, rows: Array | None = None) -> NDArray[np.float64]:
    """Returns the distance of each window's picture to the sound at each of 31 shifts.

    Column ``k`` compares the picture from frame ``v`` with the sound from frame ``v + k - 15``; beyond its ends the
    sound is zeros, as in the reference. The distance is Euclidean, with 1e-6 added to each difference.

    Args:
        picture: Of shape (n, d).
        sound: Of shape (m, d).
        rows: Of shape (n,), the row of ``sound`` that goes with each row of ``picture``. Without it there are as many
            of both, row beside row.

    Returns:
        float64 of shape (n, 31).

    Raises:
        ValueError: If the shapes differ.
    """
    if rows is None and picture.shape != sound.shape:
        raise ValueError(f"picture and sound must have the same shape, not {picture.shape} and {sound.shape}")
    beside = np.arange(len(picture)) if rows is None else rows
    biased = picture.astype(np.float64) + _EPS
    padded = np.pad(sound.astype(np.float64), ((SHIFTS, SHIFTS), (0, 0)))
    columns = []
    for shift in range(2 * SHIFTS + 1):
        difference = biased - padded[beside + shift]
        columns.append(np.sqrt(np.einsum("nd,nd->n", difference, difference)))
    return np.stack(columns, axis=1)


def summarise(distances: NDArray[np.float64]) -> Lse:
    """Returns offset, distance and confidence of some windows.

    Args:
        distances: Of shape (n, 31), n >= 1.
    """
    mean = distances.mean(axis=0)
    best = int(np.argmin(mean))
    return Lse(SHIFTS - best, float(mean[best]), float(np.median(mean) - mean[best]))
