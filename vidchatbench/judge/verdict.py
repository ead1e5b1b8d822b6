"""The judge's answer: its schema for servers that keep to one, and its validation for those that do not."""

from __future__ import annotations

import json
import re
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from vidchatbench.api.judging import AXES
from vidchatbench.judge.llm.messages import Schema


def _no_truth_value(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a whole number from 1 to 5")
    return value


Level = Annotated[int, BeforeValidator(_no_truth_value), Field(ge=1, le=5)]


class Verdict(BaseModel):
    """Scores of one reply, each a whole number in 1..5, and why."""

    model_config = ConfigDict(frozen=True)

    relevance: Level
    coherence: Level
    informativeness: Level
    naturalness: Level
    safety: Level
    reason: str = ""

    def scores(self) -> tuple[int, ...]:
        """The scores in the order of :data:`AXES`."""
        return tuple(getattr(self, axis) for axis in AXES)


class Preference(BaseModel):
    """Which of two replies is better, and why."""

    model_config = ConfigDict(frozen=True)

    better: Literal["first", "second", "tie"]
    reason: str = ""


Answer = TypeVar("Answer", Verdict, Preference)


class UnusableAnswerError(ValueError):
    """An answer that is not what was asked for; says what is wrong with it."""


def _schema(name: str, fields: Schema) -> Schema:
    # `enum` instead of bounds: every server that keeps to a schema at all knows it.
    return {
        "name": name,
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"reason": {"type": "string"}, **fields},
            "required": ["reason", *fields],
            "additionalProperties": False,
        },
    }


VERDICT_SCHEMA = _schema("verdict", {axis: {"type": "integer", "enum": [1, 2, 3, 4, 5]} for axis in AXES})
PAIR_SCHEMA = _schema("preference", {"better": {"type": "string", "enum": ["first", "second", "tie"]}})

_THOUGHT = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)


def read_answer(text: str, kind: type[Answer]) -> Answer:
    """Finds and validates the answer in what a model wrote.

    Reasoning in ``<think>`` tags is passed over. Of several objects the last valid one counts: models that think aloud
    end with their answer, and may quote the reply before.

    Raises:
        UnusableAnswerError: If there is none; the message says why.
    """
    problem = "it holds no JSON object"
    decoder = json.JSONDecoder()
    text = _THOUGHT.sub("", text)
    found: Answer | None = None
    position = text.find("{")
    while position >= 0:
        try:
            value, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            position = text.find("{", position + 1)
            continue
        try:
            found = kind.model_validate(value)
        except ValidationError as error:
            # The answer may lie inside an object that the model has put around it.
            problem, end = _problems(error), position + 1
        position = text.find("{", end)
    if found is None:
        raise UnusableAnswerError(problem)
    return found


def _problems(error: ValidationError) -> str:
    lines = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors(include_input=False)]
    return "; ".join(line.removeprefix(": ").replace("Value error, ", "") for line in lines)
