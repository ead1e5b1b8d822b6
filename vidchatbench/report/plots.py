"""The drawings: where a system stands between the null and the real replies, and how its samples scatter."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from vidchatbench.report.drawing import svg
from vidchatbench.report.drawing.scales import AnchoredValue, Axis, anchored, axis_over, tick_decimals, ticks
from vidchatbench.report.drawing.svg import Plot
from vidchatbench.report.drawing.text import arrow, dimension_title, metric_decimals, number, plural, typeset, words
from vidchatbench.report.run import Cell
from vidchatbench.results.schema import MetricResult

MIN_SPOKES = 3
"""Dimensions that a radar needs to enclose anything."""

_SCALE_LOW, _SCALE_HIGH = -10.0, 110.0
_RINGS = (25.0, 50.0, 75.0, 100.0)


@dataclass(frozen=True)
class Spoke:
    """One dimension of the radar: the mean of its anchored metrics."""

    dimension: str
    mean: float
    values: tuple[float, ...]
    metrics: int


def spokes(metrics: Sequence[MetricResult]) -> list[Spoke]:
    """Returns the mean anchored score of every dimension that has one, in the order of the results."""
    by_dimension: dict[str, list[MetricResult]] = defaultdict(list)
    for metric in metrics:
        by_dimension[metric.dimension.value].append(metric)
    means = []
    for dimension, members in by_dimension.items():
        values = tuple(m.anchored for m in members if m.anchored is not None)
        if values:
            means.append(Spoke(dimension, math.fsum(values) / len(values), values, len(members)))
    return means


# --- the anchored scale ---------------------------------------------------------------------------------------------


def scale_bar(title: str, value: AnchoredValue) -> Plot:
    """Returns one value with its interval on the anchored scale, for a cell of a table."""
    width, height = 200, 22
    axis = Axis(_SCALE_LOW, _SCALE_HIGH, 6, width - 6)
    return Plot("scale", title, _scale_words(value), width, height, _bar(axis, value, height / 2))


def score_plot(metrics: Sequence[MetricResult]) -> Plot | None:
    """Returns all anchored values with their intervals in one drawing; ``None`` if there are none."""
    rows = [(metric, value) for metric in metrics if (value := anchored(metric)) is not None]
    if not rows:
        return None
    width, step, top = 640, 22, 26
    height = top + step * len(rows) + 10
    axis = Axis(_SCALE_LOW, _SCALE_HIGH, 250, width - 90)
    parts = [svg.line(axis.place(mark), top - 8, axis.place(mark), height - 8, "p-grid") for mark in (0, *_RINGS)]
    parts += [svg.label(axis.place(mark), 12, f"{mark:.0f}", "p-muted p-middle") for mark in (0, *_RINGS)]
    for place, (metric, value) in enumerate(rows):
        y = top + step * (place + 0.5)
        decimals = metric_decimals(metric)
        parts.append(svg.label(240, y + 4, f"{_shortened(metric.title, 36)} {arrow(metric.direction)}", "p-end"))
        parts.append(_bar(axis, value, y))
        shown = f"{typeset(number(metric.value, decimals))} {metric.unit}".rstrip()
        parts.append(svg.label(width - 10, y + 4, shown, "p-end"))
    description = "; ".join(f"{metric.title}: {_scale_words(value)}" for metric, value in rows)
    title = "Anchored scores with 95 % intervals (0: null, 100: real replies)"
    return Plot("scores", title, description, width, height, "".join(parts))


def _bar(axis: Axis, value: AnchoredValue, y: float) -> str:
    left, right = axis.place(0), axis.place(100)
    parts = [svg.element("rect", x=left, y=y - 3, width=right - left, height=6.0, class_="p-track")]
    if value.low is not None and value.high is not None:
        parts.append(svg.line(axis.place(value.low), y, axis.place(value.high), y, "p-interval"))
        parts += [_limit(axis, end, y) for end in (value.low, value.high)]
    parts += [svg.line(x, y - 6, x, y + 6, "p-axis") for x in (left, right)]
    # A value beyond the scale is an arrowhead at its end.
    is_on_axis = axis.holds(value.value)
    x = axis.place(value.value)
    parts.append(
        svg.element("circle", cx=x, cy=y, r=4.0, class_="p-point") if is_on_axis else _head(axis, value.value, y, 5)
    )
    return "".join(parts)


def _limit(axis: Axis, value: float, y: float) -> str:
    x = axis.place(value)
    return svg.line(x, y - 4, x, y + 4, "p-point-line") if axis.holds(value) else _head(axis, value, y, 3)


def _head(axis: Axis, value: float, y: float, size: float) -> str:
    x, tip = axis.place(value), size if value > axis.high else -size
    return svg.polygon([(x + tip, y), (x - tip, y - size), (x - tip, y + size)], "p-point")


def _scale_words(value: AnchoredValue) -> str:
    text = f"{typeset(f'{value.value:.0f}')} on the scale from 0 ({words(value.null_name)}) to 100 (real replies)"
    if value.low is None or value.high is None:
        return text
    return f"{text}, 95 % interval {typeset(f'{value.low:.0f}')} to {typeset(f'{value.high:.0f}')}"


# --- the radar ------------------------------------------------------------------------------------------------------


def radar(means: Sequence[Spoke]) -> Plot | None:
    """Returns the radar over dimensions; ``None`` with fewer than three, which enclose nothing."""
    if len(means) < MIN_SPOKES:
        return None
    width, height = 480, 350
    center_x, center_y, radius = width / 2, height / 2 + 2, 110.0
    axis = Axis(0, 100, 0, radius)

    def at(place: int, distance: float) -> tuple[float, float]:
        angle = 2 * math.pi * place / len(means) - math.pi / 2
        return center_x + distance * math.cos(angle), center_y + distance * math.sin(angle)

    around = range(len(means))
    shape = [at(k, axis.place(spoke.mean)) for k, spoke in enumerate(means)]
    parts = [svg.polygon(shape, "p-area")]
    parts += [svg.polygon([at(k, axis.place(ring)) for k in around], "p-grid") for ring in _RINGS]
    parts += [svg.line(center_x, center_y, *at(k, radius), "p-grid") for k in around]
    parts.append(svg.polygon(shape, "p-point-line"))
    single = [at(k, axis.place(value)) for k, spoke in enumerate(means) for value in spoke.values]
    parts.append(svg.dots(single, 4, "p-dots"))
    parts += [svg.element("circle", cx=x, cy=y, r=4.0, class_="p-point") for x, y in shape]
    parts += [svg.label(center_x + 4, center_y - axis.place(ring) + 10, f"{ring:.0f}", "p-muted") for ring in _RINGS]
    for k, spoke in enumerate(means):
        x, y = at(k, radius + 16)
        side = "p-middle" if abs(x - center_x) < radius / 3 else "" if x > center_x else "p-end"
        y += 0.0 if side != "p-middle" else -10.0 if y < center_y else 8.0
        parts.append(svg.label(x, y, dimension_title(spoke.dimension), f"p-strong {side}".strip()))
        parts.append(svg.label(x, y + 14, _mean_words(spoke), f"p-muted {side}".strip()))
    description = "; ".join(f"{dimension_title(spoke.dimension)} {_mean_words(spoke)}" for spoke in means)
    return Plot("radar", "Mean anchored score per dimension", description, width, height, "".join(parts))


def _mean_words(spoke: Spoke) -> str:
    return f"{typeset(f'{spoke.mean:.0f}')} ({plural(len(spoke.values), 'metric')})"


# --- the samples of one metric --------------------------------------------------------------------------------------

_STRIP_WIDTH, _STRIP_HEIGHT = 360, 112
_BAND_TOP, _BAND_BOTTOM = 18.0, 76.0
_DOT = 5.0
_REACH = 2.0


def strip_plot(metric: MetricResult, cells: Mapping[str, Cell]) -> Plot | None:
    """Returns every sample of a metric as a dot, with mean and interval; ``None`` if no sample has a value."""
    shown = [(cell.shown, cell.status.is_failure_of_output) for cell in cells.values() if cell.shown is not None]
    if not shown:
        return None
    values = [value for value, _ in shown]
    marks = [metric.value, *(metric.ci95 or ())] if metric.aggregation == "mean" and metric.value is not None else []
    anchors = _near_anchors(metric, values)
    axis = axis_over([*values, *marks, *anchors.values()], 12, _STRIP_WIDTH - 12)
    parts = []
    if metric.aggregation == "mean" and metric.ci95 is not None:
        low, high = (axis.place(limit) for limit in metric.ci95)
        size = {"width": max(high - low, 1.0), "height": _BAND_BOTTOM - _BAND_TOP}
        parts.append(svg.element("rect", x=low, y=_BAND_TOP, class_="p-band", **size))
    parts += _strip_frame(axis, metric)
    places = _swarm([axis.place(value) for value in values], _BAND_TOP, _BAND_BOTTOM)
    good = [place for place, (_, failed) in zip(places, shown, strict=True) if not failed]
    bad = [place for place, (_, failed) in zip(places, shown, strict=True) if failed]
    parts += [svg.dots(good, _DOT, "p-dots"), svg.crosses(bad, _DOT, "p-failed")]
    if metric.aggregation == "mean" and metric.value is not None:
        # Over the dots, which hide the band where they are many.
        ends = [(limit, "p-limit", 0) for limit in metric.ci95 or ()]
        for value, class_, more in [*ends, (metric.value, "p-mean", 2)]:
            x = axis.place(value)
            parts.append(svg.line(x, _BAND_TOP - more, x, _BAND_BOTTOM + more, class_))
    for name, value in anchors.items():
        x, y = axis.place(value), _BAND_BOTTOM + 2
        class_ = "p-anchor" if name == "oracle" else "p-anchor-null"
        parts.append(svg.polygon([(x, y), (x - 4, y + 7), (x + 4, y + 7)], class_))
    name = metric.id.replace("/", "_")
    description = _strip_words(metric, len(good), len(bad))
    return Plot(f"strip_{name}", metric.title, description, _STRIP_WIDTH, _STRIP_HEIGHT, "".join(parts))


def _strip_frame(axis: Axis, metric: MetricResult) -> list[str]:
    marks = ticks(axis.low, axis.high)
    decimals = tick_decimals(marks)
    base = _BAND_BOTTOM + 10
    parts = [svg.line(axis.place(mark), _BAND_TOP, axis.place(mark), base + 3, "p-grid") for mark in marks]
    parts.append(svg.line(axis.start, base, axis.end, base, "p-axis"))
    for mark in marks:
        x, shown = axis.place(mark), typeset(number(mark, decimals))
        # A label at the very edge would be cut off.
        side = "" if x < axis.start + 12 else "p-end" if x > axis.end - 12 else "p-middle"
        parts.append(svg.label(x, base + 15, shown, f"p-muted {side}".strip()))
    # A sample of a set is a distance from its reference, whatever is made of all of them.
    if metric.direction == "higher" and metric.aggregation == "mean":
        return [*parts, svg.label(axis.end, 11, "better →", "p-muted p-end")]
    return [*parts, svg.label(axis.start, 11, "← better", "p-muted")]


def _near_anchors(metric: MetricResult, values: Sequence[float]) -> dict[str, float]:
    """Returns the anchors that can be drawn without pressing the samples into a corner."""
    if metric.aggregation == "set" or metric.anchors.oracle is None:
        return {}
    anchors = {**metric.anchors.nulls, "oracle": metric.anchors.oracle}
    low, high = min(values), max(values)
    span = (high - low) or abs(high) or 1.0
    return {name: value for name, value in anchors.items() if low - _REACH * span <= value <= high + _REACH * span}


def _swarm(places: Iterable[float], top: float, bottom: float) -> list[tuple[float, float]]:
    """Returns points that lie beside each other where their values are alike, in the order given."""
    columns: dict[int, int] = defaultdict(int)
    stacked = []
    for x in places:
        column = int(x // _DOT)
        stacked.append((x, columns[column]))
        columns[column] += 1
    middle = (top + bottom) / 2
    points = []
    for x, level in stacked:
        step = min(_DOT, (bottom - top - _DOT) / max(columns[int(x // _DOT)] - 1, 1))
        # Up and down in turn, from the middle outwards.
        offset = (level + 1) // 2 * (1 if level % 2 else -1)
        points.append((x, middle + offset * step))
    return points


def _strip_words(metric: MetricResult, good: int, bad: int) -> str:
    decimals = metric_decimals(metric)
    unit = f" {metric.unit}" if metric.unit else ""
    text = plural(good, "scored sample") + (f" and {bad} failed" if bad else "")
    if metric.aggregation == "set":
        return f"{text}; each dot is the distance between the means of a sample’s two sides"
    text += f"; mean {typeset(number(metric.value, decimals))}{unit}"
    if metric.ci95 is not None:
        low, high = (typeset(number(limit, decimals)) for limit in metric.ci95)
        text += f", 95 % interval {low} to {high}"
    return text


def _shortened(content: str, most: int) -> str:
    return content if len(content) <= most else f"{content[: most - 1]}…"
