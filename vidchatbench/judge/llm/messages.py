"""What a language model is sent: chat messages and the schema of the answer, in the form of the OpenAI protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Message = dict[str, Any]
"""One chat message: ``{"role": "system" | "user" | "assistant", "content": str | list[Part]}``."""

Part = dict[str, Any]
"""A part of a message's content: ``{"type": "text", "text": str}``, or ``{"type": "image_url", "image_url": {"url":
str}}`` with a ``data:`` URL."""

Schema = dict[str, Any]
"""What ``response_format`` takes as ``json_schema``: ``{"name": str, "strict": True, "schema": JSON Schema}``."""


def strict_schema(name: str, fields: Mapping[str, object]) -> Schema:
    """Returns the schema of an object that has exactly these fields, each with its own JSON Schema, in this order."""
    return {
        "name": name,
        "strict": True,
        "schema": {
            "type": "object",
            "properties": dict(fields),
            "required": list(fields),
            "additionalProperties": False,
        },
    }


def prompt_texts(messages: Sequence[Message]) -> list[str]:
    """Returns the texts of messages, without their pictures."""
    contents = [message["content"] for message in messages]
    parts = [[{"type": "text", "text": content}] if isinstance(content, str) else content for content in contents]
    return [part["text"] for some in parts for part in some if part["type"] == "text"]


def count_pictures(messages: Sequence[Message]) -> int:
    """Returns the number of pictures in messages."""
    contents = [message["content"] for message in messages if isinstance(message["content"], list)]
    return sum(part["type"] == "image_url" for content in contents for part in content)
