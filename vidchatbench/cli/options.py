"""Commands whose arguments and options are the fields of one class, where a signature would be too long."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="METRIC.PARAM=VALUE", help="A parameter of a metric; may be given again."),
]
AsrOption = Annotated[
    str | None, typer.Option(metavar="SIZE", help="The Whisper that hears the replies: tiny, base, ... large-v3.")
]

Options = TypeVar("Options")


def command_of(options: type[Options]) -> Callable[[Callable[[Options], None]], Callable[..., None]]:
    """Makes a command of a function that takes an object of a dataclass.

    Args:
        options: The dataclass; each field is an argument or an option, annotated and with a default as a parameter of
            a Typer command would be.

    Returns:
        A decorator; what it returns takes the fields as keywords.
    """
    hints = get_type_hints(options, include_extras=True)
    parameters = [_parameter(field, hints[field.name]) for field in fields(options)]  # type: ignore[arg-type]

    def decorate(action: Callable[[Options], None]) -> Callable[..., None]:
        @functools.wraps(action)
        def command(**given: Any) -> None:  # noqa: ANN401 - whatever the fields are
            action(options(**given))

        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = hints
        return command

    return decorate


def _parameter(field: Field[Any], annotation: object) -> inspect.Parameter:
    default = inspect.Parameter.empty if field.default is MISSING else field.default
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
