"""``video_quality/face_motion``: whether the face moves as much as that of the real reply."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api import (
    ClipInfo,
    ExtractorContext,
    ExtractorSpec,
    Feature,
    Frame,
    FrameExtractor,
    Timeline,
    as_array,
    load_card,
)
from vidchatbench_metrics.faces.alignment import align_face
from vidchatbench_metrics.faces.timeline import faces_at, responder_tracklets
from vidchatbench_metrics.video_quality.against_reference import AgainstReference
from vidchatbench_metrics.video_quality.neighbours import FPS, NeighbourSession
from vidchatbench_metrics.video_quality.optical_flow import farneback, to_grey

ROWS = slice(20, 105)
COLUMNS = slice(15, 97)
"""The face within its crop of 112 x 112: flow is unreliable at the crop's border, and the background shows there."""

MIN_MOTION = 0.01
"""Pixels of the crop a frame below which a real reply is a still picture; living faces have over 0.1."""


class FaceMotion(FrameExtractor):
    """Motion within the responder's face, pair by pair of neighbouring frames.

    Both frames are cut by the first one's landmarks, so that a motion of the camera counts and nothing is hidden by an
    alignment that follows the face.

    Feature:
        value: float64 (n,), mean length of the flow in pixels of the crop of 112 x 112, one per pair whose first frame
            shows the responder's face.
        meta: ``frames`` at 25 a second, ``measurable``, the number of pairs.
    """

    id = "video_quality/face_flow"
    packages = ("cv2",)

    @property
    def fps(self) -> float:
        """The time line on which frames are neighbours."""
        return float(FPS)

    @property
    def requires(self) -> Mapping[str, ExtractorSpec]:
        """Face tracks."""
        return {"faces": ExtractorSpec.of("faces/mtcnn")}

    def setup(self, context: ExtractorContext) -> None:
        """Loads OpenCV."""
        del context
        importlib.import_module("cv2")

    def begin(self, clip: ClipInfo, upstream: Mapping[str, Timeline]) -> _Session:
        """Starts a clip."""
        del clip
        return _Session(upstream["faces"])


@dataclass(frozen=True)
class _Crop:
    tracklet: int
    landmarks: NDArray[np.float64]
    grey: NDArray[np.uint8]


class _Session(NeighbourSession[list[_Crop]]):
    def __init__(self, faces: Timeline) -> None:
        super().__init__()
        self._faces = faces
        # Which faces are the responder's is known only at the end, so every one is measured.
        self._values: dict[int, list[float]] = {}

    def keep(self, frame: Frame) -> list[_Crop]:
        faces = faces_at(self._faces, frame.time)
        return [
            _Crop(face.tracklet, face.landmarks, to_grey(align_face(frame.rgb(), face.landmarks))) for face in faces
        ]

    def compare(self, kept: list[_Crop], frame: Frame) -> None:
        for crop in kept:
            motion = motion_between(crop.grey, to_grey(align_face(frame.rgb(), crop.landmarks)))
            self._values.setdefault(crop.tracklet, []).append(motion)

    def finish(self) -> Feature:
        values = [value for number in responder_tracklets(self._faces) for value in self._values.get(number, [])]
        return Feature({"value": as_array(values, "float64")}, {"frames": self.frames, "measurable": self.pairs})


def motion_between(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Returns the mean length of the flow within the face, in pixels.

    Args:
        first: uint8 grey of shape (112, 112).
        second: The same, cut out at the same place.
    """
    flow = farneback(first, second)[ROWS, COLUMNS].astype(np.float64)
    return float(np.hypot(flow[..., 0], flow[..., 1]).mean())


class FaceMotionRatio(AgainstReference):
    """Motion within the face against that of the real reply, smaller over larger, in 0..1, higher is better."""

    default_card = load_card(__package__, "cards/face_motion.toml")
    extractor = "video_quality/face_flow"
    fps = float(FPS)
    quantity = "motion"
    least = MIN_MOTION
    too_little = "does not move"
