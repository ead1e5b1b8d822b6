"""Probing: what a media file is and what is wrong with it, before any model runs.

Only headers and the first picture are read, so that probing 500 clips takes seconds. A fault further in (a clip cut
off, a broken packet) shows when the clip is decoded and is reported then.
"""

from __future__ import annotations

import functools
import math
import re
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
from av.error import FFmpegError
from av.stream import Disposition
from PIL import Image, ImageOps, UnidentifiedImageError

from vidchatbench.api.extractors import SAMPLE_RATE
from vidchatbench.core.hashing import hash_file
from vidchatbench.core.models import AnyFloatModel, FrozenModel
from vidchatbench.errors import MediaError

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.stream import VideoStream

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
# Lists that point at other files are left out on purpose: their hash would not be that of what is scored.
ACCEPTED_FORMATS = frozenset(
    {
        "mp4",
        "mov",
        "matroska",
        "webm",
        "avi",
        "mpegts",
        "mpeg",
        "flv",
        "asf",
        "ogg",
        "wav",
        "mp3",
        "flac",
        "aac",
        "h264",
    }
)
NORMAL_FPS = (10.0, 61.0)
MAX_NORMAL_SECONDS = 120.0
_TAG_TIME = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")
_UNSPECIFIED_COLOR = 2
_COLOR_NAMES = {0: "rgb", 1: "bt709", 2: "unspecified", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m"}


class VideoInfo(AnyFloatModel):
    """The picture stream.

    Attributes:
        codec: Name of the codec.
        width: Width of the upright picture.
        height: Height of the upright picture.
        rotation: Degrees, counter-clockwise, by which the stored picture is turned.
        pixel_format: As FFmpeg names it.
        color_space: The matrix, ``unspecified`` where the file does not say.
        fps: Average rate, if announced.
        frames: Number of pictures, if announced.
        start: Timestamp of the first picture in seconds; time 0 of everything that is extracted.
        duration: Length of the picture in seconds, as far as it is announced.
        announced: Whether that length is the picture's own, not only that of the whole file.
    """

    codec: str
    width: int
    height: int
    rotation: int
    pixel_format: str
    color_space: str
    fps: float | None
    frames: int | None
    start: float = 0.0
    duration: float | None
    announced: bool = False


class AudioInfo(AnyFloatModel):
    """The sound stream; ``duration`` and ``announced`` as in :class:`VideoInfo`."""

    codec: str
    sample_rate: int
    channels: int
    duration: float | None
    announced: bool = False


class MediaInfo(FrozenModel):
    """What probing found; one line of ``media.jsonl`` is made of it.

    Attributes:
        sha256: Hash of the file's content.
        bytes: Size of the file.
        container: Names of the container format, as FFmpeg gives them.
        video: The first real picture stream, if any.
        audio: The first sound stream, if any.
        is_image: True for a still image.
        warnings: What is unusual, and which policy was applied.
    """

    sha256: str
    bytes: int
    container: str
    video: VideoInfo | None
    audio: AudioInfo | None
    is_image: bool = False
    warnings: tuple[str, ...] = ()


def probe(path: Path) -> MediaInfo:
    """Reads the headers and the first picture of a media file.

    The result is cached as long as the file's size and time of change stay the same.

    Raises:
        MediaError: If the file is missing, empty, not media, or announces a picture stream that has no picture.
    """
    if not path.is_file():
        raise MediaError(str(path), "there is no such file")
    stat = path.stat()
    if stat.st_size == 0:
        raise MediaError(str(path), "the file is empty (0 bytes)")
    return _probe(path, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=8192)
def _probe(path: Path, size: int, changed: int) -> MediaInfo:
    del changed  # only a part of the key under which the answer is remembered
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return _probe_image(path, size)
    try:
        with av.open(str(path)) as container:
            name = container.format.name
            if not set(name.split(",")) & ACCEPTED_FORMATS:
                raise MediaError(
                    str(path), f"a file of format {name!r} is not accepted; write MP4, MKV, WebM, MOV or AVI"
                )
            video, video_warnings = _probe_video(container, path)
            audio = _probe_audio(container)
    except FFmpegError as error:
        raise MediaError(str(path), describe_ffmpeg_error(error)) from error
    if video is None and audio is None:
        raise MediaError(str(path), "neither a picture nor a sound stream was found; is this a media file?")
    return MediaInfo(
        sha256=hash_file(path),
        bytes=size,
        container=name,
        video=video,
        audio=audio,
        warnings=(*video_warnings, *_audio_warnings(audio)),
    )


def describe_ffmpeg_error(error: FFmpegError) -> str:
    """Puts FFmpeg's message into words that a submitter can act on."""
    text = error.strerror or str(error)
    if "moov atom not found" in str(getattr(error, "log", "") or "") or "Invalid data" in text:
        return f"not readable as media: {text} (truncated, still being written, or not a media file)"
    return f"not readable as media: {text}"


def picture_stream(container: InputContainer) -> VideoStream | None:
    """Returns the first picture stream that is not cover art."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    return None


def _probe_image(path: Path, size: int) -> MediaInfo:
    try:
        with Image.open(path) as image:
            mode, kind = image.mode, str(image.format).lower()
            width, height = ImageOps.exif_transpose(image).size
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise MediaError(str(path), f"not readable as an image: {error}") from error
    video = VideoInfo(
        codec=kind,
        width=width,
        height=height,
        rotation=0,
        pixel_format=mode,
        color_space="rgb",
        fps=None,
        frames=1,
        duration=0.0,
    )
    return MediaInfo(sha256=hash_file(path), bytes=size, container=kind, video=video, audio=None, is_image=True)


def _probe_video(container: InputContainer, path: Path) -> tuple[VideoInfo | None, tuple[str, ...]]:
    stream = picture_stream(container)
    if stream is None:
        return None, ()
    try:
        first = next(iter(container.decode(stream)), None)
    except FFmpegError as error:
        raise MediaError(str(path), f"the first picture cannot be decoded: {error.strerror or error}") from error
    if first is None:
        raise MediaError(str(path), "the picture stream holds no frame")
    rotation = int(first.rotation) % 360
    turned = rotation in {90, 270}
    fps = float(stream.average_rate) if stream.average_rate else None
    base = first.time_base or stream.time_base
    start = _seconds(first.pts, base) or 0.0
    duration, announced = _length(stream, container, start)
    video = VideoInfo(
        codec=stream.codec_context.name,
        width=first.height if turned else first.width,
        height=first.width if turned else first.height,
        rotation=rotation,
        pixel_format=first.format.name,
        color_space=_COLOR_NAMES.get(int(first.colorspace), str(int(first.colorspace))),
        fps=fps,
        frames=stream.frames or None,
        start=start,
        duration=duration,
        announced=announced,
    )
    return video, _video_warnings(video, stream, first)


def _video_warnings(video: VideoInfo, stream: VideoStream, first: av.VideoFrame) -> tuple[str, ...]:
    warnings = []
    if int(first.colorspace) == _UNSPECIFIED_COLOR and not first.format.is_rgb:
        warnings.append("colour space is untagged; decoded as BT.601 like every common decoder does")
    if video.rotation:
        warnings.append(f"rotation metadata of {video.rotation} degrees was applied")
    if video.fps is not None and not NORMAL_FPS[0] <= video.fps <= NORMAL_FPS[1]:
        warnings.append(f"unusual frame rate of {video.fps:g} per second; resampled by timestamp")
    base, average = stream.base_rate, stream.average_rate
    if base and average and not math.isclose(float(base), float(average), rel_tol=0.02):
        warnings.append(f"variable frame rate ({float(average):.3g} on average); resampled by timestamp")
    if stream.sample_aspect_ratio not in {None, 0, 1}:
        warnings.append(f"pixels are not square ({stream.sample_aspect_ratio}); their shape is ignored")
    if video.duration is not None and video.duration > MAX_NORMAL_SECONDS:
        warnings.append(f"unusually long: {video.duration:.1f} s")
    return tuple(warnings)


def _probe_audio(container: InputContainer) -> AudioInfo | None:
    if not container.streams.audio:
        return None
    stream = container.streams.audio[0]
    start = _seconds(stream.start_time, stream.time_base) or 0.0
    duration, announced = _length(stream, container, start)
    return AudioInfo(
        codec=stream.codec_context.name,
        sample_rate=stream.sample_rate or 0,
        channels=stream.channels,
        duration=duration,
        announced=announced,
    )


def _length(stream: VideoStream | AudioStream, container: InputContainer, start: float) -> tuple[float | None, bool]:
    # MP4 and AVI know each stream's length; Matroska writes, as a tag, where each stream ends; else the file must do.
    own = _seconds(stream.duration, stream.time_base)
    if own is not None:
        return own, True
    tag = _TAG_TIME.fullmatch(stream.metadata.get("DURATION", ""))
    if tag is not None:
        hours, minutes, seconds = (float(part) for part in tag.groups())
        return max(0.0, 3600 * hours + 60 * minutes + seconds - start), True
    whole = _seconds(container.duration, 1 / av.time_base)
    return (None if whole is None else max(0.0, whole - start)), False


def _audio_warnings(audio: AudioInfo | None) -> tuple[str, ...]:
    if audio is None:
        return ()
    warnings = []
    if audio.sample_rate < SAMPLE_RATE:
        warnings.append(f"sound has only {audio.sample_rate} Hz; resampled to 16 kHz")
    if audio.channels > 1:
        warnings.append(f"sound has {audio.channels} channels; mixed down to one")
    return tuple(warnings)


def _seconds(ticks: int | None, base: Fraction | float | None) -> float | None:
    return float(ticks * base) if ticks is not None and base else None
