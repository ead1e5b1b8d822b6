"""Comparing runs: paired differences with intervals, tests adjusted for their number, and a verdict in words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np

from vidchatbench.api.features import Feature
from vidchatbench.api.metrics import SetItem, SetMetric
from vidchatbench.api.scores import Status
from vidchatbench.core.isolation import Failure, attempt
from vidchatbench.core.models import FrozenModel
from vidchatbench.core.suggest import did_you_mean
from vidchatbench.errors import InputError, UsageError
from vidchatbench.plugins.catalogue import Catalogue
from vidchatbench.results.sample_rows import RowsByMetric, SampleRow, group_rows, load_set_items, read_sample_rows
from vidchatbench.results.schema import BenchmarkRef, Finite, MetricRef, MetricResult, Results, SuiteRef, load_results
from vidchatbench.results.statistics.intervals import DRAWS, Interval, unseen_failure_rate
from vidchatbench.results.statistics.paired import (
    ALPHA,
    PairedDifferences,
    compare_paired,
    detectable_among,
    holm,
)
from vidchatbench.results.statistics.sets import SET_DRAWS, SetDifference, compare_sets
from vidchatbench.results.verdicts import FailureDifference, Verdict, compare_failures

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
    ``p_holm`` is adjusted for every metric and pair of its family. ``detectable`` is the least difference that the
    test, adjusted like that, finds in four of five repetitions. ``better`` names a system only where ``p_holm`` is
    under 0.05 and ``ci95`` does not hold 0: exchanging systems tells that they differ, and a system that is better
    everywhere and fails now and then differs without being better on average.

    ``undone_by`` is there where a failure could have gone unseen that matters: the better system did not fail, and with
    this share of failures the difference would be gone, although so few identities do not exclude it.
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
    failures: FailureDifference | None = None
    undone_by: Finite | None = None
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
    """Two or more runs, compared.

    The family of tests for which p-values are adjusted is what ``metrics`` holds. With a ``primary`` metric its pairs
    are a family of their own, and the others count only as far as all of these are significant: the adjusted p-value
    of another metric is never under the greatest of the primary's.
    """

    schema_version: Literal[2] = 2
    benchmark: BenchmarkRef
    suite: SuiteRef
    systems: tuple[str, ...]
    metrics: tuple[ComparedMetric, ...]
    left_out: tuple[LeftOut, ...]
    alpha: Finite = ALPHA
    primary: str | None = None
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
    rows: RowsByMetric


@dataclass(frozen=True)
class Family:
    """Which metrics are compared, and which of them is the question.

    Attributes:
        metrics: Metric ids; ``None`` for all that the runs have in common.
        primary: The metric that was named before the numbers were seen, if one was.
    """

    metrics: tuple[str, ...] | None = None
    primary: str | None = None


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
    family: Family | None = None,
) -> Comparison:
    """Compares runs of the same suite on the same benchmark.

    Args:
        folders: Run folders, at least two.
        catalogue: Where the metrics of sets come from.
        load: Reads a stored feature by key, for metrics of sets.
        seed: Seed of all draws.
        draws: Resamplings and exchanges for metrics that are means.
        set_draws: Most exchanges for metrics of sets.
        family: Which metrics are compared, and the primary one; by default all, and none.

    Raises:
        UsageError: If fewer than two runs are given, or a metric is named that no run has or that is named twice.
        InputError: If a run cannot be read, or the runs are not comparable; every reason is listed.
    """
    if len(folders) < MIN_RUNS:
        raise UsageError("a comparison needs two runs or more")
    runs = _label([(load_results(folder), _read_rows(Path(folder))) for folder in folders])
    _check_comparable(runs, folders)
    wanted = _chosen(family := family or Family(), runs)
    known = [metric for metric in runs[0].results.metrics if metric.id in wanted and _in_all(metric.id, runs)]
    left_out = [
        LeftOut(id=name, reason=f"not part of {', '.join(run.label for run in runs if not _has(name, run))}")
        for name in sorted(wanted)
        if not _in_all(name, runs)
    ]
    # Holm multiplies the least p by the number of comparisons: with too few draws nothing could ever be significant.
    needed = math.ceil(2 * len(known) * len(runs) * (len(runs) - 1) / 2 / ALPHA)
    draws, set_draws = max(draws, needed), max(set_draws, needed)
    means = [metric for metric in known if metric.aggregation == "mean"]
    tests = _compare_means(means, runs, seed, draws)
    for metric in known:
        if metric.aggregation == "set":
            answer = attempt(lambda metric=metric: _compare_set(metric, runs, catalogue, load, (seed, set_draws)))  # type: ignore[misc]
            if isinstance(answer, Failure):
                reason = answer.reason.removeprefix(f"{UsageError.__name__}: ")
                left_out.append(LeftOut(id=metric.id, reason=reason))
            else:
                tests.update(answer)
    compared = [metric for metric in known if any(pair.metric == metric.id for pair in tests)]
    return Comparison(
        benchmark=runs[0].results.benchmark,
        suite=runs[0].results.suite,
        systems=tuple(run.label for run in runs),
        metrics=_assemble(compared, runs, tests, set_draws, family.primary),
        left_out=tuple(left_out),
        primary=family.primary,
        seed=seed,
        draws=draws,
    )


def _chosen(family: Family, runs: Sequence[LoadedRun]) -> set[str]:
    there = {metric.id for run in runs for metric in run.results.metrics}
    named = there if family.metrics is None else set(family.metrics)
    if not named:
        raise UsageError("no metric is named")
    if family.metrics is not None and len(named) != len(family.metrics):
        raise UsageError("a metric is named twice")
    for name in (*sorted(named), *([] if family.primary is None else [family.primary])):
        if name not in there:
            raise UsageError(f"these runs have no metric {name!r}{did_you_mean(name, there)}")
    if family.primary is not None and family.primary not in named:
        raise UsageError(f"the primary metric {family.primary!r} is not among those that are compared")
    return named


def _read_rows(folder: Path) -> RowsByMetric:
    return group_rows(read_sample_rows(folder, hint="A comparison needs the whole run folder."))


def _label(loaded: Sequence[tuple[Results, RowsByMetric]]) -> list[LoadedRun]:
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
            labels = (f"{r.suite.name} v{r.suite.version}" for r in (other, base))
            problems.append(f"{folder}: suite {next(labels)}, {folders[0]} has {next(labels)}")
        for metric in other.metrics:
            mine = next((m for m in base.metrics if m.id == metric.id), None)
            if mine is not None and _protocol(mine) != _protocol(metric):
                labels = (f"{m.protocol} version {m.version}" for m in (metric, mine))
                problems.append(
                    f"{folder}: {metric.id} is {next(labels)}, {folders[0]} has {next(labels)} (or other weights)"
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


_Tests = dict[_Pair, tuple[PairedDifferences, int] | tuple[SetDifference, int, int]]


def _compare_means(metrics: Sequence[MetricResult], runs: Sequence[LoadedRun], seed: int, draws: int) -> _Tests:
    if not metrics:
        return {}
    clusters = {row.sample_id: row.cluster for run in runs for rows in run.rows.values() for row in rows.values()}
    samples = sorted(clusters)
    columns, pairs = [], []
    for metric in metrics:
        counted = np.array([[_counted(run.rows.get(metric.id, {}).get(name)) for run in runs] for name in samples])
        for first, second in combinations(range(len(runs)), 2):
            pairs.append(_Pair(metric.id, first, second))
            columns.append(counted[:, first] - counted[:, second])
    differences = compare_paired(np.column_stack(columns), [clusters[name] for name in samples], seed=seed, draws=draws)
    return {pair: (differences, place) for place, pair in enumerate(pairs)}


def _counted(row: SampleRow | None) -> float:
    return math.nan if row is None or row.counted is None else row.counted


def _compare_set(
    metric: MetricResult,
    runs: Sequence[LoadedRun],
    catalogue: Catalogue,
    load: Callable[[str], Feature | None],
    settings: tuple[int, int],
) -> _Tests:
    built = catalogue.metric(metric.id, **metric.params)
    if not isinstance(built, SetMetric):
        raise TypeError(f"{metric.id} is no metric of sets here")
    items = [_items(built, run.rows.get(metric.id, {}), load) for run in runs]
    tests: _Tests = {}
    for first, second in combinations(range(len(runs)), 2):
        both = sorted(set(items[first]) & set(items[second]), key=lambda name: (items[first][name][0], name))
        if not both:
            raise UsageError("the two systems have no sample in common")
        clusters = [items[first][name][0] for name in both]
        one, two = ([items[place][name][1] for name in both] for place in (first, second))
        seed, draws = settings
        result = compare_sets(one, two, clusters, built.distance, seed=seed, draws=draws)
        tests[_Pair(metric.id, first, second)] = (result, len(both), len(set(clusters)))
    return tests


def _items(
    metric: SetMetric, rows: Mapping[str, SampleRow], load: Callable[[str], Feature | None]
) -> dict[str, tuple[str, SetItem]]:
    features = {name: row.features for name, row in rows.items() if row.status == Status.OK}
    gone = "its features are not in this computer's store; evaluate the system here again"
    items = load_set_items(metric, features, load, gone=gone)
    return {name: (rows[name].cluster, item) for name, item in items.items()}


def _assemble(
    metrics: Sequence[MetricResult], runs: Sequence[LoadedRun], tests: _Tests, set_draws: int, primary: str | None
) -> tuple[ComparedMetric, ...]:
    adjusted = _adjust({pair: _p(test) for pair, test in tests.items()}, primary)
    sizes = Counter(pair.metric == primary for pair in tests)
    compared = []
    for metric in metrics:
        values = tuple(_value(run, metric.id) for run in runs)
        results = tuple(
            _pair_result(metric, runs, pair, tests[pair], (adjusted[pair], sizes[metric.id == primary], set_draws))
            for pair in tests
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


def _adjust(p: Mapping[_Pair, float], primary: str | None) -> dict[_Pair, float]:
    """Returns p-values adjusted by Holm within each family; what is not primary waits for what is."""
    adjusted: dict[_Pair, float] = {}
    gate = 0.0
    for first in (True, False):
        family = [pair for pair in p if (pair.metric == primary) is first]
        values = holm([p[pair] for pair in family]) if family else []
        adjusted |= {pair: max(gate, float(value)) for pair, value in zip(family, values, strict=True)}
        if first and primary is not None:
            gate = max(adjusted.values(), default=1.0)  # a primary metric that could not be tested lets nothing pass
    return adjusted


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
    one, other = runs[pair.first], runs[pair.second]
    if isinstance(answer[0], SetDifference):
        test, n, clusters = answer[0], answer[1], answer[-1]
        difference, interval, p, draws = test.difference, test.interval, test.p, test.draws
        most = set_draws  # the test of a pair that does not differ ends early, which is no lack of draws
        effect = detectable = None
    else:
        table, place = answer[0], answer[1]
        n, clusters, difference = int(table.n[place]), int(table.clusters[place]), float(table.difference[place])
        limits = Interval(float(table.low[place]), float(table.high[place]))
        interval = None if math.isnan(limits.low) else limits
        p, draws = float(table.p[place]), table.exchanges
        most = draws
        effect = _number(table.effect[place])
        detectable = _number(table.detectable[place] * detectable_among(comparisons))
    better = None
    if p_holm < ALPHA and interval is not None and (interval.low > 0 or interval.high < 0):
        better = one if (difference > 0) == (metric.direction == "higher") else other
    failures = compare_failures(one.rows.get(metric.id, {}), other.rows.get(metric.id, {}))
    undone_by = None if better is None else _undone_by(metric.id, better, difference, clusters)
    verdict = Verdict(None if better is None else better.label, undone_by, clusters, p_holm, detectable, metric.unit)
    return PairResult(
        first=one.label,
        second=other.label,
        n=n,
        clusters=clusters,
        difference=difference,
        ci95=None if interval is None else (interval.low, interval.high),
        p=p,
        p_holm=p_holm,
        draws=draws,
        effect=effect,
        detectable=detectable,
        better=verdict.better,
        failures=failures,
        undone_by=undone_by,
        verdict=verdict.say(most, comparisons),
    )


def _undone_by(metric_id: str, better: LoadedRun, difference: float, clusters: int) -> float | None:
    """Returns which share of failures would undo a difference, where it could have gone unseen."""
    result = better.results.metric(metric_id)
    if result.n_failed or result.worst is None or result.value is None or not clusters:
        return None
    price = abs(result.value - result.worst)
    return abs(difference) / price if abs(difference) < unseen_failure_rate(clusters) * price else None


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
