"""``video_quality/psnr`` and ``/ssim``: how close the pictures are to those of the real reply."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from vidchatbench.api import ExtractorSpec, Feature, Metric, MetricCard, Need, Role, Sample, Score, load_card
from vidchatbench_metrics.common.geometry import SHORTEST_COMMON


class _Paired(Metric):
    """Mean over frame pairs of the common part; under one second in common is the submission's fault."""

    defaults = {"fps": 25}
    extractor: ClassVar[str]
    family: ClassVar[str]

    def make_card(self) -> MetricCard:
        """Returns the card; another frame rate is another protocol."""
        fps = int(self.number("fps"))
        if fps == self.defaults["fps"]:
            return self.default_card
        text = self.default_card.protocol_text.replace("25 frame pairs a second", f"{fps} frame pairs a second")
        return self.default_card.vary(protocol=f"{self.family}/cover480x768-{fps}fps-v1", protocol_text=text)

    def needs(self) -> tuple[Need, ...]:
        """Frame-wise values of candidate and reference."""
        spec = ExtractorSpec.of(self.extractor, fps=self.params["fps"])
        return (Need("frames", spec, (Role.CANDIDATE, Role.REFERENCE)),)

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Averages the frame-wise values."""
        del sample
        frames = features["frames"]
        seconds = frames.number("seconds")
        if seconds < SHORTEST_COMMON:
            return Score.invalid(
                f"only {seconds:.2f} s in common with the reference; {SHORTEST_COMMON:g} s is needed", seconds=seconds
            )
        values = frames["value"]
        return Score.ok(float(values.mean()), seconds=seconds, frames=len(values), lowest=float(values.min()))


class Psnr(_Paired):
    """Peak signal-to-noise ratio against the real reply, in dB, higher is better."""

    default_card = load_card(__package__, "cards/psnr.toml")
    extractor = "video_quality/psnr_frames"
    family = "psnr"


class Ssim(_Paired):
    """Structural similarity to the real reply, higher is better."""

    default_card = load_card(__package__, "cards/ssim.toml")
    extractor = "video_quality/ssim_frames"
    family = "ssim"
