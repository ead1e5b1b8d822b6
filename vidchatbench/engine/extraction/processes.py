"""Local worker processes that run jobs: one that dies takes with it only the job that it was at.

The pool of the standard library gives all jobs up when one process dies, and does not tell which one it was at.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Protocol

from vidchatbench.core.isolation import Blame, Failure, attempt
from vidchatbench.core.pool import WorkerProcess
from vidchatbench.engine.extraction.jobs import Job, JobResult
from vidchatbench.engine.extraction.worker import Worker, WorkerSettings
from vidchatbench.errors import UsageError

MAX_FAILED_STARTS = 3
_READY = "ready"


class Runner(Protocol):
    """Runs jobs within one process."""

    def run(self, job: Job) -> JobResult:
        """Runs a job; faults end up in the result."""
        ...


@dataclass(frozen=True)
class Death:
    """A worker process that died at a job.

    Attributes:
        cause: What ended it: a signal, or its exit code.
    """

    cause: str


@dataclass
class _Process(WorkerProcess):
    job: Job | None = None
    is_ready: bool = False

    def hand(self, job: Job | None) -> None:
        """Hands it a job, or its leave."""
        self.job = job
        try:
            self.pipe.send(job)
        except OSError:  # it died in the meantime, which shows when it is waited for
            return


@dataclass
class ProcessPool:
    """Runs jobs in worker processes; a process that dies is replaced.

    Between calls the processes wait for more, with their models loaded, until the pool is closed.

    Attributes:
        settings: How each worker is to run.
        workers: Number of processes.
        make: What runs the jobs in a process.
    """

    settings: WorkerSettings
    workers: int
    make: Callable[[WorkerSettings], Runner] = Worker
    _living: list[_Process] = field(default_factory=list)
    _failed_starts: int = 0
    _one_was_ready: bool = False

    def run(self, jobs: Iterable[Job]) -> Iterator[tuple[Job, JobResult | Death]]:
        """Yields each job with its result, or with the death of the process that was at it.

        Raises:
            UsageError: If no worker process can start.
        """
        queue = deque(jobs)
        finished = False
        try:
            for worker in self._living:
                if queue and worker.is_ready:
                    worker.hand(queue.popleft())
            for _ in range(min(self.workers - len(self._living), len(queue))):
                self._start()
            while queue or any(worker.job is not None for worker in self._living):
                if not self._living:
                    self._start()
                ready = wait([worker.pipe for worker in self._living])
                for worker in [worker for worker in self._living if worker.pipe in ready]:
                    job, outcome = worker.job, self._hear(worker)
                    self._go_on(worker, queue)
                    if job is not None and outcome is not None:
                        yield job, outcome
            finished = True
        finally:
            if not finished:
                self.close()

    def close(self) -> None:
        """Ends the processes: those that wait by their leave, the others at once."""
        for worker in self._living:
            if worker.is_ready and worker.job is None:
                worker.hand(None)
            else:
                worker.process.terminate()
        for worker in self._living:
            worker.end()
        self._living.clear()

    def _go_on(self, worker: _Process, queue: deque[Job]) -> None:
        """Hands a worker that was heard its next job; one that died is replaced if there is enough to do."""
        if worker not in self._living:
            if len(self._living) < min(self.workers, len(queue)):
                self._start()
        elif queue:
            worker.hand(queue.popleft())
        else:
            worker.job = None

    def _start(self) -> None:
        self._living.append(_Process.start(_serve, self.make, self.settings))

    def _hear(self, worker: _Process) -> JobResult | Death | None:
        """Takes what a worker sent; one that died joins the living no more."""
        try:
            message: object = worker.pipe.recv()
        except (EOFError, OSError):
            self._living.remove(worker)
            worker.end()
            if worker.is_ready:
                return Death(worker.cause)
            self._failed_starts += 1
            if self._failed_starts >= MAX_FAILED_STARTS or not (self._living or self._one_was_ready):
                raise UsageError(
                    "no worker process could start; in a script, call evaluate() below "
                    "`if __name__ == '__main__':`, or pass RunConfig(workers=1)"
                ) from None
            return None
        worker.is_ready = self._one_was_ready = True
        if isinstance(message, Failure) and worker.job is not None:
            keys = [request.key for request in worker.job.requests if not request.stored]
            return JobResult(failures=dict.fromkeys(keys, message))
        return message if isinstance(message, JobResult) else None


def died(job: Job, cause: str) -> JobResult:
    """Returns the result of a job that cannot be run: our error, at the clips of the job."""
    clips = ", ".join(Path(clip.path).name for clip in job.clips)
    failure = Failure(Blame.OURS, f"{cause} at {clips}")
    return JobResult(failures={request.key: failure for request in job.requests if not request.stored})


def _serve(pipe: Connection, make: Callable[[WorkerSettings], Runner], settings: WorkerSettings) -> None:
    """What a worker process does: jobs, one after the other, until it gets its leave."""
    pipe.send(_READY)
    worker: Runner | None = None
    while True:
        try:
            job: Job | None = pipe.recv()
        except EOFError:
            return
        if job is None:
            return
        if worker is None:
            made = attempt(lambda: make(settings))
            if isinstance(made, Failure):
                pipe.send(made)
                continue
            worker = made
        pipe.send(worker.run(job))
