"""The bars on time judge the library, not the machine that runs the tests."""

from __future__ import annotations

import itertools

from timing import measure_beside

BAR, FACTOR = 1.0, 3.0


def judged(times: list[float], references: list[float]) -> bool:
    """True if one of the attempts is in time; the lists are repeated."""
    measured, plain = itertools.cycle(times), itertools.cycle(references)
    return measure_beside(lambda _: next(measured), lambda: next(plain), bar=BAR, factor=FACTOR, patience=0.01).in_time


def test_on_a_quick_machine_the_bar_counts():
    assert judged([1.0], [0.01])
    assert not judged([1.01], [0.01])
    assert judged([9.0, 9.0, 1.0], [0.01]), "one attempt in time is enough"


def test_on_a_slow_machine_the_reference_counts():
    assert judged([6.0], [2.0])
    assert not judged([6.01], [2.0])


def test_a_single_stall_excuses_nothing_and_accuses_nobody():
    assert not judged([7.0, 7.0, 7.0, 7.0, 7.0, 2.5], [2.0])
    assert not judged([7.0], [2.0, 2.0, 2.0, 90.0])
    assert judged([5.0, 5.0, 90.0], [2.0])
