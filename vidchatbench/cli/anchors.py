"""``vidchatbench anchors build``: what the real replies score, and what wrong ones do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from vidchatbench.benchmark.load import Benchmark
    from vidchatbench.engine.anchors import AnchorEntry


def add_to(app: typer.Typer) -> None:
    """Adds the commands."""
    group = typer.Typer(help="Builds the anchors that scores are read against.", no_args_is_help=True)
    group.command("build")(build)
    group.callback()(_only_a_group)
    app.add_typer(group, name="anchors")


def _only_a_group() -> None:
    """Builds the anchors that scores are read against."""


def build(
    benchmark: Annotated[str, typer.Option(help="Folder or known name of the benchmark.")] = "test_500",
    suite: Annotated[str, typer.Option(help="Named list of metrics.")] = "lite",
    metrics: Annotated[str | None, typer.Option(help="Metric ids instead of the suite's list: ID,ID.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    workers: Annotated[int | None, typer.Option(help="Worker processes; by default one per core.")] = None,
    engine: Annotated[str, typer.Option(help="local or ray.")] = "local",
    as_json: Annotated[bool, typer.Option("--json", help="Print the anchors on stdout.")] = False,
) -> None:
    """Scores the real replies, shuffled replies and shuffled sound; `evaluate` then prints them beside every score.

    The anchors are kept in the cache, bound to the manifest, the protocols and the weights.

    Example: vidchatbench anchors build --benchmark path/to/benchmark --suite lite
    """
    from vidchatbench.availability import find_lack  # noqa: PLC0415
    from vidchatbench.benchmark.load import load_benchmark  # noqa: PLC0415
    from vidchatbench.cli.output import interruptible, print_json, split_ids, stderr_console  # noqa: PLC0415
    from vidchatbench.cli.progress import progress_for  # noqa: PLC0415
    from vidchatbench.engine.anchors import anchors_file, build_anchors  # noqa: PLC0415
    from vidchatbench.engine.evaluate import choose_metrics  # noqa: PLC0415
    from vidchatbench.engine.settings import RunConfig  # noqa: PLC0415
    from vidchatbench.plugins import load_catalogue  # noqa: PLC0415
    from vidchatbench.weights.resolver import WeightResolver  # noqa: PLC0415

    console, catalogue = stderr_console(), load_catalogue()
    config = RunConfig(device=device, workers=workers, engine=engine)  # type: ignore[arg-type]
    config.check_device()
    config.check_engine()
    loaded = load_benchmark(benchmark)
    loaded.verify_media()
    _, chosen = choose_metrics(catalogue, suite, split_ids(metrics))
    resolver = WeightResolver(catalogue.weights)
    lacks = {metric: find_lack(metric, catalogue, resolver) for metric in chosen}
    with interruptible():
        runnable = [metric for metric in chosen if lacks[metric] is None]
        entries = build_anchors(loaded, runnable, catalogue, config, progress_for(console))
    if as_json:
        print_json({"anchors": [entry.model_dump(mode="json") for entry in entries]})
        return
    _print(console, loaded, entries)
    for metric, lack in lacks.items():
        if lack is not None:
            text = f"not built: {metric.card.id} ({lack.reason}); to fix: {lack.fix}"
            console.print(text, style="yellow", markup=False, highlight=False)
    console.print(f"kept in {anchors_file(loaded)}", markup=False, highlight=False)


def _print(console: Console, benchmark: Benchmark, entries: Sequence[AnchorEntry]) -> None:
    from vidchatbench.cli.output import format_value, print_table  # noqa: PLC0415

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
