"""Benchmarks in local tables: Parquet files, an export's folder, JSON rows; unpacked into the cache by content."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vidchatbench.benchmark.format import HEADER_FILE, BenchmarkHeader
from vidchatbench.benchmark.materialise import TableSource, is_whole, manifest_of, materialise, read_rows, rows_from
from vidchatbench.benchmark.tables import (
    CARRIED_FILES,
    MediaFile,
    TableRow,
    check_media_columns,
    check_schema,
    from_row,
    header_of_schema,
    parse_header,
)
from vidchatbench.core import paths
from vidchatbench.core.hashing import hash_file
from vidchatbench.errors import InputError, UsageError

JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
TABLE_SUFFIXES = (".parquet", *JSON_SUFFIXES)
_TEST_SHARD = re.compile(r"(^|[/_.-])test([/_.-]|$)")
_ROWS_CONFIG = "manifest/"


def choose_shards(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Chooses the Parquet files of a benchmark among the files of a folder or repository.

    Args:
        names: Paths with forward slashes, relative to the top.

    Returns:
        The files with all columns, and those that hold the rows without media (the former, if there are none). The
        split ``test`` is meant; files count as such if no name mentions it.
    """
    parquet = sorted(name for name in names if name.endswith(".parquet") and not name.startswith("."))
    rows = [name for name in parquet if name.startswith(_ROWS_CONFIG)]
    full = [name for name in parquet if not name.startswith(_ROWS_CONFIG)]
    full = [name for name in full if _TEST_SHARD.search(name)] or full
    return full, rows or full


def find_shards(folder: Path) -> tuple[list[Path], list[Path]]:
    """Returns the Parquet files of a folder; see :func:`choose_shards`."""
    names = [path.relative_to(folder).as_posix() for path in (*folder.glob("*.parquet"), *folder.glob("*/*.parquet"))]
    full, rows = choose_shards(names)
    return [folder / name for name in full], [folder / name for name in rows]


def open_table(where: Path) -> TableSource:
    """Opens a Parquet file, a folder of Parquet files, or a file of JSON rows.

    Raises:
        UsageError: If it is neither.
    """
    if where.is_dir():
        full, rows = find_shards(where)
        return ParquetTable(where, full, rows, where)
    if where.suffix == ".parquet":
        return ParquetTable(where, [where], [where], where.parent)
    if where.suffix in JSON_SUFFIXES:
        return JsonTable(where)
    raise UsageError(f"{where} is no benchmark: neither a folder nor a file that ends in {', '.join(TABLE_SUFFIXES)}")


def unpack_table(where: Path) -> Path:
    """Returns the folder of the benchmark in a local table; it is written into the cache when it is first asked for.

    The folder's name comes from the content, media included by their hashes, so a changed table is another folder.

    Raises:
        UsageError: If it is no table.
        InputError: If rows or media are not what they must be; all problems are listed.
        OSError: If the cache cannot be written.
    """
    source = open_table(where)
    rows, header = read_rows(source)
    digest = hashlib.sha256(header.model_dump_json().encode() + manifest_of(rows))
    for row in rows:
        digest.update((row.image_sha256 or "-").encode())
    for name, content in sorted(source.carried().items()):
        digest.update(name.encode() + hashlib.sha256(content).digest())
    name = re.sub(r"[^\w.-]+", "_", header.name, flags=re.ASCII).strip("._")[:40] or "benchmark"
    folder = paths.benchmarks_root() / "tables" / f"{name}-{digest.hexdigest()[:24]}"
    if not is_whole(folder):
        materialise(source, folder, {"source": where.name})
    return folder


class ParquetTable:
    """Rows and media in local Parquet files.

    Args:
        where: What the user named.
        shards: The files with all columns.
        row_files: The files that hold the rows without media; the same ones, if there are no others.
        beside: The folder of ``benchmark.json``.
    """

    def __init__(self, where: Path, shards: Sequence[Path], row_files: Sequence[Path], beside: Path) -> None:
        self.subject = str(where)
        self._shards = shards
        self._row_files = row_files
        self._beside = beside

    def rows(self) -> Iterator[TableRow]:
        """Yields the rows without media, a row group at a time."""
        return rows_from(self._values(), self.subject)

    def _values(self) -> Iterator[Mapping[str, Any]]:
        for path in self._row_files:
            with _open_parquet(path) as file:
                yield from read_manifest_columns(file, str(path))

    def header(self, rows: Sequence[TableRow]) -> BenchmarkHeader:
        """Returns the header that lies beside or in a file's metadata, else one made from the rows."""
        headers = [_header_beside(self._beside), self._header_inside()]
        # Beside a single file may lie the header of another benchmark; the folder of an export is its own.
        ordered = headers if Path(self.subject).is_dir() else headers[::-1]
        return next((header for header in ordered if header is not None), None) or _made_header(
            Path(self.subject), rows
        )

    def _header_inside(self) -> BenchmarkHeader | None:
        with _open_parquet(self._row_files[0]) as file:
            return header_of_schema(file.schema_arrow, str(self._row_files[0]))

    def media(self, wanted: Mapping[str, Sequence[MediaFile]]) -> Iterator[tuple[str, MediaFile, bytes | None]]:
        """Yields the wanted media; row groups that hold none of them are not read."""
        for path in self._shards:
            with _open_parquet(path) as file:
                yield from read_media(file, wanted, str(path))

    def carried(self) -> Mapping[str, bytes]:
        """Returns the files that lie beside the header, by name."""
        return carried_files(self._beside)


def carried_files(folder: Path) -> dict[str, bytes]:
    """Returns the files beside ``benchmark.json`` that go with it in every form."""
    return {name: (folder / name).read_bytes() for name in CARRIED_FILES if (folder / name).is_file()}


def _open_parquet(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path, pre_buffer=False)
    except pa.ArrowException as error:
        raise InputError(str(path), [f"not a readable Parquet file: {error}"]) from error


def read_manifest_columns(file: pq.ParquetFile, subject: str) -> Iterator[Mapping[str, Any]]:
    """Yields the manifest columns of a Parquet file, row by row; media are not read.

    Raises:
        InputError: If the columns are not those of a benchmark, or the file is damaged.
    """
    columns = check_schema(file.schema_arrow, subject)
    for group in range(file.num_row_groups):
        yield from _read_group(file, group, columns, subject).to_pylist()


def read_media(
    file: pq.ParquetFile, wanted: Mapping[str, Sequence[MediaFile]], subject: str
) -> Iterator[tuple[str, MediaFile, bytes | None]]:
    """Yields the wanted media of a Parquet file; memory holds one row group.

    Args:
        file: The file.
        wanted: Media by sample id; row groups without them are not read, as far as the file's statistics show.
        subject: The file's name, for messages.

    Raises:
        InputError: If the file holds no media, or is damaged.
    """
    columns = check_media_columns(file.schema_arrow, subject)
    for group in range(file.num_row_groups):
        names = [name for name in wanted if _may_hold(file, group, name)]
        if not names:
            continue
        if file.metadata.row_group(group).num_rows > 1:
            held = set(_read_group(file, group, ["id"], subject).column("id").to_pylist())
            names = [name for name in names if name in held]
        needed = {media.column for name in names for media in wanted[name]}
        table = _read_group(file, group, [name for name in columns if name == "id" or name in needed], subject)
        for number, name in enumerate(table.column("id").to_pylist()):
            for media in wanted.get(name, ()):
                cell = table.column(media.column)[number].as_py() if media.column in table.column_names else None
                yield name, media, media_bytes(cell)


def _may_hold(file: pq.ParquetFile, group: int, name: str) -> bool:
    row_group = file.metadata.row_group(group)
    columns = (row_group.column(i) for i in range(row_group.num_columns))
    column = next(column for column in columns if column.path_in_schema == "id")
    known = column.statistics
    if known is None or not known.has_min_max or not isinstance(known.min, str):
        return True
    return bool(known.min <= name <= known.max)


def _read_group(file: pq.ParquetFile, group: int, columns: Sequence[str], subject: str) -> pa.Table:
    try:
        return file.read_row_group(group, columns=list(columns))
    except pa.ArrowException as error:
        raise InputError(subject, [f"row group {group} cannot be read: {error}"]) from error


def media_bytes(cell: object) -> bytes | None:
    """Returns the bytes in a media column's cell; its path is never opened, because it is untrusted."""
    content = cell.get("bytes") if isinstance(cell, dict) else None
    return content if isinstance(content, bytes) else None


class JsonTable:
    """Rows in a JSON file, one a line or in one list, with the media as files below its folder."""

    def __init__(self, path: Path) -> None:
        self.subject = str(path)
        self._path = path
        self._beside = path.parent

    def rows(self) -> Iterator[TableRow]:
        """Yields the rows."""
        problems: list[str] = []
        for where, values, line in self._values(problems):
            try:
                row = from_row(values, where, line)
            except InputError as error:
                problems += [f"{where}: {problem}" for problem in error.problems]
                continue
            image = None if row.sample.reference_image is None else self._beside / row.sample.reference_image
            if image is not None and row.image_sha256 is None and image.is_file():
                row = TableRow(row.sample, row.line, hash_file(image))
            yield row
        if problems:
            raise InputError(self.subject, problems)

    def _values(self, problems: list[str]) -> Iterator[tuple[str, Mapping[str, Any], str | None]]:
        for where, text, line in self._texts():
            try:
                item = json.loads(text) if isinstance(text, str) else text
            except (json.JSONDecodeError, RecursionError) as error:
                problems.append(f"{where}: not JSON: {error}")
                continue
            if isinstance(item, dict):
                yield where, item, line
            else:
                problems.append(f"{where}: not an object")

    def _texts(self) -> list[tuple[str, object, str | None]]:
        """Returns name, content and manifest line of each row; lines are text yet, members of a list are parsed."""
        try:
            text = self._path.read_bytes().decode("utf-8")
            if self._path.suffix != ".json":
                lines = enumerate(_lines(text), start=1)
                # A byte-order mark is no content, but stays in the line, on whose bytes the manifest's hash rests.
                return [
                    (f"line {n}", plain, line) for n, line in lines if (plain := line.removeprefix("\ufeff")).strip()
                ]
            items = json.loads(text.removeprefix("\ufeff"))
        except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
            raise InputError(self.subject, [f"not JSON in UTF-8: {error}"]) from error
        if not isinstance(items, list):
            raise InputError(self.subject, ["not a list of rows"])
        # A string in the list is no row, and must not be read as one.
        return [(f"row {n}", [item] if isinstance(item, str) else item, None) for n, item in enumerate(items, start=1)]

    def header(self, rows: Sequence[TableRow]) -> BenchmarkHeader:
        """Returns ``benchmark.json`` if it belongs to these rows, else a header made from them."""
        beside = _header_beside(self._beside)
        manifest = hashlib.sha256(manifest_of(rows)).hexdigest()
        return beside if beside is not None and beside.manifest_sha256 == manifest else _made_header(self._path, rows)

    def media(self, wanted: Mapping[str, Sequence[MediaFile]]) -> Iterator[tuple[str, MediaFile, bytes | None]]:
        """Yields the wanted media from the files beside the rows."""
        for sample_id, files in wanted.items():
            for file in files:
                path = self._beside / file.path
                yield sample_id, file, path.read_bytes() if path.is_file() else None

    def carried(self) -> Mapping[str, bytes]:
        """Returns nothing: what lies beside a file of rows need not belong to it."""
        return {}


def _lines(text: str) -> list[str]:
    # Not splitlines: JSON text may hold other separators that it takes for the end of a line.
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _header_beside(folder: Path) -> BenchmarkHeader | None:
    path = folder / HEADER_FILE
    return parse_header(path.read_bytes(), str(path)) if path.is_file() else None


def _made_header(path: Path, rows: Sequence[TableRow]) -> BenchmarkHeader:
    return BenchmarkHeader(
        schema_version=1,
        name=path.stem,
        version="0",
        description=f"Rows of {path.name}, which came without a {HEADER_FILE}.",
        n_samples=len(rows),
        manifest_sha256=hashlib.sha256(manifest_of(rows)).hexdigest(),
        license="not stated",
    )
