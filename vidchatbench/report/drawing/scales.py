"""Axes: from values to places in a drawing, round ticks, and the anchored scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vidchatbench.results.schema import MetricResult

_ROUND_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Axis:
    """A linear axis.

    Attributes:
        low: The value at ``start``.
        high: The value at ``end``.
        start: Place of ``low``.
        end: Place of ``high``.
    """

    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        """Returns the place of a value; one beyond the axis is put at its end."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def holds(self, value: float) -> bool:
        """Whether a value lies on the axis."""
        return self.low <= value <= self.high


def axis_over(values: Sequence[float], start: float, end: float, margin: float = 0.03) -> Axis:
    """Returns an axis that holds all values, with a margin, and is never of length zero."""
    low, high = min(values), max(values)
    span = high - low
    if span <= abs(high) * 1e-9:
        span = abs(high) or 1.0
        return Axis(low - 0.1 * span, high + 0.1 * span, start, end)
    return Axis(low - margin * span, high + margin * span, start, end)


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Returns round numbers within an axis, at most ``most`` of them."""
    rough = (high - low) / most
    base = 10.0 ** math.floor(math.log10(rough))
    for step in (base * round_step for round_step in (*_ROUND_STEPS, 20.0)):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first + 1 <= most:
            return [k * step for k in range(first, last + 1)]
    return []


def tick_decimals(marks: Sequence[float]) -> int:
    """Returns the places after the point that tell ticks apart."""
    for decimals in range(9):
        if all(abs(mark - round(mark, decimals)) < 1e-9 * max(1.0, abs(mark)) for mark in marks):
            return decimals
    return 9


@dataclass(frozen=True)
class AnchoredValue:
    """A value on the scale on which the null is 0 and the oracle 100.

    Attributes:
        value: The value.
        low: Lower limit of its interval, if it has one.
        high: Upper limit.
        oracle: What the oracle scores, in the metric's unit.
        null: What the null scores.
        null_name: Which null it is.
    """

    value: float
    low: float | None
    high: float | None
    oracle: float
    null: float
    null_name: str


def anchored(metric: MetricResult) -> AnchoredValue | None:
    """Returns a metric's value and interval on the anchored scale; ``None`` where it has no anchors."""
    oracle = metric.anchors.oracle
    if metric.anchored is None or metric.value is None or oracle is None:
        return None
    # A metric is read against the one null that its card names, and only that one is built.
    name, null = next(iter(sorted(metric.anchors.nulls.items())), ("", None))
    if null is None:
        return None
    low, high = metric.anchored_ci95 or (None, None)
    return AnchoredValue(metric.anchored, low, high, oracle, null, name)
