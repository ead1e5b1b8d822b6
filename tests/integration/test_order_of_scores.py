"""The order of scores on people, real and generated, and the gate that asks for it.

A few seconds of a few identities with the suite that everybody runs; the whole order of a benchmark is
what `vidchatbench audit --gate` asks for.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import typer
from integration_support import write_benchmark
from PIL import Image
from typer.testing import CliRunner

from vidchatbench.audit import effects
from vidchatbench.audit import run as audit_run
from vidchatbench.audit.order import TITLES
from vidchatbench.audit.recipe import HOUSE
from vidchatbench.audit.run import audit
from vidchatbench.audit.schema import AuditReport, OrderReport, Rule, RuleFinding, RuleVerdict, load_audit
from vidchatbench.audit.transforms import Film, first_picture
from vidchatbench.cli import audit as audit_command
from vidchatbench.core.hashing import hash_file
from vidchatbench.demo import DemoPaths
from vidchatbench.engine.settings import RunConfig
from vidchatbench.media.encode import write_clip
from vidchatbench.results.schema import BenchmarkRef, SuiteRef

HONEST = ["compress_32", "compress_38", "blur_02_0", "half_size", "fps_15", "another_moment"]
NO_WORK = ["frozen", "flap_real", "still_sentence", "still_initiator", "echo", "one_clip"]
DAMAGED = ["one_second", "loud", "shift_p25"]
COPIES = ["remuxed", "mirrored"]
SECONDS = 2

HELD: tuple[Rule, ...] = ("oracle", "ladders", "copies")
"""Rules that must hold on two seconds of four people; the others are asked for where motion and lip sync are scored."""


def shortened(source: Path, folder: Path, count: int, scale: float) -> Path:
    """Writes the first two seconds of some replies; what the initiators say is cut from a later moment."""
    (folder / "media").mkdir(parents=True)
    lines = [json.loads(line) for line in (source / "manifest.jsonl").read_text("utf-8").splitlines()]
    lines = [line for line in lines if line["responder"] is not None][:count]
    for line, (side, start) in itertools.product(lines, (("initiator", SECONDS + 0.4), ("responder", 0.0))):
        film = Film(source / line[side]["media"])
        name = f"media/{line['id']}-{side}.mp4"
        first = round(start * film.fps)
        pictures = itertools.islice(film.pictures(), first, first + round(SECONDS * film.fps))
        wave = film.sound()[round(start * 16_000) :][: SECONDS * 16_000]
        write_clip(folder / name, (effects.resized(p, scale) for p in pictures), wave, HOUSE, fps=film.fps)
        line[side] = {**line[side], "media": name, "sha256": hash_file(folder / name)}
    for line in lines:
        line["reference_image"] = f"media/{line['id']}.png"
        Image.fromarray(first_picture(folder / line["responder"]["media"])).save(folder / line["reference_image"])
    return write_benchmark(folder, lines, name="short")


def audited(benchmark: Path, work: Path) -> OrderReport:
    only = [*HONEST, *NO_WORK, *DAMAGED, *COPIES]
    report = audit(benchmark, only=only, work=work, config=RunConfig(workers=1, store=work / "store"))
    assert report.order is not None
    return report.order


def broken(order: OrderReport) -> list[str]:
    return [rule.rule for rule in order.rules if rule.rule in HELD and rule.verdict != "held"]


def told(order: OrderReport) -> str:
    scores = [
        f"{one.group:8} {one.recipe:16} {one.overall!s:.5} "
        + ", ".join(f"{dimension.value} {score:.0f}" for dimension, score in one.dimensions.items())
        for one in order.scores
    ]
    return "\n".join([order.describe(), *(f"{r.rule}: {r.verdict}: {r.reason}" for r in order.rules), *scores])


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_real_replies_ladders_and_copies_on_generated_people(demo: DemoPaths, tmp_path: Path) -> None:
    order = audited(shortened(demo.benchmark, tmp_path / "short", 4, 1.0), tmp_path / "work")
    assert broken(order) == [], told(order)


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.timeout(3600)
def test_real_replies_ladders_and_copies_on_real_people(
    shared_mini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDCHATBENCH_WEIGHTS_DIR", str(shared_mini.parent / "weights"))
    order = audited(shortened(shared_mini, tmp_path / "short", 4, 0.35), tmp_path / "work")
    assert broken(order) == [], told(order)


# --- the gate --------------------------------------------------------------------------------------------------------


def report_of(**verdicts: RuleVerdict) -> AuditReport:
    rules = tuple(
        RuleFinding(rule=rule, title=title, verdict=verdicts.get(rule, "held"), margin=None, who=(), reason="so it is")
        for rule, title in TITLES.items()
    )
    return AuditReport(
        benchmark=BenchmarkRef(name="toy", version="1.0.0", manifest_sha256="a" * 64, n_samples=2),
        vidchatbench_version="0.0.0", suite=SuiteRef(name="lite", version=1), seed=0, n_samples=2, identities=2,
        finished="2026-01-02T00:00:00Z", metrics=(), unavailable=(), recipes=(),
        order=OrderReport(members=(), scores=(), rules=rules),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("verdicts", "code", "line"),
    [
        ({}, 0, "the order holds"),
        ({"lowest_tier": "cannot tell"}, 0, "the order holds (cannot tell: Every reply without work"),
        ({"oracle": "cannot tell"}, 4, "the order is open (cannot tell: The real replies"),
        ({"copies": "not held"}, 4, "the order does not hold (not held: Copies"),
    ],
)
def test_the_gate_is_open_only_where_the_order_holds(
    verdicts: dict[str, Any], code: int, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_run, "audit", lambda *_, **__: report_of(**verdicts))
    app = typer.Typer()
    app.callback()(lambda: None)
    audit_command.add_to(app)
    arguments = ["audit", "--benchmark", "any", "--out", str(tmp_path), "--json"]
    shut = CliRunner().invoke(app, [*arguments, "--gate"])
    assert shut.exit_code == code, shut.output
    assert line in " ".join(shut.stderr.split())
    assert CliRunner().invoke(app, arguments).exit_code == 0, "without the gate it is only said"
    assert load_audit(tmp_path) == report_of(**verdicts)
