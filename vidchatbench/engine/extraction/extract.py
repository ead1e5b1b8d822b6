"""Runs the jobs of a plan and adds up what they report."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from vidchatbench.api.features import Feature
from vidchatbench.core import paths
from vidchatbench.core.isolation import Blame, Failure
from vidchatbench.core.progress import Progress
from vidchatbench.engine.extraction.executors import (
    Executor,
    OnProgress,
    ProcessExecutor,
    RayExecutor,
    WarmExecutor,
)
from vidchatbench.engine.extraction.jobs import Job, JobResult
from vidchatbench.engine.extraction.worker import Worker, WorkerSettings
from vidchatbench.engine.features.lookup import FeatureLookup
from vidchatbench.engine.journal import Journal
from vidchatbench.engine.settings import RunConfig


@dataclass
class Extraction:
    """What the jobs of a run took.

    Attributes:
        passes: Decoding passes per file.
        seconds: Seconds per extractor, over all workers.
        elapsed: Seconds on the clock.
        extracted: Number of features.
        peak_memory: Largest resident set of a worker in bytes.
        store_error: Why the store could not be written, if so.
        saved: Number of jobs that ran through alone after their worker had died.
        given_up: Number of jobs at which a worker died twice.
    """

    passes: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    elapsed: float = 0.0
    extracted: int = 0
    peak_memory: int = 0
    store_error: str | None = None
    saved: int = 0
    given_up: int = 0

    def take(self, result: JobResult) -> None:
        """Adds the report of one job."""
        for path, count in result.passes.items():
            self.passes[path] = self.passes.get(path, 0) + count
        for name, seconds in result.seconds.items():
            self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        self.extracted += len(result.stored) + len(result.inline)
        self.peak_memory = max(self.peak_memory, result.peak_memory)
        self.saved += len(result.deaths) == 1
        self.given_up += len(result.deaths) > 1

    def merge(self, other: Extraction) -> None:
        """Adds a further extraction of the same run."""
        for path, count in other.passes.items():
            self.passes[path] = self.passes.get(path, 0) + count
        for name, seconds in other.seconds.items():
            self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        self.elapsed += other.elapsed
        self.extracted += other.extracted
        self.peak_memory = max(self.peak_memory, other.peak_memory)
        self.store_error = self.store_error or other.store_error
        self.saved += other.saved
        self.given_up += other.given_up

    def add(self, extracted: int, seconds: Mapping[str, float]) -> None:
        """Adds what was extracted of samples, and the seconds per extractor."""
        self.extracted += extracted
        self.seconds.update(seconds)


def extract(
    waves: Sequence[Sequence[Job]],
    executor: Executor,
    features: FeatureLookup,
    progress: Progress,
    journal: Journal | None = None,
) -> Extraction:
    """Runs the jobs of a plan.

    Args:
        waves: The jobs; those of a wave run once the earlier waves are over.
        executor: Where they run.
        features: The features of the run; failures and what could not be stored join them.
        progress: Receives progress.
        journal: Notes every finished job.
    """
    extraction = Extraction()
    jobs = [job for wave in waves for job in wave]
    if not jobs:
        return extraction
    clock = time.perf_counter()
    done, broken = 0.0, 0
    progress.begin("extracting", sum(job.seconds for job in jobs), "s of media")

    def advance(inside: float) -> None:
        progress.advance(done + inside)

    for job, result in _run_waves(waves, executor, features, advance):
        extraction.take(result)
        features.put(result.inline)
        features.put(result.failures)
        done += job.seconds
        broken += any(failure.blame is Blame.OURS for failure in result.failures.values())
        progress.advance(done)
        _report(result, extraction, progress)
        if journal is not None:
            _note(job, result, journal)
    progress.end("failed" if broken == len(jobs) else f"done with errors in {broken} clips" if broken else "done")
    extraction.elapsed = time.perf_counter() - clock
    return extraction


def _run_waves(
    waves: Sequence[Sequence[Job]], executor: Executor, features: FeatureLookup, advance: OnProgress
) -> Iterator[tuple[Job, JobResult]]:
    for wave in waves:
        # What an earlier wave could not store, or failed at, is handed over; the rest is read from the store.
        ready = [replace(job, given=_at_hand(job, features)) for job in wave]
        yield from executor.run(ready, advance)


def _at_hand(job: Job, features: FeatureLookup) -> dict[str, Feature | Failure]:
    keys = [request.key for request in job.requests if request.stored and features.settled(request.key)]
    return {key: features.get(key) for key in keys}


def describe_deaths(extraction: Extraction) -> str | None:
    """Returns what became of the jobs whose worker died, ``None`` if none did."""
    saved, given_up = extraction.saved, extraction.given_up
    if not saved + given_up:
        return None
    return (
        f"worker processes died (out of memory, or a crash in a decoder) at {saved + given_up} jobs; tried again "
        f"alone, {saved} succeeded and {given_up} died again. Fewer --workers take less memory."
    )


def _note(job: Job, result: JobResult, journal: Journal) -> None:
    if result.deaths:
        clips = [Path(clip.path).name for clip in job.clips]
        journal.write("worker_died", clips=clips, causes=result.deaths, given_up=len(result.deaths) > 1)
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
    for reason in sorted({f.reason for f in result.failures.values() if f.blame is Blame.OURS and not f.lost}):
        progress.note(f"error on our side, the metrics concerned are incomplete: {reason}")


def choose_executor(config: RunConfig, jobs: int) -> Executor:
    """Returns where a number of jobs run by a run's settings."""
    store = (config.store or paths.feature_root()).absolute()
    settings = WorkerSettings(store, config.device, config.batch_size)
    if config.engine == "ray":
        return RayExecutor(settings, config.workers)
    workers = min(config.effective_workers(), jobs)
    return WarmExecutor(Worker(settings)) if workers == 1 else ProcessExecutor(settings, workers)
