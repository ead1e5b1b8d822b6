"""Scoring reference submissions through the ordinary engine, and reading back what each sample scored."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from vidchatbench.api.features import Feature
from vidchatbench.api.metrics import Metric, SetItem, SetMetric
from vidchatbench.api.samples import Role, Sample
from vidchatbench.api.scores import Status
from vidchatbench.audit.submissions import Submission
from vidchatbench.benchmark.format import Benchmark
from vidchatbench.core import paths
from vidchatbench.core.progress import Progress, SilentProgress
from vidchatbench.engine.evaluate import check_run_folder
from vidchatbench.engine.extraction.jobs import ClipSource
from vidchatbench.engine.features.lookup import FeatureLookup
from vidchatbench.engine.features.store import FeatureStore
from vidchatbench.engine.pipeline import Pipeline
from vidchatbench.engine.plan import Inputs
from vidchatbench.engine.run import Run
from vidchatbench.engine.settings import RunConfig
from vidchatbench.engine.suites import MetricChoice
from vidchatbench.plugins.catalogue import Catalogue
from vidchatbench.results.sample_rows import load_set_items, read_sample_rows
from vidchatbench.results.schema import MetricResult, Results
from vidchatbench.submission.check import CheckedSubmission, Output, check_submission

_KEY_DIGITS = 12
_AGAIN = "Run the audit again."
_GONE = "a feature is gone from this computer's store; run the audit again"


@dataclass
class Table:
    """What one metric gives, by reference submission and sample.

    Attributes:
        results: Result of the metric over each submission.
        values: Value of each sample, as it entered the mean; empty for metrics of sets.
        items: Loads the item of each sample, for metrics of sets; on demand, because the items of all submissions
            together do not fit into memory.
        clusters: Identity of each sample.
    """

    results: dict[str, MetricResult] = field(default_factory=dict)
    values: dict[str, dict[str, float]] = field(default_factory=dict)
    items: dict[str, Callable[[], dict[str, SetItem]]] = field(default_factory=dict)
    clusters: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ScoredSubmission:
    """A reference submission's results and run folder."""

    results: Results
    folder: Path


@dataclass(frozen=True)
class _Part:
    """The samples that a reference submission has a clip for, and the submission."""

    benchmark: Benchmark
    submission: CheckedSubmission


def score_submissions(
    benchmark: Benchmark,
    submissions: Sequence[Submission],
    choice: MetricChoice,
    runs: Path,
    config: RunConfig,
    progress: Progress,
    catalogue: Catalogue,
) -> dict[str, ScoredSubmission]:
    """Evaluates reference submissions, each on the samples that it has a clip for.

    Everything is extracted in one pass over all of them, so that models are loaded once and the real replies are read
    once; each is then evaluated as any submission is.

    Args:
        benchmark: The benchmark.
        submissions: The submissions.
        choice: The metrics, all of which can run here.
        runs: Folder of the run folders.
        config: How to run.
        progress: Receives progress.
        catalogue: Where extractors come from.

    Returns:
        Results and run folder of each submission that has a clip, by the recipe's name.

    Raises:
        InputError: If a clip of the benchmark cannot be read.
        OSError: If a folder cannot be written.
    """
    identity = [[m.card.id, m.card.version, m.card.protocol] for m in choice.metrics]
    key = json.dumps([choice.suite.model_dump(), identity])
    runs /= hashlib.sha256(key.encode()).hexdigest()[:_KEY_DIGITS]
    parts = {}
    for submission in submissions:
        made = set(submission.samples)
        samples = tuple(sample for sample in benchmark if sample.id in made)
        if samples:
            reduced = replace(benchmark, samples=samples)
            parts[submission.recipe.name] = _Part(reduced, check_submission(submission.folder, reduced))
    _extract_all(parts, choice.metrics, config, progress, catalogue)
    scored = {}
    progress.begin("scoring reference submissions", len(parts), "submissions")
    for done, (name, part) in enumerate(parts.items(), 1):
        out = runs / name
        check_run_folder(out, part.submission, part.benchmark, choice)
        run = Run(part.benchmark, part.submission, out, replace(config, fallible=False), SilentProgress())
        scored[name] = ScoredSubmission(run.execute(choice), out)
        progress.advance(done)
    progress.end()
    return scored


def _extract_all(
    parts: Mapping[str, _Part],
    metrics: Sequence[Metric],
    config: RunConfig,
    progress: Progress,
    catalogue: Catalogue,
) -> None:
    samples: list[Sample] = []
    outputs: dict[str, Output] = {}
    clips: dict[tuple[str, Role], ClipSource] = {}
    for name, part in parts.items():
        # One benchmark of all submissions' samples: what they share is then planned once.
        own = {sample.id: f"{name}/{sample.id}" for sample in part.benchmark}
        samples += [sample.model_copy(update={"id": own[sample.id]}) for sample in part.benchmark]
        gathered = Inputs.of(part.benchmark, part.submission, metrics)
        outputs |= {own[sample]: output for sample, output in gathered.outputs.items()}
        clips |= {(own[sample], role): clip for (sample, role), clip in gathered.clips.items()}
    store = FeatureStore(config.store or paths.feature_root())
    pipeline = Pipeline(catalogue, store, config, progress)
    pipeline.extract(pipeline.plan(Inputs(samples, outputs, clips), metrics), FeatureLookup(store))


def read_tables(
    scored: Mapping[str, ScoredSubmission], metrics: Sequence[Metric], load: Callable[[str], Feature | None]
) -> dict[str, Table]:
    """Returns what every metric gives, by metric id.

    Args:
        scored: Results and run folder by the recipe's name.
        metrics: The metrics.
        load: Reads a stored feature by key, for metrics of sets.
    """
    by_id = {metric.card.id: metric for metric in metrics}
    tables = {name: Table() for name in by_id}
    for recipe, submission in scored.items():
        for result in submission.results.metrics:
            tables[result.id].results[recipe] = result
        # Of metrics of sets, the keys alone are kept: all rows of all submissions would fill the memory.
        keys: dict[str, dict[str, str]] = {}
        for row in read_sample_rows(submission.folder, hint=_AGAIN):
            table = tables[row.metric]
            table.clusters[row.sample_id] = row.cluster
            if isinstance(by_id[row.metric], SetMetric):
                if row.status == Status.OK:
                    keys.setdefault(row.metric, {})[row.sample_id] = row.features
            elif row.counted is not None:
                table.values.setdefault(recipe, {})[row.sample_id] = row.counted
        for name, own in keys.items():
            metric = by_id[name]
            if isinstance(metric, SetMetric):
                tables[name].items[recipe] = functools.partial(load_set_items, metric, own, load, gone=_GONE)
    return tables
