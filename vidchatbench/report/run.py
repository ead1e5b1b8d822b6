"""Reading a run folder for the report: the results, and a cell for every sample in every metric."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vidchatbench.api.scores import Status
from vidchatbench.errors import InputError
from vidchatbench.results.files import MEDIA_FILE, SAMPLES_FILE
from vidchatbench.results.sample_rows import SampleRow, read_sample_rows
from vidchatbench.results.schema import MetricResult, Results, load_results

_MAX_PROBLEMS = 20
_WHOLE_FOLDER = "A report needs the whole run folder, as `vidchatbench evaluate` wrote it."


@dataclass(frozen=True)
class Cell:
    """One sample in one metric.

    Attributes:
        sample: Id of the sample.
        cluster: The identity it belongs to.
        status: Its status.
        value: Its score; for metrics of sets the distance between the means of its two sides.
        counted: What entered the mean: the score, or the card's worst value; none for metrics of sets.
        reason: Why there is no score.
        details: Further numbers that the metric kept.
    """

    sample: str
    cluster: str
    status: Status
    value: float | None
    counted: float | None
    reason: str | None
    details: Mapping[str, object]

    @property
    def shown(self) -> float | None:
        """The value to show in tables and plots: the counted one, else the score."""
        return self.counted if self.counted is not None else self.value


@dataclass(frozen=True)
class RunData:
    """A run as the report reads it.

    Attributes:
        folder: The run folder.
        results: ``results.json``.
        samples: Ids of the samples, in the order of the benchmark.
        clusters: The identity of each sample.
        cells: The cells, by metric id and sample id.
        media: The lines of ``media.jsonl``.
    """

    folder: Path
    results: Results
    samples: tuple[str, ...]
    clusters: Mapping[str, str]
    cells: Mapping[str, Mapping[str, Cell]]
    media: tuple[Mapping[str, object], ...]


def read_run(where: str | Path) -> RunData:
    """Reads a run folder.

    Raises:
        InputError: If a file is missing or damaged; all problems of a file are listed.
    """
    folder = Path(where)
    folder = folder if folder.is_dir() else folder.parent
    results = load_results(where)
    cells = _read_cells(folder, [metric.id for metric in results.metrics])
    clusters: dict[str, str] = {}
    for column in cells.values():
        for cell in column.values():
            clusters.setdefault(cell.sample, cell.cluster)
    return RunData(folder, results, tuple(clusters), clusters, cells, _read_media(folder / MEDIA_FILE))


def worst_samples(metric: MetricResult, cells: Mapping[str, Cell], *, with_failed: bool, most: int) -> list[str]:
    """Returns the worst samples of a metric, the worst first.

    Means go by the value that was counted, so that failed samples, which are charged the worst value, come first;
    metrics of sets by the distance between the means of the sample's two sides. Equal samples keep the benchmark's
    order.
    """
    sign = 1.0 if metric.aggregation == "mean" and metric.direction == "higher" else -1.0
    ranked = []
    for place, cell in enumerate(cells.values()):
        failed = cell.status.is_failure_of_output
        if cell.shown is not None and (with_failed or not failed):
            ranked.append((sign * cell.shown, not failed, place, cell.sample))
    return [sample for *_, sample in sorted(ranked)[:most]]


def _read_cells(folder: Path, metrics: Sequence[str]) -> dict[str, dict[str, Cell]]:
    cells: dict[str, dict[str, Cell]] = {metric: {} for metric in metrics}
    problems: list[str] = []
    for row in read_sample_rows(folder, hint=_WHOLE_FOLDER):
        if row.metric not in cells:
            problems.append(f"row {row.line}: results.json has no metric {row.metric!r}")
            continue
        try:
            cell = _cell(row)
        except (ValueError, TypeError) as error:
            problems.append(f"row {row.line}: {error}")
            continue
        if cell.sample in cells[row.metric]:
            problems.append(f"row {row.line}: sample {cell.sample!r} stands twice in {row.metric}")
        cells[row.metric][cell.sample] = cell
    if problems:
        more = len(problems) - _MAX_PROBLEMS
        shown = [*problems[:_MAX_PROBLEMS], f"and {more} more"] if more > 0 else problems
        raise InputError(str(folder / SAMPLES_FILE), shown, "It was changed after the run; evaluate again.")
    return cells


def _cell(row: SampleRow) -> Cell:
    details = json.loads(row.details)
    if not isinstance(details, dict):
        raise TypeError("the details are no JSON object")
    return Cell(
        sample=row.sample_id,
        cluster=row.cluster,
        status=Status(row.status),
        value=_number(row.value),
        counted=_number(row.counted),
        reason=row.reason,
        details=details,
    )


def _number(value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise ValueError(f"{value!r} is no finite number")
    return value


def _read_media(path: Path) -> tuple[Mapping[str, object], ...]:
    # The list of clips only serves to find them; without it the page says so and is otherwise whole.
    if not path.is_file():
        return ()
    lines: list[Mapping[str, object]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            content = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(str(path), [f"line {number}: not JSON: {error}"], _WHOLE_FOLDER) from error
        if not isinstance(content, dict):
            raise InputError(str(path), [f"line {number}: not a JSON object"], _WHOLE_FOLDER)
        lines.append(content)
    return tuple(lines)
