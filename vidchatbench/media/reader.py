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

from vidchatbench.api.extractors import SAMPLE_RATE, Audio, ClipInfo
from vidchatbench.errors import MediaError
from vidchatbench.media.frames import GridFrame, GridSampler, Picture
from vidchatbench.media.orientation import UPRIGHT, Orientation
from vidchatbench.media.probe import AudioInfo, MediaInfo, VideoInfo, describe_ffmpeg_error
from vidchatbench.media.sound import MAX_HOLE, HoleError, SoundTrack
from vidchatbench.media.streams import nominal_frame, picture_stream, sound_stream

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
        info: The result of probing.
        video: Whether pictures are wanted.
        audio: Whether sound is wanted.
    """

    def __init__(self, path: Path, info: MediaInfo, *, video: bool, audio: bool) -> None:
        self._path = path
        self._info = info
        self._want_video = video and info.video is not None
        self._want_audio = audio and info.audio is not None
        self._sound = SoundTrack()
        self._sound_fault: MediaError | None = None
        self._origin: Fraction | None = None
        self._last_step = _FALLBACK_STEP
        self._frame_seconds: Fraction | None = None
        # A clip that changes its size within is shown at one size, as players do.
        self._size = None if info.video is None or info.is_image else (info.video.width, info.video.height)
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
        """The whole sound, aligned with the picture: silence or a cut at the start makes up for an offset.

        Raises:
            MediaError: If the sound cannot be decoded, or ends well before its announced end.
        """
        if self._sound_fault is not None:
            raise self._sound_fault
        samples = self._sound.samples
        if self._info.video is not None and self._sound.start is not None:
            # Against the start that probing found, so that the sound is the same whether or not pictures are read.
            offset = round((float(self._sound.start) - self._info.video.start) * SAMPLE_RATE)
            if offset > MAX_HOLE * SAMPLE_RATE:
                raise MediaError(str(self._path), f"the sound starts {offset / SAMPLE_RATE:.1f} s after the picture")
            if offset > 0:
                samples = np.concatenate([np.zeros(offset, np.float32), samples])
            elif offset < 0:
                samples = samples[-offset:]
        return Audio(np.ascontiguousarray(samples))

    def stop_video(self) -> None:
        """Stops reading pictures; the pass goes on only for sound."""
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
        with_video, with_audio = self._want_video, self._want_audio
        try:
            with av.open(str(self._path)) as container:
                yield from self._read(container)
        except (FFmpegError, ValueError, ArithmeticError) as error:
            raise self._fault(error, max(float(self.end), self._sound.seconds)) from error
        if with_video and self._want_video:
            if self._origin is None:
                raise MediaError(str(self._path), "the picture stream holds no frame")
            self._check_complete(self._info.video, float(self.end), "picture")
        if with_audio and self._sound_fault is None:
            try:
                self._check_complete(self._info.audio, self._sound.seconds, "sound")
            except MediaError as error:
                self._sound_fault = error

    def _read(self, container: InputContainer) -> Iterator[tuple[Picture, Fraction]]:
        video = picture_stream(container) if self._want_video else None
        audio = sound_stream(container) if self._want_audio else None
        self._frame_seconds = None if video is None else nominal_frame(video)
        if video is not None:
            video.codec_context.thread_count = 1  # one thread a worker keeps memory bounded and cores fairly shared
        for packet in container.demux([stream for stream in (video, audio) if stream is not None]):
            if audio is not None and packet.stream == audio:
                if self._want_audio:
                    self._take_sound(packet, audio)
            elif video is not None and self._want_video:
                yield from self._pictures(packet, video)
            if not (self._want_video or self._want_audio):
                return
        self._close_sound()

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
            yield Picture(frame, Orientation.of(frame) or UPRIGHT, self._size, self._frame_seconds), time

    def _take_sound(self, packet: Packet[Stream], stream: AudioStream) -> None:
        try:
            for frame in packet.decode():
                if isinstance(frame, av.AudioFrame):
                    base = frame.time_base or stream.time_base
                    time = Fraction(frame.pts * base) if frame.pts is not None and base else None
                    self._sound.take(frame, time)
        except (FFmpegError, ValueError, ArithmeticError) as error:
            # The pictures of the clip are still good, so what is wrong is said when the sound is asked for.
            self._want_audio = False
            self._sound_fault = self._fault(error, self._sound.seconds)

    def _close_sound(self) -> None:
        try:
            self._sound.close()
        except (FFmpegError, ValueError, ArithmeticError) as error:
            self._sound_fault = self._fault(error, self._sound.seconds)

    def _fault(self, error: Exception, reached: float) -> MediaError:
        if isinstance(error, HoleError):
            return MediaError(str(self._path), str(error))
        what = describe_ffmpeg_error(error) if isinstance(error, FFmpegError) else f"not readable as media: {error}"
        return MediaError(str(self._path), f"{what}, after {reached:.2f} s")

    def _check_complete(self, stream: VideoInfo | AudioInfo | None, decoded: float, what: str) -> None:
        if stream is None or stream.duration is None or not stream.announced:
            return
        if stream.duration - decoded > TRUNCATION_TOLERANCE:
            announced = f"truncated: {stream.duration:.2f} s of {what} announced"
            raise MediaError(str(self._path), f"{announced}, {decoded:.2f} s decoded")


def grid_frames(reader: ClipReader, fps: float) -> Iterator[GridFrame]:
    """Yields the frames of a clip on a grid of a constant rate; the reader must read the picture.

    Raises:
        MediaError: If the clip cannot be read.
    """
    sampler = GridSampler(fps)
    for picture, time in reader:
        yield from sampler.push(picture, time)
    yield from sampler.close(reader.end)


def _read_image(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
