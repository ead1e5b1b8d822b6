"""Finds weights files by their sha256: mirror folder, installed package, cache. A file of another hash is an error."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from vidchatbench.api.plugins import WeightSpec
from vidchatbench.core import paths
from vidchatbench.core.atomic import write_atomically
from vidchatbench.core.hashing import git_blob_of, hash_file
from vidchatbench.errors import UnavailableError, UsageError, WeightsError
from vidchatbench.weights.lock import LockEntry, Pin, record_first
from vidchatbench.weights.table import BY_HASH, cache_name, weight_spec

PULL = "vidchatbench weights pull"


class Place(str, Enum):
    """Where a weight was found."""

    MIRROR = "mirror"
    PACKAGE = "package"
    CACHE = "cache"


@dataclass(frozen=True)
class WeightFile:
    """A verified weights file."""

    path: Path
    place: Place


class WeightResolver:
    """Resolves names of the weights table to verified files, without any download.

    Hashes of large files are remembered by path, size and time of change, so that a mirror of many gigabytes is
    read once and not at every start.

    Args:
        table: The weights table.
        mirror: A folder that holds weights under any name; defaults to ``VIDCHATBENCH_WEIGHTS_DIR``.
        cache: The folder of downloaded weights.
        remember: Whether hashes that were computed earlier are trusted.
    """

    def __init__(
        self,
        table: Mapping[str, WeightSpec],
        *,
        mirror: Path | None = None,
        cache: Path | None = None,
        remember: bool = True,
    ) -> None:
        self._table = table
        self._mirror = mirror or paths.mirror_root()
        self._cache = cache or paths.weights_root()
        self._hashes = _HashMemory(self._cache / "hashes.json", remember=remember)
        self._files: dict[str, WeightFile | None] = {}
        if self._mirror is not None and not self._mirror.is_dir():
            raise UsageError(f"{paths.MIRROR_VARIABLE} names {self._mirror}, which is not a folder")

    def spec(self, name: str) -> WeightSpec:
        """Returns the table entry.

        Raises:
            UsageError: If the table has no such weight.
        """
        return weight_spec(self._table, name)

    def find(self, name: str) -> WeightFile | None:
        """Returns the verified file of a weight, or ``None`` if it is not on this computer.

        Raises:
            WeightsError: If the file in the cache or in the package is not the one of the table.
        """
        if name not in self._files:
            self._files[name] = self._search(self.spec(name))
        return self._files[name]

    def path(self, name: str) -> Path:
        """Returns the verified file of a weight.

        Raises:
            UnavailableError: If it is not on this computer; the error names the command that brings it.
            WeightsError: If a file under its name has another content.
        """
        result = self.find(name)
        if result is None:
            raise UnavailableError(f"weight {name!r} is not on this computer", self.fix(name))
        return result.path

    def fix(self, *names: str) -> str:
        """Returns the commands that would bring weights here."""
        fixes, pulled = [], []
        for name in names:
            if name.startswith(BY_HASH):
                fixes.append(f"put the file into a folder and name that in {paths.MIRROR_VARIABLE}")
                continue
            spec = self.spec(name)
            if spec.package is not None and not spec.parts:
                fixes.append(f"pip install {spec.package.requirement}")
            else:
                pulled.append(name)
        if pulled:
            fixes.append(f"{PULL} {' '.join(pulled)}")
        return "; ".join(dict.fromkeys(fixes))

    def _search(self, spec: WeightSpec) -> WeightFile | None:
        if spec.sha256 is None:
            return self._search_by_blob(spec)
        if self._mirror is not None:
            for file in sorted(self._mirror.rglob("*")):
                if file.is_file() and spec.size in {None, file.stat().st_size} and self._hashes.of(file) == spec.sha256:
                    return WeightFile(file, Place.MIRROR)
        packaged = _locate_package_file(spec)
        if packaged is not None and packaged.is_file():
            return WeightFile(self._verified(packaged, spec), Place.PACKAGE)
        cached = self._cache / cache_name(spec)
        if cached.is_file():
            return WeightFile(self._verified(cached, spec), Place.CACHE)
        return None

    def _search_by_blob(self, spec: WeightSpec) -> WeightFile | None:
        # A file without a published hash cannot be verified; only `weights pull` brings it.
        if self._mirror is None or spec.git_blob is None:
            return None
        for file in sorted(self._mirror.rglob("*")):
            if file.is_file() and git_blob_of(file) == spec.git_blob:
                entry = LockEntry(
                    sha256=self._hashes.of(file), size=file.stat().st_size, source=str(file), pin=Pin.PUBLISHED
                )
                record_first(spec.name, entry)
                return WeightFile(file, Place.MIRROR)
        return None

    def _verified(self, file: Path, spec: WeightSpec) -> Path:
        actual = self._hashes.of(file)
        if actual != spec.sha256:
            raise WeightsError(
                f"{file} is not the weight {spec.name!r}: its sha256 is {actual[:12]}..., expected "
                f"{(spec.sha256 or '')[:12]}... (delete it, then: {self.fix(spec.name)})"
            )
        return file


def _locate_package_file(spec: WeightSpec) -> Path | None:
    if spec.package is None:
        return None
    # The module is located, not imported: these packages are carriers of a file, and some cannot even be imported.
    try:
        module = importlib.util.find_spec(spec.package.module)
    except (ModuleNotFoundError, ValueError):
        return None  # a parent package is missing
    if module is None or not module.submodule_search_locations:
        return None
    return Path(next(iter(module.submodule_search_locations))) / spec.package.file


class _HashMemory:
    """Remembers file hashes by path, size and modification time."""

    def __init__(self, file: Path, *, remember: bool) -> None:
        self._file = file
        self._known: dict[str, str] = {}
        if not remember:
            return
        try:
            loaded = json.loads(file.read_text(encoding="utf-8"))
            self._known = {str(key): str(value) for key, value in loaded.items()}
        except (OSError, ValueError, AttributeError):
            self._known = {}  # only a memory: without it the files are hashed again

    def of(self, path: Path) -> str:
        stat = path.stat()
        key = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
        if key not in self._known:
            self._known[key] = hash_file(path)
            self._save()
        return self._known[key]

    def _save(self) -> None:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._file, json.dumps(self._known, indent=0).encode(), durable=False)
        except OSError:
            return  # a read-only cache costs time at the next start, nothing else
