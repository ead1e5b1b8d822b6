"""What is printed on a narrow terminal: no number may be cut, for a cut number looks like another number."""

from __future__ import annotations

import io
import json
import re
import sys
from itertools import combinations
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from vidchatbench import cli
from vidchatbench.cli.compare import _print
from vidchatbench.cli.output import format_value, print_results, stderr_console
from vidchatbench.cli.tables import Column, Heading, print_table
from vidchatbench.plugins.catalogue import load_catalogue
from vidchatbench.results.comparison import Comparison
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


@pytest.mark.parametrize("width", [30, 38, 42])
def test_a_table_that_does_not_fit_becomes_paragraphs(width: int) -> None:
    # 20 cells of the id, 5 of `100.0`, 24 of the text and two gaps make 53; without the text, 27.
    made = console(width)
    rows = [("video_quality/psnr_of_faces_and_more ↑", "100.0", "", "undecided: 5 identities are too few for 18")]
    columns = ("metric", "first", "", "verdict")
    print_table(made, "A title", columns, rows, whole=("metric", "first"))
    text = " ".join(printed(made).split())
    assert "video_quality/psnr_of_faces_and_more ↑ first 100.0" in text.replace("- ", "-").replace("_ ", "_")
    assert "verdict: undecided: 5 identities are too few for 18" in text


WIDTHS = [80, 100, 120, 160]
COLUMNS = (
    Column("metric"),
    Column("value", right=True, rank=1),
    Column("licence of weights", wraps=True, rank=3),
    Column("family", rank=4, drops=True),
    Column("protocol", rank=2),
)
ROWS = [
    ("family/short ↑", "0.123", "MIT", "family", "short/v1"),
    ("family/a_metric_of_a_long_name ↓", "1234", "research only: " + "and so on, " * 12, "family", "p" * 45 + "/v1"),
    ("家族/計量 ↑", "–", "", "家族", "計量/v1"),
]


@pytest.mark.parametrize("width", [*range(20, 200, 7), *WIDTHS])
def test_no_line_is_wider_than_the_terminal_and_no_heading_is_broken(width: int) -> None:
    made = console(width)
    print_table(made, "A title", COLUMNS, [Heading("first"), *ROWS])
    lines = printed(made).splitlines()
    assert all(cell_len(line) <= width for line in lines), width
    assert lines[0] == "A title"
    if "─" in printed(made):
        head = lines[1]
        assert [part for part in re.split(r"\s{2,}", head.strip()) if part not in {c.name for c in COLUMNS}] == []
    text = "".join(printed(made).split())
    for cell in ("0.123", "1234", "short/v1", "家族/計量↑", "p" * 45 + "/v1"):
        assert cell in text, (cell, width)
    assert text.count("on,") == 12


def test_the_columns_of_the_greatest_rank_leave_first_and_one_that_drops_is_gone() -> None:
    # Side by side: 32 + 5 + 48 + 6 cells, licence between 24 and 147, and gaps of 2: at least 123.
    heads = {}
    for width in (160, 118, 115, 88, 50, 36):
        made = console(width)
        print_table(made, "t", COLUMNS, [(*row[:2], row[2][:100], *row[3:]) for row in ROWS])
        lines = printed(made).splitlines()
        heads[width] = re.split(r"\s{2,}", lines[1].strip()) if "─" in lines[2] else []
    assert heads[160] == ["metric", "value", "licence of weights", "family", "protocol"]
    assert heads[118] == ["metric", "value", "protocol"], "four lines of licence are too many"
    assert heads[115] == heads[118]
    assert heads[88] == ["metric", "value"]
    assert heads[50] == ["metric", "value"]
    assert heads[36] == ["metric"]


def test_columns_of_one_rank_leave_together() -> None:
    columns = (Column("metric"), Column("ours", right=True, rank=1), Column("theirs", right=True, rank=1))
    for width, both in ((21, True), (20, False)):  # 6 + 2 + 5 + 2 + 6 cells are 21
        made = console(width)
        print_table(made, "t", columns, [("a/b", "0.123", "0.4567"[:6])])
        head = printed(made).splitlines()[1].split()
        assert head == (["metric", "ours", "theirs"] if both else ["metric"])
        assert ("ours 0.123" in printed(made)) is not both


def test_a_column_without_a_cell_is_left_out() -> None:
    made = console(80)
    print_table(made, "t", ("metric", "error", "n"), [("a", "", "1"), ("b", "", "2")])
    assert printed(made).splitlines()[1].split() == ["metric", "n"]


def test_a_heading_between_rows_and_cells_of_several_lines() -> None:
    made = console(40)
    print_table(
        made,
        "t",
        (Column(""), Column("what"), Column("result", wraps=True)),
        [Heading("group"), ("ok", "x", "one\ntwo")],
    )
    assert printed(made) == "t\n    what  result\n────────────────\ngroup\nok  x     one\n          two\n\n"


def test_cells_are_text_and_never_markup() -> None:
    made = console(80)
    print_table(made, "[bold]t", ("a", "b"), [("[red]x[/red]", "{} [/]")])
    assert "[bold]t" in printed(made)
    assert "[red]x[/red]  {} [/]" in printed(made)


@pytest.mark.parametrize("width", [None, *WIDTHS])
def test_without_a_terminal_lines_are_as_long_as_columns_says_or_160(
    width: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if width is not None:
        monkeypatch.setenv("COLUMNS", str(width))
    assert stderr_console().width == (width or 160)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_tables_of_the_commands_are_readable(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, private_cache: Path
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    for words, names in {
        ("metrics",): {"metric", "available", "protocol", "dimension", "licence of weights", ""},
        ("weights", "list"): {"name", "size", "found in", "brought from", "licence", ""},
        ("doctor",): {"what", "result", ""},
    }.items():
        monkeypatch.setattr(sys, "argv", ["vidchatbench", *words])
        with pytest.raises(SystemExit):
            cli.main()
        lines = capsys.readouterr().err.splitlines()
        assert max(map(cell_len, lines)) <= width
        assert set(re.split(r"\s{2,}", lines[1].strip())) <= names, words
        # A row takes a few lines, not one for every letter.
        assert len(lines) < 6 * len(load_catalogue().metrics), words
        for metric in load_catalogue().metrics if words == ("metrics",) else ():
            assert any(line.startswith(f"{metric} ") for line in lines), metric


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("names", [("ours", "theirs"), ("ours", "a system whose name is long"), ("a", "b", "c")])
def test_a_comparison_is_readable(width: int, names: tuple[str, ...]) -> None:
    made = console(width)
    _print(made, comparison_of(names))
    text = printed(made)
    lines = text.splitlines()
    assert all(cell_len(line) <= width for line in lines)
    heads = {"metric", "difference", "95 % interval", "p", "p (Holm)", "n", "verdict", "first", "second", *names}
    assert set(re.split(r"\s{2,}", lines[1].strip())) <= heads
    words = " ".join(text.split())
    for whole in ("-0.100 … 0.300", "0.0400", "0.0800", "50 (25)", "+0.1"):
        assert words.count(whole) == 2 * len(names) * (len(names) - 1) / 2, whole
    assert words.count("no difference found; one under 0.2 could have gone unnoticed") >= 2
    assert all(name in words for name in names)
    assert len(lines) < 12 + 6 * len(names) * (len(names) - 1), "a row takes a few lines"


def comparison_of(names: tuple[str, ...]) -> Comparison:
    ref = dict.fromkeys(("manifest_sha256",), "0" * 64)
    fields = {
        "version": 1, "title": "T", "dimension": "video_quality", "direction": "higher", "unit": "", "protocol": "p/v1",
        "aggregation": "mean",
    }  # fmt: skip
    pair = {
        "n": 50, "clusters": 25, "difference": 0.1, "ci95": (-0.1, 0.3), "p": 0.04, "p_holm": 0.08, "draws": 99,
        "effect": None, "detectable": None, "better": None,
        "verdict": "no difference found; one under 0.2 could have gone unnoticed",
    }  # fmt: skip
    metrics = [
        {
            "id": name, **fields,
            "values": [{"system": s, "value": 0.5, "ci95": None, "n_ok": 50, "n_failed": 0} for s in names],
            "pairs": [{"first": one, "second": two, **pair} for one, two in combinations(names, 2)],
        }
        for name in ("video_quality/psnr", "emotion/distribution_agreement_fer")
    ]  # fmt: skip
    return Comparison.model_validate(
        {
            "benchmark": {"name": "b", "version": "1", "n_samples": 50, **ref},
            "suite": {"name": "lite", "version": 1}, "systems": names, "metrics": metrics, "left_out": (),
            "seed": 0, "draws": 99,
        }
    )  # fmt: skip


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
