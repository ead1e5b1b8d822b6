"""A talking face: a portrait whose jaw, eyelids and head move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vidchatbench.demo.portrait import SIDE, Person, Pixels, Plane

_Grid = NDArray[np.float64]

FRAME_SIDE = 448
"""Height and width of a frame; less than the portrait's, because drawing takes most of the demonstration's time."""

_CELLS = 16
_FRAME_CELL = FRAME_SIDE // _CELLS
_PIVOT = (255.0, 372.0)
_MOUTH = (255.0, 272.0, 44.0)
"""Centre of the line between the mouth's corners, and half its length."""
_LIP_SAG = 19.0
_JAW_REACH = 74.0
_CLOSED = -11.5
_OPEN = 15.0
_LIDS = ((215.0, 195.0, 25.0, 180.0), (304.0, 200.0, 26.0, 185.0))
"""Centre of each eye, half its width, and a row of bare skin above it."""
_LASHES = np.array([52.0, 34.0, 26.0], np.float32)
_INTERIOR = np.array([58.0, 16.0, 18.0], np.float32)


@dataclass(frozen=True)
class Pose:
    """What the face does in one frame.

    Attributes:
        opening: Mouth opening, 0 (lips closed) to 1.
        rounding: Lip rounding, about -0.5 to 1.
        blink: 0 (eyes open) to 1 (closed).
        shift: Head displacement in pixels, (x, y).
        roll: Head roll in radians.
        turn: Head turn: displacement of the nearest parts of the face in pixels, (x, y).
    """

    opening: float = 0.0
    rounding: float = 0.0
    blink: float = 0.0
    shift: tuple[float, float] = (0.0, 0.0)
    roll: float = 0.0
    turn: tuple[float, float] = (0.0, 0.0)


class TalkingFace:
    """Draws a person in any pose.

    Args:
        person: Whose face.
    """

    def __init__(self, person: Person) -> None:
        self._person = person
        nodes = np.linspace(0, SIDE, _CELLS + 1)
        self._x, self._y = np.meshgrid(nodes, nodes)
        self._rest_x, self._rest_y = _shape(self._x, self._y, person)
        self._follow = _follow(self._rest_x, self._rest_y)
        self._depth = _bulge(self._rest_x, self._rest_y)
        everywhere = [(r, c) for r in range(_CELLS) for c in range(_CELLS)]
        self._moving = [(r, c) for r, c in everywhere if self._follow[r : r + 2, c : c + 2].any()]
        # Shoulders and backdrop never move, so they are drawn once.
        self._still = _transform(person.pixels, self._rest_x, self._rest_y, everywhere)
        self._mask = Image.new("L", (FRAME_SIDE, FRAME_SIDE))
        for cell in self._moving:
            self._mask.paste(255, _box(cell))

    def draw(self, pose: Pose) -> Pixels:
        """Draws one frame, uint8 RGB of shape (448, 448, 3)."""
        pixels = self._person.pixels.copy()
        _move_jaw(pixels, _CLOSED + (_OPEN - _CLOSED) * pose.opening)
        if pose.blink > 0:
            for lid in _LIDS:
                _lower_lid(pixels, lid, pose.blink)
        self._put_on_overlay(pixels)
        return self._bend(pixels, pose)

    def _put_on_overlay(self, pixels: Pixels) -> None:
        if not self._person.opacity.any():
            return
        rows, columns = slice(140, 260), slice(140, 380)
        part = pixels[rows, columns].astype(np.float32)
        part += self._person.overlay[rows, columns] - part * self._person.opacity[rows, columns]
        pixels[rows, columns] = np.clip(part + 0.5, 0, 255)

    def _bend(self, pixels: Pixels, pose: Pose) -> Pixels:
        """Moves the head within the picture, by a mesh of quadrilaterals that give the source of each cell."""
        x, y = self._rest_x.copy(), self._rest_y.copy()
        px, py = _PIVOT
        cos, sin = np.cos(pose.roll), np.sin(pose.roll)
        turned_x = px + (x - px) * cos + (y - py) * sin
        turned_y = py - (x - px) * sin + (y - py) * cos
        dx = turned_x - x - pose.shift[0] - pose.turn[0] * self._depth
        dy = turned_y - y - pose.shift[1] - pose.turn[1] * self._depth
        pucker = np.exp(-(((x - _MOUTH[0]) / 48) ** 2) - ((y - 282) / 30) ** 2)
        x += self._follow * dx + pucker * 0.2 * pose.rounding * (x - _MOUTH[0])
        y += self._follow * dy
        bent = _transform(pixels, x, y, self._moving)
        drawn = self._still.copy()
        drawn.paste(bent, mask=self._mask)
        return np.asarray(drawn)


def _transform(pixels: Pixels, x: _Grid, y: _Grid, cells: Sequence[tuple[int, int]]) -> Image.Image:
    """Fills mesh cells (row, column) with what lies between their corners' places ``x``, ``y``; the rest is black."""
    # Corners in Pillow's order: upper left, lower left, lower right, upper right.
    corners = np.stack(
        [x[:-1, :-1], y[:-1, :-1], x[1:, :-1], y[1:, :-1], x[1:, 1:], y[1:, 1:], x[:-1, 1:], y[:-1, 1:]], axis=-1
    ).tolist()
    mesh = [(_box((r, c)), tuple(corners[r][c])) for r, c in cells]
    image = Image.fromarray(pixels)
    return image.transform((FRAME_SIDE, FRAME_SIDE), Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)


def _box(cell: tuple[int, int]) -> tuple[int, int, int, int]:
    row, column = cell
    left, top = column * _FRAME_CELL, row * _FRAME_CELL
    return left, top, left + _FRAME_CELL, top + _FRAME_CELL


def _shape(x: _Grid, y: _Grid, person: Person) -> tuple[_Grid, _Grid]:
    """Where in the portrait each mesh node of the person at rest comes from."""
    if person.mirrored:
        x = SIDE - x
    from_x, from_y = x.copy(), y.copy()
    for bump in person.bumps:
        weight = np.exp(-(((x - bump.x) ** 2 + (y - bump.y) ** 2) / (2 * bump.reach**2)))
        from_x -= weight * bump.dx
        from_y -= weight * bump.dy
    # The picture's rim stays where it is, or blank corners would show.
    rim = np.clip(np.minimum.reduce([x, y, SIDE - x, SIDE - y]) / 48, 0, 1)
    return x + rim * (from_x - x), y + rim * (from_y - y)


def _follow(x: _Grid, y: _Grid) -> _Grid:
    """How much each place follows the head: 1 within it, falling to 0 towards rim and shoulders."""
    distance = np.hypot((x - 262) / 160, (y - 190) / 185)
    around = _ease(np.clip((1.4 - distance) / 0.4, 0, 1))
    above = _ease(np.clip((430 - y) / 110, 0, 1))
    rim: _Grid = np.clip(np.minimum.reduce([x, y, SIDE - x, SIDE - y]) / 24, 0, 1)
    return around * above * rim


def _bulge(x: _Grid, y: _Grid) -> _Grid:
    """How near to the camera each place of the head is, 0 to 1."""
    nearness: _Grid = np.clip(1 - ((x - 258) / 150) ** 2 - ((y - 225) / 190) ** 2, 0, 1)
    return nearness


def _ease(value: _Grid) -> _Grid:
    eased: _Grid = value * value * (3 - 2 * value)
    return eased


def _move_jaw(pixels: Pixels, drop: float) -> None:
    """Moves everything below the lower lip's edge by ``drop`` pixels and fills a gap with the mouth's inside."""
    middle, corner_y, half = _MOUTH
    rows, columns = slice(262, 374), slice(172, 344)
    part = pixels[rows, columns].astype(np.float32)
    y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None]
    x = np.arange(columns.start, columns.stop, dtype=np.float32)[None, :]
    across = np.clip(1 - ((x - middle) / half) ** 2, 0, 1)
    seam = corner_y + _LIP_SAG * across
    lip = seam + drop * across
    depth = np.clip((y - lip) / _JAW_REACH, 0, 1)
    spread = np.exp(-(((x - middle) / 62) ** 2) * 1.5).astype(np.float32)
    profile = across + (spread - across) * np.clip(depth * 3, 0, 1)
    moved = _shifted_rows(part, np.asarray(drop * profile * (1 - depth * depth * (3 - 2 * depth)), np.float32))
    if drop > 0:
        inside = np.clip(y - seam + 0.5, 0, 1)[..., None] * (across > 0)[..., None]
        shade = 1 + 0.8 * np.clip((y - seam) / 24, 0, 1)[..., None]
        part += (_INTERIOR * shade - part) * inside
    part += (moved - part) * np.clip(y - lip + 0.5, 0, 1)[..., None]
    pixels[rows, columns] = np.clip(part + 0.5, 0, 255)


def _lower_lid(pixels: Pixels, lid: tuple[float, float, float, float], blink: float) -> None:
    """Draws the upper lid of one eye further down: skin from above the eye, ending in a line of lashes."""
    middle, centre_y, half, skin_y = lid
    rows = slice(int(centre_y) - 22, int(centre_y) + 16)
    columns = slice(int(middle - half) - 2, int(middle + half) + 3)
    part = pixels[rows, columns].astype(np.float32)
    y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None]
    x = np.arange(columns.start, columns.stop, dtype=np.float32)[None, :]
    across = np.clip(1 - ((x - middle) / half) ** 2, 0, 1)
    top = centre_y - 11 * across - 2.5
    edge = top + blink * 17 * across
    skin_rows = slice(int(skin_y) - 1, int(skin_y) + 2)
    skin = pixels[skin_rows, columns.start - 4 : columns.stop + 4].mean(axis=0, dtype=np.float32)
    smoothed = np.stack([skin[k : k + part.shape[1]] for k in range(9)]).mean(axis=0)[None]
    shade = 1 - 0.12 * np.clip((y - top) / 14, 0, 1)
    covered = np.clip(y - top, 0, 1) * np.clip(edge - y + 0.5, 0, 1) * np.clip(4 * across, 0, 1)
    part += (smoothed * shade[..., None] - part) * covered[..., None]
    lashes = 0.7 * np.exp(-(((y - edge) / 1.5) ** 2)) * np.clip(3 * across, 0, 1)
    part += (_LASHES - part) * lashes[..., None]
    pixels[rows, columns] = np.clip(part + 0.5, 0, 255)


def _shifted_rows(part: Plane, shift: Plane) -> Plane:
    """Takes each pixel from ``shift`` rows above it, linearly interpolated."""
    height = part.shape[0]
    rows = np.arange(height, dtype=np.float32)[:, None]
    source = np.clip(rows - shift, 0, height - 1.001)
    whole = source.astype(np.intp)
    share = (source - whole).astype(np.float32)[..., None]
    columns = np.arange(part.shape[1])[None, :]
    upper = part[whole, columns]
    return np.asarray(upper + (part[whole + 1, columns] - upper) * share, np.float32)
