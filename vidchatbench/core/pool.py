"""Worker processes, each on a pipe of its own, that end with the process that started them and leave Ctrl-C to it.

Pipes need no semaphores, unlike the queues of the standard library's pool, so nothing is left behind where this process
is ended by a signal; and one that dies takes with it only what it was at.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, ParamSpec, TypeVar

from vidchatbench.core.isolation import catch

P = ParamSpec("P")
R = TypeVar("R")
Self = TypeVar("Self", bound="WorkerProcess")

_SECONDS_BETWEEN_LOOKS = 0.5
_SECONDS_TO_END = 5.0


@dataclass
class WorkerProcess:
    """A fresh process and our end of its pipe.

    Attributes:
        process: The process.
        pipe: Where it is told what to do, and answers.
    """

    process: SpawnProcess
    pipe: Connection

    @classmethod
    def start(cls: type[Self], serve: Callable[..., None], *args: object, daemon: bool = False) -> Self:
        """Starts a process that calls ``serve(pipe, *args)``.

        Args:
            serve: A function of a module, which returns where the pipe is closed.
            args: What it is given; all of it is pickled.
            daemon: End it with this process even where nobody has; it can then start no processes of its own.
        """
        context = multiprocessing.get_context("spawn")
        pipes: tuple[Any, Any] = context.Pipe()  # connections of another class on Windows
        ours, theirs = pipes
        process = context.Process(target=_serve_for, args=(os.getpid(), serve, theirs, args), daemon=daemon)
        process.start()
        theirs.close()  # or the end of the process would not show at the other end of the pipe
        return cls(process, ours)

    def end(self) -> None:
        """Waits until it ends by itself; one that does not is killed."""
        self.process.join(_SECONDS_TO_END)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.pipe.close()

    @property
    def cause(self) -> str:
        """What ended it: a signal, or its exit code."""
        exit_code = self.process.exitcode
        if exit_code is None or exit_code >= 0:
            return f"exit code {exit_code}"
        try:
            name = signal.Signals(-exit_code).name
        except ValueError:
            name = f"signal {-exit_code}"
        return {"SIGKILL": "SIGKILL, as when memory runs out"}.get(name, name)


class WorkerPool(Executor):
    """Calls functions of modules in processes that are started as they are needed.

    A call whose process dies raises ``BrokenProcessPool``; the others go on, in a new process where one is needed.

    Args:
        workers: Most processes.
    """

    def __init__(self, workers: int) -> None:
        # Each thread waits for the answer of one process.
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="pool")
        self._idle: list[WorkerProcess] = []

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Has a function called in a process; what it raises is raised by the future."""
        return self._threads.submit(self._call, partial(fn, *args, **kwargs))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no more calls; the processes end once it has waited for those that have begun."""
        self._threads.shutdown(wait=wait, cancel_futures=cancel_futures)
        if not wait:
            return
        for worker in self._idle:
            worker.pipe.close()
        while self._idle:
            self._idle.pop().end()

    def _call(self, call: Callable[[], R]) -> R:
        try:
            worker = self._idle.pop()
        except IndexError:
            worker = WorkerProcess.start(_serve_calls, daemon=True)
        is_alive = True
        try:
            worker.pipe.send(call)
            error, trace, result = worker.pipe.recv()
        except (EOFError, OSError):
            is_alive = False
            worker.end()
            raise BrokenProcessPool(f"a worker process died ({worker.cause})") from None
        finally:
            if is_alive:
                self._idle.append(worker)
        if error is not None:
            raise error from _WorkerTraceback(trace)
        answer: R = result
        return answer


class _WorkerTraceback(Exception):  # noqa: N818 - it shows where in the worker the error arose
    """The traceback of an error that another process has raised."""


def worker_pool(workers: int) -> WorkerPool:
    """Returns a pool of at most so many fresh processes."""
    return WorkerPool(workers)


def _serve_calls(pipe: Connection) -> None:
    while True:
        try:
            call: Callable[[], object] = pipe.recv()
        except EOFError:
            return
        result = catch(call)
        if isinstance(result, Exception):
            trace = "".join(traceback.format_exception(type(result), result, result.__traceback__))
            pipe.send((result, f"\n{trace}", None))
        else:
            pipe.send((None, "", result))


def _serve_for(parent: int, serve: Callable[..., None], pipe: Connection, args: tuple[object, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that reads the results
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    serve(pipe, *args)


def _end_with(parent: int) -> None:
    # A worker that computes does not look at its pipe, and would go on for a parent that was killed.
    while os.getppid() == parent:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    os._exit(1)
