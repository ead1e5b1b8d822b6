"""``dialogue/wer`` and ``/cer``: whether the system said what it declares, word by word or character by character."""

from __future__ import annotations

import importlib
import unicodedata
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from vidchatbench.api import ExtractorSpec, Feature, Need, Role, Sample, Score, load_card
from vidchatbench_metrics.dialogue.transcription.source import TranscriptMetric, language_details, unusable

_LEFT_OUT = frozenset("PSCZ")
"""Unicode's punctuation, symbols, controls and separators; marks stay, for many scripts write with them."""


_APOSTROPHES = "`\u00b4\u02bc\u2018\u2019\u201b\uff07\uff40"
"""What keyboards, editors and recognisers write for the apostrophe."""

_MORE_APOSTROPHES = "\u02b9\u02bb\u02bd\u02c8\u02ca\u02cb\u055a\u2032\u2035\ua78c"
"""Likewise in English alone: letters elsewhere."""

_FILLERS = "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
"""Without a picture of their own, though Unicode counts them as letters, marks or symbols."""


class _ErrorRate(TranscriptMetric):
    """Errors against the declared transcript, in 0..1, lower is better; details keep what the cap hides."""

    def needs(self) -> tuple[Need, ...]:
        """The transcript of the reply, and the declared one."""
        declared = Need("declared", ExtractorSpec.of("dialogue/declared"), (Role.CANDIDATE,))
        return (declared, self.source.need(), *self.source.gate())

    @abstractmethod
    def units(self, text: str, language: str) -> list[str]:
        """Returns the units that are compared."""

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Compares the two texts; a sample in which no words are declared does not apply."""
        declared = self.units(str(features["declared"].meta["text"]), sample.language)
        if not declared:
            return Score.not_applicable("the system declares no words for this reply")
        if problem := unusable(features["transcript"], features):
            reason, details = problem
            return Score.invalid(reason, **details, reference_count=len(declared))
        transcript = features["transcript"]
        counts = count_errors(declared, self.units(str(transcript.meta["text"]), sample.language))
        errors = counts["substitutions"] + counts["deletions"] + counts["insertions"]
        rate = errors / len(declared)
        return Score.ok(
            min(1.0, rate),
            uncapped=rate,
            errors=errors,
            reference_count=len(declared),
            **counts,
            **language_details(features),
        )


class Wer(_ErrorRate):
    """Word error rate of English replies against what the system declares, after Whisper's English normaliser.

    Parameters:
        transcripts: ``whisper-large-v3``, ``whisper-<size>``, ``endpoint:URL#MODEL`` or ``given``.
    """

    default_card = load_card("vidchatbench_metrics.dialogue", "cards/wer.toml")

    def units(self, text: str, language: str) -> list[str]:
        """Returns the words."""
        del language
        return words(text)

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Compares the words; other languages than English are compared by character in ``dialogue/cer``."""
        if not is_english(sample.language):
            return Score.not_applicable(f"words of {sample.language!r} are not compared, see dialogue/cer")
        return super().score(sample, features)


class Cer(_ErrorRate):
    """Character error rate against what the system declares, in every language.

    Parameters:
        transcripts: ``whisper-large-v3``, ``whisper-<size>``, ``endpoint:URL#MODEL`` or ``given``.
    """

    default_card = load_card("vidchatbench_metrics.dialogue", "cards/cer.toml")

    def units(self, text: str, language: str) -> list[str]:
        """Returns the characters."""
        return characters(text, language)

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Compares the characters, unless the recogniser does not know the language."""
        if self.source.english_only and not is_english(sample.language):
            return Score.not_applicable(f"{self.source.name} hears English alone, not {sample.language!r}")
        return super().score(sample, features)


def is_english(language: str) -> bool:
    """Returns whether a language code, such as ``en`` or ``en-GB``, is English."""
    return language.lower().replace("_", "-").partition("-")[0] in {"en", "eng", "english"}


def words(text: str) -> list[str]:
    """Returns the words of an English text after Whisper's normaliser (lower case, digits, British to American...).

    It may leave a lone point or sign of currency behind; what has neither letter nor digit is no word.
    """
    plain = visible(text).translate(str.maketrans(_MORE_APOSTROPHES, "'" * len(_MORE_APOSTROPHES)))
    return [word for word in _english()(plain).split() if any(letter.isalnum() for letter in word)]


def characters(text: str, language: str) -> list[str]:
    """Returns the characters of a text, without spaces, after normalisation.

    English goes through Whisper's English normaliser. Other languages are brought to Unicode's form NFKC and to lower
    case, and lose punctuation and symbols. (Whisper's own normaliser for them also deletes marks, which are the vowels
    of many scripts.)
    """
    if is_english(language):
        return list("".join(words(text)))
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", visible(text)).casefold())
    return [letter for letter in plain if unicodedata.category(letter)[0] not in _LEFT_OUT]


def visible(text: str) -> str:
    """Returns a text without invisible characters, and with every apostrophe as ``'``.

    Invisible are format characters (zero-width spaces and joiners, soft hyphens, marks of direction and of byte order),
    controls that are no space, fillers, and selectors of a variant.
    """
    plain = text.translate(str.maketrans(_APOSTROPHES, "'" * len(_APOSTROPHES)))
    return "".join(letter for letter in plain if not _is_invisible(letter))


def _is_invisible(letter: str) -> bool:
    category = unicodedata.category(letter)
    if category == "Cf" or (category == "Cc" and not letter.isspace()):
        return True
    return letter in _FILLERS or "\ufe00" <= letter <= "\ufe0f" or "\U000e0100" <= letter <= "\U000e01ef"


@cache
def _english() -> Callable[[str], str]:
    # Only metrics that run need it, and it reads a table of spellings.
    made: Callable[[str], str] = importlib.import_module("whisper_normalizer.english").EnglishTextNormalizer()
    return made


def count_errors(reference: Sequence[str], spoken: Sequence[str]) -> dict[str, int]:
    """Returns the substitutions, deletions and insertions of the best alignment.

    Args:
        reference: Units that should have been said, at least one; none holds a space.
        spoken: Units that were said.
    """
    jiwer: Any = importlib.import_module("jiwer")  # only metrics that run need it
    alignment = jiwer.process_words(" ".join(reference), " ".join(spoken))
    return {
        "substitutions": alignment.substitutions,
        "deletions": alignment.deletions,
        "insertions": alignment.insertions,
    }
