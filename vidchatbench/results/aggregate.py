"""Aggregation: per-sample records become numbers with n and interval. The only code that does so."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from vidchatbench.api.metrics import Metric, SetItem, SetMetric, distance_of_means
from vidchatbench.api.plugins import WeightSpec
from vidchatbench.api.samples import Sample
from vidchatbench.api.scores import Score, Status
from vidchatbench.core.isolation import Failure, attempt
from vidchatbench.results.scale import Scale
from vidchatbench.results.schema import UNSEEN, Anchors, Floor, IntervalMethod, MetricRef, MetricResult, WeightUse
from vidchatbench.results.statistics.intervals import Interval, cluster_mean_interval, widen_for_unseen_failures
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
    method: IntervalMethod | None
    floor: Floor | None
    problem: str | None = None


def aggregate(
    metric: Metric,
    records: Sequence[Record],
    weights: Mapping[str, WeightSpec],
    *,
    seed: int,
    anchors: Anchors | None = None,
    ceilings: Mapping[str, float] | None = None,
    fallible: bool = True,
    summary: Mapping[str, float] | None = None,
) -> MetricResult:
    """Returns the result of one metric over its samples.

    Args:
        metric: The metric.
        records: Its records, one per sample of the benchmark.
        weights: The weights table.
        seed: Seed of the bootstrap and of the jackknife's groups.
        anchors: The metric's anchors, where they have been computed.
        ceilings: The real reply's value of every sample; what exceeds it is cut on the anchored scale.
        fallible: Whether more samples of the same system could fail, as those of a model can; replies that are made
            for a scale or an audit cannot.
        summary: What the metric says of all samples besides its value.
    """
    counts = Counter(record.score.status for record in records)
    number = (
        _set_number(metric, records, seed) if isinstance(metric, SetMetric) else _mean_number(records, seed, fallible)
    )
    anchors = anchors or Anchors()
    card = metric.card
    place = _Place(None, None)
    if not isinstance(metric, SetMetric):
        null = None if card.null is None else anchors.nulls.get(card.null)
        scale = Scale(card.direction, anchors.oracle, null, ceilings or {})
        place = _place(scale, records, number, card.worst, seed)
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
        n_error=sum(count for status, count in counts.items() if status.is_error),
        coverage=coverage,
        anchors=anchors,
        anchored=place.value,
        anchored_ci95=place.interval,
        unranked=number.problem or _why_unranked(metric, counts, coverage, used),
        worst=card.worst,
        params=dict(metric.params),
        weights=used,
        summary=dict(summary or {}),
    )


def _mean_number(records: Sequence[Record], seed: int, fallible: bool) -> _Number:
    counted = [(record.counted, record.sample.cluster) for record in records if record.counted is not None]
    values, clusters = [value for value, _ in counted], [cluster for _, cluster in counted]
    # An exactly rounded sum does not depend on the order in which samples came in.
    value = math.fsum(values) / len(values) if values else None
    # Where nothing was measured, equal penalties would look like certainty.
    interval = None
    if any(record.score.status is Status.OK for record in records):
        interval = cluster_mean_interval(values, clusters, seed=seed)
    if interval is None or value is None:
        return _Number(value, None, None, None)
    worst = records[0].metric.card.worst
    if worst is None or not fallible or any(record.score.status.is_failure_of_output for record in records):
        return _Number(value, interval, "cluster_bca_bootstrap", None)
    widened = widen_for_unseen_failures(interval, value, worst, len(set(clusters)))
    return _Number(value, widened, UNSEEN, None)


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


class _Place(NamedTuple):
    value: float | None
    interval: tuple[float, float] | None


def _place(scale: Scale, records: Sequence[Record], number: _Number, worst: float | None, seed: int) -> _Place:
    """Returns where the mean lies on the anchored scale, with every sample cut at its ceiling."""
    if not scale.exists or number.value is None:
        return _Place(None, None)
    counted = [(record.sample, record.counted) for record in records if record.counted is not None]
    cut = [scale.cut(sample.id, value) for sample, value in counted]
    mean, interval = math.fsum(cut) / len(cut), number.interval
    if interval is not None and any(value != before for value, (_, before) in zip(cut, counted, strict=True)):
        clusters = [sample.cluster for sample, _ in counted]
        interval = cluster_mean_interval(cut, clusters, seed=seed)
        if interval is not None and number.method == UNSEEN and worst is not None:
            interval = widen_for_unseen_failures(interval, mean, worst, len(set(clusters)))
    ends = [] if interval is None else sorted(end for limit in interval if (end := scale.place(limit)) is not None)
    return _Place(scale.place(mean), (ends[0], ends[1]) if ends else None)


def describe_errors(counts: Mapping[Status, int]) -> str | None:
    """Returns whose errors left how many samples without a score, ``None`` where there are none."""
    ours, judge = counts.get(Status.ERROR, 0), counts.get(Status.JUDGE_FAILED, 0)
    parts = [f"{ours} samples failed through our own error"] if ours else []
    parts += [f"the judge gave no usable answer for {judge} sample{'s' if judge > 1 else ''}"] if judge else []
    return "; ".join(parts) or None


def errors_of(records: Sequence[Record]) -> dict[str, str]:
    """Returns the errors in a run's records in words, by the ids of the metrics that have any."""
    counts: dict[str, Counter[Status]] = {}
    for record in records:
        counts.setdefault(record.metric.card.id, Counter())[record.score.status] += 1
    return {name: words for name, counted in counts.items() if (words := describe_errors(counted)) is not None}


def _why_unranked(
    metric: Metric, counts: Mapping[Status, int], coverage: float | None, used: Sequence[WeightUse]
) -> str | None:
    strange = [use.name for use in used if not use.pin.is_official]
    if strange:
        return f"the weights {', '.join(strange)} are not the pinned ones"
    if (errors := describe_errors(counts)) is not None:
        return errors
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
    ceilings: Mapping[str, Mapping[str, float]] | None = None,
    summaries: Mapping[str, Mapping[str, float]] | None = None,
    fallible: bool = True,
) -> tuple[MetricResult, ...]:
    """Returns the result of every metric, in the given order; see :func:`aggregate`.

    ``anchors``, ``ceilings`` and ``summaries`` are by metric id.
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
            ceilings=(ceilings or {}).get(metric.card.id),
            fallible=fallible,
            summary=said.get(metric.card.id),
        )
        for metric in metrics
    )
