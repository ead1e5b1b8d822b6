"""``identity/face_tracks``: the faces of a clip as ``faces/mtcnn`` finds them, linked also by whose they are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api import ExtractorContext, ExtractorSpec
from vidchatbench_metrics.faces.alignment import align_face
from vidchatbench_metrics.faces.linked import FACE_TRACKS, LINKING_WEIGHT
from vidchatbench_metrics.faces.tracks import FaceTracks
from vidchatbench_metrics.identity.embeddings import ArcFaceFrames, FacenetFrames
from vidchatbench_metrics.identity.encoders import FaceNetwork


class IdentityTracks(FaceTracks):
    """Face tracks of a clip, in which two people who appear in turn are two tracks.

    All is as in ``faces/mtcnn``, but a network looks at each face, in the picture that was scaled down: a detection
    continues a tracklet, and tracklets may be one person, only where a face of the one is like a face of the other
    (:func:`vidchatbench_metrics.faces.linking.may_be_one`).

    Feature: that of ``faces/mtcnn``, and
        embedding: float32 (n, 128), each row of length 1; absent where no face was found.
    """

    id = FACE_TRACKS["embedding"]
    version = 1

    @property
    def weights(self) -> tuple[str, ...]:
        """The three networks of the detector, and the one that tells people apart."""
        return (*super().weights, LINKING_WEIGHT)

    def setup(self, context: ExtractorContext) -> None:
        """Loads the networks."""
        super().setup(context)
        self._network = FaceNetwork(context.weights[LINKING_WEIGHT], context.device)
        self.embed_face = self._embed

    def _embed(
        self, picture: NDArray[np.uint8], box: NDArray[np.float64], landmarks: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        del box
        embedding: NDArray[np.float32] = self._network.embed([align_face(picture, landmarks)])[0]
        return embedding


class LinkedArcFaceFrames(ArcFaceFrames):
    """As ``identity/arcface_frames``, of the responder in ``identity/face_tracks``."""

    id = "identity/arcface_linked_frames"

    @property
    def requires(self) -> dict[str, ExtractorSpec]:
        """Face tracks."""
        return {"faces": ExtractorSpec.of(FACE_TRACKS["embedding"])}


class LinkedFacenetFrames(FacenetFrames):
    """As ``identity/facenet_frames``, of the responder in ``identity/face_tracks``."""

    id = "identity/facenet_linked_frames"

    @property
    def requires(self) -> dict[str, ExtractorSpec]:
        """Face tracks."""
        return {"faces": ExtractorSpec.of(FACE_TRACKS["embedding"])}
