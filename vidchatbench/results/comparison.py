"""Comparing runs: are these systems different, by how much, and what difference would have gone unnoticed?"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np

from vidchatbench.api.features import Feature
from vidchatbench.api.metrics import SetMetric
from vidchatbench.core.isolation import Failure, attempt
from vidchatbench.core.models import FrozenModel
from vidchatbench.errors import InputError, UsageError
from vidchatbench.plugins.catalogue import Catalogue
from vidchatbench.results.sample_rows import _counted, _items, _read_rows
from vidchatbench.results.schema import BenchmarkRef, Finite, MetricRef, MetricResult, Results, SuiteRef, load_results
from vidchatbench.results.statistics.intervals import DRAWS, Interval
from vidchatbench.results.statistics.paired import MAX_ENUMERATED, PairedDifferences, compare_paired, holm
from vidchatbench.results.statistics.sets import SET_DRAWS, SetDifference, compare_sets

ALPHA = 0.05
MIN_RUNS = 2


class ComparedValue(FrozenModel):
    """What one system scores in one metric, as its run says."""

    system: str
    value: Finite | None
    ci95: tuple[Finite, Finite] | None
    n_ok: int
    n_failed: int


class PairResult(FrozenModel):
    """Two systems in one metric.

    ``difference`` is the value of the first minus that of the second over the ``n`` samples that both have.
    ``p_holm`` is adjusted for every metric and pair of the comparison. ``detectable`` is the least difference that the
    test finds in four of five repetitions. ``better`` names a system only where ``p_holm`` is under 0.05.
    """

    first: str
    second: str
    n: int
    clusters: int
    difference: Finite
    ci95: tuple[Finite, Finite] | None
    p: Finite
    p_holm: Finite
    draws: int
    effect: Finite | None
    detectable: Finite | None
    better: str | None
    verdict: str


class ComparedMetric(MetricRef):
    """One metric over all systems and pairs."""

    values: tuple[ComparedValue, ...]
    pairs: tuple[PairResult, ...]


class LeftOut(FrozenModel):
    """A metric that could not be compared, and why."""

    id: str
    reason: str


class Comparison(FrozenModel):
    """Two or more runs, compared."""

    schema_version: Literal[1] = 1
    benchmark: BenchmarkRef
    suite: SuiteRef
    systems: tuple[str, ...]
    metrics: tuple[ComparedMetric, ...]
    left_out: tuple[LeftOut, ...]
    alpha: Finite = ALPHA
    seed: int
    draws: int


@dataclass(frozen=True)
class LoadedRun:
    """A run as the comparison reads it.

    Attributes:
        label: Name of the system, with what tells it from the others.
        results: ``results.json``.
        rows: The rows of ``samples.parquet`` by metric and sample.
    """

    label: str
    results: Results
    rows: Mapping[str, Mapping[str, Mapping[str, object]]]


@dataclass(frozen=True)
class _Pair:
    metric: str
    first: int
    second: int


def compare_runs(
    folders: Sequence[str | Path],
    *,
    catalogue: Catalogue,
    load: Callable[[str], Feature | None],
    seed: int = 0,
    draws: int = DRAWS,
    set_draws: int = SET_DRAWS,
) -> Comparison:
    """Compares runs of the same suite on the same benchmark.

    Args:
        folders: Run folders, at least two.
        catalogue: Where the metrics of sets come from.
        load: Reads a stored feature by key, for metrics of sets.
        seed: Seed of all draws.
        draws: Resamplings and exchanges for metrics that are means.
        set_draws: Most exchanges for metrics of sets.

    Raises:
        UsageError: If fewer than two runs are given.
        InputError: If a run cannot be read, or the runs are not comparable; every reason is listed.
    """
    if len(folders) < MIN_RUNS:
        raise UsageError("a comparison needs two runs or more")
    runs = _label([(load_results(folder), _read_rows(Path(folder))) for folder in folders])
    _check_comparable(runs, folders)
    known = [metric for metric in runs[0].results.metrics if _in_all(metric.id, runs)]
    left_out = [
        LeftOut(id=name, reason=f"not part of {', '.join(run.label for run in runs if not _has(name, run))}")
        for name in sorted({m.id for run in runs for m in run.results.metrics})
        if not _in_all(name, runs)
    ]
    # Holm multiplies the least p by the number of comparisons: with too few draws nothing could ever be significant.
    needed = math.ceil(2 * len(known) * len(runs) * (len(runs) - 1) / 2 / ALPHA)
    draws, set_draws = max(draws, needed), max(set_draws, needed)
    means = [metric for metric in known if metric.aggregation == "mean"]
    found = _compare_means(means, runs, seed, draws)
    for metric in known:
        if metric.aggregation == "set":
            answer = attempt(lambda metric=metric: _compare_set(metric, runs, catalogue, load, (seed, set_draws)))  # type: ignore[misc]
            if isinstance(answer, Failure):
                reason = answer.reason.removeprefix(f"{UsageError.__name__}: ")
                left_out.append(LeftOut(id=metric.id, reason=reason))
            else:
                found.update(answer)
    compared = [metric for metric in known if any(pair.metric == metric.id for pair in found)]
    return Comparison(
        benchmark=runs[0].results.benchmark,
        suite=runs[0].results.suite,
        systems=tuple(run.label for run in runs),
        metrics=_assemble(compared, runs, found, set_draws),
        left_out=tuple(left_out),
        seed=seed,
        draws=draws,
    )


def _label(
    loaded: Sequence[tuple[Results, Mapping[str, Mapping[str, Mapping[str, object]]]]],
) -> list[LoadedRun]:
    names = [results.system.name for results, _ in loaded]
    revisions = [f"{r.system.name} {r.system.revision}" if r.system.revision else r.system.name for r, _ in loaded]
    labels = names if len(set(names)) == len(names) else revisions
    if len(set(labels)) != len(labels):
        labels = [f"{label} ({place})" for place, label in enumerate(labels, 1)]
    return [LoadedRun(label, results, rows) for label, (results, rows) in zip(labels, loaded, strict=True)]


def _check_comparable(runs: Sequence[LoadedRun], folders: Sequence[str | Path]) -> None:
    base = runs[0].results
    problems = []
    for run, folder in zip(runs[1:], folders[1:], strict=True):
        other = run.results
        if other.benchmark.manifest_sha256 != base.benchmark.manifest_sha256:
            problems.append(f"{folder}: scored on {_name(other)}, {folders[0]} on {_name(base)} (another manifest)")
        if other.suite != base.suite:
            told = (f"{r.suite.name} v{r.suite.version}" for r in (other, base))
            problems.append(f"{folder}: suite {next(told)}, {folders[0]} has {next(told)}")
        for metric in other.metrics:
            mine = next((m for m in base.metrics if m.id == metric.id), None)
            if mine is not None and _protocol(mine) != _protocol(metric):
                told = (f"{m.protocol} version {m.version}" for m in (metric, mine))
                problems.append(
                    f"{folder}: {metric.id} is {next(told)}, {folders[0]} has {next(told)} (or other weights)"
                )
    if problems:
        raise InputError("these runs", problems, "Numbers may be compared only on one manifest, suite and protocol.")


def _name(results: Results) -> str:
    return f"{results.benchmark.name} {results.benchmark.version}"


def _protocol(metric: MetricResult) -> tuple[str, int, tuple[tuple[str, str], ...]]:
    return metric.protocol, metric.version, tuple((use.name, use.sha256) for use in metric.weights)


def _has(metric_id: str, run: LoadedRun) -> bool:
    return any(metric.id == metric_id for metric in run.results.metrics)


def _in_all(metric_id: str, runs: Sequence[LoadedRun]) -> bool:
    return all(_has(metric_id, run) for run in runs)


_Found = dict[_Pair, tuple[PairedDifferences, int] | tuple[SetDifference, int, int]]


def _compare_means(metrics: Sequence[MetricResult], runs: Sequence[LoadedRun], seed: int, draws: int) -> _Found:
    if not metrics:
        return {}
    clusters = {
        str(row["sample_id"]): str(row["cluster"]) for run in runs for m in run.rows.values() for row in m.values()
    }
    samples = sorted(clusters)
    columns, pairs = [], []
    for metric in metrics:
        counted = np.array([[_counted(run.rows.get(metric.id, {}).get(name)) for run in runs] for name in samples])
        for first, second in combinations(range(len(runs)), 2):
            pairs.append(_Pair(metric.id, first, second))
            columns.append(counted[:, first] - counted[:, second])
    found = compare_paired(np.column_stack(columns), [clusters[name] for name in samples], seed=seed, draws=draws)
    return {pair: (found, place) for place, pair in enumerate(pairs)}


def _compare_set(
    metric: MetricResult,
    runs: Sequence[LoadedRun],
    catalogue: Catalogue,
    load: Callable[[str], Feature | None],
    settings: tuple[int, int],
) -> _Found:
    built = catalogue.metric(metric.id, **metric.params)
    if not isinstance(built, SetMetric):
        raise TypeError(f"{metric.id} is no metric of sets here")
    items = [_items(built, run.rows.get(metric.id, {}), load) for run in runs]
    found: _Found = {}
    for first, second in combinations(range(len(runs)), 2):
        both = sorted(set(items[first]) & set(items[second]), key=lambda name: (items[first][name][0], name))
        if not both:
            raise UsageError("the two systems have no sample in common")
        clusters = [items[first][name][0] for name in both]
        one, two = ([items[place][name][1] for name in both] for place in (first, second))
        seed, draws = settings
        result = compare_sets(one, two, clusters, built.distance, seed=seed, draws=draws)
        found[_Pair(metric.id, first, second)] = (result, len(both), len(set(clusters)))
    return found


def _assemble(
    metrics: Sequence[MetricResult], runs: Sequence[LoadedRun], found: _Found, set_draws: int
) -> tuple[ComparedMetric, ...]:
    pairs = list(found)
    adjusted = dict(zip(pairs, holm([_p(found[pair]) for pair in pairs]), strict=True))
    compared = []
    for metric in metrics:
        values = tuple(_value(run, metric.id) for run in runs)
        results = tuple(
            _pair_result(metric, runs, pair, found[pair], (adjusted[pair], len(pairs), set_draws))
            for pair in pairs
            if pair.metric == metric.id
        )
        compared.append(
            ComparedMetric(
                **MetricRef.fields_of(metric),
                values=values,
                pairs=results,
            )
        )
    return tuple(compared)


def _p(answer: tuple[PairedDifferences, int] | tuple[SetDifference, int, int]) -> float:
    return answer[0].p if isinstance(answer[0], SetDifference) else float(answer[0].p[answer[1]])


def _value(run: LoadedRun, metric_id: str) -> ComparedValue:
    metric = run.results.metric(metric_id)
    return ComparedValue(
        system=run.label, value=metric.value, ci95=metric.ci95, n_ok=metric.n_ok, n_failed=metric.n_failed
    )


def _pair_result(
    metric: MetricResult,
    runs: Sequence[LoadedRun],
    pair: _Pair,
    answer: tuple[PairedDifferences, int] | tuple[SetDifference, int, int],
    holm_of: tuple[float, int, int],
) -> PairResult:
    p_holm, comparisons, set_draws = holm_of
    first, second = runs[pair.first].label, runs[pair.second].label
    if isinstance(answer[0], SetDifference):
        told, n, clusters = answer[0], answer[1], answer[-1]
        difference, interval, p, draws = told.difference, told.interval, told.p, told.draws
        most = set_draws  # the test of a pair that does not differ ends early, which is no lack of draws
        effect = detectable = None
    else:
        table, place = answer[0], answer[1]
        n, clusters, difference = int(table.n[place]), int(table.clusters[place]), float(table.difference[place])
        limits = Interval(float(table.low[place]), float(table.high[place]))
        interval = None if math.isnan(limits.low) else limits
        p, draws = float(table.p[place]), table.exchanges
        most = draws
        effect, detectable = _number(table.effect[place]), _number(table.detectable[place])
    better = None
    if p_holm < ALPHA and difference != 0:
        better = first if (difference > 0) == (metric.direction == "higher") else second
    return PairResult(
        first=first,
        second=second,
        n=n,
        clusters=clusters,
        difference=difference,
        ci95=None if interval is None else (interval.low, interval.high),
        p=p,
        p_holm=p_holm,
        draws=draws,
        effect=effect,
        detectable=detectable,
        better=better,
        verdict=_verdict(better, clusters, (most, comparisons), detectable, metric.unit),
    )


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _verdict(better: str | None, clusters: int, test: tuple[int, int], detectable: float | None, unit: str) -> str:
    most, comparisons = test
    if better is not None:
        return f"{better} is better"
    if clusters == 0:
        return "nothing in common to compare"
    # Exchanging all identities gives the same absolute difference as exchanging none.
    few = clusters <= MAX_ENUMERATED
    if (2 / 2**clusters if few else 1 / (most + 1)) * comparisons >= ALPHA:
        what = f"{clusters} identities" if few else f"{most} exchanges"
        return f"undecided: {what} are too few for {comparisons} comparisons"
    if detectable is None:
        return "no difference found"
    return f"no difference found; one under {detectable:.3g}{' ' + unit if unit else ''} could have gone unnoticed"
