"""``leaderboard.json`` and the per-system sample files: what `leaderboard build` writes and the page reads.

A board is of one benchmark and one version of one suite. Rows that somebody computed and rows that a paper reports
stand in the same list, but never share a column: a reported number has a column of its own, whose protocol is the
paper's.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from vidchatbench.api.samples import SampleId, Sha256, Task
from vidchatbench.api.scores import Status
from vidchatbench.core.models import FrozenModel
from vidchatbench.results.floors import FloorRow
from vidchatbench.results.scale import DimensionMembers
from vidchatbench.results.schema import BenchmarkRef, Finite, MetricRef, SuiteRef
from vidchatbench.submission.system import SystemDescription

LEADERBOARD_FILE = "leaderboard.json"
SAMPLES_FOLDER = "samples"

Trust = Literal["reported", "self_scored", "recomputed"]
Openness = Literal["open_weights", "open_code", "closed", "unknown"]
LinkName = Literal["paper", "code", "weights"]
Percent = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


def check_link(value: str) -> str:
    """Returns an address if a browser may be sent there: ``https`` or ``http``, and nothing that could hide another.

    Raises:
        ValueError: If it is of another scheme, names a user, or holds spaces, quotes, brackets or control characters.
    """
    if not value.startswith(("https://", "http://")) or any(c in value for c in "\"'<>\\`") or not value.isprintable():
        raise ValueError("a link starts with https:// or http:// and holds no quotes, brackets or control characters")
    if has_credentials(value):
        raise ValueError("a link holds neither a user's name nor a password: what stands before @ is no address")
    if any(c.isspace() for c in value):
        raise ValueError("a link holds no spaces")
    return value


def has_credentials(link: str) -> bool:
    """Returns whether an address names a user, and perhaps a password, before its host."""
    return "@" in re.split(r"[/?#]", link.partition("://")[2], maxsplit=1)[0]


Link = Annotated[str, AfterValidator(check_link)]
RowId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*(@[a-z0-9][a-z0-9._-]*)?$", max_length=200)]


class Column(MetricRef):
    """One metric of the board.

    ``reported`` columns hold what papers print and nobody computed here; ``anchored`` says whether the metric has
    anchors, so that it enters its dimension's mean.
    """

    anchored: bool
    reported: bool


class Place(FrozenModel):
    """Where a system stands among the ranked ones.

    ``rank`` is one more than the number of systems with a better value, so that equal values share it. ``rank_low`` and
    ``rank_high`` are the best and the worst rank of the 95 % interval. ``tier`` is the length of the longest chain of
    systems that ends here and in which each is significantly better than the next: nobody in a tier is significantly
    better than another of the same tier.
    """

    rank: int = Field(ge=1)
    rank_low: int = Field(ge=1)
    rank_high: int = Field(ge=1)
    tier: int = Field(ge=1)


class Cell(FrozenModel):
    """One system in one metric; counts are ``None`` where a paper does not state them."""

    value: Finite | None
    ci95: tuple[Finite, Finite] | None
    n_expected: int | None
    n_ok: int | None
    n_failed: int | None
    n_not_applicable: int | None
    n_error: int | None
    coverage: Percent | None
    anchored: Finite | None
    unranked: str | None
    place: Place | None


class AnchoredScore(FrozenModel):
    """A dimension's score, or the overall one, on the scale from 0 (null) to 100 (the real replies).

    ``metrics`` names what entered, of a dimension its metrics, of the overall score its dimensions.
    """

    anchored: Finite
    ci95: tuple[Finite, Finite] | None
    metrics: tuple[str, ...]
    place: Place | None


class Row(FrozenModel):
    """One system in one revision.

    Attributes:
        id: ``<system>@<revision>``, a safe file stem.
        system: What the submission says of itself; never trusted as markup.
        trust: ``reported`` by a paper, ``self_scored`` by whoever submitted, ``recomputed`` by the maintainers.
        tasks: The tasks of the samples that it answered; empty where that is not known.
        openness: ``open_weights``, ``open_code``, ``closed`` or ``unknown``, as the system's description says.
        licence: Licence of the system, as its description says.
        values: One cell per column that the row has something in, by the column's id.
        dimensions: Scores on the anchored scale by dimension; only those in which the row is whole.
        overall: Geometric mean of the dimensions' scores, each taken as at least 1.
        complete: Whether every metric of the suite has a number for every sample.
        ranked: Whether the row takes part in the ranking.
        why_unranked: One sentence per reason.
        bundle_sha256: Hash of the submitted bundle; ``None`` for reported rows.
        submitted: When the run finished, UTC.
        source: What a reported row is cited from.
        recomputed_by: Who recomputed it.
        links: Where to read on.
        samples: Path of the system's sample file beside ``leaderboard.json``.
        flags: What a reader should know before the numbers, such as that the replies look like copies of the real ones.
    """

    id: RowId
    system: SystemDescription
    trust: Trust
    tasks: tuple[Task, ...]
    openness: Openness
    licence: str | None
    values: dict[str, Cell]
    dimensions: dict[str, AnchoredScore]
    overall: AnchoredScore | None
    complete: bool
    ranked: bool
    why_unranked: tuple[str, ...]
    bundle_sha256: Sha256 | None
    submitted: datetime | None
    source: str | None
    recomputed_by: str | None
    links: dict[LinkName, Link]
    samples: str | None
    flags: tuple[str, ...] = ()


class LeftOut(FrozenModel):
    """A bundle that is not on the board, and why."""

    bundle: str
    reason: str


class Provenance(FrozenModel):
    """What the board was made with; the same bundles and the same of these give the same bytes."""

    vidchatbench_version: str
    seed: int
    draws: int
    level: Finite


class Leaderboard(FrozenModel):
    """``leaderboard.json``; ``dimensions`` says what the overall score is made of, and what it lacks.

    ``floors`` are what replies score that took no work; never ranked.
    """

    schema_version: Literal[1] = 1
    benchmark: BenchmarkRef
    suite: SuiteRef
    metrics: tuple[Column, ...]
    dimensions: tuple[DimensionMembers, ...] = ()
    rows: tuple[Row, ...]
    floors: tuple[FloorRow, ...] = ()
    left_out: tuple[LeftOut, ...]
    generated_from: Provenance

    def to_json(self) -> str:
        """Returns the text of the file: sorted keys, no NaN, the same bytes for the same board."""
        content = self.model_dump(mode="json")
        return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


class SampleInfo(FrozenModel):
    """One sample as a system's page shows it; ``candidate_sha256`` is of the submitted file."""

    id: SampleId
    cluster: str
    task: Task | None
    candidate: str | None
    candidate_sha256: Sha256 | None


class SampleScores(FrozenModel):
    """One metric over the samples, in the order of ``samples``; ``None`` where a sample has no value."""

    values: tuple[Finite | None, ...]
    counted: tuple[Finite | None, ...]
    statuses: tuple[Status, ...]
    reasons: dict[int, str]


class SystemSamples(FrozenModel):
    """``samples/<row id>.json``: what one system scored on every sample.

    ``reasons`` are by place in ``samples``. ``counted`` is what entered the mean: the value, or the worst value where
    the submission was at fault; always ``None`` for distances of sets.
    """

    schema_version: Literal[1] = 1
    row: RowId
    samples: tuple[SampleInfo, ...]
    metrics: dict[str, SampleScores]

    def to_json(self) -> str:
        """Returns the text of the file; the same bytes for the same samples."""
        content = self.model_dump(mode="json")
        return json.dumps(content, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"
