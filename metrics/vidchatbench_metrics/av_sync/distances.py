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

CHANCE_DRAWS = 8
"""Wrong orders of the sound over which chance is averaged."""

_EPS = 1e-6
_BLOCK = 512


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


@dataclass(frozen=True)
class Chance:
    """What a clip's numbers would be if its sound did not belong to its picture: means over wrong orders.

    Attributes:
        offset: Mean size of the offset in frames.
        distance: Mean distance.
        confidence: Mean confidence, which few windows make large.
    """

    offset: float
    distance: float
    confidence: float


def chance(picture: Array, sound: Array, rows: Array) -> Chance:
    """Returns the numbers of a clip's own picture with its own sound in wrong orders.

    The least of 31 means of few windows lies far below their median whatever is heard, so the floor of a clip is that
    of its own length: the same windows, the sound backwards and begun anew at each eighth of it. At every shift at most
    two windows of a draw meet the sound of their own time.

    Args:
        picture: Of shape (n, d), n >= 1.
        sound: Of shape (m, d), m >= 1.
        rows: Of shape (n,), the row of ``sound`` that goes with each row of ``picture``.
    """
    heard = np.concatenate([sound.astype(np.float64), np.zeros((1, sound.shape[1]))])
    count, silence = len(sound), len(sound)
    backwards = np.arange(count)[::-1]
    orders = [np.roll(backwards, count * draw // CHANCE_DRAWS) for draw in range(CHANCE_DRAWS)]
    places = [np.pad(order, SHIFTS, constant_values=silence) for order in orders]
    shifts = np.arange(2 * SHIFTS + 1)
    squares = np.einsum("nd,nd->n", heard, heard)
    sums = np.zeros((CHANCE_DRAWS, len(shifts)))
    for start in range(0, len(picture), _BLOCK):
        block = picture[start : start + _BLOCK].astype(np.float64) + _EPS
        # All distances of the block at once: the orders only choose among them.
        apart = np.einsum("nd,nd->n", block, block)[:, None] + squares - 2 * block @ heard.T
        distances = np.sqrt(np.maximum(apart, 0.0))
        chosen = rows[start : start + _BLOCK, None] + shifts
        for draw, place in enumerate(places):
            sums[draw] += np.take_along_axis(distances, place[chosen], axis=1).sum(axis=0)
    found = [summarise(mean[None]) for mean in sums / len(picture)]
    return Chance(
        float(np.mean([abs(lse.offset) for lse in found])),
        float(np.mean([lse.distance for lse in found])),
        float(np.mean([lse.confidence for lse in found])),
    )
