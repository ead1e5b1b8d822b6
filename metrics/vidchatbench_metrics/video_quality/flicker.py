"""``video_quality/flicker``: steadiness from one frame to the next."""

from __future__ import annotations

from collections.abc import Mapping

from vidchatbench.api import ExtractorSpec, Feature, Metric, Need, Role, Sample, Score, load_card


class Flicker(Metric):
    """Steadiness of neighbouring frames, ``1 - MAE / 255``, higher is steadier."""

    default_card = load_card(__package__, "cards/flicker.toml")

    def needs(self) -> tuple[Need, ...]:
        """Differences of neighbouring frames."""
        return (Need("pairs", ExtractorSpec.of("video_quality/frame_difference"), (Role.CANDIDATE,)),)

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Averages over the pairs looked at."""
        del sample
        values, repeated = features["pairs"]["value"], features["pairs"]["repeated"]
        if len(values) == 0:
            return Score.invalid("the clip has only one frame; flicker needs neighbours")
        return Score.ok(1 - float(values.mean()) / 255, pairs=len(values), repeated_share=float(repeated.mean()))
