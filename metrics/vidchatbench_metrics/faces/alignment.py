"""Alignment of a face by five landmarks: turned, scaled and shifted onto ArcFace's template of 112 x 112 pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZE = 112

TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Eyes, nose and corners of the mouth in a face of 112 x 112 pixels; insightface ``face_align.py``."""

Region = tuple[range, range]
"""Rows and columns of an aligned face."""

WHOLE: Region = (range(SIZE), range(SIZE))


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


def align_face(picture: NDArray[np.uint8], landmarks: NDArray[np.float64], region: Region = WHOLE) -> NDArray[np.uint8]:
    """Cuts out a face, turned and scaled so that its landmarks meet the template.

    Args:
        picture: uint8 RGB of shape (height, width, 3).
        landmarks: Shape (5, 2): eyes, nose, corners of the mouth, the image-left one first.
        region: The part of the aligned face that is wanted.

    Returns:
        uint8 RGB of the region's shape, (112, 112, 3) unless given; see :func:`warp_affine`.
    """
    return warp_affine(picture, similarity_transform(landmarks, TEMPLATE), region)


def warp_affine(picture: NDArray[np.uint8], matrix: NDArray[np.float64], region: Region) -> NDArray[np.uint8]:
    """Bilinear warp, rounded to the nearest level; the region of ``cv2.warpAffine(picture, matrix, ...)`` of OpenCV 5.

    Pixels outside the picture are black and take part in the interpolation, so that the last row and column fade over
    a whole pixel. OpenCV 4 rounds coordinates to 1/32 of a pixel, which moves 4 % of the values by up to 3 levels;
    OpenCV is not called here because the number would depend on the version that is installed.

    Args:
        picture: uint8 of shape (height, width, channels).
        matrix: float64 of shape (2, 3), from pixels of the picture to pixels of the result.
        region: The part of the result that is wanted.

    Returns:
        uint8 of the region's shape, with the picture's channels.
    """
    x, y = _source_coordinates(matrix, region)
    height, width = picture.shape[:2]
    # Whatever lies farther out is as black as the two rows and columns around the picture.
    left, top = (np.clip(np.floor(at), -2, length).astype(np.int64) for at, length in ((x, width), (y, height)))
    across, down = (x - np.floor(x)).astype(np.float32), (y - np.floor(y)).astype(np.float32)
    window = _window(picture, (int(top.min()), int(top.max()) + 2), (int(left.min()), int(left.max()) + 2))
    planes = window.reshape(len(window), -1)  # one channel after the other: numpy is slow over a short last axis
    first = (top - top.min()) * window.shape[2] + left - left.min()
    upper, lower = (
        _between(planes.take(at, axis=1), planes.take(at + 1, axis=1), across)
        for at in (first, first + window.shape[2])
    )
    levels = np.rint(_between(upper, lower, down)).astype(np.uint8)
    return np.ascontiguousarray(levels.transpose(1, 2, 0))


def _source_coordinates(matrix: NDArray[np.float64], region: Region) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns where each pixel of the result comes from: x and y in pixels, float64 of the region's shape."""
    (a, b, shift_x), (c, d, shift_y) = matrix.tolist()
    determinant = a * d - b * c
    rows, columns = (np.arange(part.start, part.stop) for part in region)
    down, across = rows[:, None] - shift_y, columns - shift_x
    return (d * across - b * down) / determinant, (a * down - c * across) / determinant


def _between(first: NDArray[Any], second: NDArray[Any], share: NDArray[np.float32]) -> NDArray[np.float32]:
    one = first.astype(np.float32)
    result: NDArray[np.float32] = np.add(one, share * (second.astype(np.float32) - one), dtype=np.float32)
    return result


def _window(picture: NDArray[np.uint8], rows: tuple[int, int], columns: tuple[int, int]) -> NDArray[np.uint8]:
    """Returns rows and columns of a picture, uint8 of shape (channels, rows, columns), black outside it."""
    height, width, channels = picture.shape
    window = np.zeros((channels, rows[1] - rows[0], columns[1] - columns[0]), np.uint8)
    top, left, bottom, right = max(rows[0], 0), max(columns[0], 0), min(rows[1], height), min(columns[1], width)
    if top < bottom and left < right:
        part = picture[top:bottom, left:right].transpose(2, 0, 1)
        window[:, top - rows[0] : bottom - rows[0], left - columns[0] : right - columns[0]] = part
    return window
