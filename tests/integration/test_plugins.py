"""A real third-party package, installed beside the library, is found, listed and run; a broken one stops nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vidchatbench.demo import DemoPaths

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "custom_metric"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example package, installed from its wheel, and a package that cannot be imported."""
    root = tmp_path_factory.mktemp("plugins")
    source, wheels, site = root / "source", root / "wheels", root / "site"
    _copy(EXAMPLE, source)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(wheels), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = wheels.glob("*.whl")
    _unpack(wheel, site)
    (site / "vcb_broken.py").write_text("raise RuntimeError('this package is broken on purpose')\n")
    info = site / "vcb_broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vcb-broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[vidchatbench.metrics]\nbroken = vcb_broken:plugin\n")
    return site


def _copy(source: Path, target: Path) -> None:
    import shutil

    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "dist"))


def _unpack(wheel: Path, site: Path) -> None:
    import zipfile

    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)


def vidchatbench(site: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(site), "VIDCHATBENCH_CACHE": str(cwd / "cache")}
    command = [sys.executable, "-m", "vidchatbench", *arguments]
    return subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, check=False)


def test_both_are_listed_each_as_what_it_is(site: Path, tmp_path: Path) -> None:
    done = vidchatbench(site, "metrics", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    listed = json.loads(done.stdout)
    (ours,) = [item for item in listed["metrics"] if item["id"] == "brightness/steadiness"]
    assert ours["available"]
    assert ours["plugin"] == "brightness"
    assert any(item["id"] == "video_quality/psnr" for item in listed["metrics"])
    (broken,) = listed["broken_plugins"]
    assert broken["plugin"] == "broken"
    assert "broken on purpose" in broken["reason"]


def test_the_card_is_shown(site: Path, tmp_path: Path) -> None:
    done = vidchatbench(site, "metrics", "show", "brightness/steadiness", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["protocol"] == "brightness/luma601-5fps-v1"


def test_the_metric_runs_beside_a_built_in(site: Path, tmp_path: Path, demo: DemoPaths) -> None:
    arguments = ["evaluate", str(demo.systems["degraded"]), "--benchmark", str(demo.benchmark), "--json"]
    arguments += ["--metrics", "brightness/steadiness,video_quality/flicker"]
    done = vidchatbench(site, *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert [metric["id"] for metric in results["metrics"]] == ["brightness/steadiness", "video_quality/flicker"]
    assert results["metrics"][0]["n_ok"] == 4
    assert 0.5 < results["metrics"][0]["value"] <= 1.0
    assert results["environment"]["plugins"]["brightness"] == "vidchatbench-brightness 0.1.0"


def test_the_suite_of_the_package_can_be_named(site: Path, tmp_path: Path, demo: DemoPaths) -> None:
    arguments = ["evaluate", str(demo.systems["oracle"]), "--benchmark", str(demo.benchmark), "--suite", "brightness"]
    done = vidchatbench(site, *arguments, "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["suite"] == {"name": "brightness", "version": 1}


def test_a_misspelt_metric_is_answered_with_the_nearest(site: Path, tmp_path: Path, demo: DemoPaths) -> None:
    arguments = ["evaluate", str(demo.systems["oracle"]), "--benchmark", str(demo.benchmark)]
    done = vidchatbench(site, *arguments, "--metrics", "brightness/steadyness", cwd=tmp_path)
    assert done.returncode == 2
    assert "did you mean 'brightness/steadiness'" in done.stderr
    assert "Traceback" not in done.stderr
