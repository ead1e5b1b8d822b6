"""Bars on time, on machines that others use too."""

from __future__ import annotations

import time
from collections.abc import Callable


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
