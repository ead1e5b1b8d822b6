"""What a face recognition network is to the extractors: a face of a picture in, a vector of length 1 out."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vidchatbench_metrics.identity.alignment import align_face
from vidchatbench_metrics.identity.network import FaceNetwork


class FaceEncoder(Protocol):
    """Cuts one face out of a picture, in the way its network was trained, and embeds it."""

    def encode(
        self, picture: NDArray[np.uint8], box: NDArray[np.float64], landmarks: NDArray[np.float64]
    ) -> NDArray[np.float32] | None:
        """Returns the embedding of a face.

        Args:
            picture: uint8 RGB of shape (height, width, 3).
            box: Shape (4,): left, top, right, bottom in pixels.
            landmarks: Shape (5, 2): eyes, nose, corners of the mouth, the image-left one first.

        Returns:
            float32 of shape (d,), of length 1; ``None`` where nothing of the face lies inside the picture.
        """
        ...


class ArcFaceEncoder:
    """A network of insightface's interface behind the five-point alignment.

    Args:
        path: The ONNX file.
        device: Torch device string.
    """

    def __init__(self, path: Path, device: str) -> None:
        self._network = FaceNetwork(path, device)

    def encode(
        self, picture: NDArray[np.uint8], box: NDArray[np.float64], landmarks: NDArray[np.float64]
    ) -> NDArray[np.float32] | None:
        """Returns the embedding of a face, found by its landmarks alone; see :class:`FaceEncoder`."""
        del box
        embedding: NDArray[np.float32] = self._network.embed([align_face(picture, landmarks)])[0]
        return embedding
