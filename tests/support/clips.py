"""Makes small clips with known pictures, times and sounds, so that tests need no media files in the repository."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Paint = Callable[[int, float, int, int], Pixels]
"""Called with index, time in seconds, width and height; returns uint8 RGB of shape (height, width, 3)."""

FINE = Fraction(1, 90_000)
"""Time base of clips whose pictures do not come at a constant rate from zero."""

VIDEO_CODECS = {
    ".mp4": "libx264",
    ".mov": "libx264",
    ".m4v": "libx264",
    ".mkv": "libx264",
    ".webm": "libvpx",
    ".avi": "mpeg4",
}
AUDIO_CODECS = {".mp4": "aac", ".m4v": "aac", ".webm": "libopus"}
_CHUNK = 1024


@dataclass(frozen=True)
class Sound:
    """What a clip is to sound like.

    Attributes:
        kind: A sine, white noise (always the same), silence, or one click of 10 ms at ``click_at``.
        sample_rate: In Hz.
        channels: 1 or 2; both channels carry the same unless ``samples`` says otherwise.
        seconds: Length; by default the clip's.
        start: Seconds by which the sound stream starts after time zero.
        frequency: Of the sine, in Hz.
        amplitude: Greatest absolute value, 0 to 1.
        click_at: Where the click is, in seconds from the start of the sound.
        gap: Where, and for how many seconds, the timestamps jump, or ``None``.
        codec: By default AAC in MP4, Opus in WebM and 16 bit PCM elsewhere.
        samples: The sound itself, of shape (n,) or (channels, n), in -1 to 1, instead of ``kind``.
    """

    kind: Literal["tone", "noise", "silence", "click"] = "tone"
    sample_rate: int = 16_000
    channels: int = 1
    seconds: float | None = None
    start: float = 0.0
    frequency: float = 440.0
    amplitude: float = 0.25
    click_at: float = 0.5
    gap: tuple[float, float] | None = None
    codec: str | None = None
    samples: NDArray[np.float32] | None = None

    def waveform(self, seconds: float) -> NDArray[np.float32]:
        """The sound as float32 of shape (channels, n)."""
        if self.samples is not None:
            return np.atleast_2d(np.asarray(self.samples, np.float32))
        times = (
            np.arange(round((seconds if self.seconds is None else self.seconds) * self.sample_rate)) / self.sample_rate
        )
        if self.kind == "tone":
            wave = np.sin(2 * np.pi * self.frequency * times)
        elif self.kind == "noise":
            wave = np.random.default_rng(0).uniform(-1, 1, len(times))
        elif self.kind == "click":
            inside = (times >= self.click_at) & (times < self.click_at + 0.01)
            wave = np.where(inside, np.sin(2 * np.pi * 1000 * times), 0.0)
        else:
            wave = np.zeros(len(times))
        return np.repeat((self.amplitude * wave).astype(np.float32)[None], self.channels, axis=0)


def bars(index: int, time: float, width: int, height: int) -> Pixels:
    """Eight colour bars with a white square that moves to the right and starts anew every second."""
    del index
    colors = [(180, 180, 180), (180, 180, 16), (16, 180, 180), (16, 180, 16)]
    colors += [(180, 16, 180), (180, 16, 16), (16, 16, 180), (16, 16, 16)]
    columns = np.arange(width) * len(colors) // width
    picture = np.repeat(np.asarray(colors, np.uint8)[columns][None], height, axis=0)
    side = max(1, min(width, height) // 4)
    left = round((width - side) * (time % 1.0))
    picture[height // 2 : height // 2 + side, left : left + side] = 255
    return picture


def quadrants(index: int, time: float, width: int, height: int) -> Pixels:
    """Red, green, blue and yellow quarters from the upper left: tells every rotation and reflection apart."""
    del index, time
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2] = (220, 30, 30)
    picture[: height // 2, width // 2 :] = (30, 220, 30)
    picture[height // 2 :, : width // 2] = (30, 30, 220)
    picture[height // 2 :, width // 2 :] = (220, 220, 30)
    return picture


def numbered(index: int, time: float, width: int, height: int) -> Pixels:
    """A gray picture whose level is the index, so that a lossless clip tells which picture one is looking at."""
    del time
    return np.full((height, width, 3), index % 256, np.uint8)


def make_clip(
    path: Path,
    *,
    seconds: float = 1.0,
    fps: float = 25.0,
    size: tuple[int, int] = (64, 48),
    audio: Sound | None = Sound(),
    video: bool = True,
    paint: Paint = bars,
    times: Sequence[float] | None = None,
    video_start: float = 0.0,
    rotation: int = 0,
    lossless: bool = False,
    codec: str | None = None,
    pixel_format: str | None = None,
    color_space: int | None = None,
    color_range: int | None = None,
    front: bool = False,
) -> Path:
    """Writes a clip.

    Args:
        path: Where to; the suffix chooses the container and the default codecs.
        seconds: Length of the picture, and of the sound unless that has one of its own.
        fps: Pictures per second.
        size: Width and height in pixels.
        audio: The sound, or ``None`` for no sound stream.
        video: Whether there is a picture stream.
        paint: Paints each picture.
        times: Time of each picture in seconds, for a variable rate; ``seconds`` is then where the last one ends.
        video_start: Seconds by which the picture starts after time zero.
        rotation: Degrees counter-clockwise of the rotation metadata.
        lossless: Whether pictures must survive to the last bit.
        codec: Video codec.
        pixel_format: Of the coded picture.
        color_space: FFmpeg's number of the matrix (1 is BT.709, 6 is BT.601).
        color_range: FFmpeg's number of the range (1 is limited, 2 is full).
        front: Whether the index of an MP4 comes before the media.

    Returns:
        ``path``.
    """
    shown = list(times) if times is not None else [k / fps for k in range(max(1, round(seconds * fps)))]
    with av.open(str(path), "w", options={"movflags": "faststart"} if front else {}) as container:
        durations: dict[int, int] = {}
        if video:
            name = codec or ("libx264rgb" if lossless else VIDEO_CODECS[path.suffix.lower()])
            stream = container.add_stream(name, rate=Fraction(fps).limit_denominator(1001))
            stream.width, stream.height = size
            stream.pix_fmt = pixel_format or ("bgr0" if lossless else "yuv420p")
            if name.startswith("libx264"):
                quality = {"qp": "0"} if lossless else {"crf": "18"}
                # Pictures out of order and a variable rate together make FFmpeg's muxer announce a wrong duration.
                stream.options = {"preset": "ultrafast", "bf": "0" if times is not None else "2", **quality}
            if color_space is not None:
                stream.codec_context.colorspace = color_space
            if color_range is not None:
                stream.codec_context.color_range = color_range
            if rotation:
                stream.set_display_rotation(rotation)
            fine = times is not None or video_start != 0.0
            base = FINE if fine else 1 / Fraction(fps).limit_denominator(1001)
            stream.codec_context.time_base = base
        if audio is not None:
            name = audio.codec or AUDIO_CODECS.get(path.suffix.lower(), "pcm_s16le")
            layout = "mono" if audio.channels == 1 else "stereo"
            sound = container.add_stream(name, rate=audio.sample_rate, layout=layout)
        if video:
            for index, time in enumerate(shown):
                following = shown[index + 1] if index + 1 < len(shown) else max(seconds, time + 1 / fps)
                picture = np.ascontiguousarray(paint(index, time, *size))
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                if not lossless and stream.pix_fmt != "rgb24":
                    frame = frame.reformat(
                        format=stream.pix_fmt, dst_colorspace=color_space or 5, dst_color_range=color_range or 1
                    )
                frame.pts = round((video_start + time) / base)
                frame.time_base = base
                durations[frame.pts] = max(1, round((video_start + following) / base) - frame.pts)
                container.mux(_timed(stream.encode(frame), durations))
        if audio is not None:
            encode_sound(container, sound, audio, seconds)
        if video:
            container.mux(_timed(stream.encode(None), durations))
        if audio is not None:
            container.mux(sound.encode(None))
    return path


def make_frames_clip(
    path: Path,
    frames: Sequence[Pixels],
    fps: float,
    samples: NDArray[np.float32] | None = None,
    sample_rate: int = 16_000,
    *,
    lossless: bool = True,
) -> Path:
    """Writes the given pictures, and the given sound if any, as a clip.

    Args:
        path: Where to; lossless pictures want ``.mp4``, ``.mov`` or ``.mkv``.
        frames: uint8 RGB of shape (height, width, 3) each, all of one size.
        fps: Pictures per second.
        samples: float32 of shape (n,) or (channels, n).
        sample_rate: Of the samples, in Hz.
        lossless: Whether pictures must survive to the last bit.

    Returns:
        ``path``.
    """
    height, width = frames[0].shape[:2]
    sound = None
    if samples is not None:
        sound = Sound(sample_rate=sample_rate, channels=len(np.atleast_2d(samples)), samples=samples)
    return make_clip(
        path,
        seconds=len(frames) / fps,
        fps=fps,
        size=(width, height),
        audio=sound,
        paint=lambda index, time, width, height: frames[index],
        lossless=lossless,
    )


def silent(sound: Sound = Sound()) -> Sound:
    """The same sound stream with nothing on it."""
    return replace(sound, kind="silence", samples=None)


def _timed(packets: list[av.Packet], durations: dict[int, int]) -> list[av.Packet]:
    for packet in packets:
        if packet.pts in durations:
            packet.duration = durations[packet.pts]
    return packets


def encode_sound(container: av.container.OutputContainer, stream: av.AudioStream, sound: Sound, seconds: float) -> None:
    wave = sound.waveform(seconds)
    base = Fraction(1, sound.sample_rate)
    layout = "mono" if sound.channels == 1 else "stereo"
    jump_at, jump = (round(value * sound.sample_rate) for value in sound.gap or (0.0, 0.0))
    for at in range(0, wave.shape[1], _CHUNK):
        chunk = np.ascontiguousarray(wave[:, at : at + _CHUNK])
        frame = av.AudioFrame.from_ndarray(chunk, format="fltp", layout=layout)
        frame.sample_rate = sound.sample_rate
        frame.time_base = base
        frame.pts = at + round(sound.start * sound.sample_rate) + (jump if sound.gap and at >= jump_at else 0)
        container.mux(stream.encode(frame))
