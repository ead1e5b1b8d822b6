"""A chosen test set as a folder: pairs, how they were chosen, their records, and a datasheet with plots."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from uuid import uuid4

from vidchatbench._version import __version__
from vidchatbench.core.hashing import hash_bytes
from vidchatbench.curation.selection.choose import Choice, Chosen
from vidchatbench.curation.selection.exclusions import Exclusions
from vidchatbench.curation.selection.schema import (
    DATASHEET_FILE,
    PAIRS_FILE,
    PLOTS_FOLDER,
    RECORDS_FILE,
    SELECTION_FILE,
    Cell,
    ExcludedList,
    Remaining,
    Selection,
)
from vidchatbench.curation.selection.strata import empty_cells
from vidchatbench.curation.speakervid.index import AnnotationIndex, IndexedClip
from vidchatbench.curation.speakervid.names import ClipName
from vidchatbench.curation.speakervid.pairing import LISTENING_OVERLAP_S, OVERLAP_S
from vidchatbench.errors import UsageError


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
    from vidchatbench.curation.selection.datasheet import datasheet, plots

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
    chosen: dict[str, IndexedClip] = {}
    for video_id in sorted({ClipName.parse(name).video_id for name in names}):
        video = index.video(video_id)
        clips = video.clips if video is not None else ()
        chosen.update((clip.record.name.text, clip) for clip in clips if clip.record.name.text in names)
    return chosen


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
        pairs_sha256=hash_bytes(pairs),
        records_sha256=hash_bytes(records),
    )
