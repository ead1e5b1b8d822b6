"""The base of PSNR, SSIM and LPIPS: a value for each pair of frames, averaged over the common part of two clips."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api import (
    ClipInfo,
    ExtractorSpec,
    Feature,
    Frame,
    Metric,
    MetricCard,
    Need,
    PairExtractor,
    PairSession,
    Role,
    Sample,
    Score,
    Timeline,
    as_array,
)
from vidchatbench_metrics.common.geometry import HEIGHT, MIN_COMMON_SECONDS, WIDTH

Measure = Callable[[NDArray[np.uint8], NDArray[np.uint8]], float]
"""Takes two pictures, uint8 RGB of the same shape (height, width, 3)."""


class PairedFrames(PairExtractor):
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


class PairedMetric(Metric):
    """Mean over frame pairs of the common part; under one second in common is the submission's fault."""

    defaults = {"fps": 25}
    extractor: ClassVar[str]

    def make_card(self) -> MetricCard:
        """Returns the card; another frame rate is another protocol."""
        return self.default_card.vary(fields={"fps": str(int(self.number("fps")))})

    def needs(self) -> tuple[Need, ...]:
        """Frame-wise values of candidate and reference."""
        spec = ExtractorSpec.of(self.extractor, fps=self.params["fps"])
        return (Need("frames", spec, (Role.CANDIDATE, Role.REFERENCE)),)

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Averages the frame-wise values."""
        del sample
        frames = features["frames"]
        seconds = frames.number("seconds")
        if seconds < MIN_COMMON_SECONDS:
            return Score.invalid(
                f"only {seconds:.2f} s in common with the reference; {MIN_COMMON_SECONDS:g} s is needed",
                seconds=seconds,
            )
        values = frames["value"]
        return Score.ok(float(values.mean()), seconds=seconds, frames=len(values), lowest=float(values.min()))
