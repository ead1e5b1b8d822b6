"""Which metrics run: those of a suite or those that are named, with their parameters and their judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vidchatbench.api.features import Param
from vidchatbench.api.judging import is_connection
from vidchatbench.api.metrics import Metric
from vidchatbench.core import paths
from vidchatbench.errors import UsageError
from vidchatbench.plugins.availability import Availability
from vidchatbench.plugins.catalogue import Catalogue
from vidchatbench.results.schema import (
    SuiteRef,
    UnavailableMetric,
)


@dataclass(frozen=True)
class MetricChoice:
    """The metrics of a run.

    Attributes:
        suite: The name under which results list them.
        metrics: The metrics, in the order of the results.
    """

    suite: SuiteRef
    metrics: tuple[Metric, ...]


def choose_metrics(
    catalogue: Catalogue,
    suite_name: str,
    metric_ids: Sequence[str] | None,
    overrides: Mapping[str, Param] | None = None,
) -> MetricChoice:
    """Returns the metrics to run.

    Args:
        catalogue: Where metrics come from.
        suite_name: Named list of metrics.
        metric_ids: Metrics to run instead of the whole list.
        overrides: Parameters for every metric that has them.

    Raises:
        UsageError: If the suite or a metric is unknown, or a metric is named twice.
    """
    suite = catalogue.suite(suite_name)
    configured: Mapping[str, Mapping[str, Param]] = {entry.metric: entry.params for entry in suite.metrics}

    def build(name: str) -> Metric:
        params = configured.get(name, {})
        metric = catalogue.metric(name, **params)
        changed = {key: value for key, value in (overrides or {}).items() if key in metric.defaults}
        if changed:
            params = {**params, **changed}
            metric = catalogue.metric(name, **params)
        _connect(params.get("judge"), metric)
        return metric

    if metric_ids is None:
        metrics = tuple(build(entry.metric) for entry in suite.metrics)
        return MetricChoice(SuiteRef(name=suite.name, version=suite.version), metrics)
    if not metric_ids:
        raise UsageError("no metric is named")
    if len(set(metric_ids)) != len(metric_ids):
        raise UsageError("a metric is named twice")
    return MetricChoice(SuiteRef(name="custom", version=0), tuple(build(name) for name in metric_ids))


def _connect(judge: Param, metric: Metric) -> None:
    """Connects the judge that a suite names by its address; the metric keeps only its public name."""
    if isinstance(judge, str) and is_connection(judge) and metric.params.get("judge") != judge:
        from vidchatbench.judge.connect import connect_judge

        connect_judge(judge)


def list_unavailable(availability: Availability) -> tuple[UnavailableMetric, ...]:
    """Returns how results list the metrics that cannot run here."""
    return tuple(
        UnavailableMetric(
            id=metric.card.id,
            protocol=metric.card.protocol,
            reason=paths.without_places(missing.reason),
            fix=paths.without_places(missing.fix),
        )
        for metric, missing in availability.missing.items()
    )
