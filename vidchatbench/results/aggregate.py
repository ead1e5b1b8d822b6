"""Aggregation: per-sample records become numbers with n and interval. The only code that does so."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vidchatbench.contract.metrics import Metric
from vidchatbench.contract.plugins import WeightSpec
from vidchatbench.contract.samples import Sample
from vidchatbench.contract.scores import Score, Status
from vidchatbench.results.schema import Anchors, MetricResult, WeightUse
from vidchatbench.statistics.intervals import cluster_mean_interval
from vidchatbench.weights.table import weight_spec


@dataclass(frozen=True)
class Record:
    """One sample in one metric.

    Attributes:
        sample: The sample.
        metric: The metric.
        score: What the metric said of it.
        counted: The value that enters the mean: the score's, or the card's worst for the submission's faults.
    """

    sample: Sample
    metric: Metric
    score: Score
    counted: float | None

    @classmethod
    def of(cls, sample: Sample, metric: Metric, score: Score) -> Record:
        """Builds a record, charging the worst value where the submission is to blame."""
        counted = metric.card.worst if score.status.is_failure_of_output else score.value
        return cls(sample, metric, score, counted)


def aggregate(
    metric: Metric, records: Sequence[Record], weights: Mapping[str, WeightSpec], *, seed: int
) -> MetricResult:
    """Returns the result of one metric over its samples.

    Args:
        metric: The metric.
        records: Its records, one per sample of the benchmark.
        weights: The weights table.
        seed: Seed of the bootstrap.
    """
    counts = Counter(record.score.status for record in records)
    counted = [(record.counted, record.sample.cluster) for record in records if record.counted is not None]
    values = [value for value, _ in counted]
    # An exactly rounded sum does not depend on the order in which samples came in.
    value = math.fsum(values) / len(values) if values else None
    # Where nothing was measured, equal penalties would look like certainty.
    interval = None
    if counts[Status.OK]:
        interval = cluster_mean_interval(values, [cluster for _, cluster in counted], seed=seed)
    card = metric.card
    n_failed = counts[Status.OUTPUT_MISSING] + counts[Status.OUTPUT_INVALID]
    applicable = len(records) - counts[Status.NOT_APPLICABLE]
    used = [weight_spec(weights, name) for name in card.weights]
    return MetricResult(
        id=card.id,
        version=card.version,
        title=card.title,
        protocol=card.protocol,
        dimension=card.dimension,
        direction=card.direction,
        unit=card.unit,
        value=value,
        ci95=(interval.low, interval.high) if interval is not None else None,
        n_expected=len(records),
        n_ok=counts[Status.OK],
        n_failed=n_failed,
        n_not_applicable=counts[Status.NOT_APPLICABLE],
        n_error=counts[Status.ERROR],
        coverage=counts[Status.OK] / applicable if applicable else None,
        anchors=Anchors(),
        params=dict(metric.params),
        weights=tuple(WeightUse(name=spec.name, sha256=spec.sha256, license=spec.license) for spec in used),
    )


def aggregate_all(
    metrics: Sequence[Metric], records: Sequence[Record], weights: Mapping[str, WeightSpec], *, seed: int
) -> tuple[MetricResult, ...]:
    """Returns the result of every metric, in the given order; see :func:`aggregate`."""
    by_metric: dict[int, list[Record]] = {id(metric): [] for metric in metrics}
    for record in records:
        by_metric[id(record.metric)].append(record)
    return tuple(aggregate(metric, by_metric[id(metric)], weights, seed=seed) for metric in metrics)
