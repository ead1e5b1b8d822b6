"""Exporting a benchmark to a folder of Parquet that ``datasets`` and the Hugging Face hub understand as it is."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from vidchatbench.api.samples import Sample
from vidchatbench.benchmark.dataset_card import dataset_card, hub_license
from vidchatbench.benchmark.format import HEADER_FILE, MANIFEST_FILE, Benchmark
from vidchatbench.benchmark.local_tables import carried_files
from vidchatbench.benchmark.materialise import MediaProgress
from vidchatbench.benchmark.tables import MEDIA_COLUMNS, TableRow, check_media_files, table_schema, to_row
from vidchatbench.core.hashing import CHECKSUMS_FILE, checksum_lines, hash_file
from vidchatbench.errors import InputError, UsageError

CARD, LICENSE = "README.md", "LICENSE"
SHARD_BYTES = 500_000_000
_ROWS_IN_GROUP = 1000
_MAX_CLIP = (1 << 31) - 1
_OF_GIT = ".gitattributes"
_HINT = "Bring the benchmark's folder back to its published state, then export it again."


@dataclass(frozen=True)
class Export:
    """What was exported.

    Attributes:
        folder: The folder.
        n_samples: Rows.
        n_shards: Parquet files with all columns.
        n_bytes: Bytes of all files.
        media: Whether media are in it.
        license: The hub's identifier of a licence that lets the media be passed on; ``None``: no such licence.
    """

    folder: Path
    n_samples: int
    n_shards: int
    n_bytes: int
    media: bool
    license: str | None


def export_benchmark(
    benchmark: Benchmark,
    out: Path,
    *,
    media: bool = True,
    shard_bytes: int = SHARD_BYTES,
    progress: MediaProgress | None = None,
) -> Export:
    """Writes a benchmark as a dataset: Parquet, dataset card, header and checksums.

    One sample is one row group, so that readers hold one sample at a time and fetch only those that are missing. Every
    file is hashed against the manifest on its way. The folder appears whole or not at all.

    Args:
        benchmark: The benchmark.
        out: The folder; an earlier export is replaced.
        media: Whether the media are included; without, the rows alone are.
        shard_bytes: A Parquet file is closed when it has at least this size.
        progress: Called after each sample with the number done and of all.

    Raises:
        UsageError: If ``out`` holds something other than an export.
        InputError: If the benchmark's media are missing or not those of the manifest, or its paths are unsafe.
        OSError: If the folder cannot be written.
    """
    out = Path(out)
    _refuse_strangers(out)
    rows = list(_rows_of(benchmark))
    if problems := check_media_files(rows):
        raise InputError(str(benchmark.root), problems)
    out.parent.mkdir(parents=True, exist_ok=True)
    building = out.parent / f".{out.name}.{uuid4().hex}.building"
    building.mkdir()
    try:
        schema = table_schema(benchmark.header, media=media)
        writer = _Shards(building / "data", schema, shard_bytes, _ROWS_IN_GROUP if not media else 1)
        with writer:
            for number, row in enumerate(rows, start=1):
                files = _read_media(benchmark, row) if media else {}
                writer.write({**to_row(row), **files})
                if progress is not None:
                    progress(number, len(rows))
        if media:
            with _Shards(building / "manifest", table_schema(benchmark.header, media=False), shard_bytes) as lean:
                for row in rows:
                    lean.write(to_row(row))
        _write_beside(benchmark, building, schema, media=media)
        size = sum(path.stat().st_size for path in building.rglob("*") if path.is_file())
        _install(building, out)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return Export(out, len(rows), writer.n, size, media, hub_license(benchmark.header))


def _rows_of(benchmark: Benchmark) -> Iterator[TableRow]:
    """Yields the rows with the manifest's own lines; joined, they are its text to the byte."""
    text = (benchmark.root / MANIFEST_FILE).read_bytes().decode("utf-8")
    lines = [part + "\n" for part in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    held = [number for number, line in enumerate(lines) if line.strip()]
    # Empty lines stay with the sample before them, those at the top with the first.
    starts = [0, *held[1:], len(lines)]
    for position, sample in enumerate(benchmark):
        line = "".join(lines[starts[position] : starts[position + 1]])
        yield TableRow(sample, line, _image_hash(benchmark, sample))


def _image_hash(benchmark: Benchmark, sample: Sample) -> str | None:
    image = None if sample.reference_image is None else benchmark.media(sample.reference_image)
    return hash_file(image) if image is not None and image.is_file() else None


def _read_media(benchmark: Benchmark, row: TableRow) -> dict[str, dict[str, Any] | None]:
    media: dict[str, dict[str, Any] | None] = dict.fromkeys(MEDIA_COLUMNS)
    problems = []
    for file in row.media():
        path = benchmark.media(file.path)
        where = f"sample {row.sample.id}: {file.path}"
        if not path.is_file():
            problems.append(f"{where}: the media file is missing")
        elif path.stat().st_size > _MAX_CLIP:
            problems.append(f"{where}: more than 2 GiB in one file do not fit into a table")
        elif (actual := hashlib.sha256(content := path.read_bytes()).hexdigest()) != file.sha256:
            problems.append(f"{where}: sha256 is {actual[:12]}..., the manifest says {str(file.sha256)[:12]}...")
        else:
            media[file.column] = {"bytes": content, "path": file.path}
    if problems:
        raise InputError(str(benchmark.root / MANIFEST_FILE), problems, _HINT)
    return media


class _Shards:
    """Writes rows into Parquet files of limited size; the files get their final names at the end."""

    def __init__(self, folder: Path, schema: pa.Schema, shard_bytes: int, rows_in_group: int = _ROWS_IN_GROUP) -> None:
        self.n = 0
        self._folder = folder
        self._schema = schema
        self._shard_bytes = shard_bytes
        self._rows_in_group = rows_in_group
        self._waiting: list[dict[str, Any]] = []
        self._file: pq.ParquetWriter | None = None
        folder.mkdir()

    def __enter__(self) -> _Shards:
        return self

    def write(self, row: dict[str, Any]) -> None:
        self._waiting.append(row)
        if len(self._waiting) >= self._rows_in_group:
            self._flush()

    def _flush(self) -> None:
        if not self._waiting:
            return
        if self._file is None:
            media = {f"{name}.bytes": "NONE" for name in MEDIA_COLUMNS if name in self._schema.names}
            # Clips are compressed already; statistics let a reader skip the samples that it has.
            options: dict[str, Any] = {
                "compression": {**dict.fromkeys(_leaves(self._schema), "ZSTD"), **media},
                "use_dictionary": False,
                "write_statistics": ["id"],
            }
            self._file = pq.ParquetWriter(self._path(self.n), self._schema, **options)
            self.n += 1
        self._file.write_table(pa.Table.from_pylist(self._waiting, schema=self._schema))
        self._waiting.clear()
        if self._path(self.n - 1).stat().st_size >= self._shard_bytes:
            self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _path(self, number: int) -> Path:
        return self._folder / f"test-{number:05d}.parquet"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        self._close()
        if kind is None:
            for number in range(self.n):
                self._path(number).rename(self._folder / f"test-{number:05d}-of-{self.n:05d}.parquet")


def _leaves(schema: pa.Schema) -> list[str]:
    return [leaf for field in schema for leaf in _leaves_of(field.name, field.type)]


def _leaves_of(name: str, kind: pa.DataType) -> list[str]:
    if pa.types.is_struct(kind):
        return [leaf for field in kind for leaf in _leaves_of(f"{name}.{field.name}", field.type)]
    return _leaves_of(f"{name}.list.element", kind.value_type) if pa.types.is_list(kind) else [name]


def _write_beside(benchmark: Benchmark, folder: Path, schema: pa.Schema, *, media: bool) -> None:
    header = benchmark.header
    (folder / HEADER_FILE).write_bytes((benchmark.root / HEADER_FILE).read_bytes())
    for name, content in carried_files(benchmark.root).items():
        (folder / name).write_bytes(content)
    (folder / LICENSE).write_text(header.license + "\n", encoding="utf-8")
    (folder / CARD).write_text(dataset_card(header, schema, rows_config=media), encoding="utf-8")
    files = [path for path in folder.rglob("*") if path.is_file()]
    sums = {path.relative_to(folder).as_posix(): hash_file(path) for path in files}
    (folder / CHECKSUMS_FILE).write_text(checksum_lines(sums), encoding="utf-8")


def listed_files(folder: Path) -> set[str]:
    """Returns the files that an export's checksums name, relative to its folder; empty where there are none."""
    try:
        lines = (folder / CHECKSUMS_FILE).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return set()
    return {line.partition("  ")[2] for line in lines} | {CHECKSUMS_FILE}


def is_export(folder: Path) -> bool:
    """Whether a folder holds an export and nothing else."""
    return {HEADER_FILE, CARD, CHECKSUMS_FILE} <= listed_files(folder) and not _strangers(folder)


def _strangers(folder: Path) -> list[str]:
    files = [path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir()]
    known = listed_files(folder)
    return sorted(file.as_posix() for file in files if file.name != _OF_GIT and file.as_posix() not in known)


def _refuse_strangers(out: Path) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise UsageError(f"{out} is a file; name a folder for the export")
    if (out / ".git").exists():
        raise UsageError(f"{out} is a git repository; name another folder, and copy the files of the export into it")
    if any(out.iterdir()) and not is_export(out):
        what = ", ".join(_strangers(out)[:5]) or "something else"
        raise UsageError(f"{out} holds what no export has put there ({what}); name another folder")


def _install(building: Path, out: Path) -> None:
    old = None
    if out.exists():
        old = building.with_suffix(".old")
        out.rename(old)
    building.rename(out)
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)
