"""What commands print: JSON on stdout for programs, tables on stderr for people."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING

from vidchatbench.cli.exit_codes import INTERRUPTED
from vidchatbench.cli.tables import Column, Heading, Row, print_table

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from vidchatbench.judge.schema import JudgeReport
    from vidchatbench.results.schema import MetricResult, Results

_WIDTH_WITHOUT_TERMINAL = 160
_MAX_REASONS = 5
_ENCODED = {"reply": "", "reencoded_reply": ", encoded at crf 18,"}
_COLUMNS = (
    Column("metric"),
    Column("value", right=True),
    Column("unit", rank=4),
    Column("95 % interval", right=True, rank=2),
    Column("anchored", right=True, rank=5),
    Column("n", right=True, rank=1),
    Column("failed", right=True, rank=3, style="yellow"),
    Column("n/a", right=True, rank=6),
    Column("error", right=True, rank=3, style="red"),
    Column("coverage", right=True, rank=7),
    Column("protocol", rank=8, style="dim"),
)


def stderr_console() -> Console:
    """Returns a console on stderr; where stderr is no terminal, wide enough that no number is cut."""
    from rich.console import Console  # only for commands that print tables

    console = Console(stderr=True)
    if not console.is_terminal and not os.environ.get("COLUMNS", "").isdigit():
        return Console(stderr=True, width=_WIDTH_WITHOUT_TERMINAL)
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


def print_results(console: Console, results: Results) -> None:
    """Prints the scores by dimension: value, 95 % interval, n and coverage, protocol."""
    benchmark, suite = results.benchmark, results.suite
    title = (
        f"{results.system.name} on {benchmark.name} {benchmark.version} ({benchmark.extent}), "
        f"suite {suite.name}" + (f" v{suite.version}" if suite.version else "")
    )
    rows: list[Row | Heading] = []
    for dimension, members in groupby(results.metrics, key=lambda metric: metric.dimension):
        rows.append(Heading(dimension.value.replace("_", " ")))
        rows += [_result_cells(metric) for metric in members]
    print_table(console, title, _COLUMNS, rows)
    _print_footnotes(console, results)


def _result_cells(metric: MetricResult) -> Row:
    arrow = "↑" if metric.direction == "higher" else "↓"
    return (
        f"{metric.id} {arrow}",
        "–" if metric.value is None else format_value(metric.value),
        metric.unit if metric.value is not None else "",
        format_interval(metric.ci95, is_set=metric.aggregation == "set"),
        "" if metric.anchored is None else f"{metric.anchored:.0f}",
        f"{metric.n_ok}/{metric.n_expected - metric.n_not_applicable}",
        str(metric.n_failed or ""),
        str(metric.n_not_applicable or ""),
        str(metric.n_error or ""),
        "–" if metric.coverage is None else f"{metric.coverage:.0%}",
        metric.protocol,
    )


def _print_footnotes(console: Console, results: Results) -> None:
    from vidchatbench.results.schema import UNSEEN
    from vidchatbench.weights.resolver import PULL

    def say(text: str, style: str | None = None) -> None:
        console.print(text, style=style, markup=False, highlight=False)

    say("n: samples scored / samples the metric applies to", "dim")
    for metric in results.metrics:
        _print_reading(metric, say)
    _print_overall(results, say)
    if results.judge is not None:
        _print_judge(results.judge, say)
    if any(metric.n_failed for metric in results.metrics):
        text = "failed: the submission's fault, charged the metric's worst value and counted in the mean"
        if any(metric.n_failed and metric.aggregation == "set" for metric in results.metrics):
            text += "; left out where sets are compared"
        say(text, "yellow")
    if any(metric.n_error for metric in results.metrics):
        whose = "our fault" if results.judge is None else "our fault or the judge's"
        say(f"error: {whose}; the metric is incomplete and the run cannot be ranked", "red")
    if any(metric.ci95 is None and metric.value is not None for metric in results.metrics):
        say("no interval: with fewer than three identities, or nothing scored, there is no spread to speak of")
    if any(metric.interval_method == UNSEEN for metric in results.metrics):
        say("interval: where no sample failed, it has room for failures that did not occur", "dim")
    if any(metric.ci95 is not None and metric.aggregation == "set" for metric in results.metrics):
        say("at this N: the interval is of the distance at this number of samples; Fréchet's falls as N grows", "dim")
    for missing in results.unavailable:
        say(f"not run: {missing.id} ({missing.reason}); to fix: {missing.fix}", "yellow")
    if results.suite.version and sum(PULL in missing.fix for missing in results.unavailable) > 1:
        say(f"one command brings all weights of the suite: {PULL} --suite {results.suite.name}", "yellow")
    if not results.complete:
        say("This run is incomplete and cannot be ranked.", "yellow")


def _print_overall(results: Results, say: Callable[[str, str | None], None]) -> None:
    """Prints every dimension with its members, and the overall score with what it lacks."""
    from vidchatbench.results.scale import describe_overall, members_of, overall_of

    places = {metric.id: metric.anchored for metric in results.metrics if metric.anchored is not None}
    if not places:
        return
    members = members_of((metric.id, metric.dimension, metric.id in places) for metric in results.metrics)
    means = []
    for one in members:
        name, lost = one.dimension.label, ", ".join(one.without_anchors)
        if not one.metrics:
            say(f"{name}: none{f' ({lost} without anchors)' if lost else ''}", "dim")
            continue
        means.append(sum(places[metric] for metric in one.metrics) / len(one.metrics))
        left_out = f"; without anchors {lost}" if lost else ""
        say(f"{name}: {means[-1]:.1f} (mean of {', '.join(one.metrics)}{left_out})", "dim")
    say(f"overall, anchored: {overall_of(means) or 0:.1f} ({describe_overall(members)})", None)


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
    from vidchatbench.results.sample_rows import read_reasons

    styles = {"output_missing": "yellow", "output_invalid": "yellow", "error": "red", "judge_failed": "red"}
    for status, style in styles.items():
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
        best = f"the real replies{_ENCODED[metric.anchors.ceiling]} {format_value(metric.anchors.oracle)}"
        say(f"{metric.id}: anchored scale from {nulls} (0) to {best} (100)", "dim")
    if metric.summary:
        beside = ", ".join(f"{name.replace('_', ' ')} {format_value(value)}" for name, value in metric.summary.items())
        say(f"{metric.id}: {beside}", "dim")
    if metric.floor is not None:
        floor = metric.floor
        say(
            f"{metric.id}: with {floor.n} samples on each side, real against real {format_value(floor.value)}, "
            f"these outputs against real {format_value(floor.candidate)}",
            "dim",
        )
    if metric.unranked is not None:
        say(f"{metric.id}: not ranked, {metric.unranked}", "yellow")


def format_interval(limits: tuple[float, float] | None, *, is_set: bool = False) -> str:
    """Returns an interval for a table; that of a set's distance says that it holds at this number of samples alone.

    Limits that print alike are no certainty, and are not printed as if they were.
    """
    if limits is None:
        return "–"
    low, high = map(format_value, limits)
    if low == high:
        return "all alike"
    return f"{low} … {high}{' at this N' if is_set else ''}"


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
