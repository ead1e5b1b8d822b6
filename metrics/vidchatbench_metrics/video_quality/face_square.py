"""The square around the responder's face, which the face variants of the picture metrics look at."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vidchatbench.api import Timeline, Window
from vidchatbench_metrics.common.geometry import HEIGHT, WIDTH
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


@dataclass(frozen=True)
class View:
    """How a clip's pictures are brought to 480 x 768.

    Attributes:
        source: Height and width of the picture before scaling, in pixels.
        window: The part of it that is scaled.
    """

    source: tuple[int, int]
    window: Window

    def place(self, box: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns left, top, right, bottom of a box of the picture in pixels of the scaled one."""
        left, top, right, bottom = self.window.box
        height, width = self.source
        scale = np.array([WIDTH / ((right - left) * width), HEIGHT / ((bottom - top) * height)] * 2)
        placed: NDArray[np.float64] = (box - np.array([left * width, top * height] * 2)) * scale
        return placed


def square_around(box: NDArray[np.float64], view: View, margin: float = FACE_MARGIN) -> Square | None:
    """Returns the square around a face in a picture that was brought to 480 x 768.

    Args:
        box: left, top, right, bottom in pixels of the picture before scaling.
        view: How it was scaled.
        margin: Side of the square in longer sides of the box. It is at most the picture's height, and moved into the
            picture where it would stick out.

    Returns:
        The square; ``None`` where the middle of the face lies outside the window, or the side is under 16 pixels.
    """
    placed = view.place(box)
    across, down = (placed[:2] + placed[2:]) / 2
    side = min(round(margin * float((placed[2:] - placed[:2]).max())), HEIGHT, WIDTH)
    if side < MIN_SQUARE or not (0 <= across < WIDTH and 0 <= down < HEIGHT):
        return None
    left = min(max(round(float(across) - side / 2), 0), WIDTH - side)
    top = min(max(round(float(down) - side / 2), 0), HEIGHT - side)
    return Square(left, top, side)


def track_square(faces: Timeline, tracklets: Collection[int], time: float, view: View) -> Square | None:
    """Returns the square around the face of one person at a time.

    Args:
        faces: Timeline of ``faces/mtcnn``.
        tracklets: Numbers of the person's tracklets, see
            :func:`vidchatbench_metrics.faces.timeline.responder_tracklets`.
        time: Seconds.
        view: How the picture is scaled.

    Returns:
        The square; ``None`` where the person has no face at the time, or that face has no square.
    """
    boxes = [face.box for face in faces_at(faces, time) if face.tracklet in tracklets]
    return square_around(boxes[0], view) if boxes else None


def resize_square(picture: Picture, side: int) -> Picture:
    """Scales a picture to ``side`` x ``side``: Pillow's BICUBIC (antialiased) on uint8.

    Args:
        picture: uint8 RGB of shape (height, width, 3).
        side: Pixels a side.

    Returns:
        uint8 RGB of shape (side, side, 3).
    """
    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC))
