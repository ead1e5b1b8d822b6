"""Reading strangers' Parquet in a process of its own: what crashes the reader is a finding, and the rest goes on.

The reader is C++. A damaged file can end its process, by an exception that nothing catches or by a fault, whatever was
checked before. One process reads table after table; where it dies or takes too long, a new one is started for the next.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import astuple
from typing import IO, Any

from vidchatbench.leaderboard.verification.findings import RefusedFileError
from vidchatbench.results.files import SAMPLES_FILE
from vidchatbench.results.sample_rows import SampleRow

MAX_SECONDS = 120.0
_BYTES = 8
_COMMAND = "from vidchatbench.leaderboard.verification.table_process import serve; serve()"


class TableProcess:
    """Reads tables in a child process."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def read(self, content: bytes, expected_rows: int | None = None) -> list[SampleRow]:
        """Reads a table; see :func:`~vidchatbench.leaderboard.verification.tables.read_samples`.

        Raises:
            RefusedFileError: If it is no such table, or if reading it ends the process or takes too long.
        """
        with self._lock:
            child = self._child or self._start()
            answer, is_late = _ask(child, content, expected_rows)
            if answer is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(timeout=5)  # what ended it shows a moment after its pipe is closed
                self.close()
                _refuse(child.wait(), is_late=is_late)
            return [SampleRow(*row) for row in _rows(answer or b"")]

    def close(self) -> None:
        """Ends the child process."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            for pipe in (self._child.stdin, self._child.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
        self._child = None

    def _start(self) -> subprocess.Popen[bytes]:
        self._child = subprocess.Popen(  # noqa: S603 - this Python, and a text of our own
            [sys.executable, "-c", _COMMAND],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        return self._child


@functools.cache
def table_process() -> TableProcess:
    """Returns the reader of this process."""
    process = TableProcess()
    atexit.register(process.close)
    return process


def _ask(child: subprocess.Popen[bytes], content: bytes, expected_rows: int | None) -> tuple[bytes | None, bool]:
    """Returns the answer, ``None`` where there is none, and whether the child took too long."""
    late = threading.Event()

    def end() -> None:
        late.set()
        child.kill()

    timer = threading.Timer(MAX_SECONDS, end)
    timer.start()
    try:
        if child.stdin is None or child.stdout is None:
            return None, False
        _send(child.stdin, json.dumps(expected_rows).encode())
        _send(child.stdin, content)
        return _receive(child.stdout), late.is_set()
    except OSError:
        return None, late.is_set()
    finally:
        timer.cancel()


def _rows(answer: bytes) -> list[list[Any]]:
    told = json.loads(answer)
    if "refused" in told:
        raise RefusedFileError(*told["refused"])
    rows: list[list[Any]] = told["rows"]
    return rows


def _refuse(exit_code: int, *, is_late: bool) -> None:
    cause = f"takes more than {MAX_SECONDS:g} s" if is_late else f"ends the reader ({_name(exit_code)})"
    message = f"this is no readable Parquet file (reading it {cause}); copy it again from the run"
    raise RefusedFileError("unreadable", SAMPLES_FILE, message)


def _name(exit_code: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(-exit_code).name
    return f"exit code {exit_code}"


def _send(pipe: IO[bytes], content: bytes) -> None:
    pipe.write(len(content).to_bytes(_BYTES, "little") + content)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> bytes | None:
    length = pipe.read(_BYTES)
    size = int.from_bytes(length, "little")
    content = pipe.read(size) if len(length) == _BYTES else b""
    return content if len(length) == _BYTES and len(content) == size else None


def _requests(pipe: IO[bytes]) -> Iterator[tuple[int | None, bytes]]:
    while (expected := _receive(pipe)) is not None:
        content = _receive(pipe)
        if content is None:
            return
        yield json.loads(expected), content


def serve() -> None:
    """What the child does: reads one table after the other from stdin, and writes their rows to stdout."""
    from vidchatbench.leaderboard.verification.tables import read_samples  # only here, for it loads the C++ reader

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    out = sys.stdout.buffer
    for expected_rows, content in _requests(sys.stdin.buffer):
        told: dict[str, object]
        try:
            told = {"rows": [astuple(row) for row in read_samples(content, expected_rows)]}
        except RefusedFileError as refusal:
            finding = refusal.finding
            told = {"refused": (finding.code, finding.where, finding.message)}
        _send(out, json.dumps(told).encode())
