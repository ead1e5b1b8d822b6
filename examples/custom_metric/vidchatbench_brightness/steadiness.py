"""The metric: how even the lighting stays, as a pure function of the feature."""

from __future__ import annotations

from collections.abc import Mapping

from vidchatbench.api import ExtractorSpec, Feature, Metric, Need, Role, Sample, Score, load_card


class Steadiness(Metric):
    """One minus the standard deviation of the mean luminance over 127.5, in 0..1, higher is steadier."""

    default_card = load_card(__package__, "steadiness.toml")

    def needs(self) -> tuple[Need, ...]:
        """The luminance of the candidate's frames."""
        return (Need("luminance", ExtractorSpec.of("brightness/luminance"), (Role.CANDIDATE,)),)

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Scores one sample."""
        values = features["luminance"]["value"]
        if len(values) < 2:
            return Score.invalid("the clip has only one frame; steadiness needs more")
        return Score.ok(1 - float(values.std()) / 127.5, frames=len(values))
