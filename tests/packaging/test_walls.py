"""Metrics are functions of features: importing one loads no model library, no decoder, nothing of the harness."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

BEHIND_THE_WALL = (
    "torch", "torchvision", "onnxruntime", "av", "timm", "lpips", "facenet_pytorch", "openai", "transformers",
    "vidchatbench.media", "vidchatbench.engine", "vidchatbench.engine.features", "vidchatbench.benchmark",
)  # fmt: skip

LOAD = """
import importlib, json, sys
from importlib.metadata import entry_points
(entry,) = [entry for entry in entry_points(group="vidchatbench.metrics") if entry.name == "core"]
crossed = {{}}
for name, target in sorted(getattr(entry.load(), {kind!r}).items()):
    before = set(sys.modules)
    importlib.import_module(target.partition(":")[0])
    loaded = [module for module in {wall!r} if module in sys.modules and module not in before]
    if loaded:
        crossed[name] = loaded
print(json.dumps(crossed))
"""


@pytest.mark.parametrize(("kind", "wall"), [("metrics", BEHIND_THE_WALL), ("extractors", ("torch", "onnxruntime"))])
def test_importing_them_is_light(kind, wall, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", LOAD.format(kind=kind, wall=wall)],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {}
