"""Synthetic voices: glottal pulses and noise through moving resonances, all in numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidchatbench.demo.speech import HOP, SAMPLE_RATE, Utterance

Wave = NDArray[np.float32]
_Array = NDArray[np.float64]
_Spectra = NDArray[np.complex128]

_WINDOW = 4 * HOP
_FFT = 1024
_BANDWIDTHS = (75.0, 95.0, 140.0, 220.0, 300.0, 400.0, 500.0)
_UPPER_FORMANTS = (3500.0, 4500.0, 5500.0, 6500.0)
_SPEECH_RMS = 0.07
_ROOM_RMS = 1.5e-4


@dataclass(frozen=True)
class Voice:
    """What makes a voice that voice.

    Attributes:
        pitch: Usual fundamental frequency in Hz.
        tract: Scale of all resonances; 1 is an adult male vocal tract, shorter tracts are above 1.
        tilt_hz: Corner of the glottal low-pass; low is mellow, high is bright.
        breathiness: Share of turbulent noise in the voiced source.
        melody: How lively the pitch moves; 1 follows the plan.
        damping: Scale of the resonances' bandwidths.
        tempo: How much faster than usual the speaker talks.
    """

    pitch: float
    tract: float
    tilt_hz: float
    breathiness: float
    melody: float
    damping: float
    tempo: float = 1.0


VOICES = (
    Voice(208.0, 1.18, 320.0, 0.05, 1.1, 1.15, 1.0),
    Voice(115.0, 1.14, 100.0, 0.20, 0.5, 1.40, 0.9),
    Voice(248.0, 1.24, 420.0, 0.03, 1.3, 1.00, 1.05),
    Voice(92.0, 0.90, 140.0, 0.04, 0.7, 0.80, 0.9),
    Voice(186.0, 1.10, 200.0, 0.12, 0.9, 1.30, 0.92),
    Voice(128.0, 1.02, 300.0, 0.01, 1.2, 0.85, 1.06),
    Voice(226.0, 1.08, 150.0, 0.09, 0.8, 0.95, 0.94),
    Voice(118.0, 0.88, 380.0, 0.06, 1.0, 1.25, 1.02),
    Voice(268.0, 1.30, 240.0, 0.07, 1.0, 1.20, 1.0),
    Voice(98.0, 1.06, 230.0, 0.10, 1.3, 1.10, 1.04),
    Voice(172.0, 1.22, 460.0, 0.02, 1.2, 0.80, 0.97),
    Voice(142.0, 0.94, 210.0, 0.15, 0.6, 1.00, 0.93),
)
"""One voice for each person of the demonstration."""


def synthesise(utterance: Utterance, voice: Voice, seed: int) -> Wave:
    """Speaks an utterance.

    Args:
        utterance: What to speak.
        voice: The speaker.
        seed: Seed of the noise and of the voice's unsteadiness.

    Returns:
        float32 samples at 16 kHz, shape (samples,), peak at most 0.9.
    """
    rng = np.random.default_rng(seed)
    samples = len(utterance.pitch) * HOP
    source = _glottal_source(utterance, voice, rng, samples)
    breath = rng.normal(size=samples) * _stretch(utterance.breath) * 0.12
    tract = _tract_response(utterance, voice)
    tone = _filtered(source + breath, tract)
    hiss = _filtered(rng.normal(size=samples) * _stretch(utterance.noise), _noise_response(utterance, voice))
    wave = tone / _active_rms(tone) + 0.3 * hiss / _active_rms(hiss)
    wave = wave / _active_rms(wave) * _SPEECH_RMS + rng.normal(size=samples) * _ROOM_RMS
    peak = float(np.abs(wave).max())
    return (wave * min(1.0, 0.9 / peak)).astype(np.float32)


def _stretch(track: _Array) -> _Array:
    """A track at the sample rate, linearly interpolated."""
    points = (np.arange(len(track)) + 0.5) * HOP
    return np.interp(np.arange(len(track) * HOP), points, track)


def _glottal_source(utterance: Utterance, voice: Voice, rng: np.random.Generator, samples: int) -> _Array:
    """Pulses at the pitch, with jitter and shimmer, and turbulence that swells while the glottis is open."""
    pitch = voice.pitch * (1 + voice.melody * (_stretch(utterance.pitch) - 1))
    phase = np.cumsum(pitch / SAMPLE_RATE)
    count = int(phase[-1])
    turns = np.arange(1, count + 1) + rng.normal(scale=0.006, size=count)
    places = np.interp(turns, phase, np.arange(samples, dtype=np.float64))
    strength = (1 + rng.normal(scale=0.03, size=count)) * np.sqrt(SAMPLE_RATE / pitch[places.astype(int)])
    source = np.zeros(samples + 1)
    whole = places.astype(int)
    share = places - whole
    # A pulse between two samples is shared by both; rounding it to one would roughen the pitch.
    np.add.at(source, whole, strength * (1 - share))
    np.add.at(source, whole + 1, strength * share)
    openness = 0.5 - 0.5 * np.cos(2 * np.pi * phase)
    turbulence = rng.normal(size=samples) * openness * voice.breathiness
    return (source[:samples] + turbulence) * _stretch(utterance.voicing)


def _resonance(frequency: _Array, bandwidth: float, spectrum: _Array) -> _Spectra:
    """Response of a digital resonator with gain 1 at 0 Hz (Klatt 1980), shape (points, bins)."""
    radius = np.exp(-np.pi * bandwidth / SAMPLE_RATE)
    b = 2 * radius * np.cos(2 * np.pi * frequency[:, None] / SAMPLE_RATE)
    c = -(radius**2)
    delay = np.exp(-2j * np.pi * spectrum / SAMPLE_RATE)[None, :]
    response: _Spectra = (1 - b - c) / (1 - b * delay - c * delay**2)
    return response


def _tract_response(utterance: Utterance, voice: Voice) -> _Spectra:
    spectrum = np.fft.rfftfreq(_FFT, 1 / SAMPLE_RATE).astype(np.float64)
    points = len(utterance.pitch)
    centres: list[_Array] = [utterance.formants[:, k] for k in range(3)]
    centres += [np.full(points, upper) for upper in _UPPER_FORMANTS]
    response = np.ones((points, len(spectrum)), np.complex128)
    for centre, bandwidth in zip(centres, _BANDWIDTHS, strict=True):
        scaled: _Array = centre * voice.tract
        if float(scaled.max()) < SAMPLE_RATE / 2 - 300:
            response *= _resonance(scaled, bandwidth * voice.damping, spectrum)
    glottis = 1 / (1 + 1j * spectrum / voice.tilt_hz) / (1 + 1j * spectrum / (8 * voice.tilt_hz))
    lips = 1j * spectrum / (spectrum + 150.0)
    return response * glottis * lips


def _noise_response(utterance: Utterance, voice: Voice) -> _Spectra:
    spectrum = np.fft.rfftfreq(_FFT, 1 / SAMPLE_RATE)
    centre = utterance.noise_hz[:, None] * (0.6 + 0.4 * voice.tract)
    shape = np.exp(-0.5 * ((spectrum[None, :] - centre) / (0.22 * centre + 250)) ** 2)
    return (shape + 0.03).astype(np.complex128)


def _filtered(signal: _Array, response: _Spectra) -> _Array:
    """Filters with a response that changes every 5 ms, by windowed blocks that overlap and add."""
    points = len(response)
    padded = np.pad(signal, (_WINDOW // 2, _WINDOW))
    window = np.hanning(_WINDOW + 1)[:-1] / 2
    starts = np.arange(points) * HOP + HOP // 2
    blocks = padded[starts[:, None] + np.arange(_WINDOW)[None, :]] * window
    filtered = np.fft.irfft(np.fft.rfft(blocks, _FFT, axis=1) * response, _FFT, axis=1)
    out = np.zeros(len(padded) + _FFT)
    for start, block in zip(starts, filtered, strict=True):
        out[start : start + _FFT] += block
    return out[_WINDOW // 2 : _WINDOW // 2 + len(signal)]


def _active_rms(signal: _Array) -> float:
    """Root mean square over the loudest half of the 20 ms blocks."""
    blocks = signal[: len(signal) // _WINDOW * _WINDOW].reshape(-1, _WINDOW)
    power = np.sort((blocks**2).mean(axis=1))[len(blocks) // 2 :]
    return float(np.sqrt(power.mean())) + 1e-9
