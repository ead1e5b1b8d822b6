"""Writing clips: H.264 and AAC in MP4, so that equal content gives equal bytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from numpy.typing import NDArray

from vidchatbench.api.extractors import SAMPLE_RATE
from vidchatbench.media.frames import Pixels

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.video.stream import VideoStream

Wave = NDArray[np.float32]

CLIP_FPS = 25
_BLOCK = 1024
_LAYOUTS = {1: "mono", 2: "stereo"}


@dataclass(frozen=True)
class _Colour:
    """How the samples of a picture are to be understood, in FFmpeg's numbers."""

    space: int
    range: int
    primaries: int
    transfer: int


_BT709 = _Colour(int(Colorspace.ITU709), int(ColorRange.MPEG), int(ColorPrimaries.BT709), int(ColorTrc.BT709))


@dataclass(frozen=True)
class Encoding:
    """How a clip is compressed.

    Attributes:
        crf: x264's constant rate factor: 0 is lossless, 51 is the worst.
        audio_bits: Bits per second of the sound.
        preset: x264's preset: the time it takes its search for what can be left out.
    """

    crf: int
    audio_bits: int
    preset: str = "veryfast"


class ClipWriter:
    """Writes one MP4 file, picture by picture; use it as a context manager.

    The first picture settles the size. The colour space is stated: BT.709 for RGB pictures, and that of the frame for
    a decoder's frame, whose samples are kept as they are.

    Args:
        path: Where to; the folder exists.
        encoding: How strongly to compress.
        fps: Pictures per second.
        sample_rate: Of the sound, in Hz.
        channels: Of the sound, 1 or 2; 0 for a clip without sound.
    """

    def __init__(
        self,
        path: Path,
        encoding: Encoding,
        *,
        fps: Fraction | int = CLIP_FPS,
        sample_rate: int = SAMPLE_RATE,
        channels: int = 1,
    ) -> None:
        self._path = path
        self._encoding = encoding
        self._fps = Fraction(fps)
        self._sample_rate = sample_rate
        self._channels = channels
        # "bitexact" keeps versions and dates out of the file, so that equal content gives equal bytes.
        options = {"fflags": "+bitexact", "movflags": "+faststart"}
        self._container = av.open(str(path), "w", format="mp4", options=options)
        self._video: VideoStream | None = None
        self._audio: AudioStream | None = None
        self._pictures = 0
        self._heard = 0

    def __enter__(self) -> ClipWriter:
        """Returns the writer."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the file; raises ValueError if it has no picture."""
        if kind is None:
            self._finish()
        self._container.close()

    def picture(self, picture: Pixels | av.VideoFrame) -> None:
        """Appends a picture.

        Args:
            picture: uint8 RGB of shape (height, width, 3), or a yuv420p frame; even sides, all of one size.
        """
        drawn = isinstance(picture, np.ndarray)
        frame = _from_pixels(picture) if isinstance(picture, np.ndarray) else picture
        if self._video is None:
            self._video = self._open_video(frame, _BT709 if drawn else _colour_of(frame))
            if self._channels:
                self._audio = self._open_audio()
        frame.pts = self._pictures
        frame.time_base = 1 / self._fps
        self._pictures += 1
        self._container.mux(self._video.encode(frame))

    def picture_of(self, clip: Path) -> None:
        """Takes the whole picture of a clip of this library, packet for packet, in place of pictures.

        Args:
            clip: The MP4 file.
        """
        with av.open(str(clip)) as source:
            taken = source.streams.video[0]
            stream = self._container.add_stream_from_template(taken)
            if self._channels:
                self._audio = self._open_audio()
            for packet in source.demux(taken):
                if packet.dts is not None:  # the last one is an empty one
                    packet.stream = stream
                    self._container.mux(packet)
                    self._pictures += 1

    def sound(self, wave: Wave) -> None:
        """Appends sound; at least one picture must have come before.

        Args:
            wave: float32 in -1..1, of shape (samples,) or (channels, samples).
        """
        if self._audio is None:
            raise ValueError(f"{self._path}: sound comes after the first picture, in a clip that has sound")
        planes = np.atleast_2d(wave)
        for start in range(0, planes.shape[1], _BLOCK):
            block = np.ascontiguousarray(planes[:, start : start + _BLOCK], dtype=np.float32)
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=_LAYOUTS[self._channels])
            frame.sample_rate = self._sample_rate
            frame.pts = self._heard
            frame.time_base = Fraction(1, self._sample_rate)
            self._heard += block.shape[1]
            self._container.mux(self._audio.encode(frame))

    def _finish(self) -> None:
        if not self._pictures:
            self._container.close()
            raise ValueError(f"{self._path}: a clip needs at least one frame")
        if self._video is not None:
            self._container.mux(self._video.encode(None))
        if self._audio is not None:
            self._container.mux(self._audio.encode(None))

    def _open_video(self, first: av.VideoFrame, colour: _Colour) -> VideoStream:
        # What x264 writes depends on its number of threads, and with macroblock trees it varies from run to run.
        own = {"crf": str(self._encoding.crf), "preset": self._encoding.preset}
        options = {**own, "threads": "1", "x264-params": "mbtree=0", "flags": "+bitexact"}
        stream = self._container.add_stream("libx264", rate=self._fps, options=options)
        stream.height, stream.width = first.height, first.width
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = 1 / self._fps
        context.colorspace, context.color_range = colour.space, colour.range
        context.color_primaries, context.color_trc = colour.primaries, colour.transfer
        return stream

    def _open_audio(self) -> AudioStream:
        layout = _LAYOUTS[self._channels]
        stream = self._container.add_stream(
            "aac", rate=self._sample_rate, layout=layout, options={"flags": "+bitexact"}
        )
        stream.bit_rate = self._encoding.audio_bits
        return stream


def write_clip(
    path: Path, frames: Iterable[Pixels], wave: Wave, encoding: Encoding, *, fps: Fraction | int = CLIP_FPS
) -> None:
    """Writes an MP4 file with mono sound.

    Args:
        path: Where to; the folder exists.
        frames: uint8 RGB pictures of shape (height, width, 3), even sides, all of one size.
        wave: float32 samples at 16 kHz, shape (samples,).
        encoding: How strongly to compress.
        fps: Pictures per second.

    Raises:
        ValueError: If there is no frame.
    """
    with ClipWriter(path, encoding, fps=fps) as writer:
        pictures = 0
        for pixels in frames:
            writer.picture(pixels)
            pictures += 1
        if pictures:
            writer.sound(wave)


def _from_pixels(pixels: Pixels) -> av.VideoFrame:
    rgb = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    return rgb.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)


def _colour_of(frame: av.VideoFrame) -> _Colour:
    # Older releases of PyAV do not expose primaries and transfer of a frame; 2 stands for unspecified.
    primaries, transfer = (int(getattr(frame, name, 2)) for name in ("color_primaries", "color_trc"))
    return _Colour(int(frame.colorspace), int(frame.color_range), primaries, transfer)
