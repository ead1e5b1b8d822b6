"""Annotation files from archives or folders, streamed as bytes; names in an archive are never used as paths."""

from __future__ import annotations

import gzip
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from vidchatbench.errors import InputError

MAX_MEMBER_BYTES = 16 * 1024 * 1024
"""No annotation has more bytes than this."""

_MAX_HEADER_BYTES = 8 * 1024 * 1024
_MAX_LISTED = 100
_BLOCK = 512
_CHUNK = 1024 * 1024
_CUT_OFF = "Fetch the archive again; what was whole before the damage has been read."


@dataclass(frozen=True, slots=True)
class Member:
    """One file.

    Attributes:
        name: Its base name.
        content: Its bytes, at most :data:`MAX_MEMBER_BYTES`.
    """

    name: str
    content: bytes


def read_members(path: Path, wanted: Callable[[str], bool] | None, *, problems: list[str]) -> Iterator[Member]:
    """Yields the files of an archive, or the ``.json`` files of a folder, in the order in which they lie there.

    Nothing is written to the disk. Folders and the ``._*`` files of macOS are passed over.

    Args:
        path: A ``.tar.gz``, ``.tgz`` or ``.tar`` file, or a folder.
        wanted: Decides by base name whether a file is read; ``None`` reads all.
        problems: Gets a line for everything that is unsafe or too large and was left out.

    Raises:
        InputError: If the archive is cut off, damaged or unreadable; after what was whole has been yielded.
    """
    report = _Problems(path.name, problems)
    try:
        yield from _in_folder(path, wanted, report) if path.is_dir() else _in_archive(path, wanted, report)
    finally:
        report.close()


class _Problems:
    """Lines about one archive; a hostile one cannot fill the memory with them."""

    def __init__(self, source: str, lines: list[str]) -> None:
        self._source = source
        self._lines = lines
        self._count = 0

    def add(self, name: str, reason: str) -> None:
        self._count += 1
        if self._count <= _MAX_LISTED:
            self._lines.append(f"{self._source}: {name[:120]!r} was left out: {reason}")

    def close(self) -> None:
        if (more := self._count - _MAX_LISTED) > 0:
            self._lines.append(f"{self._source}: {more} more members were left out")


# --- archives -------------------------------------------------------------------------------------------------------


class _Counted:
    """The uncompressed bytes of an archive: remembers the last of them, and ends a header that has no end."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._last: tuple[bytes, bytes] = (b"", b"")
        self.position = 0
        self.allowed: int | None = None

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(size)
        self.position += len(content)
        if self.allowed is not None:
            self.allowed -= len(content)
            if self.allowed < 0:
                raise tarfile.ReadError("a header of more than 8 MiB")
        self._last = (self._last[1], content)
        return content

    def ends_well(self, offset: int) -> bool:
        """Whether the archive's end mark is at ``offset``, and nothing but zeros after it."""
        rest = b"".join(self._last)
        start = offset - (self.position - len(rest))
        if start < 0 or len(rest) - start < _BLOCK or any(rest[start:]):
            return False
        while more := self._file.read(_CHUNK):
            if any(more):
                return False
        return True


def _in_archive(path: Path, wanted: Callable[[str], bool] | None, report: _Problems) -> Iterator[Member]:
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            stream = _Counted(cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if zipped else raw)
            # Opening reads the first header.
            stream.allowed = _MAX_HEADER_BYTES
            with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r|") as archive:
                yield from _files(archive, stream, wanted, report)
                if not stream.ends_well(archive.offset):
                    raise tarfile.ReadError("a header is damaged, or the end is missing")
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError, OverflowError) as error:
        raise InputError(str(path), [f"cut off or damaged: {error}"], _CUT_OFF) from error
    except OSError as error:
        raise InputError(str(path), [error.strerror or "cannot be read"]) from error


def _files(
    archive: tarfile.TarFile, stream: _Counted, wanted: Callable[[str], bool] | None, report: _Problems
) -> Iterator[Member]:
    while True:
        stream.allowed = _MAX_HEADER_BYTES
        entry = archive.next()
        stream.allowed = None
        if entry is None:
            return
        # The archive would otherwise keep all entries it has seen.
        archive.members.clear()  # type: ignore[attr-defined] # typeshed leaves it out
        name = entry.name.rpartition("/")[2]
        reason = _unsafe(entry)
        if entry.isdir():
            continue
        if reason is not None:
            report.add(entry.name, reason)
        elif not name.startswith("._") and (wanted is None or wanted(name)):
            content = _content(archive, entry)
            yield Member(name, content)
            continue
        if entry.size > _CHUNK and entry.isreg():
            _pass_over(archive, entry)


def _content(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(entry)
    content = b"" if file is None else file.read()
    if len(content) != entry.size:
        raise tarfile.ReadError(f"{entry.name[:120]!r} is cut off")
    return content


def _pass_over(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
    file = archive.extractfile(entry)
    while file is not None and file.read(_CHUNK):
        pass


def _unsafe(entry: tarfile.TarInfo) -> str | None:
    name = entry.name
    if name.startswith("/") or name[1:2] == ":":
        return "its path is absolute"
    if ".." in name.replace("\\", "/").split("/"):
        return "its path leads out of the archive"
    if "\\" in name or not name.isprintable():
        return "there are separators or control characters in its name"
    if not entry.isreg():
        return "it is a link" if entry.issym() or entry.islnk() else "it is no regular file"
    if entry.size > MAX_MEMBER_BYTES:
        return f"it has {entry.size} bytes, more than any annotation"
    return None


# --- folders --------------------------------------------------------------------------------------------------------


def _in_folder(folder: Path, wanted: Callable[[str], bool] | None, report: _Problems) -> Iterator[Member]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from _in_folder(Path(entry.path), wanted, report)
                    continue
                name = entry.name
                if not name.lower().endswith(".json") or name.startswith("._"):
                    continue
                if not entry.is_file(follow_symlinks=False):
                    report.add(name, "it is a link or no regular file")
                elif not name.isprintable():
                    report.add(name, "there are control characters in its name")
                elif entry.stat(follow_symlinks=False).st_size > MAX_MEMBER_BYTES:
                    report.add(name, "it has more bytes than any annotation")
                elif wanted is None or wanted(name):
                    yield Member(name, Path(entry.path).read_bytes())
    except OSError as error:
        raise InputError(str(error.filename or folder), [error.strerror or "cannot be read"]) from error
