"""``av_sync/mouth_envelope``: whether the mouth opens when the voice is loud, without a network but the detector's."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vidchatbench.api import (
    SAMPLE_RATE,
    Audio,
    AudioExtractor,
    ClipInfo,
    ExtractorSpec,
    Feature,
    Frame,
    FrameExtractor,
    FrameSession,
    Metric,
    Need,
    Role,
    Sample,
    Score,
    Timeline,
    as_array,
    load_card,
)
from vidchatbench_metrics.faces.alignment import align_face
from vidchatbench_metrics.faces.timeline import faces_at, responder_tracklets

FPS = 25
SAMPLES_PER_FRAME = SAMPLE_RATE // FPS
MOUTH = (range(84, 102), range(40, 72))
"""Rows and columns of the mouth in the aligned face of 112 x 112."""

DARK_PERCENTILE = 10
PREEMPHASIS = 0.97

ENERGY_FLOOR = 1e-6
"""Added to the energy of a frame before its logarithm: about the rounding noise of 16-bit sound."""

AVERAGED = 25
"""Frames of the moving mean that is subtracted: slow changes of light and loudness say nothing about lips."""

LEAST_DEVIATION = 1e-6
"""Below it a series is constant: what is left after the moving mean is rounding."""

LAGS = (-1, 0, 1)
MIN_SECONDS = 1.0
MIN_COVERAGE = 0.5


class MouthDarkness(FrameExtractor):
    """How dark the darkest tenth of the responder's mouth is, frame by frame: an open mouth shows its inside.

    Feature:
        level: float64 (n,), 10th percentile of grey in 0..255, one per frame that shows the responder's face.
        index: int32 (n,), the frames at 25 a second, ascending.
        meta: ``frames``, the number of frames read.
    """

    id = "av_sync/mouth_darkness"

    @property
    def fps(self) -> float:
        """Frames per second."""
        return float(FPS)

    @property
    def requires(self) -> Mapping[str, ExtractorSpec]:
        """Face tracks."""
        return {"faces": ExtractorSpec.of("faces/mtcnn")}

    def begin(self, clip: ClipInfo, upstream: Mapping[str, Timeline]) -> _Session:
        """Starts a clip."""
        del clip
        return _Session(upstream["faces"])


class _Session(FrameSession):
    def __init__(self, faces: Timeline) -> None:
        self._faces = faces
        self._frames = 0
        # Which faces are the responder's is known only at the end, so every one is measured.
        self._levels: dict[int, list[tuple[int, float]]] = {}

    def push(self, frame: Frame) -> None:
        self._frames += 1
        for face in faces_at(self._faces, frame.time):
            level = mouth_level(frame.rgb(), face.landmarks)
            self._levels.setdefault(face.tracklet, []).append((frame.index, level))

    def finish(self) -> Feature:
        rows = [row for number in responder_tracklets(self._faces) for row in self._levels.get(number, [])]
        rows.sort()
        arrays = {
            "level": as_array([level for _, level in rows], "float64"),
            "index": as_array([index for index, _ in rows], "int32"),
        }
        return Feature(arrays, {"frames": self._frames})


class SoundEnergy(AudioExtractor):
    """Energy of the sound that belongs to each picture at 25 a second.

    Arrays:
        energy: float64 (n,), sum of squares of 640 samples after pre-emphasis; a last part of a frame is left out.
    """

    id = "av_sync/sound_energy"

    def extract(self, audio: Audio, upstream: Mapping[str, Feature]) -> Feature:
        """Returns the feature of one clip; sound of any length is accepted."""
        del upstream
        return Feature({"energy": as_array(sound_energy(audio.samples), "float64")})


class MouthEnvelope(Metric):
    """Correlation of the mouth's opening with the loudness of the voice, in -1..1, higher is better."""

    default_card = load_card(__package__, "cards/mouth_envelope.toml")

    def needs(self) -> tuple[Need, ...]:
        """Mouth and sound of the candidate."""
        return (
            Need("mouth", ExtractorSpec.of("av_sync/mouth_darkness"), (Role.CANDIDATE,)),
            Need("sound", ExtractorSpec.of("av_sync/sound_energy"), (Role.CANDIDATE,)),
        )

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Correlates what varies within a second."""
        del sample
        index, energy = features["mouth"]["index"], features["sound"]["energy"]
        frames = int(features["mouth"].number("frames"))
        if len(index) == 0 or len(index) < MIN_COVERAGE * frames:
            reason = f"the responder's face was found in {len(index)} of {frames} frames; at least half is needed"
            return Score.invalid(reason, frames=frames)
        heard = index < len(energy)
        seconds, details = float(heard.sum()) / FPS, {"frames": frames, "coverage": len(index) / frames}
        if seconds < max(MIN_SECONDS, MIN_COVERAGE * frames / FPS):
            reason = f"face and sound have {seconds:.2f} s of {frames / FPS:.2f} s in common; 1 s and half are needed"
            return Score.invalid(reason, **details)
        correlations = lagged_correlations(index[heard], features["mouth"]["level"][heard], energy)
        return Score.ok(float(np.mean(correlations)), seconds=seconds, **details)


def mouth_level(picture: NDArray[np.uint8], landmarks: NDArray[np.float64]) -> float:
    """Returns the 10th percentile of grey in the mouth of a face, in 0..255; low where the mouth is open.

    Args:
        picture: uint8 RGB of shape (height, width, 3).
        landmarks: Shape (5, 2), see :func:`vidchatbench_metrics.faces.alignment.align_face`.
    """
    mouth = Image.fromarray(align_face(picture, landmarks, MOUTH)).convert("L")
    return float(np.percentile(np.asarray(mouth), DARK_PERCENTILE))


def sound_energy(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """Returns the energy of every whole 640 samples of pre-emphasised sound, float64 of shape (n // 640,).

    Args:
        samples: float32 of shape (n,), mono at 16 kHz, in -1..1.
    """
    sound = samples.astype(np.float64)
    sound[1:] -= PREEMPHASIS * samples[:-1]
    whole = len(sound) // SAMPLES_PER_FRAME
    parts = sound[: whole * SAMPLES_PER_FRAME].reshape(whole, SAMPLES_PER_FRAME)
    energy: NDArray[np.float64] = np.square(parts).sum(axis=1)
    return energy


def lagged_correlations(
    index: NDArray[np.int32], level: NDArray[np.float64], energy: NDArray[np.float64]
) -> list[float]:
    """Returns Pearson's correlation of opening and loudness with the sound shifted by -1, 0 and 1 frames.

    Args:
        index: Frames that show the mouth, ascending, of shape (n,).
        level: Its level in them, of shape (n,).
        energy: Energy of the sound in every frame, of shape (m,).

    Returns:
        One correlation per lag, in -1..1; 0 where one of the two does not vary.
    """
    opening = without_moving_mean(-level, index)
    loudness = without_moving_mean(np.log10(energy + ENERGY_FLOOR), np.arange(len(energy)))
    correlations = []
    for lag in LAGS:
        there = (index + lag >= 0) & (index + lag < len(energy))
        correlations.append(_pearson(opening[there], loudness[index[there] + lag]))
    return correlations


def without_moving_mean(values: NDArray[np.float64], index: NDArray[np.signedinteger]) -> NDArray[np.float64]:
    """Returns values less the mean of those within 12 frames of them, fewer at the ends and where there are gaps.

    Args:
        values: Shape (n,).
        index: Frames that they belong to, ascending, of shape (n,).
    """
    sums = np.concatenate([np.zeros(1), np.cumsum(values)])
    first = np.searchsorted(index, index - AVERAGED // 2, side="left")
    end = np.searchsorted(index, index + AVERAGED // 2, side="right")
    result: NDArray[np.float64] = values - (sums[end] - sums[first]) / (end - first)
    return result


def _pearson(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    if min(float(first.std()), float(second.std())) < LEAST_DEVIATION:
        return 0.0
    return float(np.clip(np.corrcoef(first, second)[0, 1], -1.0, 1.0))
