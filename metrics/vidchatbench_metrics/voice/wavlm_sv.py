"""The voice of a clip as a vector: WavLM-large, fine-tuned for speaker verification."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from vidchatbench.api import SAMPLE_RATE, Audio, AudioExtractor, ExtractorContext, Feature, Param, as_array
from vidchatbench_metrics.voice.shared import WAVLM_LARGE, frame_count, heard_part, is_official, weight_of

if TYPE_CHECKING:
    from vidchatbench_metrics.voice.wavlm_network import SpeakerNetwork

LEAST_FRAMES = 2
"""The features are normalised over time, which takes two of them."""


class WavlmSpeakerEmbedding(AudioExtractor):
    """Speaker embedding of the first 60 s of a clip, scaled to zero mean and unit variance; pauses are not cut out.

    Parameters:
        network: ``wavlm_large`` (the official one), or ``sha256:<64 hex>`` for any network of that wiring, of any
            width, whose file lies in the weights mirror.

    Arrays:
        embedding: float32 (256,), not scaled to unit length; of shape (0,) where the sound is shorter than 45 ms.

    Meta:
        frames: Number of frames, 50 a second.
        seconds: Length of what was heard.

    Source: microsoft/UniSpeech @ 40d3227, ``downstreams/speaker_verification``; Chen et al. 2022, arXiv 2110.13900.
    """

    id: ClassVar[str] = "voice/wavlm_sv_embedding"
    defaults: ClassVar[Mapping[str, Param]] = {"network": WAVLM_LARGE}
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers")
    _network: SpeakerNetwork | None = None

    @property
    def weights(self) -> tuple[str, ...]:
        """The network."""
        return (weight_of(str(self.params["network"])),)

    def setup(self, context: ExtractorContext) -> None:
        """Loads the network."""
        from vidchatbench_metrics.voice.wavlm_network import SpeakerNetwork  # loads torch

        official = is_official(str(self.params["network"]))
        self._network = SpeakerNetwork(context.weights[self.weights[0]], context.device, official=official)

    def release(self) -> None:
        """Lets go of the network."""
        self._network = None

    def extract(self, audio: Audio, upstream: Mapping[str, Feature]) -> Feature:
        """Returns the feature of one clip; silence and sound of any length are accepted."""
        if self._network is None:
            raise RuntimeError("setup() comes before extract()")
        heard = heard_part(audio.samples)
        frames = frame_count(len(heard))
        embedding = self._network.embed(heard) if frames >= LEAST_FRAMES else np.zeros(0, dtype=np.float32)
        return Feature(
            {"embedding": as_array(embedding, "float32")}, {"frames": frames, "seconds": len(heard) / SAMPLE_RATE}
        )
