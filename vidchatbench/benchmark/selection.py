"""A chosen test set as a folder: pairs, how they were chosen, their records, and a datasheet with plots."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vidchatbench._version import __version__
from vidchatbench.benchmark.choose import Choice, Chosen
from vidchatbench.benchmark.exclusions import Exclusions
from vidchatbench.benchmark.load import describe_validation
from vidchatbench.benchmark.strata import empty_cells
from vidchatbench.contract.samples import Sha256
from vidchatbench.errors import InputError, UsageError
from vidchatbench.speakervid.branches import Branch, Tier
from vidchatbench.speakervid.index import AnnotationIndex, IndexedClip
from vidchatbench.speakervid.names import ClipName
from vidchatbench.speakervid.pairing import LISTENING_OVERLAP_S, OVERLAP_S

PAIRS_FILE = "pairs.json"
SELECTION_FILE = "selection.json"
RECORDS_FILE = "records.jsonl"
DATASHEET_FILE = "DATASHEET.md"
PLOTS_FOLDER = "plots"


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ExcludedList(_Frozen):
    """A training list from which no speaker and no source video was taken."""

    file: str
    sha256: Sha256
    n_speakers: int = Field(ge=0)
    n_videos: int = Field(ge=1)


class Remaining(_Frozen):
    """How many samples remained after a rule; the rules were applied in this order."""

    rule: str
    left: int = Field(ge=0)


class Cell(_Frozen):
    """One stratum: how many were eligible and how many were chosen."""

    framing: str
    view: str
    topic: str
    length: str
    eligible: int = Field(ge=1)
    chosen: int = Field(ge=0)


class Selection(_Frozen):
    """``selection.json``: everything that decided which samples were chosen; the same again gives the same set.

    Attributes:
        schema_version: Version of this form.
        vidchatbench_version: Version of the library that chose.
        branch: Branch of the dataset.
        tier: Tier of quality.
        n: Number of samples.
        seed: The seed.
        per_speaker: Most samples in which one person is the responder.
        gap_s: Longest silence between a turn and its answer, in seconds.
        history_s: How far before an answer its history may begin, in seconds.
        overlap_s: How far an answer may begin before the turn has ended, in seconds.
        listening_overlap_s: How long somebody must be seen while another speaks, in seconds.
        thresholds: The thresholds that both sides reach.
        exclusions: The training lists.
        funnel: How many remained after each rule.
        strata: The cells that had eligible samples.
        empty_strata: Combinations of values that occur, without an eligible sample.
        unreadable: Annotations whose time or box could not be read.
        unsure_boxes: Chosen clips whose box may also be read in another way.
        pairs_sha256: sha256 of ``pairs.json``.
        records_sha256: sha256 of ``records.jsonl``.
    """

    schema_version: Literal[1] = 1
    vidchatbench_version: str
    branch: Branch
    tier: Tier
    n: int = Field(ge=1)
    seed: int
    per_speaker: int = Field(ge=1)
    gap_s: float = Field(gt=0)
    history_s: float = Field(gt=0)
    overlap_s: float = Field(ge=0)
    listening_overlap_s: float = Field(ge=0)
    thresholds: tuple[str, ...]
    exclusions: tuple[ExcludedList, ...]
    funnel: tuple[Remaining, ...]
    strata: tuple[Cell, ...]
    empty_strata: tuple[str, ...]
    unreadable: int = Field(ge=0)
    unsure_boxes: int = Field(ge=0)
    pairs_sha256: Sha256
    records_sha256: Sha256


def load_selection(folder: Path) -> Selection:
    """Reads ``selection.json`` of a folder, and checks that the files it names are those that were written.

    Raises:
        InputError: If a file is missing, has problems, or is another than was written.
    """
    path = folder / SELECTION_FILE
    try:
        selection = Selection.model_validate_json(path.read_bytes())
        named = ((PAIRS_FILE, selection.pairs_sha256), (RECORDS_FILE, selection.records_sha256))
        changed = [name for name, sha256 in named if _sha256((folder / name).read_bytes()) != sha256]
    except ValidationError as error:
        raise InputError(str(path), describe_validation(error)) from error
    except OSError as error:
        raise InputError(str(error.filename or path), [error.strerror or "cannot be read"]) from error
    if changed:
        problems = [f"{name} is not the file that was chosen with it" for name in changed]
        raise InputError(str(folder), problems, "Choose the set again.")
    return selection


def write_selection(choice: Choice, exclusions: Exclusions, index: AnnotationIndex, out: Path) -> Selection:
    """Writes a chosen set into a new folder, whole or not at all.

    Args:
        choice: The chosen samples.
        exclusions: The training lists.
        index: Where their records are.
        out: The folder; it must not be there, or be empty.

    Returns:
        What was written as ``selection.json``.

    Raises:
        UsageError: If the folder has something in it.
        OSError: If it cannot be written.
    """
    # The plots are drawn only where a set is written.
    from vidchatbench.benchmark.datasheet import datasheet, plots  # noqa: PLC0415

    check_out(out)
    clips = _clips(choice, index)
    pairs = _json(list(_pairs(choice, clips)))
    records = "".join(_line(clips[name]) for name in sorted(clips)).encode()
    selection = _selection(choice, exclusions, clips, pairs, records)
    drawings = plots(choice, clips)
    temporary = out.with_name(f".{out.name}.{uuid4().hex}.tmp")
    (temporary / PLOTS_FOLDER).mkdir(parents=True)
    try:
        (temporary / PAIRS_FILE).write_bytes(pairs)
        (temporary / RECORDS_FILE).write_bytes(records)
        (temporary / SELECTION_FILE).write_bytes(_json(selection.model_dump(mode="json")))
        (temporary / DATASHEET_FILE).write_text(datasheet(choice, selection, clips, drawings), encoding="utf-8")
        for plot in drawings:
            (temporary / PLOTS_FOLDER / f"{plot.name}.svg").write_text(plot.document(), encoding="utf-8")
        if out.is_dir():
            out.rmdir()
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return selection


def check_out(out: Path) -> None:
    """Checks that a set can be written to a folder.

    Raises:
        UsageError: If there is something already.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(f"{out} is there already and not empty; name another folder with --out")


def _clips(choice: Choice, index: AnnotationIndex) -> dict[str, IndexedClip]:
    names = {name for sample in choice.samples for name in _names(sample)}
    found: dict[str, IndexedClip] = {}
    for video_id in sorted({ClipName.parse(name).video_id for name in names}):
        video = index.video(video_id)
        clips = video.clips if video is not None else ()
        found.update((clip.record.name.text, clip) for clip in clips if clip.record.name.text in names)
    return found


def _names(sample: Chosen) -> Iterator[str]:
    yield from sample.history
    if sample.initiator is not None:
        yield sample.initiator
    yield sample.responder


def _pairs(choice: Choice, clips: dict[str, IndexedClip]) -> Iterator[dict[str, object]]:
    for sample in choice.samples:
        responder = clips[sample.responder].record
        yield {
            "initiator": sample.initiator,
            "responder": sample.responder,
            "history": list(sample.history),
            "branch": choice.rules.branch,
            "video_id": responder.name.video_id,
            "speaker_ids": list(sample.speaker_ids),
            "start": responder.start,
            "end": responder.end,
            "stratum": sample.stratum._asdict(),
        }


def _line(clip: IndexedClip) -> str:
    return json.dumps(asdict(clip.files), ensure_ascii=False, sort_keys=True) + "\n"


def _json(content: object) -> bytes:
    return (json.dumps(content, ensure_ascii=False, indent=2) + "\n").encode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _selection(
    choice: Choice, exclusions: Exclusions, clips: dict[str, IndexedClip], pairs: bytes, records: bytes
) -> Selection:
    rules = choice.rules
    strata: Sequence[Cell] = [
        Cell(**cell._asdict(), eligible=count, chosen=choice.given[cell]) for cell, count in choice.eligible.items()
    ]
    return Selection(
        vidchatbench_version=__version__,
        branch=rules.branch,
        tier=rules.tier,
        n=rules.n,
        seed=rules.seed,
        per_speaker=rules.per_speaker,
        gap_s=rules.gap_s,
        history_s=rules.history_s,
        overlap_s=OVERLAP_S,
        listening_overlap_s=LISTENING_OVERLAP_S,
        thresholds=tuple(map(str, rules.thresholds)),
        exclusions=tuple(ExcludedList(**asdict(one)) for one in exclusions.lists),
        funnel=tuple(Remaining(rule=row.rule, left=row.left) for row in choice.funnel),
        strata=tuple(strata),
        empty_strata=tuple(map(str, empty_cells(list(choice.eligible)))),
        unreadable=choice.unreadable,
        unsure_boxes=sum(not clip.record.box_sure for clip in clips.values()),
        pairs_sha256=_sha256(pairs),
        records_sha256=_sha256(records),
    )
