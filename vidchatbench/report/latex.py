"""The scores as a LaTeX table for a paper, with the packages booktabs and nothing else.

Of several systems, the best is bold only where it is significantly better than every other; those that do not differ
significantly from the best are marked as tied with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from vidchatbench.report.drawing.text import (
    decimals_for,
    dimension_title,
    metric_decimals,
    number,
    printable,
    suite_label,
)
from vidchatbench.results.comparison import ComparedMetric, Comparison
from vidchatbench.results.schema import MetricResult, Results

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"{\char34}",
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
    "-": "{-}",
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "\t": " ",
    "\n": " ",
    "\r": " ",
}
_TIE = r"^{\dagger}"
_AT_THIS_N = " Intervals of distances between sets are of the distance at this number of samples."
_ARROWS = {"higher": r"$\uparrow$", "lower": r"$\downarrow$"}
_PREAMBLE = (
    "% Needs \\usepackage{booktabs}; with a LaTeX from before 2020 also \\usepackage{textcomp}; for names in other\n"
    "% scripts than the Latin, LuaLaTeX or XeLaTeX with a font that has them.\n"
)


def escape(text: str) -> str:
    """Returns text that LaTeX prints as it is; brackets and stars are wrapped, because a row break would take them."""
    return "".join(_ESCAPES.get(letter, letter) for letter in printable(text))


def latex_table(results: Results) -> str:
    """Returns the table of one system: a row per metric with value, interval, n and protocol."""
    body = []
    for dimension, members in groupby(results.metrics, key=lambda metric: metric.dimension.value):
        body.append(_dimension_row(dimension, 5))
        body += [_metric_row(metric) for metric in members]
    head = r"Metric & Value & 95\,\% interval & $n$ & Protocol \\"
    caption = f"{escape(results.system.name)} on {_subject(results)}. {_counts(results.metrics)}"
    return _table("lrrrl", head, body, caption, f"{results.benchmark.name}-scores")


def latex_comparison(comparison: Comparison, results: Results) -> str:
    """Returns the table of several systems: a row per metric, a column per system.

    Args:
        comparison: The comparison.
        results: The results of any of its runs, for the benchmark and the suite.
    """
    systems = comparison.systems
    body = []
    for dimension, members in groupby(comparison.metrics, key=lambda metric: metric.dimension.value):
        body.append(_dimension_row(dimension, len(systems) + 1))
        body += [_compared_row(metric) for metric in members]
    head = " & ".join(["Metric", *(escape(system) for system in systems)]) + r" \\"
    caption = (
        f"Systems on {_subject(results)}. Values with 95\\,\\% intervals. Bold: significantly better than every other "
        f"system (paired permutation test over identities, Holm-adjusted $p < {comparison.alpha:g}$, and a 95\\,\\% "
        f"interval of the difference without 0); ${_TIE}$: best, or not to be told from the best."
    )
    if any(value.ci95 for metric in comparison.metrics if metric.aggregation == "set" for value in metric.values):
        caption += _AT_THIS_N
    if comparison.left_out:
        caption += f" Not compared: {escape(', '.join(item.id for item in comparison.left_out))}."
    return _table("l" + "r" * len(systems), head, body, caption, f"{results.benchmark.name}-comparison")


def leaders(metric: ComparedMetric) -> tuple[str | None, frozenset[str]]:
    """Returns the system that is significantly better than all others, or else those that share the lead.

    The lead is shared by the system with the best value and by all that are not significantly different from it. A
    system without a value, or in a pair that was not compared, counts as not different.

    Returns:
        The one best system, or ``None``; the systems that share the lead, empty where there is one best.
    """
    known = {value.system: value.value for value in metric.values if value.value is not None}
    if not known:
        return None, frozenset()
    pick = max if metric.direction == "higher" else min
    best = pick(known, key=lambda system: known[system])
    beaten = {
        pair.second if pair.first == best else pair.first
        for pair in metric.pairs
        if best in {pair.first, pair.second} and pair.better == best
    }
    tied = frozenset(known) - beaten
    others = {value.system for value in metric.values} - {best}
    return (best, frozenset()) if others <= beaten and others else (None, tied)


def _compared_row(metric: ComparedMetric) -> str:
    best, tied = leaders(metric)
    largest = max(metric.values, key=lambda value: abs(value.value or 0.0))
    decimals = decimals_for([largest.value, *(largest.ci95 or ())])
    cells = []
    for value in metric.values:
        shown = number(value.value, decimals)
        if value.system == best:
            shown = rf"\mathbf{{{shown}}}"
        if value.system in tied:
            shown += _TIE
        text = "--" if value.value is None else f"${shown}$"
        cells.append(text + _interval(value.ci95, decimals, small=True))
    return " & ".join([f"{escape(metric.title)}{_unit(metric.unit)} {_ARROWS[metric.direction]}", *cells]) + r" \\"


def _metric_row(metric: MetricResult) -> str:
    decimals = metric_decimals(metric)
    counted = f"{metric.n_ok}/{metric.n_expected}"
    cells = [
        f"{escape(metric.title)}{_unit(metric.unit)} {_ARROWS[metric.direction]}",
        "--" if metric.value is None else _math(number(metric.value, decimals)),
        _interval(metric.ci95, decimals) or "--",
        counted,
        rf"{{\scriptsize\texttt{{{escape(metric.protocol)}}}}}",
    ]
    return " & ".join(cells) + r" \\"


def _dimension_row(dimension: str, columns: int) -> str:
    return rf"\addlinespace \multicolumn{{{columns}}}{{l}}{{\textit{{{escape(dimension_title(dimension))}}}}} \\"


def _table(columns: str, head: str, body: Sequence[str], caption: str, name: str) -> str:
    label = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name)
    lines = [
        r"\begin{table}[t]",
        r"\centering",
        r"\small",
        rf"\caption{{{caption}}}",
        rf"\label{{tab:{label}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        head,
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return _PREAMBLE + "\n".join(lines) + "\n"


def _subject(results: Results) -> str:
    benchmark = results.benchmark
    return (
        f"{escape(benchmark.name)} {escape(benchmark.version)} (manifest \\texttt{{{benchmark.manifest_sha256[:12]}}}, "
        f"$n = {benchmark.n_samples}$), suite {escape(suite_label(results))}"
    )


def _counts(metrics: Sequence[MetricResult]) -> str:
    text = "$n$: samples scored of those expected."
    if any(metric.n_failed for metric in metrics if metric.aggregation == "mean"):
        text += " Failed samples are charged the worst value and count."
    if any(metric.n_failed for metric in metrics if metric.aggregation == "set"):
        text += " Distances between sets leave failed samples out."
    if any(metric.ci95 for metric in metrics if metric.aggregation == "set"):
        text += _AT_THIS_N
    return text


def _unit(unit: str) -> str:
    return f" ({escape(unit)})" if unit else ""


def _interval(limits: tuple[float, float] | None, decimals: int, *, small: bool = False) -> str:
    if limits is None:
        return ""
    low, high = (number(limit, decimals) for limit in limits)
    if low == high:  # no certainty, whatever it looks like
        return ""
    text = f"[{low}, {high}]"
    return rf" {{\scriptsize ${text}$}}" if small else f"${text}$"


def _math(text: str) -> str:
    # In text a hyphen would be printed for the minus.
    return f"${text}$"
