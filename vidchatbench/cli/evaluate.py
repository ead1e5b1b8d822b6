"""``vidchatbench evaluate``: scores a folder of outputs."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidchatbench.cli.exit_codes import INCOMPLETE
from vidchatbench.cli.options import AsrOption, SetOption, command_of

if TYPE_CHECKING:
    from rich.console import Console

    from vidchatbench.core.progress import Progress
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
    settings: SetOption = None
    asr: AsrOption = None
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
    from vidchatbench.cli.output import interruptible, print_json, stderr_console
    from vidchatbench.cli.progress import progress_for

    console = stderr_console()
    with interruptible(), progress_for(console) as progress:
        results = _run(options, progress)
    if options.as_json:
        print_json(results.model_dump(mode="json"))
    else:
        _show(console, results, options)
    if any(metric.n_error for metric in results.metrics):
        raise typer.Exit(INCOMPLETE)


def _run(options: EvaluateOptions, progress: Progress) -> Results:
    from vidchatbench.cli.output import split_ids
    from vidchatbench.engine.evaluate import evaluate as run
    from vidchatbench.engine.parameters import read_settings
    from vidchatbench.engine.settings import RunConfig

    config = RunConfig(
        device=options.device,
        workers=options.workers,
        engine=options.engine,  # type: ignore[arg-type]
        permissive=options.permissive,
        transcripts=options.transcripts,
        asr=options.asr,
        judge=options.judge,
        judge_budget=options.judge_budget,
    )
    return run(
        options.outputs,
        benchmark=options.benchmark,
        suite=options.suite,
        metrics=split_ids(options.metrics),
        out=options.out,
        params=read_settings(options.settings or ()),
        config=config,
        progress=progress,
    )


def _show(console: Console, results: Results, options: EvaluateOptions) -> None:
    from vidchatbench.cli.output import print_reasons, print_results

    print_results(console, results)
    if any(metric.n_failed or metric.n_error for metric in results.metrics):
        print_reasons(console, options.out)
    console.print(f"written: {options.out}", markup=False, highlight=False, soft_wrap=True)
    for place, (command, why) in enumerate(next_steps(results, options)):
        line = f"{'next: ' if place == 0 else '      '}{command}  # {why}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def next_steps(results: Results, options: EvaluateOptions) -> list[tuple[str, str]]:
    """Returns the commands that make sense after a run, each with what it is for."""
    run, benchmark = (shlex.quote(str(text)) for text in (options.out, options.benchmark))
    steps = [(f"vidchatbench report {run}", "a page with plots and the worst samples")]
    if any(metric.n_error for metric in results.metrics):
        again = f"vidchatbench evaluate {shlex.quote(str(options.outputs))} --benchmark {benchmark} --out {run} ..."
        steps.insert(0, (again, "the same command again computes what errors left open"))
    anchored = any(metric.anchors.oracle is not None or metric.anchors.nulls for metric in results.metrics)
    if not anchored and any(metric.aggregation == "mean" and metric.value is not None for metric in results.metrics):
        chosen = f"--metrics {shlex.quote(options.metrics)}" if options.metrics else f"--suite {options.suite}"
        chosen += "".join(f" --set {shlex.quote(text)}" for text in options.settings or ())
        chosen += f" --asr {shlex.quote(options.asr)}" if options.asr else ""
        steps.append((f"vidchatbench anchors build --benchmark {benchmark} {chosen}", "what real replies score"))
    steps.append((f"vidchatbench compare {run} OTHER_RUN", "is one system better than another"))
    if results.complete and results.suite.version:
        steps.append((f"vidchatbench submit {run}", "shows what would be published"))
    return steps
