"""Finds the JSON object that was asked for in what a model wrote; whatever stands around it is passed over."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from vidchatbench.judge.llm.thoughts import Span, find_thoughts

T = TypeVar("T")

MAX_ANSWER_LENGTH = 200_000
"""Characters of an answer that are read: some 50,000 tokens; more than that is no answer."""

_CUT_REASONS = frozenset({"length", "max_tokens", "max_output_tokens", "model_length", "token_limit", "incomplete"})
_OBJECT = re.compile(r'\{\s*["}]')
_DECODER = json.JSONDecoder(strict=False)  # models put line breaks into strings


class UnusableAnswerError(ValueError):
    """An answer that is not what was asked for; the message names the problem in words that the model can act on."""


class UnfinishedAnswerError(UnusableAnswerError):
    """An answer that ends before its end: more tokens may help."""


@dataclass(frozen=True)
class _Found:
    value: dict[str, Any]
    span: Span


def is_cut_short(finish_reason: str | None) -> bool:
    """Returns whether an endpoint says that an answer was ended by a limit on its length."""
    return (finish_reason or "").lower() in _CUT_REASONS


def read_last_object(
    text: str, accept: Callable[[dict[str, Any]], T], is_quote: Callable[[T], bool] | None = None
) -> T:
    """Returns what ``accept`` makes of the last JSON object in a text that it accepts.

    Reasoning is passed over (:mod:`vidchatbench.judge.llm.thoughts`). The last object counts, because models that think
    aloud end with their answer, and may quote the question or write a draft before. A draft does not count where what
    follows it was broken off, or is an object of the same kind that is not accepted.

    Args:
        text: What the model wrote.
        accept: Converts an object; raises :class:`UnusableAnswerError` for one that is not what was asked for.
        is_quote: Whether an accepted object is repeated from the question; such an object never counts.

    Raises:
        UnfinishedAnswerError: If the text ends within a thought or an object.
        UnusableAnswerError: If there is no object that counts; the message is that of the last one that does not.
    """
    if len(text) > MAX_ANSWER_LENGTH:
        raise UnusableAnswerError(f"it is longer than {MAX_ANSWER_LENGTH:,} characters")
    objects, unfinished = _objects(text)
    thoughts = find_thoughts(text, [one.span for one in objects])
    if thoughts.open:
        raise UnfinishedAnswerError("its reasoning does not end")
    if unfinished is not None and not thoughts.hold(unfinished):
        raise UnfinishedAnswerError("its last JSON object does not end")
    problem = "it holds no JSON object"
    answer: tuple[T, frozenset[str]] | None = None
    for found in objects:
        if thoughts.hold(found.span[0]):
            continue
        for value in _with_inner(found.value):
            try:
                accepted = accept(value)
            except UnusableAnswerError as error:
                problem = str(error)
                if answer is not None and answer[1] & value.keys():
                    answer = None
                continue
            if is_quote is not None and is_quote(accepted):
                problem = "the object in it is quoted from the text to be judged"
                continue
            answer = (accepted, frozenset(value) - {"reason"})
    if answer is None:
        raise UnusableAnswerError(problem)
    return answer[0]


def read_objects(text: str, accept: Callable[[dict[str, Any]], T]) -> list[T]:
    """Returns what ``accept`` makes of every JSON object in a text that it accepts, in order."""
    accepted = []
    for found in _objects(text[:MAX_ANSWER_LENGTH])[0]:
        for value in _with_inner(found.value):
            try:
                accepted.append(accept(value))
            except UnusableAnswerError:
                continue
    return accepted


def _objects(text: str) -> tuple[list[_Found], int | None]:
    """Returns the outermost objects in a text, and where an object begins that the text's end cuts off."""
    objects: list[_Found] = []
    unfinished: int | None = None
    begin = _OBJECT.search(text)
    while begin is not None:
        start = begin.start()
        end = start + 1
        try:
            # Of a part alone, because the error for a place counts the lines before it.
            value, length = _DECODER.raw_decode(text[start:])
            end = start + length
            objects.append(_Found(value, (start, end)))
            unfinished = None
        except json.JSONDecodeError as error:
            is_cut = error.msg.startswith("Unterminated string") or start + error.pos >= len(text.rstrip())
            if is_cut and unfinished is None:
                unfinished = start
        except RecursionError:
            raise UnusableAnswerError("its objects are nested too deeply") from None
        except ValueError:
            pass  # a number of more digits than Python reads
        begin = _OBJECT.search(text, end)
    return objects, unfinished


def _with_inner(value: object) -> Iterator[dict[str, Any]]:
    """Yields an object and those inside it: the answer may lie inside one that the model has put around it."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _with_inner(inner)
