"""The run journal: one JSON line per event, appended as it happens, so that a killed run tells how far it came."""

from __future__ import annotations

import contextlib
import json
from datetime import datetime, timezone
from pathlib import Path
from uuid import uuid4

JOURNAL_FILE = "journal.jsonl"


class Journal:
    """Appends events to ``journal.jsonl`` in the run folder.

    Args:
        folder: The run folder; made if it is not there.

    Raises:
        OSError: If the folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / JOURNAL_FILE
        self._run = uuid4().hex[:12]
        self._mend()

    def _mend(self) -> None:
        # A run that was killed while it wrote leaves half a line, which the next event must not stick to.
        with contextlib.suppress(OSError):
            content = self._path.read_bytes() if self._path.is_file() else b""
            if content and not content.endswith(b"\n"):
                with self._path.open("a", encoding="utf-8") as file:
                    file.write("\n")

    def write(self, event: str, **content: object) -> None:
        """Appends one event; on a full disk the event is lost, and the run is not."""
        line = {"time": datetime.now(timezone.utc).isoformat(), "run": self._run, "event": event, **content}
        text = json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n"
        with contextlib.suppress(OSError), self._path.open("a", encoding="utf-8") as file:
            file.write(text)


def read_journal(folder: Path) -> list[dict[str, object]]:
    """Returns the events of a run folder, oldest first; a line torn by a kill is passed over."""
    path = folder / JOURNAL_FILE
    events: list[dict[str, object]] = []
    if not path.is_file():
        return events
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            events.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return events
