"""``voice/resemblyzer``: whether the reply is spoken with the responder's voice."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vidchatbench.api import Array, ExtractorSpec, Feature, Metric, Need, Role, Sample, Score, load_card
from vidchatbench_metrics.voice.gate import lacks_speech, speech_of, speech_seconds

_PACKAGE = "vidchatbench_metrics.voice"
_EMBEDDING = ExtractorSpec.of("voice/resemblyzer_embedding")


class VoiceSimilarity(Metric):
    """Cosine between the speaker embeddings of the candidate and of the real reply, in -1..1, higher is better."""

    default_card = load_card(_PACKAGE, "cards/resemblyzer.toml")

    def needs(self) -> tuple[Need, ...]:
        """Speech and speaker embedding of candidate and reference."""
        return (
            speech_of(Role.CANDIDATE),
            speech_of(Role.REFERENCE),
            Need("candidate_voice", _EMBEDDING, (Role.CANDIDATE,)),
            Need("reference_voice", _EMBEDDING, (Role.REFERENCE,)),
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
            "partials": int(candidate.number("partials")),
            "reference_partials": int(reference.number("partials")),
        }
        # The reference goes first: which samples leave the denominator must not depend on the candidate.
        if reason := lacks_speech(reference_spoken):
            return Score.not_applicable(f"reference: {reason}", **details)
        if reference.number("voiced_seconds") <= 0:
            return Score.not_applicable("reference: no voiced sound is left after trimming", **details)
        if reason := lacks_speech(spoken):
            return Score.invalid(reason, **details)
        if candidate.number("voiced_seconds") <= 0:
            return Score.invalid("no speech: no voiced sound is left after trimming", **details)
        return Score.ok(cosine(candidate["embedding"], reference["embedding"]), **details)


def cosine(first: Array, second: Array) -> float:
    """Returns the cosine of the angle between two vectors, in -1..1; 0 if one of them is zero.

    Args:
        first: Of shape (n,).
        second: Of shape (n,).
    """
    a, b = first.astype(np.float64), second.astype(np.float64)
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    if lengths == 0.0:
        return 0.0
    # Rounding can carry the quotient past 1 by the last bit.
    return float(np.clip(float(a @ b) / lengths, -1.0, 1.0))
