"""Face tracks as a timeline: where each tracked face is at any time, interpolated between key frames."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api import Feature, Timeline, as_array

BRIDGED_KEYS = 2
"""A face missing in one key frame but found in the next is interpolated across the gap."""

MATCHING_IOU = 0.3
"""Least intersection over union with the last box for a detection to continue a track."""


@dataclass(frozen=True)
class Face:
    """One face in one picture.

    Attributes:
        track: Number of the track it belongs to.
        box: float64 of shape (4,): left, top, right, bottom in pixels of the upright picture.
        landmarks: float64 of shape (5, 2): eyes, nose, corners of the mouth, each the image-left one first.
    """

    track: int
    box: NDArray[np.float64]
    landmarks: NDArray[np.float64]


@dataclass
class Track:
    """One face through the clip: its detections by key frame."""

    number: int
    keys: list[int] = field(default_factory=list)
    boxes: list[NDArray[np.float64]] = field(default_factory=list)
    landmarks: list[NDArray[np.float64]] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    def add(self, key: int, box: NDArray[np.float64], landmarks: NDArray[np.float64], score: float) -> None:
        """Appends the detection of a key frame."""
        self.keys.append(key)
        self.boxes.append(box)
        self.landmarks.append(landmarks)
        self.scores.append(score)

    @property
    def weight(self) -> float:
        """Area of the face summed over key frames; the responder is the track with the most of it."""
        return float(sum(max(0.0, b[2] - b[0]) * max(0.0, b[3] - b[1]) for b in self.boxes))

    def at(self, position: float, last_key: int) -> Face | None:
        """Returns the face at a position counted in key frames, or ``None`` where the track has none."""
        after = int(np.searchsorted(self.keys, position, side="left"))
        if after < len(self.keys) and self.keys[after] == position:
            return Face(self.number, self.boxes[after], self.landmarks[after])
        if after == 0:
            return None
        before = after - 1
        if after == len(self.keys):
            # Past the clip's last key frame nothing contradicts the face seen there.
            held = self.keys[before] == last_key and position - last_key < 1
            return Face(self.number, self.boxes[before], self.landmarks[before]) if held else None
        span = self.keys[after] - self.keys[before]
        if span > BRIDGED_KEYS:
            return None
        share = (position - self.keys[before]) / span
        box = (1 - share) * self.boxes[before] + share * self.boxes[after]
        landmarks = (1 - share) * self.landmarks[before] + share * self.landmarks[after]
        return Face(self.number, box, landmarks)


class FaceTimeline:
    """Tracks that grow key frame by key frame and can be asked for the faces at a time.

    Args:
        fps: Key frames per second.
    """

    def __init__(self, fps: float) -> None:
        self._fps = fps
        self._n_keys = 0
        self._closed = False
        self.tracks: list[Track] = []

    def add_key(self, boxes: NDArray[np.float64], landmarks: NDArray[np.float64], scores: NDArray[np.float64]) -> None:
        """Continues the tracks with the detections of the next key frame.

        Detections and tracks are matched greedily by intersection over union, best pair first; what is left over
        starts new tracks, in order of score.

        Args:
            boxes: Shape (n, 4).
            landmarks: Shape (n, 5, 2).
            scores: Shape (n,).
        """
        key = self._n_keys
        self._n_keys += 1
        alive = [track for track in self.tracks if key - track.keys[-1] <= BRIDGED_KEYS]
        overlaps = [
            (_iou(track.boxes[-1], box), -t, -d) for t, track in enumerate(alive) for d, box in enumerate(boxes)
        ]
        taken: set[int] = set()
        continued: set[int] = set()
        for overlap, t, d in sorted(overlaps, reverse=True):
            if overlap < MATCHING_IOU or -t in continued or -d in taken:
                continue
            continued.add(-t)
            taken.add(-d)
            alive[-t].add(key, boxes[-d], landmarks[-d], float(scores[-d]))
        for d in sorted(set(range(len(boxes))) - taken, key=lambda d: -scores[d]):
            track = Track(len(self.tracks))
            track.add(key, boxes[d], landmarks[d], float(scores[d]))
            self.tracks.append(track)

    def close(self) -> None:
        """Ends the timeline: no key frame follows."""
        self._closed = True

    def horizon(self) -> float:
        """Time up to which the answer is final: a gap may still be bridged by the key frame after next."""
        return math.inf if self._closed else (self._n_keys - BRIDGED_KEYS) / self._fps

    def at(self, time: float) -> list[Face]:
        """Returns the faces at a time in seconds, in order of track number."""
        position = time * self._fps
        nearest = round(position)
        if abs(position - nearest) < 1e-6:  # noqa: PLR2004 - times are binary fractions of a second
            position = float(nearest)
        faces = (track.at(position, self._n_keys - 1) for track in self.tracks)
        return [face for face in faces if face is not None]

    def primary(self) -> int | None:
        """Number of the responder's track, ``None`` if no face was found at all."""
        best = max(self.tracks, key=lambda track: (track.weight, -track.number), default=None)
        return None if best is None else best.number

    def to_feature(self) -> Feature:
        """Returns the tracks as a feature; see :class:`vidchatbench_metrics.faces.tracks.FaceTracks`."""
        rows = [(track, i) for track in self.tracks for i in range(len(track.keys))]
        arrays = {
            "track": as_array([track.number for track, _ in rows], "int32"),
            "key": as_array([track.keys[i] for track, i in rows], "int32"),
            "box": as_array([track.boxes[i] for track, i in rows], "float64").reshape(-1, 4),
            "landmarks": as_array([track.landmarks[i] for track, i in rows], "float64").reshape(-1, 5, 2),
            "score": as_array([track.scores[i] for track, i in rows], "float64"),
        }
        meta = {"fps": self._fps, "n_keys": self._n_keys, "n_tracks": len(self.tracks), "primary": self.primary()}
        return Feature(arrays, meta)

    @classmethod
    def from_feature(cls, feature: Feature) -> FaceTimeline:
        """Rebuilds the tracks from a feature."""
        timeline = cls(feature.number("fps"))
        timeline.tracks = [Track(number) for number in range(int(feature.number("n_tracks")))]
        columns = (feature[name] for name in ("track", "key", "box", "landmarks", "score"))
        for number, key, box, landmarks, score in zip(*columns, strict=True):
            timeline.tracks[int(number)].add(int(key), box, landmarks, float(score))
        timeline._n_keys = int(feature.number("n_keys"))
        timeline.close()
        return timeline

    def result(self) -> Feature:
        """The finished feature; part of :class:`vidchatbench.api.Timeline`."""
        return self.to_feature()


def faces_at(timeline: Timeline, time: float) -> list[Face]:
    """Asks a timeline of ``faces/mtcnn`` for the faces at a time."""
    return cast("list[Face]", timeline.at(time))


def primary_track(timeline: Timeline) -> int | None:
    """Returns the responder's track of a finished timeline of ``faces/mtcnn``."""
    return cast("int | None", timeline.result().meta["primary"])


def _iou(one: NDArray[np.float64], two: NDArray[np.float64]) -> float:
    width = min(one[2], two[2]) - max(one[0], two[0])
    height = min(one[3], two[3]) - max(one[1], two[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    areas = (one[2] - one[0]) * (one[3] - one[1]) + (two[2] - two[0]) * (two[3] - two[1])
    return float(shared / (areas - shared))
