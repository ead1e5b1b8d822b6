"""``vidchatbench init``: a ``system.yaml`` to fill in, beside the outputs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("init")(init)


def init(
    outputs: Annotated[Path, typer.Argument(help="Folder of the outputs; made if it is not there.")],
) -> None:
    """Writes a system.yaml into the folder of outputs: every field with its meaning and an example, all as comments.

    A system.yaml that is there already is left as it is.

    Example: vidchatbench init outputs/
    """
    from vidchatbench.submission.template import write_template

    path = write_template(outputs)
    print(f"written: {path}; fill in its fields, then run `vidchatbench check {outputs}`", file=sys.stderr)
