"""Writing the report of a run: the page, the tables beside it, and the plots where they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vidchatbench.api.cards import MetricCard
from vidchatbench.core import paths
from vidchatbench.core.atomic import write_atomically
from vidchatbench.engine.features.store import FeatureStore
from vidchatbench.errors import UsageError
from vidchatbench.plugins.catalogue import load_catalogue
from vidchatbench.report.bibtex import bibliography
from vidchatbench.report.cards import cards_of
from vidchatbench.report.data import WORST
from vidchatbench.report.figures import converter, write_plots
from vidchatbench.report.latex import latex_comparison, latex_table
from vidchatbench.report.media import MediaIndex, embedded, find_media, links
from vidchatbench.report.page import PageMedia, render_page
from vidchatbench.report.run import RunData, read_run, worst_samples
from vidchatbench.report.tables import csv_table
from vidchatbench.results.comparison import Comparison, compare_runs
from vidchatbench.results.schema import Results, load_results

REPORT_FILE = "report.html"
TABLES_FOLDER = "tables"
_PAGE_SUFFIXES = (".html", ".htm")


@dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
        page: The page.
        tables: CSV, LaTeX and BibTeX.
        plots: The plots as files.
        clips_shown: Clips that the page can show.
        clips_missing: Clips that it cannot.
        notes: Notes on the clips, as the page prints them.
    """

    page: Path
    tables: tuple[Path, ...]
    plots: tuple[Path, ...]
    clips_shown: int
    clips_missing: int
    notes: tuple[str, ...]


def write_report(
    run: str | Path,
    *,
    benchmark: str | Path | None = None,
    outputs: str | Path | None = None,
    embed: bool = False,
    out: str | Path | None = None,
    plots: str | Path | None = None,
    plot_format: str = "svg",
    compare: Sequence[str | Path] = (),
) -> Report:
    """Writes the report of a run: ``report.html``, and beside it ``tables/`` with CSV, LaTeX and BibTeX.

    The page is one file that opens offline. It links the clips by paths relative to itself.

    Args:
        run: The run folder.
        benchmark: Folder or name of the benchmark, for the clips; looked for if not given.
        outputs: Folder of the outputs, for the clips; looked for if not given.
        embed: Put small clips of the worst samples into the page.
        out: The page to write; ``report.html`` in the run folder if not given.
        plots: Folder for the plots as files; none are written if not given.
        plot_format: ``svg``, ``png`` or ``pdf``.
        compare: Other runs to compare this one with.

    Returns:
        What was written.

    Raises:
        UsageError: If an option means nothing.
        InputError: If a run or the benchmark cannot be read, or the runs are not comparable.
        UnavailableError: If PNG or PDF is asked for and the package that draws them is not installed.
        OSError: If a file cannot be written.
    """
    data = read_run(run)
    page = _page_path(data, out)
    # Everything that may be refused is tried before anything is written.
    converter(plot_format)
    catalogue = load_catalogue()
    cards = cards_of(data.results, catalogue)
    comparison = None
    if compare:
        store = FeatureStore(paths.feature_root())
        comparison = compare_runs([run, *compare], catalogue=catalogue, load=store.load)
    index = find_media(data, benchmark, outputs)
    media = _page_media(data, index, page.parent, embed=embed)
    content = render_page(data, cards, media, comparison)
    page.parent.mkdir(parents=True, exist_ok=True)
    others = [load_results(folder) for folder in compare]
    tables = _write_tables(page.parent / TABLES_FOLDER, [data.results, *others], cards, comparison)
    drawn = write_plots(data, Path(plots), plot_format) if plots is not None else []
    write_atomically(page, content.encode())
    shown, missing = index.counts()
    return Report(page, tuple(tables), tuple(drawn), shown, missing, tuple(index.notes))


def _page_path(data: RunData, out: str | Path | None) -> Path:
    if out is None:
        return data.folder / REPORT_FILE
    page = Path(out)
    if page.suffix.lower() not in _PAGE_SUFFIXES or page.is_dir():
        raise UsageError(f"the report is a page: --out must end in .html, not {page.name!r}")
    return page


def _page_media(data: RunData, index: MediaIndex, folder: Path, *, embed: bool) -> PageMedia:
    addresses = links(index, folder)
    if not embed:
        return PageMedia(index, addresses)
    inside = embedded(index, _worst_of_all(data))
    return PageMedia(index, {**addresses, **inside}, len(inside))


def _worst_of_all(data: RunData) -> list[str]:
    """Returns the worst samples of all metrics, the worst of each before the second worst of any."""
    lists = [
        worst_samples(metric, data.cells[metric.id], with_failed=with_failed, most=WORST)
        for metric in data.results.metrics
        for with_failed in (False, True)
    ]
    return list(dict.fromkeys(names[rank] for rank in range(WORST) for names in lists if rank < len(names)))


def _write_tables(
    folder: Path, runs: Sequence[Results], cards: dict[str, MetricCard], comparison: Comparison | None
) -> list[Path]:
    latex = latex_table(runs[0]) if comparison is None else latex_comparison(comparison, runs[0])
    contents = {
        "results.csv": csv_table(runs),
        "results.tex": latex,
        "citations.bib": bibliography(runs[0], cards),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        write_atomically(folder / name, content.encode())
    return [folder / name for name in contents]
