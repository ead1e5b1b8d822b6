"""TODO."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow.parquet as pq

from vidchatbench.api.features import Feature
from vidchatbench.api.metrics import SetItem, SetMetric
from vidchatbench.errors import InputError, UsageError
from vidchatbench.results.files import SAMPLES_FILE, SAMPLES_SCHEMA


def _read_rows(folder: Path) -> dict[str, dict[str, Mapping[str, object]]]:
    path = (folder if folder.is_dir() else folder.parent) / SAMPLES_FILE
    if not path.is_file():
        raise InputError(str(path), ["there is no such file"], "A comparison needs the whole run folder.")
    try:
        table = pq.read_table(path)
    except (OSError, ValueError) as error:
        raise InputError(str(path), [f"it is no readable Parquet file: {error}"]) from error
    if missing := [name for name in SAMPLES_SCHEMA.names if name not in table.column_names]:
        raise InputError(str(path), [f"the column {name!r} is missing" for name in missing], "Evaluate again.")
    rows = table.to_pylist()
    found: dict[str, dict[str, Mapping[str, object]]] = {}
    for row in rows:
        found.setdefault(str(row["metric"]), {})[str(row["sample_id"])] = row
    return found


def _counted(row: Mapping[str, object] | None) -> float:
    value = None if row is None else row["counted"]
    return float(value) if isinstance(value, (int, float)) else math.nan


def _items(
    metric: SetMetric, rows: Mapping[str, Mapping[str, object]], load: Callable[[str], Feature | None]
) -> dict[str, tuple[str, SetItem]]:
    found = {}
    for name, row in rows.items():
        if row["status"] != "ok":
            continue
        features = {}
        for need, key in json.loads(str(row["features"])).items():
            feature = load(key)
            if feature is None:
                raise UsageError("its features are not in this computer's store; evaluate the system here again")
            features[need] = feature
        item = metric.item(features)
        if isinstance(item, SetItem):
            found[name] = (str(row["cluster"]), item)
    return found
