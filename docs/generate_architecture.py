"""Draws ``docs/architecture.svg``: the packages on their floors, from the imports and import-linter's contracts.

Run it as `python docs/generate_architecture.py`; with `--check` it writes nothing and fails where the file differs, as
a test does. A box says what its package is for (the first line of the docstring), and after the arrow what it imports.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

from structure import Module, arrows_between, contract_layers, read

ROOT = Path(__file__).resolve().parents[1]
TARGET = Path(__file__).with_name("architecture.svg")
HARNESS, METRICS = "vidchatbench", "vidchatbench_metrics"
DOOR = "api"
# What nearly every box imports; said once below the picture instead of in every box.
GROUND = ("api", "core", "errors", "_version")
FACES = ("__init__", "__main__")

WIDTH, GAP, STEP = 800, 8, 17
HOUSE_LEFT, HOUSE_WIDTH = 20, 524
WING_LEFT, WING_WIDTH, WING_INSET = 568, 212, 7
FIRST_FLOOR = 66
PADDING = 8
SIZES = {"title": 16, "name": 14, "words": 12, "small": 11}
LEADING, NARROW = 15, 200
# In units of the size, of the widest of the common sans-serif fonts.
WIDTHS = ((" ijl,.:;/'|", 0.34), ("frt()-", 0.41), ("ckszvxyL_–", 0.59), ("mwMW→…", 1.0))

STYLE = """
text { font-family: system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
.sheet { fill: #ffffff; }
.wing { fill: #f4f6f9; stroke: #c9d1dc; }
.box { fill: #eef3f9; stroke: #b9c7d8; }
.door { fill: #fdf3dc; stroke: #d2a136; }
.name, .title { font-weight: 600; fill: #1b2733; }
.words { fill: #37465a; }
.small { fill: #5d6c80; }
.line { fill: none; stroke: #a3662a; stroke-width: 1.5; }
.head { fill: #a3662a; }
.rail { fill: none; stroke: #8a98aa; stroke-width: 1.2; }
.railhead { fill: #8a98aa; }
@media (prefers-color-scheme: dark) {
  .sheet { fill: #12171e; }
  .wing { fill: #171e27; stroke: #37465a; }
  .box { fill: #1d2733; stroke: #3b4d63; }
  .door { fill: #33290f; stroke: #a8822f; }
  .name, .title { fill: #eaf0f7; }
  .words { fill: #bdc9d8; }
  .small { fill: #91a0b4; }
  .line { stroke: #d9a45b; }
  .head { fill: #d9a45b; }
  .rail { stroke: #6d7c90; }
  .railhead { fill: #6d7c90; }
}
"""


@dataclass(frozen=True)
class Package:
    """What a box shows: a package, or a module that stands alone."""

    name: str
    label: str
    files: int
    says: str
    imports: tuple[str, ...]


@dataclass(frozen=True)
class Box:
    """A package with its place on the sheet."""

    package: Package
    left: float
    top: float
    width: float
    height: float


def floors_of(root: Path, container: str, modules: dict[str, Module]) -> list[list[Package]]:
    """Returns the floors of a container from the top down, as its contract orders them.

    Raises:
        ValueError: A package or module has no place in the contract.
    """
    layers = contract_layers(root, container)
    homes = [module.home for module in modules.values()]
    placed = [name for layer in layers for name in layer]
    if homeless := {name for here, name in homes if here == container} - {*placed, *FACES}:
        raise ValueError(f"no layer of pyproject.toml names {', '.join(sorted(homeless))} of {container}")
    arrows = arrows_between(modules, container)

    def package(name: str) -> Package:
        module = modules[f"{container}.{name}"]
        label = name if module.path.endswith("/__init__.py") else f"{name}.py"
        imports = tuple(other for other in placed if (name, other) in arrows)
        return Package(name, label, homes.count((container, name)), purpose(name, module.says), imports)

    floors = [[package(name) for name in layer if (container, name) in homes] for layer in layers]
    return [floor for floor in floors if floor]


def purpose(name: str, says: str) -> str:
    """Returns what a docstring says beyond the name: "Media: probing; …" of ``media`` is "Probing"."""
    topic, colon, rest = says.replace("`", "").partition(": ")
    repeats = any(word in topic.lower() for word in name.strip("_").split("_"))
    text = rest if colon and repeats else f"{topic}{colon}{rest}"
    text = text.partition("; ")[0].partition(". ")[0]
    return text[:1].upper() + text[1:]


def width_of(text: str, kind: str) -> float:
    """Returns an upper bound of a text's width, whichever sans-serif font the reader has."""
    return SIZES[kind] * sum(_em(character) for character in text)


def _em(character: str) -> float:
    wide = 0.79 if character.isupper() else 0.64
    return next((width for characters, width in WIDTHS if character in characters), wide)


def wrap(text: str, width: float, kind: str) -> list[str]:
    """Breaks a text at its spaces."""
    lines: list[str] = []
    for word in text.split():
        if lines and width_of(f"{lines[-1]} {word}", kind) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def fit(text: str, width: float) -> list[str]:
    """Returns a text in two lines or, in a narrow box, three: whole, or up to a comma, or up to an ellipsis."""
    most = 3 if width < NARROW else 2
    ends = [place for place, character in enumerate(text) if character == "," and _closed(text[:place])]
    for end in (len(text), *reversed(ends)):
        if len(lines := wrap(text[:end], width, "words")) <= most:
            return lines
    words = text.split()
    while len(lines := wrap(f"{' '.join(words)} …", width, "words")) > most:
        words.pop()
    return lines


def _closed(text: str) -> bool:
    return text.count("(") == text.count(")")


def body(package: Package, width: float) -> list[tuple[str, str]]:
    """Returns the lines below a box's name, each with its class."""
    inner = width - 2 * PADDING
    lines = [("words", line) for line in fit(package.says, inner)]
    if told := [name for name in package.imports if name not in GROUND]:
        lines += [("small", line) for line in wrap(f"→ {', '.join(told)}", inner, "small")]
    return lines


def lay(floors: list[list[Package]], left: float, top: float, width: float, most: int) -> list[Box]:
    """Places floors below each other; one of more than ``most`` packages takes several rows."""
    boxes = []
    for floor in floors:
        rows = math.ceil(len(floor) / most)
        count = math.ceil(len(floor) / rows)
        for row in (floor[start : start + count] for start in range(0, len(floor), count)):
            each = (width - GAP * (len(row) - 1)) / len(row)
            height = max(30 + LEADING * len(body(package, each)) for package in row)
            boxes += [Box(package, left + (each + GAP) * k, top, each, height) for k, package in enumerate(row)]
            top += height + GAP
        top += STEP - GAP
    return boxes


def steps(boxes: list[Box]) -> Iterator[str]:
    """Yields an arrow for every import from a floor to the next."""
    for box in boxes:
        for other in boxes:
            if other.top - box.top - box.height == STEP and other.package.name in box.package.imports:
                left, right = max(box.left, other.left), min(box.left + box.width, other.left + other.width)
                start = end = (left + right) / 2
                if left > right:
                    start, end = (left + 14, right - 14) if box.left == left else (right - 14, left + 14)
                yield f'<path class="rail" d="M{start:g} {box.top + box.height:g} L{end:g} {other.top - 3:g}"/>'
                yield _head("railhead", end, other.top, "down")


def draw_box(box: Box) -> Iterator[str]:
    """Yields the elements of a box."""
    kind = "door" if box.package.name == DOOR else "box"
    yield f'<rect class="{kind}" {_area(box.left, box.top, box.width, box.height)} rx="4"/>'
    yield _text("name", box.left + PADDING, box.top + 20, box.package.label)
    yield _text("small", box.left + box.width - PADDING, box.top + 20, str(box.package.files), at_end=True)
    for index, (kind, line) in enumerate(body(box.package, box.width)):
        yield _text(kind, box.left + PADDING, box.top + 38 + LEADING * index, line)


def _area(left: float, top: float, width: float, height: float) -> str:
    return f'x="{left:g}" y="{top:g}" width="{width:g}" height="{height:g}"'


def _text(kind: str, left: float, top: float, text: str, *, at_end: bool = False) -> str:
    anchor = ' text-anchor="end"' if at_end else ""
    place = f'x="{left:g}" y="{top:g}" font-size="{SIZES[kind]}"'
    return f'<text class="{kind}" {place}{anchor}>{escape(text, quote=False)}</text>'


def render(root: Path = ROOT) -> str:
    """Returns the picture of a checkout.

    Raises:
        ValueError: A package has no place in the contracts, or the metrics know more of the harness than its door.
    """
    modules = read(root)
    known = {modules[name].home for module in modules.values() if module.home[0] == METRICS for name in module.imports}
    if strays := {name for here, name in known if here == HARNESS} - {DOOR}:
        raise ValueError(f"{METRICS} imports {', '.join(sorted(strays))} of {HARNESS}, not only {DOOR}")
    house = lay(floors_of(root, HARNESS, modules), HOUSE_LEFT, FIRST_FLOOR, HOUSE_WIDTH, most=4)
    families = floors_of(root, METRICS, modules)
    wing = lay(families, WING_LEFT + WING_INSET, FIRST_FLOOR + WING_INSET, WING_WIDTH - 2 * WING_INSET, most=1)
    door = next(box for box in house if box.package.name == DOOR)
    foot = max(box.top + box.height for box in wing) + WING_INSET
    bottom = max(foot, *(box.top + box.height for box in house))
    size = f'width="{WIDTH}" height="{bottom + 40:g}"'
    legend = f"A number counts files; → names what a box imports, besides {', '.join(GROUND)}."
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 40:g}" {size} role="img">',
        f"<title>The packages of {HARNESS} on their floors, and {METRICS} beside them</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="sheet" {size} rx="8"/>',
        _text("title", HOUSE_LEFT, 34, HARNESS),
        _text("small", HOUSE_LEFT, 52, "the harness: a floor imports what stands below it, never a neighbour"),
        _text("small", HOUSE_LEFT, bottom + 24, legend),
        _text("title", WING_LEFT, 34, METRICS),
        _text("small", WING_LEFT, 52, f"a plugin: it knows only {DOOR}"),
        f'<rect class="wing" {_area(WING_LEFT, FIRST_FLOOR, WING_WIDTH, foot - FIRST_FLOOR)} rx="6"/>',
        *(part for box in (*house, *wing) for part in draw_box(box)),
        *steps(house),
        *_bridge(door, foot),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _bridge(door: Box, foot: float) -> Iterator[str]:
    """The one way from the metrics into the harness."""
    middle, tip = door.top + door.height / 2, door.left + door.width
    start = f"M{WING_LEFT} {middle:g}" if middle < foot else f"M{WING_LEFT + WING_WIDTH / 2:g} {foot:g} V{middle:g}"
    yield f'<path class="line" d="{start} H{tip + 6:g}"/>'
    yield _head("head", tip, middle, "left")


def _head(kind: str, left: float, top: float, way: str) -> str:
    """An arrowhead with its tip at a point."""
    corners = "l8 -4 v8" if way == "left" else "l-3 -5 h6"
    return f'<path class="{kind}" d="M{left:g} {top:g} {corners} z"/>'


def main() -> None:
    """Writes the picture, or compares it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where the file differs")
    if not parser.parse_args().check:
        TARGET.write_text(render(), encoding="utf-8")
    elif not TARGET.is_file() or TARGET.read_text(encoding="utf-8") != render():
        sys.exit("docs/architecture.svg is not what the imports say: run python docs/generate_architecture.py")


if __name__ == "__main__":
    main()
