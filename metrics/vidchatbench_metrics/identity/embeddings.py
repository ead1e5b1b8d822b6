"""``identity/arcface_frames`` and ``/arcface_reference``: embeddings of the responder's face."""

from __future__ import annotations

from collections.abc import Mapping

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
from vidchatbench_metrics.faces.mtcnn import FaceDetector
from vidchatbench_metrics.faces.timeline import faces_at, primary_track
from vidchatbench_metrics.faces.tracks import KEY_FPS, LONGEST, MIN_FACE, MTCNN_WEIGHTS
from vidchatbench_metrics.identity.alignment import align_face
from vidchatbench_metrics.identity.network import FaceNetwork, weight_of


class ArcFaceFrames(FrameExtractor):
    """Embedding of the responder's face in every frame of the grid.

    Feature:
        embedding: float32 (n, d), each row of length 1, one per frame that shows the responder's face.
        time: float64 (n,), seconds.
        meta: ``frames``, the number of frames looked at.
    """

    id = "identity/arcface_frames"
    defaults = {"network": "w600k_r50", "fps": 25}

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self.number("fps")

    @property
    def weights(self) -> tuple[str, ...]:
        """The recognition network."""
        return (weight_of(str(self.params["network"])),)

    @property
    def requires(self) -> Mapping[str, ExtractorSpec]:
        """Face tracks."""
        return {"faces": ExtractorSpec.of("faces/mtcnn")}

    def setup(self, context: ExtractorContext) -> None:
        """Loads the network."""
        self._network = FaceNetwork(context.weights[self.weights[0]], context.device)

    def begin(self, clip: ClipInfo, upstream: Mapping[str, Timeline]) -> _TrackSession:
        """Starts a clip."""
        del clip
        return _TrackSession(self._network, upstream["faces"])


class _TrackSession(FrameSession):
    def __init__(self, network: FaceNetwork, faces: Timeline) -> None:
        self._network = network
        self._faces = faces
        self._frames = 0
        # Which track is the responder's is known only at the end, so every track is embedded.
        self._rows: dict[int, list[tuple[float, NDArray[np.float32]]]] = {}

    def push(self, frame: Frame) -> None:
        self._frames += 1
        for face in faces_at(self._faces, frame.time):
            aligned = align_face(frame.rgb(), face.landmarks)
            row = (frame.time, self._network.embed([aligned])[0])
            self._rows.setdefault(face.track, []).append(row)

    def finish(self) -> Feature:
        primary = primary_track(self._faces)
        rows = [] if primary is None else self._rows.get(primary, [])
        embeddings = np.stack([row for _, row in rows]) if rows else np.zeros((0, 0), np.float32)
        arrays = {"embedding": as_array(embeddings, "float32"), "time": as_array([t for t, _ in rows], "float64")}
        return Feature(arrays, {"frames": self._frames})


class ArcFaceReference(FrameExtractor):
    """Embedding of the face that the system was given.

    The largest face of the first frame, on a grid of 5 a second, in which one is found; a still image has one frame.

    Feature:
        embedding: float32 (d,), of length 1; of shape (0,) where no face was found.
        meta: ``time`` in seconds of the frame, ``None`` where no face was found.
    """

    id = "identity/arcface_reference"
    defaults = {"network": "w600k_r50"}
    packages = ("facenet_pytorch",)

    @property
    def fps(self) -> float:
        """Frames per second looked at until a face is found."""
        return float(KEY_FPS)

    @property
    def weights(self) -> tuple[str, ...]:
        """The recognition network and the detector."""
        return (weight_of(str(self.params["network"])), *MTCNN_WEIGHTS)

    def setup(self, context: ExtractorContext) -> None:
        """Loads the detector and the network."""
        self._network = FaceNetwork(context.weights[self.weights[0]], context.device)
        self._detector = FaceDetector(context.device, MIN_FACE)

    def begin(self, clip: ClipInfo, upstream: Mapping[str, Timeline]) -> _FirstFaceSession:
        """Starts a clip."""
        del clip, upstream
        return _FirstFaceSession(self._network, self._detector)


class _FirstFaceSession(FrameSession):
    def __init__(self, network: FaceNetwork, detector: FaceDetector) -> None:
        self._network = network
        self._detector = detector
        self._found: tuple[float, NDArray[np.float32]] | None = None

    @property
    def done(self) -> bool:
        return self._found is not None

    def push(self, frame: Frame) -> None:
        small, scale = frame.fit(LONGEST)
        faces = self._detector.detect([small])[0].scaled(1 / scale)
        if len(faces.boxes) == 0:
            return
        sizes = (faces.boxes[:, 2] - faces.boxes[:, 0]) * (faces.boxes[:, 3] - faces.boxes[:, 1])
        aligned = align_face(frame.rgb(), faces.landmarks[int(np.argmax(sizes))])
        self._found = (frame.time, self._network.embed([aligned])[0])

    def finish(self) -> Feature:
        if self._found is None:
            return Feature({"embedding": np.zeros(0, np.float32)}, {"time": None})
        time, embedding = self._found
        return Feature({"embedding": as_array(embedding, "float32")}, {"time": time})
