"""``video_quality/flicker``: steadiness from one frame to the next."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api import (
    ClipInfo,
    ExtractorSpec,
    Feature,
    Frame,
    FrameExtractor,
    FrameSession,
    Metric,
    Need,
    Role,
    Sample,
    Score,
    Timeline,
    as_array,
    load_card,
)
from vidchatbench_metrics.common.geometry import HEIGHT, WIDTH


class FrameDifference(FrameExtractor):
    """Mean absolute difference of neighbouring frames of the 25 fps time line.

    To keep the cost down, one pair in ``every`` is compared: frames ``every * j`` and ``every * j + 1``. Pictures are
    scaled to cover 480 x 768.

    Feature:
        value: float64 (n,), mean absolute difference over pixels and RGB channels, in grey levels 0..255.
        repeated: bool (n,), True where the two frames are the same picture.
    """

    id = "video_quality/frame_difference"
    defaults = {"every": 5}

    @property
    def fps(self) -> float:
        """The time line on which frames are neighbours."""
        return 25.0

    def begin(self, clip: ClipInfo, upstream: Mapping[str, Timeline]) -> _Session:
        """Starts a clip."""
        del clip, upstream
        return _Session(int(self.number("every")))


class _Session(FrameSession):
    def __init__(self, every: int) -> None:
        self._every = every
        self._first: NDArray[np.uint8] | None = None
        self._values: list[float] = []

    def push(self, frame: Frame) -> None:
        place = frame.index % self._every
        if place == 0:
            self._first = frame.cover(HEIGHT, WIDTH)
        elif place == 1 and self._first is not None:
            second = frame.cover(HEIGHT, WIDTH)
            # The larger minus the smaller never wraps around in uint8.
            apart = np.maximum(self._first, second) - np.minimum(self._first, second)
            self._values.append(float(apart.mean(dtype=np.float64)))

    def finish(self) -> Feature:
        values = as_array(self._values, "float64")
        return Feature({"value": values, "repeated": values == 0})


class Flicker(Metric):
    """Steadiness of neighbouring frames, ``1 - MAE / 255``, higher is steadier."""

    default_card = load_card(__package__, "cards/flicker.toml")

    def needs(self) -> tuple[Need, ...]:
        """Differences of neighbouring frames."""
        return (Need("pairs", ExtractorSpec.of("video_quality/frame_difference"), (Role.CANDIDATE,)),)

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Averages over the compared pairs."""
        del sample
        values, repeated = features["pairs"]["value"], features["pairs"]["repeated"]
        if len(values) == 0:
            return Score.invalid("the clip has only one frame; flicker needs neighbours")
        return Score.ok(1 - float(values.mean()) / 255, pairs=len(values), repeated_share=float(repeated.mean()))
