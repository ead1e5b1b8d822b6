"""Upright crops of a face by its box."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def box_crop(picture: NDArray[np.uint8], box: NDArray[np.float64]) -> NDArray[np.uint8] | None:
    """Cuts a face box out; coordinates are cut to integers towards zero, and to the picture.

    Args:
        picture: uint8 RGB of shape (height, width, 3).
        box: left, top, right, bottom in pixels.

    Returns:
        uint8 RGB of shape (h, w, 3); ``None`` if no pixel is left.
    """
    height, width = picture.shape[:2]
    left, top, right, bottom = (int(value) for value in box)
    cut = picture[max(0, top) : min(height, max(0, bottom)), max(0, left) : min(width, max(0, right))]
    return cut if cut.size else None


def square_crop(picture: NDArray[np.uint8], box: NDArray[np.float64], size: int) -> NDArray[np.uint8] | None:
    """Cuts out the square around a face box whose side is the box's longer one, black outside the picture, in grey.

    Args:
        picture: uint8 RGB of shape (height, width, 3).
        box: left, top, right, bottom in pixels.
        size: Side of the result in pixels; Pillow BILINEAR, antialiased.

    Returns:
        uint8 of shape (size, size), ITU-R 601 luma; ``None`` if the box has no pixel in the picture.
    """
    if box_crop(picture, box) is None:
        return None
    left, top, right, bottom = (float(value) for value in box)
    side = max(1, round(max(right - left, bottom - top)))
    corner_x, corner_y = round((left + right - side) / 2), round((top + bottom - side) / 2)
    cut = Image.fromarray(picture).crop((corner_x, corner_y, corner_x + side, corner_y + side))
    return np.asarray(cut.convert("L").resize((size, size), Image.Resampling.BILINEAR))
