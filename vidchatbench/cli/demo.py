"""``vidchatbench demo``: the whole way on a small benchmark made on the spot, without network or downloads."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidchatbench.cli.exit_codes import INCOMPLETE

if TYPE_CHECKING:
    from rich.console import Console

    from vidchatbench.results.schema import MetricResult, Results

SYSTEMS = ("oracle", "shifted", "degraded")


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("demo")(demo)


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the runs.")] = Path("demo_run"),
    workers: Annotated[int | None, typer.Option(help="Worker processes; by default one per core.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results of all systems on stdout.")] = False,
) -> None:
    """Makes a small benchmark of animated faces with voices and scores three systems on it.

    The oracle returns the real replies, the second system lets picture and sound slip, the third degrades both. What is
    compared with the real reply (PSNR, SSIM) shows that order; what looks at the candidate alone
    tells only the third from the others.

    Example: vidchatbench demo
    """
    from vidchatbench.cli.output import interruptible, print_json, print_results, stderr_console
    from vidchatbench.cli.progress import progress_for
    from vidchatbench.core import paths
    from vidchatbench.demo import build_demo
    from vidchatbench.engine.evaluate import evaluate
    from vidchatbench.engine.settings import RunConfig
    from vidchatbench.report.write import write_report

    console = stderr_console()
    started = time.monotonic()
    made = build_demo(paths.benchmarks_root() / "demo_set")
    console.print(f"demo benchmark: {made.benchmark}", markup=False, highlight=False)
    runs: dict[str, Results] = {}
    for name in SYSTEMS:
        with interruptible(), progress_for(console) as progress:
            runs[name] = evaluate(
                made.systems[name],
                benchmark=made.benchmark,
                suite="demo",
                out=out / name,
                config=RunConfig(workers=workers),
                progress=progress,
            )
        if not as_json:
            print_results(console, runs[name])
    *others, last = SYSTEMS
    report = write_report(
        out / last, benchmark=made.benchmark, outputs=made.systems[last], compare=[out / name for name in others]
    )
    if as_json:
        print_json({name: results.model_dump(mode="json") for name, results in runs.items()})
    else:
        _print_order(console, runs)
        text = f"runs written to {out}/ in {time.monotonic() - started:.0f} s; next: vidchatbench evaluate --help"
        console.print(f"report: {report.page}", markup=False, highlight=False)
        console.print(text, markup=False, highlight=False)
    if any(metric.n_error for results in runs.values() for metric in results.metrics):
        raise typer.Exit(INCOMPLETE)


def _print_order(console: Console, runs: dict[str, Results]) -> None:
    from vidchatbench.cli.tables import print_table

    rows = []
    for metric in runs[SYSTEMS[0]].metrics:
        cells = [_cell(runs[name].metric(metric.id)) for name in SYSTEMS]
        arrow = "↑" if metric.direction == "higher" else "↓"
        rows.append((f"{metric.id} {arrow}", *cells, f"{metric.n_ok}/{metric.n_expected}", metric.protocol))
    print_table(console, "The three systems side by side", ("metric", *SYSTEMS, "n", "protocol"), rows)


def _cell(metric: MetricResult) -> str:
    from vidchatbench.cli.output import format_interval, format_value

    if metric.value is None:
        return "–"
    interval = "" if metric.ci95 is None else f" ({format_interval(metric.ci95, is_set=metric.aggregation == 'set')})"
    return f"{format_value(metric.value)}{interval}"
