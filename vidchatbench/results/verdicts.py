"""What a comparison says in words, and how often two systems failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vidchatbench.api.scores import Status
from vidchatbench.core.models import FrozenModel
from vidchatbench.results.sample_rows import SampleRow
from vidchatbench.results.schema import Finite
from vidchatbench.results.statistics.intervals import unseen_failure_rate
from vidchatbench.results.statistics.paired import ALPHA, MAX_ENUMERATED, exact_mcnemar

_JUDGED = {Status.OK.value, Status.OUTPUT_MISSING.value, Status.OUTPUT_INVALID.value}


class FailureDifference(FrozenModel):
    """How often two systems failed in one metric, on the ``n`` samples that it applies to.

    ``difference`` is the failure rate of the first minus that of the second, ``p`` that of McNemar's exact test over
    identities, not adjusted.
    """

    n: int
    first: int
    second: int
    difference: Finite
    p: Finite


def compare_failures(first: Mapping[str, SampleRow], second: Mapping[str, SampleRow]) -> FailureDifference:
    """Compares how often two systems failed in one metric.

    Args:
        first: Rows of the first system by sample.
        second: Rows of the second.
    """
    both = [
        name for name in sorted(first.keys() & second.keys()) if {first[name].status, second[name].status} <= _JUDGED
    ]
    one, other = ([rows[name].status != Status.OK.value for name in both] for rows in (first, second))
    return FailureDifference(
        n=len(both),
        first=sum(one),
        second=sum(other),
        difference=(sum(one) - sum(other)) / max(1, len(both)),
        p=exact_mcnemar(one, other, [first[name].cluster for name in both]),
    )


@dataclass(frozen=True)
class Verdict:
    """What is said of two systems in one metric.

    Attributes:
        better: The better system, if one is.
        undone_by: Share of failures that would undo the difference, where it could have gone unseen.
        clusters: Identities that the comparison rests on.
        p_holm: The adjusted p-value.
        detectable: The least difference that the test would have found, where that is known.
        unit: Unit of the metric.
    """

    better: str | None
    undone_by: float | None
    clusters: int
    p_holm: float
    detectable: float | None
    unit: str

    def say(self, most: int, comparisons: int) -> str:
        """Returns the verdict in words; ``most`` is the number of exchanges that there could have been."""
        clusters = self.clusters
        if self.better is not None:
            return f"{self.better} is better{self._reservation()}"
        if clusters == 0:
            return "nothing in common to compare"
        # Exchanging all identities gives the same absolute difference as exchanging none.
        few = clusters <= MAX_ENUMERATED
        if (2 / 2**clusters if few else 1 / (most + 1)) * comparisons >= ALPHA:
            what = f"{clusters} identities" if few else f"{most} exchanges"
            return f"undecided: {what} are too few for {comparisons} comparisons"
        if self.p_holm < ALPHA:
            return "undecided: they differ, but the mean may do so either way"
        return f"no difference found{self._unnoticed()}"

    def _reservation(self) -> str:
        if self.undone_by is None:
            return ""
        unseen = unseen_failure_rate(self.clusters)
        undone = f"failures in {self.undone_by:.1%} would undo it, up to {unseen:.1%} could have gone unseen"
        return f" where it does not fail; {undone}"

    def _unnoticed(self) -> str:
        if self.detectable is None:
            return ""
        unit = f" {self.unit}" if self.unit else ""
        return f"; one under {self.detectable:.3g}{unit} could have gone unnoticed"
