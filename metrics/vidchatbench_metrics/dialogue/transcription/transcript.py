"""Transcripts as features: passages, words, and a status where there is silence, hallucination or no text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from vidchatbench.api import Feature, as_array

OK = "ok"
SILENT = "silent"
HALLUCINATED = "hallucinated"
EMPTY = "empty"

NO_SPEECH_ABOVE = 0.6
LOGPROB_BELOW = -1.0
COMPRESSION_ABOVE = 2.4
"""Whisper's own thresholds: a passage beyond the first two together, or beyond the third, was not said."""

REASONS = {
    SILENT: "no speech is heard in the reply",
    HALLUCINATED: "the transcript of the reply is a hallucination of the recogniser (repetitions, or words in noise)",
    EMPTY: "no words are recognised in the reply",
}
"""Why a reply of each status but ``ok`` cannot be scored."""


@dataclass(frozen=True)
class Word:
    """One recognised word.

    Attributes:
        text: The word with the space before it, as the recogniser gives it.
        start: Seconds from the clip's first picture.
        end: Likewise.
        probability: In 0..1; -1 where the recogniser gives none.
    """

    text: str
    start: float
    end: float
    probability: float = -1.0


@dataclass(frozen=True)
class Passage:
    """One segment of a transcript with the recogniser's estimates of its quality.

    Attributes:
        text: What was recognised.
        duration: Seconds.
        no_speech: Probability that nobody speaks there, ``None`` where the recogniser gives none.
        logprob: Mean log-probability of the tokens, likewise.
        compression: Length of the text over its length when compressed, likewise.
        words: The words with their times.
    """

    text: str
    duration: float
    no_speech: float | None = None
    logprob: float | None = None
    compression: float | None = None
    words: tuple[Word, ...] = ()

    @property
    def hallucinated(self) -> bool:
        """Whether the passage is a hallucination by Whisper's thresholds."""
        if self.compression is not None and self.compression > COMPRESSION_ABOVE:
            return True
        if self.no_speech is None or self.logprob is None:
            return False
        return self.no_speech > NO_SPEECH_ABOVE and self.logprob < LOGPROB_BELOW


def transcript(
    passages: Sequence[Passage], *, speech_seconds: float, language: str | None, language_probability: float | None
) -> Feature:
    """Returns the feature of a transcript.

    Hallucinated passages are left out of text and words; where nothing else is left, so is the status.

    Args:
        passages: What was recognised, in time order.
        speech_seconds: Seconds of speech that the voice detection found.
        language: The language that was recognised or asked for, as a code of two letters or so.
        language_probability: In 0..1; ``None`` where it was not estimated.
    """
    kept = [passage for passage in passages if not passage.hallucinated]
    text = "".join(passage.text for passage in kept).strip()
    dropped = "".join(passage.text for passage in passages if passage.hallucinated).strip()
    words = [word for passage in kept for word in passage.words if word.text.strip()]
    without_text = HALLUCINATED if dropped else EMPTY
    return Feature(
        {
            "word_start": as_array([word.start for word in words], "float64"),
            "word_end": as_array([word.end for word in words], "float64"),
            "word_probability": as_array([word.probability for word in words], "float64"),
        },
        {
            "status": OK if text else without_text,
            "text": text,
            "words": json.dumps([word.text.strip() for word in words], ensure_ascii=False),
            "dropped_text": dropped,
            "language": language,
            "language_probability": language_probability,
            "speech_seconds": speech_seconds,
            "passages": len(passages),
            "dropped_passages": len(passages) - len(kept),
            "no_speech_probability": _most([passage.no_speech for passage in passages]),
            "compression_ratio": _most([passage.compression for passage in passages]),
            "logprob": _mean(passages),
        },
    )


def silence(speech_seconds: float) -> Feature:
    """Returns the feature of a clip in which nobody speaks; no recogniser is run on it."""
    empty = transcript((), speech_seconds=speech_seconds, language=None, language_probability=None)
    return Feature(empty.arrays, {**empty.meta, "status": SILENT})


def _most(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return max(known) if known else None


def _mean(passages: Sequence[Passage]) -> float | None:
    known = [(passage.logprob, passage.duration) for passage in passages if passage.logprob is not None]
    seconds = sum(duration for _, duration in known)
    return sum(value * duration for value, duration in known) / seconds if seconds > 0 else None
