"""Where the demonstration's files lie, and the marker of a whole set."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from vidchatbench.core.hashing import hash_file

SYSTEMS = ("careful", "hasty", "still")
"""The systems that the demonstration compares, best first; the last is a cheat."""

DYADS = 6

MARKER = "demo.json"
RECIPE = 3
"""Raised with every change that makes other files, so that folders of an older recipe are built anew."""


@dataclass(frozen=True)
class DemoSize:
    """How much of the demonstration is built.

    Attributes:
        dyads: Pairs of people, 1 to 6; each makes two samples.
        seconds: Most seconds of a clip; words that do not fit are left out.
        side: Height and width of the pictures, an even number.
        systems: The systems whose outputs are made.
    """

    dyads: int = DYADS
    seconds: float = 10.0
    side: int = 256
    systems: tuple[str, ...] = SYSTEMS


@dataclass(frozen=True)
class DemoPaths:
    """Where the demonstration lies.

    Attributes:
        folder: The folder that holds all of it.
        names: The systems whose outputs it has.
    """

    folder: Path
    names: tuple[str, ...] = SYSTEMS

    @property
    def benchmark(self) -> Path:
        """The benchmark's folder, with ``manifest.jsonl``, ``benchmark.json`` and ``media``."""
        return self.folder / "benchmark"

    @property
    def systems(self) -> dict[str, Path]:
        """The outputs' folder of each system."""
        return {name: self.folder / "systems" / name for name in self.names}

    @property
    def parts(self) -> tuple[str, ...]:
        """The folders that a build makes, and the only ones it ever replaces."""
        return "benchmark", *(f"systems/{name}" for name in self.names)

    @property
    def marker(self) -> Path:
        """The file that names the recipe and the hash of every file."""
        return self.folder / MARKER


def hash_files(folder: Path, parts: Sequence[str]) -> dict[str, str]:
    """Returns the sha256 of every file of the demonstration, by its path within the folder, sorted."""
    files = sorted(path for part in parts for path in (folder / part).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hash_file(path) for path in files}


def write_marker(path: Path, seed: int, size: DemoSize, files: Mapping[str, str]) -> None:
    """Writes down which demonstration a folder holds."""
    content = {"recipe": RECIPE, "seed": seed, "size": asdict(size), "files": dict(files)}
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def is_whole(paths: DemoPaths, seed: int, size: DemoSize) -> bool:
    """Returns whether the folder holds this demonstration, every file unchanged.

    Files that a user has added, a system of their own for instance, are no damage.
    """
    try:
        marker = json.loads(paths.marker.read_text(encoding="utf-8"))
        files = dict(marker["files"])
        same = (marker["recipe"], marker["seed"]) == (RECIPE, seed)
        same = same and marker["size"] == json.loads(json.dumps(asdict(size)))
        return same and len(files) > 0 and files.items() <= hash_files(paths.folder, paths.parts).items()
    except (OSError, ValueError, KeyError, TypeError):
        return False
