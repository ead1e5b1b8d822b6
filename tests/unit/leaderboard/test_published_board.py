"""The board in the repository: what the command builds while the list of the 500 is not published."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vidchatbench.benchmark.load import find_announced
from vidchatbench.cli.app import app
from vidchatbench.leaderboard.schema import Leaderboard
from vidchatbench.leaderboard.site import build_site

ROOT = Path(__file__).resolve().parents[3]
BOARD = ROOT / "leaderboard" / "leaderboard.json"


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDCHATBENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    source = ROOT / "leaderboard"
    shutil.copytree(source, tmp_path / "leaderboard", ignore=shutil.ignore_patterns("leaderboard.json", "samples"))
    (tmp_path / "leaderboard" / "submissions").mkdir(exist_ok=True)
    return tmp_path / "leaderboard"


def test_the_file_is_what_the_command_builds(folder: Path) -> None:
    result = CliRunner().invoke(app, ["leaderboard", "build", str(folder)])
    assert result.exit_code == 0, result.output
    assert "not published yet" in result.stderr
    assert "0 ranked, 0 unranked" in result.stderr
    assert (folder / "leaderboard.json").read_bytes() == BOARD.read_bytes(), "run `vidchatbench leaderboard build`"


def test_it_cites_the_paper_and_ranks_nobody() -> None:
    board = Leaderboard.model_validate_json(BOARD.read_bytes())
    assert board.benchmark.n_samples == 0
    assert board.note is not None
    assert "not published yet" in board.note
    assert len(board.rows) > 0
    assert all(row.trust == "reported" and not row.ranked and row.overall is None for row in board.rows)


def test_the_page_says_so(tmp_path: Path) -> None:
    index = build_site(BOARD, tmp_path / "site")
    assert "The list of test_500 is not published yet" in index.read_text(encoding="utf-8")


def test_a_bundle_is_left_out_until_there_is_a_list(folder: Path) -> None:
    (folder / "submissions" / "early" / "v1").mkdir(parents=True)
    result = CliRunner().invoke(app, ["leaderboard", "build", str(folder), "--json"])
    left_out = json.loads(result.stdout)["left_out"]
    assert [(one["bundle"], "not published yet" in one["reason"]) for one in left_out] == [("early/v1", True)]


def test_a_prepared_list_is_no_announcement(tmp_path: Path) -> None:
    assert find_announced("test_500") is not None
    assert find_announced("mini") is None
    prepared = tmp_path / "cache" / "benchmarks" / "test_500"
    prepared.mkdir(parents=True)
    (prepared / "benchmark.json").write_text("{}")
    assert find_announced("test_500") is None
