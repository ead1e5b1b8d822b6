"""``voice/dnsmos_*``: how clean and natural the reply sounds, as listeners would rate it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from vidchatbench.api import ExtractorSpec, Feature, Metric, Need, Role, Sample, Score, load_card
from vidchatbench_metrics.voice.gate import lacks_speech, speech_of, speech_seconds

_PACKAGE = "vidchatbench_metrics.voice"
LOWEST_MOS, HIGHEST_MOS = 1.0, 5.0


class _Dnsmos(Metric):
    """One of the scores of ``voice/dnsmos_scores``, cut to the scale of opinion scores."""

    array: ClassVar[str]

    def needs(self) -> tuple[Need, ...]:
        """Speech and predicted scores of the candidate."""
        return (
            speech_of(Role.CANDIDATE),
            Need("dnsmos", ExtractorSpec.of("voice/dnsmos_scores"), (Role.CANDIDATE,)),
        )

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Takes the mean over hops; the value before cutting is kept as ``unclipped``."""
        del sample
        spoken = speech_seconds(features["candidate_speech"])
        hops = int(features["dnsmos"].number("hops"))
        if reason := lacks_speech(spoken):
            return Score.invalid(reason, speech_seconds=spoken, hops=hops)
        value = float(features["dnsmos"][self.array])
        clipped = min(max(value, LOWEST_MOS), HIGHEST_MOS)
        return Score.ok(clipped, speech_seconds=spoken, hops=hops, unclipped=value)


class DnsmosSignal(_Dnsmos):
    """DNSMOS P.835 SIG: distortion of the speech itself, 1..5 MOS, higher is better."""

    default_card = load_card(_PACKAGE, "cards/dnsmos_sig.toml")
    array = "sig"


class DnsmosBackground(_Dnsmos):
    """DNSMOS P.835 BAK: intrusiveness of the background, 1..5 MOS, higher is better (less noise)."""

    default_card = load_card(_PACKAGE, "cards/dnsmos_bak.toml")
    array = "bak"


class DnsmosOverall(_Dnsmos):
    """DNSMOS P.835 OVRL: overall quality with signal and background both judged, 1..5 MOS, higher is better."""

    default_card = load_card(_PACKAGE, "cards/dnsmos_ovr.toml")
    array = "ovr"


class DnsmosP808(_Dnsmos):
    """DNSMOS P.808: overall quality from a mel spectrogram, 1..5 MOS, higher is better."""

    default_card = load_card(_PACKAGE, "cards/dnsmos_p808.toml")
    array = "p808"
