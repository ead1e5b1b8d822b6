"""Stands in for the worker of a process: it dies, waits or works, as the name of the job's clip tells it to."""

from __future__ import annotations

import os
import signal
import time

import numpy as np

from vidchatbench.api.features import Feature
from vidchatbench.engine.extraction.jobs import Job, JobResult
from vidchatbench.engine.extraction.worker import WorkerSettings


class DeadlyWorker:
    def __init__(self, settings: WorkerSettings) -> None:
        self._folder = settings.store

    def run(self, job: Job) -> JobResult:
        kind = job.clips[0].path.split()[-1]
        (self._folder / f"begun {kind} {os.getpid()}").touch()
        spared = self._folder / "spared"
        if kind == "killed" or (kind == "killed_once" and not spared.exists()):
            if kind == "killed_once":
                spared.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        elif kind == "crashes":
            os.kill(os.getpid(), signal.SIGSEGV)
        elif kind == "leaves":
            os._exit(7)
        elif kind == "waits":
            time.sleep(600)
        return JobResult(inline={job.requests[0].key: Feature({"pid": np.array([os.getpid()])})})


class BrokenWorker(DeadlyWorker):
    def __init__(self, settings: WorkerSettings) -> None:
        raise RuntimeError("no weights here")
