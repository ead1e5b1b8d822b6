"""Writes a file whole or not at all: the one way in which this library replaces files."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4


def sync_file(path: Path) -> None:
    """Makes sure that the content of a file survives a power failure."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def write_atomically(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Writes a file so that its name shows either the old content or the new, never a part.

    Args:
        path: The file; its folder must be there.
        content: The new content.
        durable: Whether the content must also survive a power failure, which costs milliseconds.

    Raises:
        OSError: If it cannot be written; the temporary file is removed.
    """
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
