"""``vidchatbench anchors``: what the real replies score and what wrong ones do, and the wrong replies as clips."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from vidchatbench.audit.submissions import Submission
    from vidchatbench.benchmark.format import Benchmark
    from vidchatbench.results.anchors import AnchorEntry
    from vidchatbench.results.floors import FloorRow


def add_to(app: typer.Typer) -> None:
    """Adds the commands."""
    group = typer.Typer(help="Builds the anchors that scores are read against.", no_args_is_help=True)
    group.command("build")(build)
    group.command("write")(write)
    app.add_typer(group, name="anchors")


def build(
    benchmark: Annotated[str, typer.Option(help="Folder or known name of the benchmark.")] = "test_500",
    suite: Annotated[str, typer.Option(help="Named list of metrics.")] = "lite",
    metrics: Annotated[str | None, typer.Option(help="Metric ids instead of the suite's list: ID,ID.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    workers: Annotated[int | None, typer.Option(help="Worker processes; by default one per core.")] = None,
    engine: Annotated[str, typer.Option(help="local or ray.")] = "local",
    floors: Annotated[
        bool, typer.Option("--floors/--no-floors", help="Also score replies that take no work, for the board.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the anchors on stdout.")] = False,
) -> None:
    """Scores the real replies, shuffled replies and shuffled sound; `evaluate` then prints them beside every score.

    The anchors are kept in the cache, bound to the manifest, the protocols and the weights; beside them what replies
    score that take no work, such as a still picture, which board and report show as floor rows.

    Example: vidchatbench anchors build --benchmark path/to/benchmark --suite lite
    """
    from vidchatbench.audit.floors import build_floors
    from vidchatbench.benchmark.load import load_benchmark
    from vidchatbench.cli.output import interruptible, print_json, split_ids, stderr_console
    from vidchatbench.cli.progress import progress_for
    from vidchatbench.engine.anchors import build_anchors
    from vidchatbench.engine.settings import RunConfig
    from vidchatbench.engine.suites import MetricChoice, choose_metrics
    from vidchatbench.plugins.availability import Availability
    from vidchatbench.plugins.catalogue import load_catalogue
    from vidchatbench.results.anchors import anchors_file
    from vidchatbench.weights.resolver import WeightResolver

    console, catalogue = stderr_console(), load_catalogue()
    config = RunConfig(device=device, workers=workers, engine=engine)  # type: ignore[arg-type]
    config.check_device()
    config.check_engine()
    loaded = load_benchmark(benchmark)
    loaded.verify_media()
    choice = choose_metrics(catalogue, suite, split_ids(metrics))
    availability = Availability.of(choice.metrics, catalogue, WeightResolver(catalogue.weights))
    with interruptible(), progress_for(console) as progress:
        entries = build_anchors(loaded, availability.runnable, catalogue, config, progress)
        rows: tuple[FloorRow, ...] = ()
        if floors:
            runnable = MetricChoice(choice.suite, availability.runnable)
            rows = build_floors(loaded, runnable, catalogue, config, progress).rows
    if as_json:
        content = {"anchors": entries, "floors": rows}
        print_json({name: [one.model_dump(mode="json") for one in listed] for name, listed in content.items()})
        return
    _print(console, loaded, entries)
    for metric, missing in availability.missing.items():
        text = f"not built: {metric.card.id} ({missing.reason}); to fix: {missing.fix}"
        console.print(text, style="yellow", markup=False, highlight=False)
    console.print(f"kept in {anchors_file(loaded)}", markup=False, highlight=False, soft_wrap=True)
    _print_floors(console, loaded, rows)


def _print_floors(console: Console, benchmark: Benchmark, rows: Sequence[FloorRow]) -> None:
    from vidchatbench.results.floors import floors_file

    for row in rows:
        overall = "–" if row.overall is None else f"{row.overall:.1f}"
        console.print(f"floor: {row.title} scores {overall} overall", markup=False, highlight=False, soft_wrap=True)
    if rows:
        kept = floors_file(benchmark.header.manifest_sha256)
        console.print(f"floors kept in {kept}", markup=False, highlight=False, soft_wrap=True)


def _print(console: Console, benchmark: Benchmark, entries: Sequence[AnchorEntry]) -> None:
    from vidchatbench.cli.output import format_value
    from vidchatbench.cli.tables import print_table

    rows = [
        (
            entry.metric,
            "–" if entry.oracle is None else format_value(entry.oracle),
            ", ".join(f"{name.replace('_', ' ')} {format_value(value)}" for name, value in entry.nulls.items()) or "–",
            str(entry.n),
            entry.protocol,
        )
        for entry in entries
    ]
    title = f"Anchors of {benchmark.header.name} {benchmark.header.version}"
    print_table(console, title, ("metric", "oracle", "null", "n", "protocol"), rows, whole=("metric",))


def write(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to write the submissions into.")],
    benchmark: Annotated[str, typer.Option(help="Folder or known name of the benchmark.")] = "test_500",
    only: Annotated[str | None, typer.Option(help="Submissions or ladders: NAME,NAME; all by default.")] = None,
    training: Annotated[Path | None, typer.Option(help="Training clips, for the cheat that returns one.")] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes; by default one per core.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written on stdout.")] = False,
) -> None:
    """Writes reference submissions: the real replies, and replies whose fault is known, as clips.

    Each is an ordinary folder of outputs that `evaluate` scores: real, re-encoded, shifted, blurred, compressed,
    frozen, reversed, silent, swapped, echoed. Clips that are there are not made again.

    Example: vidchatbench anchors write references/ --benchmark path/to/benchmark --only oracle,blur
    """
    from vidchatbench.audit.recipes import find_recipes
    from vidchatbench.audit.submissions import write_submissions
    from vidchatbench.benchmark.load import load_benchmark
    from vidchatbench.cli.output import interruptible, print_json, split_ids, stderr_console
    from vidchatbench.cli.progress import progress_for

    console = stderr_console()
    recipes = find_recipes(split_ids(only), training=training is not None)
    loaded = load_benchmark(benchmark)
    loaded.verify_media()
    with interruptible(), progress_for(console) as progress:
        written = write_submissions(loaded, folder, recipes, progress, training=training, workers=workers)
    if as_json:
        print_json({"submissions": [_as_json(submission) for submission in written]})
        return
    _print_written(console, folder, written)


def _as_json(submission: Submission) -> dict[str, object]:
    recipe = submission.recipe
    return {
        "name": recipe.name,
        "folder": str(submission.folder),
        "recipe_sha256": recipe.sha256,
        "does": recipe.does,
        "made": list(submission.made),
        "reused": list(submission.reused),
        "not_made": submission.not_made,
    }


def _print_written(console: Console, folder: Path, written: Sequence[Submission]) -> None:
    from vidchatbench.cli.tables import print_table

    rows = [
        (one.recipe.name, str(len(one.made)), str(len(one.reused)), str(len(one.not_made)), one.recipe.does)
        for one in written
    ]
    columns = ("name", "made", "there already", "not made", "what it is")
    print_table(console, f"Reference submissions in {folder}", columns, rows, whole=("name",))
    reasons: dict[str, set[str]] = {}
    for one in written:
        for sample, reason in one.not_made.items():
            reasons.setdefault(reason, set()).add(sample)
    for reason, samples in reasons.items():
        message = f"not made for {', '.join(sorted(samples))}: {reason}"
        console.print(message, style="yellow", markup=False, highlight=False)
