"""Real third-party packages, installed beside the library, are found, listed and run; a broken one stops nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from clips import make_frames_clip
from integration_support import manifest_line, write_benchmark

from vidchatbench.demo import DemoPaths

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "custom_metric"
ONE_FILE = """
from vidchatbench.api import MetricCard, Plugin, frame_metric


def card(name, roles):
    return MetricCard(
        id=f"nearness/{name}", version=1, title="T", dimension="video_quality", direction="higher", unit="",
        minimum=0.0, maximum=1.0, worst=0.0, roles=roles, aggregation="mean", protocol=f"{name}/own-5fps-v1",
        protocol_text="p", description="d", code_license="MIT", commercial_use=True, citation="", source="s",
    )


def grey(candidate, reference):
    return 1 - abs(float(candidate.mean()) - float(reference.mean())) / 255


def fragile(picture):
    if picture.mean() > 200:
        raise ArithmeticError("too bright for me")
    return 0.5


Grey = frame_metric(grey, card("grey", ("candidate", "reference")), fps=5, size=(24, 32))
GreyFrames = Grey.extractor
Fragile = frame_metric(fragile, card("fragile", ("candidate",)), fps=5)
FragileFrames = Fragile.extractor
plugin = Plugin(
    metrics={"nearness/grey": "vcb_nearness:Grey", "nearness/fragile": "vcb_nearness:Fragile"},
    extractors={"nearness/grey": "vcb_nearness:GreyFrames", "nearness/fragile": "vcb_nearness:FragileFrames"},
)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example package, installed from its wheel, one that is a single file, and one that cannot be imported."""
    root = tmp_path_factory.mktemp("plugins")
    source, wheels, site = root / "source", root / "wheels", root / "site"
    _copy(EXAMPLE, source)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(wheels), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = wheels.glob("*.whl")
    _unpack(wheel, site)
    _install(site, "broken", "raise RuntimeError('this package is broken on purpose')\n")
    _install(site, "nearness", ONE_FILE)
    return site


def _install(site: Path, name: str, source: str) -> None:
    (site / f"vcb_{name}.py").write_text(source)
    info = site / f"vcb_{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vcb-{name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[vidchatbench.metrics]\n{name} = vcb_{name}:plugin\n")


def _copy(source: Path, target: Path) -> None:
    import shutil

    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "dist"))


def _unpack(wheel: Path, site: Path) -> None:
    import zipfile

    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)


def vidchatbench(site: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "VIDCHATBENCH_CACHE": str(cwd / "cache")}
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
    arguments += ["--metrics", "brightness/steadiness,video_quality/steadiness"]
    done = vidchatbench(site, *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert [metric["id"] for metric in results["metrics"]] == ["brightness/steadiness", "video_quality/steadiness"]
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


# --- frame metrics --------------------------------------------------------------------------------------------------

GREY, WHITE = 100, 255
# Levels and how long they are shown; 25 pictures a second, of which every fifth is looked at. The real reply is grey
# for two seconds, so ten frames.
REPLIES = {
    "half": [(GREY, 1.2), (WHITE, 0.8)],
    "stops": [(GREY, 1.2)],
    "short": [(GREY, 0.6)],
    "alone": [(GREY, 2.0)],
}
FRAME_METRICS = ("brightness/exposure", "nearness/grey")


def _clip(path: Path, parts: list[tuple[int, float]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = [np.full((48, 64, 3), level, np.uint8) for level, seconds in parts for _ in range(round(25 * seconds))]
    return make_frames_clip(path, frames, 25)


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A benchmark of grey replies, and a submission of which one reply is lost, one broken, one without a reference."""
    root = tmp_path_factory.mktemp("graded")
    benchmark, outputs = root / "benchmark", root / "outputs"
    real = _clip(benchmark / "media" / "grey.mp4", [(GREY, 2.0)])
    lines = [manifest_line(name, real, benchmark) for name in (*REPLIES, "lost", "broken")]
    for line in lines:
        if line["id"] == "alone":
            line["responder"] = None
    for name, parts in REPLIES.items():
        _clip(outputs / f"{name}.mp4", parts)
    (outputs / "broken.mp4").write_text("this is not a video")
    return write_benchmark(benchmark, lines), outputs


@pytest.fixture(scope="module")
def frame_runs(
    site: Path, graded: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[dict[str, Any]], dict[tuple[str, str], dict[str, Any]]]:
    """The results of two runs over one store, the first with two workers, and the rows of the first."""
    place, (benchmark, outputs) = tmp_path_factory.mktemp("runs"), graded
    arguments = ["evaluate", str(outputs), "--benchmark", str(benchmark), "--metrics", ",".join(FRAME_METRICS)]
    runs = []
    for name in ("first", "second"):
        options = ["--out", name, "--workers", "2" if name == "first" else "1", "--json"]
        done = vidchatbench(site, *arguments, *options, cwd=place)
        assert done.returncode == 0, done.stderr
        runs.append(json.loads(done.stdout))
    rows = pq.read_table(place / "first" / "samples.parquet").to_pylist()
    return runs, {(row["metric"], row["sample_id"]): row for row in rows}


def test_frame_metrics_give_the_values_worked_out_by_hand(frame_runs) -> None:
    (results, _), rows = frame_runs
    exposure, grey = results["metrics"]
    # White is blown out: 6 of 10 frames are well exposed. What is missing, broken or too short is charged 0.
    assert rows["brightness/exposure", "half"]["value"] == 0.6
    assert rows["brightness/exposure", "stops"]["value"] == 1.0
    assert exposure["value"] == pytest.approx((0.6 + 1 + 1 + 0 + 0 + 0) / 6)
    # Grey beside white is 155 of 255 levels apart; a reply that stops after 6 of 10 frames is charged 0 for four.
    assert rows["nearness/grey", "half"]["value"] == pytest.approx((6 + 4 * 100 / 255) / 10)
    assert rows["nearness/grey", "stops"]["value"] == pytest.approx(0.6)
    assert grey["value"] == pytest.approx(((6 + 4 * 100 / 255) / 10 + 0.6 + 0 + 0 + 0) / 5)
    assert [metric["protocol"] for metric in results["metrics"]] == ["exposure/rgbmean-5fps-v1", "grey/own-5fps-v1"]
    assert exposure["params"] == {"fps": 5, "low": 8, "high": 247}


@pytest.mark.parametrize("metric", FRAME_METRICS)
def test_a_frame_metric_charges_and_blames_as_any_other(frame_runs, metric: str) -> None:
    _, rows = frame_runs
    assert rows[metric, "lost"]["status"] == "output_missing"
    assert rows[metric, "broken"]["status"] == "output_invalid"
    assert "broken.mp4" in rows[metric, "broken"]["reason"]
    assert rows[metric, "short"]["status"] == "output_invalid"
    assert "0.60 s" in rows[metric, "short"]["reason"]
    assert rows["nearness/grey", "alone"]["status"] == "not_applicable"
    assert rows["nearness/grey", "alone"]["reason"] == "the sample has no reference"


def test_the_second_run_of_a_frame_metric_extracts_nothing(frame_runs) -> None:
    (first, second), _ = frame_runs
    assert first["run"]["features_extracted"] > 0
    assert second["run"]["features_extracted"] == 0
    assert second["run"]["decode_passes"] == {}
    assert second["metrics"] == first["metrics"]


def test_a_function_that_fails_leaves_its_metric_incomplete(site: Path, graded: tuple[Path, Path], tmp_path) -> None:
    benchmark, outputs = graded
    arguments = ["evaluate", str(outputs), "--benchmark", str(benchmark), "--metrics", "nearness/fragile"]
    done = vidchatbench(site, *arguments, "--json", cwd=tmp_path)
    assert done.returncode == 3
    reason = "RuntimeError: nearness/fragile, frame at 1.20 s: ArithmeticError: too bright for me"
    assert reason in " ".join(done.stderr.split())
    (row,) = [
        row for row in pq.read_table(tmp_path / "run" / "samples.parquet").to_pylist() if row["sample_id"] == "half"
    ]
    assert (row["status"], row["reason"]) == ("error", reason)
    (metric,) = json.loads(done.stdout)["metrics"]
    assert (metric["n_error"], metric["n_ok"]) == (1, 2)
