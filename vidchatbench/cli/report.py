"""``vidchatbench report``: a run as a page to look at, and as tables and plots for a paper."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from vidchatbench.cli.options import command_of


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("report")(report)


@dataclass(frozen=True)
class ReportOptions:
    """What ``report`` is given."""

    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder of `evaluate`.")]
    benchmark: Annotated[str | None, typer.Option(help="Folder or name of the benchmark, for its clips.")] = None
    outputs: Annotated[Path | None, typer.Option(help="Folder of the outputs, for the candidates' clips.")] = None
    embed: Annotated[bool, typer.Option("--embed", help="Put small clips of the worst samples into the page.")] = False
    out: Annotated[Path | None, typer.Option(help="The page to write; RUN/report.html by default.")] = None
    plots: Annotated[Path | None, typer.Option(help="Write every plot into this folder as a file.")] = None
    plot_format: Annotated[str, typer.Option("--format", help="svg, png or pdf, for --plots.")] = "svg"
    compare: Annotated[list[Path] | None, typer.Option(help="Another run to compare with; may be repeated.")] = None
    as_json: Annotated[bool, typer.Option("--json", help="Print the files written on stdout.")] = False


@command_of(ReportOptions)
def report(options: ReportOptions) -> None:
    """Writes report.html, one page that opens offline, and tables/ with CSV, LaTeX and BibTeX beside it.

    The page links clips by relative paths; it finds their folders by itself on the computer that made the run.

    Example: vidchatbench report run/ --outputs outputs/ --benchmark path/to/benchmark
    """
    from vidchatbench.cli.output import print_json, stderr_console
    from vidchatbench.report.write import write_report

    written = write_report(
        options.run,
        benchmark=options.benchmark,
        outputs=options.outputs,
        embed=options.embed,
        out=options.out,
        plots=options.plots,
        plot_format=options.plot_format,
        compare=options.compare or (),
    )
    if options.as_json:
        print_json(
            {
                "report": str(written.page),
                "tables": [str(path) for path in written.tables],
                "plots": [str(path) for path in written.plots],
                "clips": {"shown": written.clips_shown, "missing": written.clips_missing},
            }
        )
        return
    console = stderr_console()

    def say(text: str, style: str | None = None) -> None:
        console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    for note in written.notes:
        say(note, "yellow")
    say(f"clips: {written.clips_shown} shown, {written.clips_missing} missing")
    say(f"tables: {written.tables[0].parent}")
    if written.plots:
        say(f"plots: {written.plots[0].parent} ({len(written.plots)} files)")
    say(f"written: {written.page}")
