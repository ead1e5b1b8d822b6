"""The per-sample data of the page: compact, because 500 samples times 30 metrics must load at once.

Everything lies in blocks of JSON that no browser runs, with every ``<`` escaped, so that no content of a run can end
the block it lies in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from vidchatbench.api.scores import Status
from vidchatbench.report.drawing.text import arrow, decimals_for, dimension_title, printable
from vidchatbench.report.media import SHOWN, Clip, MediaIndex
from vidchatbench.report.run import RunData, worst_samples
from vidchatbench.results.schema import MetricResult

WORST = 10
"""Worst samples shown of every metric."""

_CODES = {
    Status.OK: "o",
    Status.OUTPUT_MISSING: "m",
    Status.OUTPUT_INVALID: "i",
    Status.NOT_APPLICABLE: "n",
    Status.ERROR: "e",
    Status.JUDGE_FAILED: "j",
}
_SPARE_DIGITS = 2
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def json_block(content: object) -> str:
    """Returns JSON that may stand in a ``script`` element, whatever its texts hold.

    Raises:
        ValueError: If a number is not finite.
    """
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True)
    for letter, escaped in _ESCAPES.items():
        text = text.replace(letter, escaped)
    return printable(text)


def page_data(run: RunData, index: MediaIndex, addresses: Mapping[Path, str]) -> dict[str, object]:
    """Returns what the tables and players of the page are made of.

    Args:
        run: The run.
        index: Its clips.
        addresses: Where the page finds a clip's file.
    """
    reasons: dict[str, int] = {}
    columns = [_column(run, metric, reasons) for metric in run.results.metrics]
    return {
        "samples": list(run.samples),
        "clusters": [run.clusters[sample] for sample in run.samples],
        "metrics": columns,
        "reasons": list(reasons),
        **_clips(run.samples, index, addresses),
    }


def page_details(run: RunData) -> list[list[object]]:
    """Returns the details of every metric and sample, in the order of both; 0 where there are none."""
    details: list[list[object]] = []
    for metric in run.results.metrics:
        cells = run.cells[metric.id]
        details.append([dict(cells[name].details) or 0 if name in cells else 0 for name in run.samples])
    return details


def _column(run: RunData, metric: MetricResult, reasons: dict[str, int]) -> dict[str, object]:
    cells = run.cells[metric.id]
    place = {name: number for number, name in enumerate(run.samples)}
    shown = [cells[name].shown if name in cells else None for name in run.samples]
    sizes = [abs(value) for value in shown if value is not None]
    decimals = decimals_for([median(sizes) if sizes else None, metric.value])
    why = {
        str(place[cell.sample]): reasons.setdefault(cell.reason, len(reasons))
        for cell in cells.values()
        if cell.reason is not None
    }

    def worst(*, with_failed: bool) -> list[int]:
        return [place[name] for name in worst_samples(metric, cells, with_failed=with_failed, most=WORST)]

    return {
        "id": metric.id,
        "title": metric.title,
        "dimension": dimension_title(metric.dimension.value),
        "arrow": arrow(metric.direction),
        "unit": metric.unit if metric.aggregation == "mean" else "",
        "isSet": metric.aggregation == "set",
        "decimals": decimals,
        "status": "".join(_CODES[cells[name].status] if name in cells else " " for name in run.samples),
        "values": [None if value is None else round(value, decimals + _SPARE_DIGITS) for value in shown],
        "why": why,
        "worst": worst(with_failed=True),
        "worstScored": worst(with_failed=False),
    }


def _clips(samples: Sequence[str], index: MediaIndex, addresses: Mapping[Path, str]) -> dict[str, object]:
    places: dict[str, int] = {}
    sides: dict[str, list[object]] = {}
    for role in SHOWN:
        sides[role.value] = []
        for sample in samples:
            clip = index.clips.get((sample, role), Clip(problem="not linked: its folder is not known"))
            entry: dict[str, object] = {}
            if clip.path is not None and clip.path in addresses:
                entry["at"] = places.setdefault(addresses[clip.path], len(places))
            else:
                entry["note"] = clip.problem or "not linked"
            if clip.transcript:
                entry["says"] = clip.transcript
            sides[role.value].append(entry)
    return {"addresses": list(places), "clips": sides}
