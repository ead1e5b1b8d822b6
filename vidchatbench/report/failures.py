"""Samples without a score, grouped by reason."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from vidchatbench.api.scores import Status
from vidchatbench.report.run import Cell

STATUS_WORDS = {
    Status.OK: "scored",
    Status.OUTPUT_MISSING: "missing",
    Status.OUTPUT_INVALID: "invalid",
    Status.NOT_APPLICABLE: "not applicable",
    Status.ERROR: "error",
    Status.JUDGE_FAILED: "judge failed",
}

CONSEQUENCES = {
    Status.ERROR: "our fault: the metric is incomplete and the run unranked",
    Status.JUDGE_FAILED: "the judge’s fault: the metric is incomplete and the run unranked",
    Status.OUTPUT_MISSING: "the submission’s fault: charged the worst value, left out of sets",
    Status.OUTPUT_INVALID: "the submission’s fault: charged the worst value, left out of sets",
    Status.NOT_APPLICABLE: "nobody’s fault: the sample is left out of the metric",
}
_ORDER = tuple(CONSEQUENCES)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass(frozen=True)
class FailureGroup:
    """Samples without a score that share a status and a reason.

    Attributes:
        status: Their status.
        reason: Why, with ``…`` for numbers that differ between samples.
        metrics: Ids of the metrics concerned.
        samples: Ids of the samples concerned.
    """

    status: Status
    reason: str
    metrics: tuple[str, ...]
    samples: tuple[str, ...]


def group_failures(cells: Mapping[str, Mapping[str, Cell]]) -> list[FailureGroup]:
    """Returns the groups, our own errors first, then by the number of samples."""
    members: dict[tuple[Status, str], list[tuple[str, Cell]]] = defaultdict(list)
    for metric, column in cells.items():
        for cell in column.values():
            if cell.status is not Status.OK:
                members[cell.status, _NUMBER.sub("…", cell.reason or "")].append((metric, cell))
    groups = []
    for (status, pattern), group_members in members.items():
        exact = {cell.reason or "no reason was given" for _, cell in group_members}
        groups.append(
            FailureGroup(
                status=status,
                reason=exact.pop() if len(exact) == 1 else pattern,
                metrics=tuple(dict.fromkeys(metric for metric, _ in group_members)),
                samples=tuple(dict.fromkeys(cell.sample for _, cell in group_members)),
            )
        )
    return sorted(groups, key=lambda group: (_ORDER.index(group.status), -len(group.samples), group.reason))


def failed_samples(cells: Mapping[str, Mapping[str, Cell]]) -> set[str]:
    """Returns the samples that failed through the submission's fault in at least one metric."""
    return {cell.sample for column in cells.values() for cell in column.values() if cell.status.is_failure_of_output}
