"""The extractor: mean luminance of each frame."""

from __future__ import annotations

from collections.abc import Mapping

from vidchatbench.api import ClipInfo, Feature, Frame, FrameExtractor, FrameSession, Timeline, as_array


class Luminance(FrameExtractor):
    """Mean luminance of every frame on a grid of ``fps``.

    Feature:
        value: float64 (n,), Rec. 601 luma in 0..255, one per frame.
    """

    id = "brightness/luminance"
    version = 1
    defaults = {"fps": 5}

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self.number("fps")

    def begin(self, clip: ClipInfo, upstream: Mapping[str, Timeline]) -> LuminanceSession:
        """Starts a clip."""
        return LuminanceSession()


class LuminanceSession(FrameSession):
    """The state on one clip: the values so far."""

    def __init__(self) -> None:
        self._values: list[float] = []

    def push(self, frame: Frame) -> None:
        """Takes the next frame; a small picture is enough for a mean."""
        pixels, _ = frame.fit(160)
        red, green, blue = (float(pixels[..., channel].mean()) for channel in range(3))
        self._values.append(0.299 * red + 0.587 * green + 0.114 * blue)

    def finish(self) -> Feature:
        """Returns the feature."""
        return Feature({"value": as_array(self._values, "float64")})
