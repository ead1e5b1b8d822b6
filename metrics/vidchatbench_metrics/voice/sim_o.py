"""``voice/sim_o``: whether the reply is spoken with the responder's voice, as papers on speech synthesis measure it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from vidchatbench.api import ExtractorSpec, Feature, Metric, MetricCard, Need, Param, Role, Sample, Score, load_card
from vidchatbench_metrics.voice.gate import lacks_speech, speech_of, speech_seconds
from vidchatbench_metrics.voice.shared import WAVLM_LARGE, card_for
from vidchatbench_metrics.voice.similarity import cosine

_TOO_SHORT = "the sound is shorter than two frames (45 ms)"


class SimO(Metric):
    """Cosine between WavLM speaker embeddings of the candidate and of the real reply, in -1..1, higher is better.

    Parameters:
        network: ``wavlm_large`` (the official one), or ``sha256:<64 hex>`` for any network of that wiring whose file
            lies in the weights mirror.
    """

    default_card = load_card("vidchatbench_metrics.voice", "cards/sim_o.toml")
    defaults: ClassVar[Mapping[str, Param]] = {"network": WAVLM_LARGE}

    def make_card(self) -> MetricCard:
        """Returns the card; another network is another protocol."""
        return card_for(self.default_card, WAVLM_LARGE, str(self.params["network"]))

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
        """Compares the voices; a silent reference is nobody's fault, a silent candidate is the submission's."""
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
        if reason := lacks_speech(reference_spoken):
            return Score.not_applicable(f"reference: {reason}", **details)
        if reference["embedding"].size == 0:
            return Score.not_applicable(f"reference: {_TOO_SHORT}", **details)
        if reason := lacks_speech(spoken):
            return Score.invalid(reason, **details)
        if candidate["embedding"].size == 0:
            return Score.invalid(_TOO_SHORT, **details)
        return Score.ok(cosine(candidate["embedding"], reference["embedding"]), **details)
