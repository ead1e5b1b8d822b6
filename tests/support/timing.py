"""Bars on time, on machines that others use too."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def quickest(measure: Callable[[int], float], bar: float) -> list[float]:
    """Measures until once within the bar, for half a minute at most: what is too slow never is.

    The machine of the tests may be busy with others, which says nothing about the library.

    Args:
        measure: Takes the number of the attempt and returns its time.
        bar: The bar, in the same unit.

    Returns:
        The times of all attempts.
    """
    times, end = [measure(0)], time.monotonic() + 30
    while min(times) > bar and time.monotonic() < end:
        time.sleep(0.1)
        times.append(measure(len(times)))
    return times


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
