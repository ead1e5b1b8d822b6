"""Writes the page: the same board gives the same bytes, whatever was in the folder before.

The browser's scripts draw the tables from ``board.js``, which carries ``leaderboard.json`` as one string: a page that
was opened from a folder may load a script but fetch nothing, and a name in a string can neither end a script nor change
an object's prototype. What submissions say of themselves is never part of the markup, with two exceptions that jinja2
escapes: the short table for browsers without scripts, and the list of bundles that were left out.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

import jinja2
from pydantic import BaseModel, ValidationError

from vidchatbench.api.cards import Dimension
from vidchatbench.api.samples import TASKS
from vidchatbench.core.atomic import write_atomically
from vidchatbench.core.validation import describe_validation
from vidchatbench.errors import InputError
from vidchatbench.leaderboard.schema import LEADERBOARD_FILE, SAMPLES_FOLDER, Leaderboard, Row, SystemSamples
from vidchatbench.results.scale import describe_overall

BOARD_SCRIPT = "board.js"
VOCABULARY_SCRIPT = "vocabulary.js"
ASSETS_FOLDER = "assets"
_PACKAGE = "vidchatbench.leaderboard.site"
_VERSION_DIGITS = 12
_JOINERS = "\u200c\u200d"  # invisible too, but Persian and emoji need them

# A file costs a request, so what is loaded together is written together: the scripts of every page, those of one page,
# the style.
_SHARED_SCRIPT = "shared.js"
_SHARED_PARTS = ("dom.js", "format.js", "model.js", VOCABULARY_SCRIPT, "draw.js", "table.js", "numbers.js", "state.js")
_STYLE = "style.css"
_STYLE_PARTS = ("base.css", "table.css", "pages.css")
_PAGE_PARTS: dict[str, tuple[str, ...]] = {
    "index": ("columns.js", "filters.js", "chooser.js", "export.js", "exportdialog.js", "index.js"),
    "system": ("samples.js", "system.js"),
    "compare": ("compare.js",),
}
# Nothing from elsewhere, nothing inline; a script's address is set in one place, under the policy named here.
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'; trusted-types vidchatbench"
)

_Model = TypeVar("_Model", bound=BaseModel)


def build_site(leaderboard: Path, out: Path, *, commit: str | None = None) -> Path:
    """Writes the page of a board into a folder; opens from there and from any static host, under any path.

    Files of an earlier page are replaced; samples of systems that are gone are removed, and nothing else is.

    Args:
        leaderboard: ``leaderboard.json``, or the folder it is in. Sample files are taken from ``samples/`` beside it.
        out: The folder to write; made if it is absent.
        commit: What to print and export as the commit that the board was built from.

    Returns:
        The path of ``index.html``.

    Raises:
        InputError: If the board or a sample file cannot be read, is not valid, or names samples that are not there.
    """
    source = leaderboard / LEADERBOARD_FILE if leaderboard.is_dir() else leaderboard
    if not source.is_file():
        raise InputError(str(source), ["there is no such file"], "Make it with `vidchatbench leaderboard build`.")
    content = source.read_bytes()
    board = _read(Leaderboard, content, str(source))
    snapshot = hashlib.sha256(content).hexdigest()
    samples = _sample_scripts(board, source)

    written = {LEADERBOARD_FILE: content}
    written |= {f"{SAMPLES_FOLDER}/{row_id}.js": script for row_id, script in samples.items()}
    versions = {row_id: _version(script) for row_id, script in samples.items()}
    written[BOARD_SCRIPT] = _board_script(board, {"sha256": snapshot, "commit": commit}, versions)
    assets = _assets()
    written |= {f"{ASSETS_FOLDER}/{name}": data for name, data in assets.items()}
    written |= _pages(board, snapshot, commit, assets)
    for name in sorted(written):
        _write(out / name, written[name])
    for stale in (out / SAMPLES_FOLDER).glob("*.js"):
        if f"{SAMPLES_FOLDER}/{stale.name}" not in written:
            stale.unlink()
    return out / "index.html"


def visible(text: str) -> str:
    """Returns the text with a mark in place of letters that hide text or turn its direction, as dom.js does."""
    spaced = "".join(" " if c in "\t\n\r\u2028\u2029" else c for c in text)
    return "".join("\ufffd" if unicodedata.category(c) in {"Cc", "Cf"} and c not in _JOINERS else c for c in spaced)


def _read(model: type[_Model], content: bytes, name: str) -> _Model:
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        raise InputError(name, describe_validation(error)) from error


def _sample_scripts(board: Leaderboard, source: Path) -> dict[str, bytes]:
    """Returns the script of each row that has samples; all problems are listed at once."""
    problems: list[str] = []
    scripts: dict[str, bytes] = {}
    seen: set[str] = set()
    for row in board.rows:
        if row.id in seen:
            problems.append(f"{row.id}: stands on the board twice")
        seen.add(row.id)
        if row.samples is None:
            continue
        samples = _samples_of(row, source.parent, problems)
        if samples is not None:
            scripts[row.id] = _script("receiveSamples", samples.model_dump(mode="json"))
    if problems:
        hint = "Make both with `vidchatbench leaderboard build`, and keep the samples beside the board."
        raise InputError(str(source), problems, hint)
    return scripts


def _samples_of(row: Row, folder: Path, problems: list[str]) -> SystemSamples | None:
    # The name follows from the row's id, which is a safe file stem; a board that says otherwise is not followed.
    name = f"{SAMPLES_FOLDER}/{row.id}.json"
    if row.samples != name:
        problems.append(f"{row.id}: its samples must be {name}, not {row.samples}")
        return None
    path = folder / name
    if not path.is_file():
        problems.append(f"{row.id}: there is no {name}")
        return None
    try:
        samples = _read(SystemSamples, path.read_bytes(), name)
    except InputError as error:
        problems.extend(f"{name}: {problem}" for problem in error.problems)
        return None
    if samples.row != row.id:
        problems.append(f"{name}: holds the samples of {samples.row}")
        return None
    for metric, scores in samples.metrics.items():
        if {len(scores.values), len(scores.counted), len(scores.statuses)} != {len(samples.samples)}:
            problems.append(f"{name}: {metric} has another number of values than there are samples")
            return None
    return samples


def _board_script(board: Leaderboard, snapshot: dict[str, str | None], sample_versions: dict[str, str]) -> bytes:
    parts = (
        _script("setBoard", board.model_dump(mode="json")),
        _script("setSnapshot", snapshot),
        _script("setSampleFiles", sorted(sample_versions.items())),
    )
    return b"".join(parts)


def _assets() -> dict[str, bytes]:
    """Returns scripts, style and icon by the name that the pages load them by."""
    parts = {item.name: item.read_bytes() for item in (files(_PACKAGE) / "assets").iterdir() if item.is_file()}
    parts[VOCABULARY_SCRIPT] = _vocabulary_script()
    assets = {name: parts[name] for name in ("icon.svg", "theme.js")}
    assets[_STYLE] = b"".join(parts[name] for name in _STYLE_PARTS)
    assets[_SHARED_SCRIPT] = b"".join(parts[name] for name in _SHARED_PARTS)
    assets |= {f"{page}.js": b"".join(parts[name] for name in names) for page, names in _PAGE_PARTS.items()}
    return assets


def _vocabulary_script() -> bytes:
    """Returns the labels of the library's dimensions and tasks, in their order."""
    labels = {
        "dimensions": [(dimension.value, dimension.column_label) for dimension in Dimension],
        "tasks": [(task, task.replace("_", "-")) for task in TASKS],
    }
    return _script("setVocabulary", labels)


def _script(function: str, content: object) -> bytes:
    """Returns a call with the content as one JSON string, in ASCII, so that only a parser reads it."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    literal = json.dumps(text).replace("<", "\\u003c").replace(">", "\\u003e")
    return f"vidchatbench.{function}(JSON.parse({literal}));\n".encode("ascii")


def _pages(board: Leaderboard, snapshot: str, commit: str | None, assets: dict[str, bytes]) -> dict[str, bytes]:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (files(_PACKAGE) / "templates" / name).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["visible"] = visible
    # A changed file has another address, so that no browser mixes an old script with a new page.
    environment.globals["asset"] = lambda name: f"{ASSETS_FOLDER}/{name}?v={_version(assets[name])}"
    words = describe_overall(board.dimensions)
    shared = {"board": board, "snapshot": snapshot, "commit": commit, "policy": CONTENT_POLICY}
    shared["overall_words"] = words[0].upper() + words[1:]
    pages = {}
    for page in _PAGE_PARTS:
        text = environment.get_template(f"{page}.html").render(page=page, **shared)
        pages[f"{page}.html"] = text.encode("utf-8")
    return pages


def _version(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:_VERSION_DIGITS]


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, data, durable=False)
