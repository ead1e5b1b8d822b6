"""The anchors of a benchmark as files: what each metric gives for the real replies and for wrong ones.

Published ones lie in the benchmark's folder as ``anchors.json``, those that were built on this computer in the cache.
An entry is of one metric in one version, protocol and set of weights, and is never read for another.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field, ValidationError, model_validator

from vidchatbench.api.cards import Ceiling
from vidchatbench.api.metrics import Metric
from vidchatbench.api.plugins import WeightSpec
from vidchatbench.api.samples import SampleId, Sha256
from vidchatbench.benchmark.format import Benchmark
from vidchatbench.core import paths
from vidchatbench.core.atomic import write_atomically
from vidchatbench.core.models import FrozenModel
from vidchatbench.core.validation import describe_validation
from vidchatbench.errors import InputError
from vidchatbench.results.scale import hash_ceilings
from vidchatbench.results.schema import Anchors, Finite
from vidchatbench.weights.table import weight_spec

ANCHORS_FILE = "anchors.json"

ORACLE = "oracle"
"""Name of the system whose outputs are the real replies."""


class AnchorIdentity(NamedTuple):
    """What anchors are of; ``weights`` are the sorted sha256 of the weights that took part."""

    metric: str
    version: int
    protocol: str
    weights: tuple[str, ...]

    @classmethod
    def of(cls, metric: Metric, weights: Mapping[str, WeightSpec]) -> AnchorIdentity:
        """Returns the identity of a metric's anchors.

        Args:
            metric: The metric.
            weights: The weights table.
        """
        card = metric.card
        hashes = tuple(sorted(weight_spec(weights, name).sha256 or "" for name in card.weights))
        return cls(card.id, card.version, card.protocol, hashes)


class AnchorEntry(FrozenModel):
    """The anchors of one metric.

    Attributes:
        metric: The metric's id.
        version: Its version.
        protocol: Its protocol id.
        weights: sha256 of the weights that took part, sorted.
        oracle: What the real replies score; with ``ceiling`` ``reencoded_reply``, what they score after an encoding at
            crf 18.
        nulls: What replies that are wrong on purpose score, with every sample cut like a system's.
        n: Samples that the numbers rest on.
        ceiling: What the oracle is.
        samples: The oracle's value of every sample, above which nothing counts; empty in files of schema version 1,
            with which nothing is cut.
        samples_sha256: Hash of ``samples``; see :func:`vidchatbench.results.scale.hash_ceilings`.
    """

    metric: str
    version: int
    protocol: str
    weights: tuple[Sha256, ...]
    oracle: Finite | None
    nulls: dict[str, Finite]
    n: int
    ceiling: Ceiling = "reply"
    samples: dict[SampleId, Finite] = Field(default_factory=dict)
    samples_sha256: Sha256 | None = None

    @model_validator(mode="after")
    def _check_hash(self) -> AnchorEntry:
        if self.samples_sha256 != (hash_ceilings(self.samples) if self.samples else None):
            raise ValueError(f"samples_sha256 of {self.metric} is not the hash of its samples")
        return self

    @property
    def anchors(self) -> Anchors:
        """What stands beside a score."""
        return Anchors(
            oracle=self.oracle, nulls=dict(self.nulls), ceiling=self.ceiling, samples_sha256=self.samples_sha256
        )

    @property
    def identity(self) -> AnchorIdentity:
        """What the anchors are of."""
        return AnchorIdentity(self.metric, self.version, self.protocol, self.weights)


class AnchorTable(FrozenModel):
    """``anchors.json``: the anchors of a benchmark, beside it or in the cache."""

    schema_version: Literal[1, 2] = 2
    manifest_sha256: Sha256
    anchors: tuple[AnchorEntry, ...]


def anchors_file(benchmark: Benchmark) -> Path:
    """Returns where the anchors that were built on this computer are kept."""
    return paths.cache_root() / "anchors" / f"{benchmark.header.manifest_sha256}.json"


def known_anchors(
    benchmark: Benchmark, metrics: Sequence[Metric], weights: Mapping[str, WeightSpec]
) -> dict[str, AnchorEntry]:
    """Returns the anchors of a benchmark, by metric id.

    Those in the benchmark's folder go before those that were built on this computer. Anchors of another version,
    protocol or weights file are not this metric's.

    Args:
        benchmark: The benchmark.
        metrics: The metrics; those without anchors are left out.
        weights: The weights table.

    Raises:
        InputError: If a file of anchors is damaged or belongs to another benchmark.
    """
    anchors: dict[str, AnchorEntry] = {}
    for path in (anchors_file(benchmark), benchmark.root / ANCHORS_FILE):
        entries = {entry.identity: entry for entry in _read(path, benchmark)}
        for metric in metrics:
            entry = entries.get(AnchorIdentity.of(metric, weights))
            if entry is not None:
                anchors[metric.card.id] = entry
    return anchors


def save_anchors(benchmark: Benchmark, entries: Sequence[AnchorEntry], path: Path | None = None) -> None:
    """Adds anchors to those that are kept on this computer, in place of older ones of the same identity.

    Args:
        benchmark: The benchmark.
        entries: The anchors.
        path: The file to add them to, such as the one beside the benchmark; by default that of this computer.

    Raises:
        InputError: If the file of anchors is damaged or belongs to another benchmark.
        OSError: If it cannot be written.
    """
    path = path or anchors_file(benchmark)
    merged = {entry.identity: entry for entry in (*_read(path, benchmark), *entries)}
    table = AnchorTable(
        manifest_sha256=benchmark.header.manifest_sha256,
        anchors=tuple(merged[identity] for identity in sorted(merged)),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(table.model_dump(mode="json"), indent=2) + "\n").encode())


def _read(path: Path, benchmark: Benchmark) -> tuple[AnchorEntry, ...]:
    if not path.is_file():
        return ()
    try:
        table = AnchorTable.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise InputError(str(path), describe_validation(error), "Delete it and build the anchors again.") from error
    if table.manifest_sha256 != benchmark.header.manifest_sha256:
        raise InputError(str(path), ["these anchors belong to another manifest"], "Delete it and build them again.")
    return table.anchors
