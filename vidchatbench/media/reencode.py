"""Encoding a clip anew: what a reply looks like that is the real one but for the codec."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

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
