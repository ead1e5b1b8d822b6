"""Which reference submissions look like copies of the real replies: by their pictures, and by a bundle alone."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from vidchatbench.audit.recipe import Recipe
from vidchatbench.audit.scores import Table
from vidchatbench.audit.submissions import Submission
from vidchatbench.benchmark.format import Benchmark
from vidchatbench.core.pool import worker_pool
from vidchatbench.core.progress import Progress
from vidchatbench.errors import MediaError
from vidchatbench.leaderboard.verification.check_copies import MAX_MEDIANS
from vidchatbench.submission.check import CONTAINERS
from vidchatbench.submission.copies import copy_of, every_look_of, looks_of

MAX_CLIPS = 32
"""Samples whose clips are looked at; a share of them is known well enough."""


def must_be_looked_at(recipe: Recipe) -> bool:
    """Whether copies are looked for in a reference submission: copies, and what must not be taken for one."""
    return recipe.group in {"oracle", "copy", "no_work"} or recipe.source == "sibling"


def flagged_shares(
    benchmark: Benchmark,
    submissions: Sequence[Submission],
    tables: Mapping[str, Table],
    progress: Progress,
    workers: int,
) -> dict[str, float]:
    """Returns the share of the clips of each submission that are flagged as copies, by the recipe's name.

    Args:
        benchmark: The benchmark.
        submissions: The reference submissions.
        tables: What each metric gives, by metric id.
        progress: Receives progress.
        workers: Processes.
    """
    chosen = [one for one in submissions if one.samples and must_be_looked_at(one.recipe)]
    replies = {
        sample.id: benchmark.media(sample.responder.media) for sample in benchmark if sample.responder is not None
    }
    samples = sorted(replies)[:: max(1, len(replies) // MAX_CLIPS)]
    folders = {one.recipe.name: one.folder for one in chosen}
    look = functools.partial(_flagged, folders)
    progress.begin("looking for copies", len(samples), "samples")
    marks: list[dict[str, bool]] = []
    pairs = [(sample, replies[sample]) for sample in samples]
    if workers == 1 or len(pairs) == 1:
        for pair in pairs:
            marks.append(look(pair))
            progress.advance(len(marks))
    else:
        with worker_pool(min(workers, len(pairs))) as pool:
            for mark in pool.map(look, pairs):
                marks.append(mark)
                progress.advance(len(marks))
    progress.end()
    shares = {}
    for name in folders:
        own = [mark[name] for mark in marks if name in mark]
        if own:
            shares[name] = 1.0 if _is_near(name, tables) else sum(own) / len(own)
    return shares


def _flagged(folders: Mapping[str, Path], pair: tuple[str, Path]) -> dict[str, bool]:
    sample, reply = pair
    marks = {}
    try:
        real, *cropped = every_look_of(reply)
        for name, folder in folders.items():
            path = next((p for s in CONTAINERS if (p := folder / f"{sample}{s}").is_file()), None)
            if path is not None:
                marks[name] = copy_of(looks_of(path), real, cropped) is not None
    except MediaError:
        return {}
    return marks


def _is_near(name: str, tables: Mapping[str, Table]) -> bool:
    """Whether a submission is flagged by its bundle alone, without its clips."""
    for metric, table in tables.items():
        limit = MAX_MEDIANS.get(metric.rpartition("/")[2])
        values = list(table.values.get(name, {}).values())
        if limit is not None and values and median(values) > limit:
            return True
    return False
