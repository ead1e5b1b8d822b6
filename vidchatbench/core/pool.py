"""Worker processes that end with the process that started them; those of a pool leave Ctrl-C to it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ProcessPoolExecutor

_SECONDS_BETWEEN_LOOKS = 0.5


def worker_pool(workers: int) -> ProcessPoolExecutor:
    """Returns a pool of fresh processes."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(os.getpid(),))


def follow(parent: int) -> None:
    """Lets this process end with the one that started it, also where that one is killed."""
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _begin(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    follow(parent)


def _end_with(parent: int) -> None:
    # A worker waits on a pipe that it holds itself, so it would wait for ever for a parent that was killed.
    while os.getppid() == parent:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    os._exit(1)
