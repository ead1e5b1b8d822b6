"""``vidchatbench leaderboard site``: the leaderboard's page as a folder of static files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def add_to(group: typer.Typer) -> None:
    """Adds the command to the group ``leaderboard``."""
    group.command("site")(site)


def site(
    leaderboard: Annotated[Path, typer.Argument(help="leaderboard.json, or the folder it is in.")] = Path(
        "leaderboard"
    ),
    out: Annotated[Path, typer.Option("-o", "--out", help="The folder to write.")] = Path("site"),
    commit: Annotated[str | None, typer.Option(help="The commit of the board, for the page and its exports.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the page's path on stdout.")] = False,
) -> None:
    """Writes the leaderboard's page: open its index.html, or put the folder on any static host.

    Example: vidchatbench leaderboard site leaderboard/ -o site/
    """
    from vidchatbench.cli.output import print_json
    from vidchatbench.leaderboard.site import build_site

    index = build_site(leaderboard, out, commit=commit)
    if as_json:
        print_json({"index": str(index)})
    print(f"wrote {index}", file=sys.stderr)
