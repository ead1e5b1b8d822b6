"""Importing the library and asking for help is quick, and loads nothing heavy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest
from timing import quickest

HEAVY = (
    "torch",
    "torchvision",
    "onnxruntime",
    "av",
    "pandas",
    "pyarrow",
    "datasets",
    "scipy",
    "transformers",
    "openai",
)
LIMIT = float(os.environ.get("VIDCHATBENCH_TEST_START_UP_SECONDS", "0.3"))

STARTS = {
    "import vidchatbench": ("-c", "import vidchatbench"),
    "import vidchatbench.api": ("-c", "import vidchatbench.api"),
    "vidchatbench --help": ("-m", "vidchatbench", "--help"),
}

PROBE = """
import contextlib, json, runpy, sys
kind, target, *rest = {command!r}
with contextlib.redirect_stdout(sys.stderr), contextlib.suppress(SystemExit):
    if kind == "-c":
        exec(target)
    else:
        sys.argv = [target, *rest]
        runpy.run_module(target, run_name="__main__", alter_sys=True)
print(json.dumps([name for name in {heavy!r} if name in sys.modules]))
"""


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Runs the interpreter outside the checkout; compiled files are kept, as they are for a user."""
    home = tmp_path_factory.mktemp("home")
    dropped = {"PYTHONPATH", "PYTHONDONTWRITEBYTECODE"}
    environment = {name: value for name, value in os.environ.items() if name not in dropped}
    environment["PYTHONPYCACHEPREFIX"] = str(home / "cache")

    def run(*arguments):
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=home, env=environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    return run


@pytest.mark.parametrize("name", STARTS)
def test_nothing_heavy_is_loaded(start, name):
    done = start("-c", PROBE.format(command=STARTS[name], heavy=HEAVY))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


@pytest.mark.parametrize("name", ["import vidchatbench", "vidchatbench --help"])
def test_it_answers_at_once(start, name):
    start(*STARTS[name])  # compiles

    def seconds(number):
        begin = time.perf_counter()
        done = start(*STARTS[name])
        assert done.returncode == 0, done.stderr
        return time.perf_counter() - begin

    times = quickest(seconds, LIMIT)
    assert min(times) <= LIMIT, times
