"""Reading values whose form varies: numbers in strings, keys in any spelling, JSON within JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

_TRUE = {"true", "yes", "1", "y"}
_FALSE = {"false", "no", "0", "n"}
_FENCE = re.compile(r"```[A-Za-z]*\s*\n?(.*?)```", re.DOTALL)
_LEADING = re.compile(r"\s*([+-]?\d+(?:\.\d+)?)(?![\d.])")
_DEEPEST = 4
_MAX_NUMBER = 1e12
_UNWRAPPINGS = 3


def number(value: object) -> float | None:
    """Returns a number given as such or as text; ``None`` for anything else, also truth values and endless numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        result = float(value)
    except (ValueError, OverflowError):
        return None
    return result if abs(result) <= _MAX_NUMBER else None


def graded(value: object) -> float | None:
    """Returns a number, also out of ``{"score": 3}`` or ``"3 - moderate"``."""
    if isinstance(value, Mapping):
        keyed = by_key(value)
        return next(
            (result for name in ("score", "level", "value") if (result := graded(keyed.get(name))) is not None), None
        )
    if (result := number(value)) is not None:
        return result
    leading = _LEADING.match(value) if isinstance(value, str) else None
    return number(leading[1]) if leading else None


def truth(value: object) -> bool | None:
    """Returns a truth value given as such, as 0 or 1, or as a word; ``None`` for anything else."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return bool(value) if value in {0, 1} else None
    if isinstance(value, str):
        word = value.strip().lower()
        return True if word in _TRUE else False if word in _FALSE else None
    return None


def words(value: object) -> str | None:
    """Returns text without needless space, out of a string or a list of strings; ``None`` where there is none."""
    if isinstance(value, str):
        return " ".join(value.split()) or None
    if isinstance(value, list | tuple):
        parts = [part for item in value if (part := words(item))]
        return " ".join(parts) or None
    return None


def strings(value: object) -> Iterator[str]:
    """Yields the strings in a value that may be a string, a list, or lists in a list."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from strings(item)


def numbers(value: object) -> Iterator[float]:
    """Yields the numbers in a value that may be a number, a list, an object, or these within each other."""
    if isinstance(value, list | tuple):
        for item in value:
            yield from numbers(item)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from numbers(item)
    elif (result := number(value)) is not None:
        yield result


def spelled(key: object) -> str:
    """Returns a key without case, spaces, hyphens and underscores."""
    return _spelled(str(key))


@lru_cache(maxsize=4096)
def _spelled(key: str) -> str:
    return re.sub(r"[^a-z0-9]", "", key.lower())


def by_key(value: Mapping[object, object], depth: int = _DEEPEST) -> dict[str, object]:
    """Returns all fields of an object by their plain spelling; those further out win over those within others."""
    result: dict[str, object] = {}
    level: list[Mapping[object, object]] = [value]
    for _ in range(depth):
        deeper: list[Mapping[object, object]] = []
        for mapping in level:
            for key, item in mapping.items():
                result.setdefault(spelled(key), item)
                if isinstance(item, Mapping):
                    deeper.append(item)
        level = deeper
    return result


def unwrapped(value: object) -> object:
    """Returns the content of JSON text within JSON, also between code fences; other text is unchanged."""
    for _ in range(_UNWRAPPINGS):
        if not isinstance(value, str):
            return value
        text = value.strip()
        if fenced := _FENCE.search(text):
            text = fenced[1].strip()
        if text[:1] not in {"{", "[", '"'}:
            return value
        try:
            value = json.loads(text)
        except (json.JSONDecodeError, RecursionError):
            return value
    return value
