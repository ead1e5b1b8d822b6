"""What commands print: JSON on stdout for programs, tables on stderr for people."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from vidchatbench.cli.exit_codes import INTERRUPTED

if TYPE_CHECKING:
    from pathlib import Path

    from rich.box import Box
    from rich.console import Console

    from vidchatbench.judge.schema import JudgeReport
    from vidchatbench.results.schema import MetricResult, Results

_MIN_WIDTH = 100
_MAX_REASONS = 5
_WIDTH_WITH_UNITS = 105
_MIN_COLUMN_WIDTHS = {"protocol": 135, "coverage": _WIDTH_WITH_UNITS}
_COLUMNS = ("metric", "value", "95 % interval", "anchored", "n", "failed", "n/a", "error", "coverage", "protocol")


def stderr_console() -> Console:
    """Returns a console on stderr; where stderr is no terminal, wide enough that no number is cut."""
    from rich.console import Console  # only for commands that print tables

    console = Console(stderr=True)
    if not console.is_terminal and console.width < _MIN_WIDTH:
        return Console(stderr=True, width=160)
    return console


def print_json(content: object) -> None:
    """Prints a result on stdout; NaN and Infinity are refused."""
    # Where stdout is of an encoding that cannot hold every letter, JSON has escapes of its own for them.
    plain = (sys.stdout.encoding or "ascii").lower().replace("-", "") != "utf8"
    print(json.dumps(content, indent=2, ensure_ascii=plain, allow_nan=False))


def split_ids(text: str | None) -> list[str] | None:
    """Returns the ids in ``ID,ID``, or ``None`` where nothing was given."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Turns Ctrl-C into exit code 130 and a message that nothing is lost."""
    import typer

    try:
        yield
    except KeyboardInterrupt:
        print("interrupted; clips that were finished are kept, run the same command to go on", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None


def print_table(
    console: Console, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], whole: Sequence[str] = ()
) -> None:
    """Prints a plain table; columns named in ``whole`` are never folded.

    Where it does not fit, every row becomes a paragraph: a number that is cut looks like another number.
    """
    from rich.table import Table

    rows = [tuple(row) for row in rows]
    if console.width < _MIN_WIDTH:
        _print_stacked(console, title, columns, rows)
        return
    table = Table(title=title, title_justify="left", box=_box())
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in whole)
    for row in rows:
        table.add_row(*(_escape(cell) for cell in row))
    console.print(table)


def _print_stacked(console: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    console.print(title, style="italic", markup=False, highlight=False)
    for row in rows:
        console.print(row[0], style="bold", markup=False, highlight=False)
        lines = [f"{column or 'better'}: {cell}" for column, cell in zip(columns[1:], row[1:], strict=True) if cell]
        for text in lines:
            console.print(f"  {text}", markup=False, highlight=False)


def print_results(console: Console, results: Results) -> None:
    """Prints the scores by dimension: value, 95 % interval, n and coverage, protocol."""
    from rich.table import Table

    benchmark, suite = results.benchmark, results.suite
    title = (
        f"{results.system.name} on {benchmark.name} {benchmark.version} ({benchmark.extent}), "
        f"suite {suite.name}" + (f" v{suite.version}" if suite.version else "")
    )
    if console.width < _MIN_WIDTH:
        _print_results_stacked(console, title, results)
        _print_footnotes(console, results)
        return
    narrow = console.width < _WIDTH_WITH_UNITS
    table = Table(title=_escape(title), title_justify="left", box=_box(), padding=(0, 1, 0, 0) if narrow else (0, 1))
    columns = [name for name in _COLUMNS if _is_worth_a_column(name, results, console)]
    for name in columns:
        table.add_column(
            name,
            justify="left" if name in {"metric", "protocol"} else "right",
            no_wrap=name != "protocol",
            overflow="fold",
        )
    for dimension, members in groupby(results.metrics, key=lambda metric: metric.dimension):
        table.add_section()
        table.add_row(f"[bold]{dimension.value.replace('_', ' ')}[/bold]")
        for metric in members:
            cells = _result_cells(metric, units=not narrow)
            table.add_row(*(cells[name] for name in columns))
    console.print(table)
    if "protocol" not in columns:
        for metric in results.metrics:
            unit = f" ({metric.unit})" if metric.unit else ""
            console.print(f"  {metric.id}{unit}: {metric.protocol}", style="dim", markup=False, highlight=False)
    _print_footnotes(console, results)


def _print_results_stacked(console: Console, title: str, results: Results) -> None:
    console.print(title, style="italic", markup=False, highlight=False)
    for metric in results.metrics:
        cells = _result_cells(metric, units=True)
        console.print(f"[bold]{cells['metric'].strip()}[/bold]  {cells['value']}")
        facts = [("95 %", cells["95 % interval"]), ("n", cells["n"]), ("failed", str(metric.n_failed or ""))]
        facts += [("error", str(metric.n_error or "")), ("anchored", cells["anchored"])]
        line = ", ".join(f"{name} {text}" for name, text in facts if text)
        console.print(f"  {line}", markup=False, highlight=False)
        console.print(f"  {metric.protocol}", style="dim", markup=False, highlight=False)


def _is_worth_a_column(name: str, results: Results, console: Console) -> bool:
    if name in _MIN_COLUMN_WIDTHS:
        return console.width >= _MIN_COLUMN_WIDTHS[name]
    counts: dict[str, list[int]] = {
        "failed": [metric.n_failed for metric in results.metrics],
        "n/a": [metric.n_not_applicable for metric in results.metrics],
        "error": [metric.n_error for metric in results.metrics],
        "anchored": [int(metric.anchored is not None) for metric in results.metrics],
    }
    return any(counts[name]) if name in counts else True


def _result_cells(metric: MetricResult, *, units: bool) -> dict[str, str]:
    arrow = "↑" if metric.direction == "higher" else "↓"
    low, high = metric.ci95 if metric.ci95 is not None else (None, None)
    return {
        "metric": f"  {_escape(metric.id)} {arrow}",
        "value": "–"
        if metric.value is None
        else f"{format_value(metric.value)} {metric.unit if units else ''}".rstrip(),
        "95 % interval": "–" if low is None or high is None else f"{format_value(low)} … {format_value(high)}",
        "anchored": "" if metric.anchored is None else f"{metric.anchored:.0f}",
        "n": f"{metric.n_ok}/{metric.n_expected - metric.n_not_applicable}",
        "failed": _marked(metric.n_failed, "yellow"),
        "n/a": str(metric.n_not_applicable or ""),
        "error": _marked(metric.n_error, "red"),
        "coverage": "–" if metric.coverage is None else f"{metric.coverage:.0%}",
        "protocol": f"[dim]{_escape(metric.protocol)}[/dim]",
    }


def _print_footnotes(console: Console, results: Results) -> None:
    def say(text: str, style: str | None = None) -> None:
        console.print(text, style=style, markup=False, highlight=False)

    say("n: samples scored / samples the metric applies to", "dim")
    for metric in results.metrics:
        _print_reading(metric, say)
    if results.judge is not None:
        _print_judge(results.judge, say)
    if any(metric.n_failed for metric in results.metrics):
        text = "failed: the submission's fault, charged the metric's worst value and counted in the mean"
        if any(metric.n_failed and metric.aggregation == "set" for metric in results.metrics):
            text += "; left out where sets are compared"
        say(text, "yellow")
    if any(metric.n_error for metric in results.metrics):
        say("error: our fault; the metric is incomplete and the run cannot be ranked", "red")
    if any(metric.ci95 is None and metric.value is not None for metric in results.metrics):
        say("no interval: with fewer than three identities, or nothing scored, there is no spread to speak of")
    for missing in results.unavailable:
        say(f"not run: {missing.id} ({missing.reason}); to fix: {missing.fix}", "yellow")
    if not results.complete:
        say("This run is incomplete and cannot be ranked.", "yellow")


def _print_judge(judge: JudgeReport, say: Callable[[str, str | None], None]) -> None:
    """Prints the judges, their agreement with the graded replies, and how scores relate to length."""
    anchors = judge.anchors
    tau = ", ".join(f"{one.model} {one.tau:.2f}" for one in anchors.judges)
    text = f"judge {judge.judge}: {judge.n} replies, each asked {judge.repeats} times; anchors {anchors.status}"
    say(f"{text}, Kendall tau on {anchors.samples} ladders: {tau}" if tau else text, "dim")
    if judge.length is not None:
        adjusted = f"mean {format_value(judge.length.adjusted_mean)} at the length of the real replies"
        say(f"judge: rank correlation of score and length {judge.length.rank_correlation:.2f}; {adjusted}", "dim")
    for warning in judge.warnings:
        say(f"judge: {warning}", "yellow")


def print_reasons(console: Console, run: Path) -> None:
    """Prints why samples failed, the most frequent reasons first."""
    from vidchatbench.results.files import read_reasons

    for status, style in (("output_missing", "yellow"), ("output_invalid", "yellow"), ("error", "red")):
        reasons = read_reasons(run, status)
        for reason, samples in reasons[:_MAX_REASONS]:
            shown = ", ".join(samples[:3]) + (f" and {len(samples) - 3} more" if len(samples) > 3 else "")  # noqa: PLR2004
            text = f"{status.replace('_', ' ')}: {reason} ({shown})"
            console.print(text, style=style, markup=False, highlight=False)
        if len(reasons) > _MAX_REASONS:
            console.print(f"  and {len(reasons) - _MAX_REASONS} more reasons, in samples.parquet", style=style)


def _print_reading(metric: MetricResult, say: Callable[[str, str | None], None]) -> None:
    """Prints what a number is compared with: its anchors, or the score of real clips against each other."""
    if metric.anchored is not None and metric.anchors.oracle is not None:
        nulls = ", ".join(f"{name.replace('_', ' ')} {format_value(v)}" for name, v in metric.anchors.nulls.items())
        best = format_value(metric.anchors.oracle)
        say(f"{metric.id}: anchored scale from {nulls} (0) to the real replies {best} (100)", "dim")
    if metric.floor is not None:
        floor = metric.floor
        say(
            f"{metric.id}: with {floor.n} samples on each side, real against real {format_value(floor.value)}, "
            f"these outputs against real {format_value(floor.candidate)}",
            "dim",
        )
    if metric.unranked is not None:
        say(f"{metric.id}: not ranked, {metric.unranked}", "yellow")


def format_value(value: float) -> str:
    """Returns a number with four significant digits, or more before the point where it has them."""
    magnitude = abs(value)
    if magnitude >= 1000:  # noqa: PLR2004
        return f"{value:.0f}"
    if magnitude >= 100:  # noqa: PLR2004
        return f"{value:.1f}"
    if magnitude >= 10:  # noqa: PLR2004
        return f"{value:.2f}"
    return f"{value:.3f}"


def _marked(count: int, color: str) -> str:
    return f"[{color}]{count}[/{color}]" if count else ""


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _box() -> Box:
    from rich import box

    return box.SIMPLE_HEAD
