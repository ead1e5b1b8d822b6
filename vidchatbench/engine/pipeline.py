"""From inputs to numbers: plan, extract, score, aggregate.

Written once, for an evaluation, for the anchors of a benchmark, for clips in memory and for the audit. What differs
between them is what they score, where features are kept, and where jobs run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from vidchatbench.api.metrics import Metric
from vidchatbench.api.samples import Role
from vidchatbench.core.progress import Progress, SilentProgress
from vidchatbench.engine.extraction.executors import Executor
from vidchatbench.engine.extraction.extract import Extraction, choose_executor, describe_deaths, extract
from vidchatbench.engine.extraction.sample_pass import run_sample_requests
from vidchatbench.engine.features.lookup import FeatureLookup, Store
from vidchatbench.engine.journal import Journal
from vidchatbench.engine.plan import Inputs, Plan, Planner
from vidchatbench.engine.scoring import score_cells
from vidchatbench.engine.settings import RunConfig
from vidchatbench.plugins.catalogue import Catalogue
from vidchatbench.results.aggregate import Record, aggregate_all
from vidchatbench.results.schema import Anchors, MetricResult

OnPlan = Callable[[Plan], None]
MAX_HEALINGS = 3
"""Rounds in which lost features are computed again; what one is made of may turn out to be lost in its turn."""


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
        ceilings: Mapping[str, Mapping[str, float]] | None = None,
        on_plan: OnPlan | None = None,
        on_clips_read: OnPlan | None = None,
    ) -> Outcome:
        """Runs all stages.

        Args:
            inputs: What is scored.
            metrics: The metrics, all of which can run here.
            anchors: What real and wrong replies score, by metric id, for the anchored scale.
            ceilings: The real reply's value of every sample, by metric id; what exceeds it is cut on that scale.
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
        plan = self._heal(inputs, metrics, plan, features, extraction)
        clock.seconds["extract"] = extraction.elapsed
        if on_clips_read is not None:
            on_clips_read(plan)
        report = run_sample_requests(plan.sample_requests, features, self._catalogue, self._config, self._progress)
        extraction.add(report.extracted, report.seconds)
        clock.restart()
        scored = score_cells(plan.cells, inputs.outputs, features, _seconds_of(plan))
        clock.lap("score")
        numbers = aggregate_all(
            metrics,
            scored.records,
            self._catalogue.weights,
            seed=self._config.seed,
            anchors=anchors,
            ceilings=ceilings,
            summaries=scored.summaries,
            fallible=self._config.fallible,
        )
        clock.lap("aggregate")
        if (deaths := describe_deaths(extraction)) is not None:
            self._progress.note(deaths)
        return Outcome(plan, extraction, features, scored.records, numbers, clock.seconds)

    def plan(self, inputs: Inputs, metrics: Sequence[Metric]) -> Plan:
        """Returns what is to be done."""
        return Planner(inputs, self._catalogue, self._store).build(metrics)

    def _heal(
        self, inputs: Inputs, metrics: Sequence[Metric], plan: Plan, features: FeatureLookup, extraction: Extraction
    ) -> Plan:
        """Computes again what the store has lost since, or would lose when it is read.

        Returns:
            The plan, with the sample requests that are open now.
        """
        healed: set[str] = set()
        extracted_before = _to_compute(plan)
        for _ in range(MAX_HEALINGS):
            lost = features.take_lost(_to_read(plan))
            if not lost:
                break
            self._progress.note(f"{len(lost)} stored features were damaged or removed; they are computed again")
            if self._journal is not None:
                self._journal.write("healed", features=sorted(lost))
            again = self.plan(inputs, metrics)
            extraction.merge(self.extract(again, features))
            healed |= lost
            plan = replace(plan, sample_requests=again.sample_requests)
        wanted = {key for cell in plan.cells for key in cell.keys.values()}
        return replace(plan, reused=plan.reused - len(healed & wanted - extracted_before))

    def extract(self, plan: Plan, features: FeatureLookup) -> Extraction:
        """Extracts what a plan misses of clips."""
        most = max((len(wave) for wave in plan.waves), default=0)
        executor = self._executor or choose_executor(self._config, most)
        try:
            return extract(plan.waves, executor, features, self._progress, self._journal)
        finally:
            if executor is not self._executor:  # who hands one over keeps its models for the next call
                executor.close()


def _seconds_of(plan: Plan) -> dict[tuple[str, Role], float]:
    lengths = {}
    for place, clip in plan.roles.items():
        stream = clip.info.video or clip.info.audio
        if stream is not None and stream.duration is not None:
            lengths[place] = stream.duration
    return lengths


def _to_compute(plan: Plan) -> set[str]:
    clips = {request.key for job in plan.jobs for request in job.requests if not request.stored}
    return clips | {request.key for request in plan.sample_requests if not request.stored}


def _to_read(plan: Plan) -> set[str]:
    """Returns the features that a plan reads after its jobs and before its samples are asked about."""
    open_requests = [request for request in plan.sample_requests if not request.stored]
    read = {key for cell in plan.cells for key in cell.keys.values()}
    read |= {key for request in open_requests for key in request.features.values()}
    return read - {request.key for request in open_requests}


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
