"""The demonstration's imperfect systems: what each does to the reply that should have been given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from vidchatbench.demo.motion import FPS
from vidchatbench.demo.portrait import Pixels
from vidchatbench.demo.speech import SAMPLE_RATE
from vidchatbench.demo.voice import Wave

PICTURE_DELAY = 0.4
SOUND_ADVANCE = 0.4
"""With the picture's delay it makes 0.8 s, more than the 0.6 s over which SyncNet looks for an offset."""

_SMALL_SIDE = 160
_REDUCTION = 4
_PICTURE_NOISE = 8.0
_FLICKER = 0.16
_BAND = (250.0, 3000.0)
_SOUND_NOISE = 0.015


def late_picture(frames: Sequence[Pixels]) -> Iterator[Pixels]:
    """The same frames 0.4 s later, the first one held until then, the last ones lost."""
    delay = round(PICTURE_DELAY * FPS)
    for number in range(len(frames)):
        yield frames[max(0, number - delay)]


def early_sound(wave: Wave) -> Wave:
    """The same sound 0.4 s earlier, with silence at its end."""
    advance = round(SOUND_ADVANCE * SAMPLE_RATE)
    return np.concatenate([wave[advance:], np.zeros(min(advance, len(wave)), np.float32)])


def poor_picture(frames: Sequence[Pixels], seed: int) -> Iterator[Pixels]:
    """Small, blurred, noisy and flickering frames, uint8 RGB of shape (160, 160, 3)."""
    rng = np.random.default_rng(seed)
    for pixels in frames:
        small = Image.fromarray(pixels).reduce(_REDUCTION)
        # Reduced further than the size it is shown at, which blurs it.
        blurred = np.asarray(small.resize((_SMALL_SIDE, _SMALL_SIDE), Image.Resampling.BILINEAR), np.float32)
        brightness = 1 + rng.uniform(-_FLICKER, _FLICKER)
        noise = rng.standard_normal((*blurred.shape[:2], 1), np.float32)
        yield np.clip(blurred * np.float32(brightness) + _PICTURE_NOISE * noise + 0.5, 0, 255).astype(np.uint8)


def poor_sound(wave: Wave, seed: int) -> Wave:
    """The sound of a bad telephone line: 250 to 3000 Hz, with noise."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(wave)
    frequency = np.fft.rfftfreq(len(wave), 1 / SAMPLE_RATE)
    band = 1 / (1 + (_BAND[0] / np.maximum(frequency, 1)) ** 8) / (1 + (frequency / _BAND[1]) ** 16)
    limited = np.fft.irfft(spectrum * band, len(wave))
    return np.clip(limited + rng.normal(scale=_SOUND_NOISE, size=len(wave)), -1, 1).astype(np.float32)
