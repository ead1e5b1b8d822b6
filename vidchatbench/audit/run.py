"""The audit: every reference submission through the engine, and what follows for every metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from vidchatbench._version import __version__
from vidchatbench.api.metrics import Metric
from vidchatbench.audit.copies import flagged_shares
from vidchatbench.audit.order import judge_order
from vidchatbench.audit.pairs import Pair, compare_pairs
from vidchatbench.audit.placing import NULLS, Placing
from vidchatbench.audit.recipe import Recipe
from vidchatbench.audit.recipes import ORACLE, REENCODED, Ladder, find_recipes, ladders
from vidchatbench.audit.schema import (
    AuditReport,
    LadderFinding,
    MetricAudit,
    OrderFinding,
    OrderReport,
    Paired,
    RecipeUse,
    Scored,
)
from vidchatbench.audit.scores import Table, read_tables, score_submissions
from vidchatbench.audit.submissions import Submission, write_submissions
from vidchatbench.audit.trend import trend_of
from vidchatbench.audit.verdicts import (
    LADDER_MARGIN,
    Scale,
    judge,
    judge_cheat,
    judge_ladder,
    needed_identities,
    order_of_means,
    order_of_sets,
    scale_of,
)
from vidchatbench.benchmark.format import Benchmark
from vidchatbench.benchmark.load import load_benchmark
from vidchatbench.core import paths
from vidchatbench.core.progress import Progress, SilentProgress
from vidchatbench.engine.features.store import FeatureStore
from vidchatbench.engine.settings import RunConfig
from vidchatbench.engine.suites import MetricChoice, choose_metrics, list_unavailable
from vidchatbench.plugins.availability import Availability
from vidchatbench.plugins.catalogue import load_catalogue
from vidchatbench.results.schema import BenchmarkRef, MetricRef, MetricResult, SuiteRef, UnavailableMetric
from vidchatbench.results.statistics.paired import holm
from vidchatbench.weights.resolver import WeightResolver

ALWAYS = (ORACLE, REENCODED, *NULLS.values())
"""Reference submissions that every audit needs: the ends of the scale, and step 0 of the ladders."""

_MANIFEST_DIGITS = 12


@dataclass(frozen=True)
class _Context:
    benchmark: Benchmark
    suite: SuiteRef
    metrics: tuple[Metric, ...]
    unavailable: tuple[UnavailableMetric, ...]


def audit(
    benchmark: str | Path,
    *,
    suite: str = "lite",
    metrics: Sequence[str] | None = None,
    only: Sequence[str] | None = None,
    work: Path | None = None,
    training: Path | None = None,
    config: RunConfig | None = None,
    progress: Progress | None = None,
) -> AuditReport:
    """Writes the reference submissions, evaluates them and says what every metric notices.

    Args:
        benchmark: Folder or known name of the benchmark.
        suite: Named list of metrics.
        metrics: Metric ids instead of the suite's whole list.
        only: Reference submissions or ladders instead of all; real replies and nulls are always among them.
        work: Folder of the submissions and runs, reused if it is there; in the cache by default.
        training: Folder of training clips, for the cheat that returns the nearest of them.
        config: Device, workers and seed.
        progress: Receives progress; nothing does by default.

    Raises:
        UsageError: If a name is unknown, nothing can run here, or a folder belongs to something else.
        InputError: If the benchmark has problems; all of them are listed.
        OSError: If a file cannot be written.
    """
    config, progress = config or RunConfig(), progress or SilentProgress()
    config.check_device()
    config.check_engine()
    context = _prepare(benchmark, suite, metrics)
    if work is None:
        work = paths.cache_root() / "audit" / context.benchmark.header.manifest_sha256[:_MANIFEST_DIGITS]
    work.mkdir(parents=True, exist_ok=True)
    submissions = write_submissions(
        context.benchmark,
        work / "submissions",
        find_recipes(None if only is None else [*only, *ALWAYS], training=training is not None),
        progress,
        training=training,
        workers=config.workers,
    )
    catalogue = load_catalogue()
    choice = MetricChoice(context.suite, context.metrics)
    scored = score_submissions(context.benchmark, submissions, choice, work / "runs", config, progress, catalogue)
    store = FeatureStore(config.store or paths.feature_root())
    tables = read_tables(scored, context.metrics, store.load)
    made = [submission.recipe for submission in submissions if submission.samples]
    audits = tuple(audit_metric(metric, tables[metric.card.id], made, seed=config.seed) for metric in context.metrics)
    placing = Placing(context.metrics, tables, made, seed=config.seed)
    flagged = flagged_shares(context.benchmark, submissions, tables, progress, config.effective_workers())
    return _report(context, submissions, audits, order_of(placing, flagged), config.seed)


def order_of(placing: Placing, flagged: Mapping[str, float]) -> OrderReport:
    """Returns whether the reference submissions come in the order in which they must.

    Args:
        placing: Where they stand.
        flagged: Of those that were looked at, the share of clips that look like copies.
    """
    lowest = float("-inf")
    scores = sorted(placing.scores.values(), key=lambda s: lowest if s.overall is None else s.overall, reverse=True)
    return OrderReport(members=placing.members, scores=tuple(scores), rules=judge_order(placing.evidence(flagged)))


def _prepare(benchmark: str | Path, suite: str, ids: Sequence[str] | None) -> _Context:
    catalogue = load_catalogue()
    choice = choose_metrics(catalogue, suite, ids)
    availability = Availability.of(choice.metrics, catalogue, WeightResolver(catalogue.weights))
    availability.require_any()
    loaded = load_benchmark(benchmark)
    loaded.verify_media()
    return _Context(loaded, choice.suite, availability.runnable, list_unavailable(availability))


def _report(
    context: _Context,
    submissions: Sequence[Submission],
    audits: tuple[MetricAudit, ...],
    order: OrderReport,
    seed: int,
) -> AuditReport:
    replied = [sample for sample in context.benchmark if sample.responder is not None]
    return AuditReport(
        benchmark=BenchmarkRef.of(context.benchmark),
        vidchatbench_version=__version__,
        suite=context.suite,
        seed=seed,
        n_samples=len(replied),
        identities=len({sample.cluster for sample in replied}),
        finished=datetime.now(timezone.utc),
        metrics=audits,
        unavailable=context.unavailable,
        recipes=tuple(_use(submission) for submission in submissions),
        order=order,
    )


def _use(submission: Submission) -> RecipeUse:
    recipe = submission.recipe
    return RecipeUse(
        name=recipe.name,
        family=recipe.family,
        title=recipe.title,
        kind=recipe.kind,
        group=recipe.group,
        step=float(recipe.step),
        unit=recipe.unit,
        does=recipe.does,
        hurts=recipe.hurts,
        sha256=recipe.sha256,
        n=len(submission.samples),
        not_made=submission.not_made,
    )


# --- one metric -----------------------------------------------------------------------------------------------------


def audit_metric(metric: Metric, table: Table, made: Sequence[Recipe], *, seed: int) -> MetricAudit:
    """Returns what the scores of the reference submissions say of one metric.

    Steps of a ladder are compared with the re-encoded reply, so that the codec is not taken for the fault; cheats with
    the real replies. Holm's correction covers all comparisons of the metric; the tests of order are corrected apart.

    Args:
        metric: The metric.
        table: What it gives.
        made: Recipes that were scored; the oracle and the re-encoded reply are among them.
        seed: Seed of all draws.
    """
    card = metric.card
    known = [recipe for recipe in made if recipe.name in table.results]
    rungs = [ladder for ladder in ladders() if any(step in known for step in ladder.steps)]
    codec: Pair = (REENCODED, ORACLE)
    pairs = [codec]
    pairs += [(step.name, REENCODED) for ladder in rungs for step in ladder.steps if step in known]
    pairs += [(recipe.name, ORACLE) for recipe in known if recipe.kind == "cheat"]
    compared = compare_pairs(metric, table, pairs, seed=seed)
    oracle = scored_of(table.results[ORACLE])
    null = NULLS.get(card.null or "")
    null_scored = scored_of(table.results[null]) if null in table.results else None
    scale = scale_of(card.direction, oracle, null_scored, _spread(table))
    orders = _orders(rungs, known, table, scale, seed)
    codec_verdict, codec_reason = judge(compared[codec], scale, LADDER_MARGIN)
    return MetricAudit(
        **MetricRef.fields_of(card),
        weights=table.results[ORACLE].weights,
        identities=compared[codec].identities,
        needed_identities=needed_identities(len(pairs)),
        oracle=oracle,
        reencoded=scored_of(table.results[REENCODED]),
        codec=compared[codec],
        codec_verdict=codec_verdict,
        codec_reason=codec_reason,
        null=null if null_scored is not None else None,
        null_scored=null_scored,
        ladders=tuple(
            _ladder_finding(ladder, (metric, table), compared, orders[ladder.family], scale) for ladder in rungs
        ),
        cheats=tuple(
            judge_cheat(
                recipe, card.dimension, scored_of(table.results[recipe.name]), compared[recipe.name, ORACLE], scale
            )
            for recipe in known
            if recipe.kind == "cheat"
        ),
    )


def _ladder_finding(
    ladder: Ladder, scored: tuple[Metric, Table], compared: Mapping[Pair, Paired], order: OrderFinding, scale: Scale
) -> LadderFinding:
    metric, table = scored
    rows = [
        (step, scored_of(table.results[step.name]), compared[step.name, REENCODED])
        for step in ladder.steps
        if (step.name, REENCODED) in compared
    ]
    return judge_ladder(ladder, metric.card.dimension, rows, order, scale, scored_of(table.results[ORACLE]))


def scored_of(result: MetricResult) -> Scored:
    """Returns what an audit keeps of a result."""
    return Scored(
        value=result.value,
        ci95=result.ci95,
        n=result.n_ok + result.n_failed,
        n_failed=result.n_failed,
        floor=result.floor,
    )


def _spread(table: Table) -> float:
    values = list(table.values.get(ORACLE, {}).values())
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def _orders(
    rungs: Sequence[Ladder], known: Sequence[Recipe], table: Table, scale: Scale, seed: int
) -> Mapping[str, OrderFinding]:
    names = {ladder.family: [REENCODED, *(s.name for s in ladder.steps if s in known)] for ladder in rungs}
    if table.items:
        n, identities = table.results[REENCODED].n_ok, len(set(table.clusters.values()))
        return {
            family: order_of_sets([table.results[name].value for name in steps], scale, n, identities)
            for family, steps in names.items()
        }
    samples = sorted(table.clusters)
    clusters_of = [table.clusters[sample] for sample in samples]
    trends = {}
    for family, steps in names.items():
        scores = np.array([[table.values.get(s, {}).get(sample, np.nan) for s in steps] for sample in samples])
        trends[family] = trend_of(-scores if scale.direction == "higher" else scores, clusters_of, seed=seed)
    adjusted = dict(zip(trends, holm([trend.p for trend in trends.values()]), strict=True))
    return {family: order_of_means(trend, adjusted[family]) for family, trend in trends.items()}
