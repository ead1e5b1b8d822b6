"""``vidchatbench audit``: which metrics notice which faults, and which cheats they fall for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidchatbench.cli.exit_codes import DISORDER
from vidchatbench.cli.options import command_of

if TYPE_CHECKING:
    from rich.console import Console

    from vidchatbench.audit.schema import AuditReport, LadderFinding, MetricAudit, Verdict


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("audit")(audit)


@dataclass(frozen=True)
class AuditOptions:
    """What ``audit`` is given."""

    benchmark: Annotated[str, typer.Option(help="Folder or known name of the benchmark.")] = "test_500"
    suite: Annotated[str, typer.Option(help="Named list of metrics.")] = "lite"
    metrics: Annotated[str | None, typer.Option(help="Metric ids instead of the suite's list: ID,ID.")] = None
    only: Annotated[str | None, typer.Option(help="Reference submissions or ladders: NAME,NAME; all by default.")] = (
        None
    )
    work: Annotated[Path | None, typer.Option(help="Folder of submissions and runs; in the cache by default.")] = None
    out: Annotated[Path, typer.Option(help="Folder for audit.json and audit.html.")] = Path("audit")
    training: Annotated[Path | None, typer.Option(help="Training clips, for the cheat that returns one.")] = None
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu"
    workers: Annotated[int | None, typer.Option(help="Worker processes; by default one per core.")] = None
    gate: Annotated[bool, typer.Option("--gate", help="Exit with 4 unless the order of scores holds.")] = False
    as_json: Annotated[bool, typer.Option("--json", help="Print audit.json on stdout.")] = False


@command_of(AuditOptions)
def audit(options: AuditOptions) -> None:
    """Scores replies whose fault is known and says whether they come in order, and what every metric notices.

    Replies are shifted, blurred, compressed, frozen, swapped, silenced, copied. Every honest reply must score above
    every one that took no work. The page also says which faults a metric puts in order, from which step on it notices
    them, which cheats it falls for, and where the samples are too few to tell. Killed and started again, the command
    makes only what is missing.

    Example: vidchatbench audit --benchmark path/to/benchmark --suite lite --out audit/
    """
    from vidchatbench.audit.page import write_audit
    from vidchatbench.audit.run import audit as run
    from vidchatbench.cli.output import interruptible, print_json, split_ids, stderr_console
    from vidchatbench.cli.progress import progress_for
    from vidchatbench.engine.settings import RunConfig

    console = stderr_console()
    with interruptible(), progress_for(console) as progress:
        report = run(
            options.benchmark,
            suite=options.suite,
            metrics=split_ids(options.metrics),
            only=split_ids(options.only),
            work=options.work,
            training=options.training,
            config=RunConfig(device=options.device, workers=options.workers),
            progress=progress,
        )
    page = write_audit(report, options.out)
    if options.as_json:
        print_json(report.model_dump(mode="json"))
    else:
        _print(console, report)
    console.print(f"written: {page}", markup=False, highlight=False)
    if report.order is not None:
        style = {True: "green", False: "red", None: "yellow"}[report.order.holds]
        console.print(report.order.describe(), style=style, markup=False, highlight=False)
        if options.gate and report.order.holds is not True:
            raise typer.Exit(DISORDER)


def _print(console: Console, report: AuditReport) -> None:
    from vidchatbench.cli.tables import print_table

    _print_order(console, report)
    header = report.benchmark
    where = f"{header.name} {header.version}, {report.n_samples} real replies of {report.identities} identities"
    rows = [(f"{m.id} {_arrow(m)}", *_ladder_cells(m), m.protocol) for m in report.metrics]
    columns = ("metric", *(ladder.title for ladder in report.metrics[0].ladders), "protocol")
    print_table(console, f"Known faults: {where}", columns, rows, whole=("metric",))
    cheats = [
        (
            m.id,
            _names(m, "does not notice"),
            _names(m, "notices"),
            _names(m, "cannot tell"),
        )
        for m in report.metrics
    ]
    columns = ("metric", "falls for", "notices", "cannot tell (n too small)")
    print_table(console, f"Cheats that are the metric's business: {where}", columns, cheats, whole=("metric",))
    aside = "in parentheses: none of the metric's business, its dimension is not one that the fault must hurt"
    console.print(aside, style="dim", markup=False, highlight=False)
    needed = max(m.needed_identities for m in report.metrics)
    if report.identities < needed:
        text = (
            f"{report.identities} identities reply; a single difference can be significant from {needed} on. What is "
            "said here rests on the order of steps and on scores that are equal to the last digit."
        )
        console.print(text, style="yellow", markup=False, highlight=False)
    for metric in report.unavailable:
        text = f"not audited: {metric.id} ({metric.reason}); to fix: {metric.fix}"
        console.print(text, style="yellow", markup=False, highlight=False)


def _print_order(console: Console, report: AuditReport) -> None:
    from vidchatbench.cli.tables import print_table

    if report.order is None:
        return
    rows = [
        (rule.title, rule.verdict, "–" if rule.margin is None else f"{rule.margin:+.1f}", rule.reason)
        for rule in report.order.rules
    ]
    print_table(console, "Order of scores", ("rule", "verdict", "margin", "reason"), rows, whole=("verdict", "margin"))


def _arrow(metric: MetricAudit) -> str:
    return "↑" if metric.direction == "higher" else "↓"


def _ladder_cells(metric: MetricAudit) -> list[str]:
    return [_ladder_cell(ladder) for ladder in metric.ladders]


def _ladder_cell(ladder: LadderFinding) -> str:
    text: str = ladder.verdict
    if ladder.verdict == "notices":
        first = "first step open" if ladder.first_noticed is None else f"from {ladder.first_noticed:g} {ladder.unit}"
        text = f"{text}, tau {ladder.order.tau:.2f}, {first}"
    return text if ladder.expected else f"({text})"


def _names(metric: MetricAudit, verdict: Verdict) -> str:
    return ", ".join(c.recipe for c in metric.cheats if c.expected and c.verdict == verdict) or "–"
