"""Floor rows: what replies that took no work score, beside the anchors of a benchmark.

A still picture or an echo of the initiator is no system, and what it scores is what a system must beat. The rows are
computed once, with the anchors, by the same code as every run, and are never ranked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import ValidationError, model_validator

from vidchatbench.api.samples import Sha256
from vidchatbench.core import paths
from vidchatbench.core.atomic import write_atomically
from vidchatbench.core.models import FrozenModel
from vidchatbench.core.validation import describe_validation
from vidchatbench.errors import InputError
from vidchatbench.results.scale import members_of, overall_of
from vidchatbench.results.schema import Anchors, Finite, Results, SuiteRef

FLOORS_FILE = "floors.json"


class FloorScore(FrozenModel):
    """A floor row in one metric; ``anchored`` is on the scale of ``anchors``: 0 is the null, 100 the real replies."""

    metric: str
    version: int
    protocol: str
    value: Finite | None
    anchored: Finite | None
    anchors: Anchors

    def is_of(self, metric: str, version: int, protocol: str) -> bool:
        """Returns whether the score is of a metric in a version and a protocol."""
        return (self.metric, self.version, self.protocol) == (metric, version, protocol)


class FloorRow(FrozenModel):
    """What one kind of reply scores that took no work.

    Attributes:
        name: Name of the reference submission.
        title: What to print.
        does: What the reply is, in a sentence.
        recipe_sha256: Hash of how its clips were made.
        scores: Its score in every metric.
        dimensions: Means of the anchored scores by dimension.
        overall: The overall score over these dimensions.
    """

    name: str
    title: str
    does: str
    recipe_sha256: Sha256
    scores: tuple[FloorScore, ...]
    dimensions: dict[str, Finite]
    overall: Finite | None

    @classmethod
    def of(cls, results: Results, *, name: str, title: str, does: str, recipe_sha256: str) -> FloorRow:
        """Builds the row of a run; other arguments as the attributes of their names."""
        places = {metric.id: metric.anchored for metric in results.metrics if metric.anchored is not None}
        members = members_of((metric.id, metric.dimension, metric.id in places) for metric in results.metrics)
        dimensions = {
            one.dimension.value: sum(places[metric] for metric in one.metrics) / len(one.metrics)
            for one in members
            if one.metrics
        }
        scores = tuple(
            FloorScore(
                metric=m.id,
                version=m.version,
                protocol=m.protocol,
                value=m.value,
                anchored=m.anchored,
                anchors=m.anchors,
            )
            for m in results.metrics
        )
        return cls(
            name=name,
            title=title,
            does=does,
            recipe_sha256=recipe_sha256,
            scores=scores,
            dimensions=dimensions,
            overall=overall_of(list(dimensions.values())),
        )


class FloorTable(FrozenModel):
    """``floors.json``: the floor rows of a benchmark and a suite; ``rows_sha256`` is the hash of the rows."""

    schema_version: Literal[1] = 1
    manifest_sha256: Sha256
    suite: SuiteRef
    rows: tuple[FloorRow, ...]
    rows_sha256: Sha256

    @model_validator(mode="after")
    def _check_hash(self) -> FloorTable:
        if self.rows_sha256 != hash_rows(self.rows):
            raise ValueError("rows_sha256 is not the hash of the rows")
        return self

    @classmethod
    def of(cls, manifest_sha256: str, suite: SuiteRef, rows: Sequence[FloorRow]) -> FloorTable:
        """Builds the table of some rows."""
        return cls(manifest_sha256=manifest_sha256, suite=suite, rows=tuple(rows), rows_sha256=hash_rows(rows))


def hash_rows(rows: Sequence[FloorRow]) -> str:
    """Returns the sha256 of rows: of their JSON with sorted keys and no spaces."""
    content = [row.model_dump(mode="json") for row in rows]
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def floors_file(manifest_sha256: str) -> Path:
    """Returns where the floor rows that were built on this computer are kept."""
    return paths.cache_root() / "anchors" / f"{manifest_sha256}.floors.json"


def save_floors(table: FloorTable) -> Path:
    """Keeps floor rows on this computer, in place of older ones, and returns where.

    Raises:
        OSError: If the file cannot be written.
    """
    path = floors_file(table.manifest_sha256)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(table.model_dump(mode="json"), indent=2) + "\n").encode())
    return path


def read_floors(path: Path, manifest_sha256: str, suite: SuiteRef) -> tuple[FloorRow, ...]:
    """Reads floor rows; none where there is no such file, or it is of another suite.

    Args:
        path: The file.
        manifest_sha256: Hash of the benchmark's manifest.
        suite: The suite whose rows are wanted.

    Raises:
        InputError: If the file is damaged or belongs to another benchmark.
    """
    if not path.is_file():
        return ()
    try:
        table = FloorTable.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise InputError(str(path), describe_validation(error), "Delete it and build the anchors again.") from error
    if table.manifest_sha256 != manifest_sha256:
        raise InputError(str(path), ["these rows belong to another manifest"], "Delete it and build them again.")
    return table.rows if table.suite == suite else ()


def known_floors(results: Results) -> tuple[FloorRow, ...]:
    """Returns the floor rows that were built on this computer for a run's benchmark, suite and protocols.

    Raises:
        InputError: If their file is damaged.
    """
    manifest = results.benchmark.manifest_sha256
    mine = results.metrics
    rows = read_floors(floors_file(manifest), manifest, results.suite)
    return tuple(
        row
        for row in rows
        if all(any(s.is_of(m.id, m.version, m.protocol) and s.anchors == m.anchors for m in mine) for s in row.scores)
    )
