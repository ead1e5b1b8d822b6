"""Building ``leaderboard.json``: bundles are read, verified, ranked and written in one order, whatever theirs was."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vidchatbench._version import __version__
from vidchatbench.api.cards import MetricCard
from vidchatbench.api.plugins import WeightSpec
from vidchatbench.api.samples import Role, Task
from vidchatbench.api.scores import Status
from vidchatbench.benchmark.format import Benchmark
from vidchatbench.benchmark.load import Announced
from vidchatbench.core.atomic import write_atomically
from vidchatbench.core.isolation import Failure, attempt
from vidchatbench.leaderboard.curated import Recomputed, read_recomputed, read_reported
from vidchatbench.leaderboard.ranking import RankedMetric, RankedSystem, Ranking, SetValue, Standing, rank
from vidchatbench.leaderboard.samples import system_samples
from vidchatbench.leaderboard.schema import (
    SAMPLES_FOLDER,
    AnchoredScore,
    Cell,
    Column,
    Leaderboard,
    LeftOut,
    LinkName,
    Openness,
    Provenance,
    Row,
    SystemSamples,
    check_link,
)
from vidchatbench.leaderboard.verification.bundle import find_bundles, row_id
from vidchatbench.leaderboard.verification.check_copies import COPY
from vidchatbench.leaderboard.verification.context import Others
from vidchatbench.leaderboard.verification.findings import Finding
from vidchatbench.leaderboard.verification.reading import Bundle, read_bundle
from vidchatbench.leaderboard.verification.verify import compare_with_others, read_anchors, verify_content
from vidchatbench.plugins.catalogue import Catalogue
from vidchatbench.results.aggregate import describe_errors
from vidchatbench.results.anchors import ANCHORS_FILE, AnchorEntry
from vidchatbench.results.floors import FLOORS_FILE, FloorRow, FloorScore, read_floors
from vidchatbench.results.scale import Scale, members_of
from vidchatbench.results.schema import BenchmarkRef, MetricRef, MetricResult, SuiteRef
from vidchatbench.results.statistics.intervals import DRAWS, LEVEL
from vidchatbench.submission.system import SystemDescription

SEED = 0
_ARXIV = re.compile(r"(?:arxiv:)?(\d{4}\.\d{4,5}(?:v\d+)?)", re.IGNORECASE)
_ROW_FILE = re.compile(r"[a-z0-9][a-z0-9._-]*@[a-z0-9][a-z0-9._-]*\.json")


@dataclass(frozen=True)
class Built:
    """A board with the sample files of its rows.

    Attributes:
        board: ``leaderboard.json``.
        samples: The sample file of every computed row, by row id.
        findings: Warnings for the maintainers, by row id.
    """

    board: Leaderboard
    samples: Mapping[str, SystemSamples]
    findings: Mapping[str, Sequence[Finding]]

    def write(self, path: Path) -> None:
        """Writes the board, and the sample files into a folder beside it.

        Raises:
            OSError: If a file cannot be written.
        """
        folder = path.parent / SAMPLES_FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            if _ROW_FILE.fullmatch(old.name) and old.stem not in self.samples:
                old.unlink()
        for name, samples in self.samples.items():
            write_atomically(folder / f"{name}.json", samples.to_json().encode())
        write_atomically(path, self.board.to_json().encode())


@dataclass(frozen=True)
class _Metric:
    column: Column
    ranked: RankedMetric
    weights: tuple[str, ...] | None
    """Hashes that its number must rest on; ``None`` where nobody has published them."""
    applicable: int | None = None
    """Samples that the real replies are scored on; ``None`` without anchors."""
    ceilings: Mapping[str, float] = field(default_factory=dict)
    """The real reply's value of every sample."""

    @property
    def scale(self) -> Scale:
        """The anchored scale."""
        return Scale(self.ranked.direction, self.ranked.oracle, self.ranked.null, self.ceilings)


def build_leaderboard(
    root: Path,
    benchmark: Benchmark,
    catalogue: Catalogue,
    *,
    suite: str,
    anchors: Path | None = None,
    seed: int = SEED,
    draws: int = DRAWS,
) -> Built:
    """Builds the board of a benchmark and a suite.

    Args:
        root: The leaderboard's folder, with ``submissions``, ``reported`` and ``recomputed.yaml``.
        benchmark: The board's benchmark.
        catalogue: The installed metrics.
        suite: Name of the board's suite, in its installed version.
        anchors: The published anchors, with the floor rows beside them; by default those in the benchmark's folder.
        seed: Seed of the ranking's draws.
        draws: Number of the ranking's draws.

    Raises:
        UsageError: If there is no such suite.
        InputError: If what maintainers wrote is not valid.
        OSError: If a folder cannot be read.
    """
    board_suite = catalogue.suite(suite)
    ref = SuiteRef(name=board_suite.name, version=board_suite.version)
    published, manifest = anchors or benchmark.root / ANCHORS_FILE, benchmark.header.manifest_sha256
    known = read_anchors(published, benchmark)
    metrics = [
        _metric(catalogue.metric(entry.metric, **entry.params).card, known or {}, catalogue.weights)
        for entry in board_suite.metrics
    ]
    bundles, left_out, findings = _gather(root, benchmark, catalogue, ref)
    reasons = {name: _why_unranked(bundle) for name, bundle in bundles.items()}
    mixed = _mixed_weights(bundles, metrics)
    unranked = {name: _unranked_metrics(bundle, metrics, mixed) for name, bundle in bundles.items()}
    ranked = {name: bundle for name, bundle in bundles.items() if not reasons[name]}
    ranking = _rank(ranked, metrics, unranked, benchmark, (seed, draws))
    recomputed, flags = read_recomputed(root), {name: _flags(own) for name, own in findings.items()}
    columns, reported = read_reported(root, benchmark.header.name)
    rows = [
        _row(name, bundle, _Judged(metrics, unranked[name], reasons[name], ranking, flags[name]), benchmark, recomputed)
        for name, bundle in bundles.items()
    ]
    board = Leaderboard(
        benchmark=BenchmarkRef.of(benchmark),
        suite=ref,
        metrics=(*(metric.column for metric in metrics), *columns),
        dimensions=members_of((m.column.id, m.column.dimension, m.column.anchored) for m in metrics),
        rows=(*rows, *reported),
        floors=_floors(read_floors(published.parent / FLOORS_FILE, manifest, ref), metrics, known or {}),
        left_out=tuple(left_out),
        generated_from=Provenance(vidchatbench_version=__version__, seed=seed, draws=draws, level=LEVEL),
    )
    samples = {name: system_samples(name, bundle, benchmark) for name, bundle in bundles.items()}
    return Built(board, samples, findings)


def build_reported(root: Path, announced: Announced, catalogue: Catalogue, *, suite: str) -> Built:
    """Builds the board of a benchmark whose list is not published yet: what papers report, and nothing ranked.

    Args:
        root: The leaderboard's folder.
        announced: The benchmark.
        catalogue: The installed metrics.
        suite: Name of the board's suite, in its installed version.

    Raises:
        UsageError: If there is no such suite.
        InputError: If what maintainers wrote is not valid.
        OSError: If a folder cannot be read.
    """
    board_suite = catalogue.suite(suite)
    metrics = [_metric(catalogue.metric(e.metric, **e.params).card, {}, catalogue.weights) for e in board_suite.metrics]
    columns, reported = read_reported(root, announced.name)
    board = Leaderboard(
        benchmark=BenchmarkRef(
            name=announced.name, version=announced.version, manifest_sha256=announced.list_sha256, n_samples=0
        ),
        suite=SuiteRef(name=board_suite.name, version=board_suite.version),
        metrics=(*(metric.column for metric in metrics), *columns),
        rows=reported,
        left_out=tuple(
            LeftOut(bundle=f"{folder.parent.name}/{folder.name}", reason=announced.note)
            for folder in find_bundles(root)
        ),
        generated_from=Provenance(vidchatbench_version=__version__, seed=SEED, draws=DRAWS, level=LEVEL),
        note=announced.note,
    )
    return Built(board, {}, {})


def _metric(
    card: MetricCard, anchors: Mapping[str, tuple[AnchorEntry, ...]], weights: Mapping[str, WeightSpec]
) -> _Metric:
    # By the table alone: what this computer has recorded of files that nobody has pinned is no part of a board.
    hashes = [weights[name].sha256 if name in weights else None for name in card.weights]
    official = tuple(sorted(sha for sha in hashes if sha)) if all(hashes) else None
    known = [e for e in anchors.get(card.id, ()) if (e.version, e.protocol) == (card.version, card.protocol)]
    entries = [entry for entry in known if official is None or entry.weights == official]
    entry = entries[0] if len(entries) == 1 and card.aggregation == "mean" else None
    ranked = RankedMetric(
        id=card.id,
        dimension=card.dimension.value,
        direction=card.direction,
        oracle=None if entry is None else entry.oracle,
        null=None if entry is None or card.null is None else entry.nulls.get(card.null),
    )
    column = Column(
        **MetricRef.fields_of(card),
        anchored=ranked.is_anchored,
        reported=False,
    )
    # Where nobody has published a hash, the anchors' own files are the ones to compare with.
    files = entry.weights if official is None and entry is not None else official
    if entry is None:
        return _Metric(column, ranked, files)
    return _Metric(column, ranked, files, entry.n, entry.samples)


def _gather(
    root: Path, benchmark: Benchmark, catalogue: Catalogue, suite: SuiteRef
) -> tuple[dict[str, Bundle], list[LeftOut], dict[str, Sequence[Finding]]]:
    bundles: dict[str, Bundle] = {}
    left_out: list[LeftOut] = []
    findings: dict[str, Sequence[Finding]] = {}
    for folder in find_bundles(root):
        place = f"{folder.parent.name}/{folder.name}"
        read = attempt(lambda folder=folder: read_bundle(folder))  # type: ignore[misc]
        if isinstance(read, Failure):
            left_out.append(LeftOut(bundle=place, reason=f"it could not be read: {read.reason}"))
            continue
        bundle, bundle_findings = read
        if bundle is not None and bundle.results.suite != suite:
            own_suite = f"{bundle.results.suite.name[:60]} v{bundle.results.suite.version}"
            left_out.append(
                LeftOut(bundle=place, reason=f"scored with suite {own_suite}, not {suite.name} v{suite.version}")
            )
            continue
        if bundle is not None:
            checked = attempt(lambda bundle=bundle: verify_content(bundle, benchmark=benchmark, catalogue=catalogue))  # type: ignore[misc]
            if isinstance(checked, Failure):
                # One bundle that nobody foresaw must not take the whole board down.
                left_out.append(LeftOut(bundle=place, reason=f"it could not be verified: {checked.reason}"))
                continue
            bundle_findings = [*bundle_findings, *checked]
        errors = [finding for finding in bundle_findings if finding.severity == "error"]
        if bundle is None or errors:
            more = f" (and {len(errors) - 1} more findings)" if len(errors) > 1 else ""
            left_out.append(LeftOut(bundle=place, reason=f"{errors[0].where}: {errors[0].message}{more}"))
            continue
        name = row_id(bundle.system)
        bundles[name] = bundle
        findings[name] = [finding for finding in bundle_findings if finding.severity == "warning"]
    # A program cannot tell who copied whom: neither is left out, and both are shown to the maintainers.
    others = Others.of(bundles.items())
    for name, bundle in bundles.items():
        findings[name] = [*findings[name], *compare_with_others(bundle, others, catalogue)]
    return bundles, left_out, findings


def _floors(
    rows: Sequence[FloorRow], metrics: Sequence[_Metric], anchors: Mapping[str, tuple[AnchorEntry, ...]]
) -> tuple[FloorRow, ...]:
    """Returns the floor rows of the board's protocols and anchors; others say nothing of this board."""

    def fits(score: FloorScore) -> bool:
        columns = [metric.column for metric in metrics]
        known = score.anchored is None or any(e.anchors == score.anchors for e in anchors.get(score.metric, ()))
        return known and any(score.is_of(column.id, column.version, column.protocol) for column in columns)

    return tuple(row for row in rows if all(map(fits, row.scores)))


def _flags(findings: Sequence[Finding]) -> tuple[str, ...]:
    return tuple(finding.message for finding in findings if finding.code == COPY)


def _why_unranked(bundle: Bundle) -> tuple[str, ...]:
    results = bundle.results
    reasons = [f"{metric.id}: not run ({metric.reason:.120})" for metric in results.unavailable]
    for metric in results.metrics:
        strange = [use.name for use in metric.weights if not use.pin.is_official]
        if strange:
            reasons.append(f"{metric.id}: the weights {', '.join(strange)} are not the pinned ones")
        counts = Counter(Status(row.status) for row in bundle.rows if row.metric == metric.id)
        if (errors := describe_errors(counts)) is not None:
            reasons.append(f"{metric.id}: {errors}")
    if not reasons and not results.complete:
        reasons.append("the run is incomplete")
    return tuple(reasons)


def _mixed_weights(bundles: Mapping[str, Bundle], metrics: Sequence[_Metric]) -> set[str]:
    """Returns the metrics without pinned weights for which the bundles used different files."""
    mixed = set()
    for metric in metrics:
        used = {
            _hashes(result)
            for bundle in bundles.values()
            if (result := _result(bundle, metric.column.id)) is not None
            and all(use.pin.is_official for use in result.weights)
        }
        if metric.weights is None and len(used) > 1:
            mixed.add(metric.column.id)
    return mixed


def _hashes(result: MetricResult) -> tuple[str, ...]:
    return tuple(sorted(use.sha256 for use in result.weights))


def _result(bundle: Bundle, metric_id: str) -> MetricResult | None:
    return next((metric for metric in bundle.results.metrics if metric.id == metric_id), None)


def _unranked_metrics(bundle: Bundle, metrics: Sequence[_Metric], mixed: set[str]) -> dict[str, str | None]:
    reasons: dict[str, str | None] = {}
    for metric in metrics:
        name, result = metric.column.id, _result(bundle, metric.column.id)
        if result is None:
            continue
        reason = result.unranked
        if reason is None and result.value is None:
            reason = "there is no value"
        if reason is None and metric.weights is not None and _hashes(result) != metric.weights:
            reason = "scored with other weights than the board's anchors"
        if reason is None and metric.applicable is not None:
            claimed = result.n_expected - result.n_not_applicable
            if claimed < metric.applicable:
                # Scored on the samples of one's choice, a mean compares with nobody's.
                reason = f"it is scored on {claimed} samples, the metric applies to {metric.applicable}"
        if reason is None and name in mixed:
            reason = "nobody has published the hash of its weights, and the systems were scored with different files"
        reasons[name] = reason
    return reasons


def _rank(
    bundles: Mapping[str, Bundle],
    metrics: Sequence[_Metric],
    unranked: Mapping[str, Mapping[str, str | None]],
    benchmark: Benchmark,
    drawing: tuple[int, int],
) -> Ranking:
    systems = [_ranked_system(name, bundle, metrics, unranked[name], benchmark) for name, bundle in bundles.items()]
    clusters, (seed, draws) = [sample.cluster for sample in benchmark], drawing
    return rank(systems, [metric.ranked for metric in metrics], clusters, seed=seed, draws=draws)


def _ranked_system(
    name: str,
    bundle: Bundle,
    metrics: Sequence[_Metric],
    unranked: Mapping[str, str | None],
    benchmark: Benchmark,
) -> RankedSystem:
    place = {sample.id: k for k, sample in enumerate(benchmark)}
    ranked = {metric.column.id for metric in metrics if unranked.get(metric.column.id, "absent") is None}
    means = {
        metric.column.id: metric.scale
        for metric in metrics
        if metric.column.id in ranked and metric.column.aggregation == "mean"
    }
    counted = {metric: np.full(len(place), np.nan) for metric in means}
    for row in bundle.rows:
        if row.metric in means and row.counted is not None:
            scale = means[row.metric]
            cut = scale.cut(row.sample_id, row.counted) if scale.exists else row.counted
            counted[row.metric][place[row.sample_id]] = cut
    sets = {}
    for metric in metrics:
        result = _result(bundle, metric.column.id)
        if metric.column.aggregation == "set" and result is not None and result.value is not None:
            low, high = result.ci95 or (None, None)
            if metric.column.id in ranked:
                sets[metric.column.id] = SetValue(result.value, low, high)
    return RankedSystem(name, counted, sets)


@dataclass(frozen=True)
class _Judged:
    metrics: Sequence[_Metric]
    unranked: Mapping[str, str | None]
    reasons: tuple[str, ...]
    ranking: Ranking
    flags: tuple[str, ...]


def _row(name: str, bundle: Bundle, judged: _Judged, benchmark: Benchmark, recomputed: Mapping[str, Recomputed]) -> Row:
    results, system = bundle.results, bundle.system
    checked = recomputed.get(bundle.sha256)
    ranking = judged.ranking
    overall = ranking.overall.get(name)
    return Row(
        id=name,
        system=system,
        trust="self_scored" if checked is None else "recomputed",
        tasks=_tasks(bundle, benchmark),
        openness=_openness(system),
        licence=system.license,
        values={metric.column.id: cell for metric in judged.metrics if (cell := _cell(name, bundle, metric, judged))},
        dimensions={
            dimension: _anchored(standings[name], ranking.members[dimension])
            for dimension, standings in ranking.dimensions.items()
            if name in standings
        },
        overall=None if overall is None else _anchored(overall, tuple(ranking.dimensions)),
        complete=results.complete,
        ranked=not judged.reasons,
        why_unranked=judged.reasons,
        bundle_sha256=bundle.sha256,
        submitted=results.run.finished,
        source=None,
        recomputed_by=None if checked is None else checked.by,
        links=_links(system),
        samples=f"{SAMPLES_FOLDER}/{name}.json",
        flags=judged.flags,
    )


def _anchored(standing: Standing, metrics: tuple[str, ...]) -> AnchoredScore:
    return AnchoredScore(anchored=standing.score, ci95=standing.ci95, metrics=metrics, place=standing.place)


def _cell(name: str, bundle: Bundle, metric: _Metric, judged: _Judged) -> Cell | None:
    result = _result(bundle, metric.column.id)
    if result is None:
        return None
    standing = judged.ranking.metrics[metric.column.id].get(name)
    anchored = None
    if metric.ranked.is_anchored and result.value is not None and _hashes(result) == metric.weights:
        counted = [(r.sample_id, r.counted) for r in bundle.rows if r.metric == result.id and r.counted is not None]
        cut = [metric.scale.cut(sample, value) for sample, value in counted]
        anchored = metric.scale.place(math.fsum(cut) / len(cut))
    return Cell(
        value=result.value,
        ci95=result.ci95,
        n_expected=result.n_expected,
        n_ok=result.n_ok,
        n_failed=result.n_failed,
        n_not_applicable=result.n_not_applicable,
        n_error=result.n_error,
        coverage=result.coverage,
        anchored=anchored,
        unranked=judged.unranked[metric.column.id],
        place=None if standing is None else standing.place,
    )


def _tasks(bundle: Bundle, benchmark: Benchmark) -> tuple[Task, ...]:
    usable = {line.sample_id for line in bundle.media if line.role is Role.CANDIDATE and line.problem is None}
    return tuple(sorted({sample.task for sample in benchmark if sample.id in usable}))


def _openness(system: SystemDescription) -> Openness:
    if system.open_weights:
        return "open_weights"
    if system.code:
        return "open_code"
    return "unknown" if system.open_weights is None else "closed"


def _links(system: SystemDescription) -> dict[LinkName, str]:
    links: dict[LinkName, str] = {}
    given: tuple[tuple[LinkName, str | None], ...] = (
        ("paper", system.paper),
        ("code", system.code),
        ("weights", system.weights),
    )
    for name, text in given:
        if text is None:
            continue
        arxiv = _ARXIV.fullmatch(text.strip())
        try:
            links[name] = check_link(f"https://arxiv.org/abs/{arxiv[1]}" if arxiv else text.strip())
        except ValueError:
            continue
    return links
