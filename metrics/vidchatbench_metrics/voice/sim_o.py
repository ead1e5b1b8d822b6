"""``voice/sim_o``: whether the reply is spoken with the responder's voice, as papers on speech synthesis measure it."""

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
from vidchatbench_metrics.common.vectors import cosine
from vidchatbench_metrics.speech.silero import missing_speech, speech_of, speech_seconds
from vidchatbench_metrics.voice.front_end import beginning, frame_count
from vidchatbench_metrics.voice.networks import WAVLM_LARGE, varied_card

if TYPE_CHECKING:
    from vidchatbench_metrics.voice.wavlm_network import SpeakerNetwork

MIN_FRAMES = 2
"""The features are normalised over time, which takes two of them."""

_TOO_SHORT = "the sound is shorter than two frames (45 ms)"


class WavlmSpeakerEmbedding(AudioExtractor):
    """Speaker embedding of the first 60 s of a clip, scaled to zero mean and unit variance; pauses are not cut out.

    Parameters:
        network: ``wavlm_large`` (the official one), or ``sha256:<64 hex>`` for any network of that wiring, of any
            width, whose file lies in the weights mirror.

    Arrays:
        embedding: float32 (256,), not scaled to unit length; of shape (0,) where the sound is shorter than 45 ms.

    Meta:
        frames: Number of frames, 50 a second.
        seconds: Length of the sound that the network was given.

    Source: microsoft/UniSpeech @ 40d3227, ``downstreams/speaker_verification``; Chen et al. 2022, arXiv 2110.13900.
    """

    id: ClassVar[str] = "voice/wavlm_sv_embedding"
    defaults: ClassVar[Mapping[str, Param]] = {"network": WAVLM_LARGE.default}
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers")
    _network: SpeakerNetwork | None = None

    @property
    def weights(self) -> tuple[str, ...]:
        """The network."""
        return (WAVLM_LARGE.weight_of(str(self.params["network"])),)

    def setup(self, context: ExtractorContext) -> None:
        """Loads the network."""
        from vidchatbench_metrics.voice.wavlm_network import SpeakerNetwork  # loads torch

        official = str(self.params["network"]) in WAVLM_LARGE.names
        self._network = SpeakerNetwork(context.weights[self.weights[0]], context.device, official=official)

    def release(self) -> None:
        """Releases the network."""
        self._network = None

    def extract(self, audio: Audio, upstream: Mapping[str, Feature]) -> Feature:
        """Returns the feature of one clip; silence and sound of any length are accepted."""
        if self._network is None:
            raise RuntimeError("setup() comes before extract()")
        samples = beginning(audio.samples)
        frames = frame_count(len(samples))
        embedding = self._network.embed(samples) if frames >= MIN_FRAMES else np.zeros(0, dtype=np.float32)
        return Feature(
            {"embedding": as_array(embedding, "float32")}, {"frames": frames, "seconds": len(samples) / SAMPLE_RATE}
        )


class SimO(Metric):
    """Cosine between WavLM speaker embeddings of the candidate and of the real reply, in -1..1, higher is better.

    Parameters:
        network: ``wavlm_large`` (the official one), or ``sha256:<64 hex>`` for any network of that wiring whose file
            lies in the weights mirror.
    """

    default_card = load_card("vidchatbench_metrics.voice", "cards/sim_o.toml")
    defaults: ClassVar[Mapping[str, Param]] = {"network": WAVLM_LARGE.default}

    def make_card(self) -> MetricCard:
        """Returns the card; another network is another protocol."""
        return varied_card(WAVLM_LARGE, self.default_card, str(self.params["network"]))

    def needs(self) -> tuple[Need, ...]:
        """Speech and speaker embedding of candidate and reference."""
        embedding = ExtractorSpec.of("voice/wavlm_sv_embedding", network=self.params["network"])
        return (
            speech_of(Role.CANDIDATE),
            speech_of(Role.REFERENCE),
            Need("candidate_voice", embedding, (Role.CANDIDATE,)),
            Need("reference_voice", embedding, (Role.REFERENCE,)),
        )

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Compares the voices; a silent reference makes the sample not applicable, a silent candidate is invalid."""
        del sample
        candidate, reference = features["candidate_voice"], features["reference_voice"]
        spoken = speech_seconds(features["candidate_speech"])
        reference_spoken = speech_seconds(features["reference_speech"])
        details = {
            "speech_seconds": spoken,
            "reference_speech_seconds": reference_spoken,
            "seconds": candidate.number("seconds"),
            "reference_seconds": reference.number("seconds"),
        }
        # The reference goes first: which samples leave the denominator must not depend on the candidate.
        if reason := missing_speech(reference_spoken):
            return Score.not_applicable(f"reference: {reason}", **details)
        if reference["embedding"].size == 0:
            return Score.not_applicable(f"reference: {_TOO_SHORT}", **details)
        if reason := missing_speech(spoken):
            return Score.invalid(reason, **details)
        if candidate["embedding"].size == 0:
            return Score.invalid(_TOO_SHORT, **details)
        return Score.ok(cosine(candidate["embedding"], reference["embedding"]), **details)
