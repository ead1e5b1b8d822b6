"""Bars on time, on machines that others use too.

A bar in seconds judges the machine as much as the library. So what is measured takes turns with a reference,
something plain that takes what the machine takes at that moment, and is too slow only beyond both the bar and a
multiple of the reference.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

PATIENCE = 30.0
MIN_ATTEMPTS = 5


class Judgement(NamedTuple):
    """Times of every attempt, those of the reference, and whether the bar is met."""

    in_time: bool
    times: list[float]
    references: list[float]


def measure_beside(
    measure: Callable[[int], float],
    reference: Callable[[], float],
    *,
    bar: float,
    factor: float,
    patience: float = PATIENCE,
) -> Judgement:
    """Measures in turns with a reference until the bar is met, or until patience ends.

    One attempt within the bar meets it. On a machine too slow for that, the median of five attempts or more must be
    within the multiple of the reference's median: no single stall may excuse or accuse.

    Args:
        measure: Takes the number of the attempt and returns its time.
        reference: Returns the time of something plain that does not depend on the library.
        bar: What is always allowed, in the same unit.
        factor: The multiple of the reference that is allowed beyond the bar.
        patience: Seconds after which no attempt begins, once there are five.
    """
    times: list[float] = []
    references = [reference()]
    end = time.monotonic() + patience
    in_time = False
    while not in_time and (len(times) < MIN_ATTEMPTS or time.monotonic() < end):
        times.append(measure(len(times)))
        references.append(reference())
        beside = len(times) >= MIN_ATTEMPTS and median(times) <= factor * median(references)
        in_time = times[-1] <= bar or beside
    return Judgement(in_time, times, references)


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
