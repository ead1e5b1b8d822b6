"""The base of PSNR, SSIM and LPIPS: a value for each pair of frames, pooled, and charged for what is not shown."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar, cast

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
    Param,
    Role,
    Sample,
    Score,
    Timeline,
    Window,
    as_array,
    window_details,
)
from vidchatbench_metrics.common.geometry import GUIDES, HEIGHT, MIN_COMMON_SECONDS, WIDTH

GIVEN_SECONDS = 0.5
"""Seconds at the start that are not scored: a system is given the first picture, and a copy of it is no achievement."""

Measure = Callable[[NDArray[np.uint8], NDArray[np.uint8]], float]
"""Takes two pictures, uint8 RGB of the same shape (height, width, 3)."""


class PairedFrames(PairExtractor):
    """One value per grid point that both clips reach, both seen through their window and scaled to 480 x 768.

    Feature:
        value: float64 (n,), one per grid point ``k / fps``.
        time: float64 (n,), seconds.
        meta: ``fps``, ``seconds`` (the common part that was compared), and the window of the second clip, see
            :meth:`vidchatbench.api.Window.meta`; ``anchored`` is false where either clip was centred.
    """

    defaults = {"fps": 25}

    @property
    def fps(self) -> float:
        """Frame pairs per second."""
        return self.number("fps")

    @property
    def guides(self) -> Mapping[str, ExtractorSpec]:
        """The window of either clip."""
        return GUIDES

    @abstractmethod
    def measure(self) -> Measure:
        """Returns the function that compares two pictures."""

    def begin(
        self, first: ClipInfo, second: ClipInfo, upstream: tuple[Mapping[str, Timeline], Mapping[str, Timeline]]
    ) -> _Session:
        """Starts a pair."""
        del first, second
        return _Session(self.measure(), self.fps, pair_of_windows(upstream))


class _Session(PairSession):
    def __init__(self, measure: Measure, fps: float, windows: tuple[Window, Window]) -> None:
        self._measure = measure
        self._fps = fps
        self._windows = windows
        self._values: list[float] = []

    def push(self, first: Frame, second: Frame) -> None:
        one, two = (
            frame.window(window.box, HEIGHT, WIDTH)
            for frame, window in zip((first, second), self._windows, strict=True)
        )
        self._values.append(self._measure(one, two))

    def finish(self) -> Feature:
        pairs = len(self._values)
        arrays = {"value": as_array(self._values, "float64"), "time": as_array(np.arange(pairs) / self._fps, "float64")}
        return Feature(arrays, {"fps": self._fps, "seconds": pairs / self._fps, **pair_meta(self._windows)})


def pair_of_windows(upstream: tuple[Mapping[str, Timeline], Mapping[str, Timeline]]) -> tuple[Window, Window]:
    """Returns the windows of both clips of a pair, which are guided by :data:`GUIDES`."""
    return Window.of(upstream[0]["window"]), Window.of(upstream[1]["window"])


def pair_meta(windows: tuple[Window, Window]) -> dict[str, Param]:
    """Returns what a feature of a pair says of its windows: that of the second clip, and whether both are anchored."""
    return {**windows[1].meta(), "anchored": all(window.anchored for window in windows)}


class PairedMetric(Metric):
    """Pools the frame pairs after the first half second, and charges what the candidate leaves out of the reference.

    The charge is on the score: ``shown * pooled + (1 - shown) * worst``, with ``shown`` the share of the reference's
    frames after the first half second that the candidate reaches, and ``worst`` the card's. Under one second in common
    is the submission's fault altogether.
    """

    defaults = {"fps": 25}
    extractor: ClassVar[str]

    def make_card(self) -> MetricCard:
        """Returns the card; another frame rate is another protocol."""
        return self.default_card.vary(fields={"fps": str(int(self.number("fps")))})

    def needs(self) -> tuple[Need, ...]:
        """Frame-wise values of candidate and reference, and how many frames the reference has."""
        fps, frames = self.params["fps"], ExtractorSpec.of(self.extractor, **self.params)
        return (
            Need("frames", frames, (Role.CANDIDATE, Role.REFERENCE), guide=Role.REFERENCE),
            Need("reference", ExtractorSpec.of("frames/count", fps=fps), (Role.REFERENCE,)),
        )

    def pool(self, values: NDArray[np.float64]) -> float:
        """Returns the score of the common part.

        Args:
            values: One per frame pair, at least one.
        """
        return float(values.mean())

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Pools the frame-wise values and charges the rest of the reference."""
        del sample
        frames, fps = features["frames"], self.number("fps")
        seconds, reference_seconds = frames.number("seconds"), features["reference"].number("frames") / fps
        if seconds < MIN_COMMON_SECONDS:
            return Score.invalid(
                f"only {seconds:.2f} s in common with the reference; {MIN_COMMON_SECONDS:g} s is needed",
                seconds=seconds,
            )
        values = frames["value"][frames["time"] >= GIVEN_SECONDS]
        if len(values) == 0:
            return Score.invalid(f"no frame pair after the first {GIVEN_SECONDS:g} s", seconds=seconds)
        given = math.ceil(GIVEN_SECONDS * fps) / fps
        shown = min(1.0, (seconds - given) / (reference_seconds - given))
        common, worst = self.pool(values), cast("float", self.default_card.worst)
        ends = [self.pool(values[[place]]) for place in (values.argmin(), values.argmax())]
        worst_pair = {"lowest": min(ends)} if self.default_card.direction == "higher" else {"highest": max(ends)}
        lengths = {"seconds": seconds, "reference_seconds": reference_seconds, "shown": shown, "frames": len(values)}
        details = {**lengths, "common": common, **worst_pair, **window_details(frames)}
        return Score.ok(common + (1 - shown) * (worst - common), **details)
