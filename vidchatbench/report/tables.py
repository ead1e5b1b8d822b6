"""The scores as CSV: one row per system and metric, with everything a number must carry."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from vidchatbench.report.drawing.text import printable
from vidchatbench.results.schema import MetricResult, Results

COLUMNS = (
    *("system", "revision", "benchmark", "benchmark_version", "manifest_sha256", "suite", "suite_version"),
    *("dimension", "metric", "title", "version", "protocol", "direction", "unit", "aggregation", "value"),
    *("ci95_low", "ci95_high", "interval_method", "n_expected", "n_ok", "n_failed", "n_not_applicable", "n_error"),
    *("coverage", "anchored", "oracle", "null", "null_value", "floor", "floor_candidate", "floor_n"),
    *("summary", "unranked", "complete", "vidchatbench_version"),
)

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_table(runs: Sequence[Results]) -> str:
    """Returns the scores of some runs; numbers are written in full, so that reading them gives the same numbers."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for results in runs:
        for metric in results.metrics:
            writer.writerow({name: _cell(value) for name, value in _row(results, metric).items()})
    return buffer.getvalue()


def _row(results: Results, metric: MetricResult) -> dict[str, object]:
    benchmark, suite, system, floor = results.benchmark, results.suite, results.system, metric.floor
    nulls = sorted(metric.anchors.nulls.items())
    low, high = metric.ci95 or (None, None)
    return {
        "system": system.name,
        "revision": system.revision,
        "benchmark": benchmark.name,
        "benchmark_version": benchmark.version,
        "manifest_sha256": benchmark.manifest_sha256,
        "suite": suite.name,
        "suite_version": suite.version,
        "dimension": metric.dimension.value,
        "metric": metric.id,
        "title": metric.title,
        "version": metric.version,
        "protocol": metric.protocol,
        "direction": metric.direction,
        "unit": metric.unit,
        "aggregation": metric.aggregation,
        "value": metric.value,
        "ci95_low": low,
        "ci95_high": high,
        "interval_method": metric.interval_method,
        "n_expected": metric.n_expected,
        "n_ok": metric.n_ok,
        "n_failed": metric.n_failed,
        "n_not_applicable": metric.n_not_applicable,
        "n_error": metric.n_error,
        "coverage": metric.coverage,
        "anchored": metric.anchored,
        "oracle": metric.anchors.oracle,
        "null": nulls[0][0] if nulls else None,
        "null_value": nulls[0][1] if nulls else None,
        "floor": None if floor is None else floor.value,
        "floor_candidate": None if floor is None else floor.candidate,
        "floor_n": None if floor is None else floor.n,
        "summary": "; ".join(f"{name} {value!r}" for name, value in metric.summary.items()) or None,
        "unranked": metric.unranked,
        "complete": results.complete,
        "vidchatbench_version": results.vidchatbench_version,
    }


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, int):
        return str(value)
    text = printable(str(value))
    # A spreadsheet would run such a text as a formula.
    return f"'{text}" if text.startswith(_FORMULA) else text
