"""``video_quality/face_motion``: whether the face moves as much as that of the real reply."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

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
from vidchatbench_metrics.video_quality.optical_flow import farneback, to_grey, warp_back

ROWS = slice(20, 105)
COLUMNS = slice(15, 97)
"""The face within its crop of 112 x 112: flow is unreliable at the crop's border, and the background shows there."""

_FLAT = np.float32(1e-3)
"""Weight of a place without any edge, so that a face without one has a fit too."""

Plane = NDArray[np.float32]

MIN_MOTION = 0.01
"""Pixels of the crop a frame below which a real reply is a still picture; living faces have over 0.1."""


class FaceMotion(FrameExtractor):
    """Motion within the responder's face, pair by pair of neighbouring frames.

    Both frames are cut by the first one's landmarks, so that nothing is hidden by an alignment that follows the face. A
    motion of the whole face, of the head or of the camera, does not count.

    Feature:
        value: float64 (n,), mean length of the flow within the face in pixels of the crop of 112 x 112, see
            :func:`motion_between`; one per pair whose first frame shows the responder's face.
        meta: ``frames`` at 25 a second, ``measurable``, the number of pairs.
    """

    id = "video_quality/face_flow"
    version = 2
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
    """Returns how far the face moves within itself: the mean length of the flow, less that of the face as a whole.

    The whole moves by an affine map, so nothing is left of a picture that is shifted, turned, scaled or sheared. In
    flat skin flow falls short of such a motion. So the map is fitted where there are edges, the second picture is moved
    back by it, and the flow is taken anew.

    Args:
        first: uint8 grey of shape (112, 112).
        second: The same, cut out at the same place.

    Returns:
        Pixels of the crop.
    """
    edges = _edges(first)
    moved = _of_the_whole(farneback(first, second), edges)
    still = np.rint(warp_back(second[..., None], moved)[0]).astype(np.uint8)
    flow = farneback(first, still)
    within = (flow - _of_the_whole(flow, edges))[ROWS, COLUMNS].astype(np.float64)
    return float(np.hypot(within[..., 0], within[..., 1]).mean())


def _edges(picture: NDArray[np.uint8]) -> Plane:
    """Returns the squared gradient of every pixel by central differences, float32 of shape (height, width)."""
    down, right = np.gradient(picture.astype(np.float32))
    return np.asarray(down * down + right * right + _FLAT, np.float32)


def _of_the_whole(flow: Plane, weights: Plane) -> Plane:
    """Returns the affine flow that is nearest to a flow within the face, by weighted least squares.

    Args:
        flow: float32 of shape (112, 112, 2).
        weights: float32 of shape (112, 112).

    Returns:
        float32 of shape (112, 112, 2).
    """
    basis = _affine_basis(weights.shape)
    face = basis[ROWS, COLUMNS].reshape(-1, 3)
    weighted = face * weights[ROWS, COLUMNS].reshape(-1, 1)
    fit = np.linalg.solve(weighted.T @ face, weighted.T @ flow[ROWS, COLUMNS].reshape(-1, 2))
    return np.asarray(basis @ fit, np.float32)


@cache
def _affine_basis(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Returns 1, x and y of every pixel of a picture, from its middle, of shape (height, width, 3)."""
    y, x = np.indices(shape, np.float64)
    return np.stack([np.ones_like(x), x - x.mean(), y - y.mean()], axis=-1)


class FaceMotionRatio(AgainstReference):
    """Motion within the face against that of the real reply, smaller over larger, in 0..1, higher is better."""

    default_card = load_card(__package__, "cards/face_motion.toml")
    extractor = "video_quality/face_flow"
    fps = float(FPS)
    quantity = "motion"
    least = MIN_MOTION
    too_little = "does not move"
