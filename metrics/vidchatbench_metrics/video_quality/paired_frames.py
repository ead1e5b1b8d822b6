"""``video_quality/psnr_frames`` and ``/ssim_frames``: similarity of candidate and reference, frame by frame."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api import ClipInfo, ExtractorContext, Feature, Frame, PairExtractor, PairSession, Timeline, as_array
from vidchatbench_metrics.common.geometry import HEIGHT, WIDTH
from vidchatbench_metrics.video_quality.image_similarity import WangSsim, psnr

Measure = Callable[[NDArray[np.uint8], NDArray[np.uint8]], float]


class _PairedFrames(PairExtractor):
    """One value per grid point that both clips reach, both scaled to cover 480 x 768 and centre-cropped.

    Feature:
        value: float64 (n,), one per grid point ``k / fps``.
        meta: ``fps``, ``seconds`` (the common part that was compared).
    """

    defaults = {"fps": 25}

    @property
    def fps(self) -> float:
        """Frame pairs per second."""
        return self.number("fps")

    @abstractmethod
    def measure(self) -> Measure:
        """Returns the function that compares two pictures."""

    def begin(
        self, first: ClipInfo, second: ClipInfo, upstream: tuple[Mapping[str, Timeline], Mapping[str, Timeline]]
    ) -> _Session:
        """Starts a pair."""
        del first, second, upstream
        return _Session(self.measure(), self.fps)


class _Session(PairSession):
    def __init__(self, measure: Measure, fps: float) -> None:
        self._measure = measure
        self._fps = fps
        self._values: list[float] = []

    def push(self, first: Frame, second: Frame) -> None:
        self._values.append(self._measure(first.cover(HEIGHT, WIDTH), second.cover(HEIGHT, WIDTH)))

    def finish(self) -> Feature:
        seconds = len(self._values) / self._fps
        return Feature({"value": as_array(self._values, "float64")}, {"fps": self._fps, "seconds": seconds})


class PsnrFrames(_PairedFrames):
    """PSNR in dB of every frame pair; see :func:`vidchatbench_metrics.video_quality.image_similarity.psnr`."""

    id = "video_quality/psnr_frames"

    def measure(self) -> Measure:
        """Returns the function that compares two pictures."""
        return psnr


class SsimFrames(_PairedFrames):
    """SSIM of every frame pair; see :class:`vidchatbench_metrics.video_quality.image_similarity.WangSsim`."""

    id = "video_quality/ssim_frames"

    def setup(self, context: ExtractorContext) -> None:
        """Builds the window."""
        self._ssim = WangSsim(context.device)

    def measure(self) -> Measure:
        """Returns the function that compares two pictures."""
        return self._ssim
