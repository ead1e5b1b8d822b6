"""How a stored picture is turned, mirrored and stretched to be shown, from what the container says."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    import av
    from av.video.stream import VideoStream

Pixels = NDArray[np.uint8]

_MATRIX = "DISPLAYMATRIX"
_TOLERANCE = 0.01
"""How far the entries of a display matrix may be off those of a quarter turn, as a share of the others."""


@dataclass(frozen=True)
class Orientation:
    """A turn by quarters, with or without a mirror image.

    Attributes:
        matrix: ``(a, b, c, d)`` of the display matrix, each -1, 0 or 1: the stored pixel (x, y) is shown at
            (a x + c y, b x + d y), x to the right and y downwards, moved back into the picture.
    """

    matrix: tuple[int, int, int, int] = (1, 0, 0, 1)

    @classmethod
    def turned(cls, degrees: int) -> Orientation:
        """Returns a turn, counter-clockwise by a multiple of 90 degrees."""
        return cls(((1, 0, 0, 1), (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0))[degrees // 90 % 4])

    @classmethod
    def of(cls, frame: av.VideoFrame) -> Orientation | None:
        """Returns how a decoded frame is to be shown; ``None`` where its matrix is neither a turn nor a mirror."""
        data: Any = frame.side_data.get(_MATRIX)  # PyAV does not say that it is a buffer
        return UPRIGHT if data is None else cls.read(bytes(data))

    @classmethod
    def read(cls, data: bytes) -> Orientation | None:
        """Returns the orientation of a display matrix: nine 32-bit numbers, of which four turn and mirror."""
        a, b, _, c, d = struct.unpack_from("=5i", data)
        for kept, dropped in (((a, d), (b, c)), ((b, c), (a, d))):
            # How large the picture is shown does not matter here; FFmpeg makes an uneven scale the shape of the pixels.
            if min(map(abs, kept)) > 0 and max(map(abs, dropped)) <= _TOLERANCE * min(map(abs, kept)):
                one, two = (1 if entry > 0 else -1 for entry in kept)
                return cls((one, 0, 0, two) if kept == (a, d) else (0, one, two, 0))
        return None

    @property
    def swaps_sides(self) -> bool:
        """Whether width and height change places."""
        return self.matrix[0] == 0

    @property
    def signs(self) -> tuple[int, int]:
        """-1 where rows and where columns run backwards, after the sides have changed places if they do; else 1."""
        a, b, c, d = self.matrix
        return (b, c) if self.swaps_sides else (d, a)

    @property
    def is_mirror(self) -> bool:
        """Whether the picture is mirrored."""
        a, b, c, d = self.matrix
        return a * d - b * c < 0

    @property
    def degrees(self) -> int:
        """Degrees, counter-clockwise, of a turn; 0 of a mirror image."""
        return 0 if self.is_mirror else {(1, 0): 0, (0, -1): 90, (-1, 0): 180, (0, 1): 270}[self.matrix[:2]]

    def apply(self, pixels: Pixels) -> Pixels:
        """Returns the picture as it is shown, (height, width, 3)."""
        down, right = self.signs
        return (pixels.transpose(1, 0, 2) if self.swaps_sides else pixels)[::down, ::right]

    @property
    def words(self) -> str:
        """What is done to the stored picture, in words."""
        if self.is_mirror:
            return {(-1, 0, 0, 1): "mirrored", (1, 0, 0, -1): "flipped upside down"}.get(
                self.matrix, "mirrored and turned by a quarter"
            )
        return f"turned by {self.degrees} degrees" if self.degrees else "upright"


UPRIGHT = Orientation()


def pixel_aspect(stream: VideoStream) -> Fraction:
    """Returns width over height of a stored pixel; 1 where the file does not say or says what cannot be."""
    aspect = stream.sample_aspect_ratio
    return Fraction(aspect) if aspect is not None and aspect > 0 else Fraction(1)


def shown_size(width: int, height: int, orientation: Orientation, aspect: Fraction) -> tuple[int, int]:
    """Returns width and height at which a stored picture is shown.

    Pixels that are wider than high stretch the picture in width, others in height, so that nothing is lost.
    """
    wide, high = max(aspect, Fraction(1)), max(1 / aspect, Fraction(1))
    size = (math.floor(width * wide + Fraction(1, 2)), math.floor(height * high + Fraction(1, 2)))
    return (size[1], size[0]) if orientation.swaps_sides else size


def stretch(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Returns a picture of another width and height (Pillow BICUBIC, antialiased); itself where they are its own."""
    if (pixels.shape[1], pixels.shape[0]) == size:
        return pixels
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize(size, Image.Resampling.BICUBIC))
