"""``identity/*_frames`` and ``/*_reference``: embeddings of the responder's face, by one network or the other."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api import (
    ClipInfo,
    ExtractorContext,
    ExtractorSpec,
    Feature,
    Frame,
    FrameExtractor,
    FrameSession,
    Timeline,
    as_array,
)
from vidchatbench_metrics.common.networks import Networks
from vidchatbench_metrics.faces.mtcnn import FaceDetector
from vidchatbench_metrics.faces.timeline import faces_at, responder_tracklets
from vidchatbench_metrics.faces.tracks import KEY_FPS, MAX_SIDE, MIN_FACE, MTCNN_WEIGHTS
from vidchatbench_metrics.identity.encoders import ArcFaceEncoder, FaceEncoder
from vidchatbench_metrics.identity.facenet_network import FacenetEncoder
from vidchatbench_metrics.identity.networks import ARCFACE, FACENET


class _Embedding(FrameExtractor):
    """What the extractors share: the network's file, and how to load it."""

    networks: ClassVar[Networks] = ARCFACE

    @property
    def network_weight(self) -> str:
        """The recognition network's name in the weights table."""
        return self.networks.weight_of(str(self.params["network"]))

    @abstractmethod
    def encoder(self, path: Path, device: str) -> FaceEncoder:
        """Loads the network."""


class _Frames(_Embedding):
    @property
    def fps(self) -> float:
        """Frames per second."""
        return self.number("fps")

    @property
    def weights(self) -> tuple[str, ...]:
        """The recognition network."""
        return (self.network_weight,)

    @property
    def requires(self) -> Mapping[str, ExtractorSpec]:
        """Face tracks."""
        return {"faces": ExtractorSpec.of("faces/mtcnn")}

    def setup(self, context: ExtractorContext) -> None:
        """Loads the network."""
        self._encoder = self.encoder(context.weights[self.network_weight], context.device)

    def begin(self, clip: ClipInfo, upstream: Mapping[str, Timeline]) -> _TrackSession:
        """Starts a clip."""
        del clip
        return _TrackSession(self._encoder, upstream["faces"])


class _Reference(_Embedding):
    packages = ("facenet_pytorch",)

    @property
    def fps(self) -> float:
        """Frames per second read until one shows a face."""
        return float(KEY_FPS)

    @property
    def weights(self) -> tuple[str, ...]:
        """The recognition network and the detector."""
        return (self.network_weight, *MTCNN_WEIGHTS)

    def setup(self, context: ExtractorContext) -> None:
        """Loads the detector and the network."""
        self._encoder = self.encoder(context.weights[self.network_weight], context.device)
        self._detector = FaceDetector(context.device, MIN_FACE)

    def begin(self, clip: ClipInfo, upstream: Mapping[str, Timeline]) -> _FirstFaceSession:
        """Starts a clip."""
        del clip, upstream
        return _FirstFaceSession(self._encoder, self._detector)


class _TrackSession(FrameSession):
    def __init__(self, encoder: FaceEncoder, faces: Timeline) -> None:
        self._encoder = encoder
        self._faces = faces
        self._frames = 0
        # Which faces are the responder's is known only at the end, so every one is embedded.
        self._rows: dict[int, list[tuple[float, NDArray[np.float32]]]] = {}

    def push(self, frame: Frame) -> None:
        self._frames += 1
        for face in faces_at(self._faces, frame.time):
            embedding = self._encoder.encode(frame.rgb(), face.box, face.landmarks)
            if embedding is not None:
                self._rows.setdefault(face.tracklet, []).append((frame.time, embedding))

    def finish(self) -> Feature:
        rows = [row for tracklet in responder_tracklets(self._faces) for row in self._rows.get(tracklet, [])]
        embeddings = np.stack([row for _, row in rows]) if rows else np.zeros((0, 0), np.float32)
        arrays = {"embedding": as_array(embeddings, "float32"), "time": as_array([t for t, _ in rows], "float64")}
        return Feature(arrays, {"frames": self._frames})


class _FirstFaceSession(FrameSession):
    def __init__(self, encoder: FaceEncoder, detector: FaceDetector) -> None:
        self._encoder = encoder
        self._detector = detector
        self._first: tuple[float, NDArray[np.float32]] | None = None

    @property
    def done(self) -> bool:
        return self._first is not None

    def push(self, frame: Frame) -> None:
        small, scale = frame.fit(MAX_SIDE)
        faces = self._detector.detect([small])[0].scaled(1 / scale)
        if len(faces.boxes) == 0:
            return
        sizes = (faces.boxes[:, 2] - faces.boxes[:, 0]) * (faces.boxes[:, 3] - faces.boxes[:, 1])
        largest = int(np.argmax(sizes))
        embedding = self._encoder.encode(frame.rgb(), faces.boxes[largest], faces.landmarks[largest])
        if embedding is not None:
            self._first = (frame.time, embedding)

    def finish(self) -> Feature:
        if self._first is None:
            return Feature({"embedding": np.zeros(0, np.float32)}, {"time": None})
        time, embedding = self._first
        return Feature({"embedding": as_array(embedding, "float32")}, {"time": time})


class ArcFaceFrames(_Frames):
    """ArcFace embedding of the responder's face in every frame of the grid.

    Feature:
        embedding: float32 (n, d), each row of length 1, one per frame that shows the responder's face.
        time: float64 (n,), seconds.
        meta: ``frames``, the number of frames read.
    """

    id = "identity/arcface_frames"
    version = 2
    defaults = {"network": ARCFACE.default, "fps": 25}

    def encoder(self, path: Path, device: str) -> FaceEncoder:
        """Loads the network."""
        return ArcFaceEncoder(path, device)


class ArcFaceReference(_Reference):
    """ArcFace embedding of the face that the system was given.

    The largest face of the first frame, on a grid of 5 a second, in which one is found; a still image has one frame.

    Feature:
        embedding: float32 (d,), of length 1; of shape (0,) where no face was found.
        meta: ``time`` in seconds of the frame, ``None`` where no face was found.
    """

    id = "identity/arcface_reference"
    version = 2
    defaults = {"network": ARCFACE.default}

    def encoder(self, path: Path, device: str) -> FaceEncoder:
        """Loads the network."""
        return ArcFaceEncoder(path, device)


class FacenetFrames(_Frames):
    """FaceNet embedding of the responder's face in every frame of the grid.

    Feature:
        embedding: float32 (n, 512), each row of length 1, one per frame that shows the responder's face.
        time: float64 (n,), seconds.
        meta: ``frames``, the number of frames read.
    """

    id = "identity/facenet_frames"
    defaults = {"network": FACENET.default, "fps": 25}
    networks = FACENET
    packages = ("facenet_pytorch",)

    def encoder(self, path: Path, device: str) -> FaceEncoder:
        """Loads the network."""
        return FacenetEncoder(path, device)


class FacenetReference(_Reference):
    """FaceNet embedding of the face that the system was given, chosen as for :class:`ArcFaceReference`.

    Feature:
        embedding: float32 (512,), of length 1; of shape (0,) where no face was found.
        meta: ``time`` in seconds of the frame, ``None`` where no face was found.
    """

    id = "identity/facenet_reference"
    defaults = {"network": FACENET.default}
    networks = FACENET

    def encoder(self, path: Path, device: str) -> FaceEncoder:
        """Loads the network."""
        return FacenetEncoder(path, device)
