"""The board: only verified bundles, the same bytes for the same bundles, and reported rows apart from computed ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import leaderboard_bundles as made
import leaderboard_examples
import numpy as np
import pytest
from leaderboard_bundles import Plan, make_benchmark, make_bundle, make_run, seal

from vidchatbench.benchmark.format import Benchmark
from vidchatbench.errors import InputError, UsageError
from vidchatbench.leaderboard.build import Built, build_leaderboard
from vidchatbench.leaderboard.curated import read_reported
from vidchatbench.leaderboard.schema import Leaderboard, SystemSamples, check_link
from vidchatbench.leaderboard.verification.check_copies import MAX_MEDIANS
from vidchatbench.plugins.catalogue import load_catalogue
from vidchatbench.results.floors import FLOORS_FILE, FloorRow, FloorTable
from vidchatbench.results.scale import PAPER_DIMENSIONS, describe_overall, hash_ceilings, overall_of
from vidchatbench.results.schema import Anchors, load_results
from vidchatbench.weights.lock import Pin

ROOT = Path(__file__).resolve().parents[3]
PSNR = "video_quality/psnr"
PLANS = (
    Plan(name="Good", quality=0.8, seed=1),
    Plan(
        name="Fair",
        quality=0.5,
        seed=2,
        missing=(2,),
        system={"code": "https://example.org/code", "open_weights": None},
    ),
    Plan(name="Poor", quality=0.2, seed=3, invalid=(0, 1), system={"paper": "arXiv:2507.09862", "open_weights": False}),
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Benchmark, Path]:
    root = tmp_path_factory.mktemp("world")
    benchmark = make_benchmark(root / "benchmark", n=24, speakers=8)
    for plan in PLANS:
        make_bundle(root / "board", make_run(root / plan.name, benchmark, plan))
    return benchmark, root / "board"


@pytest.fixture
def board(world: tuple[Benchmark, Path], tmp_path: Path) -> Path:
    shutil.copytree(world[1], tmp_path / "board")
    return tmp_path / "board"


@pytest.fixture
def benchmark(world: tuple[Benchmark, Path]) -> Benchmark:
    return world[0]


def build(board: Path, benchmark: Benchmark, **options: Any) -> Built:
    return build_leaderboard(board, benchmark, load_catalogue(), suite=made.SUITE, draws=400, **options)


def test_the_systems_are_ranked(board: Path, benchmark: Benchmark) -> None:
    built = build(board, benchmark)
    rows = {row.id: row for row in built.board.rows}
    assert list(rows) == ["fair@v1", "good@v1", "poor@v1"], "in the order of ids, not of ranks"
    overall = {name: row.overall.place.rank for name, row in rows.items() if row.overall and row.overall.place}
    assert overall == {"good@v1": 1, "fair@v1": 2, "poor@v1": 3}
    assert all(row.ranked and row.complete and row.trust == "self_scored" for row in rows.values())
    assert built.board.left_out == ()
    cell = rows["fair@v1"].values[PSNR]
    assert (cell.n_expected, cell.n_ok, cell.n_failed, cell.n_not_applicable) == (24, 22, 1, 1)
    assert cell.anchored == pytest.approx(3.125 * (cell.value or 0) - 12.5)


def test_what_exceeds_the_real_reply_is_cut_on_the_board(board: Path, benchmark: Benchmark, tmp_path: Path) -> None:
    table = json.loads((benchmark.root / "anchors.json").read_text())
    (entry,) = (one for one in table["anchors"] if one["metric"] == PSNR)
    ids = [sample.id for sample in benchmark if sample.responder is not None]
    entry["samples"] = {name: 16.0 if place % 2 else 56.0 for place, name in enumerate(ids)}
    entry["samples_sha256"] = hash_ceilings(entry["samples"])
    path = tmp_path / "anchors.json"
    path.write_text(json.dumps({**table, "schema_version": 2}))
    rows = {row.id: row for row in build(board, benchmark, anchors=path).board.rows}
    for name in ("good@v1", "fair@v1"):
        scores = SystemSamples.model_validate_json(build_samples(board, benchmark, name)).metrics[PSNR]
        places = [sample.id for sample in benchmark]
        cut = [min(v, entry["samples"][k]) for k, v in zip(places, scores.counted, strict=True) if v is not None]
        assert rows[name].values[PSNR].anchored == pytest.approx(100 * (np.mean(cut) - 4) / 32)
        assert rows[name].values[PSNR].value == pytest.approx(np.mean([v for v in scores.counted if v is not None]))
    assert rows["good@v1"].values[PSNR].anchored < 70


def build_samples(board: Path, benchmark: Benchmark, name: str) -> str:
    return build(board, benchmark).samples[name].to_json()


def test_the_board_says_what_the_overall_score_is_made_of(board: Path, benchmark: Benchmark) -> None:
    dimensions = build(board, benchmark).board.dimensions
    assert [one.dimension for one in dimensions][:6] == list(PAPER_DIMENSIONS)
    assert PSNR in dimensions[0].metrics
    named = {name for one in dimensions for name in (*one.metrics, *one.without_anchors)}
    assert named == set(made.cards())
    words = describe_overall(dimensions)
    assert all(one.dimension.label.removeprefix("Video ").lower() in words.lower() for one in dimensions if one.metrics)
    empty = [one.model_copy(update={"metrics": ()}) if one.dimension == "dialogue" else one for one in dimensions]
    assert "nothing on the anchored scale for dialogue" in describe_overall(empty)


def test_floor_rows_stand_beside_the_systems_and_are_not_ranked(
    board: Path, benchmark: Benchmark, world: tuple[Benchmark, Path], tmp_path: Path
) -> None:
    results = load_results(world[1].parent / "Poor")
    told = {"name": "frozen", "title": "still picture", "does": "The reference image, held.", "recipe_sha256": "a" * 64}
    row = FloorRow.of(results, **told)
    assert row.overall == pytest.approx(overall_of(list(row.dimensions.values())))
    assert row.dimensions["video_quality"] == pytest.approx(
        np.mean([m.anchored for m in results.metrics if m.dimension == "video_quality" and m.anchored is not None])
    )
    anchors = tmp_path / "anchors.json"
    anchors.write_bytes((benchmark.root / "anchors.json").read_bytes())
    table = FloorTable.of(benchmark.header.manifest_sha256, results.suite, [row])
    path = tmp_path / FLOORS_FILE
    path.write_text(table.model_dump_json())
    built = build(board, benchmark, anchors=anchors).board
    assert built.floors == (row,)
    assert {r.id for r in built.rows} == {"fair@v1", "good@v1", "poor@v1"}
    assert build(board, benchmark).board.floors == (), "the benchmark's own folder has none"
    # Another protocol or other anchors: these rows say nothing of this board.
    for change in ({"protocol": "psnr/other-v1"}, {"anchors": Anchors(oracle=3.0)}):
        other = row.model_copy(update={"scores": (row.scores[0].model_copy(update=change), *row.scores[1:])})
        path.write_text(FloorTable.of(benchmark.header.manifest_sha256, results.suite, [other]).model_dump_json())
        assert build(board, benchmark, anchors=anchors).board.floors == ()
    path.write_text(table.model_dump_json().replace("still picture", "moving picture"))
    with pytest.raises(InputError, match="not the hash of the rows"):
        build(board, benchmark, anchors=anchors)


def test_a_flag_stands_on_the_board(board: Path, benchmark: Benchmark, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MAX_MEDIANS, "psnr", 25.0)
    flags = {row.id: row.flags for row in build(board, benchmark).board.rows}
    assert "copies of the real ones" in flags["good@v1"][0]
    assert flags["fair@v1"] == flags["poor@v1"] == ()


def test_the_same_bundles_give_the_same_bytes(board: Path, benchmark: Benchmark, tmp_path: Path) -> None:
    first, second = build(board, benchmark), build(board, benchmark)
    first.write(tmp_path / "a" / "leaderboard.json")
    second.write(tmp_path / "b" / "leaderboard.json")
    for path in (tmp_path / "a").rglob("*.json"):
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()


def test_what_is_written_can_be_read(board: Path, benchmark: Benchmark, tmp_path: Path) -> None:
    built = build(board, benchmark)
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "gone@v1.json").write_text("{}")
    (tmp_path / "samples" / "notes.json").write_text("{}")
    built.write(tmp_path / "leaderboard.json")
    text = (tmp_path / "leaderboard.json").read_text(encoding="utf-8")
    assert Leaderboard.model_validate_json(text) == built.board
    assert "NaN" not in text
    assert sorted(p.name for p in (tmp_path / "samples").iterdir()) == [
        "fair@v1.json", "good@v1.json", "notes.json", "poor@v1.json",
    ]  # fmt: skip
    row = built.board.rows[0]
    samples = SystemSamples.model_validate_json((tmp_path / str(row.samples)).read_bytes())
    assert [sample.id for sample in samples.samples] == [sample.id for sample in benchmark]
    scores = samples.metrics[PSNR]
    assert scores.values[2] is None
    assert (scores.counted[2], scores.statuses[2].value) == (0.0, "output_missing")
    assert scores.reasons[2] == "there is no output for this sample"
    assert samples.samples[2].candidate_sha256 is None


def test_a_tampered_bundle_is_left_out_with_its_reason(board: Path, benchmark: Benchmark) -> None:
    folder = board / "submissions" / "good" / "v1"
    content = json.loads((folder / "results.json").read_text())
    content["metrics"][0]["value"] += 1
    (folder / "results.json").write_text(json.dumps(content))
    seal(folder)
    built = build(board, benchmark)
    assert [row.id for row in built.board.rows] == ["fair@v1", "poor@v1"]
    (left,) = built.board.left_out
    assert left.bundle == "good/v1"
    assert "results.json: video_quality/psnr: value" in left.reason
    assert built.board.rows[0].overall is not None
    assert built.board.rows[0].overall.place is not None
    assert built.board.rows[0].overall.place.rank == 1


def test_another_suite_is_left_out(board: Path, benchmark: Benchmark) -> None:
    folder = board / "submissions" / "poor" / "v1"
    content = json.loads((folder / "results.json").read_text())
    content["suite"] = {"name": "custom", "version": 0}
    (folder / "results.json").write_text(json.dumps(content))
    seal(folder)
    (left,) = build(board, benchmark).board.left_out
    assert left.reason == f"scored with suite custom v0, not lite v{load_catalogue().suite('lite').version}"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"errors": {PSNR: (1,)}}, f"{PSNR}: 1 samples failed through our own error"),
        ({"pin": Pin.NAMED}, "not the pinned"),
    ],
)
def test_incomplete_or_unofficial_rows_are_listed_and_not_ranked(
    board: Path, benchmark: Benchmark, tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    before = {row.id: row for row in build(board, benchmark).board.rows}
    make_bundle(board, make_run(tmp_path / "run", benchmark, Plan(name="Best", quality=0.95, **changes)))
    rows = {row.id: row for row in build(board, benchmark).board.rows}
    row = rows.pop("best@v1")
    assert not row.ranked
    assert any(reason in why for why in row.why_unranked)
    assert row.overall is None
    assert row.dimensions == {}
    assert all(cell.place is None for cell in row.values.values())
    assert row.values[PSNR].value is not None
    assert rows == before


def test_without_anchors_there_are_columns_and_no_dimensions(board: Path, benchmark: Benchmark, tmp_path: Path) -> None:
    bare = make_benchmark(tmp_path / "bare", n=24, speakers=8, anchors=False)
    built = build(board, bare)
    assert not any(column.anchored for column in built.board.metrics)
    row = built.board.rows[0]
    assert row.overall is None
    assert row.dimensions == {}
    assert row.values[PSNR].place is not None
    again = build(board, bare, anchors=benchmark.root / "anchors.json")
    assert again.board.to_json() == build(board, benchmark).board.to_json()


def test_anchors_of_another_benchmark_are_refused(board: Path, benchmark: Benchmark, tmp_path: Path) -> None:
    other = make_benchmark(tmp_path / "other", n=6)
    with pytest.raises(InputError, match="another manifest"):
        build(board, benchmark, anchors=other.root / "anchors.json")


def test_copies_are_shown_and_neither_is_left_out(board: Path, benchmark: Benchmark, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", benchmark, Plan(name="Thief", quality=0.8, seed=1))
    folder = make_bundle(board, run)
    own = (board / "submissions" / "good" / "v1" / "media.jsonl").read_text()
    (folder / "media.jsonl").write_text(own)
    seal(folder)
    built = build(board, benchmark)
    assert {"good@v1", "thief@v1"} <= {row.id for row in built.board.rows}
    for name in ("good@v1", "thief@v1"):
        assert "copy_of_submission" in {finding.code for finding in built.findings[name]}


def test_trust_comes_from_the_maintainers_alone(board: Path, benchmark: Benchmark) -> None:
    row = build(board, benchmark).board.rows[1]
    (board / "recomputed.yaml").write_text(
        "schema_version: 1\nbundles:\n"
        f"  - {{bundle_sha256: {row.bundle_sha256}, by: The maintainers, when: 2026-02-01}}\n"
    )
    rows = {row.id: row for row in build(board, benchmark).board.rows}
    assert (rows["good@v1"].trust, rows["good@v1"].recomputed_by) == ("recomputed", "The maintainers")
    assert rows["fair@v1"].trust == "self_scored"


def test_openness_licence_links_and_tasks(board: Path, benchmark: Benchmark) -> None:
    rows = {row.id: row for row in build(board, benchmark).board.rows}
    assert [rows[f"{name}@v1"].openness for name in ("good", "fair", "poor")] == ["open_weights", "open_code", "closed"]
    assert rows["poor@v1"].links == {"paper": "https://arxiv.org/abs/2507.09862"}
    assert rows["fair@v1"].links == {"code": "https://example.org/code"}
    assert (rows["good@v1"].tasks, rows["good@v1"].licence) == (("dialogue",), "MIT")


@pytest.mark.parametrize(
    "link",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "https://x/ y",
        'https://x/"onload=',
        "//x",
        "https://x/<b>",
        "ftp://x",
    ],
)
def test_a_link_that_is_none_is_dropped(board: Path, benchmark: Benchmark, tmp_path: Path, link: str) -> None:
    with pytest.raises(ValueError, match="link"):
        check_link(link)
    make_bundle(board, make_run(tmp_path / "run", benchmark, Plan(name="Linked", system={"paper": link})))
    rows = {row.id: row for row in build(board, benchmark).board.rows}
    assert rows["linked@v1"].links == {}


def test_an_unknown_suite(board: Path, benchmark: Benchmark) -> None:
    with pytest.raises(UsageError, match="no suite 'nothing'"):
        build_leaderboard(board, benchmark, load_catalogue(), suite="nothing")


# --- reported rows ----------------------------------------------------------------------------------------------------


def test_the_papers_rows_are_reported_and_never_ranked() -> None:
    columns, rows = read_reported(ROOT / "leaderboard", "test_500")
    assert len(rows) == 6
    assert all(column.reported and column.protocol == "reported/speakervid5m" for column in columns)
    assert not {column.protocol for column in columns} & {card.protocol for card in made.cards("lite").values()}
    assert all((row.trust, row.ranked, row.overall, row.dimensions) == ("reported", False, None, {}) for row in rows)
    full = next(row for row in rows if row.id == "speakervid-5m@dyadic-audio-spatial-noise")
    assert {name.removeprefix("reported/"): cell.value for name, cell in full.values.items()} == {
        "fid": 32.35, "fvd": 28.82, "psnr": 17.55, "ssim": 0.66, "arcface": 0.772, "sync_conf": 2.698,
        "fid_emotion": 3.22,
    }  # fmt: skip
    assert all(row.source and "2507.09862" in row.source for row in rows)


def test_reported_rows_stand_on_the_board_of_their_benchmark_only(board: Path, benchmark: Benchmark) -> None:
    shutil.copytree(ROOT / "leaderboard" / "reported", board / "reported")
    alone = build(board, benchmark).board
    assert not any(row.trust == "reported" for row in alone.rows)
    path = board / "reported" / "speakervid5m.yaml"
    path.write_text(path.read_text().replace("benchmark: test_500", "benchmark: tiny"))
    both = build(board, benchmark).board
    computed = [row for row in both.rows if row.trust != "reported"]
    assert computed == list(alone.rows), "a paper's numbers change nobody's"
    shared = {name for row in computed for name in row.values} & {
        name for row in both.rows if row.trust == "reported" for name in row.values
    }
    assert shared == set()


def test_a_reported_value_without_column_is_refused(tmp_path: Path) -> None:
    (tmp_path / "reported").mkdir()
    text = (ROOT / "leaderboard" / "reported" / "speakervid5m.yaml").read_text()
    (tmp_path / "reported" / "x.yaml").write_text(text.replace("id: reported/fid,", "id: reported/other,"))
    with pytest.raises(InputError, match="values of no column: reported/fid"):
        read_reported(tmp_path, "test_500")


# --- what the page is tested with -------------------------------------------------------------------------------------


def test_the_examples_are_valid_boards() -> None:
    board = leaderboard_examples.make_board(30, 12, hostile=True)
    assert Leaderboard.model_validate_json(board.to_json()) == board
    assert {row.trust for row in board.rows} == {"reported", "self_scored", "recomputed"}
    samples = leaderboard_examples.make_samples(board, board.rows[0].id)
    assert SystemSamples.model_validate_json(samples.to_json()) == samples
