"""Quotes what people said in a prompt, so that no quoted text can pass for an instruction.

Each text is shown as a single line in a block between two lines that carry a code. The code is derived from the texts
and occurs in none of them, so no text can close its own block, and none can imitate the layout.
"""

from __future__ import annotations

import hashlib
import unicodedata

MAX_TEXT_LENGTH = 6000
"""Characters of one text that are shown to the model; over ten minutes of speech."""


def shown(text: str) -> str:
    """Returns a text as the model sees it: one line, without invisible characters, cut if it is very long."""
    line = _line(text)
    return line if len(line) <= MAX_TEXT_LENGTH else f"{line[:MAX_TEXT_LENGTH]} (cut)"


def is_cut(text: str) -> bool:
    """Whether the model is shown only a part of a text."""
    return len(_line(text)) > MAX_TEXT_LENGTH


def fence(texts: list[str]) -> str:
    """Returns a code that looks random, is always the same for the same texts, and occurs in none of them."""
    everything = "\n".join(texts).lower()
    number = 0
    while (code := hashlib.sha256(f"{number}\n{everything}".encode()).hexdigest()[:12]) in everything:
        number += 1
    return code


def block(name: str, code: str, text: str) -> list[str]:
    """Returns the lines of a block that quotes a text, which :func:`shown` has made one line."""
    return [f"[{name} {code}]", text, f"[/{name} {code}]", ""]


def turn_blocks(turns: list[tuple[str, str]], code: str) -> list[str]:
    """Returns the lines that quote the earlier turns of a conversation, pairs of a role and what was said."""
    lines = ["Earlier turns, in order:"] if turns else ["There are no earlier turns."]
    for number, (role, text) in enumerate(turns, 1):
        lines += block(f"TURN {number} {role}", code, text)
    return lines


def _line(text: str) -> str:
    visible = "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in text)
    return " ".join(visible.split())
