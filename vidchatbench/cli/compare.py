"""``vidchatbench compare``: which system is better, by how much, and what could have gone unnoticed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidchatbench.cli.tables import Column, print_below, print_table

if TYPE_CHECKING:
    from rich.console import Console

    from vidchatbench.results.comparison import ComparedMetric, Comparison
    from vidchatbench.results.verdicts import FailureDifference

_MAX_HEADING = 16


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("compare")(compare)


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN...", help="Run folders of `evaluate`.")],
    seed: Annotated[int, typer.Option(help="Seed of all draws.")] = 0,
    set_draws: Annotated[int, typer.Option(help="Most exchanges for metrics of sets, which cost seconds each.")] = 999,
    metrics: Annotated[str | None, typer.Option(help="Compare these alone: ID,ID; p is adjusted for them.")] = None,
    primary: Annotated[
        str | None, typer.Option(metavar="ID", help="The metric that decides, chosen beforehand.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison on stdout.")] = False,
) -> None:
    """Compares systems on the same samples: difference, 95 % interval, p-values, verdict.

    p-values are of a paired permutation test over identities, raw and adjusted by Holm for every metric and pair shown.
    A primary metric is adjusted for its own pairs alone; the others then count only where it is significant. Runs of
    another manifest, suite or protocol are refused.

    Example: vidchatbench compare run_ours/ run_theirs/ --metrics video_quality/psnr,voice/resemblyzer
    """
    from vidchatbench.cli.output import interruptible, print_json, split_ids, stderr_console
    from vidchatbench.core import paths
    from vidchatbench.engine.features.store import FeatureStore
    from vidchatbench.plugins.catalogue import load_catalogue
    from vidchatbench.results.comparison import Family, compare_runs

    catalogue = load_catalogue()
    names = split_ids(metrics)
    family = Family(None if names is None else tuple(names), primary)
    store = FeatureStore(paths.feature_root())
    with interruptible():
        comparison = compare_runs(
            runs, catalogue=catalogue, load=store.load, seed=seed, set_draws=set_draws, family=family
        )
    if as_json:
        print_json(comparison.model_dump(mode="json"))
        return
    _print(stderr_console(), comparison)


def _print(console: Console, comparison: Comparison) -> None:
    title = (
        f"{', '.join(comparison.systems)} on {comparison.benchmark.name} {comparison.benchmark.version} "
        f"({comparison.benchmark.extent}), suite {comparison.suite.name}"
    )
    # Two systems are named once, in the head; the cells are left to the numbers.
    named = len(comparison.systems) > 2  # noqa: PLR2004
    fits = all(len(name) <= _MAX_HEADING for name in comparison.systems)
    heads = tuple(comparison.systems) if fits and not named else ("first", "second")
    rows = [row for metric in comparison.metrics for row in _rows(metric, named=named)]
    print_table(console, title, _columns(*heads), rows)
    if not fits and not named:
        for head, name in zip(heads, comparison.systems, strict=True):
            console.print(f"{head}: {name}", markup=False, highlight=False)

    def say(text: str, style: str = "dim") -> None:
        console.print(text, style=style, markup=False, highlight=False)

    say("difference: first minus second, over the samples that both have; n: samples (identities)")
    say(f"p: paired permutation over identities; p (Holm): {_family(comparison, len(rows))}, significant under 0.05")
    say("better: p (Holm) under 0.05, and the interval of the difference does not hold 0")
    if any(_failed(pair.failures) for metric in comparison.metrics for pair in metric.pairs):
        say("failed: failures of first : second, with the p of McNemar's exact test, not adjusted")
    for metric in comparison.metrics:
        print_below(console, [f"{metric.id}{f' ({metric.unit})' if metric.unit else ''}: {metric.protocol}"])
    for item in comparison.left_out:
        say(f"not compared: {item.id} ({item.reason})", "yellow")


def _family(comparison: Comparison, shown: int) -> str:
    if comparison.primary is None:
        return f"adjusted for the {shown} shown"
    mine = sum(len(metric.pairs) for metric in comparison.metrics if metric.id == comparison.primary)
    return (
        f"{comparison.primary} is primary, adjusted for its {mine}; the other {shown - mine} adjusted among themselves "
        "and never under the primary's"
    )


def _columns(first: str, second: str) -> tuple[Column, ...]:
    return (
        Column("metric"),
        Column(first, right=True, rank=3),
        Column(second, right=True, rank=3),
        Column("difference", right=True),
        Column("95 % interval", right=True, rank=2),
        Column("p", right=True, rank=5),
        Column("p (Holm)", right=True, rank=1),
        Column("n", right=True, rank=4),
        Column("failed", right=True, rank=7),
        Column("verdict", wraps=True, rank=6, bare=True),
    )


def _rows(metric: ComparedMetric, *, named: bool) -> list[tuple[str, ...]]:
    from vidchatbench.cli.output import format_interval, format_value

    values = {value.system: value.value for value in metric.values}
    rows: list[tuple[str, ...]] = []
    for pair in metric.pairs:
        shown = ["–" if (v := values[name]) is None else format_value(v) for name in (pair.first, pair.second)]
        arrow = "↑" if metric.direction == "higher" else "↓"
        rows.append(
            (
                f"{metric.id} {arrow}",
                f"{pair.first} {shown[0]}" if named else shown[0],
                f"{pair.second} {shown[1]}" if named else shown[1],
                f"{pair.difference:+.4g}",
                format_interval(pair.ci95, is_set=metric.aggregation == "set"),
                _p_value(pair.p),
                _p_value(pair.p_holm),
                f"{pair.n} ({pair.clusters})",
                _failed(pair.failures),
                pair.verdict,
            )
        )
    return rows


def _failed(failures: FailureDifference | None) -> str:
    if failures is None or not (failures.first or failures.second):
        return ""
    return f"{failures.first} : {failures.second} of {failures.n}, p {_p_value(failures.p)}"


def _p_value(p: float) -> str:
    return f"{p:.4f}" if p >= 0.0001 else "< 0.0001"  # noqa: PLR2004
