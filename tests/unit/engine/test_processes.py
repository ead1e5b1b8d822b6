"""A worker process that dies takes only its own job with it, and everybody is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from deadly_worker import BrokenWorker, DeadlyWorker
from processes import all_ended, children, until

from vidchatbench.api.features import ExtractorSpec
from vidchatbench.core.isolation import Blame
from vidchatbench.core.progress import SilentProgress
from vidchatbench.engine.extraction.executors import ProcessExecutor
from vidchatbench.engine.extraction.extract import Extraction, describe_deaths, extract
from vidchatbench.engine.extraction.jobs import ClipSource, FeatureRequest, Job
from vidchatbench.engine.extraction.worker import WorkerSettings
from vidchatbench.engine.features.lookup import FeatureLookup
from vidchatbench.engine.features.memory import MemoryStore
from vidchatbench.engine.journal import Journal, read_journal
from vidchatbench.media.memory import MemoryClip

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="signals of Unix")


def job(number: int, kind: str) -> Job:
    clip = MemoryClip.of(np.full((1, 8, 8, 3), number, np.uint8), fps=25)
    source = ClipSource(f"/somewhere/clip {number} {kind}", clip.describe())
    return Job((source,), (FeatureRequest(str(number), ExtractorSpec.of("t/deadly"), (source.sha256,)),))


def run(folder: Path, kinds: list[str], workers: int = 2, make: type[DeadlyWorker] = DeadlyWorker) -> Extraction:
    jobs = [job(number, kind) for number, kind in enumerate(kinds)]
    return run_waves(folder, [jobs], workers, make)


def run_waves(
    folder: Path, waves: list[list[Job]], workers: int = 2, make: type[DeadlyWorker] = DeadlyWorker
) -> Extraction:
    executor = ProcessExecutor(WorkerSettings(folder, "cpu", 1), workers, make)
    try:
        return extract(waves, executor, FEATURES, SilentProgress(), Journal(folder))
    finally:
        executor.close()


FEATURES = FeatureLookup(MemoryStore())


def outcomes(count: int) -> list[object]:
    """The process that computed each feature, or why there is none."""
    found = [FEATURES.get(str(number)) for number in range(count)]
    return [int(f["pid"][0]) if hasattr(f, "arrays") else (f.blame, f.reason) for f in found]


def test_only_the_job_that_kills_its_worker_is_lost(tmp_path: Path) -> None:
    kinds = ["works", "works", "killed", "works", "killed_once", "works", "crashes", "works", "leaves", "works"]
    extraction = run(tmp_path, kinds)
    found = outcomes(len(kinds))
    died = "the worker process died twice"
    assert found[2] == (Blame.OURS, f"{died} (SIGKILL, as when memory runs out) at clip 2 killed"), "without its folder"
    assert found[6] == (Blame.OURS, f"{died} (SIGSEGV) at clip 6 crashes")
    assert found[8] == (Blame.OURS, f"{died} (exit code 7) at clip 8 leaves")
    pids = [pid for pid in found if isinstance(pid, int)]
    assert len(pids) == 7
    (spared,) = {found[4]}
    rest = {pid for pid in pids if pid != spared}
    assert len(rest) <= 2 + 4, "at most a new process for each that died"
    assert (extraction.saved, extraction.given_up, extraction.extracted) == (1, 3, 7)
    message = describe_deaths(extraction)
    assert message is not None
    assert "at 4 jobs; tried again alone, 1 succeeded and 3 died again" in message
    events = [event for event in read_journal(tmp_path) if event["event"] == "worker_died"]
    assert sorted((event["clips"], len(event["causes"]), event["given_up"]) for event in events) == [  # type: ignore[arg-type, type-var]
        (["clip 2 killed"], 2, True),
        (["clip 4 killed_once"], 1, False),
        (["clip 6 crashes"], 2, True),
        (["clip 8 leaves"], 2, True),
    ]


def test_one_process_serves_all_jobs_where_nobody_dies(tmp_path: Path) -> None:
    extraction = run(tmp_path, ["works"] * 6, workers=3)
    assert len(set(outcomes(6))) <= 3
    assert describe_deaths(extraction) is None
    assert [event["event"] for event in read_journal(tmp_path)] == ["extracted"] * 6


def test_the_same_processes_serve_every_wave(tmp_path: Path) -> None:
    waves = [[job(2 * wave, "works"), job(2 * wave + 1, "works")] for wave in range(3)]
    run_waves(tmp_path, waves)
    assert len(set(outcomes(6))) <= 2
    assert not set(outcomes(6)) & set(children(os.getpid())), "and end with the last"


def test_a_process_that_died_in_one_wave_is_replaced_for_the_next(tmp_path: Path) -> None:
    waves = [[job(0, "killed_once"), job(1, "works")], [job(2, "works"), job(3, "works")], [job(4, "killed")]]
    extraction = run_waves(tmp_path, waves)
    assert all(isinstance(outcome, int) for outcome in outcomes(4))
    assert (extraction.saved, extraction.given_up, extraction.extracted) == (1, 1, 4)


def test_a_process_that_dies_while_it_waits_loses_no_job(tmp_path: Path) -> None:
    executor = ProcessExecutor(WorkerSettings(tmp_path, "cpu", 1), 1, DeadlyWorker)
    try:
        first = [result for _, result in executor.run([job(0, "works")], lambda _: None)]
        (waiting,) = [pid for pid in children(os.getpid()) if pid == int(first[0].inline["0"]["pid"][0])]
        os.kill(waiting, signal.SIGKILL)
        until(lambda: Path(f"/proc/{waiting}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z")
        (last,) = [result for _, result in executor.run([job(1, "works")], lambda _: None)]
        assert last.failures == {}
        assert int(last.inline["1"]["pid"][0]) != waiting
    finally:
        executor.close()


def test_every_job_may_kill_its_worker(tmp_path: Path) -> None:
    extraction = run(tmp_path, ["killed"] * 3)
    assert [outcome[0] for outcome in outcomes(3)] == [Blame.OURS] * 3  # type: ignore[index]
    assert extraction.given_up == 3


def test_a_worker_that_cannot_be_made_is_our_error_at_every_job(tmp_path: Path) -> None:
    run(tmp_path, ["works"] * 3, make=BrokenWorker)
    assert outcomes(3) == [(Blame.OURS, "RuntimeError: no weights here")] * 3


SCRIPT = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a process in the background would ignore it
import sys
from pathlib import Path
sys.path[:0] = {paths!r}
from test_processes import run
if {guarded} or __name__ == "__main__":
    run(Path({folder!r}), {kinds!r})
"""


def start(folder: Path, kinds: list[str], *, guarded: bool = True) -> subprocess.Popen[str]:
    here = Path(__file__).resolve()
    paths = [str(here.parent), str(here.parents[2] / "support")]
    script = folder / "script.py"
    script.write_text(SCRIPT.format(paths=paths, guarded=not guarded, folder=str(folder), kinds=kinds))
    return subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_ends_everything_and_leaves_no_warning(tmp_path: Path, number: signal.Signals) -> None:
    process = start(tmp_path, ["waits", "waits", "works"])
    until(lambda: len(list(tmp_path.glob("begun waits *"))) == 2)
    workers = children(process.pid)
    assert len(workers) >= 2
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode != 0
    until(lambda: all_ended(workers))
    assert "semaphore" not in said
    assert "leaked" not in said


def test_a_script_without_a_guard_is_told_what_to_do(tmp_path: Path) -> None:
    process = start(tmp_path, ["works", "works"], guarded=False)
    _, said = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "no worker process could start; in a script, call evaluate() below `if __name__ == '__main__':`" in said
