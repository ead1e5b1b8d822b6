"""Which pieces of a clip's faces are one person, without a network or with one.

Tracklets of two people have a common key frame somewhere, or nothing but a network tells them apart: those that have
one are two people, all others may be one. Ambiguities are settled by place first and by size second.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

MATCHING_IOU = 0.3
"""Least intersection over union for a box to be the same face as the last one."""

MIN_COSINE = 0.4
"""Least cosine, the highest of any two of their faces, for two tracklets to be one person where a network looks."""


def may_be_one(one: Sequence[NDArray[np.float32]], two: Sequence[NDArray[np.float32]]) -> bool:
    """Returns whether embeddings leave it open that two rows of faces are one person's.

    They do unless the highest cosine of a face of the one and a face of the other is below 0.4: one person has some
    look in common with him- or herself, however the head turns.

    Args:
        one: Embeddings of shape (d,) and of length 1, or 0 where the network has nothing to say of a face.
        two: Those of the other.
    """
    known = [np.array([row for row in rows if row.any()], np.float64) for rows in (one, two)]
    if not (len(known[0]) and len(known[1])):
        return True
    return bool((known[0] @ known[1].T).max() >= MIN_COSINE)


@dataclass(frozen=True)
class Span:
    """What is known of one tracklet.

    Attributes:
        first: Key frame that it starts in.
        last: Key frame that it ends in; it is taken to be seen all the time between.
        first_box: float64 of shape (4,): left, top, right, bottom in pixels.
        last_box: The same in the last key frame.
        weight: Area summed over key frames, in square pixels.
        embeddings: Of its faces, where a network has looked at them; see :func:`may_be_one`.
    """

    first: int
    last: int
    first_box: NDArray[np.float64]
    last_box: NDArray[np.float64]
    weight: float
    embeddings: Sequence[NDArray[np.float32]] = field(default=(), compare=False)


class _Person:
    """Tracklets that never coexist; a set of bits tells the key frames that they fill."""

    def __init__(self, number: int, span: Span) -> None:
        self.numbers = [number]
        self.last = span.last
        self.last_box = span.last_box
        self.weight = span.weight
        self.filled = _keys(span)
        self.embeddings = list(span.embeddings)

    def may_be(self, other: _Person) -> bool:
        return not self.filled & other.filled and may_be_one(self.embeddings, other.embeddings)

    def join(self, other: _Person) -> None:
        """Takes another's tracklets; ``last`` and ``last_box`` are those of the later one."""
        self.numbers = sorted(self.numbers + other.numbers)
        if other.last > self.last:
            self.last, self.last_box = other.last, other.last_box
        self.weight += other.weight
        self.filled |= other.filled
        self.embeddings += other.embeddings


def link(spans: Sequence[Span]) -> list[list[int]]:
    """Joins the tracklets that are one person.

    1. By place: in order of their start, each joins the person whose last box before it has an intersection over union
       with its first box of 0.3 or more; of several the one seen last, then the one with most overlap.
    2. By time: the person with the largest area summed over key frames takes every other that never coexists with it,
       again largest first; then the largest of those left does, and so on. Of equal ones the earlier goes first.

    No two tracklets of one person have a common key frame. Where the tracklets have embeddings, they are joined only if
    these leave it open that they are one person (:func:`may_be_one`).

    Args:
        spans: The tracklets in order of their start.

    Returns:
        The numbers of each person's tracklets in ascending order; persons in order of their first.
    """
    persons = sorted(_by_place(spans), key=lambda person: (-person.weight, person.numbers[0]))
    return sorted(person.numbers for person in _by_time(persons))


def iou(one: NDArray[np.float64], two: NDArray[np.float64]) -> float:
    """Returns the intersection over union of two boxes, in 0..1."""
    width = min(one[2], two[2]) - max(one[0], two[0])
    height = min(one[3], two[3]) - max(one[1], two[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    areas = (one[2] - one[0]) * (one[3] - one[1]) + (two[2] - two[0]) * (two[3] - two[1])
    return float(shared / (areas - shared))


def _by_place(spans: Sequence[Span]) -> list[_Person]:
    persons: list[_Person] = []
    for number, span in enumerate(spans):
        new = _Person(number, span)
        near = [
            (person.last, overlap, -position)
            for position, person in enumerate(persons)
            if person.last < span.first
            and (overlap := iou(person.last_box, span.first_box)) >= MATCHING_IOU
            and person.may_be(new)
        ]
        if near:
            persons[-max(near)[2]].join(new)
        else:
            persons.append(new)
    return persons


def _by_time(persons: list[_Person]) -> Iterator[_Person]:
    while persons:
        largest, *others = persons
        persons = []
        for person in others:
            if largest.may_be(person):
                largest.join(person)
            else:
                persons.append(person)
        yield largest


def _keys(span: Span) -> int:
    return ((1 << (span.last - span.first + 1)) - 1) << span.first
