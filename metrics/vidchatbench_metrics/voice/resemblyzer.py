"""``voice/resemblyzer``: whether the voices are alike, by Resemblyzer's GE2E speaker encoder behind our own front end.

The package is not imported: it needs a compiler to install and a scipy of years ago to start. Its weights and its
constants are used as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from vidchatbench.api import (
    SAMPLE_RATE,
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
from vidchatbench_metrics.common.torch_weights import load_state
from vidchatbench_metrics.common.vectors import cosine
from vidchatbench_metrics.speech.silero import missing_speech, speech_of, speech_seconds
from vidchatbench_metrics.voice.mel import MelOptions, mel_spectrogram

if TYPE_CHECKING:
    from pathlib import Path

    import torch

WEIGHT = "resemblyzer_encoder"
EMBEDDING_SIZE = 256
MEL = MelOptions(n_fft=400, hop=160, n_mels=40, sample_rate=SAMPLE_RATE)
_PACKAGE = "vidchatbench_metrics.voice"
_LEVEL_DBFS = -30.0
_INT16_MAX = 32767
_VAD_MODE = 3
_VAD_WINDOW = 30 * SAMPLE_RATE // 1000
_VAD_SMOOTHING = 8
_VAD_DILATION = 7
_PARTIAL_FRAMES = 160
_PARTIALS_PER_SECOND = 1.3
_MIN_COVERAGE = 0.75
_HIDDEN = 256
_LAYERS = 3
# A constant of its own: sums in the network could change in their last bits with the harness's batch size.
_PARTIALS_AT_ONCE = 8
_EMBEDDING = ExtractorSpec.of("voice/resemblyzer_embedding")


class ResemblyzerEmbedding(AudioExtractor):
    """Speaker embedding of the whole clip.

    The sound is raised to -30 dBFS, trimmed to its voiced parts, cut into overlapping partials of 1.6 s, and the mean
    of the partials' embeddings is scaled to unit length.

    Arrays:
        embedding: float32 (256,), of unit length and without negative values; all zeros where nothing is voiced.

    Meta:
        partials: Number of partials that were averaged.
        voiced_seconds: Seconds that the trimming left.

    Source: resemble-ai/Resemblyzer @ 15d828e (Apache-2.0), ``audio.py`` and ``voice_encoder.py``; network and loss:
    Wan et al. 2018, arXiv 1710.10467.
    """

    id: ClassVar[str] = "voice/resemblyzer_embedding"
    packages: ClassVar[tuple[str, ...]] = ("torch", "webrtcvad")
    _encoder: SpeakerEncoder | None = None

    @property
    def weights(self) -> tuple[str, ...]:
        """The encoder."""
        return (WEIGHT,)

    def setup(self, context: ExtractorContext) -> None:
        """Loads the encoder; it stays on the CPU, where it is fast enough and always gives the same numbers."""
        self._encoder = SpeakerEncoder(context.weights[WEIGHT])

    def release(self) -> None:
        """Releases the encoder."""
        self._encoder = None

    def extract(self, audio: Audio, upstream: Mapping[str, Feature]) -> Feature:
        """Returns the feature of one clip; silence and sound of any length are accepted."""
        if self._encoder is None:
            raise RuntimeError("setup() comes before extract()")
        voiced = trim_silence(raise_volume(audio.samples))
        partials = mel_partials(voiced)
        embedding = self._encoder.embed(partials)
        return Feature(
            {"embedding": as_array(embedding, "float32")},
            {"partials": len(partials), "voiced_seconds": len(voiced) / SAMPLE_RATE},
        )


class SpeakerEncoder:
    """Three LSTM layers of 256 cells, a linear layer with ReLU, scaled to unit length.

    Args:
        weights: The checkpoint; only its ``model_state`` is read.
    """

    def __init__(self, weights: Path) -> None:
        import torch  # heavy, and only extractors that run need it

        state = load_state(weights)["model_state"]
        self._lstm = torch.nn.LSTM(MEL.n_mels, _HIDDEN, _LAYERS, batch_first=True)
        self._linear = torch.nn.Linear(_HIDDEN, EMBEDDING_SIZE)
        self._lstm.load_state_dict(_below("lstm.", state))
        self._linear.load_state_dict(_below("linear.", state))
        self._lstm.eval()
        self._linear.eval()

    def embed(self, partials: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns the mean embedding of partials, scaled to unit length.

        Args:
            partials: float32 of shape (n, 160, 40).

        Returns:
            float32 of shape (256,), of unit length; zeros if there is no partial.
        """
        rows = [
            self._embed_some(partials[start : start + _PARTIALS_AT_ONCE])
            for start in range(0, len(partials), _PARTIALS_AT_ONCE)
        ]
        if not rows:
            return np.zeros(EMBEDDING_SIZE, dtype=np.float32)
        mean = np.concatenate(rows).mean(axis=0, dtype=np.float64)
        return _unit(mean).astype(np.float32)

    def _embed_some(self, partials: NDArray[np.float32]) -> NDArray[np.float64]:
        import torch  # loaded by the constructor

        with torch.inference_mode():
            _, (hidden, _) = self._lstm(torch.from_numpy(partials))
            raw = torch.relu(self._linear(hidden[-1])).numpy()
        return _unit(raw.astype(np.float64))


def raise_volume(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Raises the level of the sound to -30 dBFS (root mean square); louder sound and digital silence stay as they are.

    Args:
        samples: float32 of shape (n,), in -1..1.

    Returns:
        float32 of shape (n,); peaks may leave -1..1.
    """
    if len(samples) == 0:
        return samples
    level = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    target = 10.0 ** (_LEVEL_DBFS / 20.0)
    if level == 0.0 or level > target:
        return samples
    return samples * np.float32(target / level)


def trim_silence(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cuts out what WebRTC's voice detector (mode 3, 30 ms windows) calls unvoiced.

    Decisions are smoothed by a majority over 8 windows and widened by 3 windows on both sides, so that short pauses
    stay. The rest below a whole window at the end is dropped.

    Args:
        samples: float32 of shape (n,) at 16 kHz; 16-bit sound is what the detector hears, so peaks beyond -1..1 are
            cut off for it.

    Returns:
        float32 of shape (m,), m <= n and a multiple of 480.
    """
    import webrtcvad  # only extractors that run need it

    count = len(samples) // _VAD_WINDOW
    whole = samples[: count * _VAD_WINDOW]
    if count == 0:
        return whole
    pcm = np.clip(np.round(whole * _INT16_MAX), -_INT16_MAX - 1, _INT16_MAX).astype("<i2")
    # A new detector for each clip: it adapts to what it hears.
    detector = webrtcvad.Vad(_VAD_MODE)
    flags = np.array(
        [detector.is_speech(window.tobytes(), SAMPLE_RATE) for window in pcm.reshape(count, _VAD_WINDOW)], dtype=bool
    )
    return whole[np.repeat(smooth_flags(flags), _VAD_WINDOW)]


def smooth_flags(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Smooths voice decisions: more than half of 8 windows (3 before, 4 after), then widened by 3 on both sides.

    Args:
        flags: bool of shape (n,), n >= 1.

    Returns:
        bool of shape (n,).
    """
    before = (_VAD_SMOOTHING - 1) // 2
    padded = np.pad(flags, (before, _VAD_SMOOTHING - 1 - before))
    majority = sliding_window_view(padded, _VAD_SMOOTHING).sum(axis=1) > _VAD_SMOOTHING // 2
    widened = sliding_window_view(np.pad(majority, _VAD_DILATION // 2), _VAD_DILATION).any(axis=1)
    return np.asarray(widened, dtype=np.bool_)


def partial_starts(n_samples: int) -> list[int]:
    """Returns where the partials of a sound start.

    Partials last 160 frames (1.6 s) and start every 77 frames (1.3 a second). The last one may reach beyond the end;
    it is dropped if less than 75 % of it is covered, unless it is the only one.

    Args:
        n_samples: Length of the sound.

    Returns:
        Start of each partial in mel frames of 10 ms; at least one.
    """
    n_frames = -(-(n_samples + 1) // MEL.hop)
    step = round(SAMPLE_RATE / _PARTIALS_PER_SECOND / MEL.hop)
    starts = list(range(0, max(1, n_frames - _PARTIAL_FRAMES + step + 1), step))
    coverage = (n_samples - starts[-1] * MEL.hop) / (_PARTIAL_FRAMES * MEL.hop)
    return starts[:-1] if coverage < _MIN_COVERAGE and len(starts) > 1 else starts


def mel_partials(voiced: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the mel spectrograms (power, no logarithm) of the partials of a sound.

    Args:
        voiced: float32 of shape (n,), volume raised and silence trimmed.

    Returns:
        float32 of shape (partials, 160, 40), zero partials for no sound.
    """
    if len(voiced) == 0:
        return np.zeros((0, _PARTIAL_FRAMES, MEL.n_mels), dtype=np.float32)
    starts = partial_starts(len(voiced))
    missing = (starts[-1] + _PARTIAL_FRAMES) * MEL.hop - len(voiced)
    mel = mel_spectrogram(np.pad(voiced, (0, max(0, missing))), MEL)
    return np.stack([mel[start : start + _PARTIAL_FRAMES] for start in starts])


def _below(prefix: str, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    # ReLU can, in principle, leave nothing; a zero vector stays one instead of becoming NaN.
    return vectors / np.where(length > 0, length, 1.0)


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
        """Compares the voices; a silent reference makes the sample not applicable, a silent candidate is invalid."""
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
        if reason := missing_speech(reference_spoken):
            return Score.not_applicable(f"reference: {reason}", **details)
        if reference.number("voiced_seconds") <= 0:
            return Score.not_applicable("reference: no voiced sound is left after trimming", **details)
        if reason := missing_speech(spoken):
            return Score.invalid(reason, **details)
        if candidate.number("voiced_seconds") <= 0:
            return Score.invalid("no speech: no voiced sound is left after trimming", **details)
        return Score.ok(cosine(candidate["embedding"], reference["embedding"]), **details)
