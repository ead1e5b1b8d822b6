"""``vidchatbench demo`` from end to end, on few samples and two cheap metrics."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from vidchatbench import demo as demo_package
from vidchatbench.api import Suite, SuiteEntry
from vidchatbench.cli import demo as demo_command
from vidchatbench.demo import DemoPaths, DemoSize, build_demo
from vidchatbench.leaderboard.schema import Leaderboard
from vidchatbench.plugins.catalogue import load_catalogue

ROOT = Path(__file__).resolve().parents[2]
SUITE = "small_demo"
SHARPNESS = "video_quality/sharpness"
SMALL = DemoSize(dyads=4, seconds=1.6, side=128)
ENTRIES = (
    SuiteEntry(metric="video_quality/psnr", params={"fps": 5}),
    SuiteEntry(metric="video_quality/duration_ratio"),
    SuiteEntry(metric=SHARPNESS),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Result, Result]]:
    """The command's folder, its output, and that of a second time with ``--json``."""
    root = tmp_path_factory.mktemp("demo_command")
    known = load_catalogue()
    suite = Suite(name=SUITE, version=1, description="made by a test", metrics=ENTRIES)
    catalogue = replace(known, suites={**known.suites, SUITE: suite})

    def small(folder: Path) -> DemoPaths:
        return build_demo(folder, size=SMALL)

    app = typer.Typer()
    demo_command.add_to(app)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIDCHATBENCH_CACHE", str(root / "cache"))
        patch.setattr(demo_command, "SUITE", SUITE)
        patch.setattr(demo_package, "build_demo", small)
        for module in ("plugins.catalogue", "engine.evaluate", "report.write"):
            patch.setattr(f"vidchatbench.{module}.load_catalogue", lambda: catalogue)
        arguments = ["--out", str(root / "demo_run"), "--workers", "1"]
        yield root / "demo_run", CliRunner().invoke(app, arguments), CliRunner().invoke(app, [*arguments, "--json"])


def test_every_run_is_complete_and_one_reply_is_missing(run: tuple[Path, Result, Result]) -> None:
    out, result, _ = run
    assert result.exit_code == 0, result.output
    assert "careful: Complete\n" in result.stderr
    assert "hasty: Complete; 1 of 8 replies missing, charged the worst value" in result.stderr
    assert "still: Complete\n" in result.stderr
    for name in demo_package.SYSTEMS:
        assert (out / name / "results.json").is_file()


def test_the_difference_is_significant(run: tuple[Path, Result, Result]) -> None:
    _, result, again = run
    assert "careful is significantly better in" in result.stderr
    assert "p = 0.0" in result.stderr.partition("most surely in")[2]
    (metric,) = (m for m in json.loads(again.stdout)["comparison"]["metrics"] if m["id"] == SHARPNESS)
    assert metric["pairs"][0]["better"] == "careful"


def test_it_ends_with_paths_that_open(run: tuple[Path, Result, Result]) -> None:
    out, result, _ = run
    ends: dict[str, Any] = {}
    for line in result.stderr.splitlines():
        for what in ("leaderboard:", "report:"):
            if line.startswith(what):
                ends[what] = Path(line.removeprefix(what).strip())
    assert ends == {"leaderboard:": out / "leaderboard" / "index.html", "report:": out / "hasty" / "report.html"}
    assert all(path.is_file() for path in ends.values())


def test_the_board_is_anchored_and_ranks_all_three(run: tuple[Path, Result, Result]) -> None:
    out, result, again = run
    board = Leaderboard.model_validate_json((out / "leaderboard" / "leaderboard.json").read_bytes())
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["board"]["rows"][0]["id"] == board.rows[0].id
    assert [row.system.name for row in board.rows] == sorted(demo_package.SYSTEMS)
    assert all(row.ranked for row in board.rows), [row.why_unranked for row in board.rows]
    assert next(column for column in board.metrics if column.id == "video_quality/psnr").anchored
    assert all(row.overall is not None and row.overall.ci95 is not None for row in board.rows)
    assert board.left_out == ()
    assert "still: a picture held still under the real voice scores" in result.stderr


def test_the_readme_can_be_refreshed_from_a_run(run: tuple[Path, Result, Result]) -> None:
    out, _, _ = run
    spec = importlib.util.spec_from_file_location("generate_demo_excerpt", ROOT / "docs" / "generate_demo_excerpt.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    once = module.replace_excerpt(readme, module.excerpt(out))
    assert "    hasty: Complete; 1 of 8 replies missing, charged the worst value" in once
    assert "    still: a picture held still" in once
    assert module.replace_excerpt(once, module.excerpt(out)) == once
