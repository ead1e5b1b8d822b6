"""The scale of mean opinion scores."""

from __future__ import annotations

MIN_MOS = 1.0
MAX_MOS = 5.0


def clip_to_scale(value: float) -> float:
    """Returns a predicted opinion score, cut to 1..5."""
    return min(max(value, MIN_MOS), MAX_MOS)
