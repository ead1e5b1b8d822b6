"""The plots as files: SVG as it is drawn, PNG and PDF through an optional package."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

from vidchatbench.core.atomic import write_atomically
from vidchatbench.errors import UnavailableError, UsageError
from vidchatbench.report import plots
from vidchatbench.report.drawing.svg import Plot
from vidchatbench.report.run import RunData

PlotFormat = Literal["svg", "png", "pdf"]
FORMATS: tuple[str, ...] = get_args(PlotFormat)

_PNG_SCALE = 3.0
_FIX = "pip install 'vidchatbench[report]', or take --format svg"


def all_plots(run: RunData) -> list[Plot]:
    """Returns every plot of a run that has something to show: scores, radar, and a strip of samples per metric."""
    metrics = run.results.metrics
    strips = (plots.strip_plot(metric, run.cells[metric.id]) for metric in metrics)
    drawn = (plots.score_plot(metrics), plots.radar(plots.spokes(metrics)), *strips)
    return [plot for plot in drawn if plot is not None]


def write_plots(run: RunData, folder: Path, plot_format: str) -> list[Path]:
    """Writes the plots of a run, one file each.

    Args:
        run: The run.
        folder: Where to; made if it is not there.
        plot_format: ``svg``, ``png`` (three pixels a unit) or ``pdf``.

    Raises:
        UsageError: If the format is unknown.
        UnavailableError: If the package that draws PNG and PDF is not installed.
        OSError: If the folder cannot be written.
    """
    draw = converter(plot_format)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for plot in all_plots(run):
        path = folder / f"{plot.name}.{plot_format}"
        write_atomically(path, draw(plot.document()))
        written.append(path)
    return written


def converter(plot_format: str) -> Callable[[str], bytes]:
    """Returns what turns SVG text into the bytes of a file.

    Raises:
        UsageError: If the format is unknown.
        UnavailableError: If the package that draws PNG and PDF is not installed.
    """
    if plot_format not in FORMATS:
        raise UsageError(f"there is no plot format {plot_format!r}; known: {', '.join(FORMATS)}")
    if plot_format == "svg":
        return lambda document: document.encode()
    try:
        vl_convert = importlib.import_module("vl_convert")
    except ImportError as error:
        raise UnavailableError(f"plots as {plot_format} need the package vl-convert-python", _FIX) from error
    if plot_format == "png":
        return lambda document: bytes(vl_convert.svg_to_png(document, scale=_PNG_SCALE))
    return lambda document: bytes(vl_convert.svg_to_pdf(document))
