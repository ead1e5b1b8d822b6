"""Running a plan's jobs: on which executor, and what is kept of what they bring."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from vidchatbench.api.features import Feature
from vidchatbench.core import paths
from vidchatbench.core.isolation import Blame, Failure
from vidchatbench.core.progress import Progress
from vidchatbench.engine.extraction.executors import Executor, InProcessExecutor, ProcessExecutor, RayExecutor
from vidchatbench.engine.extraction.jobs import JobResult
from vidchatbench.engine.extraction.worker import WorkerSettings
from vidchatbench.engine.journal import Journal
from vidchatbench.engine.plan import Plan
from vidchatbench.engine.settings import RunConfig


@dataclass
class Extraction:
    """What extracting brought, over all jobs.

    Attributes:
        inline: Features that could not be stored, by key.
        failures: What could not be extracted, by key.
        passes: Decoding passes per file.
        seconds: Seconds per extractor, over all workers.
        elapsed: Seconds on the clock.
        extracted: Number of features.
        peak_memory: Largest resident set of a worker in bytes.
        store_error: Why the store could not be written, if so.
    """

    inline: dict[str, Feature] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    passes: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    elapsed: float = 0.0
    extracted: int = 0
    peak_memory: int = 0
    store_error: str | None = None

    @property
    def known(self) -> dict[str, Feature | Failure]:
        """Everything that is not to be looked for in the store."""
        return {**self.inline, **self.failures}

    def take(self, result: JobResult) -> None:
        """Adds what one job brought."""
        self.inline.update(result.inline)
        self.failures.update(result.failures)
        for path, count in result.passes.items():
            self.passes[path] = self.passes.get(path, 0) + count
        for name, seconds in result.seconds.items():
            self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        self.extracted += len(result.stored) + len(result.inline)
        self.peak_memory = max(self.peak_memory, result.peak_memory)


def extract(plan: Plan, config: RunConfig, progress: Progress, journal: Journal | None = None) -> Extraction:
    """Extracts everything that a plan misses.

    Args:
        plan: The plan.
        config: Where and with how many workers.
        progress: Who hears of it.
        journal: Where every finished job is noted.
    """
    extraction = Extraction()
    if not plan.jobs:
        return extraction
    clock = time.perf_counter()
    done = 0.0
    progress.begin("extracting", sum(job.seconds for job in plan.jobs), "s of media")

    def advance(inside: float) -> None:
        progress.advance(done + inside)

    for job, result in _executor(config, len(plan.jobs)).run(plan.jobs, advance):
        extraction.take(result)
        done += job.seconds
        progress.advance(done)
        _report(result, extraction, progress)
        if journal is not None:
            _note(result, journal)
    progress.end()
    extraction.elapsed = time.perf_counter() - clock
    return extraction


def _note(result: JobResult, journal: Journal) -> None:
    failed = {key: failure.reason for key, failure in result.failures.items()}
    traces = {key: failure.trace for key, failure in result.failures.items() if failure.trace is not None}
    journal.write("extracted", passes=result.passes, stored=len(result.stored), failed=failed, traces=traces)


def _report(result: JobResult, extraction: Extraction, progress: Progress) -> None:
    if result.store_error is not None and extraction.store_error is None:
        extraction.store_error = result.store_error
        progress.note(
            f"the feature store cannot be written ({result.store_error}); this run goes on, but the next one will "
            f"have to extract again. Free some space or set {paths.CACHE_VARIABLE} to a writable folder."
        )
    for reason in sorted({f.reason for f in result.failures.values() if f.blame is Blame.OURS}):
        progress.note(f"error on our side, the metrics concerned are incomplete: {reason}")


def _executor(config: RunConfig, jobs: int) -> Executor:
    store = (config.store or paths.feature_root()).absolute()
    settings = WorkerSettings(store, config.device, config.batch_size)
    if config.engine == "ray":
        return RayExecutor(settings, config.workers)
    workers = min(config.effective_workers(), jobs)
    return InProcessExecutor(settings) if workers == 1 else ProcessExecutor(settings, workers)
