"""Texts made comparable: Whisper's English normaliser for English, a plain one for every other language."""

from __future__ import annotations

import importlib
import unicodedata
from collections.abc import Callable
from functools import cache

_LEFT_OUT = frozenset("PSCZ")
"""Unicode's punctuation, symbols, controls and separators; marks stay, for many scripts write with them."""


def is_english(language: str) -> bool:
    """Says whether a language code, such as ``en`` or ``en-GB``, is of English."""
    return language.lower().replace("_", "-").partition("-")[0] in {"en", "eng", "english"}


def words(text: str) -> list[str]:
    """Returns the words of an English text after Whisper's normaliser (lower case, digits, British to American...).

    It may leave a lone point or sign of currency behind; what has neither letter nor digit is no word.
    """
    return [word for word in _english()(text).split() if any(letter.isalnum() for letter in word)]


def characters(text: str, language: str) -> list[str]:
    """Returns the characters of a text, without spaces, after normalisation.

    English goes through Whisper's English normaliser. Other languages are brought to Unicode's form NFKC and to lower
    case, and lose punctuation and symbols. (Whisper's own normaliser for them also deletes marks, which are the vowels
    of many scripts.)
    """
    if is_english(language):
        return list("".join(words(text)))
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return [letter for letter in plain if unicodedata.category(letter)[0] not in _LEFT_OUT]


@cache
def _english() -> Callable[[str], str]:
    # Only metrics that run need it, and it reads a table of spellings.
    made: Callable[[str], str] = importlib.import_module("whisper_normalizer.english").EnglishTextNormalizer()
    return made
