"""The page as files: what is written, what is refused, and that nothing a submission says becomes markup or script."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import typer
from leaderboard_examples import HOSTILE, make_board, make_samples
from typer.testing import CliRunner

from vidchatbench.cli import leaderboard_site
from vidchatbench.errors import InputError
from vidchatbench.leaderboard.schema import Leaderboard
from vidchatbench.leaderboard.site import build_site
from vidchatbench.leaderboard.site.build import visible

ASSETS = [item for item in (files("vidchatbench.leaderboard.site") / "assets").iterdir() if item.is_file()]
TEMPLATES = [item for item in (files("vidchatbench.leaderboard.site") / "templates").iterdir() if item.is_file()]


def write_board(folder: Path, board: Leaderboard, *, samples: bool = True) -> Path:
    (folder / "samples").mkdir(parents=True, exist_ok=True)
    path = folder / "leaderboard.json"
    path.write_text(board.to_json(), encoding="utf-8")
    for row in board.rows if samples else ():
        if row.samples is not None:
            (folder / row.samples).write_text(make_samples(board, row.id, n=20).to_json(), encoding="utf-8")
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def arguments(script: str) -> dict[str, Any]:
    """The functions that a script calls, with what they are given."""
    calls = re.findall(r"^vidchatbench\.(\w+)\(JSON\.parse\((\".*\")\)\);$", script, flags=re.MULTILINE)
    return {name: json.loads(json.loads(literal)) for name, literal in calls}


@pytest.fixture(name="board")
def _board() -> Leaderboard:
    return make_board(4, 5)


def test_the_same_board_gives_the_same_bytes_whatever_was_there(tmp_path: Path, board: Leaderboard) -> None:
    path = write_board(tmp_path / "board", board)
    first = build_site(path, tmp_path / "a")
    assert first == tmp_path / "a" / "index.html"
    build_site(write_board(tmp_path / "other", make_board(9, 7, seed=1)), tmp_path / "b")
    build_site(path.parent, tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_only_our_own_files_are_replaced_or_removed(tmp_path: Path, board: Leaderboard) -> None:
    out = tmp_path / "site"
    (out / "samples").mkdir(parents=True)
    for name in ("CNAME", "samples/gone@v1.js", "samples/notes.txt"):
        (out / name).write_text("kept", encoding="utf-8")
    build_site(write_board(tmp_path / "board", board), out)
    assert (out / "CNAME").read_text(encoding="utf-8") == "kept"
    assert (out / "samples" / "notes.txt").exists()
    assert not (out / "samples" / "gone@v1.js").exists(), "samples of a system that left the board must not stay public"


def test_the_snapshot_is_the_hash_of_the_board_that_lies_beside_the_page(tmp_path: Path, board: Leaderboard) -> None:
    path = write_board(tmp_path / "board", board)
    build_site(path, tmp_path / "site", commit="abc1234")
    written = contents(tmp_path / "site")
    assert written["leaderboard.json"] == path.read_bytes()
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert arguments(written["board.js"].decode("ascii"))["setSnapshot"] == {"sha256": sha256, "commit": "abc1234"}
    for page in ("index.html", "system.html", "compare.html"):
        assert f"<code>{sha256[:12]}</code>".encode() in written[page]
        assert b"<code>abc1234</code>" in written[page]


def test_the_board_travels_whole_and_as_one_string(tmp_path: Path) -> None:
    board = make_board(6, 5, hostile=True)
    build_site(write_board(tmp_path / "board", board), tmp_path / "site")
    script = (tmp_path / "site" / "board.js").read_bytes().decode("ascii")
    assert "<" not in script
    assert ">" not in script
    assert len(script.splitlines()) == 3, "nothing of a board may begin a line of its own"
    assert arguments(script)["setBoard"] == json.loads(board.to_json())
    row = board.rows[0].id
    sample_script = (tmp_path / "site" / "samples" / f"{row}.js").read_bytes().decode("ascii")
    assert arguments(sample_script)["receiveSamples"] == json.loads(make_samples(board, row, n=20).to_json())


def test_the_page_is_told_the_labels_of_dimensions_and_tasks(tmp_path: Path, board: Leaderboard) -> None:
    build_site(write_board(tmp_path / "board", board), tmp_path / "site")
    written = contents(tmp_path / "site")
    labels = arguments(written["assets/shared.js"].decode("utf-8"))["setVocabulary"]
    assert labels["dimensions"] == [
        ["video_quality", "Video quality"], ["identity", "Identity"], ["dialogue", "Dialogue"],
        ["av_sync", "A/V sync"], ["emotion", "Emotion"], ["voice", "Voice"], ["interaction", "Interaction"],
        ["multi_person", "Multi-person"],
    ]  # fmt: skip
    assert dict(labels["tasks"]) == {
        "dialogue": "dialogue", "listening": "listening", "multi_turn": "multi-turn", "single": "single",
        "multi_person": "multi-person",
    }  # fmt: skip
    shared, page = written["assets/shared.js"].decode("utf-8"), written["index.html"].decode("utf-8")
    assert shared.index("app.setVocabulary =") < shared.index("vidchatbench.setVocabulary(")
    assert page.index("assets/shared.js?v=") < page.index("board.js?v=") < page.index("assets/index.js?v=")


def test_names_are_escaped_where_they_are_markup(tmp_path: Path) -> None:
    build_site(write_board(tmp_path / "board", make_board(12, 5, hostile=True)), tmp_path / "site")
    page = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    table = page[page.index("<noscript>") : page.index("</noscript>")]
    assert "&lt;script&gt;alert(" in table
    assert "&lt;img src=x" in table
    assert "\u202e" not in table
    assert not re.search(r"<(script|img|svg)", table)
    assert all(name not in page for name in HOSTILE)


def test_left_out_bundles_are_named_and_escaped(tmp_path: Path, board: Leaderboard) -> None:
    content = json.loads(board.to_json())
    content["left_out"] = [{"bundle": "<b>x</b>/v1", "reason": "no \u202ehash"}]
    path = write_board(tmp_path / "board", Leaderboard.model_validate_json(json.dumps(content)))
    page = build_site(path, tmp_path / "site").read_text(encoding="utf-8")
    assert "&lt;b&gt;x&lt;/b&gt;/v1" in page
    assert "no \ufffdhash" in page


def test_visible_marks_what_hides_or_turns_text() -> None:
    assert visible("a\u202eb\u2066c\u200bd\x00e") == "a\ufffdb\ufffdc\ufffdd\ufffde"
    assert visible("two\nlines") == "two lines"
    assert visible("\u0645\u06cc\u200c\u062e") == "\u0645\u06cc\u200c\u062e"


# --- what is refused ------------------------------------------------------------------------------------------------


def drop_samples(folder: Path, board: Leaderboard) -> None:
    (folder / str(board.rows[1].samples)).unlink()


def swap_samples(folder: Path, board: Leaderboard) -> None:
    (folder / str(board.rows[1].samples)).write_bytes((folder / str(board.rows[0].samples)).read_bytes())


def shorten_samples(folder: Path, board: Leaderboard) -> None:
    path = folder / str(board.rows[1].samples)
    content = json.loads(path.read_bytes())
    del content["metrics"][board.metrics[0].id]["values"][-1]
    path.write_text(json.dumps(content), encoding="utf-8")


def escape_folder(folder: Path, board: Leaderboard) -> None:
    content = json.loads(board.to_json())
    content["rows"][1]["samples"] = "../../secret.json"
    (folder / "leaderboard.json").write_text(json.dumps(content), encoding="utf-8")


def repeat_row(folder: Path, board: Leaderboard) -> None:
    content = json.loads(board.to_json())
    content["rows"].append(content["rows"][1])
    (folder / "leaderboard.json").write_text(json.dumps(content), encoding="utf-8")


def unsafe_link(folder: Path, board: Leaderboard) -> None:
    content = json.loads(board.to_json())
    content["rows"][1]["links"] = {"paper": "javascript:alert(1)"}
    (folder / "leaderboard.json").write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (drop_samples, "there is no samples/"),
        (swap_samples, "holds the samples of"),
        (shorten_samples, "another number of values"),
        (escape_folder, "not ../../secret.json"),
        (repeat_row, "twice"),
        (unsafe_link, "https://"),
    ],
)
def test_a_board_that_does_not_hold_together_is_refused(
    tmp_path: Path, board: Leaderboard, damage: Callable[[Path, Leaderboard], None], words: str
) -> None:
    path = write_board(tmp_path / "board", board)
    damage(path.parent, board)
    with pytest.raises(InputError, match=re.escape(words)):
        build_site(path, tmp_path / "site")
    assert not (tmp_path / "site").exists(), "nothing is written before all of it is known to be right"


def test_a_missing_board_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="leaderboard build"):
        build_site(tmp_path, tmp_path / "site")


# --- the files of the package ---------------------------------------------------------------------------------------


def test_the_policy_lets_nothing_in_from_elsewhere(tmp_path: Path, board: Leaderboard) -> None:
    build_site(write_board(tmp_path / "board", board), tmp_path / "site")
    for name in ("index.html", "system.html", "compare.html"):
        page = (tmp_path / "site" / name).read_text(encoding="utf-8")
        policy = page.split('http-equiv="Content-Security-Policy" content="')[1].split('"')[0]
        assert "default-src &#39;none&#39;" in policy
        assert "unsafe" not in policy
        assert "require-trusted-types-for" in policy
        assert page.index("Content-Security-Policy") < page.index("<link"), "a policy holds for what comes after it"
        assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>|<style|\son\w+=|\sstyle=", page)
        addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
        assert not [address for address in addresses if re.match(r"(\w+:|/)", address)], "every path is relative"
        local = {address.partition("?")[0] for address in addresses if not address.startswith("#")}
        assert not [path for path in local if not (tmp_path / "site" / path).is_file()]


@pytest.mark.parametrize("item", ASSETS, ids=lambda item: item.name)
def test_an_asset_makes_no_markup_and_asks_nothing_of_others(item: Path) -> None:
    text = item.read_text(encoding="utf-8")
    markup = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function"
    assert not re.search(markup + r"|fetch\(|XMLHttpRequest|sendBeacon|@import|url\(", text)
    assert set(re.findall(r"https?://[\w./-]*", text)) <= {"http://www.w3.org/2000/svg"}
    assert text.count("\n") <= 500


@pytest.mark.parametrize("item", [*ASSETS, *TEMPLATES], ids=lambda item: item.name)
def test_a_file_is_short_and_a_script_or_style_says_what_it_is(item: Path) -> None:
    text = item.read_text(encoding="utf-8")
    assert text.count("\n") <= 500
    if item.name.endswith((".js", ".css")):
        assert text.startswith("/*")


def test_the_command(tmp_path: Path, board: Leaderboard) -> None:
    path = write_board(tmp_path / "board", board)
    group = typer.Typer()
    group.callback()(lambda: None)
    leaderboard_site.add_to(group)
    out = tmp_path / "site"
    result = CliRunner().invoke(group, ["site", str(path), "-o", str(out), "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"index": str(out / "index.html")}
    assert (out / "index.html").is_file()
