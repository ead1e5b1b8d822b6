"""``vidchatbench check``: the pre-flight; lists every problem of a submission before any model runs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from vidchatbench.cli.exit_codes import INPUT


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("check")(check)


def check(
    outputs: Annotated[Path, typer.Argument(help="Folder with one <sample id>.mp4 per sample.")],
    benchmark: Annotated[str, typer.Option(help="Folder or known name of the benchmark.")] = "test_500",
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings on stdout.")] = False,
) -> None:
    """Checks a submission: missing, unreadable, short or silent outputs, odd rates, unknown ids.

    Exits with 1 if any finding would cost the submission a score.

    Example: vidchatbench check outputs/ --benchmark path/to/benchmark
    """
    from vidchatbench.benchmark.load import load_benchmark
    from vidchatbench.cli.output import print_json, stderr_console
    from vidchatbench.cli.tables import print_table
    from vidchatbench.submission.check import check_submission

    loaded = load_benchmark(benchmark)
    checked = check_submission(outputs, loaded)
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
        console = stderr_console()
        rows = [(p.severity.value, p.code, p.sample or "", p.file or "", p.message) for p in checked.problems]
        if rows:
            print_table(console, f"{outputs}", ("", "kind", "sample", "file", "finding"), rows)
        warnings = len(checked.problems) - len(checked.errors)
        summary = f"{usable} of {len(loaded)} outputs usable, {len(checked.errors)} errors, {warnings} warnings"
        console.print(summary, markup=False, highlight=False)
    if checked.errors:
        raise typer.Exit(INPUT)
