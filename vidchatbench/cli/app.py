"""Assembles the commands; each imports what it needs when it is called, so that ``--help`` answers at once."""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from vidchatbench._version import __version__
from vidchatbench.cli import (
    anchors,
    audit,
    check,
    compare,
    data,
    demo,
    doctor,
    evaluate,
    init,
    ladder,
    leaderboard,
    metrics,
    report,
    submit,
    weights,
)
from vidchatbench.cli.exit_codes import INPUT, USAGE
from vidchatbench.errors import InputError, MediaError, VidChatBenchError

app = typer.Typer(
    name="vidchatbench",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

evaluate.add_to(app)
check.add_to(app)
init.add_to(app)
compare.add_to(app)
metrics.add_to(app)
weights.add_to(app)
anchors.add_to(app)
audit.add_to(app)
data.add_to(app)
ladder.add_to(app)
report.add_to(app)
leaderboard.add_to(app)
submit.add_to(app)
demo.add_to(app)
doctor.add_to(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"vidchatbench {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Scores audio-visual dyadic virtual humans: video, identity and voice, with uncertainty.

    Results go to stdout with --json; tables and messages go to stderr.

    Exit codes: 0 done; 1 the input has problems, all listed; 2 wrong usage; 3 done, but incomplete through our own
    errors; 130 interrupted.
    """


def run() -> None:
    """Runs the command line; an error made on purpose becomes one message and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        # Ids and file names are of any script, and a terminal or a log file may be of one that lacks them.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except (InputError, MediaError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(INPUT)
    except VidChatBenchError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(USAGE)
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(INPUT)
