"""The report must show what the run found and nothing else: no path of the machine, no foreign code, no other clip."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import report_runs as runs
from report_runs import Seen, written

from vidchatbench.api.scores import Score, Status
from vidchatbench.errors import InputError, UsageError
from vidchatbench.report import page, plots
from vidchatbench.report.drawing import scales, text
from vidchatbench.report.failures import group_failures
from vidchatbench.report.run import Cell, read_run, worst_samples
from vidchatbench.report.write import write_report
from vidchatbench.results.files import SAMPLES_SCHEMA

HOSTILE = '</script><script>alert(1)</script><img src=x onerror="alert(2)">\' "&'
REPORT = Path(page.__file__).parent


def cell(sample: str, status: Status = Status.OK, value: float | None = None, **more: object) -> Cell:
    content = {"cluster": "c", "counted": value, "reason": None, "details": {}, **more}
    return Cell(sample=sample, status=status, value=value if status is Status.OK else None, **content)  # type: ignore[arg-type]


# --- one file that asks for nothing ---------------------------------------------------------------------------------


def test_the_page_is_one_file_that_asks_for_nothing(tmp_path: Path) -> None:
    runs.make_run(tmp_path / "run")
    seen = Seen(written(tmp_path / "run"))
    assert {tag for tag, _ in seen.tags}.isdisjoint({"link", "iframe", "object", "embed", "base", "form"})
    assert not seen.attributes("src")
    assert not seen.attributes("style"), "the content policy forbids them"
    assert [link for link in seen.attributes("href") if not link.startswith("#")] == []
    assert "url(" not in seen.styles[0]
    assert "@import" not in seen.styles[0]


def test_the_content_policy_allows_exactly_the_script_and_the_style_of_the_page(tmp_path: Path) -> None:
    runs.make_run(tmp_path / "run")
    seen = Seen(written(tmp_path / "run"))
    policy = next(found["content"] for tag, found in seen.tags if found.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    for content, rule in ((seen.scripts[-1], "script-src"), (seen.styles[0], "style-src")):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in policy
    assert rules["require-trusted-types-for"] == "'script'"


def test_equal_runs_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        runs.make_run(tmp_path / name / "run")
        write_report(tmp_path / name / "run", plots=tmp_path / name / "plots")
    first, second = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*")
         if path.is_file() and path.suffix != ".parquet"}
        for name in ("one", "two")
    )  # fmt: skip
    assert first == second
    assert {path.suffix for path in first} >= {".html", ".csv", ".tex", ".bib", ".svg"}


def test_numbers_come_with_n_interval_protocol_and_what_was_lost(tmp_path: Path) -> None:
    results = runs.make_run(tmp_path / "run", samples=30)
    shown = " ".join(Seen(written(tmp_path / "run")).text.split())
    for metric in results.metrics:
        assert metric.value is not None
        assert metric.ci95 is not None
        decimals = text.metric_decimals(metric)
        row = (
            f"{text.number(metric.value, decimals)} dB "
            f"{text.number(metric.ci95[0], decimals)} … {text.number(metric.ci95[1], decimals)} "
            f"{metric.n_ok} / 30 {metric.n_failed} failed"
        )
        assert row in shown
        assert metric.protocol in shown


def test_sets_show_their_floor_and_say_that_failed_samples_are_left_out(tmp_path: Path) -> None:
    card = runs.make_card(0, aggregation="set", worst=None, null=None, direction="lower")
    results = runs.make_run(tmp_path / "run", cards=[card])
    floor = results.metrics[0].floor
    assert floor is not None
    shown = " ".join(Seen(written(tmp_path / "run")).text.split())
    value, candidate = (text.number(number, text.decimals_for([number])) for number in (floor.value, floor.candidate))
    assert f"real against real {value}, these {candidate}, both at n = {floor.n}" in shown.replace("\xa0", " ")
    assert "1 failed sample left out" in shown


def test_without_anchors_the_page_says_how_to_build_them(tmp_path: Path) -> None:
    runs.make_run(tmp_path / "run", cards=[runs.make_card(0, null=None)])
    assert "vidchatbench anchors build" in Seen(written(tmp_path / "run")).text
    runs.make_run(tmp_path / "other", cards=[runs.make_card(0)])
    assert "vidchatbench anchors build" not in Seen(written(tmp_path / "other")).text


def test_the_weights_are_listed_once_with_hash_licence_and_pin(tmp_path: Path) -> None:
    runs.make_run(tmp_path / "run")
    shown = Seen(written(tmp_path / "run")).text
    assert shown.count("c" * 64) == 1
    assert "CC0-1.0" in shown
    assert "published" in shown


# --- hostile content ------------------------------------------------------------------------------------------------


def test_hostile_content_stays_text(tmp_path: Path) -> None:
    reason = Score.invalid(HOSTILE)
    runs.make_run(
        tmp_path / "run",
        score=lambda _, k: reason if k == 1 else Score.ok(float(k), note=HOSTILE),
        system={"name": HOSTILE, "code": "javascript:alert(3)", "paper": "https://x.org/a\"onclick='b'",
                "weights": "data:text/html,<script>", "generation_settings": {HOSTILE: HOSTILE}},
    )  # fmt: skip
    # No sample id may hold such letters, but a run folder can be changed by anybody.
    change_rows(tmp_path / "run", sample_id=HOSTILE)
    seen = Seen(written(tmp_path / "run"))
    assert [tag for tag, _ in seen.tags].count("script") == 3, "two blocks of data and the page's own"
    assert "img" not in {tag for tag, _ in seen.tags}
    assert not [name for _, found in seen.tags for name in found if name.startswith("on")]
    outward = [link for link in seen.attributes("href") if not link.startswith("#")]
    assert outward == ["https://x.org/a\"onclick='b'"]
    assert HOSTILE in seen.text
    data = json.loads(seen.scripts[0])
    assert HOSTILE in data["reasons"]
    assert HOSTILE in data["samples"]
    assert "<" not in seen.scripts[0]
    assert "<" not in seen.scripts[1]
    assert json.loads(seen.scripts[1])[0][0]["note"] == HOSTILE


@pytest.mark.parametrize(
    ("address", "followed"),
    [
        ("https://x.org/a", True), ("http://x.org", True), (" https://x.org ", True), ("javascript:alert(1)", False),
        ("JaVaScRiPt://x.org/%0aalert(1)", False), ("data:text/html,x", False), ("//x.org", False), ("x.org", False),
        ("https:///x", False), ("http://[", False), (None, False), (3, False),
    ],
)  # fmt: skip
def test_only_addresses_on_the_web_become_links(address: object, followed: bool) -> None:
    assert (page._web_address(address) is not None) is followed


def test_control_characters_leave_the_page(tmp_path: Path) -> None:
    runs.make_run(tmp_path / "run", system={"name": "a\x00b\x1b[31m\ud800"[:8].replace("\ud800", "")})
    content = written(tmp_path / "run")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", content)


# --- whether the run counts -----------------------------------------------------------------------------------------


def test_a_complete_run_of_a_suite_can_be_ranked(tmp_path: Path) -> None:
    results = runs.make_run(tmp_path / "run", score=lambda _, k: Score.ok(float(k)))
    assert page.standing(results) == page.Standing(True, True, ())


def test_whatever_keeps_a_run_from_the_ranking_is_said(tmp_path: Path) -> None:
    error = Score(Status.ERROR, None, "boom")
    results = runs.make_run(
        tmp_path / "run", cards=[runs.make_card(0)], score=lambda _, k: error if k == 0 else Score.ok(1.0),
        unavailable=(runs.unavailable("voice/gone"),), suite={"name": "custom", "version": 0}, complete=False,
    )  # fmt: skip
    found = page.standing(results)
    assert (found.complete, found.ranked) == (False, False)
    told = "\n".join(found.reasons)
    for part in ("voice/gone", "weights pull net", "chosen by hand", "1 samples failed through our own error"):
        assert part in told
    assert "Cannot be ranked" in Seen(written(tmp_path / "run")).text


def test_incomplete_without_a_reason_is_never_ranked(tmp_path: Path) -> None:
    results = runs.make_run(tmp_path / "run", score=lambda _, k: Score.ok(float(k)), complete=False)
    found = page.standing(results)
    assert not found.ranked
    assert found.reasons


# --- the worst samples and the failures -----------------------------------------------------------------------------


def test_the_worst_go_by_the_counted_value_and_failed_ones_come_first(tmp_path: Path) -> None:
    high, low = runs.make_run(tmp_path / "run", cards=[runs.make_card(0), runs.make_card(1)]).metrics
    cells = {
        c.sample: c
        for c in [
            cell("a", value=5.0), cell("b", value=0.0), cell("c", Status.OUTPUT_MISSING, counted=0.0),
            cell("d", value=100.0), cell("e", Status.NOT_APPLICABLE, counted=None), cell("f", value=5.0),
        ]
    }  # fmt: skip
    assert worst_samples(high, cells, with_failed=True, most=4) == ["c", "b", "a", "f"]
    assert worst_samples(high, cells, with_failed=False, most=9) == ["b", "a", "f", "d"]
    assert worst_samples(low, cells, with_failed=False, most=2) == ["d", "a"]


def test_the_worst_of_a_set_lie_farthest_whatever_its_direction(tmp_path: Path) -> None:
    card = runs.make_card(0, aggregation="set", worst=None, null=None)
    metric = runs.make_run(tmp_path / "run", cards=[card]).metrics[0]
    near = cell("near", value=1.0, counted=None)
    far = cell("far", value=9.0, counted=None)
    gone = cell("gone", Status.OUTPUT_MISSING, counted=None)
    cells = {c.sample: c for c in (near, gone, far)}
    assert worst_samples(metric, cells, with_failed=True, most=9) == ["far", "near"]


def test_samples_that_share_a_reason_share_a_line() -> None:
    invalid, missing = Status.OUTPUT_INVALID, Status.OUTPUT_MISSING
    cells = {
        "m1": {"a": cell("a", invalid, reason="only 0.5 s"), "b": cell("b", invalid, reason="only 0.25 s"),
               "c": cell("c", missing, reason="no output"), "d": cell("d", Status.ERROR, reason="boom 7")},
        "m2": {"a": cell("a", invalid, reason="only 0.5 s"), "c": cell("c", missing, reason="no output"),
               "d": cell("d", Status.JUDGE_FAILED, reason="boom 7")},
    }  # fmt: skip
    found = [(g.status.value, g.reason, g.metrics, g.samples) for g in group_failures(cells)]
    assert found == [
        ("error", "boom 7", ("m1",), ("d",)),
        ("judge_failed", "boom 7", ("m2",), ("d",)),
        ("output_missing", "no output", ("m1", "m2"), ("c",)),
        ("output_invalid", "only … s", ("m1", "m2"), ("a", "b")),
    ]


# --- what is refused ------------------------------------------------------------------------------------------------


def change_rows(run: Path, **changes: object) -> None:
    rows = pq.read_table(run / "samples.parquet").to_pylist()
    rows[0] |= changes
    pq.write_table(pa.Table.from_pylist(rows, SAMPLES_SCHEMA), run / "samples.parquet")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"status": "great"}, "great"), ({"value": float("nan")}, "no finite number"),
        ({"details": "[]"}, "JSON object"), ({"details": "{"}, "row 1"),
        ({"metric": "voice/other"}, "no metric"), ({"sample_id": "s001"}, "stands twice"),
    ],
)  # fmt: skip
def test_changed_samples_are_refused_with_their_row(tmp_path: Path, changes: dict[str, object], told: str) -> None:
    runs.make_run(tmp_path / "run")
    change_rows(tmp_path / "run", **changes)
    with pytest.raises(InputError, match=told):
        write_report(tmp_path / "run")
    assert not (tmp_path / "run" / "report.html").exists()


def test_a_run_without_samples_is_refused(tmp_path: Path) -> None:
    runs.make_run(tmp_path / "run")
    (tmp_path / "run" / "samples.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(InputError, match="Parquet"):
        write_report(tmp_path / "run")
    (tmp_path / "run" / "samples.parquet").unlink()
    with pytest.raises(InputError, match="whole run folder"):
        write_report(tmp_path / "run")


def test_the_report_never_replaces_what_is_no_page(tmp_path: Path) -> None:
    runs.make_run(tmp_path / "run")
    before = (tmp_path / "run" / "results.json").read_bytes()
    with pytest.raises(UsageError, match="html"):
        write_report(tmp_path / "run", out=tmp_path / "run" / "results.json")
    assert (tmp_path / "run" / "results.json").read_bytes() == before


# --- numbers and scales ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0.000"), (0.5, "0.500"), (0.0123456, "0.0123"), (5.0, "5.000"), (22.2, "22.20"), (104.84, "104.8"),
     (123456.7, "123457"), (-0.00001, "-0.0000100"), (1e-17, "0.000000000")],
)  # fmt: skip
def test_numbers_have_the_digits_that_mean_something(value: float, shown: str) -> None:
    assert text.number(value, text.decimals_for([value])) == shown


def test_what_rounds_to_nothing_has_no_sign() -> None:
    assert text.number(-0.0004, 3) == "0.000"
    assert text.number(-0.0006, 3) == "-0.001"
    assert text.number(None, 3) == "–"


def test_the_interval_is_turned_with_a_metric_that_is_better_when_lower(tmp_path: Path) -> None:
    metric = runs.make_run(tmp_path / "run", samples=30, cards=[runs.make_card(1)]).metrics[0]
    found = scales.anchored(metric)
    assert found is not None
    assert metric.ci95 is not None
    # Anchors of the toy run: real replies 0, shuffled replies 48.
    assert (found.low, found.high) == pytest.approx(tuple(100 * (limit - 48) / -48 for limit in reversed(metric.ci95)))
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-3.0, 260.0), (1e-6, 3e-6), (99.9, 100.1), (-0.05, 0.02)])
def test_ticks_are_few_round_and_on_the_axis(low: float, high: float) -> None:
    marks = scales.ticks(low, high)
    assert 2 <= len(marks) <= 5
    assert all(low - 1e-9 <= mark <= high + 1e-9 for mark in marks)
    decimals = scales.tick_decimals(marks)
    assert len({text.number(mark, decimals) for mark in marks}) == len(marks)


def test_an_axis_of_one_value_has_a_length() -> None:
    for value in (0.0, 5.0, -2.0):
        axis = scales.axis_over([value, value], 0, 100)
        assert axis.low < value < axis.high


def test_every_sample_with_a_value_is_a_mark_within_the_drawing(tmp_path: Path) -> None:
    results = runs.make_run(tmp_path / "run", samples=200, cards=[runs.make_card(0)])
    cells = read_run(tmp_path / "run").cells[results.metrics[0].id]
    drawn = plots.strip_plot(results.metrics[0], cells)
    assert drawn is not None
    dots = re.findall(r"M([-\d.]+) ([-\d.]+)h0", drawn.body)
    crosses = re.findall(r"M([-\d.]+) ([-\d.]+)m-", drawn.body)
    assert (len(dots), len(crosses)) == (results.metrics[0].n_ok, results.metrics[0].n_failed)
    assert all(0 < float(x) < drawn.width and 0 < float(y) < drawn.height for x, y in [*dots, *crosses])


def test_a_radar_needs_three_dimensions(tmp_path: Path) -> None:
    two = runs.make_run(tmp_path / "two", cards=[runs.make_card(0), runs.make_card(1)])
    three = runs.make_run(tmp_path / "three", cards=[runs.make_card(k) for k in range(3)])
    assert plots.radar(plots.spokes(two.metrics)) is None
    assert plots.radar(plots.spokes(three.metrics)) is not None


# --- the files that make the page -----------------------------------------------------------------------------------


def luminance(color: str) -> float:
    channels = [int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_can_be_read_on_every_ground_it_stands_on(theme: int) -> None:
    style = (REPORT / "assets" / "base.css").read_text("utf-8")
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    colors = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", blocks[theme]))
    grounds = ("bg", "surface", "sunken", "accent-soft", "warn-soft")
    pairs = [(ink, ground) for ink in ("ink", "muted", "accent", "bad") for ground in grounds]
    pairs += [(kind, f"{kind}-soft") for kind in ("good", "bad", "warn")] + [("surface", "ink"), ("warn", "surface")]
    assert {pair: contrast(colors[pair[0]], colors[pair[1]]) for pair in pairs
            if contrast(colors[pair[0]], colors[pair[1]]) < 4.5} == {}  # fmt: skip


def test_the_files_of_the_page_keep_the_rules_of_the_house() -> None:
    files = [path for folder in ("assets", "templates") for path in (REPORT / folder).iterdir() if path.is_file()]
    assert len(files) >= 15
    for path in files:
        content = path.read_text("utf-8")
        assert content.count("\n") <= 500, path.name
        assert "\r" not in content, "the content policy is bound to the bytes"
        if path.suffix == ".js":
            for unsafe in (
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "</script",
                "<!--",
            ):
                assert unsafe not in content, f"{path.name}: {unsafe}"
