"""Who answers whom: turns of one video are paired by their times."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from vidchatbench.curation.speakervid.records import ClipRecord

GAP_S = 2.0
"""Longest silence between a turn and its answer, and between the turns of one conversation, in seconds."""

OVERLAP_S = 0.5
"""How far an answer may begin before the turn that it answers has ended."""

LISTENING_OVERLAP_S = 1.0
"""Seconds that a person must be seen while another speaks, to count as listening."""

HISTORY_S = 30.0
"""How far before an answer the turns of its history may begin."""


def find_initiator(responder: ClipRecord, others: Iterable[ClipRecord], gap_s: float = GAP_S) -> ClipRecord | None:
    """Returns the turn that a clip answers.

    It is the latest turn of another speaker of the same video that starts before the answer, and ends at most
    ``gap_s`` before it or overlaps it by at most :data:`OVERLAP_S`. Where there is none, the other speaker of the same
    scene counts, if that one starts first.

    Args:
        responder: The answer.
        others: Clips to look among; the answer itself and clips of other videos may be among them.
        gap_s: Longest silence between turn and answer.
    """
    partners = [other for other in others if _may_precede(other, responder)]
    turns = [other for other in partners if _is_before(other, responder, gap_s)]
    scene = [other for other in partners if _shares_scene(other, responder)]
    return max(turns or scene, key=_order, default=None)


def dialogue_pairs(clips: Sequence[ClipRecord], gap_s: float = GAP_S) -> Iterator[tuple[ClipRecord, ClipRecord]]:
    """Yields the turn and its answer for every clip of one video that answers one, by start of the answer."""
    talking = sorted((clip for clip in clips if clip.heard), key=_order)
    starts = [clip.start for clip in talking]
    longest = max((clip.duration for clip in talking), default=0.0)
    scenes: dict[int | None, list[ClipRecord]] = defaultdict(list)
    for clip in talking:
        scenes[clip.name.scene].append(clip)
    for responder in talking:
        # Only turns that can reach the answer are looked at: videos have thousands of clips.
        first = bisect_left(starts, responder.start - gap_s - longest - OVERLAP_S)
        near = talking[first : bisect_right(starts, responder.start)]
        initiator = find_initiator(responder, [*near, *scenes[responder.name.scene]], gap_s)
        if initiator is not None:
            yield initiator, responder


def listening_pairs(clips: Sequence[ClipRecord]) -> Iterator[tuple[ClipRecord, ClipRecord]]:
    """Yields who speaks and who listens, for every clip of one video that shows a person who is not heard.

    The speaker is the one who is heard longest meanwhile, for at least :data:`LISTENING_OVERLAP_S`.
    """
    talking = sorted((clip for clip in clips if clip.heard), key=_order)
    starts = [clip.start for clip in talking]
    longest = max((clip.duration for clip in talking), default=0.0)
    for listener in sorted((clip for clip in clips if not clip.heard), key=_order):
        near = talking[bisect_left(starts, listener.start - longest) : bisect_right(starts, listener.end)]
        speakers = [clip for clip in near if clip.speaker_id != listener.speaker_id]
        speaker = max(speakers, key=lambda clip: (_overlap(clip, listener), clip.name.text), default=None)
        if speaker is not None and _overlap(speaker, listener) >= LISTENING_OVERLAP_S:
            yield speaker, listener


def histories(
    clips: Sequence[ClipRecord], gap_s: float = GAP_S, history_s: float = HISTORY_S
) -> Iterator[tuple[ClipRecord, ClipRecord, tuple[ClipRecord, ...]]]:
    """Yields turn, answer and the turns before them, for every answer of one video that has a history.

    A conversation goes on as long as less than ``gap_s`` passes between the end of all that was said and the next
    turn. The history holds its turns that begin before the turn that is answered, end before the answer, and begin at
    most ``history_s`` before the answer.
    """
    talking = sorted((clip for clip in clips if clip.heard), key=_order)
    begins = _conversation_begins(talking, gap_s)
    starts = [clip.start for clip in talking]
    places = {clip.name.text: place for place, clip in enumerate(talking)}
    for initiator, responder in dialogue_pairs(clips, gap_s):
        place = places[initiator.name.text]
        first = max(begins[place], bisect_left(starts, responder.start - history_s))
        history = tuple(clip for clip in talking[first:place] if clip.end <= responder.start + OVERLAP_S)
        if history and begins[places[responder.name.text]] == begins[place]:
            yield initiator, responder, history


def _conversation_begins(talking: Sequence[ClipRecord], gap_s: float) -> list[int]:
    """For every turn, the place of the first turn of its conversation."""
    begins: list[int] = []
    begin, end = 0, float("-inf")
    for place, clip in enumerate(talking):
        if clip.start - end >= gap_s:
            begin = place
        end = max(end, clip.end)
        begins.append(begin)
    return begins


def _may_precede(other: ClipRecord, responder: ClipRecord) -> bool:
    return (
        other.heard
        and other.name.video_id == responder.name.video_id
        and other.speaker_id != responder.speaker_id
        and other.name.label != responder.likely_label
    )


def _is_before(other: ClipRecord, responder: ClipRecord, gap_s: float) -> bool:
    return other.start < responder.start and -OVERLAP_S <= responder.start - other.end <= gap_s


def _shares_scene(other: ClipRecord, responder: ClipRecord) -> bool:
    return other.name.scene == responder.name.scene and _talk(other) < _talk(responder)


def _talk(clip: ClipRecord) -> tuple[float, float, str]:
    """When a person begins to talk: tracks may carry the bounds of their scene, so the inner range decides."""
    return clip.start, clip.start if clip.inner is None else clip.inner[0], clip.likely_label or ""


def _order(clip: ClipRecord) -> tuple[float, float, str]:
    return clip.start, clip.end, clip.name.text


def _overlap(one: ClipRecord, other: ClipRecord) -> float:
    return min(one.end, other.end) - max(one.start, other.start)
