"""TODO."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from vidchatbench.api.metrics import Metric
from vidchatbench.api.plugins import WeightSpec
from vidchatbench.api.samples import Sha256
from vidchatbench.benchmark.format import Benchmark
from vidchatbench.core import paths
from vidchatbench.core.atomic import write_atomically
from vidchatbench.core.models import FrozenModel
from vidchatbench.core.validation import describe_validation
from vidchatbench.errors import InputError
from vidchatbench.results.schema import Anchors, Finite
from vidchatbench.weights.table import weight_spec

ANCHORS_FILE = "anchors.json"

ORACLE = "oracle"


class AnchorEntry(FrozenModel):
    """The anchors of one metric.

    Attributes:
        metric: The metric's id.
        version: Its version.
        protocol: Its protocol id.
        weights: sha256 of the weights that took part, sorted.
        oracle: What the real replies score.
        nulls: What replies that are wrong on purpose score.
        n: Samples that the numbers rest on.
    """

    metric: str
    version: int
    protocol: str
    weights: tuple[Sha256, ...]
    oracle: Finite | None
    nulls: dict[str, Finite]
    n: int


class AnchorTable(FrozenModel):
    """``anchors.json``: the anchors of a benchmark, beside it or in the cache."""

    schema_version: Literal[1] = 1
    manifest_sha256: Sha256
    anchors: tuple[AnchorEntry, ...]


def anchors_file(benchmark: Benchmark) -> Path:
    """Where anchors that were built on this computer are kept."""
    return paths.cache_root() / "anchors" / f"{benchmark.header.manifest_sha256}.json"


def known_anchors(
    benchmark: Benchmark, metrics: Sequence[Metric], weights: Mapping[str, WeightSpec]
) -> dict[str, Anchors]:
    """Returns the anchors that are known for a benchmark, by metric id.

    Those that lie in the benchmark's folder go before those that were built on this computer. Anchors of another
    version, protocol or weights file are not this metric's.

    Raises:
        InputError: If a file of anchors is damaged or belongs to another benchmark.
    """
    found: dict[str, Anchors] = {}
    for path in (anchors_file(benchmark), benchmark.root / ANCHORS_FILE):
        entries = {_identity(entry): entry for entry in _read(path, benchmark)}
        for metric in metrics:
            entry = entries.get(_identity_of(metric, weights))
            if entry is not None:
                found[metric.card.id] = Anchors(oracle=entry.oracle, nulls=dict(entry.nulls))
    return found


_Identity = tuple[str, int, str, tuple[str, ...]]


def _identity(entry: AnchorEntry) -> _Identity:
    return (entry.metric, entry.version, entry.protocol, entry.weights)


def _identity_of(metric: Metric, weights: Mapping[str, WeightSpec]) -> _Identity:
    hashes = tuple(sorted(weight_spec(weights, name).sha256 or "" for name in metric.card.weights))
    return (metric.card.id, metric.card.version, metric.card.protocol, hashes)


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


def _keep(benchmark: Benchmark, entries: Sequence[AnchorEntry]) -> None:
    path = anchors_file(benchmark)
    merged = {_identity(entry): entry for entry in (*_read(path, benchmark), *entries)}
    table = AnchorTable(
        manifest_sha256=benchmark.header.manifest_sha256,
        anchors=tuple(merged[key] for key in sorted(merged)),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(table.model_dump(mode="json"), indent=2) + "\n").encode())
