"""Dense optical flow by Farnebäck's method, as OpenCV computes it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PYRAMID_SCALE = 0.5
LEVELS = 2
WINDOW = 11
ITERATIONS = 3
NEIGHBOURHOOD = 5
SIGMA = 1.1


def to_grey(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns a picture's grey levels by Pillow's L (ITU-R 601, integer), uint8 of shape (height, width)."""
    return np.asarray(Image.fromarray(picture).convert("L"))


def farneback(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Returns where each pixel of one picture has gone in another.

    Farnebäck 2003, "Two-frame motion estimation based on polynomial expansion". OpenCV 4.10, 4.12 and 5.0 agree in
    every bit.

    Args:
        first: uint8 grey of shape (height, width).
        second: The same shape.

    Returns:
        float32 of shape (height, width, 2): pixels to the right and down.
    """
    import cv2  # loaded where flow is computed, and nowhere else

    flow = cv2.calcOpticalFlowFarneback(
        first,
        second,
        None,  # type: ignore[call-overload]
        PYRAMID_SCALE,
        LEVELS,
        WINDOW,
        ITERATIONS,
        NEIGHBOURHOOD,
        SIGMA,
        0,
    )
    return np.asarray(flow, np.float32)


def warp_back(second: NDArray[np.uint8], flow: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the second picture with every pixel brought back to where it was in the first.

    Bilinear interpolation at ``(x, y) + flow(x, y)``, which is moved to the picture's edge where it lies outside.

    Args:
        second: uint8 of shape (height, width, channels).
        flow: float32 of shape (height, width, 2), from the first picture to the second.

    Returns:
        float32 of shape (channels, height, width).
    """
    height, width = second.shape[:2]
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    x, y = np.clip(columns + flow[..., 0], 0, width - 1), np.clip(rows + flow[..., 1], 0, height - 1)
    left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    across, down = x - left.astype(np.float32), y - top.astype(np.float32)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    # One channel after the other: numpy is slow over a short last axis.
    planes = second.transpose(2, 0, 1).reshape(second.shape[2], -1).astype(np.float32)
    upper, lower = (_between(planes, row * width + left, row * width + right, across) for row in (top, bottom))
    warped: NDArray[np.float32] = upper + down * (lower - upper)
    return warped


def _between(
    planes: NDArray[np.float32], first: NDArray[np.int64], second: NDArray[np.int64], share: NDArray[np.float32]
) -> NDArray[np.float32]:
    one = planes.take(first, axis=1)
    result: NDArray[np.float32] = np.add(one, share * (planes.take(second, axis=1) - one), dtype=np.float32)
    return result
