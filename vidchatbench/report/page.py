"""The page of a run: one file with everything in it, that asks for nothing and runs nothing but its own script."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from urllib.parse import urlsplit

from jinja2 import Environment
from markupsafe import Markup

from vidchatbench._version import __version__
from vidchatbench.api.cards import MetricCard
from vidchatbench.report import plots
from vidchatbench.report.data import WORST, json_block, page_data, page_details
from vidchatbench.report.drawing import text
from vidchatbench.report.drawing.html import content_policy, environment_of, resource
from vidchatbench.report.drawing.scales import anchored
from vidchatbench.report.failures import CONSEQUENCES, STATUS_WORDS, failed_samples, group_failures
from vidchatbench.report.media import MAX_EMBEDDED_BYTES, MAX_EMBEDDED_CLIP_BYTES, MediaIndex
from vidchatbench.report.run import RunData
from vidchatbench.results.comparison import ComparedMetric, Comparison
from vidchatbench.results.floors import known_floors
from vidchatbench.results.scale import DimensionMembers, describe_overall, members_of, overall_of
from vidchatbench.results.schema import MetricResult, Results, WeightUse

_STYLES = ("base.css", "sections.css", "samples.css")
_SCRIPTS = ("core.js", "player.js", "sample.js", "table.js", "worst.js", "dots.js")
_MEBIBYTE = 2**20
_PACKAGE = "vidchatbench.report"


@dataclass(frozen=True)
class PageMedia:
    """The clips of a page and how it reaches them.

    Attributes:
        index: The clips.
        addresses: Address of each file, relative to the page or within it.
        embedded: How many files lie within the page; ``None`` if that was not asked for.
    """

    index: MediaIndex = field(default_factory=MediaIndex)
    addresses: Mapping[Path, str] = field(default_factory=dict)
    embedded: int | None = None


@dataclass(frozen=True)
class Standing:
    """Whether a run is complete and can be ranked, and the reasons against it."""

    complete: bool
    ranked: bool
    reasons: tuple[str, ...]


def standing(results: Results) -> Standing:
    """Returns whether a run is complete and can be ranked, with every reason against."""
    reasons = [f"{item.id} did not run: {item.reason} (to fix: {item.fix})" for item in results.unavailable]
    if not results.suite.version:
        reasons.append("the metrics were chosen by hand; only a named suite is ranked")
    for metric in results.metrics:
        if metric.unranked is not None:
            reasons.append(f"{metric.id}: {metric.unranked}")
        elif metric.value is None and metric.n_ok:
            reasons.append(f"{metric.id} has no value")
    if not results.complete and not reasons:
        reasons.append("the run says that it is incomplete")
    return Standing(results.complete, results.complete and not reasons, tuple(reasons))


def render_page(
    run: RunData, cards: Mapping[str, MetricCard], media: PageMedia, comparison: Comparison | None = None
) -> str:
    """Returns the page; the same run gives the same bytes.

    Args:
        run: The run.
        cards: Cards of its metrics, by id.
        media: Its clips.
        comparison: The comparison with other runs, if there is one.
    """
    style = "\n".join(resource(_PACKAGE, "assets", name) for name in _STYLES)
    parts = "\n".join(resource(_PACKAGE, "assets", name) for name in _SCRIPTS)
    script = f'"use strict";\n(function () {{\n{parts}}})();\n'
    data = json_block(page_data(run, media.index, media.addresses))
    blocks = {"page-data": data, "page-details": json_block(page_details(run))}
    template = _environment().get_template("report.html")
    return template.render(
        policy=content_policy(style, script, media=True),
        style=Markup(style),  # noqa: S704 - a file of this package
        script=Markup(script),  # noqa: S704 - a file of this package
        blocks={name: Markup(block) for name, block in blocks.items()},  # noqa: S704 - escaped by json_block
        results=run.results,
        standing=standing(run.results),
        failed=len(failed_samples(run.cells)),
        dimensions=_dimensions(run, cards),
        spokes=plots.spokes(run.results.metrics),
        radar=plots.radar(plots.spokes(run.results.metrics)),
        overall=overall_of([spoke.mean for spoke in plots.spokes(run.results.metrics)]),
        overall_words=describe_overall(members := _members(run.results)),
        members=members,
        floors=known_floors(run.results),
        failures=group_failures(run.cells),
        weights=_weights(run.results),
        titles={metric.id: metric.title for metric in run.results.metrics},
        comparison=comparison,
        cards=cards,
        media_notes=_media_notes(media),
        worst=WORST,
        version=__version__,
    )


def _members(results: Results) -> tuple[DimensionMembers, ...]:
    return members_of((metric.id, metric.dimension, metric.anchored is not None) for metric in results.metrics)


def _dimensions(run: RunData, cards: Mapping[str, MetricCard]) -> list[dict[str, object]]:
    dimensions: list[dict[str, object]] = []
    numbered = list(enumerate(run.results.metrics))
    for dimension, members in groupby(numbered, key=lambda item: item[1].dimension.value):
        rows = [_row(place, metric, run, cards) for place, metric in members]
        dimensions.append({"title": text.dimension_title(dimension), "rows": rows})
    return dimensions


def _row(place: int, metric: MetricResult, run: RunData, cards: Mapping[str, MetricCard]) -> dict[str, object]:
    value = anchored(metric)
    card = cards.get(metric.id)
    return {
        "place": place,
        "metric": metric,
        "card": card,
        "decimals": text.metric_decimals(metric),
        "anchored": value,
        "bar": None if value is None else plots.scale_bar(metric.title, value),
        "strip": plots.strip_plot(metric, run.cells[metric.id]),
        "lost": _lost(metric),
    }


def _weights(results: Results) -> list[dict[str, object]]:
    users: dict[WeightUse, list[str]] = {}
    for metric in results.metrics:
        for use in metric.weights:
            users.setdefault(use, []).append(metric.title)
    return [{"use": use, "metrics": users[use]} for use in sorted(users, key=lambda use: (use.name, use.sha256))]


def _lost(metric: MetricResult) -> list[tuple[int, str, bool]]:
    """Returns counts of samples without a score, each with its label and whether it is a fault."""
    counts = (
        (metric.n_failed, "failed", True),
        (metric.n_not_applicable, "n/a", False),
        (metric.n_error, "error", True),
    )
    return [entry for entry in counts if entry[0]]


def _media_notes(media: PageMedia) -> list[str]:
    notes = list(media.index.notes)
    shown, missing = media.index.counts()
    if missing:
        notes.append(f"{missing} of {text.plural(shown + missing, 'clip')} cannot be shown; each says why.")
    if media.embedded is not None:
        notes.append(
            f"{text.plural(media.embedded, 'clip')} of the worst samples lie within this page (up to "
            f"{MAX_EMBEDDED_CLIP_BYTES // _MEBIBYTE} MiB each and {MAX_EMBEDDED_BYTES // _MEBIBYTE} MiB in all); "
            "the others are linked."
        )
    elif shown:
        notes.append("Clips are linked, not part of this page: it shows them where it was written.")
    return notes


# --- the template ---------------------------------------------------------------------------------------------------


def _environment() -> Environment:
    filters: dict[str, Callable[..., object]] = {
        "seconds": text.seconds,
        "link": _web_address,
        "gibibytes": lambda size: f"{size / 2**30:.2f} GiB",
        "system": text.system_label,
        "suite": text.suite_label,
        "status": STATUS_WORDS.__getitem__,
        "consequence": CONSEQUENCES.__getitem__,
        "compared_decimals": _compared_decimals,
    }
    return environment_of(_PACKAGE, filters)


def _compared_decimals(metric: ComparedMetric) -> int:
    return text.decimals_for([value.value for value in metric.values])


def _web_address(value: object) -> str | None:
    """Returns a text that is the address of a page on the web, and nothing else that a browser would follow."""
    if not isinstance(value, str):
        return None
    try:
        parts = urlsplit(value.strip())
    except ValueError:
        return None
    return value.strip() if parts.scheme in {"http", "https"} and parts.netloc else None
