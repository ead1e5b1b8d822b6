"""Paths on this computer: the cache, the feature store, prepared benchmarks, the package's own data."""

from __future__ import annotations

import os
import sys
from importlib.resources import files
from pathlib import Path

CACHE_VARIABLE = "VIDCHATBENCH_CACHE"
MIRROR_VARIABLE = "VIDCHATBENCH_WEIGHTS_DIR"


def cache_root() -> Path:
    """The cache folder: ``VIDCHATBENCH_CACHE``, else the platform's default."""
    if configured := os.environ.get(CACHE_VARIABLE):
        return Path(configured).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return base / "vidchatbench"


def feature_root() -> Path:
    """Folder of the feature store."""
    return cache_root() / "features"


def weights_root() -> Path:
    """Folder of downloaded weights."""
    return cache_root() / "weights"


def benchmarks_root() -> Path:
    """Folder of benchmarks that were prepared or made on this computer."""
    return cache_root() / "benchmarks"


def mirror_root() -> Path | None:
    """The weights mirror named by ``VIDCHATBENCH_WEIGHTS_DIR``, if any."""
    configured = os.environ.get(MIRROR_VARIABLE)
    return Path(configured).expanduser() if configured else None


def without_places(text: str) -> str:
    """Returns a text without the folders of this computer, for files that are published."""
    mirror = mirror_root()
    places = [("<cache>", cache_root()), ("<python>", Path(sys.prefix)), ("~", Path.home())]
    for name, place in [*([("<mirror>", mirror)] if mirror is not None else []), *places]:
        for written in {str(place), str(place.resolve())}:
            if len(Path(written).parts) > 1:
                text = text.replace(written, name)
    return text


def packaged_benchmark(name: str) -> Path:
    """Folder of a test set shipped with the package; in a source checkout it lies under ``data/``."""
    installed = Path(str(files("vidchatbench").joinpath("_data", name)))
    if installed.is_dir():
        return installed
    return Path(str(files("vidchatbench"))).parent / "data" / name
