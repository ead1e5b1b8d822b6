"""Reading a clip: one pass that yields pictures in time order and gathers the sound on the way."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray
from PIL import Image, ImageOps

from vidchatbench.contract.extractors import SAMPLE_RATE, Audio, ClipInfo
from vidchatbench.errors import MediaError
from vidchatbench.media.frames import Picture
from vidchatbench.media.probe import MediaInfo, describe_ffmpeg_error, picture_stream

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream

TRUNCATION_TOLERANCE = 0.5
"""Seconds of announced picture that may be missing at the end before a clip counts as truncated."""

_FALLBACK_STEP = Fraction(1, 25)


class ClipReader:
    """Reads one clip once.

    Iterating yields ``(picture, time)`` in presentation order, ``time`` being exact seconds from the first picture.
    Sound is decoded in the same pass, if it was asked for, and is ready in :attr:`audio` afterwards. Memory holds one
    picture at a time and the sound (64 kB a second).

    Args:
        path: The clip.
        info: What probing found.
        video: Whether pictures are wanted.
        audio: Whether sound is wanted.
    """

    def __init__(self, path: Path, info: MediaInfo, *, video: bool, audio: bool) -> None:
        self._path = path
        self._info = info
        self._want_video = video and info.video is not None
        self._want_audio = audio and info.audio is not None
        self._sound: list[NDArray[np.float32]] = []
        self._sound_start: Fraction | None = None
        self._origin: Fraction | None = None
        self._last_step = _FALLBACK_STEP
        self.end = Fraction(0)
        """End of the picture in seconds from its start, known when the iteration is over."""

    @property
    def clip(self) -> ClipInfo:
        """What extractors may know of the clip."""
        video = self._info.video
        if video is None:
            return ClipInfo(width=0, height=0, duration=0.0)
        return ClipInfo(video.width, video.height, video.duration or 0.0, self._info.is_image)

    @property
    def audio(self) -> Audio:
        """The whole sound, aligned with the picture: silence or a cut at the start makes up for an offset."""
        samples = np.concatenate(self._sound) if self._sound else np.zeros(0, np.float32)
        # Float tracks can hold anything; what is not a number is silence, what overflows is full scale.
        samples = np.nan_to_num(samples, copy=False, nan=0.0, posinf=1.0, neginf=-1.0)
        if self._origin is not None and self._sound_start is not None:
            offset = round((self._sound_start - self._origin) * SAMPLE_RATE)
            if offset > 0:
                samples = np.concatenate([np.zeros(offset, np.float32), samples])
            elif offset < 0:
                samples = samples[-offset:]
        return Audio(np.ascontiguousarray(samples))

    def stop_video(self) -> None:
        """Says that no more pictures are wanted; the pass goes on only for sound."""
        self._want_video = False

    def __iter__(self) -> Iterator[tuple[Picture, Fraction]]:
        """Yields pictures with their times.

        Raises:
            MediaError: If a packet cannot be decoded or the clip ends well before its announced end.
        """
        if self._info.is_image:
            yield Picture(_read_image(self._path)), Fraction(0)
            self.end = Fraction(1, SAMPLE_RATE)
            return
        if not (self._want_video or self._want_audio):
            return
        announced = self._want_video
        try:
            with av.open(str(self._path)) as container:
                yield from self._read(container)
        except FFmpegError as error:
            reason = f"{describe_ffmpeg_error(error)}, after {float(self.end):.2f} s"
            raise MediaError(str(self._path), reason) from error
        if announced and self._want_video:
            self._check_complete()

    def _read(self, container: InputContainer) -> Iterator[tuple[Picture, Fraction]]:
        video = picture_stream(container) if self._want_video else None
        audio = container.streams.audio[0] if self._want_audio else None
        if video is not None:
            video.codec_context.thread_count = 1  # one thread a worker keeps memory bounded and cores fairly shared
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=SAMPLE_RATE)
        for packet in container.demux([stream for stream in (video, audio) if stream is not None]):
            if audio is not None and packet.stream == audio:
                self._take_sound(packet, audio, resampler)
            elif video is not None and self._want_video:
                yield from self._pictures(packet, video)
            if not (self._want_video or self._want_audio):
                return
        if audio is not None:
            self._keep(resampler.resample(None))

    def _pictures(self, packet: Packet[Stream], stream: VideoStream) -> Iterator[tuple[Picture, Fraction]]:
        for frame in packet.decode():
            if not isinstance(frame, av.VideoFrame):
                continue
            base = frame.time_base or stream.time_base
            if frame.pts is not None and base is not None:
                stamp = frame.pts * base
                step = frame.duration * base if frame.duration else None
            else:
                stamp, step = (self._origin or 0) + self.end, None
            if self._origin is None:
                self._origin = Fraction(stamp)
            time = Fraction(stamp) - self._origin
            rate = stream.average_rate
            self._last_step = Fraction(step or (1 / rate if rate else _FALLBACK_STEP))
            self.end = max(self.end, time + self._last_step)
            yield Picture(frame, int(frame.rotation) % 360), time

    def _take_sound(self, packet: Packet[Stream], stream: AudioStream, resampler: av.AudioResampler) -> None:
        for frame in packet.decode():
            if not isinstance(frame, av.AudioFrame):
                continue
            if self._sound_start is None:
                base = frame.time_base or stream.time_base
                self._sound_start = Fraction(frame.pts * base) if frame.pts is not None and base else Fraction(0)
            self._keep(resampler.resample(frame))

    def _keep(self, frames: list[av.AudioFrame]) -> None:
        self._sound.extend(frame.to_ndarray()[0].astype(np.float32, copy=True) for frame in frames)

    def _check_complete(self) -> None:
        video = self._info.video
        if self._origin is None:
            raise MediaError(str(self._path), "the picture stream holds no frame")
        if video is not None and video.duration is not None:
            missing = video.duration - float(self.end)
            if missing > TRUNCATION_TOLERANCE:
                raise MediaError(
                    str(self._path),
                    f"truncated: {video.duration:.2f} s of picture announced, {float(self.end):.2f} s decoded",
                )


def _read_image(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
