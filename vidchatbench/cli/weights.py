"""``vidchatbench weights``: the weights table, what of it is here, and how to bring the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidchatbench.cli.exit_codes import INPUT

if TYPE_CHECKING:
    from vidchatbench.weights.resolver import WeightResolver

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
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names from `weights list`.")],
) -> None:
    """Downloads weights into the cache; they are verified before they get their name.

    Example: vidchatbench weights pull arcface_w600k_r50
    """
    from vidchatbench import paths  # noqa: PLC0415
    from vidchatbench.cli.output import stderr_console  # noqa: PLC0415
    from vidchatbench.cli.progress import progress_for  # noqa: PLC0415
    from vidchatbench.weights.download import download  # noqa: PLC0415

    console = stderr_console()
    resolver = _resolver()
    for name in names:
        spec = resolver.spec(name)
        if resolver.find(name) is not None:
            console.print(f"{name}: already here", markup=False, highlight=False)
            continue
        progress = progress_for(console)
        progress.begin(name, (spec.size or 0) / 1e6, "MB")
        try:
            path = download(spec, paths.weights_root(), progress=lambda n, p=progress: p.advance(n / 1e6))  # type: ignore[misc]
        finally:
            progress.end()
        console.print(f"{name}: {path}", markup=False, highlight=False)


def _resolver(*, remember: bool = True) -> WeightResolver:
    from vidchatbench.plugins import load_catalogue  # noqa: PLC0415
    from vidchatbench.weights.resolver import WeightResolver  # noqa: PLC0415

    return WeightResolver(load_catalogue().weights, remember=remember)


def _show(as_json: bool, *, check: bool) -> bool:
    from vidchatbench.cli.output import print_json, print_table, stderr_console  # noqa: PLC0415
    from vidchatbench.plugins import load_catalogue  # noqa: PLC0415

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
            row["license"],
            row["problem"] or row["found"] or f"not here; to fix: {row['fix']}",
        )
        for row in rows
    ]
    print_table(console, f"{len(rows)} weights", ("name", "size", "licence", "found in"), table)
    if check:
        present = sum(row["found"] is not None for row in rows)
        text = f"{present} verified, {len(wrong)} wrong, {len(rows) - present - len(wrong)} not here"
        console.print(text, markup=False, highlight=False)
    return bool(wrong)


def _size(size: int | None) -> str:
    if size is None:
        return "?"
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.0f} kB"  # noqa: PLR2004


def _describe(name: str, resolver: WeightResolver) -> dict[str, Any]:
    from vidchatbench.errors import WeightsError  # noqa: PLC0415

    spec, problem, found = resolver.spec(name), None, None
    try:
        found = resolver.find(name)
    except WeightsError as error:
        problem = str(error)
    return {
        "name": name,
        "sha256": spec.sha256,
        "size": spec.size,
        "license": spec.license,
        "commercial_use": spec.commercial_use,
        "origin": spec.origin,
        "found": None if found is None else found.place.value,
        "path": None if found is None else str(found.path),
        "problem": problem,
        "fix": None if found is not None else resolver.fix(name),
    }
