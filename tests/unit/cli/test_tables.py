"""What is printed on a narrow terminal: no number may be cut, for a cut number looks like another number."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from vidchatbench.cli.output import format_value, print_results, print_table
from vidchatbench.results.files import SAMPLES_SCHEMA
from vidchatbench.results.sample_rows import read_reasons
from vidchatbench.results.schema import Results, load_results

HISTORIC = Path(__file__).resolve().parents[2] / "support" / "historic_results" / "v1"


def console(width: int) -> Console:
    return Console(file=io.StringIO(), width=width, force_terminal=False)


def printed(made: Console) -> str:
    assert isinstance(made.file, io.StringIO)
    return made.file.getvalue()


@pytest.fixture(params=sorted(HISTORIC.glob("*.json")), ids=lambda path: path.stem)
def results(request: pytest.FixtureRequest) -> Results:
    return load_results(request.param)


@pytest.mark.parametrize("width", [60, 80, 99, 100, 104, 120, 160])
def test_every_number_stands_there_whole(results: Results, width: int) -> None:
    made = console(width)
    print_results(made, results)
    text = printed(made)
    words = set(re.findall(r"[^\s,]+", text))
    for metric in results.metrics:
        assert metric.id in words
        if metric.value is not None:
            assert format_value(metric.value) in words, (metric.id, width)
        if metric.ci95 is not None:
            assert f"{format_value(metric.ci95[0])} … {format_value(metric.ci95[1])}" in text, (metric.id, width)
        assert f"{metric.n_ok}/{metric.n_expected - metric.n_not_applicable}" in words
        assert metric.protocol in text.replace("\n", "") or metric.protocol in re.sub(r"\s+", "", text)


@pytest.mark.parametrize("width", [60, 80, 99])
def test_a_table_that_does_not_fit_becomes_paragraphs(width: int) -> None:
    made = console(width)
    rows = [("video_quality/psnr ↑", "100.0", "", "undecided: 5 identities are too few for 18 comparisons")]
    print_table(made, "A title", ("metric", "first", "", "verdict"), rows)
    text = " ".join(printed(made).split())
    assert "video_quality/psnr ↑ first: 100.0 verdict: undecided: 5 identities are too few" in text


def test_reasons_come_with_their_samples_the_most_frequent_first(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def row(sample: str, metric: str, status: str, reason: str | None) -> dict[str, object]:
        numbers = {"value": None, "counted": None, "details": json.dumps({}), "features": "{}"}
        return {"sample_id": sample, "cluster": "p", "metric": metric, "protocol": "x/v1", "status": status,
                "reason": reason, **numbers}  # fmt: skip

    rows = [
        row("a", "m/one", "output_invalid", "no face"),
        row("b", "m/one", "output_invalid", "no sound"),
        row("c", "m/one", "output_invalid", "no sound"),
        row("c", "m/two", "output_invalid", "no sound"),
        row("d", "m/one", "error", "ours"),
        row("e", "m/one", "ok", None),
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=SAMPLES_SCHEMA), tmp_path / "samples.parquet")
    assert read_reasons(tmp_path, "output_invalid") == [("no sound", ["b", "c"]), ("no face", ["a"])]
    assert read_reasons(tmp_path, "error") == [("ours", ["d"])]
    assert read_reasons(tmp_path, "output_missing") == []
