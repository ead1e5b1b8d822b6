"""The form of a benchmark's folder: ``benchmark.json``, ``manifest.jsonl`` and the media that the manifest names."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from vidchatbench.api.samples import Sample, Sha256, sample_media
from vidchatbench.core.hashing import hash_file
from vidchatbench.core.models import FrozenModel
from vidchatbench.core.validation import describe_validation
from vidchatbench.errors import InputError

HEADER_FILE = "benchmark.json"
MANIFEST_FILE = "manifest.jsonl"

_HUB_NAME = re.compile(
    r"\w[\w.-]{0,95}/\w[\w.-]{0,95}(?<!\.git)(?<!\.json)(?<!\.jsonl)(?<!\.parquet)(@[\w./-]+)?", re.ASCII
)


class BenchmarkHeader(FrozenModel):
    """``benchmark.json``: what the benchmark is, bound to its manifest by hash.

    ``n_listed`` is the number of samples of the published list, where clips of some could not be had any more.
    """

    schema_version: Literal[1]
    name: str
    version: str
    description: str
    n_samples: int = Field(ge=1)
    n_listed: int | None = Field(default=None, ge=1)
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
        named = {(media.path, media.sha256) for sample in self.samples for media in sample_media(sample).values()}
        return sorted(named, key=lambda item: (item[0], item[1] or ""))


def is_hub_name(text: str) -> bool:
    """Whether a text has the form of a dataset of the hub: ``user/name`` or ``user/name@revision``."""
    name = text.partition("@")[0]
    return _HUB_NAME.fullmatch(text) is not None and ".." not in name and "--" not in name


def read_header(path: Path) -> BenchmarkHeader:
    """Reads ``benchmark.json``.

    Raises:
        InputError: If the file is missing, is not UTF-8 text or is no header; all problems are listed.
    """
    if not path.is_file():
        raise InputError(str(path.parent), [f"there is no {HEADER_FILE}"], "A benchmark is a folder with that file.")
    try:
        return BenchmarkHeader.model_validate_json(path.read_text(encoding="utf-8-sig"))
    except ValidationError as error:
        raise InputError(str(path), describe_validation(error, BenchmarkHeader)) from error
    except UnicodeDecodeError as error:
        raise InputError(str(path), [f"not UTF-8 text: {error}"]) from error


def read_manifest(path: Path) -> list[Sample]:
    """Reads ``manifest.jsonl``; empty lines and byte-order marks are skipped.

    Raises:
        InputError: If the file is not UTF-8 text, has no sample, or has lines that are none or repeat an id; all
            problems are listed.
    """
    samples: list[Sample] = []
    problems: list[str] = []
    try:
        # Not splitlines: JSON text may hold other separators that it takes for the end of a line.
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(str(path), [f"not UTF-8 text: {error}"]) from error
    for number, line in enumerate(lines, start=1):
        text = line.removeprefix("\ufeff")
        if not text.strip():
            continue
        try:
            samples.append(Sample.model_validate(json.loads(text)))
        except ValidationError as error:
            problems += [f"line {number}: {problem}" for problem in describe_validation(error, Sample)]
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
