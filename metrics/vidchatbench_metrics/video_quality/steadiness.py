"""``video_quality/steadiness``: whether the picture is as steady from frame to frame as that of the real reply."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api import (
    ClipInfo,
    ExtractorContext,
    ExtractorSpec,
    Feature,
    Frame,
    FrameExtractor,
    Timeline,
    Window,
    as_array,
    load_card,
)
from vidchatbench_metrics.common.geometry import GUIDES
from vidchatbench_metrics.video_quality.against_reference import AgainstReference
from vidchatbench_metrics.video_quality.neighbours import FPS, NeighbourSession
from vidchatbench_metrics.video_quality.optical_flow import farneback, to_grey, warp_back

HEIGHT = 160
WIDTH = 256

MIN_ERROR = 0.01
"""Squared levels below which a real reply is a still picture without noise; filmed ones have over 1."""


class WarpError(FrameExtractor):
    """What is left of the difference of neighbouring frames when motion is taken out.

    Feature:
        value: float64 (n,), mean squared error over pixels and RGB channels in squared levels, one per pair.
        meta: ``frames`` at 25 a second, ``measurable``, the number of pairs, and the window.
    """

    id = "video_quality/warp_error"
    packages = ("cv2",)

    @property
    def fps(self) -> float:
        """The time line on which frames are neighbours."""
        return float(FPS)

    @property
    def guides(self) -> Mapping[str, ExtractorSpec]:
        """The window."""
        return GUIDES

    def setup(self, context: ExtractorContext) -> None:
        """Loads OpenCV."""
        del context
        importlib.import_module("cv2")

    def begin(self, clip: ClipInfo, upstream: Mapping[str, Timeline]) -> _Session:
        """Starts a clip."""
        del clip
        return _Session(Window.of(upstream["window"]))


class _Session(NeighbourSession[NDArray[np.uint8]]):
    def __init__(self, window: Window) -> None:
        super().__init__()
        self._window = window
        self._values: list[float] = []

    def keep(self, frame: Frame) -> NDArray[np.uint8]:
        return frame.window(self._window.box, HEIGHT, WIDTH)

    def compare(self, kept: NDArray[np.uint8], frame: Frame) -> None:
        self._values.append(warp_error(kept, self.keep(frame)))

    def finish(self) -> Feature:
        values = as_array(self._values, "float64")
        meta = {"frames": self.frames, "measurable": self.pairs, **self._window.meta()}
        return Feature({"value": values}, meta)


def warp_error(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Returns the mean squared error of the second picture, warped back by its flow, against the first.

    Lai et al. 2018, "Learning blind video temporal consistency", eq. 11, over all pixels: without their mask of
    occlusions, which would take out what suddenly appears.

    Args:
        first: uint8 RGB of shape (height, width, 3).
        second: The same shape.

    Returns:
        Squared levels, 0 or more.
    """
    flow = farneback(to_grey(first), to_grey(second))
    error = warp_back(second, flow) - first.transpose(2, 0, 1)
    return float(np.square(error, dtype=np.float64).mean())


class Steadiness(AgainstReference):
    """Error of warping neighbouring frames onto each other against that of the real reply, smaller over larger."""

    default_card = load_card(__package__, "cards/steadiness.toml")
    extractor = "video_quality/warp_error"
    fps = float(FPS)
    quantity = "error"
    least = MIN_ERROR
    too_little = "is a still picture"
    guided = True
