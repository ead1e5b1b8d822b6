"""Parquet files that lie elsewhere: what is fetched for a row group, and by whom."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vidchatbench.benchmark.remote_parquet import RemoteParquet

SIZE = 200_000


class Recorder(io.BytesIO):
    """A file that keeps who read what."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.readers: set[int] = set()
        self.reads: list[range] = []

    def read(self, size: int | None = -1, /) -> bytes:
        start = self.tell()
        content = super().read(size)
        self.readers.add(threading.get_ident())
        self.reads.append(range(start, start + len(content)))
        return content


@pytest.fixture(scope="module")
def table() -> pa.Table:
    def blobs(salt: int) -> list[dict[str, bytes]]:
        return [{"bytes": bytes([salt + row]) * SIZE} for row in range(4)]

    return pa.table({"id": ["a", "b", "c", "d"], "first": blobs(0), "middle": blobs(50), "last": blobs(100)})


@pytest.fixture
def file(table: pa.Table, tmp_path: Path) -> Recorder:
    path = tmp_path / "table.parquet"
    pq.write_table(table, path, row_group_size=1, compression="none", use_dictionary=["id"])
    return Recorder(path.read_bytes())


def test_columns_that_lie_side_by_side_are_one_request(file: Recorder, table: pa.Table) -> None:
    parquet = RemoteParquet(file)
    for group in range(4):
        del file.reads[:]
        assert parquet.read_row_group(group).equals(table.slice(group, 1))
        (request,) = file.reads
        assert 3 * SIZE < len(request) < 3 * SIZE + 1000


def test_what_was_not_asked_for_is_not_fetched(file: Recorder, table: pa.Table) -> None:
    parquet = RemoteParquet(file)
    del file.reads[:]
    assert parquet.read_row_group(2, ["id", "last"]).equals(table.slice(2, 1).select(["id", "last"]))
    assert [len(request) // SIZE for request in file.reads] == [0, 1]
    del file.reads[:]
    assert parquet.read_row_group(0, ["middle"]).equals(table.slice(0, 1).select(["middle"]))
    assert [len(request) // SIZE for request in file.reads] == [1]


def test_no_other_thread_ever_holds_the_file(file: Recorder) -> None:
    parquet = RemoteParquet(file)
    for group in range(4):
        parquet.read_row_group(group)
    assert file.readers == {threading.get_ident()}


def test_a_file_cut_short_is_an_error(file: Recorder) -> None:
    parquet = RemoteParquet(file)
    file.truncate(2 * SIZE)
    with pytest.raises((pa.ArrowException, OSError)):
        parquet.read_row_group(1)
    with pytest.raises(pa.ArrowInvalid):
        RemoteParquet(file)
