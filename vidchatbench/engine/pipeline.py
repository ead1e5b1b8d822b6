"""From inputs to numbers: plan, extract, score, aggregate.

Written once, for an evaluation, for the anchors of a benchmark, for clips in memory and for the audit. What differs
between them is what they score, where features are kept, and where jobs run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from vidchatbench.api.metrics import Metric
from vidchatbench.core.progress import Progress, SilentProgress
from vidchatbench.engine.extraction.executors import Executor
from vidchatbench.engine.extraction.extract import Extraction, choose_executor, extract
from vidchatbench.engine.extraction.sample_pass import run_sample_tasks
from vidchatbench.engine.features.lookup import FeatureLookup, Store
from vidchatbench.engine.journal import Journal
from vidchatbench.engine.plan import Inputs, Plan, Planner
from vidchatbench.engine.scoring import score_cells
from vidchatbench.engine.settings import RunConfig
from vidchatbench.plugins.catalogue import Catalogue
from vidchatbench.results.aggregate import Record, aggregate_all
from vidchatbench.results.schema import Anchors, MetricResult

OnPlan = Callable[[Plan], None]


@dataclass
class Outcome:
    """What a pass through the pipeline gave.

    Attributes:
        plan: The plan.
        extraction: What the extraction took.
        features: The features of the run.
        records: One record per metric and sample, in the order of the plan's cells.
        numbers: One result per metric.
        seconds: Seconds on the clock by stage: ``plan``, ``extract``, ``score``, ``aggregate``.
    """

    plan: Plan
    extraction: Extraction
    features: FeatureLookup
    records: list[Record]
    numbers: tuple[MetricResult, ...]
    seconds: dict[str, float] = field(default_factory=dict)


class Pipeline:
    """Scores inputs with metrics.

    Args:
        catalogue: Where extractors, weights and metrics come from.
        store: Where features are kept.
        config: How to run.
        progress: Receives progress; nothing does by default.
        executor: Where the jobs run; by default what ``config`` says.
        journal: Notes every finished job.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        store: Store,
        config: RunConfig,
        progress: Progress | None = None,
        *,
        executor: Executor | None = None,
        journal: Journal | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._store = store
        self._config = config
        self._progress = progress or SilentProgress()
        self._executor = executor
        self._journal = journal

    def run(
        self,
        inputs: Inputs,
        metrics: Sequence[Metric],
        *,
        anchors: Mapping[str, Anchors] | None = None,
        on_plan: OnPlan | None = None,
        on_clips_read: OnPlan | None = None,
    ) -> Outcome:
        """Runs all stages.

        Args:
            inputs: What is scored.
            metrics: The metrics, all of which can run here.
            anchors: What real and wrong replies score, by metric id, for the anchored scale.
            on_plan: Called with the plan before anything is extracted.
            on_clips_read: Called with the plan between the clips and the samples: a judge asks about what was heard.
        """
        clock = _Clock()
        plan = self.plan(inputs, metrics)
        clock.lap("plan")
        if on_plan is not None:
            on_plan(plan)
        features = FeatureLookup(self._store)
        extraction = self.extract(plan, features)
        clock.seconds["extract"] = extraction.elapsed
        if on_clips_read is not None:
            on_clips_read(plan)
        report = run_sample_tasks(plan.samples, features, self._catalogue, self._config, self._progress)
        extraction.add(report.extracted, report.seconds)
        clock.restart()
        records = score_cells(plan.cells, inputs.outputs, features)
        clock.lap("score")
        weights, seed = self._catalogue.weights, self._config.seed
        numbers = aggregate_all(metrics, records, weights, seed=seed, anchors=anchors)
        clock.lap("aggregate")
        return Outcome(plan, extraction, features, records, numbers, clock.seconds)

    def plan(self, inputs: Inputs, metrics: Sequence[Metric]) -> Plan:
        """Returns what is to be done."""
        return Planner(inputs, self._catalogue, self._store).build(metrics)

    def extract(self, plan: Plan, features: FeatureLookup) -> Extraction:
        """Extracts what a plan misses of clips."""
        executor = self._executor or choose_executor(self._config, len(plan.jobs))
        return extract(plan.jobs, executor, features, self._progress, self._journal)


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.restart()

    def restart(self) -> None:
        self._since = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = now - self._since
        self._since = now
