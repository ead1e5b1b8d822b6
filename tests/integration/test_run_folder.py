"""What a run folder may not be: the outputs themselves, a file, or another run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import vidchatbench as vcb
from vidchatbench.demo import DemoPaths

METRICS = ["video_quality/duration_ratio"]


def score(demo: DemoPaths, outputs: Path, out: Path, store: Path, metrics: list[str] | None = None) -> vcb.Results:
    config = vcb.RunConfig(workers=1, store=store)
    return vcb.evaluate(outputs, benchmark=demo.benchmark, metrics=metrics or METRICS, out=out, config=config)


def test_a_run_does_not_write_into_the_outputs(demo: DemoPaths, tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    shutil.copytree(demo.systems["oracle"], outputs)
    before = {path.name: path.read_bytes() for path in outputs.iterdir()}
    for out in (outputs, outputs / "run"):
        with pytest.raises(vcb.UsageError, match="lies in the outputs"):
            score(demo, outputs, out, tmp_path / "store")
    assert {path.name: path.read_bytes() for path in outputs.iterdir()} == before


def test_a_run_does_not_replace_another_systems(demo: DemoPaths, tmp_path: Path) -> None:
    out, store = tmp_path / "run", tmp_path / "store"
    first = score(demo, demo.systems["oracle"], out, store)
    written = (out / "results.json").read_bytes()
    with pytest.raises(vcb.UsageError, match=r"holds another run .*'oracle'.* give another --out"):
        score(demo, demo.systems["shifted"], out, store)
    assert (out / "results.json").read_bytes() == written
    again = score(demo, demo.systems["oracle"], out, store)
    assert again.metrics == first.metrics


def test_a_run_folder_that_is_a_file_is_refused_before_anything_runs(demo: DemoPaths, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine")
    with pytest.raises(vcb.UsageError, match="cannot be made"):
        score(demo, demo.systems["oracle"], taken, tmp_path / "store")
    assert taken.read_text() == "mine"
    assert not (tmp_path / "store").exists()


def test_a_short_reply_shows_in_its_duration(demo: DemoPaths, tmp_path: Path) -> None:
    results = score(demo, demo.systems["oracle"], tmp_path / "run", tmp_path / "store")
    assert results.metrics[0].value == 1.0
