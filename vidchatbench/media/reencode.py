"""Encoding a clip anew: what a reply looks like that is the real one but for the codec."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
from av.error import FFmpegError

from vidchatbench.errors import MediaError
from vidchatbench.media.encode import CLIP_FPS, ClipWriter, Encoding
from vidchatbench.media.probe import probe
from vidchatbench.media.reader import ClipReader, grid_frames

CEILING = Encoding(crf=18, audio_bits=64_000)
"""The encoding that no system is asked to be nearer to the real reply than."""


def reencode(source: Path, target: Path, encoding: Encoding = CEILING) -> None:
    """Writes a clip anew: its pictures, upright, on its own average rate, and its sound as 16 kHz mono.

    An odd last row or column is cut off, because the codec has none.

    Args:
        source: The clip.
        target: The MP4 file to write; its folder exists.
        encoding: How strongly to compress.

    Raises:
        MediaError: If the clip cannot be read or has no picture.
    """
    info = probe(source)
    if info.video is None:
        raise MediaError(str(source), "there is no picture stream to encode anew")
    fps = Fraction(info.video.fps).limit_denominator(1001) if info.video.fps else Fraction(CLIP_FPS)
    reader = ClipReader(source, info, video=True, audio=info.audio is not None)
    with ClipWriter(target, encoding, fps=fps, channels=int(info.audio is not None)) as writer:
        for frame in grid_frames(reader, float(fps)):
            pixels = frame.rgb()
            writer.picture(pixels[: len(pixels) // 2 * 2, : pixels.shape[1] // 2 * 2])
        if info.audio is not None:
            writer.sound(reader.audio.samples)


_FORMATS = {".mp4": "mp4", ".mov": "mov", ".webm": "webm", ".mkv": "matroska"}


def remuxed_suffix(source: Path) -> str:
    """Returns the suffix of the file that a clip is remuxed into: its own container's, else Matroska's."""
    suffix = source.suffix.lower()
    return suffix if suffix in _FORMATS else ".mkv"


def remux(source: Path, target: Path) -> None:
    """Writes the packets of a clip into a new file; nothing is decoded.

    Args:
        source: The clip.
        target: The file to write, in the container of :func:`remuxed_suffix`; its folder exists.

    Raises:
        MediaError: If the clip cannot be read, or the container does not take its streams.
    """
    options = {"fflags": "+bitexact"}
    form = _FORMATS[remuxed_suffix(source)]
    try:
        with av.open(str(source)) as clip, av.open(str(target), "w", format=form, options=options) as copy:
            copy.metadata["title"] = "remuxed"  # or it could be the same file to the byte
            taken = [*clip.streams.video[:1], *clip.streams.audio[:1]]
            streams = {stream.index: copy.add_stream_from_template(stream) for stream in taken}
            for packet in clip.demux(taken):
                if packet.dts is not None:  # the last ones are empty
                    packet.stream = streams[packet.stream.index]
                    copy.mux(packet)
    except FFmpegError as error:
        raise MediaError(str(source), f"it cannot be remuxed: {error}") from error
