"""Reading an untrusted ``samples.parquet``: bounded before, while and after it is decompressed.

A Parquet file can say little and expand to much in four ways: a codec that compresses without limit, a dictionary of
which one long text is drawn a million times, an encoding that repeats prefixes, and a footer that lies. So only the
codec of our own writer is taken, whose ratio is bounded; the columns must be ours; texts stay in their dictionary while
they are read in small batches; and what the rows would take when written out is summed up and stopped at a limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vidchatbench.leaderboard.verification.bundle import MEGABYTE
from vidchatbench.leaderboard.verification.findings import RefusedFileError
from vidchatbench.results.files import SAMPLES_FILE, SAMPLES_SCHEMA
from vidchatbench.results.sample_rows import SampleRow, rows_of

MAX_ROWS = 200_000
MAX_EXPANDED = 256 * MEGABYTE
MAX_TEXT_LENGTH = 65_536
_BATCH = 1_024
_CODECS = {"SNAPPY", "UNCOMPRESSED"}
_MAX_COLUMN_CHUNKS = 10_000
_TEXTS = tuple(field.name for field in SAMPLES_SCHEMA if field.type == pa.string())


def read_samples(content: bytes, expected_rows: int | None = None) -> list[SampleRow]:
    """Reads the per-sample table.

    Args:
        content: The file, already known to be small enough.
        expected_rows: How many rows it must have, where that is known.

    Raises:
        RefusedFileError: If it is no such table, or would expand to more than it may.
    """
    try:
        _check_footer(_open(content), expected_rows)
        # Only now, for a column that is not there cannot be kept in its dictionary.
        return list(_read_rows(_open(content, _TEXTS)))
    except (OSError, ValueError, NotImplementedError, pa.ArrowException) as failure:
        reason = str(failure).splitlines()[0][:200] if str(failure) else type(failure).__name__
        message = f"this is no readable Parquet file ({reason}); copy it again from the run"
        raise RefusedFileError("unreadable", SAMPLES_FILE, message) from failure


def _open(content: bytes, dictionaries: Sequence[str] = ()) -> pq.ParquetFile:
    return pq.ParquetFile(
        BytesIO(content),
        read_dictionary=list(dictionaries),
        thrift_string_size_limit=MEGABYTE,
        thrift_container_size_limit=MEGABYTE,
    )


def _check_footer(file: pq.ParquetFile, expected_rows: int | None) -> None:
    schema = file.schema_arrow
    expected = [(field.name, field.type) for field in SAMPLES_SCHEMA]
    columns = [(f.name, f.type.value_type if pa.types.is_dictionary(f.type) else f.type) for f in schema]
    if columns != expected:
        shown = ", ".join(f"{name} {kind}" for name, kind in columns[:12])
        message = f"the columns are {shown[:300]}; expected {', '.join(f'{name} {kind}' for name, kind in expected)}"
        raise RefusedFileError("wrong_columns", SAMPLES_FILE, message)
    rows = file.metadata.num_rows
    if expected_rows is not None and rows != expected_rows:
        message = f"{rows:,} rows; the results announce {expected_rows:,} (metrics × samples), one for each"
        raise RefusedFileError("wrong_rows", SAMPLES_FILE, message)
    if rows > MAX_ROWS:
        raise RefusedFileError("too_many_rows", SAMPLES_FILE, f"{rows:,} rows; at most {MAX_ROWS:,} are read")
    if file.metadata.num_row_groups * len(expected) > _MAX_COLUMN_CHUNKS:
        message = f"{file.metadata.num_row_groups:,} row groups; write the table in one"
        raise RefusedFileError("too_many_rows", SAMPLES_FILE, message)
    groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
    chunks = [group.column(i) for group in groups for i in range(group.num_columns)]
    strange = sorted({chunk.compression for chunk in chunks} - _CODECS)
    if strange:
        message = f"compressed with {', '.join(strange)}; only {' and '.join(sorted(_CODECS))} are read, as runs write"
        raise RefusedFileError("bad_codec", SAMPLES_FILE, message)
    expanded = sum(chunk.total_uncompressed_size for chunk in chunks)
    if expanded > MAX_EXPANDED:
        _refuse_expanded(expanded)


def _refuse_expanded(size: int) -> None:
    message = (
        f"the table would expand to {size:,} bytes or more, at most {MAX_EXPANDED:,} are read; no run of this library "
        "writes so much"
    )
    raise RefusedFileError("expands_too_far", SAMPLES_FILE, message)


def _read_rows(file: pq.ParquetFile) -> Iterator[SampleRow]:
    expanded = lines = 0
    for batch in file.iter_batches(batch_size=_BATCH, use_threads=False):
        expanded += _written_out(batch)
        if expanded > MAX_EXPANDED:
            _refuse_expanded(expanded)
        if lines + batch.num_rows > MAX_ROWS:
            raise RefusedFileError("too_many_rows", SAMPLES_FILE, f"more than {MAX_ROWS:,} rows")
        yield from rows_of(batch, first_line=lines + 1)
        lines += batch.num_rows


def _written_out(batch: pa.RecordBatch) -> int:
    """Returns the bytes of a batch's texts without dictionary, before anything is expanded."""
    total: int = batch.num_rows * 16
    for name in _TEXTS:
        column = batch.column(name)
        if pa.types.is_dictionary(column.type):
            lengths = _compute("binary_length", column.dictionary).take(column.indices)
        else:
            lengths = _compute("binary_length", column)
        total += _compute("sum", lengths).as_py() or 0
        if (_compute("max", lengths).as_py() or 0) > MAX_TEXT_LENGTH:
            message = f"column {name} holds a text of more than {MAX_TEXT_LENGTH:,} bytes"
            raise RefusedFileError("text_too_long", SAMPLES_FILE, message)
    return total


def _compute(name: str, values: pa.Array) -> Any:  # noqa: ANN401 - an array or a scalar, as the function has it
    # By name, because the functions of pyarrow.compute are made when it is imported, and no type checker sees them.
    return pc.call_function(name, [values])
