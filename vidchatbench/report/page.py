"""The page of a run: one file with everything in it, that asks for nothing and runs nothing but its own script."""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import groupby
from pathlib import Path
from urllib.parse import urlsplit

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from vidchatbench._version import __version__
from vidchatbench.contract.cards import MetricCard
from vidchatbench.report import plots, text
from vidchatbench.report.data import WORST, json_block, page_data, page_details
from vidchatbench.report.failures import CONSEQUENCES, STATUS_WORDS, failed_samples, group_failures
from vidchatbench.report.media import LARGEST_EMBEDDED, MOST_EMBEDDED, MediaIndex
from vidchatbench.report.run import RunData
from vidchatbench.report.scales import anchored
from vidchatbench.results.comparison import ComparedMetric, Comparison
from vidchatbench.results.schema import MetricResult, Results, WeightUse

_STYLES = ("base.css", "sections.css", "samples.css")
_SCRIPTS = ("core.js", "player.js", "sample.js", "table.js", "worst.js", "dots.js")
_MEBIBYTE = 2**20
_JOINT = re.compile(r"([/_-])")
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
    """Whether a run is complete and can be ranked, and what is in the way."""

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
    style = "\n".join(_resource("assets", name) for name in _STYLES)
    script = '"use strict";\n(function () {\n' + "\n".join(_resource("assets", name) for name in _SCRIPTS) + "})();\n"
    data = json_block(page_data(run, media.index, media.addresses))
    blocks = {"page-data": data, "page-details": json_block(page_details(run))}
    template = _environment().get_template("report.html")
    return template.render(
        policy=_content_policy(style, script),
        style=Markup(style),  # noqa: S704 - a file of this package
        script=Markup(script),  # noqa: S704 - a file of this package
        blocks={name: Markup(block) for name, block in blocks.items()},  # noqa: S704 - escaped by json_block
        results=run.results,
        standing=standing(run.results),
        failed=len(failed_samples(run.cells)),
        dimensions=_dimensions(run, cards),
        spokes=plots.spokes(run.results.metrics),
        radar=plots.radar(plots.spokes(run.results.metrics)),
        failures=group_failures(run.cells),
        weights=_weights(run.results),
        titles={metric.id: metric.title for metric in run.results.metrics},
        comparison=comparison,
        cards=cards,
        media_notes=_media_notes(media),
        worst=WORST,
        version=__version__,
    )


def _dimensions(run: RunData, cards: Mapping[str, MetricCard]) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    numbered = list(enumerate(run.results.metrics))
    for dimension, members in groupby(numbered, key=lambda item: item[1].dimension.value):
        rows = [_row(place, metric, run, cards) for place, metric in members]
        found.append({"title": text.dimension_title(dimension), "rows": rows})
    return found


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
    """Returns how many samples have no score, why, and whether that is somebody's fault."""
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
            f"{LARGEST_EMBEDDED // _MEBIBYTE} MiB each and {MOST_EMBEDDED // _MEBIBYTE} MiB in all); "
            "the others are linked."
        )
    elif shown:
        notes.append("Clips are linked, not part of this page: it shows them where it was written.")
    return notes


# --- the template ---------------------------------------------------------------------------------------------------


def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(lambda name: _resource("templates", name)),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., object]] = {
        "number": lambda value, decimals: text.typeset(text.number(value, decimals)),
        "figure": lambda value: text.typeset(text.number(value, text.decimals_for([value]))),
        "words": text.words,
        "dimension": text.dimension_title,
        "plural": text.plural,
        "arrow": text.arrow,
        "seconds": text.seconds,
        "p_value": text.p_value,
        "inline": lambda plot: Markup(plot.inline()),  # noqa: S704 - every text in a plot is escaped
        "link": _web_address,
        "moment": _moment,
        "gibibytes": lambda size: f"{size / 2**30:.2f} GiB",
        "system": text.system_label,
        "suite": text.suite_label,
        "status": STATUS_WORDS.__getitem__,
        "consequence": CONSEQUENCES.__getitem__,
        "breakable": _breakable,
        "compared_decimals": _compared_decimals,
    }
    environment.filters.update(filters)
    # Control characters have no place in HTML, wherever they come from.
    environment.finalize = _finalize
    return environment


def _finalize(value: object) -> object:
    return text.printable(value) if type(value) is str else value


def _breakable(value: str) -> Markup:
    """Returns an identifier that may be broken into lines where its parts end."""
    # As plain text, for escaped text would escape what is put between its parts.
    return Markup(_JOINT.sub(r"\1<wbr>", str(escape(text.printable(value)))))  # noqa: S704 - escaped here


def _compared_decimals(metric: ComparedMetric) -> int:
    return text.decimals_for([value.value for value in metric.values])


def _moment(time: datetime) -> str:
    moment = time if time.tzinfo is None else time.astimezone(timezone.utc)
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def _web_address(value: object) -> str | None:
    """Returns a text that is the address of a page on the web, and nothing else that a browser would follow."""
    if not isinstance(value, str):
        return None
    try:
        parts = urlsplit(value.strip())
    except ValueError:
        return None
    return value.strip() if parts.scheme in {"http", "https"} and parts.netloc else None


def _content_policy(style: str, script: str) -> str:
    rules = {
        "default-src": "'none'",
        "script-src": _hash_source(script),
        "style-src": _hash_source(style),
        "img-src": "data:",
        "media-src": "'self' file: data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    return "; ".join(f"{name} {sources}" for name, sources in rules.items())


def _hash_source(content: str) -> str:
    digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode("ascii")
    return f"'sha256-{digest}'"


def _resource(folder: str, name: str) -> str:
    return (importlib.resources.files(_PACKAGE) / folder / name).read_text(encoding="utf-8")
