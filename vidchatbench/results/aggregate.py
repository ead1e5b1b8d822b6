"""Aggregation: per-sample records become numbers with n and interval. The only code that does so."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from vidchatbench.api.cards import MetricCard
from vidchatbench.api.metrics import Metric, SetItem, SetMetric, distance_of_means
from vidchatbench.api.plugins import WeightSpec
from vidchatbench.api.samples import Sample
from vidchatbench.api.scores import Score, Status
from vidchatbench.core.isolation import Failure, attempt
from vidchatbench.results.schema import Anchors, Floor, MetricRef, MetricResult, WeightUse
from vidchatbench.results.statistics.intervals import Interval, cluster_mean_interval
from vidchatbench.results.statistics.sets import estimate_set
from vidchatbench.weights.table import pin_of, weight_spec

MIN_SET_COVERAGE = 0.95
"""Share of samples that a distance between sets must rest on to be ranked: leaving hard samples out must not pay."""


@dataclass(frozen=True)
class Record:
    """One sample in one metric.

    Attributes:
        sample: The sample.
        metric: The metric.
        score: The metric's score.
        counted: The value that enters the mean: the score's, or the card's worst for the submission's faults; always
            ``None`` for metrics of sets.
        item: What the sample contributes to a metric of sets.
        features: Keys of the features that the item was made of.
    """

    sample: Sample
    metric: Metric
    score: Score
    counted: float | None
    item: SetItem | None = None
    features: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_item(cls, sample: Sample, metric: SetMetric, item: SetItem, features: Mapping[str, str]) -> Record:
        """Builds the record of a sample that enters a set; its score, the distance of its two means, is not counted."""
        return cls(sample, metric, distance_of_means(item), None, item, dict(features))

    @classmethod
    def of(cls, sample: Sample, metric: Metric, score: Score) -> Record:
        """Builds a record, charging the worst value where the submission is to blame."""
        if metric.card.aggregation == "set":
            return cls(sample, metric, score, None)
        counted = metric.card.worst if score.status.is_failure_of_output else score.value
        return cls(sample, metric, score, counted)


class _Number(NamedTuple):
    value: float | None
    interval: Interval | None
    method: Literal["cluster_bca_bootstrap", "delete_group_jackknife"] | None
    floor: Floor | None
    problem: str | None = None


def aggregate(
    metric: Metric,
    records: Sequence[Record],
    weights: Mapping[str, WeightSpec],
    *,
    seed: int,
    anchors: Anchors | None = None,
    summary: Mapping[str, float] | None = None,
) -> MetricResult:
    """Returns the result of one metric over its samples.

    Args:
        metric: The metric.
        records: Its records, one per sample of the benchmark.
        weights: The weights table.
        seed: Seed of the bootstrap and of the jackknife's groups.
        anchors: The metric's anchors, where they have been computed.
        summary: What the metric says of all samples besides its value.
    """
    counts = Counter(record.score.status for record in records)
    number = _set_number(metric, records, seed) if isinstance(metric, SetMetric) else _mean_number(records, seed)
    anchors = anchors or Anchors()
    card = metric.card
    applicable = len(records) - counts[Status.NOT_APPLICABLE]
    coverage = counts[Status.OK] / applicable if applicable else None
    used = tuple(_weight_use(weights, name) for name in card.weights)
    return MetricResult(
        **MetricRef.fields_of(card),
        value=number.value,
        ci95=None if number.interval is None else (number.interval.low, number.interval.high),
        interval_method=number.method,
        floor=number.floor,
        n_expected=len(records),
        n_ok=counts[Status.OK],
        n_failed=counts[Status.OUTPUT_MISSING] + counts[Status.OUTPUT_INVALID],
        n_not_applicable=counts[Status.NOT_APPLICABLE],
        n_error=counts[Status.ERROR],
        coverage=coverage,
        anchors=anchors,
        anchored=_anchored(number.value, anchors, card),
        unranked=number.problem or _why_unranked(metric, counts, coverage, used),
        params=dict(metric.params),
        weights=used,
        summary=dict(summary or {}),
    )


def _mean_number(records: Sequence[Record], seed: int) -> _Number:
    counted = [(record.counted, record.sample.cluster) for record in records if record.counted is not None]
    values = [value for value, _ in counted]
    # An exactly rounded sum does not depend on the order in which samples came in.
    value = math.fsum(values) / len(values) if values else None
    # Where nothing was measured, equal penalties would look like certainty.
    interval = None
    if any(record.score.status is Status.OK for record in records):
        interval = cluster_mean_interval(values, [cluster for _, cluster in counted], seed=seed)
    return _Number(value, interval, None if interval is None else "cluster_bca_bootstrap", None)


def _set_number(metric: SetMetric, records: Sequence[Record], seed: int) -> _Number:
    # In one order whatever the order of the records, so that sums round alike.
    members = sorted((r.sample.cluster, r.sample.id, i) for i, r in enumerate(records) if r.item is not None)
    items = [item for _, _, i in members if (item := records[i].item) is not None]
    if not items:
        return _Number(None, None, None, None)
    clusters = [cluster for cluster, _, _ in members]
    estimate = attempt(lambda: estimate_set(items, clusters, metric.distance, seed=seed))
    if isinstance(estimate, Failure):
        return _Number(None, None, None, None, estimate.reason)
    interval = estimate.interval
    if interval is not None and metric.card.minimum is not None:
        minimum = metric.card.minimum
        interval = Interval(max(minimum, interval.low), max(minimum, interval.high))
    floor = None if estimate.floor is None else Floor(**estimate.floor._asdict())
    return _Number(estimate.value, interval, None if interval is None else "delete_group_jackknife", floor)


def _weight_use(weights: Mapping[str, WeightSpec], name: str) -> WeightUse:
    spec = weight_spec(weights, name)
    if spec.sha256 is None:
        raise ValueError(f"weight {name!r} took part, but nothing is known of its content")
    return WeightUse(name=spec.name, sha256=spec.sha256, license=spec.license, pin=pin_of(weights, name))


def _anchored(value: float | None, anchors: Anchors, card: MetricCard) -> float | None:
    if value is None or anchors.oracle is None or card.null is None or card.null not in anchors.nulls:
        return None
    floor, span = anchors.nulls[card.null], anchors.oracle - anchors.nulls[card.null]
    # Where the real replies are no better than the wrong ones there is no scale.
    return None if (span <= 0 if card.direction == "higher" else span >= 0) else 100 * (value - floor) / span


def _why_unranked(
    metric: Metric, counts: Mapping[Status, int], coverage: float | None, used: Sequence[WeightUse]
) -> str | None:
    strange = [use.name for use in used if not use.pin.is_official]
    if strange:
        return f"the weights {', '.join(strange)} are not the pinned ones"
    if counts[Status.ERROR]:
        return f"{counts[Status.ERROR]} samples failed through our own error"
    if coverage is None:
        return "the metric applies to no sample"
    if metric.card.aggregation == "set" and coverage < MIN_SET_COVERAGE:
        return f"the set covers {coverage:.0%} of the samples; {MIN_SET_COVERAGE:.0%} is needed"
    return None


def aggregate_all(
    metrics: Sequence[Metric],
    records: Sequence[Record],
    weights: Mapping[str, WeightSpec],
    *,
    seed: int,
    anchors: Mapping[str, Anchors] | None = None,
    summaries: Mapping[str, Mapping[str, float]] | None = None,
) -> tuple[MetricResult, ...]:
    """Returns the result of every metric, in the given order. See :func:`aggregate`.

    ``anchors`` and ``summaries`` are by metric id.
    """
    by_metric: dict[int, list[Record]] = {id(metric): [] for metric in metrics}
    for record in records:
        by_metric[id(record.metric)].append(record)
    known, said = anchors or {}, summaries or {}
    return tuple(
        aggregate(
            metric,
            by_metric[id(metric)],
            weights,
            seed=seed,
            anchors=known.get(metric.card.id),
            summary=said.get(metric.card.id),
        )
        for metric in metrics
    )
