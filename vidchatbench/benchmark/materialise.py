"""Writing a benchmark's folder from its rows: verified, whole or recognisably not, resumable at every step.

Media go first, each under a temporary name until its hash is known to be right; the header goes after them, and a
marker last. Cut off at any point, the folder is no benchmark yet, and the next call keeps what is whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock

from vidchatbench.benchmark.format import HEADER_FILE, MANIFEST_FILE, BenchmarkHeader
from vidchatbench.benchmark.tables import IMAGE_SHA256, MediaFile, TableRow, check_media_files, from_row, plain_path
from vidchatbench.core.atomic import write_atomically
from vidchatbench.core.hashing import hash_file
from vidchatbench.errors import InputError

MARKER = "complete.json"
_HINT = "Whoever published the table must export it again: `vidchatbench data export`."

MediaProgress = Callable[[int, int], None]
"""Called with the number of media files that are whole, and of all."""


class TableSource(Protocol):
    """Where rows and media of a benchmark come from."""

    @property
    def subject(self) -> str:
        """The source's name, for messages."""
        ...

    def rows(self) -> Iterator[TableRow]:
        """Yields the rows in the manifest's order, without media."""
        ...

    def header(self, rows: Sequence[TableRow]) -> BenchmarkHeader:
        """Returns the header of the benchmark."""
        ...

    def media(self, wanted: Mapping[str, Sequence[MediaFile]]) -> Iterator[tuple[str, MediaFile, bytes | None]]:
        """Yields sample id, file and content of the wanted media, by sample id; ``None`` where there is no content."""
        ...

    def carried(self) -> Mapping[str, bytes]:
        """Returns the files that lie beside the header, by name."""
        ...


def read_rows(source: TableSource) -> tuple[list[TableRow], BenchmarkHeader]:
    """Reads and checks all rows of a source, and its header.

    Raises:
        InputError: Listing unsafe paths, duplicate ids, and what does not agree with the header.
    """
    rows = list(source.rows())
    problems = check_media_files(rows)
    counts = Counter(row.sample.id.casefold() for row in rows)
    problems += [f"sample id {name!r} stands {n} times" for name, n in sorted(counts.items()) if n > 1]
    problems += [
        f"sample {row.sample.id}: {IMAGE_SHA256} is missing"
        for row in rows
        if row.sample.reference_image is not None and row.image_sha256 is None
    ]
    if not rows:
        problems.append("the table has no row")
    if problems:
        raise InputError(source.subject, problems)
    header = source.header(rows)
    if header.n_samples != len(rows):
        problems.append(f"the header announces {header.n_samples} samples, the table has {len(rows)}")
    if (actual := hashlib.sha256(manifest_of(rows)).hexdigest()) != header.manifest_sha256:
        problems.append(
            f"the manifest's sha256 is {actual[:12]}..., the header says {header.manifest_sha256[:12]}...: the rows "
            "were changed, reordered or left out after the benchmark was published"
        )
    if problems:
        raise InputError(source.subject, problems, _HINT)
    return rows, header


def manifest_of(rows: Sequence[TableRow]) -> bytes:
    """Returns the text of ``manifest.jsonl``."""
    return "".join(row.line for row in rows).encode()


def is_whole(folder: Path) -> bool:
    """Whether a folder was written to its end."""
    return (folder / MARKER).is_file()


@contextlib.contextmanager
def only_one(folder: Path) -> Generator[None]:
    """Keeps other processes from writing the same folder; they wait, and find it whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    # The system drops the lock of a process that is killed.
    with FileLock(folder.parent / f".{folder.name}.lock"):
        yield


def materialise(
    source: TableSource, folder: Path, record: Mapping[str, Any], progress: MediaProgress | None = None
) -> None:
    """Writes the folder of a benchmark; what is whole in it is kept, and not read from the source again.

    Args:
        source: Rows and media.
        folder: The folder; nothing but this function writes there.
        record: What the marker records about the source.
        progress: Called before the first media file and after each.

    Raises:
        InputError: If rows or media are not what they must be; all problems are listed, and media that are right
            are kept.
        OSError: If the folder cannot be written.
    """
    with only_one(folder):
        if is_whole(folder):
            return
        rows, header = read_rows(source)
        write_rows(rows, header, source, folder, progress)
        content = {**record, "n_samples": len(rows), "manifest_sha256": header.manifest_sha256}
        write_atomically(folder / MARKER, (json.dumps(content, indent=2) + "\n").encode())


def write_rows(
    rows: Sequence[TableRow],
    header: BenchmarkHeader,
    source: TableSource,
    folder: Path,
    progress: MediaProgress | None = None,
) -> None:
    """Writes media, manifest and header, in this order; see :func:`materialise`."""
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.rglob(".*.tmp"):
        left.unlink()  # of a process that was killed
    files = _media_of(rows)
    missing = {path: owner for path, owner in files.items() if not _is_right(folder / path, owner[1])}
    done = len(files) - len(missing)
    report = progress or (lambda done, n: None)
    report(done, len(files))
    problems: list[str] = []
    wanted: dict[str, list[MediaFile]] = {}
    for sample_id, file in missing.values():
        wanted.setdefault(sample_id, []).append(file)
    for sample_id, file, content in source.media(wanted) if wanted else ():
        path = plain_path(file.path)
        missing.pop(path, None)
        if problem := _problem_of(file, content):
            problems.append(f"sample {sample_id}: {file.path}: {problem}")
            continue
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, content or b"")
        done += 1
        report(done, len(files))
    problems += [f"sample {sample_id}: {path}: not in the table" for path, (sample_id, _) in missing.items()]
    if problems:
        raise InputError(source.subject, problems, _HINT)
    for name, content in source.carried().items():
        write_atomically(folder / name, content)
    write_atomically(folder / MANIFEST_FILE, manifest_of(rows))
    write_atomically(folder / HEADER_FILE, (header.model_dump_json(indent=2) + "\n").encode())


def _media_of(rows: Sequence[TableRow]) -> dict[str, tuple[str, MediaFile]]:
    """Returns each media file once, by its path, with a sample that has it."""
    files: dict[str, tuple[str, MediaFile]] = {}
    for row in rows:
        for file in row.media():
            files.setdefault(plain_path(file.path), (row.sample.id, file))
    return files


def _is_right(path: Path, file: MediaFile) -> bool:
    return path.is_file() and hash_file(path) == file.sha256


def _problem_of(file: MediaFile, content: bytes | None) -> str | None:
    if content is None:
        return "the table holds no media for it"
    actual = hashlib.sha256(content).hexdigest()
    return None if actual == file.sha256 else f"sha256 is {actual[:12]}..., the table says {str(file.sha256)[:12]}..."


def rows_from(values: Iterator[Mapping[str, Any]], subject: str) -> Iterator[TableRow]:
    """Turns mappings of columns into rows.

    Raises:
        InputError: After the last row, listing all rows that are none; nothing is yielded from the first of them on.
    """
    problems: list[str] = []
    for number, row in enumerate(values, start=1):
        try:
            made = from_row(row, f"row {number}")
        except InputError as error:
            problems += [f"row {number}: {problem}" for problem in error.problems]
            continue
        if not problems:
            yield made
    if problems:
        raise InputError(subject, problems)
