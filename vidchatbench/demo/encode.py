"""Writing a clip: H.264 with its colour space stated, and AAC at 16 kHz mono."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from vidchatbench.demo.motion import FPS
from vidchatbench.demo.portrait import Pixels
from vidchatbench.demo.speech import SAMPLE_RATE
from vidchatbench.demo.voice import Wave

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.video.stream import VideoStream

_BLOCK = 1024


@dataclass(frozen=True)
class Quality:
    """How strongly a clip is compressed.

    Attributes:
        crf: x264's constant rate factor: 0 is lossless, 51 is the worst.
        audio_bits: Bits per second of the sound.
    """

    crf: int
    audio_bits: int


GOOD = Quality(crf=18, audio_bits=64_000)
POOR = Quality(crf=36, audio_bits=24_000)


def write_clip(path: Path, frames: Iterable[Pixels], wave: Wave, quality: Quality) -> None:
    """Writes an MP4 file.

    Args:
        path: Where to; the folder exists.
        frames: uint8 RGB pictures of shape (height, width, 3), even sides, all of one size, 25 a second.
        wave: float32 samples at 16 kHz, shape (samples,).
        quality: How strongly to compress.

    Raises:
        ValueError: If there is no frame.
    """
    # "bitexact" keeps versions and dates out of the file, so that equal content gives equal bytes.
    with av.open(str(path), "w", options={"fflags": "+bitexact", "movflags": "+faststart"}) as container:
        video: VideoStream | None = None
        audio: AudioStream | None = None
        for number, pixels in enumerate(frames):
            if video is None:
                video = _open_video(container, pixels, quality)
                audio = _open_audio(container, quality)
            container.mux(video.encode(_picture(pixels, number)))
        if video is None or audio is None:
            raise ValueError(f"{path}: a clip needs at least one frame")
        container.mux(video.encode(None))
        for start in range(0, len(wave), _BLOCK):
            container.mux(audio.encode(_sound(wave[start : start + _BLOCK], start)))
        container.mux(audio.encode(None))


def _open_video(container: OutputContainer, pixels: Pixels, quality: Quality) -> VideoStream:
    # What x264 writes depends on its number of threads, and with macroblock trees it varies from run to run.
    options = {"crf": str(quality.crf), "preset": "veryfast", "threads": "1", "x264-params": "mbtree=0"}
    stream = container.add_stream("libx264", rate=FPS, options={**options, "flags": "+bitexact"})
    stream.height, stream.width = pixels.shape[:2]
    stream.pix_fmt = "yuv420p"
    context = stream.codec_context
    context.time_base = Fraction(1, FPS)
    context.colorspace = int(Colorspace.ITU709)
    context.color_range = int(ColorRange.MPEG)
    context.color_primaries = int(ColorPrimaries.BT709)
    context.color_trc = int(ColorTrc.BT709)
    return stream


def _open_audio(container: OutputContainer, quality: Quality) -> AudioStream:
    stream = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono", options={"flags": "+bitexact"})
    stream.bit_rate = quality.audio_bits
    return stream


def _picture(pixels: Pixels, number: int) -> av.VideoFrame:
    rgb = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    frame = rgb.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)
    frame.pts = number
    frame.time_base = Fraction(1, FPS)
    return frame


def _sound(block: Wave, start: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block)[None, :], format="fltp", layout="mono")
    frame.sample_rate = SAMPLE_RATE
    frame.pts = start
    frame.time_base = Fraction(1, SAMPLE_RATE)
    return frame
