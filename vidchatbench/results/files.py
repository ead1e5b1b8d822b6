"""The files of a run besides ``results.json``: ``samples.parquet``, ``media.jsonl``, ``system.yaml``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.json as pa_json
import pyarrow.parquet as pq
import yaml

from vidchatbench.core.atomic import write_atomically
from vidchatbench.results.aggregate import Record
from vidchatbench.results.schema import RESULTS_FILE, Results
from vidchatbench.submission.system import SYSTEM_FILE

SAMPLES_FILE = "samples.parquet"
MEDIA_FILE = "media.jsonl"

SAMPLES_SCHEMA = pa.schema(
    [
        pa.field("sample_id", pa.string(), nullable=False),
        pa.field("cluster", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("protocol", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("counted", pa.float64()),
        pa.field("reason", pa.string()),
        pa.field("details", pa.string(), nullable=False),
        pa.field("features", pa.string(), nullable=False),
    ]
)
"""Columns of ``samples.parquet``.

``counted`` is the value that entered the mean, none for metrics of sets; ``details`` is a JSON object; ``features`` one
of the keys under which the feature store holds what a metric of sets compared, empty for other metrics.
"""


def write_run(folder: Path, results: Results, records: Sequence[Record], media: Iterable[dict[str, object]]) -> None:
    """Writes the files of a run, each atomically, ``results.json`` last.

    Raises:
        OSError: If the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / SAMPLES_FILE, samples_parquet(records))
    lines = [json.dumps(line, ensure_ascii=False, allow_nan=False) for line in media]
    write_atomically(folder / MEDIA_FILE, ("\n".join(lines) + "\n").encode())
    system = yaml.safe_dump(results.system.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    write_atomically(folder / SYSTEM_FILE, system.encode())
    write_atomically(folder / RESULTS_FILE, results.to_json().encode())


def samples_parquet(records: Sequence[Record]) -> bytes:
    """Returns the per-sample table as Parquet; equal records give equal bytes."""
    rows = [
        {
            "sample_id": record.sample.id,
            "cluster": record.sample.cluster,
            "metric": record.metric.card.id,
            "protocol": record.metric.card.protocol,
            "status": record.score.status.value,
            "value": record.score.value,
            "counted": record.counted,
            "reason": record.score.reason,
            "details": json.dumps(dict(record.score.details), sort_keys=True, allow_nan=False),
            "features": json.dumps(dict(record.features), sort_keys=True),
        }
        for record in records
    ]
    # Through Arrow's JSON reader, because building a table from Python objects imports pandas, for a second.
    lines = "\n".join(json.dumps(row, allow_nan=False) for row in rows).encode()
    options = pa_json.ParseOptions(explicit_schema=SAMPLES_SCHEMA, unexpected_field_behavior="error")
    table = pa_json.read_json(BytesIO(lines), parse_options=options) if rows else SAMPLES_SCHEMA.empty_table()
    buffer = BytesIO()
    pq.write_table(table.cast(SAMPLES_SCHEMA), buffer)
    return buffer.getvalue()
