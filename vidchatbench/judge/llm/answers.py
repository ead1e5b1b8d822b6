"""Finds the JSON object that was asked for in what a model wrote; whatever stands around it is passed over."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
_THOUGHT = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)


class UnusableAnswerError(ValueError):
    """An answer that is not what was asked for; the message names the problem in words that the model can act on."""


def read_last_object(text: str, accept: Callable[[dict[str, Any]], T]) -> T:
    """Returns what ``accept`` makes of the last JSON object in a text that it accepts.

    Reasoning in ``<think>`` tags is passed over. The last object counts, because models that think aloud end with
    their answer, and may quote the question before.

    Args:
        text: What the model wrote.
        accept: Converts an object; raises :class:`UnusableAnswerError` for one that is not what was asked for.

    Raises:
        UnusableAnswerError: If there is none; the message is that of the last object that was not accepted.
    """
    problem = "it holds no JSON object"
    decoder = json.JSONDecoder()
    text = _THOUGHT.sub("", text)
    accepted: list[T] = []
    position = text.find("{")
    while position >= 0:
        try:
            value, end = decoder.raw_decode(text, position)
            accepted.append(accept(value))
        except UnusableAnswerError as error:
            # The answer may lie inside an object that the model has put around it.
            problem, end = str(error), position + 1
        except (ValueError, RecursionError):
            end = position + 1
        position = text.find("{", end)
    if not accepted:
        raise UnusableAnswerError(problem)
    return accepted[-1]
