"""Reading a benchmark from a folder: ``benchmark.json``, ``manifest.jsonl`` and the media they name."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vidchatbench import paths
from vidchatbench.contract.samples import Sample, Sha256, Side
from vidchatbench.errors import InputError, UsageError
from vidchatbench.media.hashing import hash_file

HEADER_FILE = "benchmark.json"
MANIFEST_FILE = "manifest.jsonl"
PACKAGED = ("test_500",)


class BenchmarkHeader(BaseModel):
    """``benchmark.json``: what the benchmark is, bound to its manifest by hash."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1]
    name: str
    version: str
    description: str
    n_samples: int = Field(ge=1)
    manifest_sha256: Sha256
    license: str


@dataclass(frozen=True)
class Benchmark:
    """A loaded benchmark.

    Attributes:
        root: Its folder.
        header: ``benchmark.json``.
        samples: The samples in the manifest's order.
    """

    root: Path
    header: BenchmarkHeader
    samples: tuple[Sample, ...]

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)

    def media(self, relative: str) -> Path:
        """Returns the path of a media file of the benchmark."""
        return self.root / relative

    def verify_media(self) -> None:
        """Checks that every media file is there and is the one of the manifest.

        Raises:
            InputError: Listing every missing or differing file.
        """
        problems = []
        for relative, expected in self._media_hashes():
            path = self.media(relative)
            if not path.is_file():
                problems.append(f"{relative}: the media file is missing")
            elif expected is not None and (actual := hash_file(path)) != expected:
                problems.append(f"{relative}: sha256 is {actual[:12]}..., the manifest says {expected[:12]}...")
        if problems:
            hint = "Bring the benchmark's folder back to its published state; scores on other media mean nothing."
            raise InputError(str(self.root / MANIFEST_FILE), problems, hint)

    def _media_hashes(self) -> list[tuple[str, str | None]]:
        found: dict[tuple[str, str | None], None] = {}
        for sample in self.samples:
            found.update(dict.fromkeys((side.media, side.sha256) for side in _sides(sample)))
            if sample.reference_image is not None:
                found[sample.reference_image, None] = None
        return sorted(found, key=lambda item: (item[0], item[1] or ""))


def load_benchmark(where: str | Path) -> Benchmark:
    """Loads a benchmark by path or by name.

    Args:
        where: A folder, a path to its ``manifest.jsonl``, or a known name (``test_500``, or one that was prepared on
            this computer).

    Raises:
        UsageError: If there is no such folder or name.
        InputError: If the header or the manifest has problems; all of them are listed.
    """
    root = locate_benchmark(where)
    header = _read_header(root / HEADER_FILE)
    manifest = root / MANIFEST_FILE
    if not manifest.is_file():
        raise InputError(str(root), [f"there is no {MANIFEST_FILE}"])
    samples = _read_manifest(manifest)
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
    """Returns the folder of a benchmark given by path or name.

    Raises:
        UsageError: If nothing is found; the error says where it was looked for.
    """
    path = Path(where).expanduser()
    if path.name == MANIFEST_FILE and path.is_file():
        return path.parent
    if path.is_dir():
        return path
    name = str(where)
    prepared = paths.benchmarks_root() / name
    if "/" not in name and prepared.is_dir():
        return prepared
    if name in PACKAGED:
        packaged = paths.packaged_benchmark(name)
        if (packaged / MANIFEST_FILE).is_file():
            return packaged
        raise UsageError(
            f"benchmark {name!r} is not prepared on this computer: its media cannot be shipped. "
            f"Pass --benchmark PATH with the folder of a prepared benchmark; {packaged / 'README.md'} says more."
        )
    raise UsageError(
        f"there is no benchmark {name!r}: neither a folder of that path, nor a prepared benchmark in "
        f"{paths.benchmarks_root()}, nor one of {', '.join(PACKAGED)}"
    )


def _read_header(path: Path) -> BenchmarkHeader:
    if not path.is_file():
        raise InputError(str(path.parent), [f"there is no {HEADER_FILE}"], "A benchmark is a folder with that file.")
    try:
        return BenchmarkHeader.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise InputError(str(path), describe_validation(error)) from error
    except UnicodeDecodeError as error:
        raise InputError(str(path), [f"not UTF-8 text: {error}"]) from error


def _read_manifest(path: Path) -> list[Sample]:
    samples: list[Sample] = []
    problems: list[str] = []
    try:
        # Not splitlines: JSON text may hold other separators that it takes for the end of a line.
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(str(path), [f"not UTF-8 text: {error}"]) from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            samples.append(Sample.model_validate(json.loads(line)))
        except ValidationError as error:
            problems += [f"line {number}: {text}" for text in describe_validation(error)]
        except json.JSONDecodeError as error:
            problems.append(f"line {number}: not JSON: {error}")
    problems += _duplicates(samples)
    if not samples and not problems:
        problems.append("the manifest has no sample")
    if problems:
        raise InputError(str(path), problems)
    return samples


def _duplicates(samples: Sequence[Sample]) -> list[str]:
    # Case is folded because two ids that differ in case alone are one file name on many systems.
    counts = Counter(sample.id.casefold() for sample in samples)
    return [f"sample id {sample_id!r} stands {n} times" for sample_id, n in sorted(counts.items()) if n > 1]


def describe_validation(error: ValidationError) -> list[str]:
    """Returns one line per problem of a pydantic error, naming the field."""
    lines = []
    for item in error.errors(include_url=False):
        where = ".".join(str(part) for part in item["loc"])
        message = (
            "unknown field"
            if item["type"] == "extra_forbidden"
            else item["msg"].removeprefix("Value error, ").replace("valid tuple", "list")
        )
        lines.append(f"{where}: {message}" if where else message)
    return lines


def _sides(sample: Sample) -> tuple[Side, ...]:
    return (sample.initiator,) if sample.responder is None else (sample.initiator, sample.responder)
