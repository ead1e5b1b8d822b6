"""``voice/dnsmos_*``: opinion scores of speech that networks predict without a reference (ITU-T P.835 and P.808)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api import (
    SAMPLE_RATE,
    Array,
    Audio,
    AudioExtractor,
    ExtractorContext,
    ExtractorSpec,
    Feature,
    Metric,
    Need,
    Role,
    Sample,
    Score,
    as_array,
    load_card,
)
from vidchatbench_metrics.common.onnx_network import OnnxNetwork
from vidchatbench_metrics.speech.silero import missing_speech, speech_of, speech_seconds
from vidchatbench_metrics.voice.mel import MelOptions, mel_spectrogram, power_to_db
from vidchatbench_metrics.voice.mos import clip_to_scale

P835 = "dnsmos_p835"
P808 = "dnsmos_p808"
MEL = MelOptions(n_fft=321, hop=160, n_mels=120, sample_rate=SAMPLE_RATE)
SCORES = ("sig", "bak", "ovr", "p808")
MARGIN_SECONDS = 0.2
"""Sound before and after each segment of speech that is heard with it."""

_PACKAGE = "vidchatbench_metrics.voice"
_FRAME = MEL.hop
_MARGIN_FRAMES = MARGIN_SECONDS * SAMPLE_RATE / _FRAME
_WINDOW_SECONDS = 9.01
_WINDOW = 144_160
# The P.808 network takes 900 frames, one less than the whole window has.
_P808_SAMPLES = _WINDOW - MEL.hop
# Highest power first, in the order in which the network answers: SIG, BAK, OVR.
_POLYNOMIALS = (
    (-0.08397278, 1.22083953, 0.0052439),
    (-0.13166888, 1.60915514, -0.39604546),
    (-0.06766283, 1.11546468, 0.04602535),
)


class DnsmosScores(AudioExtractor):
    """Predicted mean opinion scores of the clip's speech.

    Silence is clean background, so only the segments of speech are heard, each with 0.2 s before and after it, one
    behind the other. A window of 9.01 s moves by 1 s over them; each position is a hop. Shorter sound is repeated until
    it fills one window.

    Arrays:
        sig, bak, ovr, p808: float64 scalars, mean over hops, in MOS; not cut to 1..5. P.835 quality of the signal, of
            the background (higher is less noise) and overall, and P.808 overall quality.
        sig_hops, bak_hops, ovr_hops, p808_hops: float64 (hops,), the same for each hop.

    Meta:
        hops: Number of hops.
        seconds: Length of what is heard, before it is repeated.

    Source: microsoft/DNS-Challenge @ 591184a (MIT), ``DNSMOS/dnsmos_local.py``, non-personalised; Reddy et al. 2022,
    arXiv 2110.01763, and 2021, arXiv 2010.15258.
    """

    id: ClassVar[str] = "voice/dnsmos_scores"
    version: ClassVar[int] = 3
    packages: ClassVar[tuple[str, ...]] = ("onnxruntime",)
    _networks: tuple[OnnxNetwork, OnnxNetwork] | None = None

    @property
    def weights(self) -> tuple[str, ...]:
        """The networks of P.835 and P.808."""
        return (P835, P808)

    @property
    def requires(self) -> Mapping[str, ExtractorSpec]:
        """Where someone speaks."""
        return {"speech": ExtractorSpec.of("speech/silero")}

    def setup(self, context: ExtractorContext) -> None:
        """Opens both networks."""
        self._networks = (OnnxNetwork(context.weights[P835]), OnnxNetwork(context.weights[P808]))

    def release(self) -> None:
        """Closes both networks."""
        self._networks = None

    def extract(self, audio: Audio, upstream: Mapping[str, Feature]) -> Feature:
        """Returns the feature of one clip; sound of any length is accepted, without speech it is scored as silence."""
        return self.scores(speech_only(audio.samples, upstream["speech"]["segments"]))

    def scores(self, samples: NDArray[np.float32]) -> Feature:
        """Returns the feature of a sound as it is, speech or not; of 9.01 s and more as the reference scores it.

        Args:
            samples: float32 of shape (n,) at 16 kHz, of any length.
        """
        if self._networks is None:
            raise RuntimeError("setup() comes before extract()")
        sound = fill_window(np.clip(samples, -1.0, 1.0))
        # One hop at a time: the first network needs 150 MB a hop, and a batch would not be faster on one thread.
        rows = [self._score_hop(*self._networks, sound[start : start + _WINDOW]) for start in hop_starts(len(sound))]
        table = np.array(rows, dtype=np.float64).reshape(len(rows), len(SCORES))
        arrays: dict[str, Array] = {}
        for column, name in enumerate(SCORES):
            arrays[name] = np.asarray(table[:, column].mean(), dtype=np.float64)
            arrays[f"{name}_hops"] = as_array(table[:, column], "float64")
        return Feature(arrays, {"hops": len(rows), "seconds": len(samples) / SAMPLE_RATE})

    @staticmethod
    def _score_hop(p835: OnnxNetwork, p808: OnnxNetwork, window: NDArray[np.float32]) -> list[float]:
        raw = p835.run(input_1=window[None])[0][0]
        overall = p808.run(input_1=p808_input(window)[None])[0][0, 0]
        return [*calibrate(raw), float(overall)]


def speech_only(samples: NDArray[np.float32], segments: Array) -> NDArray[np.float32]:
    """Cuts out the segments of speech with 0.2 s of sound before and after each, and joins them.

    The cuts lie on a grid of 10 ms from the start of the sound: the networks look at frames of that step, and another
    phase of the frames alone moves BAK by up to half a point.

    Args:
        samples: float32 of shape (n,) at 16 kHz.
        segments: Shape (m, 2), start and end of each segment in seconds, in time order.

    Returns:
        float32 of shape (k,), k <= n and a multiple of 160; what lies in the margins of two segments is there once.
    """
    frames = samples[: len(samples) // _FRAME * _FRAME].reshape(-1, _FRAME)
    chosen = np.zeros(len(frames), np.bool_)
    for start, end in np.asarray(segments, np.float64).reshape(-1, 2) * SAMPLE_RATE / _FRAME:
        first = max(0, round(start - _MARGIN_FRAMES))
        chosen[first : round(end + _MARGIN_FRAMES)] = True
    return frames[chosen].ravel()


def fill_window(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Repeats sound that is shorter than a window of 9.01 s until it fills one.

    The reference doubles it instead, to up to twice a window, and scores up to seven windows of the same seconds. One
    differs from their mean by 0.02 MOS on average, which is less than another phase of the frames makes.

    Args:
        samples: float32 of shape (n,) at 16 kHz; no sound at all counts as silence.

    Returns:
        float32 of shape (m,), m >= 144160.
    """
    return samples if len(samples) >= _WINDOW else np.resize(samples, _WINDOW)


def hop_starts(n_samples: int) -> list[int]:
    """Returns where the windows start that are scored.

    The reference computes the end of a window as ``int((hop + 9.01) * 16000)``; in double precision that falls one
    sample short for hops 7 to 23 and some beyond 100, and it skips the windows that are then too short. Published
    values rest on this, so the same hops are skipped here.

    Args:
        n_samples: Length of the sound, at least 144160.

    Returns:
        First sample of each window.
    """
    hops = int(n_samples // SAMPLE_RATE - _WINDOW_SECONDS) + 1
    starts = [hop * SAMPLE_RATE for hop in range(hops)]
    ends = [int((hop + _WINDOW_SECONDS) * SAMPLE_RATE) for hop in range(hops)]
    return [start for start, end in zip(starts, ends, strict=True) if min(end, n_samples) - start >= _WINDOW]


def p808_input(window: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns what the P.808 network takes: a mel spectrogram in decibels, scaled to -1..1.

    Args:
        window: float32 of shape (144160,).

    Returns:
        float32 of shape (900, 120).
    """
    decibels = power_to_db(mel_spectrogram(window[:_P808_SAMPLES], MEL))
    return (decibels + np.float32(40.0)) / np.float32(40.0)


def calibrate(raw: NDArray[np.float32]) -> list[float]:
    """Maps the P.835 network's answers to MOS by the published polynomials of the second degree.

    Args:
        raw: float32 of shape (3,): SIG, BAK, OVR.

    Returns:
        SIG, BAK and OVR in MOS; bad sound can fall a little below 1.
    """
    return [float(np.polyval(polynomial, float(value))) for polynomial, value in zip(_POLYNOMIALS, raw, strict=True)]


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
        heard = features["dnsmos"]
        details = {
            "speech_seconds": spoken,
            "scored_seconds": heard.number("seconds"),
            "hops": int(heard.number("hops")),
        }
        if reason := missing_speech(spoken):
            return Score.invalid(reason, **details)
        value = float(heard[self.array])
        return Score.ok(clip_to_scale(value), **details, unclipped=value)


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
