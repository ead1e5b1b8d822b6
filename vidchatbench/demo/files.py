"""Where the demonstration's files lie, and the marker of a whole set."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from vidchatbench.core.hashing import hash_file

SYSTEMS = ("oracle", "shifted", "degraded")
"""The systems, best first."""

PARTS = ("benchmark", *(f"systems/{name}" for name in SYSTEMS))
"""The folders that a build makes, and the only ones it ever replaces."""

MARKER = "demo.json"
RECIPE = 1
"""Raised with every change that makes other files, so that folders of an older recipe are built anew."""


@dataclass(frozen=True)
class DemoPaths:
    """Where the demonstration lies.

    Attributes:
        folder: The folder that holds all of it.
    """

    folder: Path

    @property
    def benchmark(self) -> Path:
        """The benchmark's folder, with ``manifest.jsonl``, ``benchmark.json`` and ``media``."""
        return self.folder / "benchmark"

    @property
    def systems(self) -> dict[str, Path]:
        """The outputs' folder of each system, best system first."""
        return {name: self.folder / "systems" / name for name in SYSTEMS}

    @property
    def marker(self) -> Path:
        """The file that names the recipe and the hash of every file."""
        return self.folder / MARKER


def hash_files(folder: Path) -> dict[str, str]:
    """Returns the sha256 of every file of the demonstration, by its path within the folder, sorted."""
    files = sorted(path for part in PARTS for path in (folder / part).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hash_file(path) for path in files}


def write_marker(path: Path, seed: int, files: dict[str, str]) -> None:
    """Writes down which demonstration a folder holds."""
    path.write_text(json.dumps({"recipe": RECIPE, "seed": seed, "files": files}, indent=2) + "\n", encoding="utf-8")


def is_whole(paths: DemoPaths, seed: int) -> bool:
    """Returns whether the folder holds this seed's demonstration, every file unchanged.

    Files that a user has added, a system of their own for instance, are no damage.
    """
    try:
        marker = json.loads(paths.marker.read_text(encoding="utf-8"))
        files = dict(marker["files"])
        return (
            (marker["recipe"], marker["seed"]) == (RECIPE, seed)
            and len(files) > 0
            and files.items() <= hash_files(paths.folder).items()
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False
