"""Bars on time, on machines that others use too.

A bar in seconds judges the machine as much as the library. So what is measured stands between two measurements of a
reference, something plain that takes what the machine takes at that moment, and is too slow only beyond both the bar
and a multiple of the reference.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

PATIENCE = 30.0


class Attempt(NamedTuple):
    """A measured time with what was allowed at that moment, in the same unit."""

    time: float
    reference: float
    allowed: float

    @property
    def in_time(self) -> bool:
        """True if the time is within what was allowed."""
        return self.time <= self.allowed


def measure_beside(
    measure: Callable[[int], float],
    reference: Callable[[], float],
    *,
    bar: float,
    factor: float,
    patience: float = PATIENCE,
) -> Attempt:
    """Measures until once in time, or until patience ends: what is too slow is never in time.

    Args:
        measure: Takes the number of the attempt and returns its time.
        reference: Returns the time of something plain that does not depend on the library. The quicker one of those
            just before and just after counts, so that a stalled reference excuses nothing.
        bar: What is always allowed, in the same unit.
        factor: The multiple of the reference that is allowed beyond the bar.
        patience: Seconds after which no further attempt begins.

    Returns:
        The first attempt that is in time; without one, the attempt that exceeds its allowance by the least share.
    """
    attempts: list[Attempt] = []
    end = time.monotonic() + patience
    before = reference()
    while not attempts or (not attempts[-1].in_time and time.monotonic() < end):
        measured = measure(len(attempts))
        after = reference()
        beside = min(before, after)
        attempts.append(Attempt(measured, beside, max(bar, factor * beside)))
        before = after
    return min(attempts, key=lambda attempt: attempt.time / attempt.allowed)


def run_seconds(command: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> float:
    """Returns how long a process takes, less the time that it waited for a processor; its output is dropped.

    Where the kernel does not tell that time (``/proc/PID/schedstat``), nothing is taken off.

    Raises:
        subprocess.CalledProcessError: If it fails.
    """
    begin = time.perf_counter()
    with subprocess.Popen(command, cwd=cwd, env=env, stdout=subprocess.DEVNULL) as process:
        if hasattr(os, "waitid"):
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # its numbers go with it
        seconds = time.perf_counter() - begin
        told = Path(f"/proc/{process.pid}/schedstat")
        waited = int(told.read_text().split()[1]) / 1e9 if told.exists() else 0.0
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return seconds - waited
