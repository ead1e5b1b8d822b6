"""The embedded public-domain portrait, and the people painted from it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from vidchatbench.demo.looks import Colour, Look, Shape

SIDE = 512
"""Height and width of all pictures."""

Pixels = NDArray[np.uint8]
Plane = NDArray[np.float32]
Points = tuple[tuple[float, float], ...]

# Outlines in the 512 x 512 portrait, (x, y), drawn by hand.
_HEAD: Points = (
    (178, 72), (196, 44), (230, 28), (272, 22), (312, 30), (352, 48), (382, 76), (400, 116), (411, 164), (404, 202),
    (384, 230), (360, 250), (346, 264), (343, 290), (330, 312), (318, 340), (316, 364), (276, 373), (200, 362),
    (183, 350), (177, 320), (176, 290), (172, 256), (158, 248), (150, 228), (128, 204), (117, 176), (115, 132),
    (124, 104), (146, 84),
)  # fmt: skip
_FACE: Points = (
    (180, 152), (206, 150), (240, 154), (280, 158), (312, 164), (341, 176), (347, 210), (346, 240), (346, 264),
    (343, 290), (330, 312), (318, 340), (316, 364), (276, 373), (200, 362), (183, 350), (177, 320), (176, 290),
    (172, 256), (158, 250), (150, 230), (166, 214), (174, 184),
)  # fmt: skip
_BODY: Points = (
    (0, 424), (38, 400), (34, 366), (44, 360), (62, 346), (86, 314), (118, 294), (150, 288), (178, 290), (260, 300),
    (318, 338), (352, 362), (382, 396), (404, 430), (420, 462), (452, 478), (486, 511), (0, 511),
)  # fmt: skip
_BROWS: tuple[Points, ...] = (
    ((186, 177), (198, 171), (212, 170), (226, 173), (238, 178)),
    ((282, 181), (298, 178), (314, 177), (326, 180), (336, 186)),
)
_JAW: Points = (
    (176, 262), (182, 320), (205, 345), (255, 356), (300, 348), (326, 318), (342, 262), (330, 258), (310, 285),
    (300, 300), (255, 310), (212, 300), (200, 285), (186, 258),
)  # fmt: skip
_AROUND_MOUTH: Points = (
    (205, 300), (212, 268), (235, 262), (255, 264), (278, 262), (300, 268), (306, 300), (255, 330),
)  # fmt: skip
_LIPS: Points = (
    (212, 271), (235, 268), (255, 271), (280, 268), (298, 273), (285, 290), (270, 299), (255, 302), (238, 299),
    (222, 288),
)  # fmt: skip
_MOUSTACHE: Points = (
    (206, 272), (222, 260), (244, 254), (255, 257), (266, 254), (288, 260), (305, 272), (284, 266), (255, 269),
    (228, 266),
)  # fmt: skip
_FOLDS: tuple[Points, ...] = (
    ((228, 240), (212, 254), (203, 270), (201, 284)),
    ((284, 240), (299, 254), (308, 270), (310, 284)),
    ((198, 210), (212, 215), (228, 210)),
    ((288, 215), (303, 220), (320, 214)),
)
_EYES: Points = ((214, 194), (302, 199))

_SHADOW: Colour = (0.55, 0.45, 0.42)
_PAINTED: Colour = (0.92, 0.42, 0.46)
_WHISKERS: Colour = (0.58, 0.5, 0.46)
_BROW = np.array([38, 28, 24], np.float32)
_FRAME = np.array([30, 26, 34], np.float32)
_CORNERS = {"square": 17, "round": 24}
"""Radius of the corners of a pair of spectacles."""


@dataclass(frozen=True)
class Bump:
    """One smooth local change of the face's shape.

    Attributes:
        x: Its centre.
        y: Its centre.
        reach: How far it reaches: one standard deviation.
        dx: Where its centre moves to, in pixels.
        dy: Where its centre moves to.
        growth: How much larger it becomes, as a share.
    """

    x: float
    y: float
    reach: float
    dx: float
    dy: float
    growth: float = 0.0


@dataclass(frozen=True)
class Person:
    """One person of the demonstration.

    Attributes:
        name: Speaker id in the manifest.
        pixels: The portrait, uint8 RGB of shape (512, 512, 3), in the geometry of the embedded picture.
        overlay: What lies on top of the moving face (spectacles), premultiplied RGB of shape (512, 512, 3).
        opacity: Opacity of the overlay, 0 to 1, shape (512, 512, 1).
        mirrored: Whether the person is shown mirrored.
        bumps: Displacements that give the face its own proportions.
    """

    name: str
    pixels: Pixels
    overlay: Plane
    opacity: Plane
    mirrored: bool = False
    bumps: tuple[Bump, ...] = ()


@cache
def paint(look: Look) -> Person:
    """Paints a person: the portrait in other proportions and colours, and what they wear."""
    pixels = _photograph().astype(np.float32)
    head, face, body = _mask(_HEAD, 1.5), _mask(_FACE, 2.0), _mask(_BODY, 1.5)
    fringe = _fringe(pixels)
    hair, skin = _unit(head * (1 - face) + fringe * face), face * (1 - fringe)
    if look.backdrop is not None:
        pixels = _mix(pixels, _backdrop(pixels, look.backdrop), 1 - np.maximum(head, body))
    pixels = _mix(pixels, pixels.max(axis=2, keepdims=True) * _rgb(look.suit), body * _orange(pixels))
    if look.hair is not None:
        pixels = _mix(pixels, _dyed(pixels, look.hair), hair)
    pixels = _mix(pixels, pixels * _rgb(look.skin), skin)
    pixels = _mix(
        pixels, pixels * _rgb(_SHADOW), np.multiply(look.age, _strokes(_FOLDS, 5, 2.5) * skin, dtype=np.float32)
    )
    pixels = _mix(pixels, pixels * _rgb(_PAINTED), look.lips * _filled(_LIPS, 2))
    pixels = _mix(pixels, _BROW, look.brow * _strokes(_BROWS, 7, 1.6))
    whiskers = _grey(pixels) * _rgb(_WHISKERS)
    pixels = _mix(pixels, whiskers, np.multiply(look.beard, _jaw() * skin, dtype=np.float32))
    pixels = _mix(pixels, whiskers, look.moustache * _filled(_MOUSTACHE, 2.5))
    light = np.linspace(*look.light, SIDE, dtype=np.float32)[None, :, None]
    frames = _spectacles(look.spectacles)
    return Person(
        look.name,
        np.clip(pixels * light + 0.5, 0, 255).astype(np.uint8),
        frames * _FRAME,
        frames,
        mirrored=look.mirrored,
        bumps=_bumps(look.shape),
    )


def _bumps(shape: Shape) -> tuple[Bump, ...]:
    (left, left_y), (right, right_y) = _EYES
    return (
        Bump(190, 310, 55, -shape.jaw, 0),
        Bump(322, 310, 55, shape.jaw, 0),
        Bump(254, 345, 50, 0, shape.chin),
        Bump(182, 240, 34, -shape.cheeks, 0),
        Bump(334, 240, 34, shape.cheeks, 0),
        Bump(254, 240, 30, 0, shape.nose),
        Bump(235, 250, 16, -shape.nostrils, 0),
        Bump(277, 250, 16, shape.nostrils, 0),
        Bump(255, 282, 45, 0, shape.mouth),
        Bump(214, 276, 24, -shape.smile, 0),
        Bump(298, 276, 24, shape.smile, 0),
        Bump(left, left_y, 45, -shape.eyes, shape.gaze),
        Bump(right, right_y, 45, shape.eyes, shape.gaze),
        Bump(left, left_y, 20, 0, 0, shape.sight),
        Bump(right, right_y, 20, 0, 0, shape.sight),
        Bump(left, 172, 22, 0, shape.brows),
        Bump(right + 6, 178, 22, 0, shape.brows),
        Bump(130, 160, 60, -shape.temples, 0),
        Bump(395, 160, 60, shape.temples, 0),
        Bump(270, 40, 80, 0, shape.crown),
    )


def _photograph() -> Pixels:
    data = resources.files("vidchatbench.demo").joinpath("portrait.jpg").read_bytes()
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def _rgb(colour: Colour) -> Plane:
    return np.array(colour, np.float32)


def _mask(outline: Points, softness: float) -> Plane:
    # One pixel inside the outline, so that no rim of the old backdrop is left.
    return _plane(_polygon(outline).filter(ImageFilter.MinFilter(3)), softness)


def _filled(outline: Points, softness: float) -> Plane:
    return _plane(_polygon(outline), softness)


def _polygon(outline: Points) -> Image.Image:
    image = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(image).polygon(outline, fill=255)
    return image


def _plane(image: Image.Image, softness: float) -> Plane:
    soft = image.filter(ImageFilter.GaussianBlur(softness))
    return _unit(np.asarray(soft, np.float32) / 255)[..., None]


def _unit(values: NDArray[np.floating[Any]]) -> Plane:
    return np.asarray(np.clip(values, 0, 1), np.float32)


def _mix(under: Plane, over: Plane, opacity: Plane) -> Plane:
    return np.asarray(under + (over - under) * opacity, np.float32)


def _grey(pixels: Plane) -> Plane:
    return pixels @ np.array([[0.299], [0.587], [0.114]], np.float32)


def _backdrop(pixels: Plane, colour: Colour) -> Plane:
    down = np.linspace(1.0, 0.75, SIDE, dtype=np.float32)[:, None, None]
    return np.asarray(_grey(pixels) * down * _rgb(colour), np.float32)


def _orange(pixels: Plane) -> Plane:
    return _unit((pixels[..., :1] - pixels[..., 2:] - 60) / 50)


def _fringe(pixels: Plane) -> Plane:
    """Hair that hangs into the face's outline: as dark as hair, and above the eyes."""
    rows = np.arange(SIDE, dtype=np.float32)[:, None, None]
    return _unit((165 - _grey(pixels)) / 40) * _unit((172 - rows) / 8)


def _dyed(pixels: Plane, colour: Colour) -> Plane:
    return (_grey(pixels) + np.float32(10)) * _rgb(colour)


def _jaw() -> Plane:
    image = _polygon(_JAW)
    draw = ImageDraw.Draw(image)
    draw.polygon(_AROUND_MOUTH, fill=255)
    draw.polygon(_LIPS, fill=0)
    return _plane(image, 4)


def _strokes(lines: tuple[Points, ...], width: int, softness: float) -> Plane:
    image = Image.new("L", (SIDE, SIDE))
    draw = ImageDraw.Draw(image)
    for line in lines:
        draw.line(line, fill=255, width=width, joint="curve")
    return _plane(image, softness)


def _spectacles(form: str) -> Plane:
    if form not in _CORNERS:
        return np.zeros((SIDE, SIDE, 1), np.float32)
    scale = 4  # drawn large and scaled down, because Pillow draws without antialiasing
    image = Image.new("L", (SIDE * scale, SIDE * scale))
    draw = ImageDraw.Draw(image)
    for x, y in _EYES:
        box = [(x - 33) * scale, (y - 22) * scale, (x + 33) * scale, (y + 27) * scale]
        draw.rounded_rectangle(box, radius=_CORNERS[form] * scale, outline=235, width=3 * scale)
    (left, high), (right, low) = _EYES
    draw.line([((left + 33) * scale, high * scale), ((right - 33) * scale, low * scale)], fill=235, width=3 * scale)
    draw.line([((left - 33) * scale, (high - 6) * scale), (168 * scale, 184 * scale)], fill=220, width=3 * scale)
    draw.line([((right + 33) * scale, (low - 6) * scale), (350 * scale, 190 * scale)], fill=220, width=3 * scale)
    small = image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return _plane(small, 0.6)
