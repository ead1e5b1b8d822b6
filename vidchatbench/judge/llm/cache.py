"""Answers that were paid for, on disk: one JSON file each, written under a temporary name and renamed.

A process killed at any moment leaves a whole answer or none. Nothing is synchronised to the disk: a kill does not need
it, and a file that a power cut has emptied counts as absent.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, ValidationError

from vidchatbench.core.atomic import write_atomically
from vidchatbench.core.models import FrozenModel

VERSION = 1

MAX_STATED_TOKENS = 10_000_000
"""Most tokens of one request that a server is believed to have read or written; no model has a larger window."""


class Reply(FrozenModel):
    """What an endpoint answered, as far as it matters.

    Attributes:
        content: The text of the answer; ``None`` if there was none.
        refusal: The model's own words where it refused.
        finish_reason: Why the answer ended, in the endpoint's word.
        model: The model that the endpoint says has answered.
        fingerprint: The endpoint's ``system_fingerprint``.
        tokens_in: Tokens read.
        tokens_out: Tokens written.
        estimated: Whether the tokens are our estimate, because the endpoint did not count.
        format: How structure was asked for: ``json_schema``, ``json_object`` or ``text``.
    """

    content: str | None
    refusal: str | None = None
    finish_reason: str | None = None
    model: str | None = None
    fingerprint: str | None = None
    tokens_in: int = Field(ge=0, le=MAX_STATED_TOKENS)
    tokens_out: int = Field(ge=0, le=MAX_STATED_TOKENS)
    estimated: bool = False
    format: str


class ResponseCache:
    """Replies by key below one folder; safe to share between processes.

    Args:
        root: The folder; made when the first reply is written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @staticmethod
    def key(request: Mapping[str, object]) -> str:
        """Returns the key of a request: a hash over everything that can change the answer."""
        text = json.dumps({"version": VERSION, **request}, sort_keys=True, ensure_ascii=False, allow_nan=False)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    def load(self, key: str) -> Reply | None:
        """Returns a reply, or ``None`` if it is not there or damaged."""
        try:
            return Reply.model_validate_json(self._path(key).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def save(self, key: str, reply: Reply) -> None:
        """Writes a reply.

        Raises:
            OSError: If the folder cannot be written; no partial file is left.
        """
        write_file(self._path(key), reply.model_dump_json().encode())

    def forget(self, key: str) -> None:
        """Removes a reply that turned out to be of no use, so that the next run asks again."""
        self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self.root / key[:2] / f"{key}.json"


def write_file(path: Path, content: bytes) -> None:
    """Writes a file, and its folder where that is missing, as :func:`vidchatbench.core.atomic.write_atomically` does.

    Raises:
        OSError: If it cannot be written; the temporary file is removed.
    """
    try:
        write_atomically(path, content, durable=False)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content, durable=False)
