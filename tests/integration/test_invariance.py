"""The numbers depend on the clips and the protocol alone: not on workers, order, batches, or an interrupted run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from integration_support import Excerpt, write_benchmark
from numpy.typing import NDArray
from processes import all_ended, children, until

import vidchatbench as vcb
from vidchatbench.demo import DemoPaths
from vidchatbench.engine.extraction.worker import guarded_torch
from vidchatbench.engine.features.store import FeatureStore
from vidchatbench.engine.journal import read_journal
from vidchatbench_metrics.faces.mtcnn import FaceDetector

METRICS = [
    "video_quality/psnr",
    "video_quality/ssim",
    "video_quality/face_motion",
    "video_quality/steadiness",
    "video_quality/sharpness",
    "video_quality/face_presence",
    "voice/resemblyzer",
]
SYSTEM = "shifted"


def numbers(run: Path) -> tuple[str, list[dict[str, object]]]:
    """Every number of a run: the metrics as text, and the per-sample rows in a fixed order."""
    results = json.loads((run / "results.json").read_text())
    rows = pq.read_table(run / "samples.parquet").to_pylist()
    return json.dumps(results["metrics"], sort_keys=True), sorted(rows, key=lambda r: (r["sample_id"], r["metric"]))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("invariance")


@pytest.fixture(scope="module")
def baseline(demo: DemoPaths, scratch: Path) -> Path:
    config = vcb.RunConfig(workers=1, batch_size=16, store=scratch / "store_baseline")
    out = scratch / "baseline"
    vcb.evaluate(demo.systems[SYSTEM], benchmark=demo.benchmark, metrics=METRICS, out=out, config=config)
    return out


def test_the_baseline_is_no_trivial_case(baseline: Path) -> None:
    results = vcb.load_results(baseline)
    assert results.complete
    assert {metric.n_ok for metric in results.metrics} == {4}
    assert 10 < (results.metric("video_quality/psnr").value or 0) < 60
    passes = results.run.decode_passes
    assert {name: 1 if name.startswith("outputs/") else 2 for name in passes} == passes, "references also for windows"
    assert len(passes) == 8


def test_two_workers_and_a_batch_of_one(demo: DemoPaths, baseline: Path, scratch: Path) -> None:
    config = vcb.RunConfig(workers=2, batch_size=1, store=scratch / "store_two")
    out = scratch / "two"
    vcb.evaluate(demo.systems[SYSTEM], benchmark=demo.benchmark, metrics=METRICS, out=out, config=config)
    assert vcb.load_results(out).run.workers == 2
    assert numbers(out) == numbers(baseline)


def test_another_order_of_samples_and_metrics(demo: DemoPaths, baseline: Path, scratch: Path) -> None:
    shuffled = scratch / "shuffled_benchmark"
    shutil.copytree(demo.benchmark, shuffled)
    lines = [json.loads(line) for line in (demo.benchmark / "manifest.jsonl").read_text().splitlines()]
    write_benchmark(shuffled, lines[::-1])
    out = scratch / "shuffled"
    config = vcb.RunConfig(workers=1, store=scratch / "store_baseline")
    vcb.evaluate(demo.systems[SYSTEM], benchmark=shuffled, metrics=METRICS[::-1], out=out, config=config)
    mine, theirs = (json.loads(numbers(run)[0]) for run in (out, baseline))
    assert sorted(mine, key=lambda m: m["id"]) == sorted(theirs, key=lambda m: m["id"])
    assert numbers(out)[1] == numbers(baseline)[1]


def test_scoring_from_a_full_store_decodes_nothing(demo: DemoPaths, baseline: Path, scratch: Path) -> None:
    out = scratch / "again"
    config = vcb.RunConfig(workers=1, store=scratch / "store_baseline")
    results = vcb.evaluate(demo.systems[SYSTEM], benchmark=demo.benchmark, metrics=METRICS, out=out, config=config)
    assert results.run.features_extracted == 0
    assert results.run.decode_passes == {}
    assert numbers(out) == numbers(baseline)
    assert (out / "samples.parquet").read_bytes() == (baseline / "samples.parquet").read_bytes()


def test_killed_and_started_again(demo: DemoPaths, baseline: Path, scratch: Path) -> None:
    out, cache = scratch / "killed", scratch / "killed_cache"
    command = [sys.executable, "-m", "vidchatbench", "evaluate", str(demo.systems[SYSTEM])]
    command += ["--benchmark", str(demo.benchmark), "--out", str(out), "--metrics", ",".join(METRICS), "--workers", "1"]
    environment = {**os.environ, "VIDCHATBENCH_CACHE": str(cache)}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    # Killed in the middle of the first batch of stored features, when some are there and some are not.
    while not list(cache.rglob("*.safetensors")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {path.name for path in cache.rglob("*.safetensors")}
    assert kept, "nothing had been stored before the run was killed"
    assert not (out / "results.json").exists(), "the run ended before it could be killed"
    second = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert second.returncode == 0, second.stderr
    results = vcb.load_results(out)
    # What was kept may be a guide alone, which no metric reads; it is not extracted again either.
    assert results.run.features_extracted + len(kept) == len(list(cache.rglob("*.safetensors")))
    assert numbers(out) == numbers(baseline)
    assert [event["event"] for event in read_journal(out)].count("planned") == 2
    # What the kill cut off in the middle of writing never got its name.
    assert len(list(cache.rglob("*.tmp"))) <= 1


def test_workers_end_with_the_run_that_was_killed(demo: DemoPaths, scratch: Path) -> None:
    out, cache = scratch / "orphaned", scratch / "orphaned_cache"
    command = [sys.executable, "-m", "vidchatbench", "evaluate", str(demo.systems[SYSTEM])]
    command += ["--benchmark", str(demo.benchmark), "--out", str(out), "--metrics", METRICS[0], "--workers", "2"]
    environment = {**os.environ, "VIDCHATBENCH_CACHE": str(cache)}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    until(lambda: any(cache.rglob("*.safetensors")), 200)
    workers = children(process.pid)
    assert len(workers) >= 2
    process.kill()
    process.wait()
    until(lambda: all_ended(workers), 15)


def test_a_full_disk_costs_the_store_but_not_the_run(
    demo: DemoPaths, baseline: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[str] = []

    class Listener:
        def begin(self, stage: str, total: float, unit: str) -> None: ...
        def advance(self, done: float) -> None: ...
        def note(self, message: str) -> None:
            notes.append(message)

        def end(self, outcome: str = "done") -> None: ...

    def full(self: FeatureStore, *_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FeatureStore, "save", full)
    out = scratch / "full"
    config = vcb.RunConfig(workers=1, store=scratch / "store_full")
    vcb.evaluate(
        demo.systems[SYSTEM],
        benchmark=demo.benchmark,
        metrics=METRICS,
        out=out,
        config=config,
        progress=Listener(),
    )
    assert numbers(out) == numbers(baseline)
    assert any("No space left on device" in note and "VIDCHATBENCH_CACHE" in note for note in notes)
    assert sum("feature store" in note for note in notes) == 1


def test_a_read_only_cache_costs_the_store_but_not_the_run(demo: DemoPaths, scratch: Path) -> None:
    # A file where a folder must be made is refused to every user, the superuser included.
    blocked = scratch / "blocked"
    blocked.write_text("")
    metrics = ["video_quality/steadiness"]
    config = vcb.RunConfig(workers=2, store=blocked / "store")
    results = vcb.evaluate(
        demo.systems[SYSTEM], benchmark=demo.benchmark, metrics=metrics, out=scratch / "ro", config=config
    )
    assert results.complete
    assert results.metrics[0].n_ok == 4


def test_detection_does_not_depend_on_the_batch(excerpt: Excerpt) -> None:
    frames: list[NDArray[np.uint8]] = excerpt.frames[:16]
    with guarded_torch("cpu"):
        detector = FaceDetector("cpu", 32)
        together = detector.detect(frames)
        alone = [detector.detect([frame])[0] for frame in frames]
    for one, other in zip(together, alone, strict=True):
        assert np.array_equal(one.boxes, other.boxes)
        assert np.array_equal(one.landmarks, other.landmarks)
