"""Pairs of neighbouring frames, one in five, and what they have in common: at which frames they begin."""

from __future__ import annotations

from abc import abstractmethod
from typing import Generic, TypeVar

from vidchatbench.api import Frame, FrameSession

FPS = 25
"""The time line on which frames are neighbours."""

EVERY = 5
"""One pair in so many frames."""

Kept = TypeVar("Kept")


def begins_pair(index: int) -> bool:
    """Returns whether a pair (t, t + 1) begins at a frame: t = 5 j + 3 (j + floor(j / 5)) mod 5 for j = 0, 1, 2, ...

    Simple phases alias: of clips of another rate, held on this time line, the pairs 5 j are all one picture twice at 5
    and 10 frames a second, the pairs 5 j + (j mod 5) at 8 and 12. Here each of the 25 frames of a second begins a pair
    once in 5 seconds, so that no whole rate aliases over that time, and within 2 seconds none is off by over a quarter.
    """
    block = index // EVERY
    return index % EVERY == 3 * (block + block // EVERY) % EVERY


class NeighbourSession(FrameSession, Generic[Kept]):
    """Receives the frames of the 25 fps time line and compares the pairs among them.

    Pixels of other frames are never asked for, so they are not converted either.
    """

    def __init__(self) -> None:
        self.frames = 0
        self.pairs = 0
        self._kept: Kept | None = None

    def push(self, frame: Frame) -> None:
        """Takes the next frame."""
        self.frames += 1
        if self._kept is not None:
            self.compare(self._kept, frame)
            self.pairs += 1
        self._kept = self.keep(frame) if begins_pair(frame.index) else None

    @abstractmethod
    def keep(self, frame: Frame) -> Kept:
        """Returns what is needed of a pair's first frame."""

    @abstractmethod
    def compare(self, kept: Kept, frame: Frame) -> None:
        """Compares a pair's first frame with its second."""
