"""Decoded pictures: pixels converted on demand, each form once, shared by all extractors of the pass."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Generic, TypeVar

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray
from PIL import Image

from vidchatbench.errors import MediaError
from vidchatbench.media.orientation import UPRIGHT, Orientation, stretch

Pixels = NDArray[np.uint8]
Box = tuple[float, float, float, float]
"""left, top, right, bottom in widths and heights of a picture, in 0..1."""

PAUSE = Fraction(3, 2)
"""Nominal frames from one picture to the next beyond which the clip pauses: the picture is held."""

MAX_JITTER = Fraction(1, 50)
"""Seconds by which a picture may come before its grid point is due, after a pause."""


class Picture:
    """One decoded picture, upright.

    Args:
        source: The decoder's frame, or uint8 RGB pixels of shape (height, width, 3).
        orientation: How the stored picture is turned and mirrored to stand upright.
        size: Width and height at which it is shown; its own where not given.
        frame_seconds: Nominal length of a frame of the clip; without it the clip is taken as steady.
    """

    def __init__(
        self,
        source: av.VideoFrame | Pixels,
        orientation: Orientation = UPRIGHT,
        size: tuple[int, int] | None = None,
        frame_seconds: Fraction | None = None,
    ) -> None:
        self._source = source
        self._orientation = orientation
        self._size = size
        self.frame_seconds = frame_seconds
        self._rgb: Pixels | None = None
        self._covers: dict[tuple[int, int], Pixels] = {}
        self._windows: dict[tuple[Box, int, int], Pixels] = {}
        self._fits: dict[int, tuple[Pixels, float]] = {}

    def rgb(self) -> Pixels:
        """The upright picture, uint8 RGB of shape (height, width, 3).

        Raises:
            MediaError: If the decoded pixels are of a format that has no colours.
        """
        if self._rgb is None:
            pixels = np.ascontiguousarray(self._orientation.apply(self._stored()))
            self._rgb = _frozen(pixels if self._size is None else stretch(pixels, self._size))
        return self._rgb

    def _stored(self) -> Pixels:
        if not isinstance(self._source, av.VideoFrame):
            return self._source
        try:
            return self._source.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
        except (FFmpegError, ValueError) as error:
            # The engine knows which clip it reads, and names it.
            raise MediaError("", f"a picture of format {self._source.format.name} cannot be shown: {error}") from error

    def cover(self, height: int, width: int) -> Pixels:
        """The picture scaled to cover ``height`` x ``width`` and centre-cropped (Pillow BICUBIC, antialiased)."""
        if (height, width) not in self._covers:
            self._covers[height, width] = _frozen(cover(self.rgb(), height, width))
        return self._covers[height, width]

    def window(self, box: Box, height: int, width: int) -> Pixels:
        """A part of the picture scaled to ``height`` x ``width``; see :func:`window`."""
        if (box, height, width) not in self._windows:
            self._windows[box, height, width] = _frozen(window(self.rgb(), box, height, width))
        return self._windows[box, height, width]

    def fit(self, longest: int) -> tuple[Pixels, float]:
        """The picture scaled down (Pillow BILINEAR, antialiased) so that no side exceeds ``longest``."""
        if longest not in self._fits:
            pixels = self.rgb()
            scale = min(1.0, longest / max(pixels.shape[:2]))
            if scale < 1.0:
                size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
                pixels = _frozen(np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR)))
            self._fits[longest] = (pixels, scale)
        return self._fits[longest]


class GridFrame:
    """A picture at one point of an extractor's time grid; implements :class:`vidchatbench.api.Frame`."""

    __slots__ = ("_picture", "exact_time", "index")

    def __init__(self, picture: Picture, index: int, exact_time: Fraction) -> None:
        self._picture = picture
        self.index = index
        self.exact_time = exact_time

    @property
    def time(self) -> float:
        """Time of the grid point in seconds."""
        return float(self.exact_time)

    def rgb(self) -> Pixels:
        """See :meth:`Picture.rgb`."""
        return self._picture.rgb()

    def cover(self, height: int, width: int) -> Pixels:
        """See :meth:`Picture.cover`."""
        return self._picture.cover(height, width)

    def window(self, box: Box, height: int, width: int) -> Pixels:
        """See :meth:`Picture.window`."""
        return self._picture.window(box, height, width)

    def fit(self, longest: int) -> tuple[Pixels, float]:
        """See :meth:`Picture.fit`."""
        return self._picture.fit(longest)


def cover(pixels: Pixels, height: int, width: int) -> Pixels:
    """Scales a picture to cover a rectangle and crops the centre.

    The source region of the rectangle's aspect ratio around the centre is resampled in one step with Pillow's
    BICUBIC, whose support grows with the scale when shrinking (antialiased).

    Args:
        pixels: uint8 RGB of shape (h, w, 3).
        height: Height of the result.
        width: Width of the result.

    Returns:
        uint8 RGB of shape (height, width, 3).
    """
    source_height, source_width = pixels.shape[:2]
    if (source_height, source_width) == (height, width):
        return pixels
    scale = max(height / source_height, width / source_width)
    region_width, region_height = width / scale, height / scale
    # The region that fills one side can come out a rounding error larger than the picture.
    left, top = max(0.0, (source_width - region_width) / 2), max(0.0, (source_height - region_height) / 2)
    box = (left, top, min(left + region_width, source_width), min(top + region_height, source_height))
    image = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC, box=box)
    return np.asarray(image)


def window(pixels: Pixels, box: Box, height: int, width: int) -> Pixels:
    """Cuts a part out of a picture and scales it, in one step: Pillow's BICUBIC, antialiased when shrinking.

    Args:
        pixels: uint8 RGB of shape (h, w, 3).
        box: The part; its borders need not fall between pixels.
        height: Height of the result.
        width: Width of the result.

    Returns:
        uint8 RGB of shape (height, width, 3).
    """
    source_height, source_width = pixels.shape[:2]
    left, top, right, bottom = (
        share * side for share, side in zip(box, (source_width, source_height) * 2, strict=True)
    )
    if (left, top, right, bottom) == (0, 0, width, height) and (source_height, source_width) == (height, width):
        return pixels
    image = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC, box=(left, top, right, bottom))
    return np.asarray(image)


Item = TypeVar("Item")


class NearestGrid(Generic[Item]):
    """Assigns what has a time to the points of a time grid: to each point the nearest, the earlier of two equally near.

    Across a pause the nearest would show half a pause too early what comes after it. So where the next item is more
    than one and a half nominal frames away, the held one stays until the next is due, less what rounding and jitter of
    timestamps can be: half a frame, a fiftieth of a second at most.

    Grid point ``k`` stands for time ``k / fps``; points before the first item get it, points at or after the end do not
    exist. Times are exact fractions, so that no rounding decides which item is used.

    Args:
        fps: Points per second.
    """

    def __init__(self, fps: float) -> None:
        self._step = 1 / Fraction(fps).limit_denominator(100_000)
        self._next = 0
        self._held: tuple[Item, Fraction] | None = None

    def push(
        self, item: Item, time: Fraction, frame_seconds: Fraction | None = None
    ) -> list[tuple[Item, int, Fraction]]:
        """Takes the next item; returns the points that it settles, as item, number and time.

        Args:
            item: The item.
            time: Its time in seconds.
            frame_seconds: Nominal length of a frame; without it no distance counts as a pause.
        """
        settled: list[tuple[Item, int, Fraction]] = []
        if self._held is not None:
            held, held_time = self._held
            if time <= held_time:
                return settled  # a repeated or reordered timestamp adds no grid point; the first item is kept
            until = _change(held_time, time, frame_seconds)
            settled = self._take(held, lambda at: at <= until)
        self._held = (item, time)
        return settled

    def close(self, end: Fraction) -> list[tuple[Item, int, Fraction]]:
        """Ends the grid at ``end`` seconds; returns the remaining points."""
        if self._held is None:
            return []
        held, held_time = self._held
        self._held = None
        return self._take(held, lambda at: at < end or at <= held_time)

    def _take(self, item: Item, belongs: Callable[[Fraction], bool]) -> list[tuple[Item, int, Fraction]]:
        settled = []
        while belongs(at := self._next * self._step):
            settled.append((item, self._next, at))
            self._next += 1
        return settled


class GridSampler:
    """Assigns decoded pictures to the points of an extractor's time grid; see :class:`NearestGrid`."""

    def __init__(self, fps: float) -> None:
        self._grid: NearestGrid[Picture] = NearestGrid(fps)

    def push(self, picture: Picture, time: Fraction) -> list[GridFrame]:
        """Takes the next picture; returns the grid frames that are settled by it."""
        return [GridFrame(*point) for point in self._grid.push(picture, time, picture.frame_seconds)]

    def close(self, end: Fraction) -> list[GridFrame]:
        """Ends the clip at ``end`` seconds; returns the remaining grid frames."""
        return [GridFrame(*point) for point in self._grid.close(end)]


def _change(held: Fraction, following: Fraction, frame_seconds: Fraction | None) -> Fraction:
    """Returns the time up to which a held picture is nearer than the following one, or still on."""
    distance = following - held
    if frame_seconds is None or distance <= frame_seconds * PAUSE:
        return held + distance / 2
    return following - min(frame_seconds / 2, MAX_JITTER)


def _frozen(pixels: Pixels) -> Pixels:
    # Extractors share these arrays; one that wrote into them would change the numbers of the others.
    view = pixels.view()
    view.flags.writeable = False
    return view
