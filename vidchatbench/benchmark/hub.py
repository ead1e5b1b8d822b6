"""Benchmarks on the Hugging Face hub: pinned to a commit, streamed, and written whole into the cache."""

from __future__ import annotations

import contextlib
import importlib
import logging
import re
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar, cast
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from vidchatbench.api.samples import Sample
from vidchatbench.benchmark.format import HEADER_FILE, BenchmarkHeader, is_hub_name
from vidchatbench.benchmark.hub_errors import HubUnreachableError, client_errors, guarded, in_our_words
from vidchatbench.benchmark.local_tables import choose_shards, read_manifest_columns, read_media
from vidchatbench.benchmark.materialise import MediaProgress, is_whole, materialise, rows_from
from vidchatbench.benchmark.remote_parquet import RemoteParquet
from vidchatbench.benchmark.tables import (
    CARRIED_FILES,
    MediaFile,
    TableRow,
    check_schema,
    header_of_schema,
    parse_header,
)
from vidchatbench.core import paths
from vidchatbench.core.atomic import write_atomically
from vidchatbench.errors import InputError, UsageError

MAIN = "main"
TIMEOUT = 20.0
_COMMIT = re.compile(r"[0-9a-f]{40}")
_ASK_AGAIN_AFTER = (1.0, 3.0)
_T = TypeVar("_T")
_log = logging.getLogger(__name__)


def __getattr__(name: str) -> object:
    # Cards of published datasets import it from here; by name, for `load` stands above this module.
    if name != "iterate_samples":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module("vidchatbench.benchmark.load").iterate_samples


@dataclass(frozen=True)
class HubName:
    """A dataset of the hub.

    Attributes:
        dataset: ``user/name``.
        revision: Branch, tag or commit; ``None`` for the main branch.
    """

    dataset: str
    revision: str | None

    @classmethod
    def parse(cls, text: str) -> HubName:
        """Reads ``user/name`` or ``user/name@revision``.

        Raises:
            UsageError: If it is neither.
        """
        if not is_hub_name(text):
            raise UsageError(f"{text!r} is no dataset of the hub: write user/name or user/name@revision")
        dataset, _, revision = text.partition("@")
        return cls(dataset, revision or None)

    @property
    def home(self) -> Path:
        """The folder in the cache with the dataset's commits."""
        return paths.benchmarks_root() / "hub" / self.dataset.replace("/", "--")

    @property
    def record(self) -> Path:
        """The file that records the last known commit of the revision."""
        return self.home / "refs" / quote(self.revision or MAIN, safe="")


@dataclass(frozen=True)
class DatasetCommit:
    """A dataset as the hub describes it.

    Attributes:
        commit: The commit of the revision.
        files: Its files.
    """

    commit: str
    files: tuple[str, ...]


def fetch_benchmark(text: str, *, progress: MediaProgress | None = None) -> Path:
    """Returns the folder of a benchmark of the hub; missing files are fetched.

    The revision is resolved to a commit once, and every commit has a folder of its own. Media that are whole are not
    fetched again. Without network, the commit that the revision last was is used if it is whole here, and a warning
    says so.

    Args:
        text: ``user/name`` or ``user/name@revision``.
        progress: Called before the first media file and after each; by default a bar on a terminal.

    Raises:
        UsageError: If there is no such dataset or revision.
        InputError: If the dataset is no benchmark, or is damaged; all problems are listed.
        UnavailableError: If the hub cannot be reached or wants a login; what was fetched is kept.
        OSError: If the cache cannot be written.
    """
    name = HubName.parse(text)
    if _COMMIT.fullmatch(name.revision or "") and is_whole(name.home / str(name.revision)):
        return name.home / str(name.revision)
    try:
        dataset = find_dataset(name)
    except HubUnreachableError as error:
        if (kept := _recorded(name)) is None:
            raise
        _log.warning("%s; the copy of commit %s in the cache is used", error.what, kept.name[:12])
        return kept
    folder = name.home / dataset.commit
    if not is_whole(folder):
        record = {"dataset": name.dataset, "revision": name.revision or MAIN, "commit": dataset.commit}
        counted = _Counted()
        with _bar(text) if progress is None else contextlib.nullcontext(progress) as shown:
            counted.also = shown
            materialise(HubTable(name, dataset, counted.kept), folder, record, counted)
    name.record.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(name.record, dataset.commit.encode())
    return folder


def find_dataset(name: HubName) -> DatasetCommit:
    """Asks the hub for the commit of a revision and its files.

    Raises:
        UsageError: If there is no such dataset or revision.
        UnavailableError: If the hub cannot be reached or wants a login.
    """
    from huggingface_hub import HfApi  # takes a while to import

    for pause in (*_ASK_AGAIN_AFTER, None):
        try:
            with in_our_words(name.dataset, name.revision):
                info = HfApi().dataset_info(name.dataset, revision=name.revision, timeout=TIMEOUT)
        except HubUnreachableError as error:
            # A fault on the hub's side passes; a missing network does not.
            if pause is None or getattr(error.__cause__, "response", None) is None:
                raise
            time.sleep(pause)
        else:
            files = tuple(entry.rfilename for entry in info.siblings or ())
            return DatasetCommit(str(info.sha), files)
    raise AssertionError("the last attempt returns or raises")


def _recorded(name: HubName) -> Path | None:
    try:
        commit = name.record.read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return name.home / commit if _COMMIT.fullmatch(commit) and is_whole(name.home / commit) else None


class HubTable:
    """Rows and media of a dataset of the hub at one commit; memory holds one row.

    Args:
        name: The dataset.
        dataset: Its commit and files.
        kept: Returns what remains of the work so far, for the message when the connection breaks off.
    """

    def __init__(self, name: HubName, dataset: DatasetCommit, kept: Callable[[], str]) -> None:
        self.subject = f"dataset {name.dataset} of the hub at {dataset.commit[:12]}"
        self._name = name
        self._dataset = dataset
        self._kept = kept
        self._shards, self._row_files = choose_shards(dataset.files)
        if not self._shards:
            hint = "`vidchatbench data export` makes a folder that can be uploaded as it is."
            raise InputError(self.subject, ["there are no Parquet files of a test split"], hint)

    def rows(self) -> Iterator[TableRow]:
        """Yields the rows without media; of a table with media only the other columns are fetched."""
        return rows_from(self._guarded(read_manifest_columns, self._row_files), self.subject)

    def samples(self) -> Iterator[Sample]:
        """Yields the samples; where the rows lie apart from their media, ``datasets`` streams them."""
        apart = self._row_files != self._shards
        values = self._through_datasets() if apart else self._guarded(read_manifest_columns, self._row_files)
        return (row.sample for row in rows_from(values, self.subject))

    def header(self, rows: Sequence[TableRow]) -> BenchmarkHeader:
        """Returns ``benchmark.json``, else the header in the metadata of the first file.

        Raises:
            InputError: If there is neither.
        """
        if HEADER_FILE in self._dataset.files:
            return parse_header(self._read(HEADER_FILE), f"{self.subject}: {HEADER_FILE}")
        header = header_of_schema(self._schema(self._row_files[0]), self.subject)
        if header is None:
            raise InputError(self.subject, [f"there is no {HEADER_FILE}"], "A benchmark has a header beside its data.")
        return header

    def media(self, wanted: Mapping[str, Sequence[MediaFile]]) -> Iterator[tuple[str, MediaFile, bytes | None]]:
        """Yields the wanted media; row groups that hold none of them are not fetched."""
        return self._guarded(lambda file, subject: read_media(file, wanted, subject), self._shards)

    def _guarded(self, read: Callable[[pq.ParquetFile, str], Iterator[_T]], files: Sequence[str]) -> Iterator[_T]:
        def items() -> Iterator[_T]:
            for name in files:
                with self._open(name) as file:
                    yield from read(file, f"{self.subject}: {name}")

        return guarded(items(), self._name.dataset, self._name.revision, self._kept)

    def carried(self) -> Mapping[str, bytes]:
        """Returns the files that lie beside the header, by name."""
        return {name: self._read(name) for name in CARRIED_FILES if name in self._dataset.files}

    def _address(self, file: str) -> str:
        return f"hf://datasets/{self._name.dataset}@{self._dataset.commit}/{file}"

    def _read(self, file: str) -> bytes:
        from huggingface_hub import HfFileSystem

        with in_our_words(self._name.dataset, self._name.revision, self._kept):
            content = HfFileSystem().cat_file(self._address(file))
            return content if isinstance(content, bytes) else content.encode()

    @contextlib.contextmanager
    def _open(self, file: str) -> Generator[pq.ParquetFile]:
        from huggingface_hub import HfFileSystem

        # A sample is one request, which brings nothing else.
        with HfFileSystem().open(self._address(file), "rb", cache_type="none") as opened:
            try:
                parquet = RemoteParquet(cast("IO[bytes]", opened))
            except pa.ArrowInvalid as error:
                raise InputError(f"{self.subject}: {file}", [f"not a readable Parquet file: {error}"]) from error
            yield parquet

    def _schema(self, file: str) -> pa.Schema:
        with in_our_words(self._name.dataset, self._name.revision, self._kept), self._open(file) as parquet:
            return parquet.schema_arrow

    def _through_datasets(self) -> Iterator[Mapping[str, Any]]:
        # Media do not come this way: its scanner reads ahead, and a cut connection would lose more than one sample.
        tables = guarded(self._streamed(), self._name.dataset, self._name.revision, self._kept)
        return (row for table in tables for row in table.to_pylist())

    def _streamed(self) -> Iterator[pa.Table]:
        from datasets import load_dataset  # takes seconds to import

        files = [self._address(file) for file in self._row_files]
        try:
            # Files and format are given here: an untrusted card could name others.
            dataset = load_dataset("parquet", data_files={"test": files}, split="test", streaming=True)
            schema = pa.schema([]) if dataset.features is None else dataset.features.arrow_schema
            columns = check_schema(schema, self.subject)
            # As Arrow, so that no column is decoded, whatever type the file declares.
            yield from dataset.select_columns(list(columns)).with_format("arrow").iter(batch_size=1)
        except client_errors():
            raise  # some of them are ValueErrors too
        except (pa.ArrowException, ValueError) as error:
            raise InputError(self.subject, [f"its Parquet files cannot be read: {error}"]) from error


class _Counted:
    """Counts media for the message when the connection breaks off, and passes progress on."""

    def __init__(self) -> None:
        self.done, self.n = 0, 0
        self.also: MediaProgress | None = None

    def __call__(self, done: int, n: int) -> None:
        self.done, self.n = done, n
        if self.also is not None:
            self.also(done, n)

    def kept(self) -> str:
        return f"{self.done} of {self.n} media files are here and kept" if self.n else ""


@contextlib.contextmanager
def _bar(text: str) -> Generator[MediaProgress]:
    """Shows a bar on a terminal, and nothing elsewhere."""
    from huggingface_hub import utils

    make: Any = utils.tqdm  # type: ignore[attr-defined]  # documented there, but imported under the same name
    with make(desc=text, unit=" media", disable=None) as bar:

        def show(done: int, n: int) -> None:
            bar.total = n
            bar.update(done - bar.n)

        yield show
