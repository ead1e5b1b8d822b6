"""The drawing of one metric on one ladder: the score of every step, beside the real replies and the null."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vidchatbench.audit.schema import LadderFinding, MetricAudit, Scored, Verdict
from vidchatbench.report.drawing import svg
from vidchatbench.report.drawing.scales import Axis, axis_over, tick_decimals, ticks
from vidchatbench.report.drawing.svg import Plot
from vidchatbench.report.drawing.text import decimals_for, number, typeset

_WIDTH, _HEIGHT = 300, 176
_LEFT, _RIGHT, _TOP, _BOTTOM = 50.0, 288.0, 22.0, 142.0
_REACH = 1.0
_MAX_TICKS = 4


@dataclass(frozen=True)
class _Mark:
    step: float
    scored: Scored
    verdict: Verdict | None


def ladder_plot(metric: MetricAudit, ladder: LadderFinding) -> Plot | None:
    """Returns the scores of a ladder with their intervals against the step; ``None`` if nothing was scored.

    The band is the oracle's interval, the dashed line the null. What lies too far off is named at the edge instead, so
    that the steps do not end up in a corner.
    """
    marks = [_Mark(0.0, metric.reencoded, None)]
    marks += [_Mark(step.step, step.scored, step.verdict) for step in ladder.steps]
    values = [v for mark in marks for v in (mark.scored.value, *(mark.scored.ci95 or ())) if v is not None]
    if not values:
        return None
    near = [v for scored in (metric.oracle, metric.null_scored) for v in _near(scored, values)]
    axis = axis_over([*values, *near], _BOTTOM, _TOP, margin=0.06)
    parts = [*_frame(axis, metric), *_anchors(axis, metric)]
    places = [_LEFT + 22 + k * (_RIGHT - _LEFT - 40) / max(len(marks) - 1, 1) for k in range(len(marks))]
    parts += _scores(axis, marks, places)
    words = _words(metric, ladder, marks)
    name = f"{metric.id.replace('/', '_')}_{ladder.family}"
    return Plot(name, f"{metric.title}: {ladder.title}", words, _WIDTH, _HEIGHT, "".join(parts))


def _near(scored: Scored | None, values: Sequence[float]) -> list[float]:
    if scored is None or scored.value is None:
        return []
    low, high = min(values), max(values)
    span = (high - low) or abs(high) or 1.0
    return [scored.value] if low - _REACH * span <= scored.value <= high + _REACH * span else []


def _frame(axis: Axis, metric: MetricAudit) -> list[str]:
    marks = ticks(axis.low, axis.high, _MAX_TICKS)
    decimals = tick_decimals(marks)
    parts = [svg.line(_LEFT, axis.place(mark), _RIGHT, axis.place(mark), "p-grid") for mark in marks]
    parts += [
        svg.label(_LEFT - 6, axis.place(mark) + 3.5, typeset(number(mark, decimals)), "p-muted p-end") for mark in marks
    ]
    parts.append(svg.line(_LEFT, _BOTTOM, _RIGHT, _BOTTOM, "p-axis"))
    better = "better ↑" if metric.direction == "higher" else "better ↓"
    return [*parts, svg.label(_LEFT, 13, better, "p-muted")]


def _anchors(axis: Axis, metric: MetricAudit) -> list[str]:
    parts = []
    oracle, null = metric.oracle, metric.null_scored
    if oracle.value is not None and axis.holds(oracle.value):
        if oracle.ci95 is not None:
            low, high = (axis.place(limit) for limit in oracle.ci95)
            size = {"width": _RIGHT - _LEFT, "height": max(low - high, 1.0)}
            parts.append(svg.element("rect", x=_LEFT, y=high, class_="p-band", **size))
        y = axis.place(oracle.value)
        parts.append(svg.line(_LEFT, y, _RIGHT, y, "p-mean"))
    if null is not None and null.value is not None and axis.holds(null.value):
        y = axis.place(null.value)
        parts.append(svg.line(_LEFT, y, _RIGHT, y, "p-null"))
    far = [_far(axis, name, scored) for name, scored in (("oracle", oracle), ("null", null))]
    shown = "   ".join(text for text in far if text)
    if shown:
        parts.append(svg.label(_RIGHT, 13, shown, "p-muted p-end"))
    return parts


def _far(axis: Axis, name: str, scored: Scored | None) -> str:
    if scored is None or scored.value is None or axis.holds(scored.value):
        return ""
    arrow = "▲" if scored.value > axis.high else "▼"
    return f"{name} {typeset(number(scored.value, decimals_for([scored.value])))} {arrow}"


def _scores(axis: Axis, marks: Sequence[_Mark], places: Sequence[float]) -> list[str]:
    points = [
        (x, axis.place(mark.scored.value), mark)
        for x, mark in zip(places, marks, strict=True)
        if mark.scored.value is not None
    ]
    path = "L".join(f"{svg.coordinate(x)} {svg.coordinate(y)}" for x, y, _ in points)
    parts = [svg.element("path", d=f"M{path}", class_="p-trace")]
    for x, _, mark in points:
        if mark.scored.ci95 is not None:
            low, high = (axis.place(limit) for limit in mark.scored.ci95)
            parts.append(svg.line(x, low, x, high, "p-whisker"))
    for x, y, mark in points:
        if mark.verdict == "does not notice":
            parts.append(svg.crosses([(x, y)], 9.0, "p-unnoticed"))
        elif mark.verdict is None:
            parts.append(svg.polygon([(x, y - 5), (x + 5, y), (x, y + 5), (x - 5, y)], "p-anchor"))
        else:
            class_ = "p-point" if mark.verdict == "notices" else "p-open"
            parts.append(svg.element("circle", cx=x, cy=y, r=4.2, class_=class_))
    parts += [
        svg.label(x, _BOTTOM + 15, f"{mark.step:g}", "p-muted p-middle") for x, mark in zip(places, marks, strict=True)
    ]
    return parts


def _words(metric: MetricAudit, ladder: LadderFinding, marks: Sequence[_Mark]) -> str:
    values = [mark.scored.value for mark in marks] + [metric.oracle.value]
    decimals = decimals_for(values)
    words = ", ".join(f"step {mark.step:g}: {typeset(number(mark.scored.value, decimals))}" for mark in marks)
    oracle = typeset(number(metric.oracle.value, decimals))
    unit = f" {metric.unit}" if metric.unit else ""
    return f"{words}; real replies: {oracle}{unit}; {metric.direction} is better; verdict: {ladder.verdict}"
