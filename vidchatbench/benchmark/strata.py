"""Strata of a test set: what is kept in proportion, and how many samples each cell gives."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import NamedTuple

from vidchatbench.speakervid.records import ClipRecord

UNKNOWN = "unknown"
OTHER_TOPIC = "other"
MOST_TOPICS = 12
"""Topics that are a stratum of their own; captions name them freely, and the rest are one."""

LENGTH_EDGES_S = (3.0, 5.0, 8.0, 11.0, 14.0)
"""Bounds of the strata of length, in seconds."""

_LONGEST_TOPIC = 40


class Stratum(NamedTuple):
    """One cell: framing, view, topic and length of the responder's clip."""

    framing: str
    view: str
    topic: str
    length: str

    def __str__(self) -> str:
        """The cell as people read it."""
        return " / ".join(self).replace("_", " ")


def stratum_of(clip: ClipRecord) -> Stratum:
    """Returns a clip's cell; what no caption says is ``unknown``."""
    topic = " ".join((clip.topic or UNKNOWN).casefold().split())[:_LONGEST_TOPIC].strip(" .,;:")
    return Stratum(clip.framing or UNKNOWN, clip.view or UNKNOWN, topic or UNKNOWN, length_of(clip.duration))


def length_of(seconds: float) -> str:
    """Returns the name of the stratum of a length; a length beyond the bounds joins the nearest."""
    inner = LENGTH_EDGES_S[1:-1]
    place = sum(seconds >= edge for edge in inner)
    return f"{LENGTH_EDGES_S[place]:g}–{LENGTH_EDGES_S[place + 1]:g} s"


def lengths() -> list[str]:
    """Returns the strata of length in their order."""
    return [length_of(edge) for edge in LENGTH_EDGES_S[:-1]]


def kept_topics(topics: Iterable[str]) -> frozenset[str]:
    """Returns the most frequent topics; among equals, the first by name."""
    counts = Counter(topics)
    ordered = sorted(counts, key=lambda topic: (-counts[topic], topic))
    return frozenset(ordered[:MOST_TOPICS])


def quotas(counts: Mapping[Stratum, int], n: int) -> dict[Stratum, int]:
    """Shares out ``n`` samples in proportion to the cells, by largest remainders; equal ones go by name.

    Args:
        counts: How many each cell has.
        n: How many are wanted, at most as many as there are.

    Raises:
        ValueError: If there are fewer than ``n``.
    """
    total = sum(counts.values())
    if n > total:
        raise ValueError(f"{n} of {total}")
    # In whole numbers, so that no rounding decides.
    given = {cell: n * count // total for cell, count in counts.items()}
    rest = {cell: n * count % total for cell, count in counts.items()}
    for cell in sorted(counts, key=lambda cell: (-rest[cell], cell))[: n - sum(given.values())]:
        given[cell] += 1
    return given


def empty_cells(cells: Sequence[Stratum]) -> list[Stratum]:
    """Returns the cells that could be, by the values that occur, and have nothing in them."""
    values = [sorted({cell[axis] for cell in cells}) for axis in range(len(Stratum._fields))]
    if math.prod(len(each) for each in values) == len(set(cells)):
        return []
    there = set(cells)
    return [cell for each in product(*values) if (cell := Stratum(*each)) not in there]
