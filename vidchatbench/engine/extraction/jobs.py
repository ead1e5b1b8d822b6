"""Jobs: which clips are decoded together, and what is extracted from them. Plain data, picklable."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from vidchatbench.api.extractors import ClipInfo
from vidchatbench.api.features import ExtractorSpec, Feature
from vidchatbench.core.hashing import file_stamp
from vidchatbench.core.isolation import Failure
from vidchatbench.media.memory import MemoryClip, MemoryReader
from vidchatbench.media.probe import MediaInfo
from vidchatbench.media.reader import ClipReader

MAX_CLIPS_IN_STEP = 8
"""Most clips that one job decodes side by side; each holds a decoder of some tens of megabytes."""


SOUND_SHARE = 0.25
"""What a second of sound costs an extractor, beside a second of picture; only the estimate of time left rests on it."""


@dataclass(frozen=True)
class ClipSource:
    """A clip to read: where it is, and what probing found.

    Attributes:
        path: The file, or the name of a clip in memory.
        info: What probing found.
        memory: The clip itself, if it is in memory.
        stamp: Size and time of change of the file when it was hashed.
    """

    path: str
    info: MediaInfo
    memory: MemoryClip | None = field(default=None, compare=False, repr=False)
    stamp: tuple[int, int] | None = field(default=None, compare=False, repr=False)

    def open(self, *, video: bool, audio: bool) -> ClipReader | MemoryReader:
        """Returns a reader for one pass over the clip."""
        if self.memory is not None:
            return MemoryReader(self.memory, video=video)
        return ClipReader(Path(self.path), self.info, video=video, audio=audio)

    @property
    def has_changed(self) -> bool:
        """True where the file is no longer the one that was hashed; what is read of it then belongs to no hash."""
        return self.stamp is not None and file_stamp(Path(self.path)) != self.stamp

    @property
    def clip(self) -> ClipInfo:
        """What extractors may know of the clip."""
        return self.open(video=False, audio=False).clip

    @property
    def sha256(self) -> str:
        """Hash of the clip's content."""
        return self.info.sha256

    @property
    def picture_seconds(self) -> float:
        """Announced length of the picture."""
        return (self.info.video.duration or 0.0) if self.info.video is not None else 0.0

    @property
    def sound_seconds(self) -> float:
        """Announced length of the sound."""
        return (self.info.audio.duration or 0.0) if self.info.audio is not None else 0.0


@dataclass(frozen=True)
class FeatureRequest:
    """One feature to extract.

    Attributes:
        key: Key in the feature store.
        spec: Extractor and parameters.
        media: sha256 of the clip, or of the two clips of a pair.
        upstream: Key of each feature that the extractor reads, by its local name; for a pair by :func:`side_name`,
            because the extractor reads features of either clip.
        stored: True where the feature is in the store already and is only read by others of the job.
        sound: True where the feature is made of the sound alone.
        guides: Keys among those of ``upstream`` that are of guides: whole before this one begins, and maybe of other
            clips.
    """

    key: str
    spec: ExtractorSpec
    media: tuple[str, ...]
    upstream: Mapping[str, str] = field(default_factory=dict)
    stored: bool = False
    sound: bool = False
    guides: frozenset[str] = frozenset()

    def upstream_of(self, side: int) -> dict[str, str]:
        """Returns the keys of what a pair reads of its first (0) or second (1) clip, by local name."""
        start = side_name(side, "")
        return {name.removeprefix(start): key for name, key in self.upstream.items() if name.startswith(start)}


def side_name(side: int, name: str) -> str:
    """Returns how ``upstream`` of a pair names a feature of its first (0) or second (1) clip: ``0:faces``."""
    return f"{side}:{name}"


@dataclass(frozen=True)
class Job:
    """Clips that are decoded in one pass, in step, and the features to extract from them.

    Attributes:
        clips: The clips.
        requests: In an order in which every request comes after those it reads.
        given: What of the ``stored`` requests is not in the store, by key: a failure, or what could not be stored.
    """

    clips: tuple[ClipSource, ...]
    requests: tuple[FeatureRequest, ...]
    given: Mapping[str, Feature | Failure] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Size of the job for progress and order: seconds of picture, and a share of the sound for each use of it."""
        watched = {
            sha for request in self.requests if not request.sound and not request.stored for sha in request.media
        }
        total = sum(clip.picture_seconds for clip in self.clips if clip.sha256 in watched)
        sounds = {clip.sha256: clip.sound_seconds for clip in self.clips}
        total += sum(
            SOUND_SHARE * sounds[request.media[0]] for request in self.requests if request.sound and not request.stored
        )
        return max(total, 0.1)


@dataclass
class JobResult:
    """What a job brought.

    Attributes:
        stored: Keys that are in the store now.
        inline: Features that could not be stored, handed over instead.
        failures: Keys that could not be extracted.
        passes: Decoding passes per file.
        store_error: Why the store could not be written, if so.
        seconds: Seconds spent per extractor id, and under ``decode`` the rest of the pass.
        peak_memory: Largest resident set of the process so far, in bytes; 0 where the platform does not tell.
        deaths: What ended each worker process that died at the job.
    """

    stored: list[str] = field(default_factory=list)
    inline: dict[str, Feature] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    passes: dict[str, int] = field(default_factory=dict)
    store_error: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    peak_memory: int = 0
    deaths: list[str] = field(default_factory=list)


def plan_waves(requests: Sequence[FeatureRequest], clips: Mapping[str, ClipSource]) -> list[list[Job]]:
    """Orders requests into waves of jobs: each is over before the next begins.

    First comes what guides others, with all that the same clips can give at the same time, so that they are decoded no
    more often than they must; in the end comes the rest. Where nothing is guided by what is not stored, there is one
    wave.

    Args:
        requests: All requests, in dependency order, guides included.
        clips: The clip behind each sha256.
    """
    done = {request.key for request in requests if request.stored}
    left = [request for request in requests if not request.stored]
    waves = []
    while left:
        wave = {request.key for request in _next_wave(left, done)}
        read = {key for request in left if request.key in wave for key in request.upstream.values()}
        members = [
            replace(request, stored=request.key in done)
            for request in requests
            if request.key in wave or (request.key in read and request.key in done)
        ]
        waves.append(group_into_jobs(members, clips))
        done |= wave
        left = [request for request in left if request.key not in wave]
    return waves


def _next_wave(left: Sequence[FeatureRequest], done: Container[str]) -> Sequence[FeatureRequest]:
    guides = {key for request in left for key in request.guides if key not in done}
    if not guides:
        return left
    possible: dict[str, FeatureRequest] = {}
    for request in left:
        read = set(request.upstream.values())
        if all(key in done or (key in possible and key not in request.guides) for key in read):
            possible[request.key] = request
    first = {key for key in guides if key in possible}
    for request in reversed(possible.values()):
        if request.key in first:
            first |= {key for key in request.upstream.values() if key in possible}
    watched = {sha for key in first for sha in possible[key].media}
    return [request for request in possible.values() if watched.issuperset(request.media)]


def group_into_jobs(requests: Sequence[FeatureRequest], clips: Mapping[str, ClipSource]) -> list[Job]:
    """Groups requests so that, as far as possible, every clip is decoded in exactly one job.

    Clips that are compared with each other must be decoded in step, so they share a job; a chain of comparisons
    longer than :data:`MAX_CLIPS_IN_STEP` is cut, and the clip at the cut is decoded once more. What a comparison
    reads of its clips must come about in its own job, so at a cut it is extracted in both jobs, and gives the same.

    Args:
        requests: All requests, in dependency order; requests that are ``stored`` may be repeated in several jobs.
        clips: The clip behind each sha256.
    """
    groups = _Groups(clips)
    for request in requests:
        if len(request.media) == 2:  # noqa: PLR2004 - a pair
            groups.join(*request.media)
    places = _places(requests, groups)
    members: dict[int, list[FeatureRequest]] = {}
    for request in requests:
        for place in places[request.key]:
            members.setdefault(place, []).append(request)
    return [_job(group, clips) for _, group in sorted(members.items())]


def _places(requests: Sequence[FeatureRequest], groups: _Groups) -> dict[str, set[int]]:
    # A request goes where it is read, from the last readers backwards; what nobody reads goes where its clips are.
    read_in: dict[str, set[int]] = {request.key: set() for request in requests}
    for request in reversed(requests):
        if not read_in[request.key]:
            read_in[request.key] = {groups.place(request.media)}
        if not request.stored:
            for key in request.upstream.values():
                read_in[key] |= read_in[request.key]
    return read_in


def _job(requests: list[FeatureRequest], clips: Mapping[str, ClipSource]) -> Job:
    # What is stored needs no clip, and a guide may be of one that this job does not read.
    hashes = dict.fromkeys(sha for request in requests if not request.stored for sha in request.media)
    return Job(tuple(clips[sha] for sha in hashes), tuple(requests))


class _Groups:
    """Union of clips into groups of bounded size.

    A clip has one home, where what is extracted from it alone is extracted. Where a group is full, a further clip to
    compare with gets a new group together with a replica of the clip that it is compared with.
    """

    def __init__(self, media: Iterable[str]) -> None:
        self._home: dict[str, int] = {}
        self._members: list[set[str]] = []
        self._pairs: dict[tuple[str, ...], int] = {}
        self._replicas: dict[str, list[int]] = {}
        for sha in media:
            self._home[sha] = len(self._members)
            self._members.append({sha})

    def join(self, first: str, second: str) -> None:
        one, two = self._home[first], self._home[second]
        if one == two:
            self._pairs[first, second] = one
        elif len(self._members[one] | self._members[two]) <= MAX_CLIPS_IN_STEP:
            for sha in self._members[two]:
                self._home[sha] = one
            self._members[one] |= self._members[two]
            self._members[two] = set()
            self._pairs = {pair: one if group == two else group for pair, group in self._pairs.items()}
            self._pairs[first, second] = one
        else:
            self._pairs[first, second] = self._overflow(first, second)

    def _overflow(self, first: str, second: str) -> int:
        crowded, newcomer = (first, second) if len(self._members[self._home[second]]) == 1 else (second, first)
        group = next((g for g in self._replicas.get(crowded, []) if len(self._members[g]) < MAX_CLIPS_IN_STEP), None)
        if group is None:
            group = len(self._members)
            self._members.append({crowded})
            self._replicas.setdefault(crowded, []).append(group)
        self._members[group].add(newcomer)
        if len(self._members[self._home[newcomer]]) == 1:  # alone so far, it moves in for good and is read once
            self._members[self._home[newcomer]] = set()
            self._home[newcomer] = group
        return group

    def place(self, media: tuple[str, ...]) -> int:
        if len(media) == 1:
            return self._home[media[0]]
        return self._pairs[media]
