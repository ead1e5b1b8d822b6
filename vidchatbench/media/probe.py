"""Probing: what a media file is and what is wrong with it, before any model runs.

Only headers and the first picture are read, so that probing 500 clips takes seconds. A fault further in (a clip cut
off, a broken packet) shows when the clip is decoded and is reported then.
"""

from __future__ import annotations

import functools
import math
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
from vidchatbench.media.orientation import UPRIGHT, Orientation, pixel_aspect, shown_size
from vidchatbench.media.streams import announced_length, picture_stream, seconds_of, sound_stream

if TYPE_CHECKING:
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
        track: Number of the stream in its container.
        matrix: ``(a, b, c, d)`` by which the stored picture is turned and mirrored to be shown; see
            :class:`vidchatbench.media.orientation.Orientation`.
        pixel_aspect: Width to height of a stored pixel; ``width`` and ``height`` have it applied.
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
    track: int = 0
    matrix: tuple[int, int, int, int] = (1, 0, 0, 1)
    pixel_aspect: str = "1:1"


class AudioInfo(AnyFloatModel):
    """The sound stream; ``layout`` as FFmpeg names it, the other attributes as in :class:`VideoInfo`."""

    codec: str
    sample_rate: int
    channels: int
    duration: float | None
    announced: bool = False
    track: int = 0
    layout: str = ""


class MediaInfo(FrozenModel):
    """What probing found; one line of ``media.jsonl`` is made of it.

    Attributes:
        sha256: Hash of the file's content.
        bytes: Size of the file.
        container: Names of the container format, as FFmpeg gives them.
        video: The picture stream that is read, if any: the default one, else the first that is no cover art.
        audio: The sound stream that is read, if any: the default one, else the first.
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
            tracks = _track_warnings(container, video, audio)
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
        warnings=(*video_warnings, *_audio_warnings(audio), *tracks),
    )


def describe_ffmpeg_error(error: FFmpegError) -> str:
    """Puts FFmpeg's message into words that a submitter can act on."""
    text = error.strerror or str(error)
    if "moov atom not found" in str(getattr(error, "log", "") or "") or "Invalid data" in text:
        return f"not readable as media: {text} (truncated, still being written, or not a media file)"
    return f"not readable as media: {text}"


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
    orientation, aspect = Orientation.of(first), pixel_aspect(stream)
    upright = orientation or UPRIGHT
    width, height = shown_size(first.width, first.height, upright, aspect)
    fps = float(stream.average_rate) if stream.average_rate else None
    base = first.time_base or stream.time_base
    start = seconds_of(first.pts, base) or 0.0
    duration, announced = announced_length(stream, container, start)
    video = VideoInfo(
        codec=stream.codec_context.name,
        width=width,
        height=height,
        rotation=upright.degrees,
        pixel_format=first.format.name,
        color_space=_COLOR_NAMES.get(int(first.colorspace), str(int(first.colorspace))),
        fps=fps,
        frames=stream.frames or None,
        start=start,
        duration=duration,
        announced=announced,
        track=stream.index,
        matrix=upright.matrix,
        pixel_aspect=f"{aspect.numerator}:{aspect.denominator}",
    )
    return video, _video_warnings(video, stream, first, orientation)


def _video_warnings(
    video: VideoInfo, stream: VideoStream, first: av.VideoFrame, orientation: Orientation | None
) -> tuple[str, ...]:
    warnings = []
    if int(first.colorspace) == _UNSPECIFIED_COLOR and not first.format.is_rgb:
        warnings.append("colour space is untagged; decoded as BT.601 like every common decoder does")
    if orientation is None:
        warnings.append("the display matrix is neither a quarter turn nor a mirror image; it is not applied")
    elif orientation.degrees:
        warnings.append(f"rotation metadata of {orientation.degrees} degrees was applied")
    elif orientation.is_mirror:
        warnings.append(f"the display matrix was applied: the picture is {orientation.words}")
    if video.fps is not None and not NORMAL_FPS[0] <= video.fps <= NORMAL_FPS[1]:
        warnings.append(f"unusual frame rate of {video.fps:g} per second; resampled by timestamp")
    base, average = stream.base_rate, stream.average_rate
    if base and average and not math.isclose(float(base), float(average), rel_tol=0.02):
        warnings.append(f"variable frame rate ({float(average):.3g} on average); resampled by timestamp")
    if video.pixel_aspect != "1:1":
        warnings.append(f"pixels are not square ({video.pixel_aspect}); shown at {video.width} x {video.height}")
    if video.duration is not None and video.duration > MAX_NORMAL_SECONDS:
        warnings.append(f"unusually long: {video.duration:.1f} s")
    return tuple(warnings)


def _probe_audio(container: InputContainer) -> AudioInfo | None:
    stream = sound_stream(container)
    if stream is None:
        return None
    start = seconds_of(stream.start_time, stream.time_base) or 0.0
    duration, announced = announced_length(stream, container, start)
    return AudioInfo(
        codec=stream.codec_context.name,
        sample_rate=stream.sample_rate or 0,
        channels=stream.channels,
        duration=duration,
        announced=announced,
        track=stream.index,
        layout=stream.layout.name,
    )


def _track_warnings(container: InputContainer, video: VideoInfo | None, audio: AudioInfo | None) -> tuple[str, ...]:
    pictures = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    kinds = (("picture", pictures, video), ("sound", container.streams.audio, audio))
    return tuple(
        f"there are {len(streams)} {kind} streams; stream {info.track} is read"
        for kind, streams, info in kinds
        if info is not None and len(streams) > 1
    )


def _audio_warnings(audio: AudioInfo | None) -> tuple[str, ...]:
    if audio is None:
        return ()
    warnings = []
    if audio.sample_rate < SAMPLE_RATE:
        warnings.append(f"sound has only {audio.sample_rate} Hz; resampled to 16 kHz")
    if audio.codec.startswith("pcm_f"):
        warnings.append("sound is stored as floats; what is beyond full scale is clipped")
    if audio.channels > 1:
        warnings.append(f"sound has {audio.channels} channels; mixed down to one")
    return tuple(warnings)
