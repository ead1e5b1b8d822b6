"""Faces of a clip as a timeline: where each face is at any time, interpolated between key frames.

Detections are linked into tracklets by overlap while the clip is read. Which tracklets are one person, a track, is
settled at the clip's end; see :mod:`vidchatbench_metrics.faces.linking`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api import Feature, Timeline, as_array
from vidchatbench_metrics.faces.linking import MATCHING_IOU, Span, iou, link, may_be_one

BRIDGED_KEYS = 2
"""A face missing in one key frame but found in the next is interpolated across the gap."""


@dataclass(frozen=True)
class Face:
    """One face in one picture.

    Attributes:
        tracklet: Number of the tracklet it belongs to.
        box: float64 of shape (4,): left, top, right, bottom in pixels of the upright picture.
        landmarks: float64 of shape (5, 2): eyes, nose, corners of the mouth, each the image-left one first.
    """

    tracklet: int
    box: NDArray[np.float64]
    landmarks: NDArray[np.float64]


@dataclass
class Tracklet:
    """One face through consecutive key frames: its detections, with gaps of one key frame at most."""

    number: int
    keys: list[int] = field(default_factory=list)
    boxes: list[NDArray[np.float64]] = field(default_factory=list)
    landmarks: list[NDArray[np.float64]] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    embeddings: list[NDArray[np.float32]] = field(default_factory=list)

    def add(
        self,
        key: int,
        box: NDArray[np.float64],
        landmarks: NDArray[np.float64],
        score: float,
        embedding: NDArray[np.float32] | None = None,
    ) -> None:
        """Appends the detection of a key frame."""
        self.keys.append(key)
        self.boxes.append(box)
        self.landmarks.append(landmarks)
        self.scores.append(score)
        if embedding is not None:
            self.embeddings.append(embedding)

    @property
    def weight(self) -> float:
        """Area of the face summed over key frames, in square pixels."""
        return float(sum(max(0.0, b[2] - b[0]) * max(0.0, b[3] - b[1]) for b in self.boxes))

    def at(self, position: float, last_key: int) -> Face | None:
        """Returns the face at a position counted in key frames, or ``None`` where the tracklet has none."""
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

    def span(self) -> Span:
        """What decides which person it belongs to."""
        return Span(self.keys[0], self.keys[-1], self.boxes[0], self.boxes[-1], self.weight, self.embeddings)


class FaceTimeline:
    """Tracklets that grow key frame by key frame and can be asked for the faces at a time.

    Args:
        fps: Key frames per second.
    """

    def __init__(self, fps: float) -> None:
        self._fps = fps
        self._n_keys = 0
        self._closed = False
        self._oldest_alive = 0
        self.tracklets: list[Tracklet] = []

    def add_key(
        self,
        boxes: NDArray[np.float64],
        landmarks: NDArray[np.float64],
        scores: NDArray[np.float64],
        embeddings: NDArray[np.float32] | None = None,
    ) -> None:
        """Continues the tracklets with the detections of the next key frame.

        Detections and tracklets are matched greedily by intersection over union, best pair first; what is left over
        starts new tracklets, in order of score. Where one starts, the tracklets missed in that key frame end: the
        new face may be theirs, elsewhere in the picture.

        Args:
            boxes: Shape (n, 4).
            landmarks: Shape (n, 5, 2).
            scores: Shape (n,).
            embeddings: Shape (n, d), where a network has looked at the faces: a detection then continues a tracklet
                only if they may be one person (:func:`vidchatbench_metrics.faces.linking.may_be_one`).
        """
        key = self._n_keys
        self._n_keys += 1
        looks: list[NDArray[np.float32]] = [] if embeddings is None else list(embeddings)
        alive = [tracklet for tracklet in self.tracklets if tracklet.keys[-1] >= self._oldest_alive]
        overlaps = [
            (iou(tracklet.boxes[-1], box), -t, -d) for t, tracklet in enumerate(alive) for d, box in enumerate(boxes)
        ]
        taken: set[int] = set()
        continued: set[int] = set()
        for overlap, t, d in sorted(overlaps, reverse=True):
            if overlap < MATCHING_IOU or -t in continued or -d in taken:
                continue
            if not may_be_one(alive[-t].embeddings, looks[-d : 1 - d]):
                continue
            continued.add(-t)
            taken.add(-d)
            alive[-t].add(key, boxes[-d], landmarks[-d], float(scores[-d]), *looks[-d : 1 - d])
        new = sorted(set(range(len(boxes))) - taken, key=lambda d: -scores[d])
        for d in new:
            tracklet = Tracklet(len(self.tracklets))
            tracklet.add(key, boxes[d], landmarks[d], float(scores[d]), *looks[d : d + 1])
            self.tracklets.append(tracklet)
        self._oldest_alive = key if new else key + 1 - BRIDGED_KEYS

    def close(self) -> None:
        """Ends the timeline: no key frame follows."""
        self._closed = True

    def horizon(self) -> float:
        """Time up to which the answer is final: a gap may still be bridged by the key frame after next."""
        return math.inf if self._closed else (self._n_keys - BRIDGED_KEYS) / self._fps

    def at(self, time: float) -> list[Face]:
        """Returns the faces at a time in seconds, in order of tracklet number."""
        position = time * self._fps
        nearest = round(position)
        if abs(position - nearest) < 1e-6:  # noqa: PLR2004 - times are binary fractions of a second
            position = float(nearest)
        faces = (tracklet.at(position, self._n_keys - 1) for tracklet in self.tracklets)
        return [face for face in faces if face is not None]

    def tracks(self) -> list[list[int]]:
        """Returns the tracklets of each person seen so far, persons in order of appearance."""
        return link([tracklet.span() for tracklet in self.tracklets])

    def to_feature(self) -> Feature:
        """Returns the faces as a feature; see :class:`vidchatbench_metrics.faces.tracks.FaceTracks`."""
        tracks = self.tracks()
        weights = [sum(self.tracklets[number].weight for number in track) for track in tracks]
        track_of = {number: position for position, track in enumerate(tracks) for number in track}
        rows = [(tracklet, i) for tracklet in self.tracklets for i in range(len(tracklet.keys))]
        arrays = {
            "tracklet": as_array([tracklet.number for tracklet, _ in rows], "int32"),
            "track": as_array([track_of[tracklet.number] for tracklet, _ in rows], "int32"),
            "key": as_array([tracklet.keys[i] for tracklet, i in rows], "int32"),
            "box": as_array([tracklet.boxes[i] for tracklet, i in rows], "float64").reshape(-1, 4),
            "landmarks": as_array([tracklet.landmarks[i] for tracklet, i in rows], "float64").reshape(-1, 5, 2),
            "score": as_array([tracklet.scores[i] for tracklet, i in rows], "float64"),
        }
        if any(tracklet.embeddings for tracklet in self.tracklets):
            arrays["embedding"] = as_array([tracklet.embeddings[i] for tracklet, i in rows], "float32")
        primary = int(np.argmax(weights)) if weights else None
        meta = {"fps": self._fps, "n_keys": self._n_keys, "n_tracks": len(tracks), "primary": primary}
        return Feature(arrays, meta)

    @classmethod
    def from_feature(cls, feature: Feature) -> FaceTimeline:
        """Rebuilds the timeline from a feature."""
        timeline = cls(feature.number("fps"))
        columns = (feature[name] for name in ("tracklet", "key", "box", "landmarks", "score"))
        for i, (number, key, box, landmarks, score) in enumerate(zip(*columns, strict=True)):
            if int(number) == len(timeline.tracklets):
                timeline.tracklets.append(Tracklet(int(number)))
            look = feature["embedding"][i] if "embedding" in feature.arrays else None
            timeline.tracklets[int(number)].add(int(key), box, landmarks, float(score), look)
        timeline._n_keys = int(feature.number("n_keys"))
        timeline.close()
        return timeline

    def result(self) -> Feature:
        """The finished feature; part of :class:`vidchatbench.api.Timeline`."""
        return self.to_feature()


def faces_at(timeline: Timeline, time: float) -> list[Face]:
    """Asks a timeline of ``faces/mtcnn`` for the faces at a time."""
    return cast("list[Face]", timeline.at(time))


def track_numbers(timeline: Timeline) -> dict[int, int]:
    """Returns the track of each tracklet of a finished timeline of ``faces/mtcnn``."""
    feature = timeline.result()
    return dict(zip(feature["tracklet"].tolist(), feature["track"].tolist(), strict=True))


def responder_tracklets(timeline: Timeline) -> tuple[int, ...]:
    """Returns the tracklets of the responder in a finished timeline of ``faces/mtcnn``; empty without a face.

    They are in order of time, and no two of them have a face at the same time.
    """
    primary = timeline.result().meta["primary"]
    return tuple(tracklet for tracklet, track in track_numbers(timeline).items() if track == primary)


def responder_boxes(timeline: Timeline) -> NDArray[np.float64]:
    """Returns the responder's boxes in a finished timeline of ``faces/mtcnn``, one per key frame that shows them.

    Shape (n, 4): left, top, right, bottom in pixels of the upright picture.
    """
    feature = timeline.result()
    primary = feature.meta["primary"]
    boxes: NDArray[np.float64] = feature["box"].astype(np.float64)
    return boxes[feature["track"] == primary] if primary is not None else boxes[:0]
