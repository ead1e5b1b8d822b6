"""The files of a chosen test set, and ``selection.json``: everything that decided which samples were chosen."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from vidchatbench.api.samples import Sha256
from vidchatbench.core.hashing import hash_bytes
from vidchatbench.core.models import FrozenModel
from vidchatbench.core.validation import describe_validation
from vidchatbench.curation.speakervid.branches import Branch, Tier
from vidchatbench.errors import InputError

PAIRS_FILE = "pairs.json"
SELECTION_FILE = "selection.json"
RECORDS_FILE = "records.jsonl"
DATASHEET_FILE = "DATASHEET.md"
PLOTS_FOLDER = "plots"


class ExcludedList(FrozenModel):
    """A training list from which no speaker and no source video was taken."""

    file: str
    sha256: Sha256
    n_speakers: int = Field(ge=0)
    n_videos: int = Field(ge=1)


class Remaining(FrozenModel):
    """How many samples remained after a rule; the rules were applied in this order."""

    rule: str
    left: int = Field(ge=0)


class Cell(FrozenModel):
    """One stratum: how many were eligible and how many were chosen."""

    framing: str
    view: str
    topic: str
    length: str
    eligible: int = Field(ge=1)
    chosen: int = Field(ge=0)


class Selection(FrozenModel):
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
        changed = [name for name, sha256 in named if hash_bytes((folder / name).read_bytes()) != sha256]
    except ValidationError as error:
        raise InputError(str(path), describe_validation(error)) from error
    except OSError as error:
        raise InputError(str(error.filename or path), [error.strerror or "cannot be read"]) from error
    if changed:
        problems = [f"{name} is not the file that was chosen with it" for name in changed]
        raise InputError(str(folder), problems, "Choose the set again.")
    return selection
