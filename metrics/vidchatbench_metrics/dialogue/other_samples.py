"""Which other samples a sample is compared with: the same ones in every run, whoever runs it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from vidchatbench.api import JointItem, Role, Sample

SPREAD = 0.2
"""Share of its own length by which another clip of about the same length may differ."""


def strangers(
    item: JointItem, items: Sequence[JointItem], most: int, *, seed: str, role: Role | None = None
) -> list[JointItem]:
    """Returns other samples of the same language in which nobody of this one speaks.

    They come in an order that a hash of the seed and both ids gives. With ``role``, those whose clip of that role is
    as long within 20 % go first, then the others by how much their lengths differ; a length that is not known differs
    by nothing.

    Args:
        item: The sample.
        items: All samples; of equal samples in another order the result is the same.
        most: How many to return at most.
        seed: Name of the choice.
        role: The clip whose length counts.
    """
    mine = _language(item.sample)
    others = [
        other
        for other in items
        if other.sample.id != item.sample.id
        and _language(other.sample) == mine
        and _speakers(other.sample).isdisjoint(_speakers(item.sample))
    ]

    def place(other: JointItem) -> tuple[float, str]:
        apart = 0.0 if role is None else length_difference(item, other, role)
        drawn = hashlib.sha256(f"{seed}|{item.sample.id}|{other.sample.id}".encode()).hexdigest()
        return (0.0 if apart <= SPREAD else apart, drawn)

    return sorted(others, key=place)[:most]


def length_difference(item: JointItem, other: JointItem, role: Role) -> float:
    """Returns by which share of its own length a clip's length differs from another's; 0 where one is not known."""
    own, their = item.seconds.get(role), other.seconds.get(role)
    return 0.0 if not own or their is None else abs(their - own) / own


def _speakers(sample: Sample) -> set[str]:
    return {side.speaker_id for side in (sample.initiator, sample.responder) if side is not None}


def _language(sample: Sample) -> str:
    return sample.language.lower().replace("_", "-").partition("-")[0]
