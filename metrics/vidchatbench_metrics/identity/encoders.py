"""Face encoders: a picture and a face in it to a vector of length 1; with ArcFace's alignment by five points."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vidchatbench_metrics.common.onnx_network import OnnxNetwork

SIZE = 112

TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Eyes, nose and corners of the mouth in a face of 112 x 112 pixels; insightface ``face_align.py``."""


def similarity_transform(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least-squares similarity (rotation, uniform scale, shift) that takes ``source`` to ``target``.

    Umeyama 1991, "Least-squares estimation of transformation parameters between two point patterns", eq. 40-43.

    Args:
        source: Shape (n, 2).
        target: Shape (n, 2).

    Returns:
        Matrix of shape (2, 3).

    Raises:
        ValueError: If the source points coincide.
    """
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    source_rest, target_rest = source - source_mean, target - target_mean
    variance = float((source_rest**2).sum()) / len(source)
    if variance == 0:
        raise ValueError("all points coincide; no similarity can be fitted")
    u, singular, vt = np.linalg.svd(target_rest.T @ source_rest / len(source))
    # A reflection would fit better than any rotation when the determinant is negative; it is not allowed.
    signs = np.array([1.0, -1.0 if np.linalg.det(u) * np.linalg.det(vt) < 0 else 1.0])
    rotation = (u * signs) @ vt
    scale = float((singular * signs).sum()) / variance
    shift = target_mean - scale * rotation @ source_mean
    return np.column_stack([scale * rotation, shift])


def align_face(picture: NDArray[np.uint8], landmarks: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Cuts out a face, turned and scaled so that its landmarks meet the template.

    Bilinear interpolation, black outside the picture, as ``cv2.warpAffine`` does up to its fixed-point rounding.

    Args:
        picture: uint8 RGB of shape (height, width, 3).
        landmarks: Shape (5, 2): eyes, nose, corners of the mouth, the image-left one first.

    Returns:
        uint8 RGB of shape (112, 112, 3).
    """
    forward = np.vstack([similarity_transform(landmarks, TEMPLATE), [0, 0, 1]])
    inverse = np.linalg.inv(forward)[:2]
    # Pillow puts the centre of the first pixel at (0.5, 0.5), the template puts it at (0, 0).
    half = np.array([0.5, 0.5])
    inverse[:, 2] += half - inverse[:, :2] @ half
    coefficients = tuple(float(value) for value in inverse.ravel())
    image = Image.fromarray(picture)
    return np.asarray(image.transform((SIZE, SIZE), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR))


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
