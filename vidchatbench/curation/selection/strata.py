"""Strata of a test set: what is kept in proportion, and how many samples each cell gives."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import NamedTuple

from vidchatbench.curation.speakervid.records import ClipRecord

UNKNOWN = "unknown"
OTHER_TOPIC = "other"
MAX_TOPICS = 12
"""Topics that are a stratum of their own; captions name them freely, and the rest are one."""

LENGTH_EDGES_S = (3.0, 5.0, 8.0, 11.0, 14.0)
"""Bounds of the strata of length, in seconds."""

_MAX_TOPIC_LENGTH = 40


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
    """Returns a clip's cell; values without a caption are ``unknown``."""
    topic = " ".join((clip.topic or UNKNOWN).casefold().split())[:_MAX_TOPIC_LENGTH].strip(" .,;:")
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
    return frozenset(ordered[:MAX_TOPICS])


def quotas(counts: Mapping[Stratum, int], n: int) -> dict[Stratum, int]:
    """Shares out ``n`` samples in proportion to the cells, by largest remainders, axis by axis.

    First over the framings, then within each over the views, and so on: with more cells than samples, remainders over
    all cells at once would leave out whatever is rare. Equal remainders go by the hash of the cells' names.

    Args:
        counts: How many each cell has.
        n: How many are wanted, at most as many as there are.

    Raises:
        ValueError: If there are fewer than ``n``.
    """
    total = sum(counts.values())
    if n > total:
        raise ValueError(f"{n} of {total}")
    shares: dict[tuple[str, ...], int] = {(): n}
    for depth in range(1, len(Stratum._fields) + 1):
        groups: dict[tuple[str, ...], dict[tuple[str, ...], int]] = defaultdict(dict)
        for cell, count in counts.items():
            within = groups[cell[: depth - 1]]
            within[cell[:depth]] = within.get(cell[:depth], 0) + count
        shares = {
            cell: share
            for parent, within in groups.items()
            for cell, share in _largest_remainders(within, shares[parent]).items()
        }
    return {cell: shares[tuple(cell)] for cell in counts}


def _largest_remainders(counts: Mapping[tuple[str, ...], int], n: int) -> dict[tuple[str, ...], int]:
    # In whole numbers, so that no rounding decides.
    total = sum(counts.values())
    given = {cell: n * count // total for cell, count in counts.items()}
    rest = {cell: n * count % total for cell, count in counts.items()}
    order = sorted(counts, key=lambda cell: (-rest[cell], hashlib.sha256("\n".join(cell).encode()).digest()))
    for cell in order[: n - sum(given.values())]:
        given[cell] += 1
    return given


def empty_cells(cells: Sequence[Stratum]) -> list[Stratum]:
    """Returns the cells that could be, by the values that occur, and have nothing in them."""
    values = [sorted({cell[axis] for cell in cells}) for axis in range(len(Stratum._fields))]
    if math.prod(len(each) for each in values) == len(set(cells)):
        return []
    there = set(cells)
    return [cell for each in product(*values) if (cell := Stratum(*each)) not in there]
