"""From words to speech sounds: sentences become tracks that drive both the voice and the mouth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vidchatbench.demo.sounds import REST, SOUNDS, Sound
from vidchatbench.demo.words import PRONUNCIATIONS

SAMPLE_RATE = 16_000
HOP = 80
"""Samples between two points of a track: 5 ms."""

Track = NDArray[np.float64]

_FORMANT_SMOOTHING = 0.055
_LEVEL_SMOOTHING = 0.022
_MOUTH_SMOOTHING = 0.075
_LEAD = 0.2
_TAIL = 0.3
_FINAL_STRETCH = 1.35
_STRESSED_STRETCH = 1.3
_SCHWA_STRETCH = 0.65


@dataclass(frozen=True)
class Utterance:
    """The tracks of one utterance, each with one value per 5 ms.

    Attributes:
        words: What is said.
        pitch: Fundamental frequency relative to the speaker's usual one.
        voicing: Level of the glottal source, 0 to 1.
        breath: Level of the hiss made in the throat, 0 to 1.
        noise: Level of the hiss made in the mouth, 0 to 1.
        noise_hz: Centre of that hiss.
        formants: Shape (points, 3), Hz for an adult male.
        opening: Mouth opening, 0 to 1.
        rounding: Lip rounding, about -0.5 to 1.
    """

    words: str
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


@dataclass(frozen=True)
class _Span:
    """A stretch of time in which the targets stand still."""

    sound: Sound
    seconds: float
    voicing: float = 0.0
    noise: float = 0.0
    breath: float = 0.0
    opening: float = 0.0
    accent: float = 0.0


def plan_utterance(sentence: str, seed: int, *, tempo: float = 1.0, seconds: float = 10.0) -> Utterance:
    """Plans how a sentence is spoken: its sounds in time, their stress, and the melody.

    Args:
        sentence: Words of the dictionary, with a full stop or a question mark at the end.
        seed: Another seed is another way to say it.
        tempo: How much faster than usual.
        seconds: At most this long, silence at both ends included; words that do not fit are left out. A whole number
            of frames at 25 a second.

    Raises:
        KeyError: If a word is not in the dictionary.
    """
    rng = np.random.default_rng(seed)
    asks = sentence.endswith("?")
    lead, room = _LEAD * rng.uniform(0.8, 1.2), seconds - _TAIL
    spans, said = [_Span(REST, lead)], list[str]()
    words = sentence.rstrip(".?").split()
    for place, word in enumerate(words):
        spoken = _word(PRONUNCIATIONS[word.lower().strip(",")], rng, tempo, last=place == len(words) - 1)
        if sum(span.seconds for span in (*spans, *spoken)) > room:
            break
        spans += spoken
        said.append(word)
    end = sum(span.seconds for span in spans)
    length = np.ceil((end + _TAIL) * 25 - 1e-6) / 25
    spans.append(_Span(REST, length - end))
    return _utterance(" ".join(said) + sentence[-1], spans, _melody(rng, length, (lead, end), asks=asks))


def _utterance(words: str, spans: Sequence[_Span], pitch: Track) -> Utterance:
    ends = np.cumsum([span.seconds for span in spans])
    index = np.minimum(np.searchsorted(ends, _times(len(pitch))), len(spans) - 1)

    def track(values: list[float], smoothing: float) -> Track:
        return smooth(np.asarray(values, np.float64)[index], smoothing)

    formants = [track([span.sound.formants[k] for span in spans], _FORMANT_SMOOTHING) for k in range(3)]
    return Utterance(
        words=words,
        pitch=pitch * (1 + track([span.accent for span in spans], 0.16)),
        voicing=track([span.voicing for span in spans], _LEVEL_SMOOTHING),
        breath=track([span.breath for span in spans], _LEVEL_SMOOTHING),
        noise=track([span.noise for span in spans], 0.012),
        noise_hz=track([span.sound.noise_hz for span in spans], _LEVEL_SMOOTHING),
        formants=np.stack(formants, axis=1),
        opening=track([span.opening for span in spans], _MOUTH_SMOOTHING),
        rounding=track([span.sound.rounding for span in spans], 0.12),
    )


def smooth(values: Track, seconds: float) -> Track:
    """Smooths a track with a Hann window of the given full length."""
    size = max(1, round(seconds * SAMPLE_RATE / HOP)) | 1
    kernel = np.hanning(size + 2)[1:-1]
    padded = np.pad(values, size // 2, mode="edge")
    return np.asarray(np.convolve(padded, kernel / kernel.sum(), mode="valid"), np.float64)


def _times(points: int) -> Track:
    return (np.arange(points) + 0.5) * HOP / SAMPLE_RATE


def _word(pronunciation: str, rng: np.random.Generator, tempo: float, *, last: bool) -> list[_Span]:
    """Returns the spans of a word; a vowel is followed by its stress, 1 or 0."""
    symbols = pronunciation.split()
    vowels = [place for place, symbol in enumerate(symbols) if symbol[-1].isdigit()]
    spans: list[_Span] = []
    for place, symbol in enumerate(symbols):
        if place in vowels:
            made = _vowel(symbol, rng)
        else:
            made = [span for name in SOUNDS[symbol] for span in _consonant(name)]
        stretch = _FINAL_STRETCH if last and place >= vowels[-1] else 1.0
        spans += [replace(span, seconds=span.seconds * stretch / tempo) for span in made]
    return spans


def _vowel(symbol: str, rng: np.random.Generator) -> list[_Span]:
    parts, strong = SOUNDS[symbol[:-1]], symbol[-1] == "1"
    weak = _SCHWA_STRETCH if symbol == "AH0" else 1.0
    stretch = _STRESSED_STRETCH * rng.uniform(0.9, 1.1) if strong else weak * rng.uniform(0.85, 1.05)
    level = rng.uniform(0.9, 1.0) if strong else rng.uniform(0.6, 0.8)
    accent = rng.uniform(0.1, 0.22) if strong else 0.0
    share = 0.62 if len(parts) > 1 else 1.0
    return [
        _Span(part, part.seconds * stretch * share, level, 0.0, 0.06, part.opening * (1.0 if strong else 0.8), accent)
        for part in parts
    ]


def _consonant(sound: Sound) -> list[_Span]:
    if sound.manner != "stop":
        breath = 0.35 if sound.manner == "breath" else 0.0
        return [_Span(sound, sound.seconds, sound.voicing, sound.noise, breath, sound.opening)]
    voiced = sound.voicing > 0
    spans = [
        _Span(sound, sound.seconds * 0.6, 0.12 if voiced else 0.0, opening=sound.opening),
        _Span(sound, 0.012, 0.1, sound.noise, opening=sound.opening + 0.15),
    ]
    if not voiced:
        spans.append(_Span(sound, 0.03, 0.0, 0.06, 0.35, sound.opening + 0.2))
    return spans


def _melody(rng: np.random.Generator, length: float, phrase: tuple[float, float], *, asks: bool) -> Track:
    """Declination within the phrase, at its end a fall or, of a question, a rise, and a little unsteadiness."""
    times = _times(round(length * SAMPLE_RATE / HOP))
    start, end = phrase
    place = np.clip((times - start) / (end - start), 0, 1)
    final = np.clip(place - 0.8, 0, 1) / 0.2
    pitch = 1.1 - 0.18 * place + (0.22 if asks else -0.12) * final
    drift = smooth(rng.normal(size=len(times)), 0.12)
    return smooth(pitch, 0.05) * (1 + 0.05 * drift)
