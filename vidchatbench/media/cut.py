"""Cutting a clip out of a longer video, in time and space: the frames that were asked for, and the sound that was.

Everything that can change a pixel or a sample of the result is named by :data:`CUT_PROFILE`; another choice is another
profile.
"""

from __future__ import annotations

import wave
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import av
import numpy as np
from av.error import FFmpegError
from av.filter import Graph

from vidchatbench.api.extractors import SAMPLE_RATE
from vidchatbench.errors import MediaError
from vidchatbench.media.encode import CLIP_FPS, ClipWriter, Encoding, Wave
from vidchatbench.media.frames import NearestGrid
from vidchatbench.media.orientation import UPRIGHT, Orientation, shown_size
from vidchatbench.media.probe import describe_ffmpeg_error
from vidchatbench.media.streams import picture_stream, sound_stream

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.stream import VideoStream

CUT_PROFILE = "cut/25fps-nearest-crf14-v1"
ENCODING = Encoding(crf=14, audio_bits=192_000)

SHORTFALL = Fraction(1, 5)
"""Seconds that may be missing at the end of a cut because the video ends; the clip is then that much shorter."""

MAX_SIDE = 1920
_AAC_RATES = (48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000)
_HOLE = Fraction(1, 50)
"""A jump of the sound's timestamps, in seconds, from which on it is a hole and not rounding."""
_UNSEEKABLE = frozenset({"mpeg"})
"""Formats in which what is decoded after a jump does not have its own timestamps."""
_UNTIMED = frozenset({"avi"})
"""Formats without timestamps: the times of reordered pictures are unknown."""
_RUN_UP = Fraction(1)
"""Seconds of sound that are decoded before the cut: decoders need what came before to give exact samples."""


@dataclass(frozen=True)
class Source:
    """A source video: one file, or picture and sound apart, as hosts serve them. Times count from each file's start."""

    picture: Path
    sound: Path


@dataclass(frozen=True)
class Cut:
    """What to cut.

    Attributes:
        start: Where the clip begins, in seconds of the source.
        seconds: How long it is; rounded to whole frames.
        box: Left, top, right, bottom as fractions of the upright picture.
    """

    start: Fraction
    seconds: Fraction
    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)

    @property
    def frames(self) -> int:
        """Number of frames of the clip."""
        return max(1, int(self.seconds * CLIP_FPS + Fraction(1, 2)))


@dataclass(frozen=True)
class CutReport:
    """What a cut gave.

    Attributes:
        frames: Frames written.
        missing: Frames that were asked for and lie behind the end of the video.
        width: Width of the clip.
        height: Height of the clip.
        source_width: Width of the upright source.
        source_height: Height of the upright source.
    """

    frames: int
    missing: int
    width: int
    height: int
    source_width: int
    source_height: int


def cut_clip(source: Source, cut: Cut, clip: Path, sound: Path) -> CutReport:
    """Writes the clip as MP4 with both streams, and its sound once more as 16 kHz mono WAV.

    Frame ``k`` of the clip is the source's frame nearest to ``start + k / 25`` seconds, the earlier of two. The box is
    rounded down to even pixels, and the clip scaled down only if a side exceeds 1920. The sound begins with the sample
    nearest to ``start``; MP4 keeps its rate and up to two channels.

    Args:
        source: The source video.
        cut: What to cut.
        clip: The MP4 file to write; its folder exists.
        sound: The WAV file to write.

    Raises:
        MediaError: If the source cannot be read, has no picture or no sound, or ends more than 0.2 s too early.
        OSError: If a file cannot be written.
    """
    waves, rate = _read_sound(source.sound, cut)
    channels = waves.shape[0]
    with ClipWriter(clip, ENCODING, sample_rate=rate, channels=channels) as writer:
        report = _write_picture(source.picture, cut, writer)
        length = Fraction(report.frames, CLIP_FPS)
        writer.sound(waves[:, : round(length * rate)])
    mono = _to_16k(waves.mean(axis=0, dtype=np.float32), rate)
    _write_wav(sound, mono[: round(length * SAMPLE_RATE)])
    return report


# --- picture --------------------------------------------------------------------------------------------------------


def _write_picture(path: Path, cut: Cut, writer: ClipWriter) -> CutReport:
    grid: NearestGrid[av.VideoFrame] = NearestGrid(CLIP_FPS)
    crop: _Crop | None = None
    written = 0
    end = Fraction(0)

    def points() -> Iterator[tuple[av.VideoFrame, int, Fraction]]:
        nonlocal end
        for frame, time, until in _frames_from(path, cut.start):
            end = until
            yield from grid.push(frame, time - cut.start)
        yield from grid.close(end - cut.start)

    for nearest, _, _ in islice(points(), cut.frames):
        crop = crop or _Crop(path, nearest, cut)
        writer.picture(crop(nearest))
        written += 1
    missing = cut.frames - written
    if crop is None or missing > SHORTFALL * CLIP_FPS:
        wanted = float(cut.start + Fraction(cut.frames, CLIP_FPS))
        raise MediaError(str(path), f"the picture ends at {float(end):.2f} s, the clip would end at {wanted:.2f} s")
    return CutReport(written, missing, *crop.size, *crop.source_size)


def _frames_from(path: Path, start: Fraction) -> Iterator[tuple[av.VideoFrame, Fraction, Fraction]]:
    """Yields frames from the last one at or before ``start`` on, with their times and ends in the source."""
    # Where the file's index misleads, the first frame found is too late; then it is read from its beginning.
    for position in (start, None):
        first = True
        for frame, time, end in _decoded(path, position):
            if first and position is not None and time > start > 0:
                break
            first = False
            yield frame, time, end
        if not first:
            return
    raise MediaError(str(path), f"there is no picture at or after {float(start):.2f} s")


def _decoded(path: Path, position: Fraction | None) -> Iterator[tuple[av.VideoFrame, Fraction, Fraction]]:
    try:
        with av.open(str(path)) as container:
            stream = picture_stream(container)
            if stream is None:
                raise MediaError(str(path), "there is no picture stream")
            stream.codec_context.thread_count = 1
            origin = _origin(container)
            if not _seek(container, position, origin):
                return
            last: Fraction | None = None
            for frame in container.decode(stream):
                if frame.pts is None:
                    continue
                time = Fraction(frame.pts * (frame.time_base or stream.time_base or 0)) - origin
                if last is not None and time < last and container.format.name in _UNTIMED:
                    message = f"the pictures' times go back, from {float(last):.3f} to {float(time):.3f} s"
                    raise MediaError(str(path), message)
                last = time
                yield frame, time, time + _length_of(frame, stream)
    except FFmpegError as error:
        raise MediaError(str(path), describe_ffmpeg_error(error)) from error


def _length_of(frame: av.VideoFrame, stream: VideoStream) -> Fraction:
    if frame.duration and frame.time_base:
        return Fraction(frame.duration * frame.time_base)
    return 1 / Fraction(stream.average_rate or CLIP_FPS)


class _Crop:
    """Turns, crops and where necessary shrinks frames; the samples of the picture are not touched otherwise."""

    def __init__(self, path: Path, first: av.VideoFrame, cut: Cut) -> None:
        self._path = str(path)
        orientation = Orientation.of(first) or UPRIGHT
        width, height = shown_size(first.width, first.height, orientation, Fraction(1))
        self.source_size = (width, height)
        left, top, right, bottom = cut.box
        # To even pixels, which the coded picture needs, and never beyond the picture.
        x, y = int(left * width) // 2 * 2, int(top * height) // 2 * 2
        w = max(2, (min(round(right * width), width) - x) // 2 * 2)
        h = max(2, (min(round(bottom * height), height) - y) // 2 * 2)
        scale = min(1.0, MAX_SIDE / max(w, h))
        self.size = (max(2, int(w * scale) // 2 * 2), max(2, int(h * scale) // 2 * 2))
        steps = [("transpose", "cclock_flip")] if orientation.swaps_sides else []
        down, right = orientation.signs
        steps += [("hflip", "")] if right < 0 else []
        steps += [("vflip", "")] if down < 0 else []
        steps += [("crop", f"{w}:{h}:{x}:{y}:exact=1")]
        steps += [("scale", f"{self.size[0]}:{self.size[1]}:flags=bicubic")] if self.size != (w, h) else []
        steps += [("format", "pix_fmts=yuv420p"), ("buffersink", "")]
        self._kind = (first.width, first.height, first.format.name, orientation)
        self._graph = Graph()
        last = self._graph.add_buffer(
            width=first.width, height=first.height, format=first.format, time_base=Fraction(1, 90_000)
        )
        for name, arguments in steps:
            node = self._graph.add(name, arguments) if arguments else self._graph.add(name)
            last.link_to(node)
            last = node
        self._graph.configure()

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        if (frame.width, frame.height, frame.format.name, Orientation.of(frame) or UPRIGHT) != self._kind:
            raise MediaError(self._path, "the picture changes its size or format within the clip")
        self._graph.push(frame)
        pulled = self._graph.pull()
        assert isinstance(pulled, av.VideoFrame)  # noqa: S101 - a graph of pictures gives pictures
        return pulled


# --- sound ----------------------------------------------------------------------------------------------------------


def _read_sound(path: Path, cut: Cut) -> tuple[Wave, int]:
    """Returns the sound of the cut, float32 of shape (channels, samples), and its rate."""
    try:
        # Where the file's index misleads, the first sound found is too late; then it is read from its beginning.
        for position in (cut.start - _RUN_UP, None):
            with av.open(str(path)) as container:
                stream = sound_stream(container)
                if stream is None:
                    raise MediaError(str(path), "there is no sound stream")
                sound = _decode_sound(container, stream, cut, position)
                if sound is not None:
                    return sound
    except FFmpegError as error:
        raise MediaError(str(path), describe_ffmpeg_error(error)) from error
    raise MediaError(str(path), f"there is no sound between {_span(cut)}")


def _decode_sound(
    container: InputContainer, stream: AudioStream, cut: Cut, position: Fraction | None
) -> tuple[Wave, int] | None:
    rate = next((known for known in _AAC_RATES if known == stream.sample_rate), _AAC_RATES[0])
    channels = max(1, min(2, stream.channels))
    runs: list[_Run] = []
    origin = _origin(container)
    if not _seek(container, position, origin):
        return None
    for frame in container.decode(stream):
        if frame.pts is None:
            continue
        time = Fraction(frame.pts * (frame.time_base or stream.time_base or 0)) - origin
        if not runs and position is not None and time > cut.start > 0:
            return None
        place = round((time - cut.start) * rate)
        kind = _SoundKind(frame.format.name, frame.layout.name, frame.sample_rate)
        if not runs or runs[-1].kind != kind or abs(place - runs[-1].end) > rate * _HOLE:
            runs.append(_Run(kind, channels, rate))
        runs[-1].take(place, frame)
        if time > cut.start + Fraction(cut.frames, CLIP_FPS):
            break
    wanted = np.zeros((channels, round(Fraction(cut.frames, CLIP_FPS) * rate)), np.float32)
    heard = sum([run.lay(wanted) for run in runs])
    return (wanted, rate) if heard else None


@dataclass(frozen=True)
class _SoundKind:
    """What a resampler is made for."""

    sample_format: str
    layout: str
    rate: int


class _Run:
    """Sound without a hole and of one kind.

    Containers round timestamps, Matroska to a millisecond; the run's place is the median over its frames.
    """

    def __init__(self, kind: _SoundKind, channels: int, rate: int) -> None:
        self.kind = kind
        self._rate = rate
        # Each run has its own: a resampler takes sound of another kind for what it was made for.
        self._resampler = av.AudioResampler(format="fltp", layout="mono" if channels == 1 else "stereo", rate=rate)
        self._parts: list[Wave] = []
        self._places: list[Fraction] = []
        self._length = Fraction(0)

    @property
    def end(self) -> Fraction:
        """Place after the last sample."""
        return (self._places[0] if self._places else 0) + self._length

    def take(self, place: int, frame: av.AudioFrame) -> None:
        """Takes a frame that belongs at ``place``."""
        self._places.append(place - self._length)
        self._length += Fraction(frame.samples * self._rate, frame.sample_rate)
        self._parts += _planes(self._resampler.resample(frame))

    def lay(self, wanted: Wave) -> int:
        """Puts the samples at their place, as far as they belong to the cut; returns their number."""
        self._parts += _planes(self._resampler.resample(None))
        if not self._parts:
            return 0
        samples, at = np.concatenate(self._parts, axis=1), round(Fraction(median(self._places)))
        first, last = max(0, at), min(wanted.shape[1], at + samples.shape[1])
        if first < last:
            wanted[:, first:last] = samples[:, first - at : last - at]
        return int(max(0, last - first))


def _planes(frames: list[av.AudioFrame]) -> list[Wave]:
    return [frame.to_ndarray().astype(np.float32, copy=False) for frame in frames]


def _span(cut: Cut) -> str:
    return f"{float(cut.start):.2f} and {float(cut.start + Fraction(cut.frames, CLIP_FPS)):.2f} s"


def _to_16k(samples: Wave, rate: int) -> Wave:
    if rate == SAMPLE_RATE:
        return samples
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples)[None], format="fltp", layout="mono")
    frame.sample_rate = rate
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=SAMPLE_RATE)
    parts = [part.to_ndarray()[0] for part in (*resampler.resample(frame), *resampler.resample(None))]
    return np.concatenate(parts).astype(np.float32, copy=False)


def _write_wav(path: Path, samples: Wave) -> None:
    with path.open("wb") as file, wave.open(file, "wb") as target:
        target.setnchannels(1)
        target.setsampwidth(2)
        target.setframerate(SAMPLE_RATE)
        target.writeframes(np.round(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


# --- time -----------------------------------------------------------------------------------------------------------


def _origin(container: InputContainer) -> Fraction:
    """Time 0 of a file, as every tool that cuts by seconds counts: the start of its earliest stream."""
    return Fraction(container.start_time or 0, av.time_base)


def _seek(container: InputContainer, position: Fraction | None, origin: Fraction) -> bool:
    """Goes to a position, ``None`` being the beginning; returns whether that can be relied on."""
    if position is None or position <= 0:
        return True
    if container.format.name in _UNSEEKABLE:
        return False
    try:
        container.seek(int((position + origin) * av.time_base), backward=True, any_frame=False)
    except FFmpegError:
        return False
    return True
