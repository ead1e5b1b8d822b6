"""Writes ``docs/metrics.md`` from the cards, so that the documentation says what the code does.

Run it as `python docs/generate_metric_pages.py`; a test compares the file with what this would write.
"""

from __future__ import annotations

from pathlib import Path

from vidchatbench.api import MetricCard
from vidchatbench.plugins import load_catalogue

TARGET = Path(__file__).with_name("metrics.md")
_INTRODUCTION = """# Metrics

Generated from the metric cards by `python docs/generate_metric_pages.py`. Two numbers may be compared only if their
protocol ids are equal. A missing or invalid output is charged the worst value and counted.
"""


def render() -> str:
    """Returns the page: the suites with their protocols, then one section per card."""
    catalogue = load_catalogue()
    parts = [_INTRODUCTION]
    for name in sorted(catalogue.suites):
        suite = catalogue.suites[name]
        rows = [
            "| metric | protocol | better | worst | licence of weights |",
            "| --- | --- | --- | --- | --- |",
            *(_row(catalogue.metric(entry.metric, **entry.params).card) for entry in suite.metrics),
        ]
        table = "\n".join(rows)
        words = "\n".join(_protocol(catalogue.metric(entry.metric, **entry.params).card) for entry in suite.metrics)
        parts.append(f"## Suite `{suite.name}`, version {suite.version}\n\n{suite.description}\n\n{table}\n\n{words}")
    core = [name for name in catalogue.metrics if catalogue.metrics.origin(name) == "core"]
    parts += [_section(catalogue.metric(name).card) for name in core]
    return "\n".join(parts)


def _row(card: MetricCard) -> str:
    link = f"[{card.id}](#{card.id.replace('/', '')})"
    return (
        f"| {link} | `{card.protocol}` | {card.direction} | {card.worst:g} | {card.weights_license or 'no weights'} |"
    )


def _protocol(card: MetricCard) -> str:
    return f"**`{card.protocol}`** ({card.id}). {card.protocol_text.strip()}\n"


def _section(card: MetricCard) -> str:
    least = "-∞" if card.minimum is None else f"{card.minimum:g}"
    most = "∞" if card.maximum is None else f"{card.maximum:g}"
    facts = [
        f"{card.title}, {card.dimension.value.replace('_', ' ')}, {card.direction} is better",
        f"range {least} … {most}{' ' + card.unit if card.unit else ''}, worst {card.worst:g}"
        + ("" if card.ideal is None else f", a perfect reply {card.ideal:g}"),
        f"needs {', '.join(role.value.replace('_', ' ') for role in card.roles)}; tasks: {', '.join(card.tasks)}",
        f"weights: {', '.join(f'`{name}`' for name in card.weights) or 'none'}"
        + (f" ({card.weights_license})" if card.weights_license else ""),
        f"source: {card.source.strip()}",
    ]
    lines = "\n".join(f"- {fact}" for fact in facts)
    return (
        f"## {card.id}\n\n{card.description.strip()}\n\n{lines}\n\n"
        f"**Protocol** `{card.protocol}`, version {card.version}. {card.protocol_text.strip()}\n\n"
        f"```bibtex\n{card.citation.strip()}\n```\n"
    )


if __name__ == "__main__":
    TARGET.write_text(render(), encoding="utf-8")
