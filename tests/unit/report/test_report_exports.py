"""What leaves the report for a paper must say the same numbers, claim no more than the test does, and compile."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import report_runs as runs
import typer
from typer.testing import CliRunner

from vidchatbench.api.scores import Score
from vidchatbench.cli import report as report_command
from vidchatbench.errors import UnavailableError, UsageError
from vidchatbench.report import bibtex, figures, latex
from vidchatbench.report.run import read_run
from vidchatbench.report.tables import COLUMNS, csv_table
from vidchatbench.report.write import write_report
from vidchatbench.results.comparison import ComparedMetric, ComparedValue, PairResult

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "\\end{table} \\input{x} 50% & $x_1^2$ #{a} ~<b>|\"`' [y] *z* --"


# --- CSV ------------------------------------------------------------------------------------------------------------


def test_csv_gives_the_numbers_back_to_the_last_bit(tmp_path: Path) -> None:
    results = runs.make_run(tmp_path / "run", samples=30)
    rows = list(csv.DictReader(io.StringIO(csv_table([results, results]))))
    assert len(rows) == 2 * len(results.metrics)
    for row, metric in zip(rows, results.metrics, strict=False):
        assert (row["metric"], row["protocol"], row["manifest_sha256"]) == (metric.id, metric.protocol, runs.MANIFEST)
        assert metric.ci95 is not None
        assert (float(row["value"]), float(row["ci95_low"]), float(row["ci95_high"])) == (metric.value, *metric.ci95)
        counts = [int(row[f"n_{name}"]) for name in ("ok", "failed", "not_applicable", "error")]
        assert sum(counts) == int(row["n_expected"]) == 30
        assert float(row["anchored"]) == metric.anchored
        assert (row["null"], float(row["null_value"])) == ("shuffled_replies", 48.0)
        assert row["floor"] == ""


@pytest.mark.parametrize("name", ["=1+1", "+x", "-x", "@x", "\tx"])
def test_no_cell_is_a_formula(tmp_path: Path, name: str) -> None:
    results = runs.make_run(tmp_path / "run", system={"name": name})
    for row in csv.DictReader(io.StringIO(csv_table([results]))):
        assert row["system"] == f"'{name}"
        for column in set(COLUMNS) - {"system"}:
            assert not row[column].startswith(("=", "@", "+", "\t"))


# --- LaTeX ----------------------------------------------------------------------------------------------------------


def compared(
    values: dict[str, float | None], better: dict[tuple[str, str], str | None], **more: object
) -> ComparedMetric:
    pairs = [
        PairResult(first=first, second=second, n=5, clusters=5, difference=1.0, ci95=None, p=0.01, p_holm=0.01,
                   draws=10, effect=None, detectable=None, better=winner, verdict="v")
        for (first, second), winner in better.items()
    ]  # fmt: skip
    content = {
        "id": "voice/m", "version": 1, "title": "M", "protocol": "m/v1", "dimension": "voice", "direction": "higher",
        "unit": "", "aggregation": "mean", "pairs": tuple(pairs),
        "values": tuple(ComparedValue(system=name, value=value, ci95=None, n_ok=5, n_failed=0)
                        for name, value in values.items()),
    }  # fmt: skip
    return ComparedMetric.model_validate({**content, **more})


def test_the_best_is_bold_only_where_it_beats_every_other() -> None:
    values = {"a": 3.0, "b": 2.0, "c": 1.0}
    clear = {("a", "b"): "a", ("a", "c"): "a", ("b", "c"): None}
    assert latex.leaders(compared(values, clear)) == ("a", frozenset())
    assert latex.leaders(compared(values, {**clear, ("a", "b"): None})) == (None, frozenset("ab"))
    assert latex.leaders(compared(values, {("a", "b"): None, ("a", "c"): None})) == (None, frozenset("abc"))


def test_the_best_of_a_metric_that_is_better_when_lower_is_the_lowest() -> None:
    won = {("a", "b"): "b"}
    assert latex.leaders(compared({"a": 3.0, "b": 2.0}, won, direction="lower")) == ("b", frozenset())


def test_what_was_not_compared_is_never_beaten() -> None:
    assert latex.leaders(compared({"a": 3.0, "b": None}, {})) == (None, frozenset("a"))
    assert latex.leaders(compared({"a": 3.0, "b": 2.0}, {})) == (None, frozenset("ab"))
    assert latex.leaders(compared({"a": None, "b": None}, {})) == (None, frozenset())
    assert latex.leaders(compared({"a": 3.0}, {})) == (None, frozenset("a"))


def test_a_significant_difference_is_bold_and_a_tie_is_marked(tmp_path: Path) -> None:
    cards = [runs.make_card(0, title="Clear"), runs.make_card(2, title="Tied")]
    worse = {0: 40.0, 1: 50.0}
    for name, loss in (("Ours", 0.0), ("Theirs", 1.0)):
        runs.make_run(
            tmp_path / name, samples=60, cards=cards, system={"name": name},
            score=lambda place, k, loss=loss: Score.ok(50.0 + k % 7 - (loss * worse[0] if place == 0 else 0.0)),
        )  # fmt: skip
    report = write_report(tmp_path / "Ours", compare=[tmp_path / "Theirs"])
    table = (report.page.parent / "tables" / "results.tex").read_text("utf-8")
    rows = {line.split(" ")[0]: line for line in table.splitlines() if line.startswith(("Clear", "Tied"))}
    ours, theirs = rows["Clear"].split(" & ")[1:]
    assert ours.startswith(r"$\mathbf{")
    assert "mathbf" not in theirs
    assert "dagger" not in rows["Clear"]
    assert rows["Tied"].count(r"^{\dagger}") == 2
    assert "mathbf" not in rows["Tied"]
    assert f"manifest \\texttt{{{runs.MANIFEST[:12]}}}, $n = 60$), suite lite v1" in table
    page = report.page.read_text("utf-8")
    assert "Ours is better" in page
    assert len(list(csv.DictReader((report.page.parent / "tables" / "results.csv").open()))) == 4


def test_one_system_has_a_row_per_metric_with_interval_n_and_protocol_and_nothing_bold(tmp_path: Path) -> None:
    results = runs.make_run(tmp_path / "run", samples=30)
    table = latex.latex_table(results)
    assert "bf" not in table
    for rule in (r"\toprule", r"\midrule", r"\bottomrule"):
        assert table.count(rule) == 1
    rows = [line for line in table.splitlines() if line.startswith("Metric ") and "Protocol" not in line]
    assert len(rows) == len(results.metrics)
    for metric in results.metrics:
        row = next(line for line in rows if line.startswith(f"{metric.title} ("))
        assert row.count(" & ") == 4
        assert f"{metric.n_ok}/30" in row
        assert latex.escape(metric.protocol) in row


def test_whatever_a_run_holds_the_table_keeps_its_form(tmp_path: Path) -> None:
    cards = [runs.make_card(0, title=HOSTILE, unit=HOSTILE)]
    table = latex.latex_table(runs.make_run(tmp_path / "run", cards=cards, system={"name": HOSTILE}))
    assert table.count(r"\end{table}") == 1
    assert table.count(r"\begin{") == table.count(r"\end{") == 2
    assert r"\input" not in table
    unescaped = re.sub(r"\\[%&#_{}$]", "", table.partition("\n\\begin")[2])
    assert unescaped.count("{") == unescaped.count("}")
    assert unescaped.count("$") % 2 == 0
    assert "%" not in unescaped
    row = next(line for line in unescaped.splitlines() if "textbackslash" in line and r"\\" in line)
    assert row.count("&") == 4
    assert not re.search(r"\\\\\s*[\[*]", table), "a row break would take them for its own"


@pytest.mark.parametrize(
    ("given", "escaped"),
    [("a_b", r"a\_b"), ("50%", r"50\%"), ("\\", r"\textbackslash{}"), ("{}", r"\{\}"), ("[1]", "{[}1{]}"),
     ("a\nb", "a b"), ("--", "{-}{-}"), ("Größe 日本", "Größe 日本"), ("\x00", "�")],
)  # fmt: skip
def test_escaping(given: str, escaped: str) -> None:
    assert latex.escape(given) == escaped


# --- BibTeX ---------------------------------------------------------------------------------------------------------

NESTED = "@article{b, title = {A {B} \\} C}}"


def test_entries_are_found_whatever_stands_between_them() -> None:
    found = list(bibtex.entries(f"junk @misc{{a, x = 1}} text {NESTED}\n@string{{x}} @misc{{open, y = {{"))
    assert found == [("a", "@misc{a, x = 1}"), ("b", NESTED)]


def test_every_work_is_cited_once_and_two_works_never_become_one(tmp_path: Path) -> None:
    texts = ["@misc{k, t = {One}}", "@misc{k,\n  t = {One}}\n@misc{z, t = {Z}}", "@misc{k, t = {Another}}", "no entry"]
    cards = [runs.make_card(k, citation=text) for k, text in enumerate(texts)]
    results = runs.make_run(tmp_path / "run", cards=[*cards, runs.make_card(4)])
    found = bibtex.bibliography(results, {card.id: card for card in cards})
    assert [key for key, _ in bibtex.entries(found)] == ["zhang2026speakervid5m", "k", "k-2", "z"]
    assert "2507.09862" in found
    assert "Another" in dict(bibtex.entries(found))["k-2"]
    assert f"% {cards[0].id}, {cards[1].id}\n@misc{{k, t = {{One}}}}" in found
    assert f"known here: {cards[3].id}, {results.metrics[4].id}" in found


def test_the_cards_of_the_installed_metrics_are_all_bibtex() -> None:
    from vidchatbench.plugins.catalogue import load_catalogue

    catalogue = load_catalogue()
    without = [name for name in catalogue.metrics if not list(bibtex.entries(catalogue.metric(name).card.citation))]
    assert without == []


# --- plots ----------------------------------------------------------------------------------------------------------


def test_every_plot_is_a_file_of_its_own_that_parses(tmp_path: Path) -> None:
    cards = [runs.make_card(k, title=f"<{k}> & \"'\x07") for k in range(4)]
    results = runs.make_run(tmp_path / "run", cards=cards)
    report = write_report(tmp_path / "run", plots=tmp_path / "plots")
    names = {path.stem for path in report.plots}
    assert names == {"scores", "radar", *(f"strip_{metric.id.replace('/', '_')}" for metric in results.metrics)}
    for path in report.plots:
        root = ET.fromstring(path.read_bytes())
        assert root.tag == f"{SVG}svg"
        assert (root.findtext(f"{SVG}title") or "") != ""
        assert (root.findtext(f"{SVG}desc") or "") != ""
        style = root.findtext(f"{SVG}style") or ""
        classes = {name for node in root.iter() for name in node.get("class", "").split()}
        assert {name for name in classes if f".{name} " not in style} == set(), "a part without a colour is black"
        assert "var(" not in path.read_text("utf-8"), "programs that draw files know no variables"


def test_a_metric_without_a_value_has_no_plot(tmp_path: Path) -> None:
    absent = Score.not_applicable("no reference")
    runs.make_run(tmp_path / "run", cards=[runs.make_card(0)], score=lambda *_: absent)
    assert figures.all_plots(read_run(tmp_path / "run")) == []
    assert "No sample has a value." in write_report(tmp_path / "run").page.read_text("utf-8")


@pytest.mark.parametrize("plot_format", ["png", "pdf"])
def test_without_the_extra_the_error_names_it_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plot_format: str
) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    runs.make_run(tmp_path / "run")
    with pytest.raises(UnavailableError, match=r"vidchatbench\[report\]"):
        write_report(tmp_path / "run", plots=tmp_path / "plots", plot_format=plot_format)
    assert not (tmp_path / "plots").exists()
    assert not (tmp_path / "run" / "report.html").exists()
    write_report(tmp_path / "run", plots=tmp_path / "plots")


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    runs.make_run(tmp_path / "run")
    with pytest.raises(UsageError, match="svg, png, pdf"):
        write_report(tmp_path / "run", plots=tmp_path / "plots", plot_format="gif")


@pytest.mark.parametrize(("plot_format", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_drawn_plots_are_equal_every_time(tmp_path: Path, plot_format: str, start: bytes) -> None:
    pytest.importorskip("vl_convert")
    runs.make_run(tmp_path / "run", cards=[runs.make_card(0)])
    found = [
        {path.name: path.read_bytes() for path in write_report(tmp_path / "run", plots=tmp_path / name,
                                                               plot_format=plot_format).plots}
        for name in "abcde"
    ]  # fmt: skip
    assert all(one == found[0] for one in found)
    assert all(content.startswith(start) and len(content) > 2000 for content in found[0].values())


# --- the command ----------------------------------------------------------------------------------------------------


def test_the_command_lists_what_it_wrote(tmp_path: Path) -> None:
    app = typer.Typer()
    report_command.add_to(app)
    runs.make_run(tmp_path / "run")
    done = CliRunner().invoke(app, [str(tmp_path / "run"), "--plots", str(tmp_path / "plots"), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["report"] == str(tmp_path / "run" / "report.html")
    assert [Path(path).name for path in told["tables"]] == ["results.csv", "results.tex", "citations.bib"]
    for path in (told["report"], *told["tables"], *told["plots"]):
        assert Path(path).is_file()
    assert told["clips"] == {"shown": 0, "missing": 1}
    quiet = CliRunner().invoke(app, [str(tmp_path / "run")])
    assert quiet.exit_code == 0
    assert quiet.stdout == ""
    assert "report.html" in quiet.stderr
