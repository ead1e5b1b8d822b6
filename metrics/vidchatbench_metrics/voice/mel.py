"""Mel spectrograms equal to librosa's, in numpy and in bounded memory.

Two networks of this family were trained on ``librosa.feature.melspectrogram``; importing librosa costs seconds and
compiles at the first call, for what is a windowed Fourier transform and one matrix product.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

_BLOCK = 512
_DB_FLOOR = 1e-10
_LINEAR_HZ_PER_MEL = 200.0 / 3
_BREAK_HZ = 1000.0
_BREAK_MEL = _BREAK_HZ / _LINEAR_HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27


@dataclass(frozen=True)
class MelOptions:
    """The options in which the two users differ.

    Attributes:
        n_fft: Samples in a window and in its Fourier transform; may be odd.
        hop: Samples between the centres of windows.
        n_mels: Number of mel bands from 0 Hz to half the sample rate.
        sample_rate: In Hz.
    """

    n_fft: int
    hop: int
    n_mels: int
    sample_rate: int


def mel_spectrogram(samples: NDArray[np.float32], options: MelOptions) -> NDArray[np.float32]:
    """Returns the mel power spectrogram, as ``librosa.feature.melspectrogram`` defines it (power 2, no logarithm).

    Periodic Hann window; windows are centred, so the sound is padded by ``n_fft // 2`` zeros at both ends; bands are
    triangles on Slaney's mel scale, each of unit area.

    Args:
        samples: float32 of shape (n,), in -1..1.
        options: Window, hop and bands.

    Returns:
        float32 of shape (frames, n_mels), >= 0, with ``frames = 1 + (n + 2 * (n_fft // 2) - n_fft) // hop``, or no
        frame if the padded sound is shorter than a window.
    """
    padded = np.pad(samples, options.n_fft // 2)
    if len(padded) < options.n_fft:
        return np.zeros((0, options.n_mels), dtype=np.float32)
    frames = sliding_window_view(padded, options.n_fft)[:: options.hop]
    window = _hann(options.n_fft)
    bank = mel_filters(options)
    mel = np.empty((len(frames), options.n_mels), dtype=np.float32)
    # Minutes of sound would need gigabytes of windows and spectra at once.
    for start in range(0, len(frames), _BLOCK):
        # The window is in double precision, and so is all that follows.
        spectrum = np.fft.rfft(frames[start : start + _BLOCK] * window, axis=1)
        power = spectrum.real**2 + spectrum.imag**2
        mel[start : start + _BLOCK] = power @ bank.T
    return mel


@lru_cache(maxsize=4)
def mel_filters(options: MelOptions) -> NDArray[np.float64]:
    """Returns the triangular filters on Slaney's mel scale, each of unit area in Hz (``librosa.filters.mel``).

    Source of the scale: M. Slaney, Auditory Toolbox, Interval Research Technical Report 1998-010; linear below
    1000 Hz, logarithmic above.

    Returns:
        float64 of shape (n_mels, 1 + n_fft // 2), read-only.
    """
    half = options.sample_rate / 2
    edges = _mel_to_hz(np.linspace(0.0, _hz_to_mel(half), options.n_mels + 2))
    bins = np.fft.rfftfreq(options.n_fft, 1.0 / options.sample_rate)
    slopes = edges[:, None] - bins[None, :]
    widths = np.diff(edges)[:, None]
    rising = -slopes[:-2] / widths[:-1]
    falling = slopes[2:] / widths[1:]
    filters = np.maximum(0.0, np.minimum(rising, falling))
    filters *= (2.0 / (edges[2:] - edges[:-2]))[:, None]
    filters.flags.writeable = False
    return filters


def power_to_db(power: NDArray[np.float32], span: float = 80.0) -> NDArray[np.float32]:
    """Returns decibels relative to the greatest value, cut ``span`` below it (``librosa.power_to_db``, ref max).

    Args:
        power: float32 of any shape, >= 0; values below 1e-10 count as 1e-10.
        span: Range that is kept, in dB.

    Returns:
        float32 of the same shape, in ``-span..0``; all 0 for digital silence.
    """
    floored = np.maximum(power.astype(np.float64), _DB_FLOOR)
    decibels = 10.0 * np.log10(floored / floored.max(initial=_DB_FLOOR))
    return np.asarray(np.maximum(decibels, -span), dtype=np.float32)


@lru_cache(maxsize=4)
def _hann(length: int) -> NDArray[np.float64]:
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(length, dtype=np.float64) / length)
    window.flags.writeable = False
    return window


def _hz_to_mel(hertz: float) -> float:
    if hertz < _BREAK_HZ:
        return hertz / _LINEAR_HZ_PER_MEL
    return float(_BREAK_MEL + np.log(hertz / _BREAK_HZ) / _LOG_STEP)


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    linear = mel * _LINEAR_HZ_PER_MEL
    logarithmic = _BREAK_HZ * np.exp(_LOG_STEP * (mel - _BREAK_MEL))
    return np.where(mel < _BREAK_MEL, linear, logarithmic)
