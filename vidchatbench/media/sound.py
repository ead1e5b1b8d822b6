"""One sound track while it is decoded: mixed to one channel, resampled, and laid by its timestamps."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from vidchatbench.api.extractors import SAMPLE_RATE

Samples = NDArray[np.float32]

MIN_HOLE = Fraction(1, 50)
"""Seconds by which a timestamp must be off the end of what came before, to be a hole or an overlap and no rounding."""

MAX_HOLE = 600
"""Seconds of silence that timestamps may ask for; more is a broken file."""


class HoleError(ValueError):
    """Timestamps ask for more silence than a clip can have."""


class SoundTrack:
    """Collects decoded frames of one track as mono float32 at 16 kHz.

    Channels are averaged: FFmpeg's own mix to mono is 3 dB louder than the mean, and knows no mix for odd layouts.
    Samples beyond full scale are clipped, as players do. Where timestamps leave a hole, silence fills it; where they
    step back, what was there first stays, as it does for pictures. Format, layout and rate may change on the way.
    """

    def __init__(self) -> None:
        self._parts: list[Samples] = []
        self._length = 0
        self._setup: tuple[str, str, int] | None = None
        self._packer: av.AudioResampler | None = None
        self._resampler: av.AudioResampler | None = None
        self._end = Fraction(0)
        self.start: Fraction | None = None
        """Timestamp of the first sample in seconds."""

    @property
    def seconds(self) -> float:
        """Seconds that are there so far."""
        return self._length / SAMPLE_RATE

    @property
    def samples(self) -> Samples:
        """All samples so far, those still in the resampler left out; call :meth:`close` first."""
        return np.concatenate(self._parts) if self._parts else np.zeros(0, np.float32)

    def take(self, frame: av.AudioFrame, time: Fraction | None) -> None:
        """Takes the next frame.

        Args:
            frame: The frame.
            time: Its timestamp in seconds; ``None`` puts it behind the one before.

        Raises:
            HoleError: If the timestamps leave a hole of more than ten minutes.
        """
        time = self._end if time is None else time
        if self.start is None:
            self.start = self._end = time
        if (gap := time - self._end) > MIN_HOLE:
            self._leave_hole(gap)
            self._end = time
        overlap = round(-gap * frame.sample_rate) if gap < -MIN_HOLE else 0
        if overlap >= frame.samples:
            return
        if overlap:
            self.close()  # what follows does not go on from what came before
        setup = (frame.format.name, frame.layout.name, frame.sample_rate)
        if setup != self._setup:
            self.close()
            self._setup = setup
        self._end += Fraction(frame.samples - overlap, frame.sample_rate)
        if self._packer is None:
            # Through one packed plane: PyAV cannot read planes beyond the eighth, and crashes on eight.
            self._packer = av.AudioResampler(format="flt")
        self._mix(self._packer.resample(frame), skip=overlap)

    def close(self) -> None:
        """Lets out what the resamplers still hold."""
        if self._packer is not None:
            self._mix(self._packer.resample(None))
            self._packer = None
        if self._resampler is not None:
            self._keep(self._resampler.resample(None))
            self._resampler = None

    def _leave_hole(self, seconds: Fraction) -> None:
        if seconds > MAX_HOLE:
            raise HoleError(f"the timestamps of the sound leave a hole of {float(seconds):.1f} s")
        self.close()
        self._append(np.zeros(round(seconds * SAMPLE_RATE), np.float32))

    def _mix(self, frames: list[av.AudioFrame], skip: int = 0) -> None:
        for frame in frames:
            packed = frame.to_ndarray().reshape(-1, frame.layout.nb_channels).astype(np.float32, copy=False)[skip:]
            skip = 0
            # Float tracks can hold anything: what is not a number is silence, what overflows is full scale.
            clean = np.clip(np.nan_to_num(packed, nan=0.0, posinf=1.0, neginf=-1.0), -1.0, 1.0)
            self.take_mono(np.ascontiguousarray(clean.mean(axis=1, dtype=np.float32)), frame.sample_rate)

    def take_mono(self, mono: Samples, rate: int) -> None:
        """Takes one channel in -1..1, float32 of shape (m,), behind what came before."""
        if rate == SAMPLE_RATE:
            self._append(mono)
            return
        if self._resampler is None:
            self._resampler = av.AudioResampler(format="fltp", layout="mono", rate=SAMPLE_RATE)
        frame = av.AudioFrame.from_ndarray(mono[None], format="fltp", layout="mono")
        frame.sample_rate = rate
        self._keep(self._resampler.resample(frame))

    def _keep(self, frames: list[av.AudioFrame]) -> None:
        for frame in frames:
            self._append(np.clip(frame.to_ndarray()[0].astype(np.float32, copy=False), -1.0, 1.0))

    def _append(self, part: Samples) -> None:
        self._parts.append(part)
        self._length += len(part)


def resampled(sound: Samples, rate: int) -> Samples:
    """Returns mono sound at 16 kHz, by the resampler that files go through.

    Args:
        sound: float32 of shape (m,).
        rate: Its rate in Hz.
    """
    track = SoundTrack()
    track.take_mono(sound, rate)
    track.close()
    return track.samples
