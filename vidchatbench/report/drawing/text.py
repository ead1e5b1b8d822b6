"""Numbers and names as the report prints them: the same number reads the same in the page, the plots and the tables."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from vidchatbench.api.cards import Dimension
from vidchatbench.results.schema import MetricResult, Results

NOTHING = "–"
_SIGNIFICANT = 4
_MAX_DECIMALS = 9
_MIN_P = 0.0001
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def decimals_for(values: Iterable[float | None]) -> int:
    """Returns the places after the point for numbers that are compared by eye.

    The largest of them gets four significant digits, or three where it is below one.
    """
    largest = max((abs(value) for value in values if value is not None), default=0.0)
    magnitude = math.floor(math.log10(largest)) if largest else 0
    digits = _SIGNIFICANT if magnitude >= 0 else _SIGNIFICANT - 1
    return max(0, min(digits - 1 - magnitude, _MAX_DECIMALS))


def number(value: float | None, decimals: int) -> str:
    """Returns a number with the given places; a minus is a hyphen, as programs write it."""
    if value is None:
        return NOTHING
    text = f"{value:.{decimals}f}"
    # What rounds to nothing has no sign.
    return text[1:] if text.startswith("-") and not text.strip("-0.") else text


def typeset(text: str) -> str:
    """Returns a printed number with the typographic minus."""
    return text.replace("-", "−")


def p_value(p: float) -> str:
    """Returns a p-value; the least ones only as a bound."""
    return "< 0.0001" if p < _MIN_P else f"{p:.4f}"


def metric_decimals(metric: MetricResult) -> int:
    """Returns the places of a metric's own numbers."""
    return decimals_for([metric.value, *(metric.ci95 or ())])


def words(name: str) -> str:
    """Returns an identifier in words: ``av_sync`` as ``av sync``."""
    return name.replace("_", " ")


def dimension_title(name: str) -> str:
    """Returns the name of a dimension as a heading."""
    return Dimension(name).label


def printable(text: str) -> str:
    """Returns text without the control characters that no XML or HTML document may hold."""
    return _CONTROL.sub("�", text)


def plural(count: int, noun: str) -> str:
    """Returns a count with its noun: ``1 sample``, ``2 samples``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def seconds(value: float) -> str:
    """Returns a duration in a unit that fits it."""
    minute, hour = 60.0, 3600.0
    if value < minute:
        return f"{value:.1f} s"
    if value < hour:
        return f"{int(value // minute)} min {value % minute:.0f} s"
    return f"{int(value // hour)} h {value % hour / minute:.0f} min"


def arrow(metric_direction: str) -> str:
    """Returns the arrow that says which way is better."""
    return "↑" if metric_direction == "higher" else "↓"


def system_label(results: Results) -> str:
    """Returns a system's name with its revision, if it has one."""
    system = results.system
    return f"{system.name} {system.revision}" if system.revision else system.name


def suite_label(results: Results) -> str:
    """Returns a suite's name with its version; a list given by hand has none."""
    return f"{results.suite.name} v{results.suite.version}" if results.suite.version else results.suite.name
