"""Five-point alignment of a face to the ArcFace template."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

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
