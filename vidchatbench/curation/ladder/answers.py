"""Reads a model's answer as the object that was asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vidchatbench.judge.llm.answers import UnusableAnswerError, read_last_object


def read_object(text: str, names: Sequence[str]) -> Mapping[str, object]:
    """Returns the last JSON object in a text that has all of the names.

    Raises:
        UnusableAnswerError: If there is none.
    """

    def accept(value: dict[str, object]) -> Mapping[str, object]:
        if missing := [name for name in names if name not in value]:
            raise UnusableAnswerError(f"{', '.join(missing)} is missing")
        return value

    return read_last_object(text, accept)
