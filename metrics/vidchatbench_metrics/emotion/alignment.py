"""Alignment of a face for Deep3DFaceRecon: scaled and shifted, never turned, by five landmarks and a standard face."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIZE = 224
RESCALE_FACTOR = 102.0
STANDARD_FACE = np.array(
    [
        [-0.31148657, 0.29036078, 0.13377953],
        [0.30979887, 0.28972036, 0.13179526],
        [0.0032535, -0.04617932, 0.55244243],
        [-0.25216928, -0.38133916, 0.22405732],
        [0.2484662, -0.38128236, 0.22235769],
    ]
)
"""Eyes, nose and corners of the mouth, y upwards; ``BFM/similarity_Lm3D_all.mat`` after ``util/load_mats.py``."""

_MAX_SIDE = 16384
"""Pixels of a side beyond which a scaled picture means that the landmarks are not those of a face."""


def pose_and_scale(points: NDArray[np.float32]) -> tuple[NDArray[np.float64], float]:
    """Fits a scaled orthographic projection of the standard face to landmarks, by least squares.

    Args:
        points: float32 of shape (5, 2), y upwards.

    Returns:
        The shift, float64 of shape (2,), in pixels, and the scale in pixels per unit of the standard face.
    """
    # Both coordinates have the same left side: three coefficients of the rotation and a shift each.
    left = np.column_stack([STANDARD_FACE, np.ones(len(STANDARD_FACE))])
    solution = np.linalg.lstsq(left, points.astype(np.float64), rcond=None)[0]
    scale = float((np.linalg.norm(solution[:3, 0]) + np.linalg.norm(solution[:3, 1])) / 2)
    return solution[3], scale


def align(picture: NDArray[np.uint8], landmarks: NDArray[np.float64]) -> NDArray[np.uint8] | None:
    """Cuts out a face as Deep3DFaceRecon's ``util/preprocess.py`` does.

    The whole picture is scaled (Pillow BICUBIC) and then cropped, black outside; sizes and offsets are cut to integers
    towards zero.

    Args:
        picture: uint8 RGB of shape (height, width, 3).
        landmarks: Shape (5, 2), y downwards: eyes, nose, corners of the mouth, the image-left one first.

    Returns:
        uint8 RGB of shape (224, 224, 3); ``None`` if the landmarks are not those of a face.
    """
    height, width = picture.shape[:2]
    points = landmarks.astype(np.float32)
    points[:, 1] = height - 1 - points[:, 1]
    shift, units = pose_and_scale(points)
    if not units * _MAX_SIDE > RESCALE_FACTOR * max(height, width):
        return None
    scale = RESCALE_FACTOR / units
    new_width, new_height = int(width * scale), int(height * scale)
    if min(new_width, new_height) < 1:
        return None
    left = int(new_width / 2 - SIZE / 2 + (float(shift[0]) - width / 2) * scale)
    top = int(new_height / 2 - SIZE / 2 + (height / 2 - float(shift[1])) * scale)
    scaled = Image.fromarray(picture).resize((new_width, new_height), Image.Resampling.BICUBIC)
    return np.asarray(scaled.crop((left, top, left + SIZE, top + SIZE)))
