"""Sentences without words: a seeded plan of speech sounds, as tracks that drive both the voice and the mouth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
HOP = 80
"""Samples between two points of a track: 5 ms."""

Track = NDArray[np.float64]
Manner = Literal["vowel", "glide", "nasal", "fricative", "stop"]

_FORMANT_SMOOTHING = 0.055
_LEVEL_SMOOTHING = 0.022
_MOUTH_SMOOTHING = 0.075
_ONSET_SHARE = 0.85
_CODA_SHARE = 0.35
_LEAD = 0.2
_TAIL = 0.3


@dataclass(frozen=True)
class Sound:
    """One speech sound.

    Attributes:
        manner: How it is made.
        formants: The first three resonances in Hz, for an adult male vocal tract (Peterson and Barney 1952).
        opening: How far the mouth opens, 0 (lips closed) to 1.
        rounding: 1 for rounded lips, negative for spread ones.
        seconds: Its usual length.
        voicing: Level of the glottal source, 0 to 1.
        noise: Level of the hiss made in the mouth, 0 to 1.
        noise_hz: Where that hiss is strongest.
    """

    manner: Manner
    formants: tuple[float, float, float]
    opening: float
    rounding: float = 0.0
    seconds: float = 0.12
    voicing: float = 1.0
    noise: float = 0.0
    noise_hz: float = 4000.0


VOWELS = (
    Sound("vowel", (270, 2290, 3010), 0.30, -0.5),
    Sound("vowel", (390, 1990, 2550), 0.42, -0.3, 0.09),
    Sound("vowel", (530, 1840, 2480), 0.62, -0.2, 0.11),
    Sound("vowel", (660, 1720, 2410), 0.88, -0.3, 0.14),
    Sound("vowel", (730, 1090, 2440), 1.00, 0.0, 0.14),
    Sound("vowel", (570, 840, 2410), 0.80, 0.7, 0.13),
    Sound("vowel", (440, 1020, 2240), 0.40, 0.6, 0.09),
    Sound("vowel", (300, 870, 2240), 0.25, 1.0, 0.12),
    Sound("vowel", (640, 1190, 2390), 0.70, 0.0, 0.09),
    Sound("vowel", (490, 1350, 1690), 0.42, 0.5, 0.11),
)

ONSETS = (
    Sound("nasal", (250, 1100, 2200), 0.0, 0.0, 0.07, 0.45),
    Sound("nasal", (250, 1500, 2500), 0.25, 0.0, 0.065, 0.45),
    Sound("glide", (360, 1300, 2700), 0.35, 0.0, 0.06, 0.7),
    Sound("glide", (310, 1060, 1380), 0.30, 0.5, 0.06, 0.7),
    Sound("glide", (290, 610, 2150), 0.12, 1.0, 0.06, 0.7),
    Sound("glide", (260, 2070, 3020), 0.28, -0.4, 0.06, 0.7),
    Sound("fricative", (320, 1390, 2530), 0.20, -0.2, 0.09, 0.0, 0.55, 5600),
    Sound("fricative", (300, 1840, 2750), 0.22, 0.5, 0.09, 0.0, 0.6, 3300),
    Sound("fricative", (340, 1100, 2080), 0.08, 0.0, 0.08, 0.0, 0.2, 4800),
    Sound("fricative", (240, 1390, 2530), 0.20, -0.2, 0.07, 0.4, 0.3, 5600),
    Sound("fricative", (220, 1100, 2080), 0.08, 0.0, 0.06, 0.5, 0.1, 4800),
    Sound("stop", (350, 1100, 2150), 0.0, 0.0, 0.085, 0.0, 0.35, 1100),
    Sound("stop", (400, 1600, 2600), 0.2, 0.0, 0.08, 0.0, 0.5, 4400),
    Sound("stop", (300, 1990, 2850), 0.3, 0.0, 0.085, 0.0, 0.45, 2100),
    Sound("stop", (200, 1100, 2150), 0.0, 0.0, 0.065, 0.25, 0.2, 900),
    Sound("stop", (200, 1600, 2600), 0.2, 0.0, 0.06, 0.25, 0.3, 3900),
    Sound("stop", (200, 1990, 2850), 0.3, 0.0, 0.065, 0.25, 0.3, 1900),
)

CODAS = (ONSETS[0], ONSETS[1], ONSETS[2], ONSETS[3], ONSETS[6], ONSETS[12])


@dataclass(frozen=True)
class Utterance:
    """The tracks of one utterance, each with one value per 5 ms.

    Attributes:
        pitch: Fundamental frequency relative to the speaker's usual one.
        voicing: Level of the glottal source, 0 to 1.
        breath: Level of the hiss made in the throat, 0 to 1.
        noise: Level of the hiss made in the mouth, 0 to 1.
        noise_hz: Centre of that hiss.
        formants: Shape (points, 3), Hz for an adult male.
        opening: Mouth opening, 0 to 1.
        rounding: Lip rounding, about -0.5 to 1.
    """

    pitch: Track
    voicing: Track
    breath: Track
    noise: Track
    noise_hz: Track
    formants: Track
    opening: Track
    rounding: Track

    @property
    def seconds(self) -> float:
        """Length of the utterance."""
        return len(self.pitch) * HOP / SAMPLE_RATE


@dataclass
class _Span:
    """A stretch of time in which the targets stand still."""

    sound: Sound
    seconds: float
    voicing: float
    noise: float
    breath: float = 0.0
    opening: float | None = None
    accent: float = 0.0


def plan_utterance(seed: int, seconds: float) -> Utterance:
    """Makes up an utterance: words of stressed and unstressed syllables, one pause, a falling melody.

    Args:
        seed: Another seed is another sentence.
        seconds: Length, silence at both ends included; at least 1.5.
    """
    rng = np.random.default_rng(seed)
    spans, phrases = _spans(rng, seconds)
    points = round(seconds * SAMPLE_RATE / HOP)
    ends = np.cumsum([span.seconds for span in spans])
    times = (np.arange(points) + 0.5) * HOP / SAMPLE_RATE
    index = np.minimum(np.searchsorted(ends, times), len(spans) - 1)

    def track(values: list[float], smoothing: float) -> Track:
        return smooth(np.asarray(values, np.float64)[index], smoothing)

    formants = np.stack(
        [track([span.sound.formants[k] for span in spans], _FORMANT_SMOOTHING) for k in range(3)], axis=1
    )
    accents = track([span.accent for span in spans], 0.16)
    opening = [span.sound.opening if span.opening is None else span.opening for span in spans]
    return Utterance(
        pitch=_melody(rng, times, phrases) * (1 + accents),
        voicing=track([span.voicing for span in spans], _LEVEL_SMOOTHING),
        breath=track([span.breath for span in spans], _LEVEL_SMOOTHING),
        noise=track([span.noise for span in spans], 0.012),
        noise_hz=track([span.sound.noise_hz for span in spans], _LEVEL_SMOOTHING),
        formants=formants,
        opening=track(opening, _MOUTH_SMOOTHING),
        rounding=track([span.sound.rounding for span in spans], 0.12),
    )


def smooth(values: Track, seconds: float) -> Track:
    """Smooths a track with a Hann window of the given full length."""
    size = max(1, round(seconds * SAMPLE_RATE / HOP)) | 1
    kernel = np.hanning(size + 2)[1:-1]
    padded = np.pad(values, size // 2, mode="edge")
    return np.asarray(np.convolve(padded, kernel / kernel.sum(), mode="valid"), np.float64)


def _spans(rng: np.random.Generator, seconds: float) -> tuple[list[_Span], list[tuple[float, float]]]:
    rest = Sound("stop", (500, 1500, 2500), 0.0)
    spans = [_Span(rest, _LEAD * rng.uniform(0.8, 1.2), 0.0, 0.0)]
    phrases: list[tuple[float, float]] = []
    end = seconds - _TAIL
    pause_at = seconds * rng.uniform(0.42, 0.55)
    now = start = spans[0].seconds
    paused = False
    while now < end - 0.25:
        word = _word(rng)
        length = sum(span.seconds for span in word)
        if now + length > end:
            squeeze = (end - now) / length
            for span in word:
                span.seconds *= squeeze
            length = end - now
        spans += word
        now += length
        if not paused and now > pause_at:
            phrases.append((start, now))
            spans.append(_Span(rest, rng.uniform(0.2, 0.28), 0.0, 0.0))
            now += spans[-1].seconds
            start, paused = now, True
    phrases.append((start, now))
    spans.append(_Span(rest, max(0.05, seconds - now), 0.0, 0.0))
    return spans, phrases


def _word(rng: np.random.Generator) -> list[_Span]:
    syllables = int(rng.choice([1, 2, 2, 3]))
    stressed = int(rng.integers(syllables))
    spans: list[_Span] = []
    for number in range(syllables):
        strong = number == stressed
        if number or rng.random() < _ONSET_SHARE:
            spans += _consonant(ONSETS[int(rng.integers(len(ONSETS)))])
        vowel = VOWELS[int(rng.integers(len(VOWELS)))]
        length = vowel.seconds * (rng.uniform(1.15, 1.45) if strong else rng.uniform(0.75, 1.0))
        level = rng.uniform(0.9, 1.0) if strong else rng.uniform(0.6, 0.8)
        opening = vowel.opening * (1.0 if strong else 0.8)
        accent = rng.uniform(0.1, 0.22) if strong else 0.0
        spans.append(_Span(vowel, length, level, 0.0, 0.06, opening, accent))
        if rng.random() < _CODA_SHARE:
            spans += _consonant(CODAS[int(rng.integers(len(CODAS)))])
    return spans


def _consonant(sound: Sound) -> list[_Span]:
    if sound.manner != "stop":
        return [_Span(sound, sound.seconds, sound.voicing, sound.noise)]
    voiced = sound.voicing > 0
    release = _Span(sound, 0.012, 0.1, sound.noise, opening=sound.opening + 0.15)
    spans = [_Span(sound, sound.seconds * 0.6, 0.12 if voiced else 0.0, 0.0), release]
    if not voiced:
        spans.append(_Span(sound, 0.03, 0.0, 0.06, 0.35, sound.opening + 0.2))
    return spans


def _melody(rng: np.random.Generator, times: Track, phrases: list[tuple[float, float]]) -> Track:
    """Declination within each phrase, a fall at its end, and a little unsteadiness."""
    pitch = np.ones_like(times)
    for start, end in phrases:
        place = np.clip((times - start) / (end - start), 0, 1)
        inside = (times >= start - 0.1) & (times <= end + 0.1)
        pitch[inside] = (1.1 - 0.18 * place - 0.12 * np.clip(place - 0.85, 0, 1) / 0.15)[inside]
    drift = smooth(rng.normal(size=len(times)), 0.12)
    return smooth(pitch, 0.05) * (1 + 0.05 * drift)
