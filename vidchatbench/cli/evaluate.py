"""``vidchatbench evaluate``: scores a folder of outputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidchatbench.cli.exit_codes import INCOMPLETE
from vidchatbench.cli.options import command_of

if TYPE_CHECKING:
    from rich.console import Console

    from vidchatbench.results.schema import Results


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("evaluate")(evaluate)


@dataclass(frozen=True)
class EvaluateOptions:
    """What ``evaluate`` is given."""

    outputs: Annotated[Path, typer.Argument(help="Folder with one <sample id>.mp4 per sample.")]
    benchmark: Annotated[str, typer.Option(help="Folder or known name of the benchmark.")] = "test_500"
    suite: Annotated[str, typer.Option(help="Named list of metrics.")] = "lite"
    metrics: Annotated[str | None, typer.Option(help="Metric ids instead of the suite's list: ID,ID.")] = None
    out: Annotated[Path, typer.Option(help="The run folder to write.")] = Path("run")
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu"
    workers: Annotated[int | None, typer.Option(help="Worker processes; by default one per core.")] = None
    engine: Annotated[str, typer.Option(help="local or ray.")] = "local"
    permissive: Annotated[bool, typer.Option("--permissive", help="Leave non-commercial weights out.")] = False
    transcripts: Annotated[Path | None, typer.Option(help="What is heard in each reply, instead of ASR here.")] = None
    judge: Annotated[str | None, typer.Option(help="URL#MODEL[,URL#MODEL] or a TOML file.")] = None
    judge_budget: Annotated[str | None, typer.Option(help='Most it may cost: "200k tokens", "5 USD".')] = None
    as_json: Annotated[bool, typer.Option("--json", help="Print results.json on stdout.")] = False


@command_of(EvaluateOptions)
def evaluate(options: EvaluateOptions) -> None:
    """Scores a system's outputs and writes a run folder.

    Samples that are missing or broken are charged the metric's worst value and counted; nothing is dropped. Killed
    and started again, the command computes only what is missing.

    Example: vidchatbench evaluate outputs/ --benchmark path/to/benchmark --suite lite --out run/
    """
    from vidchatbench.cli.output import interruptible, print_json, split_ids, stderr_console
    from vidchatbench.cli.progress import progress_for
    from vidchatbench.engine.evaluate import evaluate as run
    from vidchatbench.engine.settings import RunConfig

    console = stderr_console()
    config = RunConfig(
        device=options.device,
        workers=options.workers,
        engine=options.engine,  # type: ignore[arg-type]
        permissive=options.permissive,
        transcripts=options.transcripts,
        judge=options.judge,
        judge_budget=options.judge_budget,
    )
    with interruptible():
        results = run(
            options.outputs,
            benchmark=options.benchmark,
            suite=options.suite,
            metrics=split_ids(options.metrics),
            out=options.out,
            config=config,
            progress=progress_for(console),
        )
    if options.as_json:
        print_json(results.model_dump(mode="json"))
    else:
        _show(console, results, options.out)
    if any(metric.n_error for metric in results.metrics):
        raise typer.Exit(INCOMPLETE)


def _show(console: Console, results: Results, out: Path) -> None:
    from vidchatbench.cli.output import print_reasons, print_results

    print_results(console, results)
    if any(metric.n_failed or metric.n_error for metric in results.metrics):
        print_reasons(console, out)
    console.print(f"written: {out}", markup=False, highlight=False)
