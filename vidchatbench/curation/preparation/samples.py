"""Makes samples from a test list and the records of its clips; entries that give none are reported, not dropped."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from vidchatbench.core.validation import describe_validation
from vidchatbench.curation.preparation.listing import ListedClip, ListedSample, LostEntry
from vidchatbench.curation.speakervid.branches import find_initiator
from vidchatbench.curation.speakervid.lists import TestEntry
from vidchatbench.curation.speakervid.names import ClipName
from vidchatbench.curation.speakervid.records import ClipRecord, RecordError

UNKNOWN_LANGUAGE = "und"

MAX_CLIP_SECONDS = 120.0
"""Seconds; the dataset has clips of 3 to 14. A longer one is a fault of its annotation, and would fill the disk."""


@dataclass
class Pairing:
    """What became of a test list.

    Attributes:
        samples: The samples, in the list's order.
        lost: Entries that give none.
        transcripts: What is said in each clip, by clip name, as far as the annotations know.
        remarks: What was not understood of the clips' records, by clip name.
    """

    samples: list[ListedSample] = field(default_factory=list)
    lost: list[LostEntry] = field(default_factory=list)
    transcripts: dict[str, str] = field(default_factory=dict)
    remarks: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def note(self, *records: ClipRecord) -> None:
        """Notes what is said in clips, and what was not understood of their records."""
        for record in records:
            if record.transcript:
                self.transcripts[record.name.text] = record.transcript
            if record.unread:
                self.remarks[record.name.text] = record.unread


def pair(
    entries: Sequence[TestEntry],
    records: Iterable[ClipRecord | RecordError],
    *,
    language: str | None = None,
) -> Pairing:
    """Makes samples of the entries of a list.

    A sample is named after its responder's clip. Where the list names no initiator, it is the turn that the
    annotations show before it; see :func:`vidchatbench.curation.speakervid.branches.find_initiator`.

    Args:
        entries: The list.
        records: The records of its clips, and of all clips of a video for which initiators are to be found.
        language: Language of clips whose annotations give none.
    """
    pairing = Pairing()
    known, unreadable = _sorted(records)
    by_video: dict[str, list[ClipRecord]] = defaultdict(list)
    for record in known.values():
        by_video[record.name.video_id].append(record)
    counts: Counter[str] = Counter()
    for entry in entries:
        name = _plain(entry.responder)
        # Ids name files, and some file systems ignore case.
        counts[name.casefold()] += 1
        count = counts[name.casefold()]
        sample_id = name if count == 1 else f"{name}~{count}"
        sides = _sides(entry, known, unreadable, by_video)
        if isinstance(sides, tuple):
            initiator, responder = sides
            dyad = "derived" if entry.initiator is None else "listed"
            try:
                sample = make_sample(sample_id, initiator, responder, dyad=dyad, language=language)
            except ValidationError as error:
                message = "; ".join(describe_validation(error))
                pairing.lost.append(LostEntry(id=sample_id, reason="annotation_unreadable", message=message))
                continue
            pairing.samples.append(sample)
            pairing.note(*sides)
        else:
            pairing.lost.append(sides.model_copy(update={"id": sample_id}))
    return pairing


def _sorted(records: Iterable[ClipRecord | RecordError]) -> tuple[dict[str, ClipRecord], dict[str, RecordError]]:
    known: dict[str, ClipRecord] = {}
    unreadable: dict[str, RecordError] = {}
    for record in records:
        if isinstance(record, ClipRecord):
            known[record.name.key] = record
        else:
            unreadable[_key(record.name)] = record
    return known, unreadable


def _sides(
    entry: TestEntry,
    known: Mapping[str, ClipRecord],
    unreadable: Mapping[str, RecordError],
    by_video: Mapping[str, list[ClipRecord]],
) -> tuple[ClipRecord, ClipRecord] | LostEntry:
    responder = known.get(_key(entry.responder))
    if responder is None:
        return _missing(entry.responder, unreadable)
    if entry.initiator is None:
        others = [record for record in by_video[responder.name.video_id] if record is not responder]
        initiator = find_initiator(responder, others)
        if initiator is None:
            message = "the list names no initiator, and no other speaker's turn comes just before it"
            return LostEntry(id=entry.responder, reason="no_initiator", message=message)
        return _too_long(initiator, responder) or (initiator, responder)
    initiator = known.get(_key(entry.initiator))
    if initiator is None:
        return _missing(entry.initiator, unreadable)
    return _too_long(initiator, responder) or (initiator, responder)


def _too_long(*records: ClipRecord) -> LostEntry | None:
    for record in records:
        if record.duration > MAX_CLIP_SECONDS:
            message = (
                f"clip {record.name.text} is annotated as {record.duration:.0f} s long, over {MAX_CLIP_SECONDS:.0f} s"
            )
            return LostEntry(id=records[-1].name.text, reason="too_long", message=message)
    return None


def _missing(name: str, unreadable: Mapping[str, RecordError]) -> LostEntry:
    error = unreadable.get(_key(name))
    if error is None:
        return LostEntry(id=name, reason="no_annotation", message=f"there is no annotation of clip {_plain(name)}")
    return LostEntry(
        id=name, reason="annotation_unreadable", message=f"annotation of {_plain(name)}: {'; '.join(error.problems)}"
    )


def make_sample(
    sample_id: str, initiator: ClipRecord, responder: ClipRecord, *, dyad: str, language: str | None
) -> ListedSample:
    """Makes the sample of two clips; ``dyad`` names how the two are known to belong together."""
    tags: dict[str, str | float | int | bool | None] = {
        "dyad": dyad,
        "framing": responder.framing,
        "view": responder.view,
        "topic": responder.topic,
    }
    if initiator is not responder and initiator.name.video_id == responder.name.video_id:
        tags["gap_s"] = round(responder.start - initiator.end, 3)
    return ListedSample(
        id=sample_id,
        task="dialogue",
        language=responder.language or language or UNKNOWN_LANGUAGE,
        initiator=_clip(initiator),
        responder=_clip(responder),
        tags={key: value for key, value in tags.items() if value is not None},
    )


def _clip(record: ClipRecord) -> ListedClip:
    box = record.box
    return ListedClip(
        clip=record.name.text,
        video=record.name.video_id,
        start=round(record.start, 6),
        end=round(record.end, 6),
        box=(box.left, box.top, box.right, box.bottom),
        speaker_id=record.speaker_id,
        source_size=record.raw_size,
    )


def _key(name: str) -> str:
    try:
        return ClipName.parse(name).key
    except ValueError:
        return name


def _plain(name: str) -> str:
    try:
        return ClipName.parse(name).text
    except ValueError:
        return name
