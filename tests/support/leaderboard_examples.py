"""Boards of any size, made up from a seed: the page and the ranking are tested on the same ones.

``make_board(systems, metrics)`` gives a :class:`Leaderboard` with ranked, unranked, incomplete, recomputed and reported
rows; ``make_samples(board, row_id)`` gives the sample file of one of its rows. Numbers are random, shapes are real.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

import numpy as np

from vidchatbench.api.cards import Dimension
from vidchatbench.api.scores import Status
from vidchatbench.leaderboard.schema import (
    AnchoredScore,
    Cell,
    Column,
    Leaderboard,
    Openness,
    Place,
    Provenance,
    Row,
    SampleInfo,
    SampleScores,
    SystemSamples,
    Trust,
)
from vidchatbench.results.scale import members_of
from vidchatbench.results.schema import BenchmarkRef, SuiteRef
from vidchatbench.submission.system import SystemDescription

N_SAMPLES = 500
COPY = 4
"""Place of the row whose replies look like copies."""

START = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
DIMENSIONS = tuple(Dimension)[:6]
LICENCES = ("Apache-2.0", "MIT", "CC-BY-NC-4.0", None)
HOSTILE = (
    '<script>alert("x")</script>',
    "<img src=x onerror=alert(1)>",
    "\"'><svg/onload=alert(1)>",
    "</script><script>alert(1)</script>",
    "=HYPERLINK(1)&amp;\u202emoc",
)


def make_columns(metrics: int) -> tuple[Column, ...]:
    """Columns over six dimensions; every fifth is a distance of sets without anchors."""
    columns = []
    for k in range(metrics):
        dimension, is_set = DIMENSIONS[k % len(DIMENSIONS)], k % 5 == 4
        columns.append(
            Column(
                id=f"{dimension.value}/metric_{k:02d}",
                version=1,
                title=f"Metric {k:02d}",
                protocol=f"metric_{k:02d}/25fps-v1",
                dimension=dimension,
                direction="lower" if k % 3 == 1 or is_set else "higher",
                unit=("", "dB", "MOS")[k % 3],
                aggregation="set" if is_set else "mean",
                anchored=not is_set,
                reported=False,
            )
        )
    return tuple(columns)


def make_board(systems: int = 12, metrics: int = 10, *, seed: int = 0, hostile: bool = False) -> Leaderboard:
    """Returns a board of ``systems`` computed rows and one reported row; with ``hostile``, names are attacks."""
    generator = np.random.Generator(np.random.PCG64(seed))
    columns = make_columns(metrics)
    quality = np.sort(generator.uniform(10, 90, systems))[::-1]
    # The last of every seven is not ranked; the others are, in the order of their quality.
    ranked = [place for place in range(systems) if place % 7 != 6]
    places = {
        place: Place(rank=r + 1, rank_low=max(1, r), rank_high=min(len(ranked), r + 3), tier=1 + r // 3)
        for r, place in enumerate(ranked)
    }
    rows = [
        _row(place, float(quality[place]), columns, places.get(place), generator, hostile) for place in range(systems)
    ]
    reported, row = _reported(columns)
    return Leaderboard(
        benchmark=BenchmarkRef(name="example", version="1.0.0", manifest_sha256="e" * 64, n_samples=N_SAMPLES),
        suite=SuiteRef(name="official", version=1),
        metrics=(*columns, *reported),
        dimensions=members_of((column.id, column.dimension, column.anchored) for column in columns),
        rows=(*rows, row),
        left_out=(),
        generated_from=Provenance(vidchatbench_version="0.0.0", seed=0, draws=10_000, level=0.95),
    )


def _row(
    place: int,
    quality: float,
    columns: Sequence[Column],
    standing: Place | None,
    generator: np.random.Generator,
    hostile: bool,
) -> Row:
    incomplete = standing is None
    name = HOSTILE[place % len(HOSTILE)] if hostile else f"System {place:03d}"
    trust: Trust = "recomputed" if place % 4 == 0 else "self_scored"
    openness: tuple[Openness, ...] = ("open_weights", "open_code", "closed", "unknown")
    system = SystemDescription(
        name=name[:100],
        revision=f"v{place % 3 + 1}",
        organisation=HOSTILE[(place + 1) % len(HOSTILE)] if hostile else f"Group {place % 9}",
        authors=("A. Author", "B. Author"),
        paper="https://example.org/paper",
        open_weights=openness[place % 4] == "open_weights" or None,
        parameters="7B",
        training_data="SpeakerVid-5M, training part",
        training_overlap="none of the test identities",
        license=LICENCES[place % len(LICENCES)],
    )
    values = {column.id: _cell(column, quality, incomplete, standing, generator) for column in columns}
    anchored = [column for column in columns if column.anchored]
    dimensions = {}
    for dimension in {column.dimension: None for column in anchored}:
        members = [column.id for column in anchored if column.dimension is dimension]
        mean = float(np.mean([values[name].anchored for name in members]))
        dimensions[dimension.value] = AnchoredScore(
            anchored=mean, ci95=(mean - 3, mean + 3), metrics=tuple(members), place=standing
        )
    overall = float(np.mean([score.anchored for score in dimensions.values()]))
    row_id = f"system-{place:03d}@v{place % 3 + 1}"
    return Row(
        id=row_id,
        system=system,
        trust=trust,
        tasks=("dialogue",) if place % 3 else ("dialogue", "listening"),
        openness=openness[place % 4],
        licence=system.license,
        values=values,
        dimensions={} if incomplete else dimensions,
        overall=None
        if incomplete
        else AnchoredScore(
            anchored=overall, ci95=(overall - 2, overall + 2), metrics=tuple(dimensions), place=standing
        ),
        complete=not incomplete,
        ranked=not incomplete,
        why_unranked=(f"{columns[0].id}: 3 samples failed through our own error",) if incomplete else (),
        bundle_sha256=f"{place:064x}",
        submitted=START + timedelta(days=place),
        source=None,
        recomputed_by="the maintainers" if trust == "recomputed" else None,
        links={"paper": "https://example.org/paper", "code": "https://example.org/code?a=1&b=2"},
        samples=f"samples/{row_id}.json",
        flags=("PSNR is 41.2 dB in the median, over 40 dB: the replies look like copies of the real ones",)
        if place == COPY
        else (),
    )


def _cell(
    column: Column, quality: float, incomplete: bool, standing: Place | None, generator: np.random.Generator
) -> Cell:
    anchored = quality + float(generator.normal(0, 4))
    value = anchored / 10 if column.direction == "higher" else 12 - anchored / 10
    broken = incomplete and column.id.endswith("00")
    failed, errors = int(generator.integers(0, 6)), 3 if broken else 0
    ok = N_SAMPLES - failed - errors
    return Cell(
        value=value,
        ci95=(value - 0.4, value + 0.4),
        n_expected=N_SAMPLES,
        n_ok=ok,
        n_failed=failed,
        n_not_applicable=0,
        n_error=errors,
        coverage=ok / N_SAMPLES,
        anchored=anchored if column.anchored else None,
        unranked="3 samples failed through our own error" if broken else None,
        place=standing,
    )


def _reported(columns: Sequence[Column]) -> tuple[tuple[Column, ...], Row]:
    column = columns[0].model_copy(
        update={
            "id": "reported/fid",
            "title": "FID (paper)",
            "protocol": "reported/example-paper",
            "direction": "lower",
            "anchored": False,
            "reported": True,
        }
    )
    cell = Cell(
        value=32.35,
        ci95=None,
        n_expected=N_SAMPLES,
        n_ok=None,
        n_failed=None,
        n_not_applicable=None,
        n_error=None,
        coverage=None,
        anchored=None,
        unranked="reported by a paper",
        place=None,
    )
    row = Row(
        id="example-paper@dyadic",
        system=SystemDescription(name="Example paper, dyadic", paper="https://example.org/paper"),
        trust="reported",
        tasks=("dialogue",),
        openness="unknown",
        licence=None,
        values={column.id: cell},
        dimensions={},
        overall=None,
        complete=False,
        ranked=False,
        why_unranked=("reported by a paper: nobody computed it here",),
        bundle_sha256=None,
        submitted=None,
        source="Example et al. 2026, table 4",
        recomputed_by=None,
        links={"paper": "https://example.org/paper"},
        samples=None,
    )
    return (column,), row


def make_samples(board: Leaderboard, row_id: str, *, n: int = 40, seed: int = 0) -> SystemSamples:
    """Returns the sample file of a computed row: ``n`` samples, some failed, one that a metric does not apply to."""
    generator = np.random.Generator(np.random.PCG64([seed, sum(row_id.encode())]))
    samples = tuple(
        SampleInfo(
            id=f"sample {k:03d}",
            cluster=f"speaker {k % 11:02d}",
            task="dialogue" if k % 5 else "listening",
            candidate=None if k % 13 == 12 else f"sample {k:03d}.mp4",
            candidate_sha256=None if k % 13 == 12 else f"{k:064x}",
        )
        for k in range(n)
    )
    metrics = {}
    for column in board.metrics:
        if column.reported:
            continue
        values: list[float | None] = [float(value) for value in generator.normal(5, 1, n)]
        counted, statuses, reasons = list(values), [Status.OK] * n, {}
        for k in range(12, n, 13):
            values[k], counted[k], statuses[k], reasons[k] = None, 0.0, Status.OUTPUT_MISSING, "there is no output"
        values[0] = counted[0] = None
        statuses[0], reasons[0] = Status.NOT_APPLICABLE, "the sample has no real reply"
        metrics[column.id] = SampleScores(
            values=tuple(values),
            counted=tuple(counted if column.aggregation == "mean" else [None] * n),
            statuses=tuple(statuses),
            reasons=reasons,
        )
    return SystemSamples(row=row_id, samples=samples, metrics=metrics)
