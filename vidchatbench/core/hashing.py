"""Content hashes; separate from the decoder, so that hashing a file needs no media library."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

CHECKSUMS_FILE = "SHA256SUMS"
_CHUNK = 1 << 20


def git_blob_of(path: Path) -> str:
    """Returns the hash under which git knows a file's content: sha1 over ``blob <size>``, a zero byte, the content."""
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def hash_bytes(content: bytes) -> str:
    """Returns the sha256 of some bytes in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def hash_file(path: Path) -> str:
    """Returns the sha256 of a file's content in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def checksum_lines(sums: Mapping[str, str]) -> str:
    """Returns hashes by file name as the text that ``sha256sum --check`` reads, sorted by name."""
    return "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))


def file_stamp(path: Path) -> tuple[int, int] | None:
    """Returns size and time of change of a file, ``None`` where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns
