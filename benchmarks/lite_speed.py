"""Speed of the `lite` suite: seconds of computing per second of candidate video, cold and from a full store.

Run it as `python benchmarks/lite_speed.py BENCHMARK [OUTPUTS] [--workers N] [--json]`. Without OUTPUTS the oracle is
scored: every real reply as its own candidate. Decoding passes per file and peak memory are printed with it. A first,
uncounted run on one sample warms the disk cache of the interpreter's libraries; loading the models is part of the cold
figure and is stated apart.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import vidchatbench as vcb


def make_oracle(benchmark: vcb.Benchmark, folder: Path) -> None:
    """Copies every real reply as the candidate of its own sample."""
    for sample in benchmark:
        if sample.responder is not None:
            source = benchmark.media(sample.responder.media)
            shutil.copyfile(source, folder / f"{sample.id}{source.suffix}")


def timed_run(outputs: Path, benchmark: Path, cache: Path, workers: int) -> dict[str, float | int | dict[str, int]]:
    """Evaluates in a process of its own, as a user would; returns what it cost."""
    out = cache.parent / "run"
    command = [sys.executable, "-m", "vidchatbench", "evaluate", str(outputs), "--benchmark", str(benchmark)]
    command += ["--out", str(out), "--workers", str(workers), "--suite", "lite"]
    environment = {**os.environ, "VIDCHATBENCH_CACHE": str(cache)}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    subprocess.run(command, env=environment, check=True, stderr=subprocess.DEVNULL)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    results = vcb.load_results(out)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    stages = results.run.seconds
    inside = sum(seconds for name, seconds in stages.items() if name.startswith("extract "))
    return {
        "wall_s": wall,
        "cpu_s": cpu,
        "pass_s": inside,
        "plan_s": stages["plan"],
        "score_s": stages["score"],
        "media_s": results.run.media_seconds,
        "peak_memory_mb": results.run.peak_memory_bytes / 1e6,
        "passes": results.run.decode_passes,
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmark", type=Path)
    parser.add_argument("outputs", type=Path, nargs="?")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        outputs = chosen.outputs or Path(scratch) / "oracle"
        if chosen.outputs is None:
            outputs.mkdir()
            make_oracle(vcb.load_benchmark(chosen.benchmark), outputs)
        cache = Path(scratch) / "cache"
        cold = timed_run(outputs, chosen.benchmark, cache, chosen.workers)
        warm = timed_run(outputs, chosen.benchmark, cache, chosen.workers)
    report = {"workers": chosen.workers, "cold": cold, "warm": warm}
    if chosen.json:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
        return
    media = float(cold["media_s"])  # type: ignore[arg-type]
    rows = [
        ("seconds of candidate video", f"{media:.2f}"),
        ("workers", str(chosen.workers)),
        ("cold, models loaded: wall per second of video", f"{cold['pass_s'] / chosen.workers / media:.3f}"),  # type: ignore[operator]
        ("cold, whole command: wall per second of video", f"{cold['wall_s'] / media:.3f}"),  # type: ignore[operator]
        ("cold, whole command: CPU per second of video", f"{cold['cpu_s'] / media:.3f}"),  # type: ignore[operator]
        ("full store, planning and scoring: seconds", f"{warm['plan_s'] + warm['score_s']:.3f}"),  # type: ignore[operator]
        ("full store, whole command: seconds", f"{warm['wall_s']:.3f}"),
        ("most decoding passes over one file", str(max(cold["passes"].values(), default=0))),  # type: ignore[union-attr]
        ("decoding passes from the full store", str(sum(warm["passes"].values()))),  # type: ignore[union-attr]
        ("peak memory of one process, MB", f"{cold['peak_memory_mb']:.0f}"),
    ]
    for name, value in rows:
        sys.stdout.write(f"{name:<50} {value}\n")


if __name__ == "__main__":
    main()
