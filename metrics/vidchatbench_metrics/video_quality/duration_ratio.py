"""``video_quality/duration_ratio``: whether the reply is as long as the real one."""

from __future__ import annotations

from collections.abc import Mapping

from vidchatbench.api import ExtractorSpec, Feature, Metric, Need, Role, Sample, Score, load_card


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
