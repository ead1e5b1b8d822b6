"""Reading a benchmark from a folder: ``benchmark.json``, ``manifest.jsonl`` and the media they name.

Its other forms, tables and repositories of the Hugging Face hub, are first written into such a folder of the cache; the
modules that do so are heavy, and imported when they are needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vidchatbench.api.samples import Sample
from vidchatbench.benchmark.format import (
    HEADER_FILE,
    MANIFEST_FILE,
    Benchmark,
    is_hub_name,
    read_header,
    read_manifest,
)
from vidchatbench.core import paths
from vidchatbench.core.hashing import hash_file
from vidchatbench.errors import InputError, UsageError

PACKAGED = ("test_500",)
VERSION_FILE = "VERSION"
LIST_FILE = "samples.jsonl"


@dataclass(frozen=True)
class Announced:
    """A packaged benchmark whose list of samples is not published yet.

    Attributes:
        name: Its name.
        version: Its version; ``0.0.0`` until there is a list.
        list_sha256: sha256 of the empty list.
    """

    name: str
    version: str
    list_sha256: str

    @property
    def note(self) -> str:
        """What a board of it says."""
        return (
            f"The list of {self.name} is not published yet, so no system can be scored on it or ranked; what papers "
            "report is cited."
        )


def find_announced(name: str) -> Announced | None:
    """Returns a packaged benchmark without a published list; ``None`` if it has one or is prepared on this computer."""
    folder = paths.packaged_benchmark(name) if name in PACKAGED else None
    if folder is None or (paths.benchmarks_root() / name / HEADER_FILE).is_file() or (folder / MANIFEST_FILE).is_file():
        return None
    listed = folder / LIST_FILE
    if not listed.is_file() or listed.stat().st_size > 0:
        return None
    return Announced(name, (folder / VERSION_FILE).read_text(encoding="utf-8").strip(), hash_file(listed))


def load_benchmark(where: str | Path) -> Benchmark:
    """Loads a benchmark by path or by name.

    Args:
        where: A folder, or a path to its ``manifest.jsonl``; a table: a ``.parquet`` file, the folder of an export, a
            ``.jsonl`` or ``.json`` file of rows; a known name (``test_500``, or one that was prepared on this
            computer); or, as text, a dataset of the Hugging Face hub, ``user/name`` or ``user/name@revision``. A local
            path goes first, then a prepared name, then the hub. Tables and datasets are unpacked into the cache once.

    Raises:
        UsageError: If there is no such folder, name or dataset.
        InputError: If header, manifest, rows or media have problems; all of them are listed.
        UnavailableError: If the hub cannot be reached or wants a login; what was fetched is kept.
    """
    root = locate_benchmark(where)
    header = read_header(root / HEADER_FILE)
    manifest = root / MANIFEST_FILE
    if not manifest.is_file():
        raise InputError(str(root), [f"there is no {MANIFEST_FILE}"])
    samples = read_manifest(manifest)
    problems = []
    if len(samples) != header.n_samples:
        problems.append(f"{HEADER_FILE} announces {header.n_samples} samples, the manifest has {len(samples)}")
    if (actual := hash_file(manifest)) != header.manifest_sha256:
        problems.append(
            f"the manifest's sha256 is {actual[:12]}..., {HEADER_FILE} says {header.manifest_sha256[:12]}..."
        )
    if problems:
        raise InputError(str(manifest), problems, "The manifest was changed after the benchmark was published.")
    return Benchmark(root, header, tuple(samples))


def locate_benchmark(where: str | Path) -> Path:
    """Returns the folder of a benchmark given by path or name; see :func:`load_benchmark`.

    Raises:
        UsageError: If nothing is found; the error says where it was looked for.
        InputError: If a table or dataset has problems.
        UnavailableError: If the hub cannot be reached or wants a login.
    """
    path = Path(where).expanduser()
    if path.name == MANIFEST_FILE and path.is_file():
        return path.parent
    if path.is_file() or (path.is_dir() and _holds_tables(path)):
        from vidchatbench.benchmark.local_tables import unpack_table  # needs pyarrow

        return unpack_table(path)
    if path.is_dir():
        return path
    name = str(where)
    prepared = paths.benchmarks_root() / name
    if "/" not in name and (prepared / HEADER_FILE).is_file():
        return prepared
    if name in PACKAGED:
        packaged = paths.packaged_benchmark(name)
        if (packaged / MANIFEST_FILE).is_file():
            return packaged
        raise UsageError(
            f"benchmark {name!r} is not prepared on this computer: its media cannot be shipped. Bring and cut them "
            f"with `vidchatbench data prepare {name}`, or pass --benchmark PATH with the folder of another benchmark; "
            f"{packaged / 'README.md'} says more."
        )
    if isinstance(where, str) and is_hub_name(name):
        from vidchatbench.benchmark.hub import fetch_benchmark  # needs the hub's clients

        return fetch_benchmark(name)
    raise UsageError(
        f"there is no benchmark {name!r}: neither a folder of that path, nor a prepared benchmark in "
        f"{paths.benchmarks_root()}, nor one of {', '.join(PACKAGED)}"
    )


def _holds_tables(folder: Path) -> bool:
    if (folder / MANIFEST_FILE).exists():
        return False
    return any(folder.glob("*.parquet")) or any(folder.glob("data/*.parquet"))


def iterate_samples(where: str | Path) -> Iterator[Sample]:
    """Yields a benchmark's samples without bringing its media, for a look before it is fetched.

    Args:
        where: What :func:`vidchatbench.load_benchmark` takes.

    Yields:
        The samples, in the manifest's order.

    Raises:
        UsageError: If there is no such benchmark.
        InputError: If rows are no samples; said after the last good one.
        UnavailableError: If the hub cannot be reached or wants a login.
    """
    from vidchatbench.benchmark.hub import HubName, HubTable, find_dataset  # needs the hub's clients
    from vidchatbench.benchmark.local_tables import open_table  # needs pyarrow

    path = Path(where).expanduser()
    if isinstance(where, str) and is_hub_name(where) and not path.exists():
        name = HubName.parse(where)
        yield from HubTable(name, find_dataset(name), lambda: "").samples()
    elif path.name != MANIFEST_FILE and (path.is_file() or (path.is_dir() and not (path / MANIFEST_FILE).exists())):
        for row in open_table(path).rows():
            yield row.sample
    else:
        yield from load_benchmark(where)
