"""``vidchatbench metrics``: every installed metric, whether it can run here, and what it would take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidchatbench.cli.tables import Column, print_table
from vidchatbench.errors import UsageError

if TYPE_CHECKING:
    from vidchatbench.api.features import Param
    from vidchatbench.api.metrics import Metric
    from vidchatbench.plugins.catalogue import Catalogue
    from vidchatbench.weights.resolver import WeightResolver


_COLUMNS = (
    Column("metric"),
    Column("available", rank=1),
    Column("protocol", rank=2),
    Column("dimension", rank=4, drops=True),
    Column("licence of weights", wraps=True, rank=3),
    Column("", wraps=True, rank=5),
)


def add_to(app: typer.Typer) -> None:
    """Adds the commands."""
    group = typer.Typer(invoke_without_command=True)
    group.callback()(list_metrics)
    group.command("show")(show)
    app.add_typer(group, name="metrics")


def list_metrics(
    context: typer.Context,
    suite: Annotated[str | None, typer.Option(help="List a suite's metrics, with its parameters.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list on stdout.")] = False,
) -> None:
    """Lists the installed metrics; `show ID` prints one card.

    Each with its dimension, direction, protocol, licence of weights, and whether it can run on this computer.

    Example: vidchatbench metrics --suite lite
    """
    if context.invoked_subcommand is not None:
        return
    from vidchatbench.cli.output import print_json, stderr_console
    from vidchatbench.plugins.catalogue import load_catalogue
    from vidchatbench.weights.resolver import WeightResolver

    catalogue = load_catalogue()
    resolver = WeightResolver(catalogue.weights)
    broken = [{"plugin": b.name, "reason": b.reason} for b in catalogue.broken]
    entries: list[tuple[str, dict[str, Param]]] = [(name, {}) for name in catalogue.metrics]
    if suite is not None:
        entries = [(entry.metric, dict(entry.params)) for entry in catalogue.suite(suite).metrics]
    items = []
    for name, params in entries:
        try:
            items.append(_describe(catalogue.metric(name, **params), catalogue, resolver))
        except UsageError as error:
            broken.append({"plugin": catalogue.metrics.origin(name), "reason": str(error)})
    if as_json:
        print_json({"metrics": items, "broken_plugins": broken})
        return
    console = stderr_console()
    rows = [
        (
            f"{item['id']} {'↑' if item['direction'] == 'higher' else '↓'}",
            "yes" if item["available"] else "no",
            item["protocol"],
            item["dimension"].replace("_", " "),
            item["weights_license"] or "no weights",
            "" if item["available"] else f"{item['reason']}; to fix: {item['fix']}",
        )
        for item in items
    ]
    print_table(console, f"{len(items)} metrics", _COLUMNS, rows)
    for item in broken:
        console.print(f"broken plugin {item['plugin']!r}: {item['reason']}", style="red", markup=False, highlight=False)


def show(
    metric_id: Annotated[str, typer.Argument(metavar="ID", help="The metric, such as video_quality/psnr.")],
    suite: Annotated[str | None, typer.Option(help="With the parameters that it has in a suite.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the card on stdout.")] = False,
) -> None:
    """Prints the page of one metric, made of its card.

    Example: vidchatbench metrics show video_quality/psnr --suite lite
    """
    from vidchatbench.cli.output import print_json, stderr_console
    from vidchatbench.plugins.catalogue import load_catalogue
    from vidchatbench.report.metric_page import metric_page

    catalogue = load_catalogue()
    params = {} if suite is None else {e.metric: e.params for e in catalogue.suite(suite).metrics}.get(metric_id, {})
    metric = catalogue.metric(metric_id, **params)
    content = {**metric.card.model_dump(mode="json"), "params": dict(metric.params)}
    content["plugin"] = catalogue.metrics.origin(metric_id)
    if as_json:
        print_json(content)
        return
    from rich.markdown import Markdown

    console = stderr_console()
    console.print(Markdown(metric_page(metric.card), hyperlinks=False))
    listed = ", ".join(f"{name} = {value}" for name, value in metric.params.items()) or "none"
    console.print(f"parameters: {listed}; brought by plugin {content['plugin']!r}", markup=False, highlight=False)


def _describe(metric: Metric, catalogue: Catalogue, resolver: WeightResolver) -> dict[str, Any]:
    from vidchatbench.plugins.availability import find_missing

    card, missing = metric.card, find_missing(metric, catalogue, resolver)
    return {
        "id": card.id,
        "title": card.title,
        "dimension": card.dimension.value,
        "direction": card.direction,
        "protocol": card.protocol,
        "version": card.version,
        "weights": list(card.weights),
        "code_license": card.code_license,
        "weights_license": card.weights_license,
        "commercial_use": card.commercial_use,
        "plugin": catalogue.metrics.origin(card.id),
        "available": missing is None,
        "reason": None if missing is None else missing.reason,
        "fix": None if missing is None else missing.fix,
    }
