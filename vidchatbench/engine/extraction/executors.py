"""Executors: where jobs run. In this process, in local worker processes, or on a Ray cluster."""

from __future__ import annotations

import functools
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.synchronize import Event
from typing import Any, Protocol

from vidchatbench.core.isolation import Blame, Failure
from vidchatbench.core.pool import follow
from vidchatbench.engine.extraction.jobs import Job, JobResult
from vidchatbench.engine.extraction.worker import Worker, WorkerSettings
from vidchatbench.errors import UsageError

OnProgress = Callable[[float], None]


class Executor(Protocol):
    """Runs jobs and yields each with its result, in the order in which they end."""

    def run(self, jobs: Sequence[Job], on_progress: OnProgress) -> Iterator[tuple[Job, JobResult]]:
        """Runs the jobs.

        Args:
            jobs: The jobs.
            on_progress: Called with the seconds of media that the running job has read so far, where that is known
                before a job ends.
        """
        ...


class InProcessExecutor:
    """Runs jobs one by one in this process."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings

    def run(self, jobs: Sequence[Job], on_progress: OnProgress) -> Iterator[tuple[Job, JobResult]]:
        """See :class:`Executor`."""
        warm = WarmExecutor(Worker(self._settings))
        try:
            yield from warm.run(jobs, on_progress)
        finally:
            warm.close()


class WarmExecutor:
    """Runs jobs one by one on a worker that keeps its models loaded between calls.

    Args:
        worker: The worker.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def run(self, jobs: Sequence[Job], on_progress: OnProgress) -> Iterator[tuple[Job, JobResult]]:
        """See :class:`Executor`."""
        for job in jobs:
            yield job, self._worker.run(job, on_progress)

    def close(self) -> None:
        """Releases all models."""
        self._worker.release()


class ProcessExecutor:
    """Runs jobs in local worker processes.

    A worker that dies (out of memory, a crash inside a codec) takes only its own job with it: unfinished jobs are
    run again one at a time, and one that kills its worker a second time is given up as our error.

    Args:
        settings: How each worker is to run.
        workers: Number of processes.
    """

    def __init__(self, settings: WorkerSettings, workers: int) -> None:
        self._settings = settings
        self._workers = workers

    def run(self, jobs: Sequence[Job], on_progress: OnProgress) -> Iterator[tuple[Job, JobResult]]:
        """See :class:`Executor`."""
        del on_progress  # what happens inside another process is seen when its job ends
        unfinished = list(jobs)
        for job, result in self._pool_run(unfinished, self._workers):
            unfinished.remove(job)
            yield job, result
        for job in unfinished:
            results = list(self._pool_run([job], 1))
            yield results[0] if results else (job, _died(job))

    def _pool_run(self, jobs: Sequence[Job], workers: int) -> Iterator[tuple[Job, JobResult]]:
        context = multiprocessing.get_context("spawn")
        # The longest first, so that no worker is left with a long clip at the end.
        ordered = sorted(jobs, key=lambda job: -job.seconds)
        started = context.Event()
        with ProcessPoolExecutor(
            max_workers=min(workers, len(jobs)) or 1,
            mp_context=context,
            initializer=_begin,
            initargs=(started, os.getpid()),
        ) as pool:
            waiting: dict[Future[JobResult], Job] = {pool.submit(run_job, self._settings, job): job for job in ordered}
            try:
                while waiting:
                    ended, _ = wait(waiting, return_when=FIRST_COMPLETED)
                    for future in ended:
                        job = waiting.pop(future)
                        yield job, future.result()
            except BrokenProcessPool as error:
                if not started.is_set():
                    raise UsageError(
                        "no worker process could start; in a script, call evaluate() below "
                        "`if __name__ == '__main__':`, or pass RunConfig(workers=1)"
                    ) from error
                return
            finally:
                pool.shutdown(wait=False, cancel_futures=True)


def _begin(started: Event, parent: int) -> None:
    follow(parent)
    started.set()


class RayExecutor:
    """Runs jobs on a Ray cluster; the feature store must lie on storage that all its machines share.

    Args:
        settings: How each worker is to run.
        workers: Most jobs at a time, or ``None`` for as many as the cluster has cores or GPUs.
    """

    def __init__(self, settings: WorkerSettings, workers: int | None) -> None:
        import ray  # pyright: ignore[reportMissingImports] - an extra, checked before the run

        self._ray: Any = ray
        self._settings = settings
        self._workers = workers

    def run(self, jobs: Sequence[Job], on_progress: OnProgress) -> Iterator[tuple[Job, JobResult]]:
        """See :class:`Executor`."""
        del on_progress
        ray = self._ray
        if not ray.is_initialized():
            ray.init(num_cpus=self._workers, log_to_driver=False, include_dashboard=False)
        gpus = 0 if self._settings.device.startswith("cpu") else 1
        remote = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=1)(run_job)
        waiting = {remote.remote(self._settings, job): job for job in sorted(jobs, key=lambda job: -job.seconds)}
        while waiting:
            ended, _ = ray.wait(list(waiting), num_returns=1)
            for reference in ended:
                job = waiting.pop(reference)
                try:
                    yield job, ray.get(reference)
                except ray.exceptions.RayError as error:
                    yield job, _died(job, str(error))


def run_job(settings: WorkerSettings, job: Job) -> JobResult:
    """Runs one job in a worker process, whose models stay loaded between jobs."""
    return _worker_of(settings).run(job)


@functools.cache
def _worker_of(settings: WorkerSettings) -> Worker:
    return Worker(settings)


def _died(job: Job, reason: str | None = None) -> JobResult:
    clips = ", ".join(clip.path for clip in job.clips)
    text = reason or "the worker process died twice (out of memory, or a crash in a decoder)"
    failure = Failure(Blame.OURS, f"{text} at {clips}")
    return JobResult(failures={task.key: failure for task in job.tasks if not task.stored})
