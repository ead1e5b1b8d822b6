"""The index over all annotations: one file, from which clips come back one video at a time."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from vidchatbench.curation.speakervid.index_file import PART_NUMBERS, open_for_reading, readable_errors
from vidchatbench.curation.speakervid.indexing import Progress, build_index
from vidchatbench.curation.speakervid.labels import read_said, transcript_names
from vidchatbench.curation.speakervid.names import ClipName, bare
from vidchatbench.curation.speakervid.records import ClipRecord, RecordError, parse_record

_MERGED, _ASR, _CAPTION, _BLUR = (PART_NUMBERS[part] for part in ("merged", "asr", "caption", "blur"))
_FILES = "SELECT video, part, name, source, content FROM files"
_LISTED = "SELECT clip, list FROM listed WHERE video = ?"


@dataclass(frozen=True, slots=True)
class ClipFiles:
    """The label files of a clip as :func:`~vidchatbench.curation.speakervid.records.parse_record` takes them.

    Attributes:
        name: The clip.
        merged: Content of its annotation.
        asr: Its own words, or the file that belongs to it alone; ``None`` where there is none.
        caption: The fields of its caption that are read.
        blur: Its sharpness scores.
    """

    name: str
    merged: object
    asr: object
    caption: object
    blur: object


@dataclass(frozen=True, slots=True)
class IndexedClip:
    """A clip out of the index.

    Attributes:
        record: What is known about it.
        files: Where that comes from.
        hq: Whether the high-quality list names it; ``None`` where the index has no such list.
        in_test: Whether the test list names it.
    """

    record: ClipRecord
    files: ClipFiles
    hq: bool | None
    in_test: bool


@dataclass(frozen=True, slots=True)
class VideoClips:
    """All clips of one source video, by start and name.

    Attributes:
        video_id: The video.
        clips: Its clips.
        unreadable: Annotations whose time or box cannot be read, as ``name: problems``.
    """

    video_id: str
    clips: tuple[IndexedClip, ...]
    unreadable: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """How many files of each part an index holds, and how many clips each list names."""

    merged: int
    asr: int
    caption: int
    blur: int
    hq_listed: int
    test_listed: int


class AnnotationIndex:
    """Annotations in one SQLite file; use it in a ``with`` block, or close it.

    It holds what the files say, not what was made of it: a better reader needs no new index.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        with readable_errors(path):
            rows = connection.execute("SELECT id, path, part, done FROM sources ORDER BY path").fetchall()
        # Where two archives hold the same file, the one counts that comes first by name.
        self._rank = {number: rank for rank, (number, *_) in enumerate(rows)}
        self._lists = {part for _, _, part, done in rows if done and part in {"hq", "test"}}

    @classmethod
    def build(cls, root: Path, path: Path, progress: Progress | None = None) -> AnnotationIndex:
        """Indexes a dataset's folder, or goes on where an earlier build ended, and opens the index.

        Args:
            root: The dataset's folder, see :func:`~vidchatbench.curation.speakervid.layout.find_sources`.
            path: The index; made if it is not there.
            progress: Receives the source and the number of its files read so far.

        Raises:
            InputError: If there are no annotations, or archives are damaged; what could be read is in the index then.
        """
        build_index(root, path, progress)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> AnnotationIndex:
        """Opens an index for reading.

        Raises:
            InputError: If it is not there, of another version, or damaged.
        """
        return cls(path, open_for_reading(path))

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    def __enter__(self) -> AnnotationIndex:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def has_hq_list(self) -> bool:
        """Whether ``SFT_set.json`` was there."""
        return "hq" in self._lists

    @property
    def has_test_list(self) -> bool:
        """Whether ``testset.json`` was there."""
        return "test" in self._lists

    def counts(self) -> Counts:
        """Counts files and listed clips; reads the whole index."""
        with readable_errors(self.path):
            distinct = "SELECT part, count(*) FROM (SELECT DISTINCT video, part, name FROM files) GROUP BY part"
            files = dict(self._connection.execute(distinct).fetchall())
            listed = dict(self._connection.execute("SELECT list, count(*) FROM listed GROUP BY list").fetchall())
        return Counts(
            merged=files.get(_MERGED, 0),
            asr=files.get(_ASR, 0),
            caption=files.get(_CAPTION, 0),
            blur=files.get(_BLUR, 0),
            hq_listed=listed.get("hq", 0),
            test_listed=listed.get("test", 0),
        )

    def remarks(self) -> list[str]:
        """Returns what was left out of archives and lists, and why."""
        with readable_errors(self.path):
            rows = self._connection.execute("SELECT line FROM remarks ORDER BY line").fetchall()
        return [line for (line,) in rows]

    def videos(self) -> Iterator[VideoClips]:
        """Yields all videos by id; no more than one of them is in memory."""
        with readable_errors(self.path):
            rows = self._connection.cursor().execute(f"{_FILES} ORDER BY video, part, name, source")
            gathered = _Gathered("")
            for video, part, name, source, content in rows:
                if video != gathered.video:
                    yield from self._made(gathered)
                    gathered = _Gathered(video)
                gathered.add(part, name, self._rank.get(source, len(self._rank)), content)
            yield from self._made(gathered)

    def __iter__(self) -> Iterator[IndexedClip]:
        """Yields all clips by video id and start."""
        for video in self.videos():
            yield from video.clips

    def video(self, video_id: str) -> VideoClips | None:
        """Returns the clips of one video; ``None`` where there is no annotation of it."""
        with readable_errors(self.path):
            rows = self._connection.execute(f"{_FILES} WHERE video = ?", (video_id,)).fetchall()
        gathered = _Gathered(video_id)
        for _, part, name, source, content in rows:
            gathered.add(part, name, self._rank.get(source, len(self._rank)), content)
        return next(self._made(gathered), None)

    def find(self, name: str) -> IndexedClip | None:
        """Returns a clip by its name in any spelling; ``None`` where it is not there or cannot be read.

        Raises:
            ValueError: If it is not a clip's name.
        """
        clip = ClipName.parse(name)
        video = self.video(clip.video_id)
        if video is None:
            return None
        exact = [one for one in video.clips if one.record.name.text == clip.text]
        return next(iter(exact or [one for one in video.clips if one.record.name.key == clip.key]), None)

    def _made(self, gathered: _Gathered) -> Iterator[VideoClips]:
        if not gathered.parts[_MERGED]:
            return
        listed: dict[str, set[str]] = defaultdict(set)
        if self._lists:
            for clip, name in self._connection.execute(_LISTED, (gathered.video,)):
                listed[name].add(clip)
        clips, unreadable = [], []
        for name in sorted(gathered.parts[_MERGED]):
            try:
                record, files = gathered.clip(name)
            except RecordError as error:
                unreadable.append(str(error))
                continue
            key = record.name.key
            hq = key in listed["hq"] if self.has_hq_list else None
            clips.append(IndexedClip(record, files, hq, key in listed["test"]))
        clips.sort(key=lambda one: (one.record.start, one.record.name.text))
        yield VideoClips(gathered.video, tuple(clips), tuple(unreadable))


@dataclass(slots=True)
class _Gathered:
    """The files of one video, while they are put together into clips."""

    video: str
    parts: Mapping[int, dict[str, tuple[int, str]]] = field(default_factory=lambda: {part: {} for part in range(4)})
    keyed: dict[int, dict[str, str]] = field(default_factory=dict)

    def add(self, part: int, name: str, rank: int, content: str) -> None:
        known = self.parts[part].get(name)
        if known is None or rank < known[0]:
            self.parts[part][name] = (rank, content)

    def clip(self, name: str) -> tuple[ClipRecord, ClipFiles]:
        clip = ClipName.parse(name)
        merged = json.loads(self.parts[_MERGED][name][1])
        caption, blur = self.label(_CAPTION, clip), self.label(_BLUR, clip)
        asr, shared = None, False
        for one, is_shared in transcript_names(clip):
            if (text := self.parts[_ASR].get(one)) is not None:
                asr, shared = json.loads(text[1]), is_shared
                break
        record = parse_record(name, merged, asr=asr, caption=caption, blur=blur, asr_shared=shared)
        if shared:
            said = read_said(asr, clip, record.start, record.end, shared=True)
            own = {"text": said.text, "confidence": said.confidence, "language": said.language}
            asr = own if said.text is not None else None
        return record, ClipFiles(bare(name), merged, asr, caption, blur)

    def label(self, part: int, clip: ClipName) -> object:
        """The label file of a clip, by its name or by another spelling of it."""
        files = self.parts[part]
        if (content := files.get(clip.text)) is None:
            if not files:
                return None
            if part not in self.keyed:
                self.keyed[part] = {ClipName.parse(name).key: name for name in sorted(files)}
            content = files.get(self.keyed[part].get(clip.key, ""))
        return None if content is None else json.loads(content[1])
