"""A quantity of the reply against the same one of the real reply: the smaller over the larger.

What living people do and what cameras record is the measure: too little is as wrong as too much. Each side is measured
by itself, so that the reference's features serve every submission.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from vidchatbench.api import ExtractorSpec, Feature, Metric, Need, Role, Sample, Score, window_details
from vidchatbench_metrics.common.geometry import MIN_COMMON_SECONDS

MIN_COVERAGE = 0.5
"""Share of the measurable frames, or pairs of frames, that must show what is measured."""


def ratio_of(candidate: float, reference: float) -> float:
    """Returns the smaller over the larger of two quantities of which none is negative and one is positive, in 0..1."""
    return min(candidate, reference) / max(candidate, reference)


class AgainstReference(Metric):
    """The mean of a feature over the candidate against that over the reference, in 0..1, higher is better.

    The feature has ``value`` (n,), and in its meta ``frames`` on a grid and ``measurable``, how many values a clip of
    that length gives where all can be measured.

    Class attributes:
        extractor: The extractor of both sides.
        fps: Its grid.
        quantity: What is measured, as the details name it.
        least: Value below which the reference has nothing to be compared with.
        too_little: What is said of such a reference.
        places: What is measured one by one.
        guided: Whether both sides are looked at through the window of the real reply.
    """

    extractor: ClassVar[str]
    fps: ClassVar[float]
    quantity: ClassVar[str]
    least: ClassVar[float]
    too_little: ClassVar[str]
    places: ClassVar[str] = "pairs of frames"
    guided: ClassVar[bool] = False

    def needs(self) -> tuple[Need, ...]:
        """The same feature of both sides."""
        spec = ExtractorSpec.of(self.extractor)
        guide = Role.REFERENCE if self.guided else None
        return (
            Need("candidate", spec, (Role.CANDIDATE,), guide=guide),
            Need("reference", spec, (Role.REFERENCE,), guide=guide),
        )

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Compares the means, and charges what the candidate does not last of the reference."""
        del sample
        candidate, reference = features["candidate"], features["reference"]
        # The reference goes first: which samples leave the denominator must not depend on the candidate.
        if problem := self._problem(reference):
            return Score.not_applicable(f"the real reply {problem}")
        theirs = float(reference["value"].mean())
        if theirs < self.least:
            return Score.not_applicable(f"the real reply {self.too_little}: its {self.quantity} is {theirs:.2g}")
        if problem := self._problem(candidate):
            return Score.invalid(f"the reply {problem}", **{f"reference_{self.quantity}": theirs})
        ours = float(candidate["value"].mean())
        ratio = ratio_of(ours, theirs)
        shown = min(1.0, candidate.number("frames") / reference.number("frames"))
        details: dict[str, float | bool] = {
            self.quantity: ours,
            f"reference_{self.quantity}": theirs,
            "ratio": ratio,
            "shown": shown,
        }
        if self.guided:
            details |= window_details(candidate)
        return Score.ok(shown * ratio, **details)

    def _problem(self, feature: Feature) -> str | None:
        """Returns why a clip cannot be measured, as the rest of a sentence about it; ``None`` if it can."""
        seconds = feature.number("frames") / self.fps
        if seconds < MIN_COMMON_SECONDS:
            return f"lasts {seconds:.2f} s; {MIN_COMMON_SECONDS:g} s is needed"
        measured, measurable = len(feature["value"]), int(feature.number("measurable"))
        if measured == 0 or measured < MIN_COVERAGE * measurable:
            return f"shows the responder's face in {measured} of {measurable} {self.places}; half is needed"
        return None
