"""What a metric returns for one sample: a value with a status, never a bare number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

Detail = float | int | str | bool


class Status(str, Enum):
    """What became of one sample in one metric.

    The submission's fault (``output_missing``, ``output_invalid``) is charged the card's worst value and counts.
    Our fault (``error``) makes the metric incomplete, and so does a judge that gave no answer (``judge_failed``).
    ``not_applicable`` samples leave the denominator.
    """

    OK = "ok"
    OUTPUT_MISSING = "output_missing"
    OUTPUT_INVALID = "output_invalid"
    NOT_APPLICABLE = "not_applicable"
    ERROR = "error"
    JUDGE_FAILED = "judge_failed"

    @property
    def is_failure_of_output(self) -> bool:
        """True where the submission is to blame and the worst value is charged."""
        return self in {Status.OUTPUT_MISSING, Status.OUTPUT_INVALID}

    @property
    def is_error(self) -> bool:
        """True where the submission is not to blame and the metric is incomplete."""
        return self in {Status.ERROR, Status.JUDGE_FAILED}


@dataclass(frozen=True)
class Score:
    """The score of one sample in one metric.

    Build it with :meth:`ok`, :meth:`invalid` or :meth:`not_applicable`; the harness alone sets the other statuses.

    Attributes:
        status: What became of the sample.
        value: The finite value in the card's unit; ``None`` unless the status is ``ok``.
        reason: Why there is no value, in words a submitter can act on.
        details: Further numbers worth keeping per sample (seconds scored, share of frames with a face, ...).
    """

    status: Status
    value: float | None = None
    reason: str | None = None
    details: Mapping[str, Detail] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.status is Status.OK) != (self.value is not None):
            raise ValueError("a score has a value exactly when its status is 'ok'")
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError(f"a score must be finite, got {self.value!r}")
        object.__setattr__(self, "details", {name: _plain(name, detail) for name, detail in self.details.items()})

    @classmethod
    def ok(cls, value: float, **details: Detail) -> Score:
        """A valid score.

        Raises:
            ValueError: If the value is NaN or infinite.
        """
        return cls(Status.OK, float(value), None, details)

    @classmethod
    def invalid(cls, reason: str, **details: Detail) -> Score:
        """The candidate cannot be scored and that is the submission's fault; the card's worst value is charged."""
        return cls(Status.OUTPUT_INVALID, None, reason, details)

    @classmethod
    def not_applicable(cls, reason: str, **details: Detail) -> Score:
        """The sample lacks what the metric needs, through no fault of the submission; it leaves the denominator."""
        return cls(Status.NOT_APPLICABLE, None, reason, details)


def _plain(name: str, detail: object) -> Detail:
    # Details end up in a JSON object; a numpy scalar or a NaN must not wait until then to make itself felt.
    value = detail.item() if isinstance(detail, np.generic) else detail
    if not isinstance(value, (bool, int, float, str)) or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError(f"detail {name!r} must be a finite number, a truth value or text, not {detail!r}")
    return value
