"""Face encoders: a picture and a face in it to a vector of length 1."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vidchatbench_metrics.common.onnx_network import OnnxNetwork
from vidchatbench_metrics.faces.alignment import align_face


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


class FaceNetwork:
    """Embeds aligned faces.

    The interface: float32 input of shape (n, 3, 112, 112), RGB, ``(x - 127.5) / 127.5``; output of shape (n, d).

    Args:
        path: The ONNX file.
        device: Torch device string; a GPU is used where onnxruntime was built for it.
    """

    def __init__(self, path: Path, device: str) -> None:
        self._network = OnnxNetwork(path, device)
        self._input = self._network.input_names[0]

    def embed(self, faces: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Embeds faces one at a time, so that no number depends on which faces came together.

        Args:
            faces: uint8 RGB, each of shape (112, 112, 3).

        Returns:
            float32 of shape (n, d), each row of length 1.
        """
        rows = [self._embed(face) for face in faces]
        return np.stack(rows) if rows else np.zeros((0, 0), np.float32)

    def _embed(self, face: NDArray[np.uint8]) -> NDArray[np.float32]:
        values = (face.astype(np.float32) - 127.5) / 127.5
        batch = np.ascontiguousarray(values.transpose(2, 0, 1)[None])
        vector: NDArray[np.float64] = self._network.run(**{self._input: batch})[0][0].astype(np.float64)
        unit: NDArray[np.float32] = (vector / max(float(np.linalg.norm(vector)), 1e-12)).astype(np.float32)
        return unit


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
        """Returns the embedding of a face, located by its landmarks alone; see :class:`FaceEncoder`."""
        del box
        embedding: NDArray[np.float32] = self._network.embed([align_face(picture, landmarks)])[0]
        return embedding
