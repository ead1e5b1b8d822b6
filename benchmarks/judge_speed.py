"""Speed of the judge's client, and what a killed run pays for twice.

Run it as `python benchmarks/judge_speed.py [--requests N] [--samples N] [--json]`. The server of the test suite runs in
a process of its own, so that what is measured is the client: requests a second at concurrency 1, 8 and 32, and the time
that a request takes beyond the server's (with answers at once, and with answers after 100 ms), and the speed of a run
that finds everything in the cache. Then a run of SAMPLES x 3 judges is killed (SIGKILL) half-way and resumed, and the
server counts the calls: what had been answered and kept must not be asked again.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

from judge_server import fair_mind, serving

from vidchatbench.api.judging import JudgeRequest
from vidchatbench.judge.llm.settings import PanelSettings
from vidchatbench.judge.panel import Panel

CONCURRENCIES = (1, 8, 32)
DELAY = 0.1
Numbers = dict[str, Any]


def serve(pipe: Connection) -> None:
    """Runs the server and obeys: ``("set", name, value)``, ``("reset",)``, ``("count",)``, ``("stop",)``."""
    with serving(fair_mind) as server:
        pipe.send(server.url)
        while (order := pipe.recv())[0] != "stop":
            if order[0] == "set":
                setattr(server, order[1], order[2])
                pipe.send(None)
            elif order[0] == "reset":
                server.reset()
                pipe.send(None)
            else:
                pipe.send((dict(server.answered), dict(server.asked)))


@contextmanager
def server_process() -> Iterator[tuple[str, Connection]]:
    """A server in a process of its own: its address, and the pipe to command it."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    url = ours.recv()
    try:
        yield url, ours
    finally:
        ours.send(("stop",))
        process.join(10)


def make_panel(url: str, cache: Path, judges: int, concurrency: int) -> Panel:
    """A panel on one server."""
    entries = [{"base_url": url, "model": f"judge-{k}", "max_concurrency": concurrency} for k in range(judges)]
    return Panel(PanelSettings.model_validate({"judges": entries, "repeats": 1}), cache=cache)


def make_requests(count: int, tag: str) -> list[JudgeRequest]:
    """Requests that differ from those of every other tag."""
    return [JudgeRequest(f"s{k}", "en", "How was your day?", f"grade{1 + k % 5}, {tag} {k}") for k in range(count)]


def speed(url: str, pipe: Connection, cache: Path, count: int) -> list[Numbers]:
    """Requests a second, and the time of a request beyond the server's."""
    rows = []
    list(make_panel(url, cache, 1, 8).score(make_requests(64, "warm")))
    for delay in (0.0, DELAY):
        command(pipe, "set", "delay", delay)
        for concurrency in CONCURRENCIES:
            # Each stays long enough to be measured, and no longer.
            number = min(count, int(4 * concurrency / delay)) if delay else count
            requests = make_requests(number, f"{delay} {concurrency}")
            started = time.perf_counter()
            cpu = time.process_time()
            list(make_panel(url, cache, 1, concurrency).score(requests))
            wall, cpu = time.perf_counter() - started, time.process_time() - cpu
            rows.append(
                {
                    "server_s": delay,
                    "concurrency": concurrency,
                    "requests": number,
                    "per_second": number / wall,
                    "overhead_ms": 1000 * (wall * concurrency / number - delay),
                    "cpu_ms": 1000 * cpu / number,
                }
            )
    command(pipe, "set", "delay", 0.0)
    requests = make_requests(count, f"0.0 {CONCURRENCIES[-1]}")
    started = time.perf_counter()
    list(make_panel(url, cache, 1, 8).score(requests))
    rows.append({"cached": True, "requests": count, "per_second": count / (time.perf_counter() - started)})
    return rows


def command(pipe: Connection, *order: object) -> Any:
    """Sends an order and returns the answer."""
    pipe.send(order)
    return pipe.recv()


def resume(url: str, pipe: Connection, cache: Path, samples: int, *, hold: bool) -> Numbers:
    """Kills a run half-way and resumes it.

    With ``hold`` the server answers half of the calls and leaves the others without an answer, so that at the kill it
    is known which calls were answered and kept. Without, the kill falls where it falls.
    """
    command(pipe, "reset")
    half = samples * 3 // 2
    command(pipe, "set", "hold_after", half if hold else None)
    child = [sys.executable, __file__, "--child", url, str(cache), str(samples)]
    first = subprocess.Popen(child)
    while count_files(cache) < half:
        time.sleep(0.005)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    kept = count_files(cache)
    answered = command(pipe, "count")[0]
    command(pipe, "set", "hold_after", None)
    started = time.perf_counter()
    subprocess.run(child, check=True)
    wall = time.perf_counter() - started
    asked = command(pipe, "count")[1]
    return {
        "killed": "with the other calls held" if hold else "in full flight",
        "samples": samples,
        "judges": 3,
        "kept_at_the_kill": kept,
        "answered_at_the_kill": sum(answered.values()),
        "different_calls": len(asked),
        "calls": sum(asked.values()),
        "answered_and_asked_again": sum(asked[identity] > 1 for identity in answered),
        "resumed_in_s": wall,
    }


def count_files(cache: Path) -> int:
    """Number of replies that are kept."""
    return sum(1 for path in cache.rglob("*.json") if not path.name.startswith("."))


def main() -> None:
    """Prints what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        url, cache, samples = options.child
        list(make_panel(url, Path(cache), 3, 8).score(make_requests(int(samples), "resume")))
        return
    with tempfile.TemporaryDirectory() as folder, server_process() as (url, pipe):
        rows = speed(url, pipe, Path(folder) / "speed", options.requests)
        again = [
            resume(url, pipe, Path(folder) / f"resume-{hold}", options.samples, hold=hold) for hold in (True, False)
        ]
    if options.json:
        print(json.dumps({"speed": rows, "resume": again}, indent=1))
        return
    for row in [*rows, *again]:
        print(
            "  ".join(
                f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}" for name, value in row.items()
            )
        )


if __name__ == "__main__":
    main()
