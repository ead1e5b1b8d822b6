"""Lip sync error by SyncNet: confidence (LSE-C), distance (LSE-D) and offset of the responder's face and voice."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api import ExtractorSpec, Feature, Metric, MetricCard, Need, Role, Sample, Score, load_card
from vidchatbench_metrics.av_sync.distances import Lse, chance, shifted_distances, summarise
from vidchatbench_metrics.av_sync.network import NETWORKS, PICTURE_WINDOW
from vidchatbench_metrics.speech.silero import missing_speech, speech_of, speech_seconds

MIN_COVERAGE = 0.5
"""Share of frames that must show the responder's face."""

MIN_SECONDS = 1.0
"""Seconds that face and sound must have in common."""

TRACKS_IN_DETAIL = 4

_FPS = 25
_SAMPLES_PER_FRAME = 640
# Segments are stored in float32; a tenth of a millisecond is more than they can be off.
_ROUNDING = 1e-4


class _SyncMetric(Metric):
    """The base of the eight metrics.

    Parameters:
        network: ``syncnet_v2``, or ``sha256:<64 hex>`` for any state dict of that network in the weights mirror.

    Class attributes:
        crop: The rule of the crops, see :class:`vidchatbench_metrics.av_sync.picture.SyncNetPicture`.
        speech_only: Whether only windows within the candidate's speech count.
    """

    defaults = {"network": NETWORKS.default}
    crop: ClassVar[str] = "lossless"
    speech_only: ClassVar[bool] = False

    @staticmethod
    @abstractmethod
    def value(lse: Lse) -> float:
        """Returns the metric's number."""

    def make_card(self) -> MetricCard:
        """Returns the card; another network is another protocol."""
        network = NETWORKS.find(str(self.params["network"]), self.default_card.id)
        variant = "" if network.name == NETWORKS.default else f"-{network.in_protocol}"
        return NETWORKS.card(self.default_card, network.name, variant=variant)

    def needs(self) -> tuple[Need, ...]:
        """Embeddings of the candidate's picture and of its sound, and where it speaks if that matters."""
        network = self.params["network"]
        picture = ExtractorSpec.of("av_sync/syncnet_picture", crop=self.crop, network=network)
        sound = ExtractorSpec.of("av_sync/syncnet_sound", network=network)
        needs = (Need("picture", picture, (Role.CANDIDATE,)), Need("sound", sound, (Role.CANDIDATE,)))
        return (*needs, speech_of(Role.CANDIDATE)) if self.speech_only else needs

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Scores the responder's track; other faces are recorded beside it."""
        del sample
        picture, sound = features["picture"], features["sound"]
        primary, tracks = picture.meta["primary"], int(picture.number("tracks"))
        frames = int(picture.number("frames"))
        spoken = features["candidate_speech"] if self.speech_only else None
        if spoken is not None and (reason := missing_speech(speech_seconds(spoken))):
            return Score.invalid(reason, speech_seconds=speech_seconds(spoken), tracks=tracks)
        if primary is None:
            return Score.invalid("the responder's face is in no track that is long and large enough", tracks=tracks)
        shown = len(_shown(picture, int(primary)))
        coverage = shown / frames
        if coverage < MIN_COVERAGE:
            return Score.invalid(
                f"the responder's face was followed through {shown} of {frames} frames; at least half is needed",
                tracks=tracks,
                coverage=coverage,
            )
        common = _common(picture, sound, int(primary)) / _FPS
        if problem := _too_little(common, frames / _FPS):
            return Score.invalid(f"face and sound have {problem}", coverage=coverage)
        windows = _windows(picture, sound, int(primary))
        if spoken is not None:
            windows = windows.only(_in_speech(windows.starts, spoken))
            if len(windows.starts) == 0:
                return Score.invalid("no 0.2 s of the responder's face lie within speech", coverage=coverage)
        lse, by_chance = summarise(windows.distances()), chance(windows.shown, windows.heard, windows.rows)
        details: dict[str, float | int] = {
            "offset": lse.offset,
            "distance": lse.distance,
            "confidence": lse.confidence,
            "chance_offset": by_chance.offset,
            "chance_distance": by_chance.distance,
            "chance_confidence": by_chance.confidence,
            "scored_seconds": len(windows.starts) / _FPS,
            "coverage": coverage,
            "tracks": tracks,
        }
        others = {} if spoken is not None else self._tracks(picture, sound)
        return Score.ok(self.value(lse), **details, **others)

    def _tracks(self, picture: Feature, sound: Feature) -> dict[str, float]:
        """Returns the number of each of the longest tracks, where there are several."""
        numbers, lengths = np.unique(picture["track"], return_counts=True)
        if len(numbers) < 2:  # noqa: PLR2004 - a single track is the score itself
            return {}
        longest = numbers[np.argsort(-lengths, kind="stable")][:TRACKS_IN_DETAIL]
        values: dict[str, float] = {}
        for number in sorted(int(number) for number in longest):
            windows = _windows(picture, sound, number)
            if len(windows.starts):
                values[f"track{number}"] = self.value(summarise(windows.distances()))
        return values


class _Confidence(_SyncMetric):
    @staticmethod
    def value(lse: Lse) -> float:
        """The confidence."""
        return lse.confidence


class _Distance(_SyncMetric):
    @staticmethod
    def value(lse: Lse) -> float:
        """The distance."""
        return lse.distance


class _Offset(_SyncMetric):
    @staticmethod
    def value(lse: Lse) -> float:
        """The size of the offset; its sign is in the details."""
        return float(abs(lse.offset))


class Confidence(_Confidence):
    """LSE-C over the whole clip, the paper's ``Sync_conf``: 0 or more, higher is better."""

    default_card = load_card(__package__, "cards/lse_c.toml")


class Distance(_Distance):
    """LSE-D over the whole clip: 0 or more, lower is better."""

    default_card = load_card(__package__, "cards/lse_d.toml")


class Offset(_Offset):
    """Frames by which voice and lips are apart: 0 to 15, lower is better."""

    default_card = load_card(__package__, "cards/offset.toml")


class ConfidenceSgc(_Confidence):
    """LSE-C with the constants of SyncNet's own pipeline."""

    default_card = load_card(__package__, "cards/lse_c_sgc.toml")
    crop = "sgc"


class DistanceSgc(_Distance):
    """LSE-D with the constants of SyncNet's own pipeline."""

    default_card = load_card(__package__, "cards/lse_d_sgc.toml")
    crop = "sgc"


class OffsetSgc(_Offset):
    """Frames by which voice and lips are apart, with the constants of SyncNet's own pipeline."""

    default_card = load_card(__package__, "cards/offset_sgc.toml")
    crop = "sgc"


class ConfidenceInSpeech(_Confidence):
    """LSE-C where the candidate speaks."""

    default_card = load_card(__package__, "cards/lse_c_speech.toml")
    speech_only = True


class DistanceInSpeech(_Distance):
    """LSE-D where the candidate speaks."""

    default_card = load_card(__package__, "cards/lse_d_speech.toml")
    speech_only = True


def _too_little(common: float, seconds: float) -> str | None:
    """Returns why face and sound have too little in common, as the rest of a sentence about it."""
    if common < MIN_SECONDS:
        return f"{common:.2f} s in common; 1 s is needed"
    # Few windows have an uneven curve of distances, whose depth is the score: a short sound must not pay.
    if common < MIN_COVERAGE * seconds:
        return f"{common:.2f} s of {seconds:.2f} s in common; at least half is needed"
    return None


def _shown(picture: Feature, track: int) -> NDArray[np.int64]:
    """Returns the frames that show a track, in ascending order."""
    starts = picture["frame"][picture["track"] == track]
    return np.unique(starts[:, None] + np.arange(PICTURE_WINDOW))


def _sound_frames(sound: Feature) -> int:
    return int(sound.number("samples")) // _SAMPLES_PER_FRAME


def _common(picture: Feature, sound: Feature, track: int) -> int:
    """Returns how many frames of a track have sound."""
    return int(np.count_nonzero(_shown(picture, track) < _sound_frames(sound)))


@dataclass(frozen=True)
class _Windows:
    """The windows of a track that count.

    Attributes:
        shown: Embeddings of the pictures, of shape (n, d).
        heard: Embeddings of the sound under the track, of shape (m, d).
        rows: The row of ``heard`` that goes with each row of ``shown``, of shape (n,).
        starts: The frames that they start at, of shape (n,).
    """

    shown: NDArray[np.float32]
    heard: NDArray[np.float32]
    rows: NDArray[np.int32]
    starts: NDArray[np.int32]

    def only(self, chosen: NDArray[np.bool_]) -> _Windows:
        """Returns some of the windows; they are still compared with the whole sound."""
        return _Windows(self.shown[chosen], self.heard, self.rows[chosen], self.starts[chosen])

    def distances(self) -> NDArray[np.float64]:
        """Returns the distance of each window at each shift."""
        return shifted_distances(self.shown, self.heard, self.rows)


def _windows(picture: Feature, sound: Feature, track: int) -> _Windows:
    """Returns the windows of a track that count.

    As in the reference, which cuts the sound to the track: from its first frame to its last or to the sound's end, less
    5. Where the face is lost between, the sound goes on.
    """
    own = picture["track"] == track
    starts = picture["frame"][own]
    first, end = int(starts[0]), min(int(starts[-1]) + PICTURE_WINDOW, _sound_frames(sound)) - PICTURE_WINDOW
    counted = starts < end
    heard = sound["embedding"][first : max(first, end)]
    return _Windows(picture["embedding"][own][counted], heard, starts[counted] - first, starts[counted])


def _in_speech(starts: NDArray[np.int32], speech: Feature) -> NDArray[np.bool_]:
    """Returns which windows lie within a segment of speech from beginning to end."""
    begin = starts.astype(np.float64) / _FPS
    end = begin + PICTURE_WINDOW / _FPS
    segments = speech["segments"].astype(np.float64).reshape(-1, 2)
    inside = (begin[:, None] >= segments[:, 0] - _ROUNDING) & (end[:, None] <= segments[:, 1] + _ROUNDING)
    return np.asarray(inside.any(axis=1), np.bool_)
