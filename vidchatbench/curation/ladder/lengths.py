"""How long a text is: in words, or in characters where a language is written without spaces."""

from __future__ import annotations

import unicodedata

WORDS = "words"
CHARACTERS = "characters"

_WITHOUT_SPACES = frozenset({"zh", "ja", "th", "lo", "km", "my", "yue", "cmn"})
_USUAL = {WORDS: 25, CHARACTERS: 40}
_BOUNDS = {WORDS: (8, 40), CHARACTERS: (12, 80)}
_TOLERANCE = 0.2
_MIN_TOLERANCE = 2


def unit_of(language: str) -> str:
    """Returns what the length of a text is counted in."""
    return CHARACTERS if language.lower().replace("_", "-").partition("-")[0] in _WITHOUT_SPACES else WORDS


def length_of(text: str, unit: str) -> int:
    """Returns the number of words, or of letters and digits."""
    if unit == WORDS:
        return len(text.split())
    return sum(unicodedata.category(letter)[0] in "LN" for letter in text)


def target_for(human: str | None, unit: str) -> int:
    """Returns how long the replies of a ladder are to be: as the human reply, within bounds, or as is usual."""
    least, most = _BOUNDS[unit]
    return _USUAL[unit] if not human else min(most, max(least, length_of(human, unit)))


def slack(target: int) -> int:
    """Returns by how much a reply may miss the length that was asked for: a fifth, or 2 where that is more."""
    return max(_MIN_TOLERANCE, round(_TOLERANCE * target))
