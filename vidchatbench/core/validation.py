"""Problems of a pydantic model in the words of our messages."""

from __future__ import annotations

from pydantic import ValidationError


def describe_validation(error: ValidationError) -> list[str]:
    """Returns one line per problem of a pydantic error, naming the field."""
    lines = []
    for item in error.errors(include_url=False):
        where = ".".join(str(part) for part in item["loc"])
        message = (
            "unknown field"
            if item["type"] == "extra_forbidden"
            else item["msg"].removeprefix("Value error, ").replace("valid tuple", "list")
        )
        lines.append(f"{where}: {message}" if where else message)
    return lines
