"""The content-addressed store: one safetensors file and one JSON sidecar a feature, written atomically."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from vidchatbench.api.features import Feature
from vidchatbench.core.atomic import write_atomically

_META, _SHA256 = "meta", "sha256"
_BLANK = "0" * 64
_ALIGNMENT = 8
_STALE_SECONDS = 3600.0
_LENGTH_BYTES = 8
_MAX_HEADER_BYTES = 1 << 24


class FeatureStore:
    """Features by key, below one folder; safe to share between processes.

    A file appears under its final name only when it is complete, so a process killed at any moment leaves either a
    whole feature or none. Every file holds the hash of all its other bytes, which is checked on each read; files of
    0.1.0 have none and stay readable. Only successes are stored. Nothing here is ever unpickled.

    Args:
        root: The folder; made when the first feature is written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._damaged: set[str] = set()

    def __contains__(self, key: object) -> bool:
        """Whether a feature is stored, in a file as long as its header says; what is shorter is extracted again."""
        if not isinstance(key, str) or key in self._damaged:
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
        """Returns a feature, or ``None`` if it is not stored or its file is damaged.

        A damaged file is removed. Where the folder cannot be written, it stays and counts as absent.

        Raises:
            OSError: If a file that is there cannot be read.
        """
        path = self._path(key)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            meta = json.loads(_checked_metadata(content)[_META])
            arrays = load(content)
        except (SafetensorError, KeyError, ValueError, TypeError, AttributeError):
            self._damaged.add(key)
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            return None
        self._damaged.discard(key)
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
        write_atomically(path, _seal(save(arrays, metadata={_META: meta})))
        self._damaged.discard(key)

    def _path(self, key: str) -> Path:
        return self.root / key[:2] / key[2:4] / f"{key}.safetensors"


def _sweep(folder: Path) -> None:
    # A process killed while it wrote leaves its temporary file; a fresh one may be another process at work.
    for leftover in folder.glob(".*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - leftover.stat().st_mtime > _STALE_SECONDS:
                leftover.unlink()


def _seal(content: bytes) -> bytes:
    """Returns a safetensors file with the hash of all its bytes in its metadata, counted as zeros where it stands."""
    start = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")
    header = json.loads(content[_LENGTH_BYTES:start])
    header["__metadata__"][_SHA256] = _BLANK
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    blank = len(text).to_bytes(_LENGTH_BYTES, "little") + text + content[start:]
    return blank.replace(_entry(_BLANK), _entry(hashlib.sha256(blank).hexdigest()), 1)


def _checked_metadata(content: bytes) -> dict[str, str]:
    """Returns the metadata of a file.

    Raises:
        ValueError: If the file is damaged.
    """
    end = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")
    metadata: dict[str, str] = json.loads(content[_LENGTH_BYTES:end])["__metadata__"]
    if set(metadata) == {_META}:  # of 0.1.0
        return metadata
    # Any other name may be what a damaged bit made of one of ours.
    if set(metadata) != {_META, _SHA256} or content.count(_entry(metadata[_SHA256]), 0, end) != 1:
        raise ValueError("the metadata are not those that the store writes")
    place = content.index(_entry(metadata[_SHA256])) + len(_entry("")) - 1
    digest = hashlib.sha256(content[:place])
    digest.update(_BLANK.encode())
    digest.update(memoryview(content)[place + len(_BLANK) :])
    if digest.hexdigest() != metadata[_SHA256]:
        raise ValueError("the hash differs")
    return metadata


def _entry(digest: str) -> bytes:
    # Within a text of the header a quotation mark is escaped, so this stands there once.
    return f'"{_SHA256}":"{digest}"'.encode()
