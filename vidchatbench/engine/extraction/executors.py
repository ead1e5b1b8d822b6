"""Executors: where jobs run. In this process, in local worker processes, or on a Ray cluster."""

from __future__ import annotations

import contextlib
import functools
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from vidchatbench.core import paths
from vidchatbench.engine.extraction.jobs import Job, JobResult
from vidchatbench.engine.extraction.processes import Death, ProcessPool, Runner, died
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

    def close(self) -> None:
        """Lets go of what is kept between calls."""
        ...


class WarmExecutor:
    """Runs jobs one by one in this process, on a worker that keeps its models loaded between calls.

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
        """Lets go of all models."""
        self._worker.release()


class ProcessExecutor:
    """Runs jobs in local worker processes, which keep their models loaded between calls.

    A worker that dies (out of memory, a crash inside a codec) takes only its own job with it. The others go on beside
    a new process; the job is run once more when nothing else runs, and if it kills its worker again, it is given up as
    our error.

    Args:
        settings: How each worker is to run.
        workers: Number of processes.
        make: What runs the jobs in a process.
    """

    def __init__(
        self, settings: WorkerSettings, workers: int, make: Callable[[WorkerSettings], Runner] = Worker
    ) -> None:
        self._pool = ProcessPool(settings, workers, make)
        self._alone = ProcessPool(settings, 1, make)

    def run(self, jobs: Sequence[Job], on_progress: OnProgress) -> Iterator[tuple[Job, JobResult]]:
        """See :class:`Executor`."""
        del on_progress  # what happens inside another process is seen when its job ends
        # The longest first, so that no worker is left with a long clip at the end.
        ordered = sorted(jobs, key=lambda job: -job.seconds)
        again: list[tuple[Job, str]] = []
        for job, outcome in self._pool.run(ordered):
            if isinstance(outcome, Death):
                again.append((job, outcome.cause))
            else:
                yield job, outcome
        if again:
            self._pool.close()  # what waits holds memory, of which there may have been too little
        for job, first in again:
            for _, outcome in self._alone.run([job]):
                if isinstance(outcome, Death):
                    causes = first if outcome.cause == first else f"{first}; {outcome.cause}"
                    result = died(job, f"the worker process died twice ({causes})")
                else:
                    result = outcome
                result.deaths = [first, *([outcome.cause] if isinstance(outcome, Death) else [])]
                yield job, result
        self._alone.close()

    def close(self) -> None:
        """Ends the processes."""
        self._pool.close()
        self._alone.close()


class RayExecutor:
    """Runs jobs on a Ray cluster; the feature store must lie on storage that all its machines share.

    A cluster that runs already is used as it is; else one is started on this computer.

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
        """See :class:`Executor`.

        Raises:
            UsageError: If the cluster cannot be reached, or one of its machines does not see the store.
        """
        del on_progress
        ray = self._ray
        self._connect()
        gpus = 0 if self._settings.device.startswith("cpu") else 1
        remote = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=1)(run_shared_job)
        queue = deque(sorted(jobs, key=lambda job: -job.seconds))
        waiting: dict[Any, Job] = {}
        with _probe(self._settings.store) as probe:
            while queue or waiting:
                while queue and (self._workers is None or len(waiting) < self._workers):
                    job = queue.popleft()
                    waiting[remote.remote(self._settings, job, probe)] = job
                ended, _ = ray.wait(list(waiting), num_returns=1)
                for reference in ended:
                    job = waiting.pop(reference)
                    yield job, self._result(job, reference)

    def close(self) -> None:
        """Does nothing: the cluster is not ours alone."""

    def _connect(self) -> None:
        ray = self._ray
        if ray.is_initialized():
            return
        address = os.environ.get("RAY_ADDRESS")
        try:
            # Of a cluster that runs, nobody may say how many cores it has.
            ray.init(address=address or "auto", log_to_driver=False)
        except ConnectionError as error:
            if address:
                raise UsageError(f"the Ray cluster at RAY_ADDRESS={address} cannot be reached: {error}") from error
            ray.init(address="local", num_cpus=self._workers, log_to_driver=False, include_dashboard=False)

    def _result(self, job: Job, reference: object) -> JobResult:
        try:
            result: JobResult | None = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            return died(job, str(error))
        if result is None:
            raise UsageError(
                f"a machine of the Ray cluster does not see the feature store {self._settings.store}; set "
                f"{paths.CACHE_VARIABLE} to a folder on storage that all machines share, or leave out --engine ray"
            )
        return result


@contextlib.contextmanager
def _probe(store: Path) -> Iterator[str]:
    """Gives the name of a file that lies in the store while jobs run, so that workers can tell whether they share it.

    A store that cannot be written gives no name: then features are handed over instead.
    """
    path = store / f".probe-{uuid4().hex}"
    try:
        store.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError:
        yield ""
        return
    try:
        yield path.name
    finally:
        with contextlib.suppress(OSError):
            path.unlink()


def run_shared_job(settings: WorkerSettings, job: Job, probe: str) -> JobResult | None:
    """Runs one job on a machine of a cluster; ``None`` where its store is not the one that the probe lies in."""
    if probe and not (settings.store / probe).is_file():
        return None
    return run_job(settings, job)


def run_job(settings: WorkerSettings, job: Job) -> JobResult:
    """Runs one job in a worker process, whose models stay loaded between jobs."""
    return _worker_of(settings).run(job)


@functools.cache
def _worker_of(settings: WorkerSettings) -> Worker:
    return Worker(settings)
