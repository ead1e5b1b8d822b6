"""Filling an index from a dataset's folder: streamed, in pieces that are committed, never the same archive twice."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from vidchatbench.curation.speakervid.archives import Member, read_members
from vidchatbench.curation.speakervid.index_file import PART_NUMBERS, finish, open_for_writing, readable_errors
from vidchatbench.curation.speakervid.labels import kept_blur, kept_caption
from vidchatbench.curation.speakervid.layout import HQ_LIST, TEST_LIST, find_sources
from vidchatbench.curation.speakervid.lists import read_clip_list, read_test_list
from vidchatbench.curation.speakervid.names import ClipName, bare, video_of
from vidchatbench.errors import InputError

Progress = Callable[[str, int], None]
"""Receives the name of a source and the number of its files read so far."""

_CHUNK = 20000
_MAX_REMARKS = 200
_KEPT: dict[str, Callable[[object], object]] = {"caption": kept_caption, "blur": kept_blur}
_ENCODER = json.JSONEncoder(separators=(",", ":"))
_INSERT_FILE = """
INSERT INTO files (video, part, name, source, content) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (video, part, name, source) DO UPDATE SET content = max(content, excluded.content)
"""
_INSERT_LISTED = "INSERT OR IGNORE INTO listed (video, clip, list) VALUES (?, ?, ?)"


@dataclass(slots=True)
class _Source:
    """One archive, folder or list while it is read."""

    id: int
    path: Path
    name: str
    part: str
    remarks: list[str] = field(default_factory=list)


def build_index(root: Path, path: Path, progress: Progress | None) -> None:
    """Reads everything of a dataset's folder that the index does not hold yet.

    A process that is killed loses at most the archive it was in. An archive whose size and time have changed is read
    anew; one that has been removed stays indexed.

    Raises:
        InputError: If there are no annotations, or archives are damaged; what could be read is in the index then.
    """
    sources = find_sources(root)
    if not sources["merged"]:
        raise InputError(
            str(root), ["no merged_anno with archives or .json files"], "Name the folder that holds merged_anno."
        )
    report = progress or _silent
    damaged: list[str] = []
    connection = open_for_writing(path)
    try:
        with readable_errors(path):
            todo: list[tuple[Path, str]] = [(one, part) for part, paths in sources.items() for one in paths]
            lists = [(root / HQ_LIST, "hq"), (root / TEST_LIST, "test")]
            todo += [(one, name) for one, name in lists if one.is_file()]
            for one, part in todo:
                try:
                    _read_source(connection, root, one, part, report)
                except InputError as error:
                    damaged += [f"{one.relative_to(root).as_posix()}: {problem}" for problem in error.problems]
            finish(connection)
    finally:
        connection.close()
    if damaged:
        raise InputError(str(root), damaged, "Fetch these files again; the others are indexed and not read again.")


def _silent(_name: str, _count: int) -> None:
    pass


def _read_source(connection: sqlite3.Connection, root: Path, path: Path, part: str, progress: Progress) -> None:
    name = path.relative_to(root).as_posix()
    identity = _identity(path)
    row = connection.execute("SELECT id, identity, done FROM sources WHERE path = ?", (name,)).fetchone()
    if row is not None and row[1] == identity and row[2]:
        return
    if row is None or row[1] != identity:
        _begin(connection, name, part, identity, row[0] if row else None)
    (number,) = connection.execute("SELECT id FROM sources WHERE path = ?", (name,)).fetchone()
    source = _Source(number, path, name, part)
    if part in {"hq", "test"}:
        _read_list(connection, source)
        progress(name, 1)
        return
    count = 0
    rows = _rows(source)
    while True:
        # Sorted, so that neighbours in the file are written together.
        chunk = sorted(islice(rows, _CHUNK))
        count += len(chunk)
        done = len(chunk) < _CHUNK
        with _transaction(connection):
            connection.executemany(_INSERT_FILE, chunk)
            connection.execute("UPDATE sources SET files = ?, done = ? WHERE id = ?", (count, int(done), source.id))
            if done:
                _write_remarks(connection, source)
        progress(name, count)
        if done:
            return


def _identity(path: Path) -> str:
    try:
        if not path.is_dir():
            status = path.stat()
            return f"{status.st_size} {status.st_mtime_ns}"
        count, size, newest = _folder_identity(path)
    except OSError as error:
        raise InputError(str(path), [error.strerror or "cannot be read"]) from error
    return f"{count} {size} {newest}"


def _folder_identity(folder: Path) -> tuple[int, int, int]:
    # A folder's own stamp does not change with its files.
    count = size = newest = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                inner = _folder_identity(Path(entry.path))
                count, size, newest = count + inner[0], size + inner[1], max(newest, inner[2])
            elif entry.name.endswith(".json"):
                status = entry.stat(follow_symlinks=False)
                count, size, newest = count + 1, size + status.st_size, max(newest, status.st_mtime_ns)
    return count, size, newest


def _begin(connection: sqlite3.Connection, name: str, part: str, identity: str, old: int | None) -> None:
    with _transaction(connection):
        if old is not None:
            connection.execute("DELETE FROM files WHERE source = ?", (old,))
            connection.execute("DELETE FROM remarks WHERE source = ?", (old,))
            connection.execute("UPDATE sources SET identity = ?, done = 0, files = 0 WHERE id = ?", (identity, old))
        else:
            connection.execute(
                "INSERT OR IGNORE INTO sources (path, part, identity) VALUES (?, ?, ?)", (name, part, identity)
            )


def _rows(source: _Source) -> Iterator[tuple[str, int, str, int, str]]:
    number = next(number for part, number in PART_NUMBERS.items() if part == source.part)
    for member in read_members(source.path, _is_json, problems=source.remarks):
        row = _row(source, member)
        if isinstance(row, str):
            if len(source.remarks) < _MAX_REMARKS:
                source.remarks.append(f"{source.name}: {member.name[:120]}: {row}")
            continue
        yield row[0], number, row[1], source.id, row[2]


def _is_json(name: str) -> bool:
    return name.lower().endswith(".json")


def _row(source: _Source, member: Member) -> tuple[str, str, str] | str:
    """Returns video, name and content of a file, or what is wrong with it."""
    name = bare(member.name)
    video = _video(name, clip=source.part != "asr")
    if video is None:
        return "not named like a clip"
    try:
        text = member.content.decode("utf-8-sig")
        content = json.loads(text)
        if source.part in _KEPT:
            text = _ENCODER.encode(_KEPT[source.part](content))
    except (ValueError, RecursionError) as error:
        return f"not JSON in UTF-8: {error}"
    return video, name, text


def _video(name: str, *, clip: bool) -> str | None:
    if not clip:
        # Transcripts may be named after a clip, a video, or something between.
        return video_of(name) or video_of(name[:11])
    try:
        return ClipName.parse(name).video_id
    except ValueError:
        return None


def _read_list(connection: sqlite3.Connection, source: _Source) -> None:
    if source.part == "test":
        entries = read_test_list(source.path)
        source.remarks += [f"{source.name}: {line}" for line in entries.not_understood]
        names: Iterator[str] = (
            name for entry in entries.entries for name in (entry.initiator, entry.responder) if name is not None
        )
    else:
        names = read_clip_list(source.path, not_understood=source.remarks)
    clips = (ClipName.parse(name) for name in names)
    with _transaction(connection):
        connection.execute("DELETE FROM listed WHERE list = ?", (source.part,))
        connection.executemany(_INSERT_LISTED, ((clip.video_id, clip.key, source.part) for clip in clips))
        connection.execute("UPDATE sources SET done = 1 WHERE id = ?", (source.id,))
        _write_remarks(connection, source)


def _write_remarks(connection: sqlite3.Connection, source: _Source) -> None:
    lines = ((source.id, line) for line in source.remarks)
    connection.executemany("INSERT OR IGNORE INTO remarks (source, line) VALUES (?, ?)", lines)


class _transaction:  # noqa: N801 - reads like contextlib's own
    """All or nothing, also when the process is killed."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._connection.execute("COMMIT" if kind is None else "ROLLBACK")
