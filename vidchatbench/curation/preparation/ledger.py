"""What became of every part of a preparation: one line a finished step, so that a killed run goes on where it was.

A line is written after what it speaks of lies under its final name. A line that was cut off by a crash is not counted,
and the step is done again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from threading import Lock
from typing import Literal

from pydantic import Field, ValidationError

from vidchatbench.core.models import FrozenModel

Kind = Literal["archive", "video", "clip", "image"]
State = Literal["done", "dead", "unreachable"]
Fact = str | int | float | bool | None


class Outcome(FrozenModel):
    """What became of one part.

    Attributes:
        kind: What it is.
        name: Which one: an archive's path, a video's id, a clip's name.
        state: ``done``; ``dead``, which another try would not change; ``unreachable``, which it may.
        reason: Machine-readable reason if it is not done.
        message: The same in words.
        facts: Sizes, hashes and settings that later steps and the manifest need.
        at: When, in UTC.
    """

    kind: Kind
    name: str
    state: State
    reason: str | None = None
    message: str | None = None
    facts: dict[str, Fact] = Field(default_factory=dict)
    at: datetime


class Ledger:
    """The outcomes of a preparation, kept in a file; the last word on each part counts.

    Args:
        path: The file; created with the first entry.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._known: dict[tuple[Kind, str], Outcome] = {}
        self._torn = False
        self._read()

    def get(self, kind: Kind, name: str) -> Outcome | None:
        """Returns what became of a part, ``None`` if nothing has yet."""
        return self._known.get((kind, name))

    def all(self, kind: Kind) -> Iterator[Outcome]:
        """Yields what became of every part of a kind."""
        return (outcome for outcome in list(self._known.values()) if outcome.kind == kind)

    def done(self, kind: Kind, name: str, facts: Mapping[str, Fact]) -> Outcome:
        """Notes that a part is done."""
        now = datetime.now(timezone.utc)
        return self._write(Outcome(kind=kind, name=name, state="done", facts=dict(facts), at=now))

    def lost(
        self,
        kind: Kind,
        name: str,
        reason: str,
        message: str,
        *,
        for_good: bool,
        facts: Mapping[str, Fact] | None = None,
    ) -> Outcome:
        """Records that a part is unavailable: for good, or for the time being."""
        state: State = "dead" if for_good else "unreachable"
        now = datetime.now(timezone.utc)
        # File names may hold bytes that are no text.
        text, known = message.encode(errors="replace").decode(), dict(facts or {})
        return self._write(Outcome(kind=kind, name=name, state=state, reason=reason, message=text, facts=known, at=now))

    def _write(self, outcome: Outcome) -> Outcome:
        line = ("\n" if self._torn else "") + outcome.model_dump_json() + "\n"
        with self._lock, self._path.open("ab") as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())
            self._torn = False
            self._known[outcome.kind, outcome.name] = outcome
        return outcome

    def _read(self) -> None:
        content = self._path.read_bytes() if self._path.is_file() else b""
        self._torn = bool(content) and not content.endswith(b"\n")
        for line in content.split(b"\n"):
            try:
                outcome = Outcome.model_validate_json(line)
            except ValidationError:
                continue  # torn by a crash, or the empty end of the file; its part is done again
            self._known[outcome.kind, outcome.name] = outcome
