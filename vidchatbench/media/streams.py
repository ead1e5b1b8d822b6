"""Which streams of a container are read, and what they announce."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING, TypeVar

import av
from av.stream import Disposition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.stream import VideoStream

    AnyStream = TypeVar("AnyStream", AudioStream, VideoStream)

MAX_RATE = 240
"""Frames per second that a stream may announce to be believed; beyond, it is the resolution of a clock."""

_TAG_TIME = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")


def picture_stream(container: InputContainer) -> VideoStream | None:
    """Returns the picture stream that players show: the default one, else the first; cover art is none."""
    return _default([s for s in container.streams.video if not s.disposition & Disposition.attached_pic])


def sound_stream(container: InputContainer) -> AudioStream | None:
    """Returns the sound stream that players play: the default one, else the first."""
    return _default(container.streams.audio)


def _default(streams: Sequence[AnyStream]) -> AnyStream | None:
    flagged = (stream for stream in streams if stream.disposition & Disposition.default)
    return next(flagged, streams[0] if streams else None)


def nominal_frame(stream: VideoStream) -> Fraction | None:
    """Returns the nominal length of a frame in seconds: that of the highest rate the stream announces.

    Where duplicate pictures were dropped, the average is far below the rate that the clip was made at; the codec's own
    header still knows it, or the finest step of the timestamps.
    """
    rates = (stream.codec_context.framerate, stream.base_rate, stream.average_rate)
    known = [Fraction(rate) for rate in rates if rate and 0 < rate <= MAX_RATE]
    return 1 / max(known) if known else None


def announced_length(
    stream: VideoStream | AudioStream, container: InputContainer, start: float
) -> tuple[float | None, bool]:
    """Returns how long a stream is announced to be in seconds, and whether that is its own length.

    Matroska writes, as a tag, where each stream ends, and FFmpeg passes the length of the whole file off as the
    stream's; so the tag goes first. MP4 and AVI know each stream's length. Else the file's length must do.
    """
    tag = _TAG_TIME.fullmatch(stream.metadata.get("DURATION", ""))
    if tag is not None:
        hours, minutes, seconds = (float(part) for part in tag.groups())
        return max(0.0, 3600 * hours + 60 * minutes + seconds - start), True
    own = seconds_of(stream.duration, stream.time_base)
    if own is not None:
        return own, True
    whole = seconds_of(container.duration, 1 / av.time_base)
    return (None if whole is None else max(0.0, whole - start)), False


def seconds_of(ticks: int | None, base: Fraction | float | None) -> float | None:
    """Returns a time in seconds; ``None`` where it or its base is not known."""
    return float(ticks * base) if ticks is not None and base else None
