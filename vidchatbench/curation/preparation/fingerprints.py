"""Fingerprints of clips: equal for the same clip under another compression, unlike for any other clip."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vidchatbench.api.extractors import SAMPLE_RATE
from vidchatbench.curation.preparation.listing import Fingerprint
from vidchatbench.media.cut import CUT_PROFILE
from vidchatbench.media.encode import CLIP_FPS
from vidchatbench.media.frames import GridSampler
from vidchatbench.media.probe import probe
from vidchatbench.media.reader import ClipReader

Likeness = Literal["identical", "alike", "differing"]

MAX_PICTURE_DISTANCE = 6.0
"""Bits of 64 by which pictures of the same clip may differ on average; those of other clips in 16 to 40."""
MAX_LOUDNESS_DISTANCE = 3.0
"""Decibels by which the levels of the same clip may differ on average, above a floor of -50 dB."""
MAX_FRAMES_APART = 2

_SOUND_STEP = 0.25
_SILENT = 90
_AUDIBLE = 50


def fingerprint(path: Path) -> Fingerprint:
    """Returns the fingerprint of a prepared clip.

    Raises:
        MediaError: If it cannot be read.
    """
    info = probe(path)
    reader = ClipReader(path, info, video=True, audio=True)
    seconds, frames = GridSampler(1.0), 0
    hashes = []
    for picture, time in reader:
        frames += 1
        hashes += [_difference_hash(frame.rgb()) for frame in seconds.push(picture, time)]
    hashes += [_difference_hash(frame.rgb()) for frame in seconds.close(reader.end)]
    samples = reader.audio.samples
    return Fingerprint(
        sha256=info.sha256,
        cut=CUT_PROFILE,
        frames=frames,
        pictures=tuple(hashes[: max(1, math.ceil(frames / CLIP_FPS))]),
        loudness=tuple(_levels(samples)),
    )


def compare(own: Fingerprint, published: Fingerprint) -> Likeness:
    """Compares a prepared clip with the published one: equal to the byte, in picture and sound, or different."""
    if own.sha256 == published.sha256:
        return "identical"
    if abs(own.frames - published.frames) > MAX_FRAMES_APART:
        return "differing"
    bits = [(int(a, 16) ^ int(b, 16)).bit_count() for a, b in zip(own.pictures, published.pictures, strict=False)]
    levels = [abs(min(a, _AUDIBLE) - min(b, _AUDIBLE)) for a, b in zip(own.loudness, published.loudness, strict=False)]
    seen = not bits or sum(bits) / len(bits) <= MAX_PICTURE_DISTANCE
    heard = not levels or sum(levels) / len(levels) <= MAX_LOUDNESS_DISTANCE
    return "alike" if seen and heard else "differing"


def _difference_hash(pixels: NDArray[np.uint8]) -> str:
    """Hashes whether each of 8 x 8 regions is darker than its right neighbour."""
    small = Image.fromarray(pixels).convert("L").resize((9, 8), Image.Resampling.BOX)
    values = np.asarray(small, np.int16)
    bits = (values[:, 1:] > values[:, :-1]).ravel()
    return np.packbits(bits).tobytes().hex()


def _levels(samples: NDArray[np.float32]) -> list[int]:
    step = int(_SOUND_STEP * SAMPLE_RATE)
    parts = [samples[at : at + step] for at in range(0, len(samples) - step // 2, step)]
    powers = [float(np.mean(np.square(part, dtype=np.float64))) for part in parts]
    return [_SILENT if power <= 10 ** (-_SILENT / 10) else max(0, round(-10 * math.log10(power))) for power in powers]
