"""The square around the responder's face, which the face variants of the picture metrics look at."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vidchatbench.api import Timeline
from vidchatbench_metrics.faces.timeline import faces_at

FACE_MARGIN = 1.3
"""Side of the square around a face, in longer sides of its box."""

MIN_SQUARE = 16
"""Faces whose square has fewer pixels a side are left out: they would be nothing but interpolation."""

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Square:
    """A square in a picture, in whole pixels.

    Attributes:
        left: First column.
        top: First row.
        side: Number of columns and of rows.
    """

    left: int
    top: int
    side: int

    def cut(self, picture: Picture) -> Picture:
        """Returns what of a picture lies in the square, uint8 RGB of shape (side, side, 3)."""
        return picture[self.top : self.top + self.side, self.left : self.left + self.side]


def square_around(
    box: NDArray[np.float64], source: tuple[int, int], shape: tuple[int, int], margin: float = FACE_MARGIN
) -> Square | None:
    """Returns the square around a face in a picture that was scaled to cover a size and centre-cropped.

    Args:
        box: left, top, right, bottom in pixels of the picture before scaling.
        source: Height and width of the picture before scaling.
        shape: Height and width of the picture after scaling, 480 x 768.
        margin: Side of the square in longer sides of the box. It is at most the picture's height, and moved into the
            picture where it would stick out.

    Returns:
        The square; ``None`` where the middle of the face was cut off by covering, or the side is under 16 pixels.
    """
    height, width = shape
    scale = max(height / source[0], width / source[1])
    across = (box[0] + box[2]) / 2 * scale - (source[1] * scale - width) / 2
    down = (box[1] + box[3]) / 2 * scale - (source[0] * scale - height) / 2
    side = min(round(margin * max(box[2] - box[0], box[3] - box[1]) * scale), height, width)
    if side < MIN_SQUARE or not (0 <= across < width and 0 <= down < height):
        return None
    left = min(max(round(across - side / 2), 0), width - side)
    top = min(max(round(down - side / 2), 0), height - side)
    return Square(left, top, side)


def face_square(
    picture: Picture, box: NDArray[np.float64], source: tuple[int, int], margin: float = FACE_MARGIN
) -> Picture | None:
    """Cuts a square around a face out of a picture that was scaled to cover 480 x 768.

    Args:
        picture: uint8 RGB of shape (480, 768, 3).
        box: See :func:`square_around`.
        source: Height and width of the picture before scaling.
        margin: See :func:`square_around`.

    Returns:
        uint8 RGB of shape (side, side, 3); ``None`` where there is no square.
    """
    height, width = picture.shape[:2]
    square = square_around(box, source, (height, width), margin)
    return None if square is None else square.cut(picture)


def track_square(
    faces: Timeline, tracklets: Collection[int], time: float, source: tuple[int, int], shape: tuple[int, int]
) -> Square | None:
    """Returns the square around the face of one person at a time.

    Args:
        faces: Timeline of ``faces/mtcnn``.
        tracklets: Numbers of the person's tracklets, see
            :func:`vidchatbench_metrics.faces.timeline.responder_tracklets`.
        time: Seconds.
        source: Height and width of the picture before scaling.
        shape: Height and width of the picture after scaling.

    Returns:
        The square; ``None`` where the person has no face at the time, or that face has no square.
    """
    boxes = [face.box for face in faces_at(faces, time) if face.tracklet in tracklets]
    return square_around(boxes[0], source, shape) if boxes else None


def resize_square(picture: Picture, side: int) -> Picture:
    """Scales a picture to ``side`` x ``side``: Pillow's BICUBIC (antialiased) on uint8.

    Args:
        picture: uint8 RGB of shape (height, width, 3).
        side: Pixels a side.

    Returns:
        uint8 RGB of shape (side, side, 3).
    """
    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC))
