"""Which metrics run: those of a suite or those that are named, with their parameters and their judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vidchatbench.api.features import Param
from vidchatbench.api.judging import is_connection
from vidchatbench.api.metrics import Metric
from vidchatbench.core import paths
from vidchatbench.engine.parameters import MetricParams, asr_params, check_params, merged
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
    *,
    params: MetricParams | None = None,
    asr: str | None = None,
) -> MetricChoice:
    """Returns the metrics to run.

    Args:
        catalogue: Where metrics come from.
        suite_name: Named list of metrics.
        metric_ids: Metrics to run instead of the whole list.
        overrides: Parameters for every metric that has them; the list is still the suite's.
        params: Parameters by metric id. Where they give a metric another protocol, the list is no longer the suite's.
        asr: Size of the Whisper that every metric with transcripts has them from, likewise.

    Raises:
        UsageError: If the suite, a metric or a parameter is unknown, or a metric is named twice.
    """
    suite = catalogue.suite(suite_name)
    suite_params: MetricParams = {entry.metric: entry.params for entry in suite.metrics}
    if metric_ids is not None and not metric_ids:
        raise UsageError("no metric is named")
    if metric_ids is not None and len(set(metric_ids)) != len(metric_ids):
        raise UsageError("a metric is named twice")
    names = [entry.metric for entry in suite.metrics] if metric_ids is None else list(metric_ids)
    heard = {} if asr is None else asr_params(catalogue, names, asr)
    chosen = merged(heard, check_params(catalogue, names, params or {}))
    configured = merged(suite_params, chosen)

    def build(name: str) -> Metric:
        params = configured.get(name, {})
        metric = catalogue.metric(name, **params)
        own = chosen.get(name, {})
        changed = {key: value for key, value in (overrides or {}).items() if key in metric.defaults and key not in own}
        if changed:
            params = {**params, **changed}
            metric = catalogue.metric(name, **params)
        _connect(params.get("judge"), metric)
        return metric

    metrics = tuple(build(name) for name in names)
    varied = any(
        catalogue.metric(name, **configured[name]).card.protocol
        != catalogue.metric(name, **suite_params.get(name, {})).card.protocol
        for name in chosen
    )
    if metric_ids is None and not varied:
        return MetricChoice(SuiteRef(name=suite.name, version=suite.version), metrics)
    return MetricChoice(SuiteRef(name="custom", version=0), metrics)


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
