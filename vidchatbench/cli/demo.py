"""``vidchatbench demo``: the whole way on a small benchmark made on the spot, without network or downloads."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidchatbench.cli.exit_codes import INCOMPLETE
from vidchatbench.cli.tables import Column

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from vidchatbench.api.cards import Dimension
    from vidchatbench.benchmark.format import Benchmark
    from vidchatbench.core.progress import Progress
    from vidchatbench.demo import DemoPaths
    from vidchatbench.engine.settings import RunConfig
    from vidchatbench.leaderboard.schema import AnchoredScore, Leaderboard
    from vidchatbench.leaderboard.schema import Row as BoardRow
    from vidchatbench.results.comparison import Comparison
    from vidchatbench.results.schema import Results

SUITE = "demo"
"""The suite that the demonstration runs."""

_SHOWN = 3


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("demo")(demo)


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the runs, the leaderboard and the report.")] = Path("demo_run"),
    workers: Annotated[int | None, typer.Option(help="Worker processes; by default one per core.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print results, comparison and board on stdout.")] = False,
) -> None:
    """Makes a small benchmark of talking people, scores three systems on it, and ranks them.

    Two systems answer honestly: the careful one well, the hasty one a little worse, and once not at all. The third is a
    cheat that holds a picture still under the real voice. Anchors, runs, comparison, leaderboard and report are those
    of any other benchmark.

    Example: vidchatbench demo
    """
    from vidchatbench.benchmark.load import load_benchmark
    from vidchatbench.cli.output import interruptible, print_json, stderr_console
    from vidchatbench.cli.progress import progress_for
    from vidchatbench.core import paths
    from vidchatbench.demo import build_demo
    from vidchatbench.engine.settings import RunConfig

    console = stderr_console()
    started = time.monotonic()
    config = RunConfig(workers=workers)
    _say(console, "making 12 people who talk to each other, and the replies of three systems ...")
    with interruptible():
        made = build_demo(paths.benchmarks_root() / "demo_set")
        benchmark = load_benchmark(made.benchmark)
        _say(console, f"benchmark: {made.benchmark} ({len(benchmark)} samples)")
        with progress_for(console) as progress:
            _build_anchors(benchmark, config, progress)
        runs = {}
        for name in made.names:
            with progress_for(console) as progress:
                runs[name] = _evaluate(made, name, out, config, progress)
        comparison = compare_honest(out)
        board, page = _build_board(out, made.names, benchmark)
        report = _write_report(out, made)
    if as_json:
        print_json(
            {
                "runs": {name: results.model_dump(mode="json") for name, results in runs.items()},
                "comparison": comparison.model_dump(mode="json"),
                "board": board.model_dump(mode="json"),
            }
        )
    else:
        print_summary(console, runs, comparison, board)
        _say(console, f"leaderboard: {page}")
        _say(console, f"report:      {report}")
        _say(console, f"done in {time.monotonic() - started:.0f} s; next: vidchatbench evaluate --help")
    if any(metric.n_error for results in runs.values() for metric in results.metrics):
        raise typer.Exit(INCOMPLETE)


def _build_anchors(benchmark: Benchmark, config: RunConfig, progress: Progress) -> None:
    from vidchatbench.engine.anchors import build_anchors
    from vidchatbench.engine.suites import choose_metrics
    from vidchatbench.plugins.availability import Availability
    from vidchatbench.plugins.catalogue import load_catalogue
    from vidchatbench.weights.resolver import WeightResolver

    catalogue = load_catalogue()
    chosen = choose_metrics(catalogue, SUITE, None).metrics
    runnable = Availability.of(chosen, catalogue, WeightResolver(catalogue.weights)).runnable
    build_anchors(benchmark, runnable, catalogue, config, progress)


def _evaluate(made: DemoPaths, name: str, out: Path, config: RunConfig, progress: Progress) -> Results:
    from vidchatbench.engine.evaluate import evaluate

    return evaluate(
        made.systems[name],
        benchmark=made.benchmark,
        suite=SUITE,
        out=out / name,
        config=config,
        progress=progress,
    )


def compare_honest(out: Path) -> Comparison:
    """Compares the two honest systems, whose runs lie in a demonstration's folder."""
    from vidchatbench.core import paths
    from vidchatbench.demo import SYSTEMS
    from vidchatbench.engine.features.store import FeatureStore
    from vidchatbench.plugins.catalogue import load_catalogue
    from vidchatbench.results.comparison import compare_runs

    runs = [out / name for name in SYSTEMS[:2]]
    return compare_runs(runs, catalogue=load_catalogue(), load=FeatureStore(paths.feature_root()).load)


def _build_board(out: Path, names: Sequence[str], benchmark: Benchmark) -> tuple[Leaderboard, Path]:
    """Submits the runs to a leaderboard of their own, builds it, and returns it with its page."""
    from vidchatbench.errors import InputError
    from vidchatbench.leaderboard.build import build_leaderboard
    from vidchatbench.leaderboard.publish import Publication, replace_in_folder
    from vidchatbench.leaderboard.schema import LEADERBOARD_FILE
    from vidchatbench.leaderboard.site import build_site
    from vidchatbench.leaderboard.verification.reading import read_run
    from vidchatbench.plugins.catalogue import load_catalogue
    from vidchatbench.results.anchors import anchors_file

    root = out / "leaderboard"
    for name in names:
        bundle, findings = read_run(out / name)
        if bundle is None:
            raise InputError(str(out / name), [finding.message for finding in findings])
        replace_in_folder(Publication.of(bundle), root)
    built = build_leaderboard(root, benchmark, load_catalogue(), suite=SUITE, anchors=anchors_file(benchmark))
    built.write(root / LEADERBOARD_FILE)
    return built.board, build_site(root, root)


def _write_report(out: Path, made: DemoPaths) -> Path:
    from vidchatbench.report.write import write_report

    careful, hasty, *cheats = made.names
    others = [out / name for name in (careful, *cheats)]
    return write_report(out / hasty, benchmark=made.benchmark, outputs=made.systems[hasty], compare=others).page


def print_summary(console: Console, runs: Mapping[str, Results], comparison: Comparison, board: Leaderboard) -> None:
    """Prints the board, what each run lacks, who is better, and where the cheat stands."""
    from vidchatbench.api.cards import Dimension as Dimensions
    from vidchatbench.cli.tables import print_table

    rows = sorted(board.rows, key=lambda row: -row.overall.anchored if row.overall else 0.0)
    used = [dimension for dimension in Dimensions if any(dimension.value in row.dimensions for row in rows)]
    columns = [Column("system"), Column("rank", right=True), Column("overall", right=True)]
    columns += [Column(dimension.column_label, right=True, rank=1 + place) for place, dimension in enumerate(used)]
    columns.append(Column("missing", right=True))
    print_table(
        console,
        f"{board.benchmark.name}, suite {board.suite.name} v{board.suite.version}: "
        "0 is another sample's reply, 100 the real one",
        columns,
        [_board_cells(row, used) for row in rows],
    )
    for name, results in runs.items():
        state = (
            "Complete"
            if results.complete
            else "Incomplete: "
            + "; ".join(f"{missing.id} did not run ({missing.reason})" for missing in results.unavailable[:_SHOWN])
        )
        failed = max((metric.n_failed for metric in results.metrics), default=0)
        lost = f"; {failed} of {results.benchmark.n_samples} replies missing, charged the worst value" if failed else ""
        _say(console, f"{name}: {state}{lost}")
    _say(console, _verdict(comparison))
    _say(console, _cheat(rows))


def _board_cells(row: BoardRow, dimensions: Sequence[Dimension]) -> tuple[str, ...]:
    place = None if row.overall is None else row.overall.place
    failed = max((cell.n_failed or 0 for cell in row.values.values()), default=0)
    return (
        row.system.name,
        "–" if place is None else str(place.rank),
        _score(row.overall),
        *(_score(row.dimensions.get(dimension.value)) for dimension in dimensions),
        str(failed or ""),
    )


def _score(score: AnchoredScore | None) -> str:
    if score is None:
        return "–"
    interval = "" if score.ci95 is None else f" [{score.ci95[0]:.0f}, {score.ci95[1]:.0f}]"
    return f"{score.anchored:.0f}{interval}"


def _verdict(comparison: Comparison) -> str:
    """Says who is better, and in what most surely."""
    from vidchatbench.cli.output import format_value

    pairs = [(metric, pair) for metric in comparison.metrics for pair in metric.pairs]
    decided = [(metric, pair) for metric, pair in pairs if pair.better is not None]
    if not decided:
        return f"{' and '.join(comparison.systems)}: no significant difference in {len(pairs)} metrics"
    texts = []
    for system in comparison.systems:
        mine = [(metric, pair) for metric, pair in decided if pair.better == system]
        if not mine:
            continue
        metric, pair = min(mine, key=lambda item: (item[1].p_holm, -abs(item[1].effect or 0.0)))
        low, high = pair.ci95 or (pair.difference, pair.difference)
        sure = f"{metric.id} by {format_value(abs(pair.difference))} {metric.unit}".rstrip()
        interval = " to ".join(sorted((format_value(abs(low)), format_value(abs(high))), key=float))
        p = f"p = {pair.p_holm:.2g} after Holm"
        texts.append(
            f"{system} is significantly better in {len(mine)} of {len(pairs)} metrics, most surely in {sure} "
            f"({interval}; {p})"
        )
    return "; ".join(texts)


def _cheat(rows: Sequence[BoardRow]) -> str:
    """Says where the cheat stands."""
    from vidchatbench.demo import SYSTEMS

    scores = {row.system.name: row.overall.anchored for row in rows if row.overall is not None}
    cheat = SYSTEMS[-1]
    if cheat not in scores:
        return f"{cheat}: a cheat, without an overall score"
    above = [name for name in SYSTEMS[:-1] if scores.get(name, -1e9) > scores[cheat]]
    place = f"below {' and '.join(above)}" if above else "above every honest system"
    return f"{cheat}: a picture held still under the real voice scores {scores[cheat]:.0f}, {place}"


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
