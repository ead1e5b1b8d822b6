"""What a model wrote, as the object that was asked for; whatever stands around it is passed over."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

_THOUGHT = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)


class UnusableError(ValueError):
    """An answer that is not what was asked for; says what is wrong with it, in words that the model can act on."""


def read_object(text: str, names: Sequence[str]) -> Mapping[str, object]:
    """Returns the last JSON object in a text that has all of the names.

    Raises:
        UnusableError: If there is none.
    """
    decoder = json.JSONDecoder()
    text = _THOUGHT.sub("", text)
    found: Mapping[str, object] | None = None
    problem = "it holds no JSON object"
    position = text.find("{")
    while position >= 0:
        end = position + 1
        try:
            value, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict):
            if missing := [name for name in names if name not in value]:
                # What was asked for may lie inside an object that the model has put around it.
                problem, end = f"{', '.join(missing)} is missing", position + 1
            else:
                found = value
        position = text.find("{", end)
    if found is None:
        raise UnusableError(problem)
    return found
