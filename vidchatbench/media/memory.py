"""Clips that are in memory already: arrays instead of files, read through the same interface."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vidchatbench.api.extractors import SAMPLE_RATE, Audio, ClipInfo
from vidchatbench.media.frames import Picture
from vidchatbench.media.probe import AudioInfo, MediaInfo, VideoInfo
from vidchatbench.media.sound import resampled

_CHANNELS = 3
_MAX_AUDIO_CHANNELS = 8
FPS_RANGE = (0.1, 1000.0)
SAMPLE_RATES = (1_000, 768_000)
MAX_PEAK = 32.0
"""Largest sample of sound that is taken for overshoot, 30 dB beyond full scale; more are integers made into floats."""


@dataclass(frozen=True)
class MemoryClip:
    """A clip as arrays, for scoring inside a training loop.

    Build it with :meth:`of`, which checks shapes and types.

    Attributes:
        frames: uint8 RGB of shape (n, height, width, 3).
        fps: Frames per second.
        sound: float32 of shape (m,), mono, in -1..1; ``None`` without sound.
        sample_rate: Of the sound, in Hz.
    """

    frames: NDArray[np.uint8]
    fps: float
    sound: NDArray[np.float32] | None = None
    sample_rate: int = SAMPLE_RATE

    @classmethod
    def of(
        cls, frames: ArrayLike, fps: float, sound: ArrayLike | None = None, sample_rate: int = SAMPLE_RATE
    ) -> MemoryClip:
        """Builds a clip from arrays or from tensors on the CPU.

        Args:
            frames: uint8 RGB of shape (n, height, width, 3) or (n, 3, height, width).
            fps: Frames per second, 0.1 to 1000.
            sound: Floats in -1..1 of shape (m,) or (channels, m); channels are averaged, overshoot is clipped.
            sample_rate: Of the sound, in Hz; a whole number of 1000 to 768000.

        Raises:
            ValueError: If a shape, type or rate cannot be meant.
        """
        pixels = np.asarray(frames)
        if pixels.dtype != np.uint8:
            raise ValueError(f"frames must be uint8 in 0..255, not {pixels.dtype}; scale, round and convert them first")
        if pixels.ndim != 4 or _CHANNELS not in {pixels.shape[1], pixels.shape[3]}:  # noqa: PLR2004
            raise ValueError(
                f"frames must have shape (n, height, width, 3) or (n, 3, height, width), not {pixels.shape}"
            )
        if len(pixels) == 0:
            raise ValueError("a clip has at least one frame")
        if pixels.shape[3] != _CHANNELS:
            pixels = pixels.transpose(0, 2, 3, 1)
        if not FPS_RANGE[0] <= fps <= FPS_RANGE[1]:
            raise ValueError(f"fps must be {FPS_RANGE[0]:g} to {FPS_RANGE[1]:g} frames per second, not {fps}")
        if not SAMPLE_RATES[0] <= sample_rate <= SAMPLE_RATES[1] or sample_rate != math.floor(sample_rate):
            raise ValueError(
                f"sample_rate must be a whole number of {SAMPLE_RATES[0]} to {SAMPLE_RATES[1]} Hz, not {sample_rate}"
            )
        return cls(np.ascontiguousarray(pixels), float(fps), _mono(sound), int(sample_rate))

    def describe(self) -> MediaInfo:
        """Returns what probing a file of this content would find; the hash is that of the arrays."""
        digest = hashlib.sha256(f"{self.frames.shape} {self.fps} {self.sample_rate}".encode())
        digest.update(self.frames.data)
        size = self.frames.nbytes
        audio = None
        if self.sound is not None:
            digest.update(self.sound.data)
            size += self.sound.nbytes
            seconds = len(self.sound) / self.sample_rate
            audio = AudioInfo(codec="memory", sample_rate=self.sample_rate, channels=1, duration=seconds)
        count, height, width = self.frames.shape[:3]
        video = VideoInfo(
            codec="memory",
            width=width,
            height=height,
            rotation=0,
            pixel_format="rgb24",
            color_space="rgb",
            fps=self.fps,
            frames=count,
            duration=count / self.fps,
        )
        return MediaInfo(sha256=digest.hexdigest(), bytes=size, container="memory", video=video, audio=audio)


class MemoryReader:
    """Reads a clip in memory; see :class:`vidchatbench.media.reader.ClipReader`, whose interface it has.

    Args:
        clip: The clip.
        video: Whether pictures are wanted.
    """

    def __init__(self, clip: MemoryClip, *, video: bool) -> None:
        self._clip = clip
        self._want_video = video
        self.end = Fraction(0)
        """End of the picture in seconds, known when the iteration is over."""

    @property
    def clip(self) -> ClipInfo:
        """What extractors may know of the clip."""
        count, height, width = self._clip.frames.shape[:3]
        return ClipInfo(width, height, count / self._clip.fps)

    @property
    def audio(self) -> Audio:
        """The whole sound at the rate of extractors."""
        sound = self._clip.sound
        return Audio(np.zeros(0, np.float32) if sound is None else resampled(sound, self._clip.sample_rate))

    def stop_video(self) -> None:
        """Stops reading pictures."""
        self._want_video = False

    def __iter__(self) -> Iterator[tuple[Picture, Fraction]]:
        """Yields pictures with their exact times."""
        step = 1 / Fraction(self._clip.fps).limit_denominator(100_000)
        for index, pixels in enumerate(self._clip.frames):
            if not self._want_video:
                return
            self.end = (index + 1) * step
            yield Picture(pixels, frame_seconds=step), index * step


def _mono(sound: ArrayLike | None) -> NDArray[np.float32] | None:
    if sound is None:
        return None
    samples: NDArray[Any] = np.asarray(sound)
    if not np.issubdtype(samples.dtype, np.floating):
        raise ValueError(f"sound must be floats in -1..1, not {samples.dtype}")
    if samples.ndim != 1 and not (samples.ndim == 2 and samples.shape[0] <= _MAX_AUDIO_CHANNELS):  # noqa: PLR2004
        raise ValueError(f"sound must have shape (m,) or (channels, m), not {samples.shape}")
    if samples.size == 0:
        raise ValueError("sound has no samples; leave it out for a clip without sound")
    peak = np.max(np.abs(samples), initial=0.0, where=np.isfinite(samples))
    if peak > MAX_PEAK:
        raise ValueError(
            f"sound must be floats in -1..1, not up to {peak:g}; divide integers by their full scale first"
        )
    samples = np.clip(np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0), -1.0, 1.0)
    if samples.ndim == 2:  # noqa: PLR2004
        samples = samples.mean(axis=0)
    return np.ascontiguousarray(samples.astype(np.float32))
