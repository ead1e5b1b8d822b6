"""``vidchatbench data``: test sets, prepared on this computer, built anew, looked at, exported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidchatbench.cli import data_build, data_export
from vidchatbench.cli.exit_codes import INCOMPLETE, INPUT
from vidchatbench.cli.options import command_of

if TYPE_CHECKING:
    from rich.console import Console

    from vidchatbench.curation.preparation.status import SetStatus

_MAX_LISTED = 8


def add_to(app: typer.Typer) -> None:
    """Adds the commands."""
    group = typer.Typer(help="Prepares, builds, looks at and exports test sets.", no_args_is_help=True)
    group.command("prepare")(prepare)
    group.command("build")(data_build.build)
    group.command("status")(status)
    group.command("publish")(publish)
    group.command("export")(data_export.export)
    app.add_typer(group, name="data")


@dataclass(frozen=True)
class PrepareOptions:
    """What ``data prepare`` is given."""

    name: Annotated[str, typer.Argument(help="Name of the test set.")] = "test_500"
    out: Annotated[Path | None, typer.Option(help="The folder; by default among the prepared benchmarks.")] = None
    annotations: Annotated[str | None, typer.Option(help="Folder, or user/name[@revision] on the hub.")] = None
    videos: Annotated[Path | None, typer.Option(help="Folder of source videos that are there already.")] = None
    keep_videos: Annotated[bool, typer.Option("--keep-videos", help="Keep downloaded videos.")] = False
    cookies: Annotated[Path | None, typer.Option(help="Cookies for videos that want a login.")] = None
    workers: Annotated[int | None, typer.Option(help="Processes that cut; by default one per core.")] = None
    downloads: Annotated[int, typer.Option(help="Videos under way at a time.")] = 2
    pause: Annotated[float, typer.Option(help="Least seconds between two requests for videos.")] = 3.0
    language: Annotated[str | None, typer.Option(help="Language of clips of which nobody says it.")] = None
    samples: Annotated[Path | None, typer.Option(help="File of sample ids, one a line: only these.")] = None
    retry_dead: Annotated[bool, typer.Option("--retry-dead", help="Ask for gone videos again.")] = False
    as_json: Annotated[bool, typer.Option("--json", help="Print how the set stands on stdout.")] = False


@command_of(PrepareOptions)
def prepare(options: PrepareOptions) -> None:
    """Brings the videos of a test set, cuts its clips exactly, and writes its manifest.

    Every step goes on where it was, also after a crash. A video that is gone is recorded with its reason, and
    `vidchatbench data status` shows how much of the set is alive. The clips are other people's: non-commercial research
    only, and not to be passed on.

    Example: vidchatbench data prepare test_500
    """
    from vidchatbench.cli.output import interruptible, print_json, stderr_console
    from vidchatbench.cli.progress import progress_for
    from vidchatbench.core import paths
    from vidchatbench.curation.preparation.hosts import Manners
    from vidchatbench.curation.preparation.run import prepare as run
    from vidchatbench.curation.preparation.settings import PrepareSettings, read_ids
    from vidchatbench.curation.preparation.status import status_of

    console = stderr_console()
    settings = PrepareSettings(
        out=options.out or paths.benchmarks_root() / options.name,
        annotations=options.annotations,
        videos=options.videos,
        keep_videos=options.keep_videos,
        cookies=options.cookies,
        workers=options.workers,
        manners=Manners(at_once=options.downloads, pause=options.pause),
        language=options.language,
        only=None if options.samples is None else read_ids(options.samples),
        retry_dead=options.retry_dead,
    )
    with interruptible(), progress_for(console) as progress:
        prepared = run(options.name, settings, progress)
        result = status_of(settings.out, progress)
    if options.as_json:
        print_json(result.model_dump(mode="json"))
    else:
        _show(console, result)
        if prepared.header is not None:
            console.print(f"ready: {settings.out}", markup=False, highlight=False, soft_wrap=True)
            ready = options.name if options.out is None else settings.out
            text = f"next: vidchatbench evaluate outputs/ --benchmark {ready}"
            console.print(text, markup=False, highlight=False)
    asked = [one for one in result.samples if settings.only is None or one.id in settings.only]
    if prepared.header is None or any(one.condition in {"unreachable", "waiting"} for one in asked):
        raise typer.Exit(INCOMPLETE if prepared.header is not None else INPUT)


def status(
    where: Annotated[str, typer.Argument(help="Folder or known name of a prepared test set.")] = "test_500",
    as_json: Annotated[bool, typer.Option("--json", help="Print how the set stands on stdout.")] = False,
) -> None:
    """Says which samples of a prepared test set are alive, which are gone and why, and which differ.

    Every clip is hashed. Where fingerprints were published, clips are compared with them: a video that was compressed
    anew is still the same, one that shows something else is not. Ends with 1 where a clip is damaged or differs.

    Example: vidchatbench data status test_500 --json
    """
    from vidchatbench.cli.output import interruptible, print_json, stderr_console
    from vidchatbench.cli.progress import progress_for
    from vidchatbench.core import paths
    from vidchatbench.curation.preparation.status import status_of

    console = stderr_console()
    root = Path(where).expanduser()
    with interruptible(), progress_for(console) as progress:
        result = status_of(root if root.is_dir() else paths.benchmarks_root() / where, progress)
    if as_json:
        print_json(result.model_dump(mode="json"))
    else:
        _show(console, result)
    if result.counts["differing"] or result.counts["damaged"]:
        raise typer.Exit(INPUT)


def _show(console: Console, result: SetStatus) -> None:
    from vidchatbench.cli.tables import print_table
    from vidchatbench.curation.preparation.status import MEANING

    rows = [(name, str(result.counts[name]), meaning) for name, meaning in MEANING.items() if result.counts[name]]
    title = f"{result.name} {result.version}: {result.counts['alive']} of {result.listed} samples are alive"
    print_table(console, title, ("condition", "samples", "meaning"), rows, whole=("condition",))
    if result.reasons:
        examples = [(reason, str(count), _example(result, reason)) for reason, count in result.reasons.items()]
        print_table(
            console, "Why the others are not", ("reason", "samples", "for example"), examples, whole=("reason",)
        )
    for note in result.notes[:_MAX_LISTED]:
        console.print(f"note: {note}", style="dim", markup=False, highlight=False)
    if len(result.notes) > _MAX_LISTED:
        text = f"and {len(result.notes) - _MAX_LISTED} more notes, with --json"
        console.print(text, style="dim", markup=False, highlight=False)


def _example(result: SetStatus, reason: str) -> str:
    sample = next(sample for sample in result.samples if sample.reason == reason)
    return f"{sample.id}: {sample.message}"


def publish(
    prepared: Annotated[Path, typer.Argument(help="Folder of a prepared test set.")],
    to: Annotated[Path, typer.Option(help="Folder of the list, such as data/test_500.")],
    version: Annotated[str, typer.Option(help="Version of the list, such as 1.0.0.")],
    workers: Annotated[int, typer.Option(help="Processes that look at clips.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written on stdout.")] = False,
) -> None:
    """Writes the list of a prepared test set: ids, times, boxes and fingerprints, and nothing of what is said.

    With the list at hand, `vidchatbench data prepare` needs no annotations, and `data status` tells whether a clip is
    still the published one.

    Example: vidchatbench data publish prepared/ --to data/test_500 --version 1.0.0
    """
    from vidchatbench.cli.output import interruptible, print_json, stderr_console
    from vidchatbench.cli.progress import progress_for
    from vidchatbench.curation.preparation.publish import publish as run

    console = stderr_console()
    with interruptible(), progress_for(console) as progress:
        samples = run(prepared, to, version, progress, workers=workers)
    marked = sum(all(clip.fingerprint is not None for clip in sample.clips) for sample in samples)
    if as_json:
        print_json({"to": str(to), "version": version, "samples": len(samples), "with_fingerprints": marked})
        return
    text = f"{len(samples)} samples, {marked} of them with fingerprints, written to {to} as version {version}"
    console.print(text, markup=False, highlight=False)
