"""Problems of a pydantic model in the words of our messages."""

from __future__ import annotations

from pydantic import BaseModel, ValidationError

from vidchatbench.core.suggest import did_you_mean


def describe_validation(error: ValidationError, model: type[BaseModel] | None = None) -> list[str]:
    """Returns one line per problem of a pydantic error, naming the field.

    Args:
        error: What pydantic raised.
        model: The model that was filled; for a field that it does not have, the one that was meant is suggested.
    """
    lines = []
    for item in error.errors(include_url=False):
        where = ".".join(str(part) for part in item["loc"])
        message = (
            f"unknown field{_meant(str(item['loc'][-1]), item['loc'], model)}"
            if item["type"] == "extra_forbidden"
            else item["msg"].removeprefix("Value error, ").replace("valid tuple", "list")
        )
        lines.append(f"{where}: {message}" if where else message)
    return lines


def _meant(field: str, where: tuple[int | str, ...], model: type[BaseModel] | None) -> str:
    return "" if model is None or len(where) != 1 else did_you_mean(field, model.model_fields)
