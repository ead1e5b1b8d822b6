"""Importing the library and asking for help is quick, and loads nothing heavy."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from timing import quickest, run_seconds

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
def place(tmp_path_factory):
    """A folder outside the checkout and an environment; compiled files are kept, as they are for a user."""
    home = tmp_path_factory.mktemp("home")
    dropped = {"PYTHONPATH", "PYTHONDONTWRITEBYTECODE"}
    environment = {name: value for name, value in os.environ.items() if name not in dropped}
    environment["PYTHONPYCACHEPREFIX"] = str(home / "cache")
    return {"cwd": home, "env": environment}


@pytest.mark.parametrize("name", STARTS)
def test_nothing_heavy_is_loaded(place, name):
    command = [sys.executable, "-c", PROBE.format(command=STARTS[name], heavy=HEAVY)]
    done = subprocess.run(command, **place, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


@pytest.mark.parametrize("name", ["import vidchatbench", "vidchatbench --help"])
def test_it_answers_at_once(place, name):
    command = [sys.executable, *STARTS[name]]
    run_seconds(command, **place)  # compiles
    times = quickest(lambda _: run_seconds(command, **place), LIMIT)
    assert min(times) <= LIMIT, times
