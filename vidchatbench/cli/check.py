"""``vidchatbench check``: the pre-flight; lists every problem of a submission before any model runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidchatbench.cli.exit_codes import INPUT
from vidchatbench.cli.tables import Column, Row, print_table

if TYPE_CHECKING:
    from vidchatbench.submission.check import Problem

_COLUMNS = (
    Column(""),
    Column("kind"),
    Column("sample", rank=1),
    Column("file", rank=2),
    Column("finding", wraps=True, bare=True),
)
_MIN_FOLDED = 3


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("check")(check)


def check(
    outputs: Annotated[Path, typer.Argument(help="Folder with one <sample id>.mp4 per sample.")],
    benchmark: Annotated[str, typer.Option(help="Folder or known name of the benchmark.")] = "test_500",
    copies: Annotated[bool, typer.Option("--copies", help="Look for copies of the real replies too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings on stdout.")] = False,
) -> None:
    """Checks a submission: missing, unreadable, short or silent outputs, odd rates, unknown ids.

    With --copies every output is set beside the real reply, as it is and mirrored, which reads all clips.
    Exits with 1 if any finding would cost the submission a score.

    Example: vidchatbench check outputs/ --benchmark path/to/benchmark
    """
    from vidchatbench.benchmark.load import load_benchmark
    from vidchatbench.cli.output import print_json, stderr_console
    from vidchatbench.cli.progress import progress_for
    from vidchatbench.submission.check import check_submission
    from vidchatbench.submission.copies import find_copies

    loaded = load_benchmark(benchmark)
    console = stderr_console()
    with progress_for(console) as progress:
        checked = check_submission(outputs, loaded, list_all=True, progress=progress)
        if copies:
            checked.problems += find_copies(checked, loaded, progress)
    usable = sum(output.info is not None for output in checked.outputs.values())
    if as_json:
        print_json(
            {
                "benchmark": loaded.header.name,
                "n_samples": len(loaded),
                "n_usable": usable,
                "n_errors": len(checked.errors),
                "problems": [{**asdict(p), "severity": p.severity.value} for p in checked.problems],
            }
        )
    else:
        if checked.problems:
            print_table(console, f"{outputs}", _COLUMNS, fold(checked.problems))
        warnings = len(checked.problems) - len(checked.errors)
        summary = f"{usable} of {len(loaded)} outputs usable, {len(checked.errors)} errors, {warnings} warnings"
        console.print(summary, markup=False, highlight=False)
    if checked.errors:
        raise typer.Exit(INPUT)


def fold(problems: Sequence[Problem]) -> list[Row]:
    """Returns a row per finding, and one row for three warnings or more that say the same."""
    alike: dict[tuple[str, str, str], list[Problem]] = {}
    for problem in problems:
        alike.setdefault((problem.severity.value, problem.code, problem.message), []).append(problem)
    rows: list[Row] = []
    for (severity, code, message), members in alike.items():
        if severity == "warning" and len(members) >= _MIN_FOLDED:
            first = members[0].sample or members[0].file or ""
            rows.append((severity, code, f"{len(members)} clips", f"{first} and {len(members) - 1} more", message))
        else:
            rows += [(severity, code, one.sample or "", one.file or "", message) for one in members]
    return rows
