"""The Ray engine against a stand-in with Ray's documented interface: clusters that run already, and stores unshared."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vidchatbench.api.features import ExtractorSpec
from vidchatbench.core.isolation import Blame
from vidchatbench.engine.extraction import executors
from vidchatbench.engine.extraction.executors import RayExecutor
from vidchatbench.engine.extraction.jobs import ClipSource, FeatureRequest, Job, JobResult
from vidchatbench.engine.extraction.worker import WorkerSettings
from vidchatbench.errors import UsageError
from vidchatbench.media.memory import MemoryClip


class RayError(Exception):
    pass


class FakeRay(ModuleType):
    """As far as the documentation of Ray says: ``init`` of a running cluster takes no ``num_cpus``."""

    def __init__(self, *, running: bool, machines: Sequence[Path | None] = (None,)) -> None:
        super().__init__("ray")
        self.running, self.machines = running, machines
        self.exceptions = SimpleNamespace(RayError=RayError)
        self.inits: list[dict[str, Any]] = []
        self.under_way = self.most_under_way = 0
        self.fail = False

    def is_initialized(self) -> bool:
        return bool(self.inits)

    def init(self, address: str | None = None, *, num_cpus: int | None = None, **options: Any) -> None:
        if address != "local":
            if not self.running:
                raise ConnectionError("Could not find any running Ray instance.")
            if num_cpus is not None:
                raise ValueError("When connecting to an existing cluster, num_cpus and num_gpus must not be provided.")
        self.inits.append({"address": address, "num_cpus": num_cpus, **options})

    def remote(self, **options: Any) -> Callable[[Any], Any]:
        assert options == {"num_cpus": 1, "num_gpus": 0, "max_retries": 1}
        return lambda function: SimpleNamespace(remote=lambda *arguments: self._submit(function, arguments))

    def _submit(self, function: Callable[..., object], arguments: tuple[Any, ...]) -> Any:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        settings, *rest = arguments
        own = self.machines[self.under_way % len(self.machines)]
        return _Reference(lambda: function(settings if own is None else replace(settings, store=own), *rest))

    def wait(self, references: list[Any], num_returns: int) -> tuple[list[Any], list[Any]]:
        return references[:num_returns], references[num_returns:]

    def get(self, reference: Any) -> object:
        self.under_way -= 1
        if self.fail:
            raise RayError("the actor died")
        return reference.call()


class _Reference:
    def __init__(self, call: Callable[[], object]) -> None:
        self.call = call


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(executors, "run_job", lambda settings, job: JobResult(stored=[job.requests[0].key]))
    made = []
    for number in range(5):
        clip = MemoryClip.of(np.full((1 + number, 8, 8, 3), number, np.uint8), fps=1)
        source = ClipSource(f"/somewhere/{number}.mp4", clip.describe())
        request = FeatureRequest(str(number), ExtractorSpec.of("t/x"), (source.sha256,))
        made.append(Job((source,), (request,)))
    return made


def run(
    ray: FakeRay, jobs: list[Job], store: Path, monkeypatch: pytest.MonkeyPatch, workers: int | None = None
) -> list[JobResult]:
    monkeypatch.setitem(sys.modules, "ray", ray)
    executor = RayExecutor(WorkerSettings(store, "cpu", 1), workers)
    return [result for _, result in executor.run(jobs, lambda done: None)]


@pytest.mark.parametrize("workers", [None, 2])
def test_a_running_cluster_is_used_as_it_is(
    tmp_path: Path, jobs: list[Job], monkeypatch: pytest.MonkeyPatch, workers: int | None
) -> None:
    ray = FakeRay(running=True)
    results = run(ray, jobs, tmp_path / "store", monkeypatch, workers)
    assert ray.inits == [{"address": "auto", "num_cpus": None, "log_to_driver": False}]
    assert [result.stored for result in results] == [["4"], ["3"], ["2"], ["1"], ["0"]], "the longest first"
    assert ray.most_under_way == (workers or 5)


def test_where_no_cluster_runs_one_is_started(tmp_path: Path, jobs: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    ray = FakeRay(running=False)
    assert len(run(ray, jobs, tmp_path / "store", monkeypatch, 3)) == 5
    assert ray.inits == [{"address": "local", "num_cpus": 3, "log_to_driver": False, "include_dashboard": False}]


def test_the_address_of_the_environment(tmp_path: Path, jobs: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    ray = FakeRay(running=True)
    run(ray, jobs, tmp_path / "store", monkeypatch, 2)
    assert ray.inits == [{"address": "10.0.0.1:6379", "num_cpus": None, "log_to_driver": False}]
    with pytest.raises(UsageError, match=r"RAY_ADDRESS=10\.0\.0\.1:6379 cannot be reached"):
        run(FakeRay(running=False), jobs, tmp_path / "store", monkeypatch)


def test_what_was_begun_by_the_caller_is_left_alone(
    tmp_path: Path, jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = FakeRay(running=True)
    ray.inits.append({"mine": True})
    run(ray, jobs, tmp_path / "store", monkeypatch, 2)
    assert ray.inits == [{"mine": True}]


@pytest.mark.parametrize("shared", [0, 1])
def test_a_machine_that_does_not_see_the_store_is_told_before_it_extracts(
    tmp_path: Path, jobs: list[Job], monkeypatch: pytest.MonkeyPatch, shared: int
) -> None:
    begun = []
    monkeypatch.setattr(executors, "run_job", lambda settings, job: begun.append(settings.store) or JobResult())
    ray = FakeRay(running=True, machines=[None] * shared + [tmp_path / "elsewhere"])
    with pytest.raises(UsageError, match=r"does not see the feature store .*store; set VIDCHATBENCH_CACHE to a folder"):
        run(ray, jobs, tmp_path / "store", monkeypatch)
    assert tmp_path / "elsewhere" not in begun
    assert list((tmp_path / "store").iterdir()) == [], "the probe is taken away again"


def test_a_store_that_cannot_be_written_needs_no_probe(
    tmp_path: Path, jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "store").write_text("a file")
    assert len(run(FakeRay(running=True), jobs, tmp_path / "store", monkeypatch)) == 5


def test_a_task_that_dies_is_our_error_at_its_job(
    tmp_path: Path, jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = FakeRay(running=True)
    ray.fail = True
    results = run(ray, jobs, tmp_path / "store", monkeypatch)
    (failure,) = results[0].failures.values()
    assert (failure.blame, failure.reason) == (Blame.OURS, "the actor died at 4.mp4")
