"""Checks that a pair of clips shows enough of both faces, at the same times or at all, and pairs their frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api import Feature, Score
from vidchatbench_metrics.common.geometry import MIN_COMMON_SECONDS
from vidchatbench_metrics.emotion.responder import coverage, missing_face


@dataclass(frozen=True)
class Compared:
    """A pair of clips that can be compared.

    Attributes:
        candidate: Rows of the candidate's feature that count, int (n,).
        reference: Rows of the reference's feature that count, int (m,).
        details: Seconds and coverages.
    """

    candidate: NDArray[np.intp]
    reference: NDArray[np.intp]
    details: dict[str, float | str]


def face_seconds(feature: Feature) -> float:
    """Returns for how long a clip shows the responder's face, in seconds."""
    return len(feature["index"]) / feature.number("fps")


def in_step(candidate: Feature, reference: Feature) -> Compared | Score:
    """Returns the rows of the grid points at which both clips show the face; they pair off in order.

    A second of such points is needed. Where the reference alone shows the face for less than a second, or in under half
    of its frames, nothing can be compared and the submission is not to blame; all else is the candidate's fault.
    """
    refusal = _refusal(candidate, reference)
    if refusal is not None:
        return refusal
    _, rows, others = np.intersect1d(candidate["index"], reference["index"], assume_unique=True, return_indices=True)
    seconds = len(rows) / candidate.number("fps")
    details = {"seconds": seconds, **_coverages(candidate, reference)}
    if seconds < MIN_COMMON_SECONDS:
        reason = f"candidate and reference show the face at the same time for {seconds:.2f} s"
        return Score.invalid(f"{reason}; {MIN_COMMON_SECONDS:g} s is needed", **details)
    return Compared(rows, others, details)


def as_wholes(candidate: Feature, reference: Feature) -> Compared | Score:
    """Returns all rows of both clips; each must show the face for a second and in half of its frames."""
    refusal = _refusal(candidate, reference)
    if refusal is not None:
        return refusal
    seconds, reference_seconds = face_seconds(candidate), face_seconds(reference)
    details = {"seconds": seconds, "reference_seconds": reference_seconds, **_coverages(candidate, reference)}
    if reason := _too_short(seconds):
        return Score.invalid(reason, **details)
    return Compared(np.arange(len(candidate["index"])), np.arange(len(reference["index"])), {**details})


def _refusal(candidate: Feature, reference: Feature) -> Score | None:
    details = _coverages(candidate, reference)
    # The reference goes first: which samples leave the denominator must not depend on the candidate.
    if reason := missing_face(reference) or _too_short(face_seconds(reference)):
        return Score.not_applicable(f"reference: {reason}", **details)
    if reason := missing_face(candidate):
        return Score.invalid(reason, **details)
    return None


def _coverages(candidate: Feature, reference: Feature) -> dict[str, float | str]:
    return {"coverage": coverage(candidate), "reference_coverage": coverage(reference)}


def _too_short(seconds: float) -> str | None:
    if seconds >= MIN_COMMON_SECONDS:
        return None
    return f"the responder's face is shown for {seconds:.2f} s; {MIN_COMMON_SECONDS:g} s is needed"
