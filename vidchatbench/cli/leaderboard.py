"""``vidchatbench leaderboard``: verify bundles, build the board, export a run, and make the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vidchatbench.cli import leaderboard_site
from vidchatbench.cli.exit_codes import INPUT

if TYPE_CHECKING:
    from vidchatbench.leaderboard.build import Built
    from vidchatbench.leaderboard.verification.context import Others
    from vidchatbench.leaderboard.verification.findings import Finding

_OK, _REFUSED = "verified", "refused"
_MARKUP = str.maketrans(
    # A mention or a reference is found in the rendered text, where escaping it does not help.
    {c: f"\\{c}" for c in "\\`*_{}[]()!|~"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;", "@": "@\u200b", "#": "#\u200b"}
)


def add_to(app: typer.Typer) -> None:
    """Adds the group of commands."""
    group = typer.Typer(help="Verifies submissions and builds the leaderboard and its page.", no_args_is_help=True)
    group.command("verify")(verify)
    group.command("build")(build)
    group.command("export")(export)
    leaderboard_site.add_to(group)  # `leaderboard site` is a file of its own
    app.add_typer(group, name="leaderboard")


def verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A bundle, a run, or a folder with submissions.")],
    benchmark: Annotated[
        str | None, typer.Option(help="The board's benchmark; without it, ids and identities are not compared.")
    ] = None,
    others: Annotated[
        Path | None, typer.Option(help="A folder with other submissions, of which nothing may be a copy.")
    ] = None,
    outputs: Annotated[Path | None, typer.Option(help="The folder of outputs, to hash every file again.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Also write the findings as a Markdown table.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings on stdout.")] = False,
) -> None:
    """Recomputes every aggregate from the samples, and checks schema, versions, ranges, hashes and copies.

    Exits with 1 if anything keeps a bundle off the board; each finding says what is wrong, where, and the way out.

    Example: vidchatbench leaderboard verify leaderboard/submissions/my-system/v1 --benchmark test_500
    """
    from vidchatbench.benchmark.load import load_benchmark
    from vidchatbench.cli.output import interruptible, print_json, stderr_console
    from vidchatbench.leaderboard.verification.findings import has_errors
    from vidchatbench.leaderboard.verification.verify import verify_bundle, verify_run

    folders = _folders(folder)
    # What lies among the submissions must be a bundle; a run may be given by itself.
    check = verify_run if _is_run(folder) else verify_bundle
    loaded = None if benchmark is None else load_benchmark(benchmark)
    by_bundle: dict[str, list[Finding]] = {}
    with interruptible():
        beside = _gather_others([*folders, *(() if others is None else _other_folders(others))])
        for place in folders:
            by_bundle[str(place)] = check(place, benchmark=loaded, others=beside, outputs=outputs)
    if markdown is not None:
        markdown.write_text(_markdown(by_bundle), encoding="utf-8")
    if as_json:
        bundles = [
            {
                "bundle": name,
                "ok": not has_errors(findings),
                "findings": [finding.model_dump(mode="json") for finding in findings],
            }
            for name, findings in by_bundle.items()
        ]
        print_json({"ok": all(entry["ok"] for entry in bundles), "bundles": bundles})
    else:
        console = stderr_console()
        for name, findings in by_bundle.items():
            style = "red" if has_errors(findings) else None
            verdict = _REFUSED if has_errors(findings) else _OK
            console.print(f"{name}: {verdict}", style=style, markup=False, highlight=False)
            _print_findings(findings)
    if any(has_errors(findings) for findings in by_bundle.values()):
        raise typer.Exit(INPUT)


def _is_run(folder: Path) -> bool:
    from vidchatbench.leaderboard.verification.bundle import BUNDLE_FILE, SUBMISSIONS_FOLDER
    from vidchatbench.results.schema import RESULTS_FILE

    is_submitted = folder.resolve().parent.parent.name == SUBMISSIONS_FOLDER
    return (folder / RESULTS_FILE).exists() and not (folder / BUNDLE_FILE).exists() and not is_submitted


def _folders(folder: Path) -> list[Path]:
    from vidchatbench.errors import UsageError
    from vidchatbench.leaderboard.verification.bundle import BUNDLE_FILE, find_bundles
    from vidchatbench.results.schema import RESULTS_FILE

    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder; give a bundle, a run folder, or a folder with submissions")
    if (folder / BUNDLE_FILE).exists() or (folder / RESULTS_FILE).exists():
        return [folder.resolve() if folder.name in {"", ".", ".."} else folder]
    folders = list(find_bundles(folder))
    if not folders:
        raise UsageError(f"{folder} holds no bundle: neither {RESULTS_FILE}, nor <system>/<revision> folders")
    return folders


def _other_folders(folder: Path) -> list[Path]:
    from vidchatbench.errors import UsageError
    from vidchatbench.leaderboard.verification.bundle import find_bundles

    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder; --others takes one with submissions")
    return list(find_bundles(folder))


def _gather_others(folders: Sequence[Path]) -> Others:
    from vidchatbench.leaderboard.verification.bundle import BUNDLE_FILE, row_id
    from vidchatbench.leaderboard.verification.context import Others
    from vidchatbench.leaderboard.verification.reading import read_bundle

    bundles = []
    for folder in folders:
        if (folder / BUNDLE_FILE).is_file():
            bundle, _ = read_bundle(folder)
            if bundle is not None:
                bundles.append((row_id(bundle.system), bundle))
    return Others.of(bundles)


def _print_findings(findings: Sequence[Finding]) -> None:
    from vidchatbench.cli.output import stderr_console

    console = stderr_console()
    styles = {"error": "red", "warning": "yellow", "note": "dim"}
    for finding in findings:
        text = f"  {finding.severity}: {finding.where}: {finding.message} [{finding.code}]"
        console.print(text, style=styles[finding.severity], markup=False, highlight=False, soft_wrap=True)


def _markdown(by_bundle: Mapping[str, Sequence[Finding]]) -> str:
    """Returns a table for a comment; untrusted text cannot become markup, a mention or a link in it."""
    from vidchatbench.leaderboard.verification.findings import has_errors

    def plain(text: str) -> str:
        one_line = " ".join(text.split())
        return "".join(c for c in one_line if c.isprintable()).replace("://", ": //").translate(_MARKUP)

    lines = []
    for name, findings in by_bundle.items():
        place = "/".join(Path(name).parts[-2:])
        lines += [f"### {plain(place)}: {_REFUSED if has_errors(findings) else _OK}", ""]
        if findings:
            lines += ["| severity | where | finding | code |", "| --- | --- | --- | --- |"]
        for finding in findings:
            cells = (finding.severity, finding.where, finding.message, finding.code)
            lines.append(f"| {' | '.join(plain(cell) for cell in cells)} |")
        lines.append("")
    return "\n".join(lines)


def build(
    folder: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="The leaderboard's folder, with submissions and reported rows.")
    ] = Path("leaderboard"),
    benchmark: Annotated[str, typer.Option(help="The board's benchmark.")] = "test_500",
    suite: Annotated[str, typer.Option(help="The board's suite.")] = "official",
    out: Annotated[Path | None, typer.Option("-o", "--out", help="By default leaderboard.json in DIR.")] = None,
    anchors: Annotated[Path | None, typer.Option(help="By default anchors.json in the benchmark's folder.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the board on stdout too.")] = False,
) -> None:
    """Verifies all submissions, ranks them, and writes leaderboard.json with the samples of each beside it.

    The same submissions give the same bytes. What is not on the board is listed with its reason.

    Example: vidchatbench leaderboard build leaderboard/ --benchmark test_500
    """
    from vidchatbench.benchmark.load import find_announced, load_benchmark
    from vidchatbench.cli.output import interruptible, print_json
    from vidchatbench.errors import UsageError
    from vidchatbench.leaderboard.build import build_leaderboard, build_reported
    from vidchatbench.leaderboard.schema import LEADERBOARD_FILE
    from vidchatbench.plugins.catalogue import load_catalogue

    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder; give the one that holds `submissions`")
    if anchors is not None and not anchors.is_file():
        raise UsageError(f"there is no file {anchors}; `vidchatbench anchors build` makes one")
    announced = find_announced(benchmark)
    with interruptible():
        if announced is not None:
            built = build_reported(folder, announced, load_catalogue(), suite=suite)
        else:
            built = build_leaderboard(folder, load_benchmark(benchmark), load_catalogue(), suite=suite, anchors=anchors)
    target = out or folder / LEADERBOARD_FILE
    target.parent.mkdir(parents=True, exist_ok=True)
    built.write(target)
    _print_board(built, target)
    if as_json:
        print_json(built.board.model_dump(mode="json"))


def _print_board(built: Built, target: Path) -> None:
    from vidchatbench.cli.output import stderr_console
    from vidchatbench.results.scale import describe_overall

    console = stderr_console()

    def say(text: str, style: str | None = None) -> None:
        console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    for name, findings in built.findings.items():
        if findings:
            say(f"{name}:", "yellow")
            _print_findings(findings)
    for left in built.board.left_out:
        say(f"not on the board: {left.bundle} ({left.reason})", "yellow")
    if built.board.note is not None:
        say(built.board.note, "yellow")
    elif not any(column.anchored for column in built.board.metrics):
        where = (
            "`anchors build --beside` writes anchors.json beside benchmark.json; or give --anchors the file it names"
        )
        say(f"no anchors: dimensions and the overall score stay empty; {where}", "yellow")
    else:
        say(f"overall: {describe_overall(built.board.dimensions)}")
    ranked = sum(row.ranked for row in built.board.rows)
    reported = sum(row.trust == "reported" for row in built.board.rows)
    unranked = len(built.board.rows) - ranked - reported
    say(f"written: {target} ({ranked} ranked, {unranked} unranked, {reported} reported)")


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder of `evaluate`, or a bundle.")],
    form: Annotated[
        Literal["eee", "hf"], typer.Option("--format", help="eee: Every Eval Ever JSON; hf: .eval_results YAML.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="The folder to write into.")] = Path(),
    dataset: Annotated[
        str | None, typer.Option(help="For hf: the benchmark's dataset on the Hub, ORG/DATASET.")
    ] = None,
    source: Annotated[str | None, typer.Option(help="For hf: address where the run can be looked at.")] = None,
) -> None:
    """Writes a run's numbers in a format that other registries read; the run is verified first.

    Example: vidchatbench leaderboard export run/ --format eee -o exported/
    """
    from vidchatbench.cli.output import stderr_console
    from vidchatbench.core.atomic import write_atomically
    from vidchatbench.errors import InputError, UsageError
    from vidchatbench.leaderboard.exports import every_eval_ever, hugging_face
    from vidchatbench.leaderboard.verification.reading import read_run
    from vidchatbench.leaderboard.verification.verify import installed_cards, verify_content

    if form == "hf" and (dataset is None or dataset.count("/") != 1):
        raise UsageError("--format hf needs --dataset ORG/DATASET, under which the benchmark is registered on the Hub")
    bundle, findings = read_run(run)
    if bundle is not None:
        findings = [*findings, *verify_content(bundle)]
    problems = [f"{finding.where}: {finding.message}" for finding in findings if finding.severity == "error"]
    if bundle is None or problems:
        raise InputError(str(run), problems, "Only a run that verifies is exported.")
    if form == "eee":
        files = every_eval_ever(bundle, installed_cards(bundle))
    else:
        files = hugging_face(bundle, str(dataset), source)
    for name, content in files.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
        stderr_console().print(f"written: {path}", markup=False, highlight=False, soft_wrap=True)
