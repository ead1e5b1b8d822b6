"""The report in a real browser: offline, by mouse and by keyboard, for everyone, and harmless whatever a run holds.

Needs the package playwright and a Chromium, its own or the system's; axe-core comes with axe-playwright-python.
"""

from __future__ import annotations

import importlib.util
import json
import re
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import report_runs as runs

from vidchatbench.api.scores import Score, Status
from vidchatbench.core.hashing import hash_file
from vidchatbench.report.write import write_report
from vidchatbench.results.files import SAMPLES_SCHEMA

pytest.importorskip("playwright.sync_api")

HOSTILE = "</script><script>window.hit = 1</script><img src=x onerror='window.hit = 1'>\"'&"
PHONE = {"width": 390, "height": 844}
LAPTOP = {"width": 1280, "height": 900}
# What a person notices; the machine of the tests may be busy with others.
LOADED_WITHIN, DONE_WITHIN = 5.0, 2.5
IN_STEP = 0.15

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of 24 samples in six metrics, one of them of sets, without clips."""
    folder = tmp_path_factory.mktemp("small") / "run"
    cards = [*(runs.make_card(k) for k in range(5)),
             runs.make_card(5, aggregation="set", worst=None, null=None)]  # fmt: skip
    absent = Score.not_applicable("the sample has no reference")
    runs.make_run(folder, samples=24, cards=cards, score=lambda m, k: absent if k == 7 else runs.uneven(m, k))
    return write_report(folder).page


@pytest.fixture(scope="module")
def every_status(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of 24 samples of every status: scored, missing, invalid, not applicable, our error."""
    scores = {
        1: runs.MISSING,
        2: Score.invalid("no face in 80 % of the frames"),
        3: Score.not_applicable("the sample has no reference"),
        4: Score(Status.ERROR, None, "a bug of ours"),
    }
    folder = tmp_path_factory.mktemp("every") / "run"
    cards = [*(runs.make_card(k) for k in range(7)),
             runs.make_card(7, aggregation="set", worst=None, null=None)]  # fmt: skip
    runs.make_run(folder, samples=24, cards=cards, score=lambda m, k: scores.get(k % 6, Score.ok(50.0 + m + k)))
    return write_report(folder).page


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of two samples with clips; the second has lost its candidate."""
    root = tmp_path_factory.mktemp("filmed")
    for folder in ("bench", "outputs"):
        (root / folder).mkdir()
    lines, told = [], []
    for name in ("s0", "s1"):
        sides = {}
        for side, seconds in (("initiator", 2.0), ("responder", 3.0)):
            path = make_webm(root / "bench" / f"{name}-{side}.webm", seconds)
            sides[side] = {"media": path.name, "sha256": hash_file(path), "speaker_id": name, "transcript": "Hello <b>"}
        lines.append(json.dumps({"id": name, "task": "dialogue", "language": "en", **sides}))
        path = make_webm(root / "outputs" / f"{name}.webm", 2.5)
        told.append({"sample_id": name, "role": "candidate", "file": path.name, "sha256": hash_file(path)})
    (root / "outputs" / "s1.webm").unlink()
    manifest = root / "bench" / "manifest.jsonl"
    manifest.write_text("\n".join(lines) + "\n")
    header = {"name": "toy", "version": "1.0.0", "manifest_sha256": hash_file(manifest), "n_samples": 2}
    more = {"schema_version": 1, "description": "d", "license": "CC0"}
    (root / "bench" / "benchmark.json").write_text(json.dumps({**header, **more}))
    runs.make_run(root / "run", samples=2, names=["s0", "s1"], benchmark=header, score=lambda _, k: Score.ok(k + 1.0))
    (root / "run" / "media.jsonl").write_text("".join(json.dumps(line) + "\n" for line in told))
    return write_report(root / "run", benchmark=root / "bench", outputs=root / "outputs").page


def make_webm(path: Path, seconds: float) -> Path:
    """A small clip that every Chromium can play, with or without codecs under licence."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 10)
        for k in range(round(10 * seconds)):
            picture = np.full((48, 64, 3), (k * 8) % 255, dtype=np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def column(page: Any, place: int) -> list[str]:
    return [row.split("\t")[place] for row in page.locator("#sample-table tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.children].map(cell => cell.textContent).join('\\t'))")]  # fmt: skip


def numbers(texts: list[str]) -> list[float]:
    return [float(text.split()[-1].replace("−", "-")) for text in texts if re.search(r"\d", text)]


# --- the table of samples -------------------------------------------------------------------------------------------


def test_sorting_by_click_says_what_it_did_and_leaves_empty_cells_last(visit: Open, small: Path) -> None:
    page = visit(small)
    assert column(page, 0)[:2] == ["s000", "s001"]
    head = page.locator("#sample-table thead button[data-by='0']")
    head.click()
    upwards = column(page, 1)
    assert numbers(upwards) == sorted(numbers(upwards))
    assert upwards[-1] in {"n/a", "error"}, "what has no value stands last"
    assert page.locator("th[aria-sort]").count() == 1
    assert page.locator("th[aria-sort='ascending']").inner_text().startswith("Metric 0")
    assert "sorted by Metric 0" in page.locator("#sample-count").inner_text()
    head.click()
    downwards = column(page, 1)
    assert numbers(downwards) == sorted(numbers(downwards), reverse=True)
    assert downwards[-1] in {"n/a", "error"}
    assert page.locator("th[aria-sort='descending']").count() == 1


def test_the_keyboard_alone_sorts_and_opens_a_sample_and_comes_back(visit: Open, small: Path) -> None:
    page = visit(small)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the scores"
    page.locator("#sample-table thead button[data-by='name']").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Space")
    assert column(page, 0)[0] == "s023"
    page.locator("#sample-table tbody button").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("#sample-title").inner_text() == "s023"
    assert page.locator("#sample-scores tbody tr").count() == 6
    page.keyboard.press("Escape")
    assert not page.locator("#sample").is_visible()
    assert page.evaluate("document.activeElement.textContent") == "s023"


def test_search_and_filters_leave_the_rows_that_match(visit: Open, small: Path) -> None:
    page = visit(small)
    page.fill("#sample-search", "S00")
    assert column(page, 0) == [f"s00{k}" for k in range(10)]
    page.fill("#sample-search", "speaker-3")
    assert column(page, 0) == ["s003", "s011", "s019"]
    page.fill("#sample-search", "")
    page.select_option("#sample-status", "mi")
    failed = column(page, 0)
    assert "s003" in failed, "it is missing in every metric"
    assert 0 < len(failed) < 24
    page.select_option("#sample-metric", "0")
    assert page.locator("#sample-table thead tr").nth(1).locator("th").count() == 1
    assert all(text.startswith(("missing", "invalid")) for text in column(page, 1))
    page.click("#sample-reset")
    assert len(column(page, 0)) == 24
    assert page.locator("#sample-count").inner_text() == "24 of 24 samples"


def test_the_dialog_shows_the_details_and_the_reason(visit: Open, small: Path) -> None:
    page = visit(small)
    page.locator("button[data-sample='3']").click()
    rows = page.locator("#sample-scores tbody tr").all_inner_texts()
    assert all("there is no output for this sample" in row for row in rows)
    assert "charged the worst value" in rows[0]
    page.click("#sample-close")
    page.locator("button[data-sample='0']").click()
    assert "frames" in page.locator("#sample-scores tbody tr").first.inner_text()


def test_500_samples_and_30_metrics_do_not_freeze(visit: Open, tmp_path: Path) -> None:
    runs.make_run(tmp_path / "run", samples=500, cards=[runs.make_card(k) for k in range(30)])
    path = write_report(tmp_path / "run").page
    started = time.perf_counter()
    page = visit(path)
    assert page.locator("#sample-table tbody tr").count() == 500
    assert time.perf_counter() - started < LOADED_WITHIN
    spent = page.evaluate("""async () => {
      const painted = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
      const act = async (deed) => {
        const start = performance.now();
        deed();
        await painted();
        return performance.now() - start;
      };
      const search = document.getElementById("sample-search");
      const type = (text) => { search.value = text; search.dispatchEvent(new Event("input")); };
      return [await act(() => document.querySelector("button[data-by='7']").click()),
              await act(() => type("s4")), await act(() => type(""))];
    }""")
    assert max(spent) / 1000 < DONE_WITHIN, spent


# --- drawings and the worst -----------------------------------------------------------------------------------------


def test_a_dot_names_its_sample_and_opens_it(visit: Open, small: Path) -> None:
    page = visit(small, reduced_motion="reduce")
    figure = page.locator(".strip[data-metric='0']")
    figure.scroll_into_view_if_needed()
    x, y = figure.locator(".p-failed").evaluate("""path => {
      const point = path.getPointAtLength(0).matrixTransform(path.getScreenCTM());
      return [point.x + 2, point.y + 2];
    }""")
    page.mouse.move(x, y)
    assert figure.locator(".tip").inner_text().startswith("s003: ")
    page.mouse.click(x, y)
    assert page.locator("#sample-title").inner_text() == "s003"


def test_the_worst_of_a_metric_change_with_the_choice(visit: Open, small: Path) -> None:
    page = visit(small)
    page.select_option("#worst-metric", "0")
    page.check("#worst-failed")
    first = page.locator("#worst-list li").first.inner_text()
    assert "charged the worst value" in first
    assert page.locator("#worst-list li").count() == 10
    page.uncheck("#worst-failed")
    assert "charged" not in page.locator("#worst-list").inner_text()
    assert "not in this list" in page.locator("#worst-count").inner_text()
    page.select_option("#worst-metric", "5")
    assert page.locator("#worst-failed").is_disabled(), "a failed sample is no part of a set"
    assert "left out of the set" in page.locator("#worst-count").inner_text()


# --- clips ----------------------------------------------------------------------------------------------------------


def until(page: Any, expression: str) -> None:
    """Waits; the browser's own waiting would run text as code, which the content policy of the page forbids."""
    end = time.monotonic() + 10
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(20)


TIMES = "videos => videos.map(video => video.currentTime)"
PAUSED = "videos => videos.map(video => video.paused)"


def ready(page: Any) -> tuple[Any, Any]:
    card = page.locator("#worst-list li").first
    card.scroll_into_view_if_needed()
    videos = card.locator("video")
    until(page, "[...document.querySelectorAll('#worst-list li:first-child video')].every(v => v.readyState > 0)")
    return card, videos


def test_one_control_drives_three_clips_in_step(visit: Open, filmed: Path) -> None:
    page = visit(filmed, reduced_motion="reduce")
    card, videos = ready(page)
    assert videos.count() == 3
    until(page, "document.querySelector('#worst-list li input[type=range]').max > 2.9")
    card.get_by_role("button", name="Play the clips of s0").click()
    until(page, "document.querySelector('#worst-list li video').currentTime > 0.5")
    times = videos.evaluate_all(TIMES)
    assert max(times) - min(times) < IN_STEP, times
    card.get_by_role("button", name="Pause the clips of s0").click()
    assert videos.evaluate_all(PAUSED) == [True] * 3
    card.get_by_role("slider").evaluate("input => { input.value = 1.5; input.dispatchEvent(new Event('input')); }")
    assert videos.evaluate_all(TIMES) == pytest.approx([1.5] * 3, abs=0.01)
    assert "0:01.5" in card.locator("output").inner_text()


def test_a_shorter_clip_waits_at_its_end_and_the_play_ends_with_the_longest(visit: Open, filmed: Path) -> None:
    page = visit(filmed, reduced_motion="reduce")
    card, videos = ready(page)
    card.get_by_role("slider").evaluate("input => { input.value = 2.4; input.dispatchEvent(new Event('input')); }")
    card.get_by_role("button", name="Play").press("Space")
    until(page, "document.querySelector('#worst-list li .transport button').textContent === 'Play'")
    assert videos.evaluate_all(PAUSED) == [True] * 3
    assert videos.evaluate_all(TIMES) == pytest.approx([2.0, 3.0, 2.5], abs=0.15)


def test_one_side_is_heard_at_a_time(visit: Open, filmed: Path) -> None:
    page = visit(filmed, reduced_motion="reduce")
    card, videos = ready(page)
    muted = "videos => videos.map(video => video.muted)"
    assert videos.evaluate_all(muted) == [True, True, False], "the candidate is heard first"
    card.get_by_label("Sound").select_option("initiator")
    assert videos.evaluate_all(muted) == [False, True, True]
    card.get_by_label("Sound").select_option("none")
    assert videos.evaluate_all(muted) == [True] * 3


def test_a_missing_clip_is_shown_as_such_and_the_others_play(visit: Open, filmed: Path) -> None:
    page = visit(filmed, reduced_motion="reduce")
    card = page.locator("#worst-list li").nth(1)
    assert "s1.webm is not there" in card.inner_text()
    assert card.locator("video").count() == 2
    assert "Hello <b>" in card.inner_text()


# --- for everyone, and harmless -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def axe() -> str:
    for name in ("axe_playwright_python", "axe_core_python"):
        spec = importlib.util.find_spec(name)
        path = Path(spec.origin).with_name("axe.min.js") if spec and spec.origin else None
        if path is not None and path.is_file():
            return path.read_text("utf-8")
    pytest.skip("axe-core is not installed: pip install axe-playwright-python")


@pytest.mark.parametrize(("viewport", "color_scheme"), [(LAPTOP, "dark"), (PHONE, "light")], ids=["laptop", "phone"])
def test_axe_finds_nothing(visit: Open, small: Path, axe: str, viewport: dict[str, int], color_scheme: str) -> None:
    page = visit(small, viewport=viewport, color_scheme=color_scheme, reduced_motion="reduce")
    page.evaluate(axe)
    page.evaluate("document.querySelectorAll('details').forEach((node) => { node.open = true; })")
    found = page.evaluate("axe.run()")["violations"]
    page.locator("#sample-table tbody button").first.click()
    found += page.evaluate("axe.run()")["violations"]
    assert [(item["id"], [node["html"] for node in item["nodes"]][:3]) for item in found] == []


def test_nothing_is_wider_than_a_phone(visit: Open, small: Path, filmed: Path) -> None:
    for path in (small, filmed):
        page = visit(path, viewport=PHONE)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        page.locator("#sample-table tbody button").first.click()
        box = page.locator("#sample").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE["width"]


def test_nothing_moves_for_who_wants_no_motion(visit: Open, small: Path) -> None:
    behaviour = "getComputedStyle(document.documentElement).scrollBehavior"
    assert visit(small, reduced_motion="reduce").evaluate(behaviour) == "auto"
    assert visit(small, reduced_motion="no-preference").evaluate(behaviour) == "smooth"


def test_hostile_content_is_text_wherever_it_stands(visit: Open, tmp_path: Path) -> None:
    run = tmp_path / "run"
    card = runs.make_card(0, title=HOSTILE, unit=HOSTILE)
    system = {"name": HOSTILE, "code": "javascript:window.hit = 1"}
    invalid = Score.invalid(HOSTILE, note=HOSTILE)
    runs.make_run(run, cards=[card, runs.make_card(1)], system=system,
                  score=lambda _, k: invalid if k == 1 else Score.ok(float(k)))  # fmt: skip
    rows = pq.read_table(run / "samples.parquet").to_pylist()
    for row in rows:
        row["sample_id"] = row["sample_id"].replace("s001", HOSTILE)
        row["cluster"] = HOSTILE
    pq.write_table(pa.Table.from_pylist(rows, SAMPLES_SCHEMA), run / "samples.parquet")
    page = visit(write_report(run).page)
    assert page.locator("h1").inner_text() == HOSTILE
    page.locator("button[data-sample='1']").click()
    assert page.locator("#sample-title").inner_text() == HOSTILE
    assert HOSTILE in page.locator("#sample-scores").inner_text()
    page.click("#sample-close")
    page.check("#worst-failed")
    assert HOSTILE in page.locator("#worst-list").inner_text()
    assert page.locator("img").count() == 0
    assert page.locator("a[href^='javascript']").count() == 0
    assert page.evaluate("window.hit === undefined")


def test_the_browser_keeps_the_content_policy(browser: Any, small: Path) -> None:
    page = browser.new_page()
    page.goto(small.as_uri())
    for deed in ("document.body.innerHTML = '<p>'", "eval('1')", "document.createElement('script').text = 'x'"):
        # Later, because what the debugger runs at once is exempt.
        told = page.evaluate(f"""() => new Promise((done) => setTimeout(() => {{
          try {{ {deed}; done("allowed"); }} catch (error) {{ done(error.name); }}
        }}))""")
        assert told in {"TypeError", "EvalError"}, deed
    page.close()


@pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=["laptop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_status_is_a_cell_of_the_table_under_its_own_heading(
    visit: Open, every_status: Path, size: dict[str, int], scheme: str
) -> None:
    page = visit(every_status, viewport=size, color_scheme=scheme)
    rows = page.evaluate(
        """() => [...document.querySelectorAll("#sample-table tbody tr")].map((row) => {
             const heads = [...document.querySelectorAll("#sample-table thead tr:last-child th")];
             return [...row.querySelectorAll("td")].map((cell, place) => {
               const box = cell.getBoundingClientRect(), head = heads[place].getBoundingClientRect();
               return {
                 text: cell.textContent, display: getComputedStyle(cell).display,
                 cut: cell.scrollWidth > cell.clientWidth,
                 under: Math.abs(box.left - head.left) < 1.5 && Math.abs(box.right - head.right) < 1.5,
                 row: Math.abs(box.top - row.getBoundingClientRect().top) < 1.5,
               };
             });
           })"""
    )
    assert [len(row) for row in rows] == [8] * 24
    cells = [cell for row in rows for cell in row]
    assert {cell["display"] for cell in cells} == {"table-cell"}
    assert all(cell["under"] and cell["row"] and not cell["cut"] for cell in cells)
    for k, text in {1: "missing 0.00", 2: "invalid 0.00", 3: "n/a", 4: "error"}.items():
        assert rows[k][0]["text"].startswith(text)
    # The second line of the head stands below the first one also where it sticks to the top.
    assert (
        page.evaluate(
            """() => {
             const box = document.querySelector("#samples .tall");
             box.scrollTop = 200;
             const heads = [...box.querySelectorAll("thead tr")];
             const [first, second] = heads.map((row) => row.querySelector("th:last-child"));
             return Math.abs(first.getBoundingClientRect().bottom - second.getBoundingClientRect().top);
           }"""
        )
        < 4
    )
