"""The file of an index: its tables, its version, and how it is opened so that a killed process loses nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vidchatbench.curation.speakervid.layout import Part
from vidchatbench.errors import InputError

VERSION = 1
_APPLICATION = 0x53564944
_WAIT_S = 120.0
_CACHE_KIB = 128 * 1024
_AWAY = "Remove it and index the dataset again."

PART_NUMBERS: dict[Part, int] = {"merged": 0, "asr": 1, "caption": 2, "blur": 3}
"""How the parts are called in the file."""

# Files are clustered by video, so that one video's clips and labels are one stretch of the file.
_TABLES = """
CREATE TABLE IF NOT EXISTS files (
    video TEXT NOT NULL, part INTEGER NOT NULL, name TEXT NOT NULL, source INTEGER NOT NULL, content TEXT NOT NULL,
    PRIMARY KEY (video, part, name, source)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS listed (
    video TEXT NOT NULL, clip TEXT NOT NULL, list TEXT NOT NULL, PRIMARY KEY (video, clip, list)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sources (
    id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, part TEXT NOT NULL, identity TEXT NOT NULL,
    done INTEGER NOT NULL DEFAULT 0, files INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS remarks (source INTEGER NOT NULL, line TEXT NOT NULL, PRIMARY KEY (source, line))
WITHOUT ROWID;
"""


def open_for_writing(path: Path) -> sqlite3.Connection:
    """Opens an index or makes it.

    Raises:
        InputError: If the file is something else, of another version, or cannot be written.
    """
    with readable_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=_WAIT_S, isolation_level=None)
        try:
            # Only a new file takes the size of its pages.
            connection.execute("PRAGMA page_size = 16384")
            _check_version(path, connection, new_is_fine=True)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            connection.executescript(_TABLES)
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
        except (sqlite3.Error, InputError):
            connection.close()
            raise
    return connection


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Opens an index.

    Raises:
        InputError: If it is not there, something else, of another version, or damaged.
    """
    if not path.is_file():
        raise InputError(str(path), ["there is no index"], "Index the dataset's folder first.")
    with readable_errors(path):
        connection = sqlite3.connect(path, timeout=_WAIT_S, isolation_level=None)
        try:
            connection.execute("PRAGMA query_only = 1")
            _check_version(path, connection, new_is_fine=False)
        except (sqlite3.Error, InputError):
            connection.close()
            raise
    return connection


def finish(connection: sqlite3.Connection) -> None:
    """Merges the journal into the one file, if no other process has it open."""
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.OperationalError:
        # Another process reads or writes; the last one to close it tidies up.
        return


@contextmanager
def readable_errors(path: Path) -> Iterator[None]:
    """Turns a database error into one that names the file and the fix."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise InputError(str(path), [f"the index cannot be used: {error}"]) from error
    except sqlite3.DatabaseError as error:
        raise InputError(str(path), [f"no index, or damaged: {error}"], _AWAY) from error
    except OSError as error:
        raise InputError(str(path), [error.strerror or "cannot be written"]) from error


def _check_version(path: Path, connection: sqlite3.Connection, *, new_is_fine: bool) -> None:
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    tables = int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    if new_is_fine and tables == 0:
        return
    if application != _APPLICATION and not (new_is_fine and version == 0 and _is_begun(connection)):
        raise InputError(str(path), ["another program's database, not an index"], "Name another file.")
    if version not in {VERSION, 0}:
        raise InputError(str(path), [f"an index of version {version}; this library reads {VERSION}"], _AWAY)


def _is_begun(connection: sqlite3.Connection) -> bool:
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return names <= {"files", "listed", "sources", "remarks"}
