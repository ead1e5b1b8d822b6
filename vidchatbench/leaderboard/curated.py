"""What maintainers write by hand beside the submissions: reported rows of papers, and which bundles they recomputed."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from vidchatbench.api.cards import Dimension
from vidchatbench.api.samples import Sha256, Task
from vidchatbench.core.models import FrozenModel
from vidchatbench.core.validation import describe_validation
from vidchatbench.errors import InputError
from vidchatbench.leaderboard.schema import Cell, Column, Link, Row, RowId
from vidchatbench.results.schema import Finite
from vidchatbench.submission.system import SystemDescription

REPORTED_FOLDER = "reported"
RECOMPUTED_FILE = "recomputed.yaml"
M = TypeVar("M", bound=BaseModel)


class ReportedColumn(FrozenModel):
    """A metric as a paper names it."""

    id: Annotated[str, Field(pattern=r"^reported/[a-z0-9_]+$")]
    title: str
    dimension: Dimension
    direction: Literal["higher", "lower"]
    unit: str = ""


class ReportedRow(FrozenModel):
    """One configuration as a paper reports it."""

    id: RowId
    name: str
    configuration: str
    tasks: tuple[Task, ...] = ()
    values: dict[str, Finite]


class ReportedTable(FrozenModel):
    """A table of a paper.

    Attributes:
        source: What is cited, in words, with the place in it.
        url: Where to read it.
        citation: BibTeX.
        benchmark: Name of the benchmark that the numbers are of.
        n_samples: Samples that they rest on.
        protocol: Protocol id under which the numbers are shown; never one of this library's.
        organisation: Who made the system.
        columns: Its metrics.
        rows: Its rows.
    """

    schema_version: Literal[1]
    source: str
    url: Link
    citation: str
    benchmark: str
    n_samples: int
    protocol: Annotated[str, Field(pattern=r"^reported/[a-z0-9_.+-]+$")]
    organisation: str | None = None
    columns: tuple[ReportedColumn, ...]
    rows: tuple[ReportedRow, ...]

    @model_validator(mode="after")
    def _check_columns(self) -> ReportedTable:
        known = {column.id for column in self.columns}
        for row in self.rows:
            if strange := sorted(set(row.values) - known):
                raise ValueError(f"row {row.id} has values of no column: {', '.join(strange)}")
        return self


class Recomputed(FrozenModel):
    """A bundle whose numbers the maintainers worked out again from the media."""

    bundle_sha256: Sha256
    by: str
    when: date
    note: str | None = None


class RecomputedList(FrozenModel):
    """``recomputed.yaml``."""

    schema_version: Literal[1]
    bundles: tuple[Recomputed, ...]


def read_reported(root: Path, benchmark: str) -> tuple[tuple[Column, ...], tuple[Row, ...]]:
    """Returns the columns and rows that papers report for a benchmark.

    Args:
        root: The leaderboard's folder.
        benchmark: The board's benchmark; tables of others are left out.

    Raises:
        InputError: If a table is not valid, or two tables claim one column or row.
    """
    columns: dict[str, Column] = {}
    rows: dict[str, Row] = {}
    for path in sorted((root / REPORTED_FOLDER).glob("*.yaml")):
        table = _read(path, ReportedTable)
        if table.benchmark != benchmark:
            continue
        mine = [_column(table, column) for column in table.columns]
        taken = [c.id for c in mine if c.id in columns] + [row.id for row in table.rows if row.id in rows]
        if taken:
            raise InputError(str(path), [f"{', '.join(taken)} stands in another table too"], "Give it another id.")
        columns |= {column.id: column for column in mine}
        rows |= {row.id: _row(table, row) for row in table.rows}
    return tuple(columns.values()), tuple(rows[name] for name in sorted(rows))


def read_recomputed(root: Path) -> dict[str, Recomputed]:
    """Returns what the maintainers recomputed, by the hash of the bundle.

    Raises:
        InputError: If the list is not valid.
    """
    path = root / RECOMPUTED_FILE
    if not path.is_file():
        return {}
    return {entry.bundle_sha256: entry for entry in _read(path, RecomputedList).bundles}


def _read(path: Path, model: type[M]) -> M:
    try:
        return model.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        raise InputError(str(path), describe_validation(error)) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(str(path), [f"not readable as YAML: {error}"]) from error


def _column(table: ReportedTable, column: ReportedColumn) -> Column:
    return Column(
        **column.model_dump(), version=1, protocol=table.protocol, aggregation="mean", anchored=False, reported=True
    )


def _row(table: ReportedTable, row: ReportedRow) -> Row:
    system = SystemDescription(
        name=row.name,
        revision=row.configuration,
        organisation=table.organisation,
        paper=table.url,
    )
    return Row(
        id=row.id,
        system=system,
        trust="reported",
        tasks=row.tasks,
        openness="unknown",
        licence=None,
        values={name: _cell(table, value) for name, value in row.values.items()},
        dimensions={},
        overall=None,
        complete=False,
        ranked=False,
        why_unranked=("reported by a paper, not computed here",),
        bundle_sha256=None,
        submitted=None,
        source=table.source,
        recomputed_by=None,
        links={"paper": table.url},
        samples=None,
    )


def _cell(table: ReportedTable, value: float) -> Cell:
    return Cell(
        value=value,
        ci95=None,
        n_expected=table.n_samples,
        n_ok=None,
        n_failed=None,
        n_not_applicable=None,
        n_error=None,
        coverage=None,
        anchored=None,
        unranked="reported by a paper, not computed here",
        place=None,
    )
