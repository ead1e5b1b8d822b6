"""How a run is carried out.

Device, workers, batch size, engine and store change no number. What does change one is marked in the results: the seed,
brought transcripts and the judge by the protocol id of what they enter.
"""

from __future__ import annotations

import importlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vidchatbench.errors import UnavailableError, UsageError

_DEVICE = re.compile(r"^(cpu|cuda(:\d+)?)$")


@dataclass(frozen=True)
class RunConfig:
    """Settings of a run.

    Attributes:
        device: ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
        workers: Worker processes; by default one per core on the CPU and one per GPU process otherwise.
        batch_size: Most frames to put through a model at once.
        engine: ``"local"`` processes or a ``"ray"`` cluster.
        seed: Seed of the intervals.
        store: Folder of the feature store; by default in the cache.
        permissive: Leave out metrics whose weights are not for commercial use; the results list them.
        transcripts: File of what is heard in each reply, instead of having it heard here.
        asr: Size of the Whisper that hears the replies, such as ``"base"``; by default what the suite says.
        judge: Who judges dialogue: ``URL#MODEL``, several of them separated by commas, or a TOML file.
        judge_budget: Most that the judge may cost, such as ``"200k tokens"`` or ``"5 USD"``.
        fallible: Whether more samples of the system could fail, as those of a model can; replies that are made for a
            scale or an audit cannot. See :func:`vidchatbench.results.aggregate.aggregate`.
    """

    device: str = "cpu"
    workers: int | None = None
    batch_size: int = 16
    engine: Literal["local", "ray"] = "local"
    seed: int = 0
    store: Path | None = None
    permissive: bool = False
    transcripts: Path | None = None
    asr: str | None = None
    judge: str | None = None
    judge_budget: str | None = None
    fallible: bool = True

    def __post_init__(self) -> None:
        if not _DEVICE.match(self.device):
            raise UsageError(f"there is no device {self.device!r}; use cpu, cuda or cuda:N")
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"workers must be at least 1, not {self.workers}")
        if self.batch_size < 1:
            raise UsageError(f"the batch size must be at least 1, not {self.batch_size}")
        if self.engine not in {"local", "ray"}:
            raise UsageError(f"there is no engine {self.engine!r}; use local or ray")
        if self.asr is not None and self.transcripts is not None:
            raise UsageError("--asr has the replies heard here, --transcripts brings what is heard; give one of them")

    def overrides(self) -> dict[str, str]:
        """Returns the parameters that metrics get which have them."""
        parameters = {} if self.transcripts is None else {"transcripts": "given"}
        return parameters if self.judge is None else {**parameters, "judge": self.judge}

    def effective_workers(self) -> int:
        """Returns the number of worker processes."""
        if self.workers is not None:
            return self.workers
        if self.device != "cpu":
            return 1
        return _usable_cores()

    def check_engine(self) -> None:
        """Makes sure that the engine is there.

        Raises:
            UnavailableError: If Ray was asked for and is not installed.
        """
        if self.engine == "ray":
            try:
                importlib.import_module("ray")
            except ImportError as error:
                raise UnavailableError("Ray is not installed", "pip install 'vidchatbench[ray]'") from error

    def check_device(self) -> None:
        """Makes sure that the device is there.

        Raises:
            UnavailableError: If CUDA was asked for and torch finds none, or not that many devices.
        """
        if self.device == "cpu":
            return
        import torch  # loaded only where a GPU was asked for

        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        index = int(self.device.partition(":")[2] or 0)
        if index >= count:
            what = f"device {self.device!r} is not on this computer ({count} GPUs found)"
            raise UnavailableError(what, "--device cpu")


def _usable_cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else (os.cpu_count() or 1)
