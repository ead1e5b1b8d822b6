"""The page of an audit in a real browser: offline, without scripts, by keyboard, for everyone, whatever it holds.

Needs the package playwright and a Chromium, its own or the system's; axe-core comes with axe-playwright-python.
"""

from __future__ import annotations

import importlib.util
import itertools
import re
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from vidchatbench.api.cards import Dimension
from vidchatbench.audit.page import write_audit
from vidchatbench.audit.recipe import Recipe
from vidchatbench.audit.recipes import RECIPES, cheats, ladders
from vidchatbench.audit.schema import AuditReport, MetricAudit, Paired, RecipeUse, Scored
from vidchatbench.audit.trend import Trend
from vidchatbench.audit.verdicts import Scale, judge, judge_cheat, judge_ladder, order_of_means
from vidchatbench.results.schema import BenchmarkRef, Floor, SuiteRef, UnavailableMetric

pytest.importorskip("playwright.sync_api")

HOSTILE = "</style><script>window.hit = 1</script><img src=x onerror='window.hit = 1'>\"'&"
PHONE = {"width": 390, "height": 844}
LAPTOP = {"width": 1280, "height": 900}
BETWEEN = {"width": 1000, "height": 800}

Open = Callable[..., Any]
Loss = Callable[[Recipe], float]


def scored(value: float) -> Scored:
    return Scored(value=value, ci95=(value - 1.5, value + 1.5), n=40, n_failed=0)


def paired(loss: float) -> Paired:
    told = {"n": 40, "identities": 40, "difference": -loss, "comparisons": 30, "detectable": 0.8}
    if loss == 0:
        return Paired.model_validate({**told, "ci95": (0.0, 0.0), "worse": 0, "equal": 40, "p": 1.0, "p_holm": 1.0})
    p = 0.0001 if abs(loss) > 1 else 0.4
    half = 0.7 if abs(loss) > 1 else 20.0
    limits = (-loss - half, -loss + half)
    return Paired.model_validate({**told, "ci95": limits, "worse": 38, "equal": 0, "p": p, "p_holm": min(1.0, 30 * p)})


def metric_audit(name: str, dimension: Dimension, loss: Loss, **changes: Any) -> MetricAudit:
    oracle, null = scored(40.0), scored(10.0)
    scale = Scale("higher", 40.0, 10.0, 2.0)
    rungs = []
    for ladder in ladders():
        rows = [(step, scored(40 - loss(step)), paired(loss(step))) for step in ladder.steps]
        losses = [0.0, *(loss(step) for step in ladder.steps)]
        rising = all(b > a for a, b in itertools.pairwise(losses))
        trend = Trend(1.0 if rising else 0.0, 0.0001 if rising else 1.0, rising, 40 if rising else 0, 40, 40)
        rungs.append(judge_ladder(ladder, dimension, rows, order_of_means(trend, min(1.0, 4 * trend.p)), scale, oracle))
    told = {
        "id": f"test/{name}", "version": 1, "title": name.capitalize(), "protocol": f"{name}/cover480x768-5fps-v1",
        "dimension": dimension, "direction": "higher", "unit": "dB", "aggregation": "mean", "weights": (),
        "identities": 40, "needed_identities": 11, "oracle": oracle, "reencoded": scored(40.0), "codec": paired(0.0),
        "codec_verdict": "does not notice", "codec_reason": judge(paired(0.0), scale, 0.1)[1], "null": "shuffled",
        "null_scored": null, "ladders": tuple(rungs),
        "cheats": tuple(
            judge_cheat(cheat, dimension, scored(40 - loss(cheat)), paired(loss(cheat)), scale) for cheat in cheats()
        ),
    }  # fmt: skip
    return MetricAudit.model_validate({**told, **changes})


def seeing(recipe: Recipe) -> float:
    if recipe.family in {"blur", "compression"}:
        return 2.0 * (
            1 + [s.name for la in ladders() for s in la.steps if la.family == recipe.family].index(recipe.name)
        )
    return 25.0 if recipe.kind == "cheat" and recipe.name != "silent" else 0.0


def blind(recipe: Recipe) -> float:
    del recipe
    return 0.0


def unsure(recipe: Recipe) -> float:
    return 0.9 if recipe.kind == "cheat" else 0.3


def report(metrics: Sequence[MetricAudit], **changes: Any) -> AuditReport:
    uses = tuple(
        RecipeUse(
            name=r.name, family=r.family, title=r.title, kind=r.kind, step=float(r.step), unit=r.unit, does=r.does,
            hurts=r.hurts, sha256=r.sha256, n=40, not_made={"gen-1": "the sample has no real reply"},
        )
        for r in RECIPES
    )  # fmt: skip
    told = {
        "benchmark": BenchmarkRef(name="toy", version="1.0.0", manifest_sha256="a" * 64, n_samples=42),
        "vidchatbench_version": "0.0.0", "suite": SuiteRef(name="lite", version=1), "seed": 0, "n_samples": 40,
        "identities": 40, "finished": datetime(2026, 1, 2, tzinfo=timezone.utc), "metrics": tuple(metrics),
        "unavailable": (UnavailableMetric(id="a/b", protocol="b/v1", reason="no weight", fix="get it"),),
        "recipes": uses,
    }  # fmt: skip
    return AuditReport.model_validate({**told, **changes})


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    metrics = [
        metric_audit("sharpness", Dimension.VIDEO_QUALITY, seeing),
        metric_audit("duration", Dimension.VIDEO_QUALITY, blind),
        metric_audit("likeness", Dimension.IDENTITY, unsure),
        metric_audit("distance", Dimension.EMOTION, seeing, aggregation="set", null=None, null_scored=None,
                     oracle=Scored(value=40.0, ci95=(38.0, 42.0), n=40, n_failed=0,
                                   floor=Floor(value=1.5, candidate=2.5, n=20))),
    ]  # fmt: skip
    return write_audit(report(metrics), tmp_path_factory.mktemp("audit"))


@pytest.fixture
def beside() -> re.Pattern[str]:
    return re.compile(r"(?!)")  # nothing: everything is in the file


@pytest.fixture(scope="module")
def axe() -> str:
    for name in ("axe_playwright_python", "axe_core_python"):
        spec = importlib.util.find_spec(name)
        path = Path(spec.origin).with_name("axe.min.js") if spec and spec.origin else None
        if path is not None and path.is_file():
            return path.read_text("utf-8")
    pytest.skip("axe-core is not installed: pip install axe-playwright-python")


def cells(page: Any, section: str, row: str) -> list[str]:
    found = page.locator(f"#{section} tbody tr", has=page.get_by_role("link", name=row, exact=True))
    return [re.sub(r"\s+", " ", text) for text in found.locator("td").all_inner_texts()]


def test_the_matrices_say_what_was_found(visit: Open, page_file: Path) -> None:
    page = visit(page_file)
    codec, late, early, blur, compression = cells(page, "matrix", "Sharpness")
    assert re.match(r"✓ ?notices", blur)
    assert "tau 1.00" in blur
    assert "from 0.5 px on" in blur
    assert "from 26 CRF on" in compression
    for text in (codec, late, early):
        assert "does not notice" in text
    assert "not its business" in page.locator("#matrix tbody tr").nth(1).locator("td").nth(1).text_content()
    frozen = cells(page, "cheats", "Duration")[0]
    assert "✗" in frozen
    assert "does not notice" in frozen
    assert "equal for 40/40" in frozen
    assert "cannot tell" in cells(page, "matrix", "Likeness")[3]
    badges = page.locator(".standing .badge").all_inner_texts()
    assert [re.sub(r"\s+", " ", text).split(" × ")[1] for text in badges] == [
        "notices",
        "does not notice",
        "cannot tell",
    ]


def test_every_verdict_has_a_sign_and_a_word_besides_its_colour(visit: Open, page_file: Path) -> None:
    page = visit(page_file)
    texts = [re.sub(r"\s+", " ", text) for text in page.locator(".chip").all_inner_texts()]
    assert len(texts) > 50
    assert all(re.match(r"^[✓✗?] ?\w", text) for text in texts), texts[:5]
    assert page.locator(".plot .p-unnoticed").count() > 0
    assert page.locator(".plot .p-open").count() > 0
    assert page.locator(".plot circle.p-point").count() > 0


def test_a_drawing_has_its_numbers_in_words(visit: Open, page_file: Path) -> None:
    page = visit(page_file)
    label = page.locator("#metric-0 .ladders svg").nth(2).get_attribute("aria-label")
    assert "Sharpness: blur" in label
    assert "step 0.5: 38.00" in label
    assert "real replies: 40.00 dB" in label
    assert "verdict: notices" in label


def test_the_keyboard_reaches_everything(visit: Open, page_file: Path) -> None:
    page = visit(page_file)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the findings"
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#matrix"
    summary = page.locator("#metric-0 summary").first
    summary.focus()
    page.keyboard.press("Enter")
    assert page.locator("#metric-0 details").first.evaluate("node => node.open")
    page.keyboard.press("Tab")
    region = "document.activeElement.getAttribute('aria-label')"
    assert page.evaluate(region) == "Steps of Sharpness", "what scrolls sideways can be scrolled by keys"


@pytest.mark.parametrize(("viewport", "color_scheme"), [(LAPTOP, "dark"), (PHONE, "light")], ids=["laptop", "phone"])
def test_axe_finds_nothing(visit: Open, page_file: Path, axe: str, viewport: dict[str, int], color_scheme: str) -> None:
    page = visit(page_file, viewport=viewport, color_scheme=color_scheme, reduced_motion="reduce")
    page.evaluate(axe)
    page.evaluate("document.querySelectorAll('details').forEach((node) => { node.open = true; })")
    found = page.evaluate("axe.run()")["violations"]
    assert [(item["id"], [node["html"] for node in item["nodes"]][:3]) for item in found] == []


@pytest.mark.parametrize(
    "viewport", [PHONE, LAPTOP, {"width": 1000, "height": 800}], ids=["phone", "laptop", "between"]
)
def test_nothing_is_wider_than_the_screen(visit: Open, page_file: Path, viewport: dict[str, int]) -> None:
    page = visit(page_file, viewport=viewport)
    page.evaluate("document.querySelectorAll('details').forEach((node) => { node.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]


def test_a_theme_for_either_light(visit: Open, page_file: Path) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    light = visit(page_file, color_scheme="light").evaluate(ground)
    assert light != visit(page_file, color_scheme="dark").evaluate(ground)


def test_hostile_content_is_text_and_the_policy_forbids_scripts(browser: Any, tmp_path: Path) -> None:
    audit = metric_audit("name", Dimension.VOICE, seeing, title=HOSTILE, unit=HOSTILE)
    hostile = UnavailableMetric(id="a/b", protocol="b/v1", reason=HOSTILE, fix=HOSTILE)
    benchmark = BenchmarkRef(name=HOSTILE, version="1", manifest_sha256="a" * 64, n_samples=40)
    path = write_audit(report([audit], benchmark=benchmark, unavailable=(hostile,)), tmp_path)
    page = browser.new_page()
    page.goto(path.as_uri())
    assert HOSTILE in page.locator("#metric-0-title").inner_text()
    assert HOSTILE in page.locator(".subject").inner_text()
    assert page.locator("img, script").count() == 0
    told = page.evaluate("""() => new Promise((done) => setTimeout(() => {
      try { document.body.innerHTML = '<p>'; done("allowed"); } catch (error) { done(error.name); }
    }))""")
    assert told == "TypeError"
    page.close()


def test_an_audit_without_anything_to_draw_is_still_a_page(visit: Open, tmp_path: Path) -> None:
    nothing = Scored(value=None, ci95=None, n=0, n_failed=0)
    audit = metric_audit("empty", Dimension.VOICE, blind)
    bare = [
        ladder.model_copy(update={"steps": tuple(s.model_copy(update={"scored": nothing}) for s in ladder.steps)})
        for ladder in audit.ladders
    ]
    empty = audit.model_copy(
        update={"oracle": nothing, "reencoded": nothing, "null_scored": None, "null": None, "ladders": tuple(bare)}
    )
    page = visit(write_audit(report([empty]), tmp_path))
    assert page.get_by_text("Nothing was scored.").count() == 4
