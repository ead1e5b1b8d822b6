"""A test set that `data build` has chosen, as samples to be prepared: all four branches become their tasks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import ConfigDict, ValidationError

from vidchatbench.api.samples import Task
from vidchatbench.core.models import FrozenModel
from vidchatbench.core.validation import describe_validation
from vidchatbench.curation.preparation.annotations import read_json
from vidchatbench.curation.preparation.listing import ListedSample, ListedTurn, LostEntry
from vidchatbench.curation.preparation.samples import Pairing, make_sample
from vidchatbench.curation.selection.schema import PAIRS_FILE, RECORDS_FILE, load_selection
from vidchatbench.curation.speakervid.branches import Branch
from vidchatbench.curation.speakervid.records import ClipRecord, RecordError, parse_record
from vidchatbench.errors import InputError

_TASKS: Mapping[Branch, Task] = {
    "dialogue": "dialogue",
    "single": "single",
    "listening": "listening",
    "multi_turn": "multi_turn",
}


class _Entry(FrozenModel):
    """The fields read from an entry of ``pairs.json``; the others are for people."""

    model_config = ConfigDict(extra="ignore")

    initiator: str | None
    responder: str
    history: tuple[str, ...] = ()


def read_selection(root: Path, *, language: str | None = None) -> Pairing:
    """Reads a folder that `data build` has written.

    Args:
        root: The folder.
        language: Language of clips whose annotations give none.

    Raises:
        InputError: If a file is missing or is not the one that was chosen.
    """
    selection = load_selection(root)
    records = _records(root / RECORDS_FILE)
    pairing = Pairing()
    for number, item in enumerate(json.loads((root / PAIRS_FILE).read_bytes())):
        try:
            entry = _Entry.model_validate(item)
        except ValidationError as error:
            raise InputError(
                str(root / PAIRS_FILE), [f"entry {number}: {p}" for p in describe_validation(error)]
            ) from error
        _add(entry, _TASKS[selection.branch], records, pairing, language)
    return pairing


def _add(
    entry: _Entry, task: Task, records: Mapping[str, ClipRecord | str], pairing: Pairing, language: str | None
) -> None:
    sides = [records.get(name, "it has no record") for name in (entry.initiator or entry.responder, entry.responder)]
    problems = [side for side in sides if isinstance(side, str)]
    if problems:
        pairing.lost.append(_unreadable(entry, "; ".join(problems)))
        return
    initiator, responder = (side for side in sides if isinstance(side, ClipRecord))
    if entry.initiator is None:
        initiator = responder
    try:
        sample = make_sample(entry.responder, initiator, responder, dyad="chosen", language=language)
    except ValidationError as error:
        message = "; ".join(describe_validation(error))
        pairing.lost.append(_unreadable(entry, message))
        return
    history = [record for name in entry.history if isinstance(record := records.get(name), ClipRecord)]
    pairing.note(initiator, responder, *history)
    turns = tuple(_turn(record, responder) for record in history)
    pairing.samples.append(ListedSample.model_validate({**sample.model_dump(), "task": task, "history": turns}))


def _unreadable(entry: _Entry, message: str) -> LostEntry:
    return LostEntry(id=entry.responder, reason="annotation_unreadable", message=message)


def _turn(record: ClipRecord, responder: ClipRecord) -> ListedTurn:
    own = record.speaker_id == responder.speaker_id
    return ListedTurn(clip=record.name.text, role="responder" if own else "initiator")


def _records(path: Path) -> dict[str, ClipRecord | str]:
    """Returns the record of every clip, or why it cannot be read, by name."""
    records: dict[str, ClipRecord | str] = {}
    for line in path.read_text(encoding="utf-8").split("\n"):
        if not line.strip():
            continue
        files = cast("dict[str, Any]", read_json(line.encode()))
        try:
            records[str(files["name"])] = parse_record(**files)
        except RecordError as error:
            records[str(files["name"])] = str(error)
    return records
