"""The judge's answer: its schema for servers that keep to one, and its validation for those that do not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from vidchatbench.api.judging import AXES
from vidchatbench.judge.llm.answers import UnusableAnswerError, read_last_object, read_objects
from vidchatbench.judge.llm.faults import ModelFault
from vidchatbench.judge.llm.messages import strict_schema

MAX_REASON_LENGTH = 1000
"""Characters of a reason that are kept; 40 words are asked for."""


def _no_truth_value(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a whole number from 1 to 5")
    return value


def _bounded(value: object) -> object:
    return value[:MAX_REASON_LENGTH] if isinstance(value, str) else value


Level = Annotated[int, BeforeValidator(_no_truth_value), Field(ge=1, le=5)]
Reason = Annotated[str, BeforeValidator(_bounded)]


class Verdict(BaseModel):
    """Scores of one reply, each a whole number in 1..5, and why."""

    model_config = ConfigDict(frozen=True)

    relevance: Level
    coherence: Level
    informativeness: Level
    naturalness: Level
    safety: Level
    reason: Reason = ""

    def scores(self) -> tuple[int, ...]:
        """The scores in the order of :data:`AXES`."""
        return tuple(getattr(self, axis) for axis in AXES)


class Preference(BaseModel):
    """Which of two replies is better, and why."""

    model_config = ConfigDict(frozen=True)

    better: Literal["first", "second", "tie"]
    reason: Reason = ""


Answer = TypeVar("Answer", Verdict, Preference)


class NoVerdict(ModelFault):
    """The judge answered, but not with a verdict: it refused, or kept to no schema."""


class UnfinishedVerdict(NoVerdict):
    """The judge's answers ended before their verdict; a larger ``max_tokens`` may help."""


# Every server that keeps to a schema at all knows `enum`, and not every one knows bounds.
_LEVEL = {"type": "integer", "enum": [1, 2, 3, 4, 5]}
_REASON = {"type": "string"}
VERDICT_SCHEMA = strict_schema("verdict", {"reason": _REASON, **dict.fromkeys(AXES, _LEVEL)})
PAIR_SCHEMA = strict_schema(
    "preference", {"reason": _REASON, "better": {"type": "string", "enum": ["first", "second", "tie"]}}
)


def read_answer(text: str, kind: type[Answer], judged: Sequence[str] = ()) -> Answer:
    """Returns the last valid answer in what a model wrote; see :func:`read_last_object`.

    Args:
        text: What the model wrote.
        kind: What was asked for.
        judged: What the model was shown. An answer that stands there is a quotation: the same levels as those of an
            object in it, with no reason or with one from there.

    Raises:
        UnusableAnswerError: If there is none; the message says why.
    """

    def accept(value: dict[str, Any]) -> Answer:
        try:
            return kind.model_validate(value)
        except ValidationError as error:
            raise UnusableAnswerError(_problems(error)) from None

    shown = [" ".join(one.split()).casefold() for one in judged]
    quotable = [_without_reason(answer) for one in judged for answer in read_objects(one, accept)]

    def is_quote(answer: Answer) -> bool:
        reason = " ".join(answer.reason.split()).casefold()
        return _without_reason(answer) in quotable and any(reason in one for one in shown)

    return read_last_object(text, accept, is_quote)


def _without_reason(answer: Answer) -> dict[str, Any]:
    return answer.model_dump(exclude={"reason"})


def _problems(error: ValidationError) -> str:
    lines = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors(include_input=False)]
    return "; ".join(line.removeprefix(": ").replace("Value error, ", "") for line in lines)
