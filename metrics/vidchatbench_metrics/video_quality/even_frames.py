"""Sixteen evenly spaced frames of a clip in one pass, without knowing beforehand how long the clip is.

Announced durations are not trusted, so which frames are wanted is known only at the end. Until then a few more than
needed are kept: every frame at first, and each time more than :data:`CAPACITY` have gathered, every second of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api import Frame
from vidchatbench_metrics.common.geometry import HEIGHT, WIDTH

FPS = 25
"""Grid points per second of all distribution metrics."""

FRAMES_PER_CLIP = 16
CAPACITY = 64
"""Pictures of 480 x 768 kept per clip: at most 71 MB."""


def even_indices(frames: int) -> list[int]:
    """Returns which frames of a clip are taken: 16, evenly spaced, the middle one of each sixteenth.

    Of ``n`` frames the wanted ones are ``floor((2 i + 1) n / 32)`` for i = 0..15. Of a clip of more than 64 frames only
    multiples of the stride s are at hand, the least power of two with ``ceil(n / s) <= 64``; instead of a wanted frame
    the nearest multiple of s is taken (the earlier of two equally near), at most a quarter of the spacing away.

    Args:
        frames: Number of frames of the clip, 0 or more.

    Returns:
        Ascending indices in 0..frames - 1; under 16 of them only where the clip has under 16 frames.
    """
    stride = _stride(frames)
    last = (frames - 1) // stride
    wanted = ((2 * i + 1) * frames // (2 * FRAMES_PER_CLIP) for i in range(FRAMES_PER_CLIP))
    nearest = (min((2 * index + stride - 1) // (2 * stride), last) for index in wanted)
    return sorted({stride * multiple for multiple in nearest}) if frames > 0 else []


@dataclass(frozen=True)
class KeptFrame:
    """A frame that may turn out to be one of the sixteen.

    Attributes:
        time: Seconds.
        pixels: uint8 RGB of shape (480, 768, 3), the picture scaled to cover that size and centre-cropped.
        source: Height and width of the picture before that, in pixels.
    """

    time: float
    pixels: NDArray[np.uint8]
    source: tuple[int, int]


class EvenFrames:
    """Gathers frames of the 25 fps grid and says at the end which are the sixteen."""

    def __init__(self) -> None:
        self._frames = 0
        self._stride = 1
        self._kept: dict[int, KeptFrame] = {}

    @property
    def frames(self) -> int:
        """Number of frames seen."""
        return self._frames

    def push(self, frame: Frame) -> None:
        """Takes the next frame of the grid."""
        index = self._frames
        self._frames += 1
        if index % self._stride:
            return
        height, width = frame.rgb().shape[:2]
        self._kept[index] = KeptFrame(frame.time, frame.cover(HEIGHT, WIDTH), (height, width))
        if len(self._kept) > CAPACITY:
            self._stride *= 2
            self._kept = {index: kept for index, kept in self._kept.items() if index % self._stride == 0}

    def chosen(self) -> Mapping[int, KeptFrame]:
        """Returns the sixteen frames by index, in order of time."""
        return {index: self._kept[index] for index in even_indices(self._frames)}


def _stride(frames: int) -> int:
    stride = 1
    while -(-frames // stride) > CAPACITY:
        stride *= 2
    return stride
