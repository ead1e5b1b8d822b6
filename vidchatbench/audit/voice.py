"""One fixed synthetic sentence: what a system can say that has not listened.

A source-filter synthesizer in the manner of Klatt 1980 (JASA 67(3)): a train of pulses or noise through three
resonators, whose frequencies are those of an adult male (Peterson and Barney 1952). It needs no recording.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api.extractors import SAMPLE_RATE
from vidchatbench.media.encode import Wave

PITCH = 120.0
"""Fundamental frequency at the start of the sentence, in Hz; it falls by a quarter."""

_BANDWIDTHS = (80.0, 110.0, 160.0)
_PEAK = 0.5

_VOWELS = {
    "i": (270.0, 2290.0, 3010.0),
    "e": (530.0, 1840.0, 2480.0),
    "a": (730.0, 1090.0, 2440.0),
    "o": (570.0, 840.0, 2410.0),
    "u": (300.0, 870.0, 2240.0),
    "m": (250.0, 1100.0, 2200.0),
    "n": (250.0, 1500.0, 2500.0),
    "l": (360.0, 1300.0, 2700.0),
    "s": (320.0, 4800.0, 6200.0),
}
_SENTENCE = "meni.somalu.nisela.mo.salini.emasu."
"""One letter is one sound; a full stop is a pause."""

_SECONDS = {"s": 0.09, "m": 0.07, "n": 0.07, "l": 0.06, ".": 0.11}
_VOWEL_SECONDS = 0.13


@cache
def _sentence() -> Wave:
    from scipy.signal import lfilter  # not needed to print --help

    noise = np.random.Generator(np.random.PCG64(0))
    lengths = [round(_SECONDS.get(letter, _VOWEL_SECONDS) * SAMPLE_RATE) for letter in _SENTENCE]
    whole = sum(lengths)
    phase = np.cumsum(PITCH * (1 - 0.25 * np.arange(whole) / whole) / SAMPLE_RATE)
    pulses = np.diff(np.floor(phase), prepend=0.0)
    parts, start = [], 0
    for letter, length in zip(_SENTENCE, lengths, strict=True):
        if letter == ".":
            parts.append(np.zeros(length))
        else:
            source = 0.05 * noise.normal(size=length) if letter == "s" else pulses[start : start + length]
            for frequency, width in zip(_VOWELS[letter], _BANDWIDTHS, strict=True):
                source = np.asarray(lfilter(*_resonator(frequency, width), source), np.float64)
            power = float(np.sqrt(np.mean(source**2)))
            loudness = 0.4 if letter in "smnl" else 1.0
            ramp = np.minimum(1.0, np.minimum(np.arange(length), np.arange(length)[::-1]) / (0.012 * SAMPLE_RATE))
            parts.append(loudness * ramp * source / power)
        start += length
    wave = np.concatenate(parts)
    spoken: Wave = (_PEAK * wave / np.abs(wave).max()).astype(np.float32)
    return spoken


def _resonator(frequency: float, width: float) -> tuple[list[float], list[float]]:
    """Returns the coefficients of a resonator of unit gain at frequency 0."""
    radius = math.exp(-math.pi * width / SAMPLE_RATE)
    feedback = [1.0, -2 * radius * math.cos(2 * math.pi * frequency / SAMPLE_RATE), radius * radius]
    return [sum(feedback)], feedback


def fixed_sentence(length: int) -> Wave:
    """Returns the sentence again and again, float32 of shape (length,) at 16 kHz."""
    spoken: NDArray[np.float32] = np.resize(_sentence(), length)
    return spoken
