"""``vidchatbench data build``: a new test set of unseen speakers, chosen from the annotations of SpeakerVid-5M."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidchatbench.cli.options import command_of

if TYPE_CHECKING:
    from vidchatbench.curation.selection.schema import Selection

_SECONDS_BETWEEN_LINES = 10.0
_EXCLUDE = "Training list: clips, video ids or <video id>:<speaker>, as JSON or one a line. May be repeated."


@dataclass(frozen=True)
class BuildOptions:
    """What ``data build`` is given."""

    root: Annotated[Path, typer.Argument(help="Folder of the annotations, or an index of them.")]
    n: Annotated[int, typer.Option("--n", help="Samples to choose.")]
    out: Annotated[Path, typer.Option("-o", "--out", help="The folder to write; it must be new.")]
    exclude: Annotated[list[Path] | None, typer.Option(help=_EXCLUDE)] = None
    branch: Annotated[str, typer.Option(help="dialogue, single, listening or multi_turn.")] = "dialogue"
    tier: Annotated[str, typer.Option(help="hq for the paper's thresholds, all for the dataset's own filter.")] = "hq"
    seed: Annotated[int, typer.Option(help="Another seed chooses other samples.")] = 0
    per_speaker: Annotated[int, typer.Option(help="Most samples with the same responder.")] = 1
    gap: Annotated[float, typer.Option(help="Longest silence between turn and answer, in seconds.")] = 2.0
    history: Annotated[float, typer.Option(help="How far back a history may reach, in seconds.")] = 30.0
    as_json: Annotated[bool, typer.Option("--json", help="Print what was chosen on stdout.")] = False


@command_of(BuildOptions)
def build(options: BuildOptions) -> None:
    """Chooses a new test set whose speakers, and source videos, no training list names.

    The set keeps the proportions of framing, facing direction, topic and length, and is the same for the same
    annotations and seed. The annotations are indexed first, which is kept and goes on after an interruption. Exits with
    1 if too few samples are eligible, and says how many remain after each rule.

    Example: vidchatbench data build SpeakerVid-5M-Dataset --n 500 --exclude SFT_set.json --out my_test_set
    """
    from vidchatbench.cli.output import interruptible, print_json
    from vidchatbench.curation.selection.choose import Rules, choose
    from vidchatbench.curation.selection.exclusions import read_exclusions
    from vidchatbench.curation.selection.write import check_out, write_selection
    from vidchatbench.curation.speakervid.branches import SpeakerVid

    rules = Rules(
        n=options.n,
        branch=options.branch,  # type: ignore[arg-type]
        tier=options.tier,  # type: ignore[arg-type]
        seed=options.seed,
        per_speaker=options.per_speaker,
        history_s=options.history,
        gap_s=options.gap,
    )
    check_out(options.out)
    exclusions = read_exclusions(options.exclude or [])
    with interruptible(), SpeakerVid(options.root, progress=_line_printer()) as dataset:
        for remark in dataset.index.remarks():
            print(remark, file=sys.stderr)
        choice = choose(dataset.index.videos(), rules, exclusions)
        selection = write_selection(choice, exclusions, dataset.index, options.out)
    if options.as_json:
        print_json({"folder": str(options.out), **selection.model_dump(mode="json")})
    else:
        _print(selection, options.out)
    if not exclusions.lists:
        print("no training list was given: nothing says that these speakers are unseen", file=sys.stderr)


def _line_printer() -> Callable[[str, int], None]:
    """Returns a callback that prints the progress of indexing from time to time."""
    last = time.monotonic()

    def report(source: str, count: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            print(f"indexing {source}: {count} files", file=sys.stderr)

    return report


def _print(selection: Selection, out: Path) -> None:
    from vidchatbench.cli.output import stderr_console
    from vidchatbench.cli.tables import print_table

    console = stderr_console()
    rows = [(str(row.left), row.rule) for row in selection.funnel]
    rows.append((str(selection.n), "drawn in proportion to the strata"))
    print_table(
        console, f"{selection.n} samples of the branch {selection.branch}", ("remaining", "after the rule"), rows
    )
    filled = sum(cell.chosen > 0 for cell in selection.strata)
    text = f"{filled} of {len(selection.strata)} strata gave a sample, {len(selection.empty_strata)} are empty"
    console.print(text, markup=False, highlight=False)
    if selection.unreadable:
        console.print(f"{selection.unreadable} annotations could not be read", style="yellow", markup=False)
    console.print(f"written to {out}; see {out / 'DATASHEET.md'}", markup=False, highlight=False, soft_wrap=True)
