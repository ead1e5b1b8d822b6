"""Training lists: whom a new test set must not show, by speaker and by source video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vidchatbench.core.hashing import hash_file
from vidchatbench.curation.speakervid.lists import clip_list_strings
from vidchatbench.curation.speakervid.names import ClipName, is_clip_name, video_of
from vidchatbench.errors import InputError

_MAX_LISTED = 10


@dataclass(frozen=True, slots=True)
class ReadList:
    """A list that was read.

    Attributes:
        file: Its name, without the folder.
        sha256: Its sha256.
        n_speakers: How many speakers it names.
        n_videos: How many source videos it names.
    """

    file: str
    sha256: str
    n_speakers: int
    n_videos: int


@dataclass(frozen=True, slots=True)
class Exclusions:
    """What training lists name.

    Attributes:
        speakers: Speaker ids.
        videos: Ids of source videos.
        lists: The lists.
    """

    speakers: frozenset[str] = frozenset()
    videos: frozenset[str] = frozenset()
    lists: tuple[ReadList, ...] = ()


def read_exclusions(paths: Sequence[Path]) -> Exclusions:
    """Reads training lists: clip names, video names, video ids or speaker ids, in JSON or one on a line.

    Raises:
        InputError: If one cannot be read, names nobody, or has entries that are none of these: a list of which a part
            is not understood proves nothing.
    """
    speakers: set[str] = set()
    videos: set[str] = set()
    lists = []
    for path in paths:
        own_speakers, own_videos = _read(path)
        lists.append(ReadList(path.name, hash_file(path), len(own_speakers), len(own_videos)))
        speakers |= own_speakers
        videos |= own_videos
    return Exclusions(frozenset(speakers), frozenset(videos), tuple(lists))


def _read(path: Path) -> tuple[set[str], set[str]]:
    speakers: set[str] = set()
    videos: set[str] = set()
    strange: list[str] = []
    n_strange = 0
    for text, is_entry in clip_list_strings(path):
        video = video_of(text)
        if video is not None:
            videos.add(video)
            if is_clip_name(text):
                speakers.add(ClipName.parse(text).speaker_id)
            elif ":" in text:
                speakers.add(text.strip())
        elif is_entry:
            n_strange += 1
            if n_strange <= _MAX_LISTED:
                strange.append(f"{text[:120]!r} is no clip, video or speaker")
    if n_strange > _MAX_LISTED:
        strange.append(f"and {n_strange - _MAX_LISTED} more")
    if strange:
        raise InputError(str(path), strange, "One name on a line, or JSON: clips, video ids, or <video id>:<speaker>.")
    if not videos:
        raise InputError(str(path), ["it names no clip, video or speaker"], "Leave it out, or name another list.")
    return speakers, videos
