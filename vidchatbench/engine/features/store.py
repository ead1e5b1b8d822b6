"""The content-addressed store: one safetensors file and one JSON sidecar a feature, written atomically."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from vidchatbench.api.features import Feature
from vidchatbench.core.atomic import write_atomically

_META = "meta"
_STALE_SECONDS = 3600.0
_LENGTH_BYTES = 8
_MAX_HEADER_BYTES = 1 << 24


class FeatureStore:
    """Features by key, below one folder; safe to share between processes.

    A file appears under its final name only when it is complete, so a process killed at any moment leaves either a
    whole feature or none. Only successes are stored. Nothing here is ever unpickled.

    Args:
        root: The folder; made when the first feature is written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def __contains__(self, key: object) -> bool:
        """Whether a feature is stored, in a file as long as its header says; what is shorter is extracted again."""
        if not isinstance(key, str):
            return False
        path = self._path(key)
        try:
            with path.open("rb") as file:
                length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
                header = json.loads(file.read(length)) if length <= _MAX_HEADER_BYTES else {}
            size = max(
                (entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"), default=0
            )
            return _META in header["__metadata__"] and path.stat().st_size == _LENGTH_BYTES + length + size
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return False

    def load(self, key: str) -> Feature | None:
        """Returns a feature, or ``None`` if it is not stored or its file is damaged (it is then removed)."""
        path = self._path(key)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            arrays = load(content)
            meta = json.loads(_header_metadata(content)[_META])
        except (SafetensorError, KeyError, ValueError):
            path.unlink(missing_ok=True)
            return None
        return Feature(arrays, meta)

    def save(self, key: str, feature: Feature, provenance: Mapping[str, object]) -> None:
        """Writes a feature.

        The sidecar, for people, goes first; the feature itself becomes visible last.

        Raises:
            OSError: If the folder cannot be written or the disk is full; no partial file is left.
        """
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent)
        meta = json.dumps(dict(feature.meta), sort_keys=True, allow_nan=False)
        sidecar = json.dumps({"key": key, "meta": dict(feature.meta), **provenance}, indent=1, sort_keys=True)
        write_atomically(path.with_suffix(".json"), sidecar.encode())
        # The bytes are written as they lie in memory, so every array must lie there row by row.
        arrays = {name: np.asarray(array, order="C") for name, array in feature.arrays.items()}
        write_atomically(path, save(arrays, metadata={_META: meta}))

    def _path(self, key: str) -> Path:
        return self.root / key[:2] / key[2:4] / f"{key}.safetensors"


def _sweep(folder: Path) -> None:
    # A process killed while it wrote leaves its temporary file; a fresh one may be another process at work.
    for leftover in folder.glob(".*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - leftover.stat().st_mtime > _STALE_SECONDS:
                leftover.unlink()


def _header_metadata(content: bytes) -> dict[str, str]:
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    return dict(header["__metadata__"])
