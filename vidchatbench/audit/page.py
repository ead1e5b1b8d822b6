"""The page of an audit: one file that opens offline, runs nothing and asks for nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

from jinja2 import Environment
from markupsafe import Markup

from vidchatbench._version import __version__
from vidchatbench.audit.plots import ladder_plot
from vidchatbench.audit.recipe import Group
from vidchatbench.audit.schema import (
    AUDIT_FILE,
    AuditReport,
    CheatFinding,
    LadderFinding,
    MetricAudit,
    RuleVerdict,
    Verdict,
)
from vidchatbench.audit.verdicts import CHEAT_MARGIN, LADDER_MARGIN, SMALL_EFFECT, tally
from vidchatbench.core.atomic import write_atomically
from vidchatbench.report.drawing import text
from vidchatbench.report.drawing.html import content_policy, environment_of, resource
from vidchatbench.results.scale import describe_overall

PAGE_FILE = "audit.html"
_PACKAGE = "vidchatbench.audit"
_REPORT = "vidchatbench.report"
_STYLES = ((_REPORT, "base.css"), (_REPORT, "sections.css"), (_PACKAGE, "audit.css"))
_SYMBOLS: dict[Verdict, str] = {"notices": "✓", "does not notice": "✗", "cannot tell": "?"}
_RULES: dict[RuleVerdict, tuple[str, str]] = {
    "held": ("good", "✓"),
    "not held": ("bad", "✗"),
    "cannot tell": ("open", "?"),
}
_GROUPS: dict[Group, str] = {
    "oracle": "real reply",
    "honest": "honest",
    "no_work": "no work",
    "damaged": "damaged",
    "copy": "copy",
}
_CLASSES: dict[Verdict, str] = {"notices": "good", "does not notice": "bad", "cannot tell": "open"}


def write_audit(report: AuditReport, folder: Path) -> Path:
    """Writes ``audit.json`` and ``audit.html``.

    Args:
        report: The audit.
        folder: The folder; made if it is absent.

    Returns:
        The page.

    Raises:
        OSError: If a file cannot be written.
    """
    page = render_audit(report)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / AUDIT_FILE, report.to_json().encode())
    write_atomically(folder / PAGE_FILE, page.encode())
    return folder / PAGE_FILE


def render_audit(report: AuditReport) -> str:
    """Returns the page; the same audit gives the same bytes."""
    style = "\n".join(resource(package, "assets", name) for package, name in _STYLES)
    return (
        _environment()
        .get_template("audit.html")
        .render(
            policy=content_policy(style),
            style=Markup(style),  # noqa: S704 - files of these packages
            report=report,
            counts=_counts(report),
            needed=max((metric.needed_identities for metric in report.metrics), default=0),
            comparisons=max((metric.codec.comparisons for metric in report.metrics), default=0),
            order=_order(report),
            dimensions=_dimensions(report),
            ladders=report.metrics[0].ladders if report.metrics else (),
            cheats=report.metrics[0].cheats if report.metrics else (),
            faults=_faults(report),
            titles={recipe.name: recipe.title for recipe in report.recipes},
            margins={"ladder": LADDER_MARGIN, "cheat": CHEAT_MARGIN, "spread": SMALL_EFFECT},
            has_sets=any(metric.aggregation == "set" for metric in report.metrics),
            version=__version__,
        )
    )


def _counts(report: AuditReport) -> list[tuple[Verdict, int]]:
    findings: list[tuple[bool, Verdict]] = []
    for metric in report.metrics:
        for ladder in metric.ladders:
            findings.append((ladder.expected, ladder.verdict))  # noqa: PERF401 - a comprehension loses the words' type
        for cheat in metric.cheats:
            findings.append((cheat.expected, cheat.verdict))  # noqa: PERF401
    return list(tally(findings).items())


def _dimensions(report: AuditReport) -> list[dict[str, object]]:
    sections: list[dict[str, object]] = []
    numbered = list(enumerate(report.metrics))
    for dimension, members in groupby(numbered, key=lambda item: item[1].dimension.value):
        rows = [_row(place, metric) for place, metric in members]
        sections.append({"title": text.dimension_title(dimension), "rows": rows})
    return sections


def _order(report: AuditReport) -> dict[str, object] | None:
    """Returns the order's rules, and a table of scores by dimension with the classes of the replies."""
    if report.order is None:
        return None
    known = [member.dimension for member in report.order.members if member.metrics]
    return {
        "holds": report.order.holds,
        "sentence": report.order.describe(),
        "members": describe_overall(report.order.members),
        "rules": report.order.rules,
        "columns": [dimension.label for dimension in known],
        "rows": [(score, [score.dimensions.get(dimension) for dimension in known]) for score in report.order.scores],
    }


def _row(place: int, metric: MetricAudit) -> dict[str, object]:
    values = [metric.oracle.value, metric.reencoded.value]
    values += [step.scored.value for ladder in metric.ladders for step in ladder.steps]
    return {
        "place": place,
        "metric": metric,
        "decimals": text.decimals_for(values),
        "plots": [(ladder, ladder_plot(metric, ladder)) for ladder in metric.ladders],
    }


def _faults(report: AuditReport) -> list[dict[str, object]]:
    """Returns, for every ladder and cheat, which metrics whose business it is notice it."""
    if not report.metrics:
        return []
    first = report.metrics[0]
    hurts = {recipe.family: recipe.hurts for recipe in report.recipes}
    sections: list[dict[str, object]] = []
    for place, ladder in enumerate(first.ladders):
        findings = [(metric, metric.ladders[place]) for metric in report.metrics]
        sections.append(_fault(ladder.title, [d.value for d in hurts[ladder.family]], findings))
    for place, cheat in enumerate(first.cheats):
        findings_of = [(metric, metric.cheats[place]) for metric in report.metrics]
        sections.append(_fault(cheat.title, [d.value for d in hurts[cheat.recipe]], findings_of))
    return sections


def _fault(
    title: str, hurts: Sequence[str], findings: Sequence[tuple[MetricAudit, LadderFinding | CheatFinding]]
) -> dict[str, object]:
    concerned = [(metric, finding) for metric, finding in findings if finding.expected]
    by_verdict = {v: [metric.title for metric, finding in concerned if finding.verdict == v] for v in _SYMBOLS}
    if by_verdict["notices"]:
        state: tuple[str, str] = ("good", "seen")
    elif not concerned:
        state = ("bad", "no metric looks")
    elif by_verdict["cannot tell"]:
        state = ("open", "open")
    else:
        state = ("bad", "a hole")
    return {"title": title, "hurts": hurts, "by": by_verdict, "state": state}


# --- the template ---------------------------------------------------------------------------------------------------


def _environment() -> Environment:
    filters: dict[str, Callable[..., object]] = {
        "signed": _signed,
        "identities": lambda count: "1 identity" if count == 1 else f"{count} identities",
        "symbol": _SYMBOLS.__getitem__,
        "kind": _CLASSES.__getitem__,
        "capitalize_first": lambda words: words[:1].upper() + words[1:],
        "rule_mark": _RULES.__getitem__,
        "group": _GROUPS.__getitem__,
        "percent": lambda share: f"{100 * share:.0f}",
    }
    return environment_of(_PACKAGE, filters)


def _signed(value: float, decimals: int) -> str:
    shown = text.number(value, decimals)
    return text.typeset(shown if shown.startswith("-") or float(shown) == 0 else f"+{shown}")
