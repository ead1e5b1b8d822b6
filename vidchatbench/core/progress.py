"""Reporting progress; how it is shown is up to the caller."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives the progress of a run."""

    def begin(self, stage: str, total: float, unit: str) -> None:
        """A stage begins; ``total`` is its size in ``unit``."""

    def advance(self, done: float) -> None:
        """So much of the stage is done, in its unit, counted from its start."""

    def note(self, message: str) -> None:
        """Shows a message at once."""

    def end(self, outcome: str = "done") -> None:
        """The stage is over; ``outcome`` says how it ended where that is not well."""


class SilentProgress:
    """Reports nothing."""

    def begin(self, stage: str, total: float, unit: str) -> None:
        """See :class:`Progress`."""

    def advance(self, done: float) -> None:
        """See :class:`Progress`."""

    def note(self, message: str) -> None:
        """See :class:`Progress`."""

    def end(self, outcome: str = "done") -> None:
        """See :class:`Progress`."""
