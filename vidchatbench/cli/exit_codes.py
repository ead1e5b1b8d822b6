"""The exit codes of the command line, besides 0 for done."""

from __future__ import annotations

INPUT = 1
"""The input has problems; all of them were listed."""
USAGE = 2
"""The command cannot mean anything."""
INCOMPLETE = 3
"""Done, but errors of our own or of a judge left a metric incomplete."""
DISORDER = 4
"""Done, but the audit's order does not hold."""
INTERRUPTED = 130
"""Ended by Ctrl-C; the same command goes on where it was."""
