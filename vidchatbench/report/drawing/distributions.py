"""Drawings of what a test set is made of: bars of shares beside what they were drawn from, and histograms."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from vidchatbench.report.drawing import svg
from vidchatbench.report.drawing.scales import Axis, tick_decimals, ticks
from vidchatbench.report.drawing.svg import Plot
from vidchatbench.report.drawing.text import number, plural, typeset

_WIDTH = 460
_MAX_LETTERS = 26


class Bar(NamedTuple):
    """One bar: what it stands for, how many were chosen, and out of how many."""

    label: str
    chosen: int
    eligible: int


def share_bars(name: str, title: str, bars: Sequence[Bar]) -> Plot:
    """Returns horizontal bars of the chosen share, each with a mark where the share of the eligible lies.

    Args:
        name: Stem of the file name.
        title: What is shared out.
        bars: At least one; their shares are of their sums.
    """
    chosen, eligible = (max(sum(values), 1) for values in list(zip(*bars, strict=True))[1:])
    top, step, left, right = 8.0, 24, 170.0, _WIDTH - 84.0
    base = top + step * len(bars)
    most = max(max(bar.chosen / chosen, bar.eligible / eligible) for bar in bars)
    axis = Axis(0.0, max(most, 1e-9) * 1.02, left, right)
    marks = ticks(axis.low, axis.high, 4)
    parts = [svg.line(axis.place(mark), top, axis.place(mark), base, "p-grid") for mark in marks]
    for place, bar in enumerate(bars):
        y = top + step * place
        share = bar.chosen / chosen
        label = bar.label if len(bar.label) <= _MAX_LETTERS else f"{bar.label[: _MAX_LETTERS - 1]}…"
        parts.append(svg.label(left - 8, y + 16, label, "p-end"))
        if bar.chosen:
            width = axis.place(share) - left
            parts.append(svg.element("rect", x=left, y=y + 5, width=width, height=14.0, class_="p-point"))
        x = axis.place(bar.eligible / eligible)
        parts.append(svg.line(x, y + 2, x, y + 22, "p-mean"))
        parts.append(svg.label(right + 8, y + 16, f"{bar.chosen} · {100 * share:.0f} %"))
    parts.append(svg.line(left, top, left, base, "p-axis"))
    parts += [svg.label(axis.place(mark), base + 14, f"{100 * mark:g} %", "p-muted p-middle") for mark in marks]
    parts += _legend(base + 34, left)
    shares = [f"{bar.label}: {bar.chosen} of {chosen} chosen, {bar.eligible} of {eligible} eligible" for bar in bars]
    return Plot(name, title, "; ".join(shares), _WIDTH, int(base + 46), "".join(parts))


def _legend(y: float, x: float) -> list[str]:
    return [
        svg.element("rect", x=x, y=y - 8, width=16.0, height=9.0, class_="p-point"),
        svg.label(x + 22, y, "chosen", "p-muted"),
        svg.line(x + 76, y - 11, x + 76, y + 4, "p-mean"),
        svg.label(x + 84, y, "share among the eligible", "p-muted"),
    ]


def histogram(
    name: str,
    title: str,
    values: Sequence[float],
    edges: Sequence[float],
    *,
    unit: str = "",
    least: float | None = None,
) -> Plot:
    """Returns a histogram; values beyond the edges are counted in the outermost bins.

    Args:
        name: Stem of the file name.
        title: What is counted.
        values: The values.
        edges: Bounds of the bins, ascending, at least two; a value on a bound belongs to the bin above.
        unit: Unit of the values.
        least: A threshold to mark.
    """
    counts = [0] * (len(edges) - 1)
    for value in values:
        counts[min(max(bisect_right(edges, value) - 1, 0), len(counts) - 1)] += 1
    top, base, left, right = 26.0, 150.0, 44.0, _WIDTH - 16.0
    across = Axis(edges[0], edges[-1], left, right)
    up = Axis(0.0, max(*counts, 1) * 1.05, base, top)
    levels = [mark for mark in ticks(up.low, up.high, 4) if mark == int(mark)]
    parts = [svg.line(left, up.place(mark), right, up.place(mark), "p-grid") for mark in levels]
    parts += [svg.label(left - 6, up.place(mark) + 4, f"{mark:.0f}", "p-muted p-end") for mark in levels]
    for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True):
        if count:
            x, width = across.place(low) + 0.5, across.place(high) - across.place(low) - 1
            height = base - up.place(count)
            parts.append(svg.element("rect", x=x, y=base - height, width=width, height=height, class_="p-point"))
    parts.append(svg.line(left, base, right, base, "p-axis"))
    parts.append(svg.label(10, 14, "clips", "p-muted"))
    marks = ticks(edges[0], edges[-1], 8)
    decimals = tick_decimals(marks)
    for mark in marks:
        x = across.place(mark)
        parts.append(svg.line(x, base, x, base + 4, "p-axis"))
        parts.append(svg.label(x, base + 16, typeset(number(mark, decimals)), "p-muted p-middle"))
    if least is not None and across.holds(least):
        x = across.place(least)
        parts.append(svg.line(x, top - 10, x, base, "p-mean"))
        side = "p-muted p-end" if x > (left + right) / 2 else "p-muted"
        parts.append(svg.label(x + (-5 if "end" in side else 5), top - 4, f"threshold {typeset(f'{least:g}')}", side))
    if unit:
        parts.append(svg.label(right, base + 30, unit, "p-muted p-end"))
    return Plot(
        name,
        title,
        _bins_in_words(values, edges, counts, unit),
        _WIDTH,
        int(base + (38 if unit else 26)),
        "".join(parts),
    )


def _bins_in_words(values: Sequence[float], edges: Sequence[float], counts: Sequence[int], unit: str) -> str:
    shown = f" {unit}" if unit else ""
    bins = zip(edges[:-1], edges[1:], counts, strict=True)
    filled = [f"{low:g} to {high:g}{shown}: {count}" for low, high, count in bins if count]
    return typeset(f"{plural(len(values), 'value')}; {'; '.join(filled)}")
