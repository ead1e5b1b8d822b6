"""Progress on the terminal: a live bar with an estimate where there is one, plain lines elsewhere; stderr only."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console

_SECONDS_BEFORE_FIRST_LINE = 3.0
_SECONDS_BETWEEN_LINES = 10.0
_SECONDS_OF_A_SHORT_STAGE = 1.0
_BEAT_SECONDS = 0.25
_MIN_SHARE = 0.02


def progress_for(console: Console) -> LiveProgress | PlainProgress:
    """Returns the display that fits where stderr goes; it shows progress within its ``with`` block."""
    return LiveProgress(console) if console.is_terminal else PlainProgress()


class TimeLeft:
    """Estimates how long a stage still takes.

    The first work of a stage is slow, because models are loaded, and several workers end their clips in bursts. So the
    speed since the beginning, which is too low at first, and that of the later half, which may be too high, are both
    asked, and the mean of their answers is told; where too little is done, nothing is.

    Args:
        total: The size of the stage.
        now: When it began, in seconds.
    """

    def __init__(self, total: float, now: float) -> None:
        self._total = total
        self._points = deque([(now, 0.0)])
        self._began = now

    def advance(self, done: float, now: float) -> None:
        """So much is done now."""
        if done > self._points[-1][1]:
            self._points.append((now, done))
        middle = self._began + (now - self._began) / 2
        while len(self._points) > 2 and self._points[0][0] < middle:  # noqa: PLR2004
            self._points.popleft()

    def seconds(self, now: float) -> float | None:
        """Returns the seconds that are left, or ``None`` where nothing can be said yet."""
        done = self._points[-1][1]
        if self._total <= 0 or done < _MIN_SHARE * self._total:
            return None
        missing = max(0.0, self._total - done)
        whole = missing * (now - self._began) / done
        (since, before), (until, after) = self._points[0], self._points[-1]
        late = missing * (until - since) / (after - before) if after > before else whole
        seconds = (whole + late) / 2
        # Nothing has come for longer than all the rest was to take: the estimate was wrong.
        return None if now - until > max(seconds, _SECONDS_OF_A_SHORT_STAGE) else seconds


def spell_time(seconds: float) -> str:
    """Returns a time as people say it: ``40 s``, ``11 min``, ``2 h 10 min``; no more exact than an estimate is."""
    if seconds < 60:  # noqa: PLR2004
        return f"{5 * max(1, round(seconds / 5))} s" if seconds >= 10 else f"{max(1, round(seconds))} s"  # noqa: PLR2004
    minutes = round(seconds / 60)
    if minutes < 60:  # noqa: PLR2004
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


class LiveProgress:
    """A bar with the time left, estimated from the speed so far.

    Args:
        console: Where to draw, a console on stderr.
    """

    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} {task.fields[unit]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
        )

    def __enter__(self) -> LiveProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def begin(self, stage: str, total: float, unit: str) -> None:
        """See :class:`vidchatbench.core.progress.Progress`."""
        self._bar.start()
        self._task = self._bar.add_task(stage, total=total, unit=unit, left="")
        self._left = TimeLeft(total, time.monotonic())

    def advance(self, done: float) -> None:
        """See :class:`vidchatbench.core.progress.Progress`."""
        now = time.monotonic()
        self._left.advance(done, now)
        seconds = self._left.seconds(now)
        left = "" if seconds is None else f"about {spell_time(seconds)} left"
        self._bar.update(self._task, completed=done, left=left)

    def note(self, message: str) -> None:
        """See :class:`vidchatbench.core.progress.Progress`."""
        self._bar.console.print(message, style="yellow", markup=False, highlight=False)

    def end(self, outcome: str = "done") -> None:
        """See :class:`vidchatbench.core.progress.Progress`."""
        self._bar.update(self._task, left=outcome)
        self._bar.stop()


class PlainProgress:
    """Lines for logs: the first within a few seconds, then one every ten, also while nothing advances."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._closed = threading.Event()
        self._began = self._said = time.monotonic()
        self._wait = _SECONDS_BEFORE_FIRST_LINE
        self._stage: str | None = None
        self._done = 0.0

    def __enter__(self) -> PlainProgress:
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()

    def begin(self, stage: str, total: float, unit: str) -> None:
        """See :class:`vidchatbench.core.progress.Progress`."""
        with self._lock:
            self._stage, self._total, self._unit, self._done = stage, total, unit, 0.0
            self._started = time.monotonic()
            self._left = TimeLeft(total, self._started)
            self._wait = min(self._wait, _SECONDS_BEFORE_FIRST_LINE)

    def advance(self, done: float) -> None:
        """See :class:`vidchatbench.core.progress.Progress`."""
        with self._lock:
            self._done = done
            self._left.advance(done, time.monotonic())
            self.beat()

    def note(self, message: str) -> None:
        """See :class:`vidchatbench.core.progress.Progress`."""
        self._say(message)

    def end(self, outcome: str = "done") -> None:
        """See :class:`vidchatbench.core.progress.Progress`."""
        with self._lock:
            spent = time.monotonic() - self._started
            if spent >= _SECONDS_OF_A_SHORT_STAGE or outcome != "done":
                self._say(f"{self._stage}: {outcome} in {spent:.1f} s ({self._total:.0f} {self._unit})")
            self._stage = None

    def beat(self) -> None:
        """Says where things stand if nothing was said for a while."""
        with self._lock:
            now = time.monotonic()
            if now - self._said < self._wait or self._closed.is_set():
                return
            if self._stage is None:
                self._say(f"at work, {now - self._began:.0f} s so far")
                return
            text = f"{self._stage}: {self._done:.0f}/{self._total:.0f} {self._unit}, {now - self._started:.0f} s so far"
            left = self._left.seconds(now)
            self._say(text if left is None else f"{text}, about {spell_time(left)} left of this step")

    def _watch(self) -> None:
        while not self._closed.wait(_BEAT_SECONDS):
            self.beat()

    def _say(self, text: str) -> None:
        with self._lock:
            self._said, self._wait = time.monotonic(), _SECONDS_BETWEEN_LINES
            print(text, file=sys.stderr, flush=True)
