"""``speech/silero``: where someone speaks, by Silero VAD, and whether that is enough to judge a clip.

The network is run from its ONNX file without the package, which imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api import (
    SAMPLE_RATE,
    Audio,
    AudioExtractor,
    ExtractorContext,
    ExtractorSpec,
    Feature,
    Need,
    Role,
    as_array,
)
from vidchatbench_metrics.common.onnx_network import OnnxNetwork

WEIGHT = "silero_vad_16k"

WINDOW = 512
"""Samples that one probability stands for (32 ms)."""

MIN_SPEECH_SECONDS = 0.3
_CONTEXT = 64
_STATE_SHAPE = (2, 1, 128)
_ENTER = 0.5
_LEAVE = _ENTER - 0.15
_MIN_SPEECH = 250 * SAMPLE_RATE // 1000
_MIN_SILENCE = 100 * SAMPLE_RATE // 1000
_PAD = 30 * SAMPLE_RATE // 1000


class SileroSpeech(AudioExtractor):
    """Speech probability and speech segments of a clip, by Silero VAD 6 with the package's default constants.

    Arrays:
        probability: float32 (n,), in 0..1, one for each window of 512 samples; the last window is filled up with
            zeros.
        segments: float32 (m, 2), start and end of each segment in seconds, in time order, without overlap.

    Meta:
        speech_seconds: Sum of the lengths of the segments in seconds.
        duration: Length of the sound in seconds.

    Source: snakers4/silero-vad 6.2.3 (MIT), ``get_speech_timestamps``.
    """

    id: ClassVar[str] = "speech/silero"
    packages: ClassVar[tuple[str, ...]] = ("onnxruntime",)
    _network: OnnxNetwork | None = None

    @property
    def weights(self) -> tuple[str, ...]:
        """The 16 kHz network."""
        return (WEIGHT,)

    def setup(self, context: ExtractorContext) -> None:
        """Opens the network."""
        self._network = OnnxNetwork(context.weights[WEIGHT])

    def release(self) -> None:
        """Closes the network."""
        self._network = None

    def extract(self, audio: Audio, upstream: Mapping[str, Feature]) -> Feature:
        """Returns the feature of one clip; sound of any length is accepted, none at all has no segments."""
        if self._network is None:
            raise RuntimeError("setup() comes before extract()")
        probability = speech_probability(self._network, audio.samples)
        segments = speech_segments(probability.tolist(), len(audio.samples))
        samples = sum(end - start for start, end in segments)
        seconds = np.asarray(segments, dtype=np.float64).reshape(-1, 2) / SAMPLE_RATE
        return Feature(
            {"probability": as_array(probability, "float32"), "segments": as_array(seconds, "float32")},
            {"speech_seconds": samples / SAMPLE_RATE, "duration": audio.duration},
        )


def speech_probability(network: OnnxNetwork, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the probability of speech in each window of 512 samples.

    Args:
        network: The 16 kHz network; it takes a window after the last 64 samples of the one before, and its own state.
        samples: float32 of shape (n,), mono at 16 kHz, in -1..1.

    Returns:
        float32 of shape (ceil(n / 512),), in 0..1.
    """
    count = -(-len(samples) // WINDOW)
    padded = np.zeros(_CONTEXT + count * WINDOW, dtype=np.float32)
    padded[_CONTEXT : _CONTEXT + len(samples)] = samples
    probability = np.zeros(count, dtype=np.float32)
    state = np.zeros(_STATE_SHAPE, dtype=np.float32)
    rate = np.array(SAMPLE_RATE, dtype=np.int64)
    for index in range(count):
        chunk = padded[index * WINDOW : index * WINDOW + _CONTEXT + WINDOW]
        output, state = network.run(input=chunk[None], state=state, sr=rate)
        probability[index] = output[0, 0]
    return probability


def speech_segments(probability: Sequence[float], n_samples: int) -> list[tuple[int, int]]:
    """Turns probabilities into segments of speech.

    Speech starts at a probability of 0.5 or more and ends at the first window below 0.35 that 100 ms without a
    return to 0.5 follow; segments of 250 ms or less are dropped; the others are widened by 30 ms on both sides, and
    where a pause is shorter than that its neighbours meet in the middle.

    Args:
        probability: One value for each window of 512 samples.
        n_samples: Length of the sound in samples.

    Returns:
        Start and end of each segment in samples, within ``0..n_samples``.
    """
    segments: list[tuple[int, int]] = []
    start: int | None = None
    silent_since: int | None = None
    for index, value in enumerate(probability):
        now = index * WINDOW
        if value >= _ENTER:
            silent_since = None
            start = now if start is None else start
        elif value < _LEAVE and start is not None:
            silent_since = now if silent_since is None else silent_since
            if now - silent_since >= _MIN_SILENCE:
                segments.append((start, silent_since))
                start = silent_since = None
    if start is not None:
        segments.append((start, n_samples))
    return _widened([(first, last) for first, last in segments if last - first > _MIN_SPEECH], n_samples)


def _widened(segments: list[tuple[int, int]], n_samples: int) -> list[tuple[int, int]]:
    starts = [start for start, _ in segments]
    ends = [end for _, end in segments]
    if segments:
        starts[0] = max(0, starts[0] - _PAD)
        ends[-1] = min(n_samples, ends[-1] + _PAD)
    for index in range(len(segments) - 1):
        pad = min(_PAD, (starts[index + 1] - ends[index]) // 2)
        ends[index] += pad
        starts[index + 1] -= pad
    return list(zip(starts, ends, strict=True))


def speech_of(role: Role) -> Need:
    """Returns the need for the speech segments of a role, under the name ``<role>_speech``."""
    return Need(f"{role.value}_speech", ExtractorSpec.of("speech/silero"), (role,))


def speech_seconds(feature: Feature) -> float:
    """Returns the seconds of speech in a clip, from the feature of ``speech/silero``."""
    return feature.number("speech_seconds")


def missing_speech(seconds: float) -> str | None:
    """Returns why a clip cannot be judged, or ``None`` if it holds 0.3 s of speech or more."""
    if seconds >= MIN_SPEECH_SECONDS:
        return None
    return f"no speech: {seconds:.2f} s found, {MIN_SPEECH_SECONDS:g} s is needed"
