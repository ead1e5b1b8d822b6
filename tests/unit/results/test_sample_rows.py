"""The one reader of ``samples.parquet``: every row comes back typed, and a table that no run wrote is refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vidchatbench.api.cards import MetricCard
from vidchatbench.api.features import Array, Feature, Need, Param
from vidchatbench.api.metrics import SetDistance, SetItem, SetMetric
from vidchatbench.api.scores import Score
from vidchatbench.errors import InputError, UsageError
from vidchatbench.results.files import SAMPLES_SCHEMA
from vidchatbench.results.sample_rows import (
    SampleRow,
    group_rows,
    load_set_items,
    read_reasons,
    read_sample_rows,
    rows_of,
)

HINT = "Copy it again."


def row(**changes: object) -> dict[str, object]:
    content: dict[str, object] = {
        "sample_id": "a", "cluster": "p", "metric": "m/one", "protocol": "one/v1", "status": "ok", "value": 1.5,
        "counted": 1.5, "reason": None, "details": '{"faces": 3}', "features": "{}",
    }  # fmt: skip
    return {**content, **changes}


def write(folder: Path, rows: Sequence[Mapping[str, object]], **columns: Any) -> Path:
    """Writes a table; ``columns`` replace whole columns, ``None`` leaves one out."""
    content: dict[str, Any] = {
        field.name: pa.array([line[field.name] for line in rows], field.type) for field in SAMPLES_SCHEMA
    }
    content = {name: values for name, values in {**content, **columns}.items() if values is not None}
    pq.write_table(pa.table(content), folder / "samples.parquet")
    return folder


def read(folder: Path, **options: Any) -> list[SampleRow]:
    return read_sample_rows(folder, hint=HINT, **options)


def refused(folder: Path) -> InputError:
    with pytest.raises(InputError) as raised:
        read(folder)
    assert raised.value.subject == str(folder / "samples.parquet")
    return raised.value


# --- what is read -----------------------------------------------------------------------------------------------------


def test_every_column_comes_back(tmp_path: Path) -> None:
    failed = row(sample_id="b", status="output_invalid", value=None, counted=0.0, reason="no face", details="{}")
    of_set = row(metric="m/set", counted=None, features='{"f": "key"}')
    assert read(write(tmp_path, [row(), failed, of_set])) == [
        SampleRow(1, "a", "p", "m/one", "one/v1", "ok", 1.5, 1.5, None, '{"faces": 3}', "{}"),
        SampleRow(2, "b", "p", "m/one", "one/v1", "output_invalid", None, 0.0, "no face", "{}", "{}"),
        SampleRow(3, "a", "p", "m/set", "one/v1", "ok", 1.5, None, None, '{"faces": 3}', '{"f": "key"}'),
    ]


def test_a_table_without_rows_has_none(tmp_path: Path) -> None:
    assert read(write(tmp_path, [])) == []


def test_a_file_of_the_folder_stands_for_it(tmp_path: Path) -> None:
    write(tmp_path, [row()])
    assert read(tmp_path / "results.json") == read(tmp_path)


def test_columns_may_be_more_and_in_any_order(tmp_path: Path) -> None:
    expected = read(write(tmp_path, [row(), row(sample_id="b")]))
    table = pq.read_table(tmp_path / "samples.parquet").append_column("note", pa.array(["x", "y"]))
    pq.write_table(table.select(table.column_names[::-1]), tmp_path / "samples.parquet")
    assert read(tmp_path) == expected


@pytest.mark.parametrize("kind", [pa.large_string(), pa.dictionary(pa.int32(), pa.string())], ids=str)
def test_texts_may_be_kept_in_another_way(tmp_path: Path, kind: pa.DataType) -> None:
    rows = [row(), row(sample_id="b", reason="r")]
    expected = read(write(tmp_path, rows))
    texts = {
        field.name: pa.array([line[field.name] for line in rows]).cast(pa.string()).cast(kind)
        for field in SAMPLES_SCHEMA
        if field.type == pa.string()
    }
    assert read(write(tmp_path, rows, **texts)) == expected


def test_a_whole_number_is_a_number(tmp_path: Path) -> None:
    (found,) = read(write(tmp_path, [row()], value=pa.array([3])))
    assert (found.value, type(found.value)) == (3.0, float)


def test_rows_of_one_status_keep_their_places(tmp_path: Path) -> None:
    write(tmp_path, [row(), row(sample_id="b", status="error"), row(sample_id="c"), row(sample_id="d", status="error")])
    assert [(found.line, found.sample_id) for found in read(tmp_path, status="error")] == [(2, "b"), (4, "d")]
    assert read(tmp_path, status="not_applicable") == []


def test_a_part_of_a_table_goes_on_counting() -> None:
    batch = pa.RecordBatch.from_pylist([row(), row(sample_id="b")], schema=SAMPLES_SCHEMA)
    assert [found.line for found in rows_of(batch)] == [1, 2]
    assert [found.line for found in rows_of(batch, first_line=1_025)] == [1_025, 1_026]


def test_reading_imports_no_pandas(tmp_path: Path) -> None:
    write(tmp_path, [row()])
    code = (
        "import sys, pathlib; from vidchatbench.results.sample_rows import read_sample_rows; "
        "print(len(read_sample_rows(pathlib.Path(sys.argv[1]), hint='')), 'pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "False"]


# --- what is refused --------------------------------------------------------------------------------------------------


def test_a_missing_table_is_refused_with_the_way_out(tmp_path: Path) -> None:
    error = refused(tmp_path)
    assert (error.problems, error.hint) == (("there is no such file",), HINT)


@pytest.mark.parametrize("content", [b"", b"PAR1 no", b"\x00" * 100, b"PAR1PAR1"])
def test_what_is_no_parquet_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "samples.parquet").write_bytes(content)
    (problem,) = refused(tmp_path).problems
    assert problem.startswith("it is no readable Parquet file: ")


def test_every_missing_column_is_named(tmp_path: Path) -> None:
    error = refused(write(tmp_path, [row()], cluster=None, features=None))
    assert error.problems == ("the column 'cluster' is missing", "the column 'features' is missing")
    assert error.hint == "Evaluate again."


@pytest.mark.parametrize(
    "columns",
    [{"value": pa.array(["high"])}, {"counted": pa.array([[1.0]])}, {"status": pa.array([None], pa.string())}],
    ids=["text", "list", "null"],
)
def test_a_column_of_another_type_is_refused(tmp_path: Path, columns: dict[str, pa.Array]) -> None:
    error = refused(write(tmp_path, [row()], **columns))
    (problem,) = error.problems
    assert problem.startswith("a column is not of the type that runs write: ")
    assert error.hint == "Evaluate again."


# --- rows by metric, reasons ------------------------------------------------------------------------------------------


def test_rows_are_grouped_by_metric_and_sample(tmp_path: Path) -> None:
    rows = [row(metric="m/two"), row(), row(sample_id="b"), row(value=2.0)]
    grouped = group_rows(read(write(tmp_path, rows)))
    assert {metric: list(samples) for metric, samples in grouped.items()} == {"m/two": ["a"], "m/one": ["a", "b"]}
    assert list(grouped) == ["m/two", "m/one"]
    assert (grouped["m/one"]["a"].line, grouped["m/one"]["a"].value) == (4, 2.0), "the last row of a sample holds"


def test_reasons_that_are_equally_frequent_are_in_order(tmp_path: Path) -> None:
    names = {"a": "late", "b": "early", "c": "often", "d": "often"}
    rows = [row(sample_id=name, status="error", reason=reason) for name, reason in names.items()]
    again = row(sample_id="a", metric="m/two", status="error", reason="late")
    write(tmp_path, [*rows, again, row(sample_id="e", reason="none")])
    assert read_reasons(tmp_path, "error") == [("often", ["c", "d"]), ("early", ["b"]), ("late", ["a"])]


# --- items of sets ----------------------------------------------------------------------------------------------------


class Sums(SetMetric):
    default_card = MetricCard.model_validate(
        {
            "id": "family/sums", "version": 1, "title": "Sums", "dimension": "identity", "direction": "lower",
            "unit": "", "roles": ("candidate", "reference"), "aggregation": "set", "protocol": "sums/v1",
            "protocol_text": "p", "description": "d", "code_license": "MIT", "commercial_use": True, "citation": "c",
            "source": "s",
        }
    )  # fmt: skip
    defaults: ClassVar[Mapping[str, Param]] = {}

    def needs(self) -> tuple[Need, ...]:
        return ()

    def item(self, features: Mapping[str, Feature]) -> SetItem | Score:
        if "face" not in features:
            return Score.invalid("no face")
        return SetItem(features["face"]["x"], features["voice"]["x"])

    def distance(self, candidates: Sequence[Array], references: Sequence[Array]) -> SetDistance:
        raise AssertionError


STORE = {key: Feature({"x": np.full((1, 1), value)}, {}) for key, value in {"k1": 1.0, "k2": 2.0}.items()}


def test_items_are_made_of_the_stored_features() -> None:
    features = {"a": '{"face": "k1", "voice": "k2"}', "b": '{"voice": "k1"}', "c": '{"face": "k2", "voice": "k2"}'}
    items = load_set_items(Sums(), features, STORE.get, gone="gone")
    assert {name: (item.candidate.item(), item.reference.item()) for name, item in items.items()} == {
        "a": (1.0, 2.0),
        "c": (2.0, 2.0),
    }


def test_a_feature_that_is_gone_is_said() -> None:
    with pytest.raises(UsageError, match=r"^evaluate it again$"):
        load_set_items(Sums(), {"a": '{"face": "k1", "voice": "k9"}'}, STORE.get, gone="evaluate it again")
