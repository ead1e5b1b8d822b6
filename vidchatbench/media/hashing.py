"""Content hashes; apart from the decoder, so that hashing a file needs no media library."""

from __future__ import annotations

import hashlib
from pathlib import Path

_CHUNK = 1 << 20


def hash_file(path: Path) -> str:
    """Returns the sha256 of a file's content in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
