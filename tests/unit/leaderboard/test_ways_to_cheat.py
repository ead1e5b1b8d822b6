"""Ways to a better number that are none: each was possible once, or nearly."""

from __future__ import annotations

import json
import math
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from leaderboard_bundles import Plan, make_benchmark, make_bundle, make_run, seal

from vidchatbench.api.scores import Status
from vidchatbench.core import paths
from vidchatbench.core.hashing import file_stamp
from vidchatbench.core.isolation import attempt
from vidchatbench.engine.extraction.jobs import ClipSource
from vidchatbench.leaderboard.build import build_leaderboard
from vidchatbench.media.memory import MemoryClip
from vidchatbench.plugins.catalogue import load_catalogue
from vidchatbench.results.schema import UNSEEN
from vidchatbench.results.statistics.intervals import cluster_mean_interval, widen_for_unseen_failures
from vidchatbench.results.statistics.paired import compare_paired
from vidchatbench.results.verdicts import Verdict
from vidchatbench.weights.download import adopt

PSNR = "video_quality/psnr"


def build(root: Path, n: int = 24, **plan: Any) -> tuple[Path, Any, Path]:
    benchmark = make_benchmark(root / "benchmark", n=n, speakers=8)
    folder = make_bundle(root / "board", make_run(root / "run", benchmark, Plan(name="Ours", quality=0.8, **plan)))
    return root / "board", benchmark, folder


def board_of(root: Path, benchmark: Any) -> Any:
    return build_leaderboard(root, benchmark, load_catalogue(), suite="lite", draws=200).board


def edit(folder: Path, change: Any) -> None:
    content = json.loads((folder / "results.json").read_text())
    change(content)
    (folder / "results.json").write_text(json.dumps(content))
    seal(folder)


def count_again(folder: Path, metric_id: str) -> None:
    """Writes the numbers of one metric anew from its rows, as a forger who knows the rules would."""
    rows = [row for row in pq.read_table(folder / "samples.parquet").to_pylist() if row["metric"] == metric_id]
    counted = [(row["counted"], row["cluster"]) for row in rows if row["counted"] is not None]
    values, names = [value for value, _ in counted], [name for _, name in counted]
    interval = cluster_mean_interval(values, names, seed=0)
    assert all(row["status"] in {"ok", "not_applicable"} for row in rows)
    if interval is not None:
        interval = widen_for_unseen_failures(interval, math.fsum(values) / len(values), 0.0, len(set(names)))

    def change(content: Any) -> None:
        (metric,) = (m for m in content["metrics"] if m["id"] == metric_id)
        ok = sum(row["status"] == "ok" for row in rows)
        away = sum(row["status"] == "not_applicable" for row in rows)
        value = math.fsum(value for value, _ in counted) / len(counted)
        oracle, (null,) = metric["anchors"]["oracle"], metric["anchors"]["nulls"].values()
        metric.update(
            value=value,
            ci95=list(interval) if interval is not None else None,
            interval_method=UNSEEN if interval is not None else None,
            n_ok=ok,
            n_not_applicable=away,
            coverage=ok / (len(rows) - away),
            anchored=100 * (value - null) / (oracle - null),
        )

    edit(folder, change)


def test_a_distance_outside_its_range_is_left_out(tmp_path: Path) -> None:
    root, benchmark, folder = build(tmp_path)

    def lower(content: Any) -> None:
        (metric,) = (m for m in content["metrics"] if m["id"] == "emotion/expression_fd_tddfa")
        metric.update(value=-50.0, ci95=[-51.0, -49.0])

    edit(folder, lower)
    board = board_of(root, benchmark)
    assert board.rows == ()
    assert "outside the metric's range" in board.left_out[0].reason


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["run"].update(seed=-1),
        lambda content: content["metrics"].append(
            {**content["metrics"][0], "id": "video_quality/lpips", "params": {"metric_id": 1}}
        ),
    ],
    ids=["negative seed", "a parameter of a strange name"],
)
def test_one_strange_bundle_does_not_take_the_board_down(tmp_path: Path, change: Any) -> None:
    root, benchmark, folder = build(tmp_path)
    edit(folder, change)
    assert len(board_of(root, benchmark).left_out) == 1


def test_a_score_beyond_all_measure_is_left_out(tmp_path: Path) -> None:
    root, benchmark, folder = build(tmp_path)
    table = pq.read_table(folder / "samples.parquet")
    rows = table.to_pylist()
    for row in rows:
        if row["metric"] == "voice/dnsmos_ovr" and row["status"] == "ok":
            row["value"] = row["counted"] = 1.7e308
    pq.write_table(type(table).from_pylist(rows, schema=table.schema), folder / "samples.parquet")
    seal(folder)
    (left,) = board_of(root, benchmark).left_out
    assert "no score is that large" in left.reason


def test_scoring_only_the_samples_of_ones_choice_is_not_ranked(tmp_path: Path) -> None:
    root, benchmark, folder = build(tmp_path)
    table = pq.read_table(folder / "samples.parquet")
    rows = table.to_pylist()
    kept = [row for row in rows if row["metric"] == PSNR and row["status"] == "ok"][:2]
    for row in rows:
        if row["metric"] == PSNR and row["status"] == "ok" and row not in kept:
            row.update(status=Status.NOT_APPLICABLE.value, value=None, counted=None, reason="so they say")
    pq.write_table(type(table).from_pylist(rows, schema=table.schema), folder / "samples.parquet")
    count_again(folder, PSNR)
    board = board_of(root, benchmark)
    (row,) = board.rows
    assert row.values[PSNR].place is None
    assert "the metric applies to 23" in str(row.values[PSNR].unranked)


def test_many_comparisons_get_draws_enough_to_find_anything() -> None:
    differences = np.random.default_rng(0).normal(10, 1, (60, 2))
    p = compare_paired(differences, [f"p{i}" for i in range(60)], seed=0, draws=43_200).p
    assert p.max() * 540 < 0.05
    # A test that ended early because nothing differs is no lack of draws.
    nothing = Verdict(None, None, 60, 1.0, None, "")
    assert nothing.say(999, 6) == "no difference found"
    assert "exchanges are too few" in nothing.say(99, 60)


def test_an_interval_is_as_wide_as_the_identities_that_have_values_demand() -> None:
    values = np.full((100, 2), np.nan)
    values[:5, 0] = values[:5, 1] = np.random.default_rng(1).normal(0, 1, 5)
    names = [f"p{i:03}" for i in range(100)]
    among_many = compare_paired(values, names, seed=0)
    alone = compare_paired(values[:5], names[:5], seed=0)
    assert among_many.high[0] - among_many.low[0] > 0.7 * (alone.high[0] - alone.low[0])


def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "reply.mp4"
    path.write_bytes(b"first")
    info = MemoryClip.of(np.zeros((2, 8, 8, 3), np.uint8), fps=25).describe()
    clip = ClipSource(str(path), info, stamp=file_stamp(path))
    assert not clip.has_changed
    path.write_bytes(b"another")
    assert clip.has_changed
    path.unlink()
    assert clip.has_changed
    assert not ClipSource(str(path), info).has_changed, "a clip in memory cannot change"


def test_two_that_bring_one_weight_wait_for_each_other(tmp_path: Path, private_cache: Path) -> None:
    from vidchatbench.api.plugins import WeightSpec
    from vidchatbench.weights.lock import read_lock

    spec = WeightSpec(
        name="net", file_name="net.pt", sha256=None, size=None, license="MIT", commercial_use=True, origin="us"
    )
    sources = []
    for k in range(4):
        source = tmp_path / f"{k}.bin"
        source.write_bytes(bytes([k]) * 500_000)
        sources.append(source)
    threads = [
        threading.Thread(target=attempt, args=(lambda s=s: adopt(spec, s, paths.weights_root()),)) for s in sources
    ]
    for thread in threads:
        thread.start()
        time.sleep(0.001)
    for thread in threads:
        thread.join()
    entry = read_lock()["net"]
    (kept,) = (p for p in paths.weights_root().glob("*.pt") if p.name.startswith(entry.sha256[:12]))
    assert kept.stat().st_size == entry.size == 500_000
    assert private_cache.is_dir()


def test_no_folder_of_this_computer_stands_in_what_is_published(private_cache: Path) -> None:
    text = f"{private_cache}/weights/x.pt is not the weight"
    assert paths.without_places(text) == "<cache>/weights/x.pt is not the weight"
    failure = attempt(lambda: Path("/nonexistent/folder/file.bin").read_bytes())
    assert "nonexistent" not in failure.reason  # type: ignore[union-attr]
    assert "file.bin" in failure.reason  # type: ignore[union-attr]
