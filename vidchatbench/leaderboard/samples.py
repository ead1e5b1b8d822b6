"""The samples of one system on the board: what each was given, and why."""

from __future__ import annotations

from vidchatbench.api.samples import Role
from vidchatbench.api.scores import Status
from vidchatbench.benchmark.format import Benchmark
from vidchatbench.leaderboard.schema import SampleInfo, SampleScores, SystemSamples
from vidchatbench.leaderboard.verification.reading import Bundle


def system_samples(name: str, bundle: Bundle, benchmark: Benchmark) -> SystemSamples:
    """Returns what one system scored on every sample, in the benchmark's order."""
    place = {sample.id: k for k, sample in enumerate(benchmark)}
    files = {line.sample_id: line for line in bundle.media if line.role is Role.CANDIDATE}
    infos = [
        SampleInfo(
            id=sample.id,
            cluster=sample.cluster,
            task=sample.task,
            candidate=files[sample.id].file if sample.id in files else None,
            candidate_sha256=files[sample.id].sha256 if sample.id in files else None,
        )
        for sample in benchmark
    ]
    n = len(place)
    metrics = {}
    for result in bundle.results.metrics:
        values: list[float | None] = [None] * n
        counted: list[float | None] = [None] * n
        statuses, reasons = [Status.NOT_APPLICABLE] * n, {}
        for row in (row for row in bundle.rows if row.metric == result.id):
            k = place[row.sample_id]
            values[k], counted[k], statuses[k] = row.value, row.counted, Status(row.status)
            if row.reason:
                reasons[k] = row.reason
        metrics[result.id] = SampleScores(
            values=tuple(values), counted=tuple(counted), statuses=tuple(statuses), reasons=reasons
        )
    return SystemSamples(row=name, samples=tuple(infos), metrics=metrics)
