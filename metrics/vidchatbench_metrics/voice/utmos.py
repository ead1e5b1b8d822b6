"""``voice/utmos``: how natural the reply sounds, as listeners of synthetic speech would rate it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from vidchatbench.api import ExtractorSpec, Feature, Metric, MetricCard, Need, Param, Role, Sample, Score, load_card
from vidchatbench_metrics.voice.gate import lacks_speech, speech_of, speech_seconds
from vidchatbench_metrics.voice.quality import HIGHEST_MOS, LOWEST_MOS
from vidchatbench_metrics.voice.shared import UTMOS22_STRONG, card_for


class Utmos(Metric):
    """UTMOS of the candidate, 1..5 MOS, higher is better.

    Parameters:
        network: ``utmos22_strong`` (the official one), or ``sha256:<64 hex>`` for any network of that wiring whose
            file lies in the weights mirror.
    """

    default_card = load_card("vidchatbench_metrics.voice", "cards/utmos.toml")
    defaults: ClassVar[Mapping[str, Param]] = {"network": UTMOS22_STRONG}

    def make_card(self) -> MetricCard:
        """Returns the card; another network is another protocol."""
        return card_for(self.default_card, UTMOS22_STRONG, str(self.params["network"]))

    def needs(self) -> tuple[Need, ...]:
        """Speech and predicted scores of the candidate."""
        scores = ExtractorSpec.of("voice/utmos_scores", network=self.params["network"])
        return (speech_of(Role.CANDIDATE), Need("utmos", scores, (Role.CANDIDATE,)))

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Averages over frames; the value before cutting is kept as ``unclipped``."""
        del sample
        spoken = speech_seconds(features["candidate_speech"])
        frames, seconds = features["utmos"]["frames"], features["utmos"].number("seconds")
        details = {"speech_seconds": spoken, "seconds": seconds, "frames": frames.size}
        if reason := lacks_speech(spoken):
            return Score.invalid(reason, **details)
        if frames.size == 0:
            return Score.invalid("the sound is shorter than one frame (25 ms)", **details)
        value = float(frames.mean(dtype=np.float64))
        return Score.ok(min(max(value, LOWEST_MOS), HIGHEST_MOS), **details, unclipped=value)
