"""Progress on the terminal: a live bar with an estimate where there is one, plain lines elsewhere; stderr only."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from vidchatbench.core.progress import Progress

_SECONDS_BETWEEN_LINES = 10.0


def progress_for(console: Console) -> Progress:
    """Returns the display that fits where stderr goes."""
    return LiveProgress(console) if console.is_terminal else PlainProgress()


class LiveProgress:
    """A bar with the time left, estimated from the speed so far.

    Args:
        console: Where to draw, a console on stderr.
    """

    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} {task.fields[unit]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
        )

    def begin(self, stage: str, total: float, unit: str) -> None:
        """See :class:`vidchatbench.core.progress.Progress`."""
        self._bar.start()
        self._task = self._bar.add_task(stage, total=total, unit=unit)

    def advance(self, done: float) -> None:
        """See :class:`vidchatbench.core.progress.Progress`."""
        self._bar.update(self._task, completed=done)

    def note(self, message: str) -> None:
        """See :class:`vidchatbench.core.progress.Progress`."""
        self._bar.console.print(message, style="yellow", markup=False, highlight=False)

    def end(self) -> None:
        """See :class:`vidchatbench.core.progress.Progress`."""
        self._bar.stop()


class PlainProgress:
    """A line every ten seconds, for logs."""

    def begin(self, stage: str, total: float, unit: str) -> None:
        """See :class:`vidchatbench.core.progress.Progress`."""
        self._stage, self._total, self._unit = stage, total, unit
        self._started = self._last = time.monotonic()
        self._say(f"{stage}: {total:.0f} {unit}")

    def advance(self, done: float) -> None:
        """See :class:`vidchatbench.core.progress.Progress`."""
        now = time.monotonic()
        if now - self._last < _SECONDS_BETWEEN_LINES or done <= 0:
            return
        self._last = now
        spent = now - self._started
        left = spent * (self._total - done) / done
        self._say(f"{self._stage}: {done:.0f}/{self._total:.0f} {self._unit}, {spent:.0f} s, about {left:.0f} s left")

    def note(self, message: str) -> None:
        """See :class:`vidchatbench.core.progress.Progress`."""
        self._say(message)

    def end(self) -> None:
        """See :class:`vidchatbench.core.progress.Progress`."""
        self._say(f"{self._stage}: done in {time.monotonic() - self._started:.1f} s")

    def _say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)
