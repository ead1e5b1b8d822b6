"""``video_quality/sharpness`` and ``/sharpness_frame``: how much fine detail the face and the picture carry."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vidchatbench.api import (
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
    Window,
    as_array,
    load_card,
    window_details,
)
from vidchatbench_metrics.common.geometry import GUIDES, HEIGHT, WIDTH
from vidchatbench_metrics.faces.timeline import faces_at, responder_tracklets

CROP = 128
MIN_FACE = 16
"""Faces with a side under this many pixels are not measured: their sharpness would be that of the interpolation."""


def laplacian_variance(grey: NDArray[np.uint8]) -> float:
    """Variance of the Laplacian of a grey picture.

    The kernel is (0 1 0 / 1 -4 1 / 0 1 0) with mirrored borders (the edge pixel not repeated) and the variance that of
    the population; equal to ``cv2.Laplacian(grey, cv2.CV_64F).var()``.

    Args:
        grey: uint8 of shape (height, width), both at least 2.

    Returns:
        A value of 0 or more, in squared grey levels.
    """
    padded = np.pad(grey.astype(np.int32), 1, mode="reflect")
    response = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:] - 4 * padded[1:-1, 1:-1]
    return float(response.astype(np.float64).var())


def face_crop(picture: NDArray[np.uint8], box: NDArray[np.float64]) -> NDArray[np.uint8] | None:
    """Cuts a face out and brings it to 128 x 128 grey pixels.

    Args:
        picture: uint8 RGB of shape (height, width, 3).
        box: left, top, right, bottom in pixels; what lies outside the picture is cut off.

    Returns:
        uint8 of shape (128, 128), or ``None`` where less than 16 pixels of a side are inside the picture.
    """
    height, width = picture.shape[:2]
    left, top = max(0, math.floor(box[0])), max(0, math.floor(box[1]))
    right, bottom = min(width, math.ceil(box[2])), min(height, math.ceil(box[3]))
    if right - left < MIN_FACE or bottom - top < MIN_FACE:
        return None
    grey = Image.fromarray(picture[top:bottom, left:right]).convert("L")
    return np.asarray(grey.resize((CROP, CROP), Image.Resampling.BILINEAR))


class FaceLaplacian(FrameExtractor):
    """Sharpness of the responder's face, frame by frame.

    Feature:
        value: float64 (n,), squared grey levels, one per frame in which the responder's face was measured.
        meta: ``frames``, the number of frames read.
    """

    id = "video_quality/face_laplacian"
    defaults = {"fps": 5}

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self.number("fps")

    @property
    def requires(self) -> Mapping[str, ExtractorSpec]:
        """Face tracks."""
        return {"faces": ExtractorSpec.of("faces/mtcnn")}

    def begin(self, clip: ClipInfo, upstream: Mapping[str, Timeline]) -> _FaceSession:
        """Starts a clip."""
        del clip
        return _FaceSession(upstream["faces"])


class _FaceSession(FrameSession):
    def __init__(self, faces: Timeline) -> None:
        self._faces = faces
        self._frames = 0
        # Which faces are the responder's is known only at the end, so every one is measured.
        self._values: dict[int, list[float]] = {}

    def push(self, frame: Frame) -> None:
        self._frames += 1
        for face in faces_at(self._faces, frame.time):
            crop = face_crop(frame.rgb(), face.box)
            if crop is not None:
                self._values.setdefault(face.tracklet, []).append(laplacian_variance(crop))

    def finish(self) -> Feature:
        values = [value for number in responder_tracklets(self._faces) for value in self._values.get(number, [])]
        return Feature({"value": as_array(values, "float64")}, {"frames": self._frames})


class FrameLaplacian(FrameExtractor):
    """Sharpness of the picture's window, scaled to 480 x 768, frame by frame.

    Feature:
        value: float64 (n,), squared grey levels, one per frame.
        meta: The window, see :meth:`vidchatbench.api.Window.meta`.
    """

    id = "video_quality/frame_laplacian"
    defaults = {"fps": 5}

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self.number("fps")

    @property
    def guides(self) -> Mapping[str, ExtractorSpec]:
        """The window."""
        return GUIDES

    def begin(self, clip: ClipInfo, upstream: Mapping[str, Timeline]) -> _PictureSession:
        """Starts a clip."""
        del clip
        return _PictureSession(Window.of(upstream["window"]))


class _PictureSession(FrameSession):
    def __init__(self, window: Window) -> None:
        self._window = window
        self._values: list[float] = []

    def push(self, frame: Frame) -> None:
        grey = np.asarray(Image.fromarray(frame.window(self._window.box, HEIGHT, WIDTH)).convert("L"))
        self._values.append(laplacian_variance(grey))

    def finish(self) -> Feature:
        return Feature({"value": as_array(self._values, "float64")}, self._window.meta())


class FaceSharpness(Metric):
    """Variance of the Laplacian of the responder's face, mean over frames, higher is sharper."""

    default_card = load_card(__package__, "cards/sharpness.toml")

    def needs(self) -> tuple[Need, ...]:
        """Sharpness of the face by frame."""
        return (Need("face", ExtractorSpec.of("video_quality/face_laplacian"), (Role.CANDIDATE,)),)

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Averages over the frames that show the face."""
        del sample
        values, frames = features["face"]["value"], int(features["face"].number("frames"))
        if len(values) == 0:
            return Score.invalid(f"no face of 16 pixels or more was found in {frames} frames", frames=frames)
        return Score.ok(float(values.mean()), frames=frames, frames_with_face=len(values))


class FrameSharpness(Metric):
    """Variance of the Laplacian of the whole picture, mean over frames, higher is sharper."""

    default_card = load_card(__package__, "cards/sharpness_frame.toml")

    def needs(self) -> tuple[Need, ...]:
        """Sharpness of the picture by frame."""
        spec = ExtractorSpec.of("video_quality/frame_laplacian")
        return (Need("frames", spec, (Role.CANDIDATE,), guide=Role.REFERENCE),)

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Averages over all frames."""
        del sample
        values = features["frames"]["value"]
        return Score.ok(float(values.mean()), frames=len(values), **window_details(features["frames"]))
