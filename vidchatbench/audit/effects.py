"""What is done to a picture or to a sound: pure functions, the same for the same input."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from vidchatbench.api.extractors import SAMPLE_RATE
from vidchatbench.media.encode import Wave
from vidchatbench.media.frames import Pixels

FRAME_SECONDS = Fraction(1, 25)
"""What a frame of a shift is, whatever the rate of the clip."""

BLUR_SIDE = 480
"""Short side, in pixels, of the picture that a blur's sigma is stated for."""

_NOISE_LEVELS = 8.0
_LOUD_QUANTILE = 95
_STRETCH = 0.06
_BRIGHTER = 0.2

Box = tuple[float, float, float, float]


def blurred(pixels: Pixels, sigma: float) -> Pixels:
    """Returns a picture blurred by a Gaussian whose sigma is stated for a short side of 480 pixels."""
    radius = sigma * min(pixels.shape[:2]) / BLUR_SIDE
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))


def sharpened(pixels: Pixels, percent: int) -> Pixels:
    """Returns a picture after an unsharp mask of radius 2."""
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.UnsharpMask(2, percent, 0)))


def checkered(pixels: Pixels, levels: int) -> Pixels:
    """Returns a picture whose pixels are brighter and darker by so many levels in turn."""
    height, width = pixels.shape[:2]
    places = np.arange(height)[:, None] + np.arange(width)[None, :]
    changed: Pixels = np.clip(pixels + levels * (1 - 2 * (places % 2))[:, :, None], 0, 255).astype(np.uint8)
    return changed


def lower_half_hidden(pixels: Pixels) -> Pixels:
    """Returns a picture whose lower half is grey."""
    hidden = pixels.copy()
    hidden[len(hidden) // 2 :] = 128
    return hidden


def cropped(pixels: Pixels, share: float) -> Pixels:
    """Returns the middle of a picture, less a share of each side's length in all, scaled back to its size."""
    height, width = pixels.shape[:2]
    x, y = share * width / 2, share * height / 2
    return _boxed(pixels, (x, y, width - x, height - y))


def resized(pixels: Pixels, scale: float) -> Pixels:
    """Returns a picture scaled to even sides."""
    height, width = (max(2, 2 * round(side * scale / 2)) for side in pixels.shape[:2])
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))


def moved(still: Pixels, motion: str, index: int, time: float, level: float) -> Pixels:
    """Returns one picture of a still that is made to look alive.

    Args:
        still: The picture.
        motion: One of :data:`vidchatbench.audit.extra_recipes.MOVES`, or nothing.
        index: Number of the picture.
        time: Its time in seconds.
        level: Loudness of the sound at that time, 0 to 1.

    Raises:
        ValueError: If there is no such motion.
    """
    height, width = still.shape[:2]
    turn = 2 * math.pi * time
    if motion == "":
        picture = still
    elif motion == "pan":
        left = 0.04 * width * (1 + math.sin(turn / 4))
        picture = _boxed(still, (left, 0.04 * height, left + 0.92 * width, 0.96 * height))
    elif motion == "zoom":
        picture = cropped(still, 1 - 1 / (1 + 0.04 * (1 - math.cos(turn / 8))))
    elif motion == "wobble":
        x, y = 0.02 * width * (1 + math.sin(0.9 * turn)), 0.02 * height * (1 + math.sin(1.3 * turn + 1))
        picture = _boxed(still, (x, y, x + 0.96 * width, y + 0.96 * height))
    elif motion == "noise":
        noise = np.random.Generator(np.random.PCG64(index)).normal(0, _NOISE_LEVELS, still.shape)
        picture = np.clip(still + noise, 0, 255).astype(np.uint8)
    elif motion == "sharpen":
        picture = sharpened(still, 150)
    elif motion == "pulse":
        picture = np.clip(still * (1 - _BRIGHTER / 2 + _BRIGHTER * level), 0, 255).astype(np.uint8)
    elif motion == "flap":
        middle = height // 2
        picture = still.copy()
        lower = _boxed(still[middle:], (0, 0, width, (height - middle) / (1 + _STRETCH * level)))
        picture[middle:] = lower
    else:
        raise ValueError(f"there is no motion {motion!r}")
    return picture


def _boxed(pixels: Pixels, box: Box) -> Pixels:
    """Returns a part of a picture, scaled to the whole one's size."""
    height, width = pixels.shape[:2]
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC, box))


def picked(pictures: Iterator[Pixels], fps: Fraction, target: Fraction) -> Iterator[Pixels]:
    """Yields the pictures of a slower rate: of each of its moments the one that is shown then."""
    wanted = 0
    for index, pixels in enumerate(pictures):
        while wanted * fps // target == index:
            yield pixels
            wanted += 1


# --- sound ----------------------------------------------------------------------------------------------------------


def shifted(wave: Wave, frames: int) -> Wave:
    """Returns the sound later by so many frames of 40 ms; a negative number makes it earlier.

    The length is kept: silence fills what becomes free, and what leaves the clip is lost.
    """
    by = round(frames * FRAME_SECONDS * SAMPLE_RATE)
    shifted_wave = np.zeros_like(wave)
    kept = max(0, len(wave) - abs(by))
    if by >= 0:
        shifted_wave[by:] = wave[:kept]
    else:
        shifted_wave[:kept] = wave[-by:]
    return shifted_wave


def fitted(wave: Wave, length: int) -> Wave:
    """Returns the sound cut, or followed by silence, to a number of samples."""
    return np.concatenate([wave[:length], np.zeros(max(0, length - len(wave)), np.float32)])


def half_silenced(wave: Wave) -> Wave:
    """Returns the sound with silence in its second half."""
    return fitted(wave[: len(wave) // 2], len(wave))


def amplified(wave: Wave, decibels: float) -> Wave:
    """Returns the sound louder by so many decibels, cut off at full scale."""
    louder: Wave = np.clip(wave * np.float32(10 ** (decibels / 20)), -1, 1).astype(np.float32)
    return louder


def in_noise(wave: Wave, decibels: float) -> Wave:
    """Returns the sound with white noise at a signal-to-noise ratio, cut off at full scale."""
    power = float(np.sqrt(np.mean(np.square(wave, dtype=np.float64)))) if len(wave) else 0.0
    noise = np.random.Generator(np.random.PCG64(0)).normal(0, power * 10 ** (-decibels / 20), len(wave))
    return np.clip(wave + noise, -1, 1).astype(np.float32)


def sped(wave: Wave, factor: float) -> Wave:
    """Returns the sound faster by a factor, with its pitch."""
    places = np.arange(round(len(wave) / factor)) * factor
    faster: Wave = np.interp(places, np.arange(len(wave)), wave).astype(np.float32) if len(wave) else wave
    return faster


def levels_of(wave: Wave, fps: Fraction) -> NDArray[np.float64]:
    """Returns the loudness during every picture, 0 to 1, of shape (pictures,): 1 is that of its loudest twentieth."""
    block = max(1, round(SAMPLE_RATE / fps))
    whole = wave[: len(wave) // block * block].reshape(-1, block)
    power = np.sqrt(np.mean(np.square(whole, dtype=np.float64), axis=1))
    top = float(np.percentile(power, _LOUD_QUANTILE)) if len(power) else 0.0
    return np.clip(power / top, 0, 1) if top > 0 else np.zeros(len(power))
