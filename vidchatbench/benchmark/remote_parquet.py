"""Remote Parquet files, read in the calling thread alone; each read is one request.

Arrow's own reading ahead gives a Python file to threads of its own. One that is late still holds the file when the
interpreter ends, and then it takes the whole process down with ``terminate called without an active exception``.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

_GAP = 64 * 1024
"""Unneeded bytes up to this number are fetched too, because a second request costs more."""


class RemoteParquet(pq.ParquetFile):  # type: ignore[misc]  # pyarrow has no types
    """A Parquet file over a slow file object, such as one of ``fsspec``.

    Args:
        file: The file, opened for reading and without a cache; the caller closes it.

    Raises:
        pyarrow.ArrowInvalid: If it is not a Parquet file.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = _HeldFile(file)
        super().__init__(self._file, pre_buffer=False)

    def read_row_group(
        self,
        i: int,
        columns: Sequence[str] | None = None,
        use_threads: bool = False,
        use_pandas_metadata: bool = False,
    ) -> pa.Table:
        """Reads a row group; columns that lie side by side come by one request.

        Args:
            i: Number of the row group.
            columns: Names of top-level columns; ``None`` for all.
            use_threads: Whether threads of Arrow decode the columns; they would hold the file too.
            use_pandas_metadata: Whether the index of a pandas table is read as well.

        Returns:
            The table.

        Raises:
            pyarrow.ArrowException: If the row group is damaged.
        """
        with self._file.holding(self._stretches(i, columns)):
            return super().read_row_group(i, columns, use_threads, use_pandas_metadata)

    def _stretches(self, group: int, columns: Sequence[str] | None) -> list[range]:
        row_group = self.metadata.row_group(group)
        chunks = []
        for column in (row_group.column(i) for i in range(row_group.num_columns)):
            if columns is None or column.path_in_schema.split(".")[0] in columns:
                first = column.data_page_offset
                if column.has_dictionary_page:
                    first = min(first, column.dictionary_page_offset)
                chunks.append(range(max(first, 0), first + column.total_compressed_size))
        return _joined(chunk for chunk in chunks if chunk)


def _joined(chunks: Iterable[range]) -> list[range]:
    """Joins ranges that lie close together."""
    joined: list[range] = []
    for chunk in sorted(chunks, key=lambda chunk: chunk.start):
        if joined and chunk.start <= joined[-1].stop + _GAP:
            joined[-1] = range(joined[-1].start, max(joined[-1].stop, chunk.stop))
        else:
            joined.append(chunk)
    return joined


class _HeldFile(io.RawIOBase):
    """A file of which some stretches are in memory for a while; what lies elsewhere is read when it is asked for."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._at = 0
        self._held: list[tuple[int, memoryview]] = []

    @contextmanager
    def holding(self, stretches: Iterable[range]) -> Iterator[None]:
        """Reads stretches of the file and keeps them until the context is left."""
        try:
            for stretch in stretches:
                self._held.append((stretch.start, memoryview(self._fetch(stretch.start, len(stretch)))))
            yield
        finally:
            self._held.clear()

    def _fetch(self, start: int, size: int) -> bytes:
        self._file.seek(start)
        return self._file.read(size)

    def read(self, size: int = -1) -> bytes | memoryview:  # Arrow takes any buffer
        if size < 0:
            size = self.seek(0, io.SEEK_END) - self._at
        for start, held in self._held:
            if start <= self._at and self._at + size <= start + len(held):
                content: bytes | memoryview = held[self._at - start : self._at - start + size]
                break
        else:
            content = self._fetch(self._at, size)
        self._at += len(content)
        return content

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset if whence == io.SEEK_SET else self._file.seek(offset, whence)
        return self._at

    def tell(self) -> int:
        return self._at

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True
