"""The picture of the architecture is that of the imports, and what reads the imports misses none."""

from __future__ import annotations

import json
import re
import shutil
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "docs"), str(ROOT / "benchmarks")]

import generate_architecture  # noqa: E402
import structure  # noqa: E402

PYPROJECT = """
[[tool.importlinter.contracts]]
name = "floors"
type = "layers"
containers = ["vidchatbench"]
layers = ["cli", "engine | media", "(api)", "errors"]

[[tool.importlinter.contracts]]
name = "families"
type = "layers"
containers = ["vidchatbench_metrics"]
layers = ["voice", "common"]
"""
FILES = {
    "vidchatbench/__init__.py": '''
"""A made-up library."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vidchatbench.engine.run import run
''',
    "vidchatbench/__main__.py": "import vidchatbench.cli\n",
    "vidchatbench/cli.py": "from vidchatbench.engine import run, worker\nimport json\n",
    # A package that hands on a name of its own, which is no module.
    "vidchatbench/engine/__init__.py": '"""The engine: plan, extract; and more."""\n\nSPEED = 1\n',
    "vidchatbench/engine/run.py": """
from vidchatbench.engine import SPEED
from .worker import work
from ..api import Metric


def run() -> None:
    def inner() -> None:
        import vidchatbench.media.reader

    inner()
""",
    "vidchatbench/engine/worker.py": "from . import run\n",
    "vidchatbench/media/__init__.py": '"""Media: reading ``clips``. Nothing else."""\n',
    "vidchatbench/media/reader.py": "from vidchatbench.errors import MediaError\n",
    "vidchatbench/api/__init__.py": '"""What plugins import."""\n\nfrom vidchatbench.errors import MediaError\n',
    "vidchatbench/errors.py": '''
"""Errors."""


def help_of() -> str:
    from vidchatbench.api import advice

    return advice
''',
    "metrics/vidchatbench_metrics/__init__.py": "",
    "metrics/vidchatbench_metrics/voice/__init__.py": '"""Voice metrics: who speaks, and how (well, or badly)."""\n',
    "metrics/vidchatbench_metrics/voice/pitch.py": """
import vidchatbench.api as api
from vidchatbench_metrics import common
""",
    "metrics/vidchatbench_metrics/common.py": '"""What families share."""\n',
}
IMPORTS = {
    "vidchatbench": {"vidchatbench.engine.run"},
    "vidchatbench.__main__": {"vidchatbench.cli"},
    "vidchatbench.cli": {"vidchatbench.engine.run", "vidchatbench.engine.worker"},
    "vidchatbench.engine": set(),
    "vidchatbench.engine.run": {
        "vidchatbench.engine", "vidchatbench.engine.worker", "vidchatbench.api", "vidchatbench.media.reader",
    },
    "vidchatbench.engine.worker": {"vidchatbench.engine.run"},
    "vidchatbench.media": set(),
    "vidchatbench.media.reader": {"vidchatbench.errors"},
    "vidchatbench.api": {"vidchatbench.errors"},
    "vidchatbench.errors": {"vidchatbench.api"},
    "vidchatbench_metrics": set(),
    "vidchatbench_metrics.voice": set(),
    "vidchatbench_metrics.voice.pitch": {"vidchatbench.api", "vidchatbench_metrics.common"},
    "vidchatbench_metrics.common": set(),
}  # fmt: skip


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A made-up checkout with two circles, an import that runs up, and one between neighbours."""
    for name, text in {"pyproject.toml": PYPROJECT, **FILES}.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "tree"


def test_the_picture_is_that_of_the_imports():
    committed = ROOT / "docs" / "architecture.svg"
    message = "run python docs/generate_architecture.py"
    assert committed.is_file(), message
    assert committed.read_text(encoding="utf-8") == generate_architecture.render(), message


def test_every_import_is_read(tree):
    assert {name: set(module.imports) for name, module in structure.read(tree).items()} == IMPORTS


def test_circles_are_found(tree):
    measured = structure.measure(tree)
    assert measured["module_circles"] == [
        ["vidchatbench.api", "vidchatbench.errors"],
        ["vidchatbench.engine.run", "vidchatbench.engine.worker"],
    ]
    assert measured["containers"]["vidchatbench"]["circles"] == [["api", "errors"]]
    assert measured["containers"]["vidchatbench_metrics"]["circles"] == []


def test_a_contract_orders_the_names(tree):
    found = structure.measure(tree)["containers"]["vidchatbench"]
    assert found == {
        "names": ["api", "cli", "engine", "errors", "media"],
        "order": "contract",
        "floors": [["__main__"], ["__init__"], ["cli"], ["engine", "media"], ["api"], ["errors"]],
        "arrows": 8,
        "circles": [["api", "errors"]],
        "up": {"errors -> api": ["vidchatbench/errors.py -> vidchatbench/api/__init__.py"]},
        "sideways": {"engine -> media": ["vidchatbench/engine/run.py -> vidchatbench/media/reader.py"]},
    }


def test_without_a_contract_the_order_is_found(tree):
    (tree / "pyproject.toml").write_text("[tool.ruff]\n", encoding="utf-8")
    # Two imports now run from errors to api, so that the one from api to errors is the one that runs up.
    (tree / "vidchatbench" / "api" / "cards.py").write_text("", encoding="utf-8")
    (tree / "vidchatbench" / "errors.py").write_text(
        "from vidchatbench.api import Metric\nfrom vidchatbench.api.cards import Card\n", encoding="utf-8"
    )
    found = structure.measure(tree)["containers"]["vidchatbench"]
    assert found["order"] == "computed"
    assert found["up"] == {"api -> errors": ["vidchatbench/api/__init__.py -> vidchatbench/errors.py"]}
    assert found["sideways"] == {}
    places = [name for (name,) in found["floors"]]
    assert places.index("media") < places.index("errors") < places.index("api")


def test_an_order_without_circles_has_nothing_that_runs_up():
    arrows = {(first, second): ["x"] for first, second in ("ad", "db", "bc", "ac", "ec")}
    graph = {name: [second for first, second in arrows if first == name] for name in "abcde"}
    order = structure.best_order(graph, arrows)
    assert all(order.index(first) < order.index(second) for first, second in arrows)
    assert structure.circles(graph) == []


def test_sizes(tree):
    measured = structure.measure(tree)
    assert measured["totals"] == {
        "files": 14,
        "lines": 43,
        "median_lines": 1.5,
        "largest_file": "run.py 11",
        "functions": 3,
        "functions_over_60": 0,
    }
    assert measured["folders"]["vidchatbench/engine"] == {
        "files": 3,
        "lines": 15,
        "median_lines": 3,
        "largest_file": "run.py 11",
        "functions": 2,
        "functions_over_60": 0,
    }
    assert list(measured["folders"]) == [
        "metrics/vidchatbench_metrics",
        "metrics/vidchatbench_metrics/voice",
        "vidchatbench",
        "vidchatbench/api",
        "vidchatbench/engine",
        "vidchatbench/media",
    ]


def test_a_long_function_is_counted(tree):
    body = "    pass\n"
    (tree / "vidchatbench" / "cli.py").write_text(f"def f():\n{body * 59}\ndef g():\n{body * 60}", encoding="utf-8")
    assert structure.measure(tree)["totals"]["functions_over_60"] == 1


def test_two_checkouts_stand_side_by_side(tree, tmp_path, monkeypatch, capsys):
    before = tmp_path / "before"
    shutil.copytree(tree, before)
    for name in ("engine/worker.py", "errors.py"):
        (before / "vidchatbench" / name).write_text("", encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["structure.py", str(tree), "--against", str(before)])
    structure.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["before", "after"]
    rows = [[cell.strip() for cell in re.split("  +", line)] for line in lines]
    assert ["circles of modules", "0", "2"] in rows
    assert ["", "engine.run, engine.worker", "–", "yes"] in rows
    assert ["arrows up in vidchatbench", "0 of 7", "1 of 8"] in rows
    assert ["", "vidchatbench/errors.py -> vidchatbench/api/__init__.py", "–", "yes"] in rows
    assert ["", "vidchatbench/engine/run.py -> vidchatbench/media/reader.py", "yes", "yes"] in rows
    assert ["lines", "34", "43"] in rows
    assert ["", "vidchatbench/engine", "3", "3", "run.py 11", "3", "3", "run.py 11"] in rows
    (row,) = [line for line in lines if line.startswith("arrows up in vidchatbench ")]
    assert row.index("1 of 8") == lines[0].index("after")


def test_the_measures_can_be_had_as_json(tree, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["structure.py", str(tree), "--json"])
    structure.main()
    assert json.loads(capsys.readouterr().out) == {"now": structure.measure(tree)}


def test_what_is_no_checkout_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["structure.py", str(tmp_path)])
    with pytest.raises(SystemExit) as stopped:
        structure.main()
    assert stopped.value.code == 2
    assert f"no pyproject.toml in {tmp_path}" in capsys.readouterr().err


def texts(svg: str) -> list[str]:
    return [node.text or "" for node in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_the_picture_of_a_small_tree(tree):
    svg = generate_architecture.render(tree)
    assert svg == generate_architecture.render(tree)
    assert texts(svg) == [
        "vidchatbench",
        "the harness: a floor imports what stands below it, never a neighbour",
        "A number counts files; → names what a box imports, besides api, core, errors, _version.",
        "vidchatbench_metrics",
        "a plugin: it knows only api",
        *("cli.py", "1", "→ engine"),
        *("engine", "3", "Plan, extract", "→ media"),
        *("media", "2", "Reading clips"),
        *("api", "1", "What plugins import"),
        *("errors.py", "1", "Errors"),
        *("voice", "2", "Who speaks, and how (well,", "or badly)", "→ common"),
        *("common.py", "1", "What families share"),
    ]
    # cli -> engine, engine -> api and api -> errors; not the neighbours, and nothing that runs up.
    assert svg.count('class="railhead"') == 3


def overflowing(svg: str) -> list[str]:
    """Returns the texts that leave their box or, for the number of files, touch the name."""
    found = []
    left = right = end = 0.0
    for node in ET.fromstring(svg):
        kind, place = node.get("class", ""), float(node.get("x", 0))
        if kind in {"box", "door"}:
            left = right = place
            right += float(node.get("width", 0))
        elif node.tag.endswith("}text") and right:
            # Names are bold, which takes an eighth more.
            width = generate_architecture.width_of(node.text or "", kind) * (1.125 if kind == "name" else 1)
            start = place - width if node.get("text-anchor") else place
            least = end if node.get("text-anchor") else left
            end = start + width
            if not least < start < end < right:
                found.append(node.text or "")
    return found


def test_every_text_fits_its_box(tree):
    assert overflowing((ROOT / "docs" / "architecture.svg").read_text(encoding="utf-8")) == []
    small = generate_architecture.render(tree)
    assert overflowing(small) == []
    long = f"Plan, {'extract, ' * 60}"
    assert overflowing(small.replace("Plan, extract", long)) == [long]


def test_a_package_without_a_floor_is_refused(tree):
    (tree / "vidchatbench" / "attic.py").write_text("", encoding="utf-8")
    with pytest.raises(ValueError, match=r"no layer of pyproject\.toml names attic of vidchatbench"):
        generate_architecture.render(tree)


def test_metrics_that_pass_by_the_door_are_refused(tree):
    path = tree / "metrics" / "vidchatbench_metrics" / "common.py"
    path.write_text("from vidchatbench.media import reader\n", encoding="utf-8")
    with pytest.raises(ValueError, match="vidchatbench_metrics imports media of vidchatbench, not only api"):
        generate_architecture.render(tree)


STALE = r"run python docs/generate_architecture\.py"


def test_check_compares_and_writes_nothing(tree, tmp_path, monkeypatch):
    target = tmp_path / "architecture.svg"
    drawn = generate_architecture.render(tree)
    monkeypatch.setattr(generate_architecture, "TARGET", target)
    monkeypatch.setattr(generate_architecture, "render", lambda: drawn)
    monkeypatch.setattr(sys, "argv", ["generate_architecture.py", "--check"])
    with pytest.raises(SystemExit, match=STALE):
        generate_architecture.main()
    assert not target.exists()
    target.write_text(f"{drawn} ", encoding="utf-8")
    with pytest.raises(SystemExit, match=STALE):
        generate_architecture.main()
    assert target.read_text(encoding="utf-8") == f"{drawn} "
    monkeypatch.setattr(sys, "argv", ["generate_architecture.py"])
    generate_architecture.main()
    assert target.read_text(encoding="utf-8") == drawn
    monkeypatch.setattr(sys, "argv", ["generate_architecture.py", "--check"])
    generate_architecture.main()


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("Short", ["Short"]),
        ("Whole, as it fits", ["Whole, as it", "fits"]),
        ("A comma (not, within these), where the rest is far too long", ["A comma (not,", "within these)"]),
        ("An ellipsis where there is no comma to stop at", ["An ellipsis", "where there is", "no comma to …"]),
    ],
)
def test_words_fit_their_box(text, lines):
    found = generate_architecture.fit(text, 100)
    assert found == lines
    assert all(generate_architecture.width_of(line, "words") <= 100 for line in found)


@pytest.mark.parametrize(
    ("name", "says", "expected"),
    [
        ("media", "Media: probing, decoding; more", "Probing, decoding"),
        ("cli", "The command line: one file per command; more", "The command line: one file per command"),
        ("av_sync", "Audio-visual sync: whether the lips move. More", "Whether the lips move"),
        ("_version", "The one place where ``__version__`` stands", "The one place where __version__ stands"),
    ],
)
def test_a_box_says_what_its_name_does_not(name, says, expected):
    assert generate_architecture.purpose(name, says) == expected
