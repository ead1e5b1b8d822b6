"""Reading ``samples.parquet``: one typed row per metric and sample, for all that read a run folder.

The table is not read by ``pyarrow.parquet.read_table``, which imports pandas, for most of a second.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from vidchatbench.api.features import Feature
from vidchatbench.api.metrics import SetItem, SetMetric
from vidchatbench.errors import InputError, UsageError
from vidchatbench.results.files import SAMPLES_FILE, SAMPLES_SCHEMA

_STATUS = SAMPLES_SCHEMA.names.index("status")


@dataclass(frozen=True, slots=True)
class SampleRow:
    """One sample in one metric, with the columns of ``SAMPLES_SCHEMA``.

    Attributes:
        line: The row's place in the table, from 1.
        sample_id: Id of the sample.
        cluster: The identity it belongs to.
        metric: Id of the metric.
        protocol: Protocol id of the metric.
        status: What became of the sample, a value of :class:`~vidchatbench.api.scores.Status` in files of our own.
        value: The score; for metrics of sets the distance between the means of the sample's two sides.
        counted: The value that entered the mean: the score, or the card's worst value where the submission is at
            fault; none for metrics of sets.
        reason: Why there is no score.
        details: Further numbers that the metric kept, as a JSON object.
        features: Key in the feature store of each need, as a JSON object; empty for metrics of means.
    """

    line: int
    sample_id: str
    cluster: str
    metric: str
    protocol: str
    status: str
    value: float | None
    counted: float | None
    reason: str | None
    details: str
    features: str


RowsByMetric = Mapping[str, Mapping[str, SampleRow]]
"""Rows by metric id and sample id."""


def read_sample_rows(run: Path, *, hint: str, status: str | None = None) -> list[SampleRow]:
    """Reads the per-sample table of a run folder.

    Args:
        run: The run folder, or a file in it.
        hint: The way out where the table is missing.
        status: Read only the rows with this status.

    Returns:
        The rows in the order of the file.

    Raises:
        InputError: If the table is missing, cannot be read, or lacks a column.
    """
    path = (run if run.is_dir() else run.parent) / SAMPLES_FILE
    if not path.is_file():
        raise InputError(str(path), ["there is no such file"], hint)
    try:
        with pq.ParquetFile(path) as file:
            table = file.read()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(str(path), [f"it is no readable Parquet file: {error}"]) from error
    if missing := [name for name in SAMPLES_SCHEMA.names if name not in table.column_names]:
        raise InputError(str(path), [f"the column {name!r} is missing" for name in missing], "Evaluate again.")
    try:
        table = table.select(SAMPLES_SCHEMA.names).cast(SAMPLES_SCHEMA)
    except (ValueError, pa.ArrowException) as error:
        problem = f"a column is not of the type that runs write: {error}"
        raise InputError(str(path), [problem], "Evaluate again.") from error
    return list(rows_of(table, status=status))


def rows_of(table: pa.Table | pa.RecordBatch, *, first_line: int = 1, status: str | None = None) -> Iterator[SampleRow]:
    """Yields the rows of a table, or of a part of it, that has the columns and types of ``SAMPLES_SCHEMA``.

    Args:
        table: The table; its texts may be dictionaries.
        first_line: Place of its first row.
        status: Yield only the rows with this status.
    """
    columns = [_values(table.column(name)) for name in SAMPLES_SCHEMA.names]
    for line, row in enumerate(zip(*columns, strict=True), first_line):
        if status is None or row[_STATUS] == status:
            yield SampleRow(line, *row)


def _values(column: pa.Array | pa.ChunkedArray) -> list[object]:
    # A dictionary is decoded first: turning it into Python objects entry by entry takes twenty times as long.
    values: list[object] = (column.dictionary_decode() if pa.types.is_dictionary(column.type) else column).to_pylist()
    return values


def group_rows(rows: Iterable[SampleRow]) -> RowsByMetric:
    """Returns rows by metric and sample; of two rows of one sample the last."""
    grouped: dict[str, dict[str, SampleRow]] = {}
    for row in rows:
        grouped.setdefault(row.metric, {})[row.sample_id] = row
    return grouped


def read_reasons(run: Path, status: str) -> list[tuple[str, list[str]]]:
    """Returns why samples of a run have a status: each reason with its samples, the most frequent first.

    Raises:
        InputError: If the table cannot be read.
    """
    samples: dict[str, dict[str, None]] = {}
    for row in read_sample_rows(run, hint="Evaluate again.", status=status):
        samples.setdefault(str(row.reason), {})[row.sample_id] = None
    return sorted(
        ((reason, list(names)) for reason, names in samples.items()), key=lambda item: (-len(item[1]), item[0])
    )


def load_set_items(
    metric: SetMetric, features: Mapping[str, str], load: Callable[[str], Feature | None], *, gone: str
) -> dict[str, SetItem]:
    """Builds what samples contribute to a metric of sets from their stored features.

    Args:
        metric: The metric.
        features: The column ``features`` of samples that were scored, by sample.
        load: Reads a stored feature by its key.
        gone: The message where the store no longer holds a feature.

    Raises:
        UsageError: If a feature is not in the store.
    """
    items = {}
    for sample, keys in features.items():
        loaded = {}
        for need, key in json.loads(keys).items():
            feature = load(key)
            if feature is None:
                raise UsageError(gone)
            loaded[need] = feature
        item = metric.item(loaded)
        if isinstance(item, SetItem):
            items[sample] = item
    return items
