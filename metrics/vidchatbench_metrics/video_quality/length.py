"""``video_quality/length``: how long the picture of a clip really is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vidchatbench.api import ClipInfo, Feature, Frame, FrameExtractor, FrameSession, Timeline

_FPS = 25


class Length(FrameExtractor):
    """Decoded length of the picture, on the time line of 25 frames a second; announced lengths are not trusted.

    Feature:
        seconds: float64 scalar.
    """

    id = "video_quality/length"

    @property
    def fps(self) -> float:
        """Grid points per second that are counted."""
        return float(_FPS)

    def begin(self, clip: ClipInfo, upstream: Mapping[str, Timeline]) -> _Session:
        """Starts a clip."""
        del clip, upstream
        return _Session()


class _Session(FrameSession):
    def __init__(self) -> None:
        self._frames = 0

    def push(self, frame: Frame) -> None:
        self._frames = frame.index + 1

    def finish(self) -> Feature:
        return Feature({"seconds": np.asarray(self._frames / _FPS, dtype=np.float64)})
