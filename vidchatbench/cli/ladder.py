"""``vidchatbench ladder build`` and ``check``: graded replies for a benchmark, and whether they can be trusted."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidchatbench.cli.exit_codes import INCOMPLETE, INPUT

if TYPE_CHECKING:
    from vidchatbench.curation.ladder.check import LadderReport, Mean

_JUDGE = "Language model: URL#MODEL of an OpenAI-compatible endpoint, or a TOML file."


def add_to(app: typer.Typer) -> None:
    """Adds the commands."""
    group = typer.Typer(help="Writes and checks ladders of graded replies.", no_args_is_help=True)
    group.command("build")(build)
    group.command("check")(check)
    group.callback()(_only_a_group)
    app.add_typer(group, name="ladder")


def _only_a_group() -> None:
    """Writes and checks ladders of graded replies."""


def build(
    judge: Annotated[str, typer.Option(help=_JUDGE)],
    benchmark: Annotated[str, typer.Option(help="Folder or known name of the benchmark.")] = "test_500",
    out: Annotated[Path, typer.Option("-o", "--out", help="The file to write.")] = Path("ladder.jsonl"),
    budget: Annotated[str | None, typer.Option(help="Most to spend: '200k tokens', '5 USD'.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done on stdout.")] = False,
) -> None:
    """Has a language model write five graded replies of one length for every sample whose initiator's words are known.

    Run it again after an interruption: what is written stays. Exits with 3 if a sample could not be written, with 1 if
    one has no transcript of its initiator. Then run `vidchatbench ladder check`.

    Example: vidchatbench ladder build --benchmark path/to/benchmark --judge http://localhost:8080/v1#NAME
    """
    from vidchatbench.benchmark.load import load_benchmark
    from vidchatbench.cli.output import interruptible, print_json
    from vidchatbench.curation.ladder.build import build_ladders
    from vidchatbench.curation.ladder.chat import connect_models
    from vidchatbench.errors import UsageError

    loaded = load_benchmark(benchmark)
    models = connect_models(judge, budget=budget)
    if len(models.names) != 1:
        raise UsageError("a ladder has one writer: name one model")
    out.parent.mkdir(parents=True, exist_ok=True)
    with interruptible():
        built = build_ladders(loaded.samples, models, out)
    if as_json:
        print_json(
            {
                "file": str(out),
                "model": models.names[0],
                "written": len(built.written),
                "kept": len(built.kept),
                "without_words": list(built.without_words),
                "failed": dict(built.failed),
            }
        )
    for name in built.without_words:
        print(f"{name}: its initiator has no transcript", file=sys.stderr)
    for name, reason in built.failed.items():
        print(f"{name}: {reason}", file=sys.stderr)
    print(f"{out}: {len(built.written)} ladders written, {len(built.kept)} were there", file=sys.stderr)
    if built.failed:
        raise typer.Exit(INCOMPLETE)
    if built.without_words:
        raise typer.Exit(INPUT)


def check(
    ladder: Annotated[Path, typer.Argument(help="The file of ladder build.")],
    judge: Annotated[str, typer.Option(help=f"{_JUDGE} Several, separated by commas, make a panel.")],
    benchmark: Annotated[str, typer.Option(help="Folder or known name of the benchmark.")] = "test_500",
    budget: Annotated[str | None, typer.Option(help="Most to spend: '200k tokens', '5 USD'.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings on stdout.")] = False,
) -> None:
    """Checks a ladder with a blind panel: the grades' order, the real reply's place, a strange reply's, and length.

    The panel should hold no model of the writer's family. Exits with 1 if the ladder should not be used as it is, with
    3 if a sample could not be checked.

    Example: vidchatbench ladder check ladder.jsonl --benchmark path/to/benchmark --judge http://localhost:8080/v1#NAME
    """
    from dataclasses import asdict

    from vidchatbench.benchmark.load import load_benchmark
    from vidchatbench.cli.output import interruptible, print_json
    from vidchatbench.curation.ladder.chat import connect_models
    from vidchatbench.curation.ladder.check import MIN_TAU, check_ladders
    from vidchatbench.curation.ladder.file import read_ladders
    from vidchatbench.curation.ladder.prompts import CHECK_SHA256, CHECK_VERSION

    loaded = load_benchmark(benchmark)
    read = read_ladders(ladder)
    writers = frozenset(one.generator.model for one in read if one.generator is not None)
    models = connect_models(judge, budget=budget)
    with interruptible():
        report = check_ladders(loaded.samples, {one.id: one.ladder for one in read}, models, writers)
    if as_json:
        named = {"prompt": CHECK_VERSION, "prompt_sha256": CHECK_SHA256, "least_tau": MIN_TAU}
        print_json(
            {**asdict(report), **named, "low": [one.id for one in report.low], "problems": list(report.problems)}
        )
    else:
        _print_report(report, loaded.header.name)
    if report.unanswered:
        raise typer.Exit(INCOMPLETE)
    if report.problems:
        raise typer.Exit(INPUT)


def _print_report(report: LadderReport, benchmark: str) -> None:
    from vidchatbench.cli.output import stderr_console
    from vidchatbench.cli.tables import print_table
    from vidchatbench.curation.ladder.check import MAX_FOREIGN, MAX_LENGTH_CORRELATION, MIN_HUMAN, MIN_TAU

    console = stderr_console()
    monotone = sum(one.monotone for one in report.samples)
    r = report.length_correlation
    rows = [
        ("Kendall tau of grades and points", *_cells(report.tau), "1", f"each at least {MIN_TAU:g}"),
        ("grade of the real reply", *_cells(report.human), "1", f"at least {MIN_HUMAN:g}"),
        ("grade of a reply to somebody else", *_cells(report.foreign), "0.2", f"at most {MAX_FOREIGN:g}"),
        ("correlation of grade and length", "–" if r is None else f"{r:.3f}", "", "", "0",
         f"within {MAX_LENGTH_CORRELATION:g}"),
        ("samples with all grades in order", str(monotone), "", str(len(report.samples)), str(len(report.samples)), ""),
    ]  # fmt: skip
    columns = ("", "value", "95 % interval", "n", "ideal", "bound")
    print_table(console, f"Ladder of {benchmark}, panel: {', '.join(report.judges)}", columns, rows)
    if report.low:
        low = [(one.id, f"{one.tau:.2f}", "  ".join(f"{points:.1f}" for points in one.points)) for one in report.low]
        print_table(console, f"Samples under {MIN_TAU:g}", ("sample", "tau", "points by grade"), low, whole=("sample",))
    lines = [f"{name}: not checked, {reason}" for name, reason in report.unanswered.items()]
    lines += [f"{name} wrote the ladder and sits on the panel: it may prefer its own" for name in report.same_model]
    for line in (*lines, *report.problems):
        console.print(line, style="yellow", markup=False, highlight=False)
    if not report.problems:
        console.print("nothing speaks against this ladder", markup=False, highlight=False)


def _cells(mean: Mean | None) -> tuple[str, str, str]:
    if mean is None:
        return ("–", "–", "0")
    interval = "–" if mean.interval is None else f"{mean.interval.low:.3f} … {mean.interval.high:.3f}"
    return (f"{mean.value:.3f}", interval, str(mean.n))
