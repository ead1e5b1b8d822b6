"""The name that was meant: what a message suggests for one that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_MAX_NAMES = 3


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Returns up to three known names that may have been meant, the likeliest first.

    Ids of the form ``family/name`` may be written without their family: ``psnr`` means ``video_quality/psnr``, and
    nothing else is suggested where such an id exists.
    """
    names = sorted(known)
    wanted = name.strip().lower()
    same = [one for one in names if wanted in {one.lower(), _tail(one)}]
    if same:
        return same[:_MAX_NAMES]
    near = difflib.get_close_matches(wanted, names, n=_MAX_NAMES, cutoff=0.5)
    if "/" not in wanted:
        tails = difflib.get_close_matches(wanted, [_tail(one) for one in names], n=_MAX_NAMES, cutoff=0.6)
        near = [one for tail in tails for one in names if _tail(one) == tail] + near
    return list(dict.fromkeys(near))[:_MAX_NAMES]


def _tail(name: str) -> str:
    return name.rpartition("/")[2].lower()


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns ``; did you mean 'x'?``, or nothing where no known name is near."""
    near = nearest(name, known)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
