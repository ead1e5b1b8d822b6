"""Writes ``docs/metrics/``: one page a metric from its card, and a list of the suites that links them.

Run it as `python docs/generate_metric_pages.py`; a test compares the files with what this would write.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from vidchatbench.api import MetricCard, Suite
from vidchatbench.plugins.catalogue import Catalogue, load_catalogue
from vidchatbench.report.metric_page import metric_page

TARGET = Path(__file__).with_name("metrics")
_INTRODUCTION = """# Metrics

Generated from the metric cards by `python docs/generate_metric_pages.py`; `vidchatbench metrics show ID` prints the
same. Two numbers may be compared only if their protocol ids are equal. A missing or invalid output is charged the worst
value and counted; a metric of sets leaves it out, says how many it rests on, and is ranked only if 95 % are there.
"""


def render() -> dict[str, str]:
    """Returns every page by its path below ``docs/metrics``."""
    catalogue = load_catalogue()
    core = [name for name in catalogue.metrics if catalogue.metrics.origin(name) == "core"]
    pages = {f"{name}.md": metric_page(catalogue.metric(name).card) for name in core}
    suites = [_suite(catalogue.suites[name], catalogue) for name in sorted(catalogue.suites)]
    rows = [_row(catalogue.metric(name).card) for name in core]
    pages["README.md"] = "\n".join([_INTRODUCTION, *suites, f"## All {len(rows)} metrics\n", *_table(rows), ""])
    return pages


def _suite(suite: Suite, catalogue: Catalogue) -> str:
    cards = [catalogue.metric(entry.metric, **entry.params).card for entry in suite.metrics]
    table = "\n".join(_table([_row(card) for card in cards]))
    # A suite's parameters can give another protocol than the page, which is of the defaults.
    own = [card for card in cards if card.protocol != catalogue.metric(card.id).card.protocol]
    words = "".join(f"\n**`{card.protocol}`** ({card.id}). {' '.join(card.protocol_text.split())}\n" for card in own)
    return f"## Suite `{suite.name}`, version {suite.version}\n\n{suite.description}\n\n{table}\n{words}"


def _table(rows: list[str]) -> list[str]:
    return ["| metric | protocol | better | worst | licence of weights |", "| --- | --- | --- | --- | --- |", *rows]


def _row(card: MetricCard) -> str:
    worst = "–" if card.worst is None else f"{card.worst:g}"
    link = f"[{card.id}]({card.id}.md)"
    return f"| {link} | `{card.protocol}` | {card.direction} | {worst} | {card.weights_license or 'no weights'} |"


if __name__ == "__main__":
    shutil.rmtree(TARGET, ignore_errors=True)
    for name, text in render().items():
        path = TARGET / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
