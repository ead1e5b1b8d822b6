"""Floor rows: replies that took no work, scored once with the anchors, so that every board shows what they score."""

from __future__ import annotations

from vidchatbench.audit.recipes import FLOORS, find_recipes
from vidchatbench.audit.scores import score_submissions
from vidchatbench.audit.submissions import write_submissions
from vidchatbench.benchmark.format import Benchmark
from vidchatbench.core import paths
from vidchatbench.core.progress import Progress
from vidchatbench.engine.settings import RunConfig
from vidchatbench.engine.suites import MetricChoice
from vidchatbench.plugins.catalogue import Catalogue
from vidchatbench.results.floors import FloorRow, FloorTable, save_floors

_MANIFEST_DIGITS = 12  # as the audit's folder has


def build_floors(
    benchmark: Benchmark, choice: MetricChoice, catalogue: Catalogue, config: RunConfig, progress: Progress
) -> FloorTable:
    """Makes and scores replies that took no work, and keeps what they score.

    The clips lie where the audit has them, and are not made twice. The anchors must have been built before.

    Args:
        benchmark: The benchmark.
        choice: The metrics, all of which can run here.
        catalogue: Where extractors come from.
        config: Device, workers and seed.
        progress: Receives progress.

    Raises:
        UsageError: If no sample has a real reply, or the disk is too small.
        InputError: If a clip of the benchmark cannot be read.
        OSError: If a file cannot be written.
    """
    manifest = benchmark.header.manifest_sha256
    work = paths.cache_root() / "audit" / manifest[:_MANIFEST_DIGITS]
    work.mkdir(parents=True, exist_ok=True)
    recipes = find_recipes(FLOORS, training=False)
    submissions = write_submissions(benchmark, work / "submissions", recipes, progress, workers=config.workers)
    scored = score_submissions(benchmark, submissions, choice, work / "floors", config, progress, catalogue)
    rows = [
        FloorRow.of(
            scored[recipe.name].results,
            name=recipe.name,
            title=recipe.title,
            does=recipe.does,
            recipe_sha256=recipe.sha256,
        )
        for recipe in recipes
        if recipe.name in scored
    ]
    table = FloorTable.of(manifest, choice.suite, rows)
    save_floors(table)
    return table
