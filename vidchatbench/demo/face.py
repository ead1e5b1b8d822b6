"""A talking face: a portrait whose jaw, eyelids and head move."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from vidchatbench.demo.portrait import SIDE, Person, Pixels, Plane

_Grid = NDArray[np.float64]

NODES = 17
"""Nodes of the mesh along each side."""

_PIVOT = (255.0, 372.0)
_MOUTH = (255.0, 272.0, 44.0)
"""Centre of the line between the mouth's corners, and half its length."""
_LIP_SAG = 19.0
_JAW_REACH = 74.0
_CLOSED = -11.5
_OPEN = 15.0
_LIDS = ((215.0, 195.0, 25.0, 180.0), (304.0, 200.0, 26.0, 185.0))
"""Centre of each eye, half its width, and a row of bare skin above it."""
_OVERLAID = (slice(140, 260), slice(140, 380))
"""Where spectacles lie."""
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
        side: Height and width of a frame.
    """

    def __init__(self, person: Person, side: int) -> None:
        self._person = person
        self._pixels = person.pixels.astype(np.float32)
        self._has_overlay = bool(person.opacity.any())
        nodes = np.linspace(0, SIDE, NODES)
        self._rest_x, self._rest_y = _shape(*np.meshgrid(nodes, nodes), person)
        self._follow = _follow(self._rest_x, self._rest_y)
        self._depth = _bulge(self._rest_x, self._rest_y)
        # Row i: how much of each node the centre of pixel i takes.
        places = (np.arange(side) + 0.5) / side * (NODES - 1)
        self._share = np.clip(1 - np.abs(places[:, None] - np.arange(NODES)), 0, None).astype(np.float32)

    def draw(self, pose: Pose) -> Pixels:
        """Draws one frame, uint8 RGB of shape (side, side, 3)."""
        pixels = self._pixels.copy()
        _move_jaw(pixels, _CLOSED + (_OPEN - _CLOSED) * pose.opening)
        if pose.blink > 0:
            for lid in _LIDS:
                _lower_lid(pixels, lid, pose.blink)
        if self._has_overlay:
            part = pixels[_OVERLAID]
            part += self._person.overlay[_OVERLAID] - part * self._person.opacity[_OVERLAID]
        return self._bend(pixels, pose)

    def _bend(self, pixels: Plane, pose: Pose) -> Pixels:
        """Moves the head within the picture: a mesh of nodes says where in the portrait each pixel comes from."""
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
        # As torch wants it: from -1 at one edge of the portrait to 1 at the other.
        planes = [self._share @ nodes.astype(np.float32) @ self._share.T for nodes in (x, y)]
        grid = np.stack(planes, axis=-1) * np.float32(2 / SIDE) - 1
        portrait = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
        drawn = functional.grid_sample(
            portrait[None],
            torch.from_numpy(grid)[None],
            mode="bilinear",
            padding_mode="border",
            align_corners=False,
        )[0]
        return (drawn + 0.5).clamp_(0, 255).byte().permute(1, 2, 0).contiguous().numpy()


def _shape(x: _Grid, y: _Grid, person: Person) -> tuple[_Grid, _Grid]:
    """Where in the portrait each mesh node of the person at rest comes from."""
    if person.mirrored:
        x = SIDE - x
    from_x, from_y = x.copy(), y.copy()
    for bump in person.bumps:
        weight = np.exp(-(((x - bump.x) ** 2 + (y - bump.y) ** 2) / (2 * bump.reach**2)))
        from_x -= weight * (bump.dx + bump.growth * (x - bump.x))
        from_y -= weight * (bump.dy + bump.growth * (y - bump.y))
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


def _move_jaw(pixels: Plane, drop: float) -> None:
    """Moves everything below the lower lip's edge by ``drop`` pixels and fills a gap with the mouth's inside."""
    middle, corner_y, half = _MOUTH
    rows, columns = slice(262, 374), slice(172, 344)
    part = pixels[rows, columns]
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


def _lower_lid(pixels: Plane, lid: tuple[float, float, float, float], blink: float) -> None:
    """Draws the upper lid of one eye further down: skin from above the eye, ending in a line of lashes."""
    middle, centre_y, half, skin_y = lid
    rows = slice(int(centre_y) - 22, int(centre_y) + 16)
    columns = slice(int(middle - half) - 2, int(middle + half) + 3)
    part = pixels[rows, columns]
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


def _shifted_rows(part: Plane, shift: Plane) -> Plane:
    """Takes each pixel from ``shift`` rows above it, linearly interpolated."""
    height = part.shape[0]
    rows = np.arange(height, dtype=np.float32)[:, None]
    source = np.clip(rows - shift, 0, height - 1.001)
    whole = source.astype(np.intp)
    share = (source - whole).astype(np.float32)[..., None]
    width = part.shape[1]
    flat, places = part.reshape(-1, 3), whole * width + np.arange(width)[None, :]
    upper, lower = flat.take(places, axis=0), flat.take(places + width, axis=0)
    return np.asarray(upper + (lower - upper) * share, np.float32)
