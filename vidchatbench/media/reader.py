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
from vidchatbench.media.probe import AudioInfo, MediaInfo, VideoInfo, describe_ffmpeg_error, picture_stream

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream

TRUNCATION_TOLERANCE = 0.5
"""Seconds of announced picture that may be missing at the end before a clip counts as truncated."""

MIN_HOLE = Fraction(1, 50)
"""Gaps in the timestamps of the sound, in seconds, from which on they are holes and not rounding."""

MAX_HOLE = 600
"""Seconds of silence that timestamps may ask for; more is a broken file."""

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
        self._sound: list[NDArray[np.float32]] = []
        self._sound_start: Fraction | None = None
        self._sound_end = Fraction(0)
        self._origin: Fraction | None = None
        self._last_step = _FALLBACK_STEP
        self._resampler: av.AudioResampler | None = None
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
        if self._info.video is not None and self._sound_start is not None:
            # Against the start that probing found, so that the sound is the same whether or not pictures are read.
            offset = round((float(self._sound_start) - self._info.video.start) * SAMPLE_RATE)
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
        except FFmpegError as error:
            reached = max(float(self.end), self._sound_seconds)
            reason = f"{describe_ffmpeg_error(error)}, after {reached:.2f} s"
            raise MediaError(str(self._path), reason) from error
        if with_video and self._want_video:
            if self._origin is None:
                raise MediaError(str(self._path), "the picture stream holds no frame")
            self._check_complete(self._info.video, float(self.end), "picture")
        if with_audio:
            self._check_complete(self._info.audio, self._sound_seconds, "sound")

    def _read(self, container: InputContainer) -> Iterator[tuple[Picture, Fraction]]:
        video = picture_stream(container) if self._want_video else None
        audio = container.streams.audio[0] if self._want_audio else None
        if video is not None:
            video.codec_context.thread_count = 1  # one thread a worker keeps memory bounded and cores fairly shared
        for packet in container.demux([stream for stream in (video, audio) if stream is not None]):
            if audio is not None and packet.stream == audio:
                self._take_sound(packet, audio)
            elif video is not None and self._want_video:
                yield from self._pictures(packet, video)
            if not (self._want_video or self._want_audio):
                return
        self._flush_sound()

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

    def _take_sound(self, packet: Packet[Stream], stream: AudioStream) -> None:
        for frame in packet.decode():
            if not isinstance(frame, av.AudioFrame):
                continue
            base = frame.time_base or stream.time_base
            start = Fraction(frame.pts * base) if frame.pts is not None and base else self._sound_end
            if self._sound_start is None:
                self._sound_start = self._sound_end = start
            elif (hole := start - self._sound_end) > MIN_HOLE:
                self._leave_hole(hole)
                self._sound_end = start
            self._sound_end += Fraction(frame.samples, frame.sample_rate)
            if self._resampler is None:
                # Channels are kept, to be averaged afterwards: FFmpeg's own mix to mono is 3 dB louder than the mean.
                self._resampler = av.AudioResampler(format="fltp", rate=SAMPLE_RATE)
            self._keep(self._resampler.resample(frame))

    def _leave_hole(self, hole: Fraction) -> None:
        if hole > MAX_HOLE:
            raise MediaError(str(self._path), f"the timestamps of the sound leave a hole of {float(hole):.1f} s")
        self._flush_sound()
        self._sound.append(np.zeros(round(hole * SAMPLE_RATE), np.float32))

    def _flush_sound(self) -> None:
        if self._resampler is not None:
            self._keep(self._resampler.resample(None))
            self._resampler = None

    def _keep(self, frames: list[av.AudioFrame]) -> None:
        self._sound.extend(frame.to_ndarray().mean(axis=0, dtype=np.float32) for frame in frames)

    @property
    def _sound_seconds(self) -> float:
        return sum(len(part) for part in self._sound) / SAMPLE_RATE

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
