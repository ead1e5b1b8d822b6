"""Where in the picture a clip was cut out, and which of two ways of writing it a record uses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from vidchatbench.curation.speakervid.loose import number, spelled

BoxForm = Literal["corners", "size"]
OVERSHOOT = 0.01
"""By how much a box may lie outside the picture and is clipped, in fractions of the picture."""

_PARTS = 4
_GRID = 32
_NAMED: tuple[tuple[tuple[str, ...], BoxForm], ...] = (
    (("left", "top", "right", "bottom"), "corners"),
    (("x1", "y1", "x2", "y2"), "corners"),
    (("xmin", "ymin", "xmax", "ymax"), "corners"),
    (("left", "top", "width", "height"), "size"),
    (("x", "y", "width", "height"), "size"),
    (("x", "y", "w", "h"), "size"),
)


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in fractions of the picture.

    Attributes:
        left: From 0 to 1, less than ``right``.
        top: From 0 to 1, less than ``bottom``; 0 is the picture's upper edge.
        right: From 0 to 1.
        bottom: From 0 to 1.
    """

    left: float
    top: float
    right: float
    bottom: float

    def __post_init__(self) -> None:
        if not (0 <= self.left < self.right <= 1 and 0 <= self.top < self.bottom <= 1):
            raise ValueError(f"no box within the picture: {self.left}, {self.top}, {self.right}, {self.bottom}")

    @property
    def width(self) -> float:
        """Width in fractions of the picture."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Height in fractions of the picture."""
        return self.bottom - self.top


@dataclass(frozen=True, slots=True)
class ReadBox:
    """A box as it was understood.

    Attributes:
        box: The box.
        form: Which way of writing it was taken for.
        sure: Whether the record leaves no other reading.
        clipped: Whether it lay outside the picture by no more than :data:`OVERSHOOT`.
    """

    box: Box
    form: BoxForm
    sure: bool
    clipped: bool


def read_box(value: object, raw_size: tuple[int, int] | None, clip_size: tuple[int, int] | None) -> ReadBox:
    """Reads a box that is written as corners (left, top, right, bottom) or as (left, top, width, height).

    A reading that leaves the picture is excluded. Where both stay within it, the one counts that agrees with the size
    of the published clip; that was rounded to multiples of 16 or 32 and may have been shrunk as a whole. Where this
    does not decide either, corners are taken and the box is not sure.

    Args:
        value: Four numbers in a list, or an object that names them.
        raw_size: Width and height of the source video in pixels.
        clip_size: Width and height of the published clip in pixels.

    Raises:
        ValueError: If it is no box in either reading.
    """
    given, form = _four(value)
    readings = {"corners": given, "size": (given[0], given[1], given[0] + given[2], given[1] + given[3])}
    if form is not None:
        readings = {form: readings[form]}
    possible = {name: read for name, corners in readings.items() if (read := _within(corners)) is not None}
    if not possible:
        raise ValueError(f"bbox {list(given)} is no rectangle in fractions of the picture")
    if len(possible) == 1:
        (name, (box, clipped)) = next(iter(possible.items()))
        return ReadBox(box, "corners" if name == "corners" else "size", True, clipped)
    taken, sure = _by_size(possible["corners"][0], possible["size"][0], raw_size, clip_size)
    box, clipped = possible[taken]
    return ReadBox(box, taken, sure, clipped)


def _by_size(
    corners: Box, size: Box, raw_size: tuple[int, int] | None, clip_size: tuple[int, int] | None
) -> tuple[BoxForm, bool]:
    if raw_size is None or clip_size is None:
        return "corners", False
    # An equal size is better evidence than an equal shape.
    for fits in (_has_size, _has_shape):
        fits_corners, fits_size = fits(corners, raw_size, clip_size), fits(size, raw_size, clip_size)
        if fits_corners != fits_size:
            return ("corners" if fits_corners else "size"), True
    return "corners", False


def _has_size(box: Box, raw_size: tuple[int, int], clip_size: tuple[int, int]) -> bool:
    """Whether a box has the clip's size, but for rounding."""
    width, height = box.width * raw_size[0], box.height * raw_size[1]
    return abs(width - clip_size[0]) < _GRID and abs(height - clip_size[1]) < _GRID


def _has_shape(box: Box, raw_size: tuple[int, int], clip_size: tuple[int, int]) -> bool:
    """Whether a box has the clip's shape, but for rounding, and is not smaller: clips were shrunk, never enlarged."""
    width, height = box.width * raw_size[0], box.height * raw_size[1]
    slack = _GRID / clip_size[0] + _GRID / clip_size[1]
    shape = abs(math.log(width / height) - math.log(clip_size[0] / clip_size[1]))
    enlarged = 0.5 * math.log(clip_size[0] * clip_size[1] / (width * height))
    return max(shape, enlarged) <= slack


def _four(value: object) -> tuple[tuple[float, float, float, float], BoxForm | None]:
    form: BoxForm | None = None
    if isinstance(value, Mapping):
        named = {spelled(key): item for key, item in value.items()}
        for keys, meant in _NAMED:
            if all(key in named for key in keys):
                value, form = [named[key] for key in keys], meant
                break
    while isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    edges = [number(item) for item in value] if isinstance(value, list | tuple) else []
    numbers = [item for item in edges if item is not None]
    if len(edges) != _PARTS or len(numbers) != _PARTS:
        raise ValueError(f"bbox {str(value)[:80]} is not four numbers")
    return (numbers[0], numbers[1], numbers[2], numbers[3]), form


def _within(corners: tuple[float, float, float, float]) -> tuple[Box, bool] | None:
    if any(not -OVERSHOOT <= value <= 1 + OVERSHOOT for value in corners):
        return None
    held = [min(max(value, 0.0), 1.0) for value in corners]
    try:
        box = Box(*held)
    except ValueError:
        return None
    return box, tuple(held) != corners
