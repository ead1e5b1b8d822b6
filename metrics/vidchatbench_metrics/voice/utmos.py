"""``voice/utmos``: how natural the reply sounds, as listeners of synthetic speech would rate it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from vidchatbench.api import (
    SAMPLE_RATE,
    Audio,
    AudioExtractor,
    ExtractorContext,
    ExtractorSpec,
    Feature,
    Metric,
    MetricCard,
    Need,
    Param,
    Role,
    Sample,
    Score,
    as_array,
    load_card,
)
from vidchatbench_metrics.speech.silero import missing_speech, speech_of, speech_seconds
from vidchatbench_metrics.voice.front_end import beginning, frame_count
from vidchatbench_metrics.voice.mos import clip_to_scale
from vidchatbench_metrics.voice.networks import UTMOS22_STRONG, varied_card

if TYPE_CHECKING:
    from vidchatbench_metrics.voice.utmos_network import UtmosNetwork


class UtmosScores(AudioExtractor):
    """Predicted opinion scores of the first 60 s of a clip, as it is: nothing is scaled, pauses are not cut out.

    Parameters:
        network: ``utmos22_strong`` (the official one), or ``sha256:<64 hex>`` for any network of that wiring whose
            file lies in the weights mirror; the width of its backbone is free.

    Arrays:
        frames: float32 (n,), a score for each frame of 20 ms, in MOS, not cut to 1..5; none where the sound is
            shorter than 25 ms.

    Meta:
        seconds: Length of the sound that the network was given.

    Source: tarepan/SpeechMOS @ ed25eac (MIT), ``utmos22_strong``; Saeki et al. 2022, arXiv 2204.02152.
    """

    id: ClassVar[str] = "voice/utmos_scores"
    defaults: ClassVar[Mapping[str, Param]] = {"network": UTMOS22_STRONG.default}
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers")
    _network: UtmosNetwork | None = None

    @property
    def weights(self) -> tuple[str, ...]:
        """The network."""
        return (UTMOS22_STRONG.weight_of(str(self.params["network"])),)

    def setup(self, context: ExtractorContext) -> None:
        """Loads the network."""
        from vidchatbench_metrics.voice.utmos_network import UtmosNetwork  # loads torch

        official = str(self.params["network"]) in UTMOS22_STRONG.names
        self._network = UtmosNetwork(context.weights[self.weights[0]], context.device, official=official)

    def release(self) -> None:
        """Releases the network."""
        self._network = None

    def extract(self, audio: Audio, upstream: Mapping[str, Feature]) -> Feature:
        """Returns the feature of one clip; silence and sound of any length are accepted."""
        if self._network is None:
            raise RuntimeError("setup() comes before extract()")
        samples = beginning(audio.samples)
        scores = self._network.score(samples) if frame_count(len(samples)) else np.zeros(0, dtype=np.float32)
        return Feature({"frames": as_array(scores, "float32")}, {"seconds": len(samples) / SAMPLE_RATE})


class Utmos(Metric):
    """UTMOS of the candidate, 1..5 MOS, higher is better.

    Parameters:
        network: ``utmos22_strong`` (the official one), or ``sha256:<64 hex>`` for any network of that wiring whose
            file lies in the weights mirror.
    """

    default_card = load_card("vidchatbench_metrics.voice", "cards/utmos.toml")
    defaults: ClassVar[Mapping[str, Param]] = {"network": UTMOS22_STRONG.default}

    def make_card(self) -> MetricCard:
        """Returns the card; another network is another protocol."""
        return varied_card(UTMOS22_STRONG, self.default_card, str(self.params["network"]))

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
        if reason := missing_speech(spoken):
            return Score.invalid(reason, **details)
        if frames.size == 0:
            return Score.invalid("the sound is shorter than one frame (25 ms)", **details)
        value = float(frames.mean(dtype=np.float64))
        return Score.ok(clip_to_scale(value), **details, unclipped=value)
