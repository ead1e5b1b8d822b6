"""``video_quality/duration_ratio``: whether the reply is as long as the real one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

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
    load_card,
)

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


class DurationRatio(Metric):
    """Shorter length over longer length of candidate and reference, in 0..1, higher is better."""

    default_card = load_card(__package__, "cards/duration_ratio.toml")

    def needs(self) -> tuple[Need, ...]:
        """The decoded lengths of both pictures."""
        length = ExtractorSpec.of("video_quality/length")
        return (Need("candidate", length, (Role.CANDIDATE,)), Need("reference", length, (Role.REFERENCE,)))

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Compares the lengths."""
        del sample
        candidate, reference = (float(features[name]["seconds"]) for name in ("candidate", "reference"))
        if reference == 0:
            return Score.not_applicable("the real reply has no picture")
        ratio = min(candidate, reference) / max(candidate, reference)
        return Score.ok(ratio, seconds=candidate, reference_seconds=reference)
