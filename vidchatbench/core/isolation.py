"""The second isolation boundary: one extractor on one clip, one metric on one sample.

Whatever goes wrong inside is turned into a :class:`Failure` that names whose fault it is; the run goes on.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TypeVar

from vidchatbench.errors import MediaError

T = TypeVar("T")


class Blame(str, Enum):
    """Whose fault a failure is: the clip's, ours, or that of a judge that gave no answer."""

    MEDIA = "media"
    OURS = "ours"
    JUDGE = "judge"


@dataclass(frozen=True)
class Failure:
    """Why something could not be computed.

    Attributes:
        blame: Whose fault it is.
        reason: One sentence for people.
        media: sha256 of the clip to blame, where one is.
        trace: Traceback, for our own faults.
        lost: True where a stored feature was damaged or removed, so that computing it again is the cure.
    """

    blame: Blame
    reason: str
    media: str | None = None
    trace: str | None = None
    lost: bool = False


def attempt(action: Callable[[], T], *, media: str | None = None) -> T | Failure:
    """Runs ``action``; an exception becomes a :class:`Failure`.

    Args:
        action: What to run.
        media: sha256 of the clip at work, recorded where the clip is to blame.
    """
    try:
        return action()
    except MediaError as error:
        return Failure(Blame.MEDIA, error.reason, media)
    except OSError as error:
        # Reasons are published; where a file lies on this computer is not.
        name = Path(str(error.filename)).name if error.filename else ""
        reason = f"{type(error).__name__}: {error.strerror or 'it failed'} {name}".strip()
        return Failure(Blame.OURS, reason, media, traceback.format_exc())
    except Exception as error:  # noqa: BLE001 - a fault in one sample of one metric must not take the others with it
        return Failure(Blame.OURS, f"{type(error).__name__}: {error}", media, traceback.format_exc())


def catch(action: Callable[[], T]) -> T | Exception:
    """Runs ``action``; an exception is returned, to be raised again in the process that asked for it."""
    try:
        return action()
    except Exception as error:  # noqa: BLE001 - it is passed on as it is
        return error
