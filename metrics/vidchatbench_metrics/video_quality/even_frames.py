"""Sixteen evenly spaced frames of a clip in one pass, and the extractors that embed them.

How long a clip is, and thus which frames are wanted, is known only at its end: announced durations are not trusted.
Until then a few more than needed are kept: every frame at first, and each time more than :data:`CAPACITY` have
gathered, every second of them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api import (
    ClipInfo,
    ExtractorSpec,
    Feature,
    Frame,
    FrameExtractor,
    FrameSession,
    Timeline,
    Window,
    as_array,
)
from vidchatbench_metrics.common.geometry import GUIDES, HEIGHT, WIDTH
from vidchatbench_metrics.common.networks import Networks
from vidchatbench_metrics.faces.timeline import responder_tracklets
from vidchatbench_metrics.video_quality.face_square import Picture, View, track_square

FPS = 25
"""Grid points per second of all distribution metrics."""

FRAMES_PER_CLIP = 16

CAPACITY = 64
"""Pictures of 480 x 768 kept per clip: at most 71 MB."""

Embed = Callable[[Sequence[Picture]], NDArray[np.float32]]
"""Pictures, uint8 RGB of shape (height, width, 3), to float32 of shape (n, d); (0, 0) where there are none."""


def even_indices(frames: int) -> list[int]:
    """Returns which frames of a clip are taken: 16, evenly spaced, the middle one of each sixteenth.

    Of ``n`` frames the wanted ones are ``floor((2 i + 1) n / 32)`` for i = 0..15. Of a clip of more than 64 frames only
    multiples of the stride s are at hand, the least power of two with ``ceil(n / s) <= 64``; instead of a wanted frame
    the nearest multiple of s is taken (the earlier of two equally near), at most a quarter of the spacing away.

    Args:
        frames: Number of frames of the clip, 0 or more.

    Returns:
        Ascending indices in 0..frames - 1; under 16 of them only where the clip has under 16 frames.
    """
    stride = _stride(frames)
    last = (frames - 1) // stride
    wanted = ((2 * i + 1) * frames // (2 * FRAMES_PER_CLIP) for i in range(FRAMES_PER_CLIP))
    nearest = (min((2 * index + stride - 1) // (2 * stride), last) for index in wanted)
    return sorted({stride * multiple for multiple in nearest}) if frames > 0 else []


def _stride(frames: int) -> int:
    stride = 1
    while -(-frames // stride) > CAPACITY:
        stride *= 2
    return stride


@dataclass(frozen=True)
class KeptFrame:
    """A frame that may turn out to be one of the sixteen.

    Attributes:
        time: Seconds.
        pixels: uint8 RGB of shape (480, 768, 3), the picture's window scaled to that size.
        source: Height and width of the picture before that, in pixels.
    """

    time: float
    pixels: NDArray[np.uint8]
    source: tuple[int, int]


class EvenFrames:
    """Gathers frames of the 25 fps grid and picks the sixteen at the end.

    Args:
        window: The part of the pictures that is kept.
    """

    def __init__(self, window: Window) -> None:
        self._window = window
        self._frames = 0
        self._stride = 1
        self._kept: dict[int, KeptFrame] = {}

    @property
    def frames(self) -> int:
        """Number of frames seen."""
        return self._frames

    def push(self, frame: Frame) -> None:
        """Takes the next frame of the grid."""
        index = self._frames
        self._frames += 1
        if index % self._stride:
            return
        height, width = frame.rgb().shape[:2]
        self._kept[index] = KeptFrame(frame.time, frame.window(self._window.box, HEIGHT, WIDTH), (height, width))
        if len(self._kept) > CAPACITY:
            self._stride *= 2
            self._kept = {index: kept for index, kept in self._kept.items() if index % self._stride == 0}

    def chosen(self) -> Mapping[int, KeptFrame]:
        """Returns the sixteen frames by index, in order of time."""
        return {index: self._kept[index] for index in even_indices(self._frames)}


class EvenEmbeddings(FrameExtractor):
    """The base of the extractors of sixteen frames; subclasses set :attr:`embed` in their set-up.

    Class attributes:
        networks: The networks it runs with.
        faces_only: Whether the responder's face is cut out of each frame; frames without it then give no row.
    """

    faces_only: ClassVar[bool] = False
    networks: ClassVar[Networks]
    embed: Embed

    @property
    def fps(self) -> float:
        """The grid that the sixteen frames are chosen on."""
        return float(FPS)

    @property
    def weights(self) -> tuple[str, ...]:
        """The network."""
        return (self.networks.weight_of(str(self.params["network"])),)

    @property
    def guides(self) -> Mapping[str, ExtractorSpec]:
        """The window."""
        return GUIDES

    @property
    def requires(self) -> Mapping[str, ExtractorSpec]:
        """Face tracks, where the face is cut out."""
        return {"faces": ExtractorSpec.of("faces/mtcnn")} if self.faces_only else {}

    def begin(self, clip: ClipInfo, upstream: Mapping[str, Timeline]) -> FrameSession:
        """Starts a clip."""
        del clip
        window = Window.of(upstream["window"])
        if self.faces_only:
            return _FaceSession(self.embed, window, upstream["faces"])
        return _WholeSession(self.embed, window)


class _Session(FrameSession):
    def __init__(self, embed: Embed, window: Window) -> None:
        self._embed = embed
        self._window = window
        self._even = EvenFrames(window)

    def push(self, frame: Frame) -> None:
        self._even.push(frame)

    @abstractmethod
    def picture_of(self, kept: KeptFrame) -> Picture | None:
        """The picture that is embedded, ``None`` where the frame has none."""

    def finish(self) -> Feature:
        chosen = self._even.chosen().values()
        pictures = [(kept.time, picture) for kept in chosen if (picture := self.picture_of(kept)) is not None]
        arrays = {
            "embedding": as_array(self._embed([picture for _, picture in pictures]), "float32"),
            "time": as_array([time for time, _ in pictures], "float64"),
        }
        return Feature(arrays, {"frames": self._even.frames, "chosen": len(chosen), **self._window.meta()})


class _WholeSession(_Session):
    def picture_of(self, kept: KeptFrame) -> Picture:
        return kept.pixels


class _FaceSession(_Session):
    def __init__(self, embed: Embed, window: Window, faces: Timeline) -> None:
        super().__init__(embed, window)
        self._faces = faces
        self._responder: tuple[int, ...] = ()

    def finish(self) -> Feature:
        # Which faces are the responder's is known only at the end, when all can still be asked for at any time.
        self._responder = responder_tracklets(self._faces)
        return super().finish()

    def picture_of(self, kept: KeptFrame) -> Picture | None:
        square = track_square(self._faces, self._responder, kept.time, View(kept.source, self._window))
        return None if square is None else square.cut(kept.pixels)
