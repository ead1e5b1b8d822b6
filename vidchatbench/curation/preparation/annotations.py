"""Gathering the annotations of the clips that a test list needs, out of archives on the hub or in a folder.

Only the members that are wanted are kept, as single files under the preparation's folder; an archive that was read is
noted in the ledger and not read again. Archives from the hub are fetched one at a time and deleted when they are read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from vidchatbench.core.atomic import write_atomically
from vidchatbench.core.progress import Progress
from vidchatbench.curation.preparation.ledger import Fact, Ledger
from vidchatbench.curation.speakervid.archives import read_members
from vidchatbench.curation.speakervid.labels import transcript_names
from vidchatbench.curation.speakervid.layout import Part, find_sources
from vidchatbench.curation.speakervid.names import ClipName, bare, is_clip_name, video_of
from vidchatbench.curation.speakervid.records import ClipRecord, RecordError, parse_record
from vidchatbench.errors import InputError

_HALF_LETTER = re.compile(rb"\\u[dD][89a-fA-F]")

NEEDED: tuple[Part, ...] = ("merged", "asr", "caption")
"""Parts that a test set is made of; blur scores serve the choice of clips and are 51 GB."""


class Archive(Protocol):
    """One archive or folder of annotations."""

    @property
    def name(self) -> str:
        """Its name, the same in every run."""
        ...

    @property
    def identity(self) -> str:
        """Changes when its content does."""
        ...

    def open(self) -> Path:
        """Returns its path, fetching it if necessary."""
        ...

    def release(self) -> None:
        """Declares that it is not needed any more."""
        ...

    def fetch_anew(self) -> bool:
        """Deletes a damaged copy; returns whether another one can be fetched."""
        ...


class AnnotationSource(Protocol):
    """Where annotations come from."""

    def archives(self, part: Part) -> Sequence[Archive]:
        """Returns the archives of a part."""
        ...


@dataclass(frozen=True)
class LocalArchive:
    """An archive or folder on this computer."""

    path: Path
    name: str

    @property
    def identity(self) -> str:
        """Size and time of change; a folder is read every time."""
        stat = self.path.stat()
        return "" if self.path.is_dir() else f"{stat.st_size}-{stat.st_mtime_ns}"

    def open(self) -> Path:
        """Returns its path."""
        return self.path

    def release(self) -> None:
        """Leaves the user's file alone."""

    def fetch_anew(self) -> bool:
        """The user's file is all there is."""
        return False


class LocalAnnotations:
    """Annotations in a folder, in the published layout or unpacked.

    Args:
        root: The folder.

    Raises:
        InputError: If it holds none.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._found = find_sources(root)
        if not self._found["merged"]:
            hint = "Give the dataset's folder, with merged_anno/ in it, packed or unpacked."
            raise InputError(str(root), ["there are no annotations: neither merged_anno/ nor merge_anno/"], hint)

    def archives(self, part: Part) -> Sequence[Archive]:
        """Returns the archives of a part."""
        return [LocalArchive(path, path.relative_to(self._root).as_posix()) for path in self._found[part]]


@dataclass(frozen=True)
class Wanted:
    """Which clips' annotations are wanted.

    Attributes:
        clips: Clips by their keys (:attr:`ClipName.key`).
        videos: Videos all clips of which are wanted.
    """

    clips: Mapping[str, ClipName]
    videos: frozenset[str] = frozenset()
    asr_names: frozenset[str] = field(default=frozenset())

    @classmethod
    def of(cls, clips: Iterable[ClipName], videos: Iterable[str] = ()) -> Wanted:
        """Builds it from clips and videos."""
        named = {clip.key: clip for clip in clips}
        said = frozenset(name for clip in named.values() for name, _ in transcript_names(clip))
        return cls(named, frozenset(videos), said)

    def takes(self, part: Part, file_name: str) -> bool:
        """Whether a file of a part is wanted."""
        stem = bare(file_name)
        if is_clip_name(stem):
            clip = ClipName.parse(stem)
            if clip.key in self.clips or clip.video_id in self.videos:
                return True
        return part == "asr" and (stem in self.asr_names or video_of(stem) in self.videos)

    def has_all(self, part: Part, kept: Iterable[str]) -> bool:
        """Whether nothing more can be found: only where single clips are wanted, by their own files."""
        if self.videos or part == "asr":
            return False
        have = {ClipName.parse(name).key for name in kept if is_clip_name(name)}
        return self.clips.keys() <= have

    @property
    def digest(self) -> str:
        """A hash of the request."""
        text = json.dumps([sorted(self.clips), sorted(self.videos)])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class AnnotationFolder:
    """The annotations that were kept, one file each.

    Args:
        root: The folder; created.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def name(self) -> str:
        """Its name, unique among folders of annotations."""
        return self._root.name

    def names(self, part: Part) -> set[str]:
        """Returns the stems of the files of a part."""
        folder = self._root / part
        return {path.stem for path in folder.glob("*.json")} if folder.is_dir() else set()

    def keep(self, part: Part, name: str, content: bytes) -> None:
        """Keeps one file; it outlives a failure of the power only after :meth:`settle`."""
        folder = self._root / part
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / f"{bare(name)}.json", content, durable=not hasattr(os, "sync"))

    def settle(self) -> None:
        """Makes sure that all files that were kept outlive a failure of the power."""
        if hasattr(os, "sync"):
            os.sync()  # thousands of small files: one by one, this takes minutes

    def read(self, part: Part, stem: str) -> object:
        """Returns the content of a file, ``None`` where there is none.

        Raises:
            ValueError: If it is no JSON.
        """
        path = self._root / part / f"{stem}.json"
        return read_json(path.read_bytes()) if path.is_file() else None

    def records(self) -> Iterator[ClipRecord | RecordError]:
        """Yields the record of every clip that was kept, or why it cannot be read, by name."""
        said = self.names("asr")
        captions = {ClipName.parse(name).key: name for name in self.names("caption") if is_clip_name(name)}
        for name in sorted(self.names("merged")):
            try:
                yield self._record(name, said, captions)
            except RecordError as error:
                yield error

    def _record(self, name: str, said: set[str], captions: Mapping[str, str]) -> ClipRecord:
        try:
            clip = ClipName.parse(name)
            merged = self.read("merged", name)
        except (ValueError, RecursionError) as error:
            raise RecordError(name, [f"its annotation is not readable: {error}"]) from error
        words, shared = next((candidate for candidate in transcript_names(clip) if candidate[0] in said), (None, False))
        # A label file beside the annotation may be damaged: the clip then goes without it.
        asr, caption = None, None
        with contextlib.suppress(ValueError, RecursionError):
            asr = None if words is None else self.read("asr", words)
        with contextlib.suppress(ValueError, RecursionError):
            caption = self.read("caption", captions[clip.key]) if clip.key in captions else None
        return parse_record(name, merged, asr=asr, caption=caption, asr_shared=shared)


def read_json(content: bytes) -> object:
    """Reads JSON as it may come from anywhere: halves of letters, which no file can hold, become question marks.

    Raises:
        ValueError: If it is no JSON.
    """
    value = json.loads(content)
    if _HALF_LETTER.search(content):
        return json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
    return value


def gather(
    source: AnnotationSource, wanted: Wanted, kept: AnnotationFolder, ledger: Ledger, progress: Progress
) -> list[str]:
    """Brings the wanted annotations into the folder.

    Args:
        source: Where they come from.
        wanted: Which are wanted.
        kept: Where they are kept.
        ledger: Records which archives were read.
        progress: Receives progress.

    Returns:
        What was left out or not understood.

    Raises:
        InputError: If an archive is damaged and no other copy of it can be had; what was whole before is kept.
    """
    problems: list[str] = []
    waiting: list[tuple[Part, Archive]] = [(part, archive) for part in NEEDED for archive in source.archives(part)]
    progress.begin("reading annotations", len(waiting), "archives")
    for number, (part, archive) in enumerate(waiting):
        entry = ledger.get("archive", archive.name)
        known = entry is not None and entry.facts == _facts(archive, wanted, kept) and archive.identity != ""
        if not known and not wanted.has_all(part, kept.names(part)):
            _read(part, archive, wanted, kept, problems)
            kept.settle()
            ledger.done("archive", archive.name, _facts(archive, wanted, kept))
        progress.advance(number + 1)
    progress.end()
    return problems


def _facts(archive: Archive, wanted: Wanted, kept: AnnotationFolder) -> dict[str, Fact]:
    return {"identity": archive.identity, "wanted": wanted.digest, "kept": kept.name}


def _read(part: Part, archive: Archive, wanted: Wanted, kept: AnnotationFolder, problems: list[str]) -> None:
    for again in (True, False):
        messages: list[str] = []
        try:
            for member in read_members(archive.open(), lambda name: wanted.takes(part, name), problems=messages):
                kept.keep(part, member.name, member.content)
            break
        except InputError:
            # The network may have damaged it; the second copy counts as the publisher's.
            if not again or not archive.fetch_anew():
                raise
        finally:
            problems += messages if messages not in ([], problems[-len(messages) :]) else []
    archive.release()
