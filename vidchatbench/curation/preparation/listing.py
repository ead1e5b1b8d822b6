"""The list of a test set: which clips of which videos make its samples. It can be published where the clips cannot."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from vidchatbench.api.samples import LadderStep, SampleId, Sha256, Task, TurnRole
from vidchatbench.core.atomic import write_atomically
from vidchatbench.core.models import FrozenModel
from vidchatbench.core.validation import describe_validation
from vidchatbench.errors import InputError

LIST_FILE = "samples.jsonl"

Fraction01 = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, le=86_400)]
Hash64 = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]


class Fingerprint(FrozenModel):
    """What tells a prepared clip from another one, also where it was compressed differently.

    Attributes:
        sha256: Hash of the clip as the publisher prepared it.
        cut: The cut profile it was made with.
        frames: Its frames, 25 a second.
        pictures: Difference hash of 64 bits of one frame a second, from the first on.
        loudness: Level of each quarter of a second of sound, in whole decibels below full scale, 90 at most.
    """

    sha256: Sha256
    cut: str
    frames: int = Field(ge=1)
    pictures: tuple[Hash64, ...]
    loudness: tuple[Annotated[int, Field(ge=0, le=90)], ...]


class ListedClip(FrozenModel):
    """One clip of a sample.

    Attributes:
        clip: Its name in the dataset, unique.
        video: Id of the source video.
        start: Where it begins, in seconds of the source.
        end: Where it ends.
        box: Left, top, right, bottom as fractions of the source's picture.
        speaker_id: Who is seen in it.
        source_size: Width and height of the source that the annotators saw, if told.
        fingerprint: What it looks and sounds like, where somebody has prepared it.
    """

    clip: SampleId
    video: str = Field(pattern=r"^[A-Za-z0-9_-]{11}$")
    start: Seconds
    end: Seconds
    box: tuple[Fraction01, Fraction01, Fraction01, Fraction01]
    speaker_id: str
    source_size: tuple[int, int] | None = None
    fingerprint: Fingerprint | None = None

    @model_validator(mode="after")
    def _check(self) -> ListedClip:
        left, top, right, bottom = self.box
        if self.end <= self.start:
            raise ValueError(f"the clip ends at {self.end} s, not after its start at {self.start} s")
        if self.source_size is not None and min(self.source_size) < 1:
            raise ValueError(f"a source of {self.source_size[0]} x {self.source_size[1]} pixels has no picture")
        if left >= right or top >= bottom:
            raise ValueError(f"the box {self.box} is empty; it is left, top, right, bottom")
        return self


class ListedTurn(FrozenModel):
    """An earlier turn: the clip in which it was said, and by which side of the conversation."""

    clip: SampleId
    role: TurnRole


class ListedSample(FrozenModel):
    """One sample of the list; one line of ``samples.jsonl``.

    In a sample of the task ``single`` nobody asks: the initiator is the reply's own clip, whose sound a system is
    given.
    """

    schema_version: Literal[1] = 1
    id: SampleId
    task: Task
    language: str
    initiator: ListedClip
    responder: ListedClip | None
    history: tuple[ListedTurn, ...] = ()
    ladder: tuple[LadderStep, ...] = ()
    tags: dict[str, str | float | int | bool | None] = Field(default_factory=dict)

    @property
    def clips(self) -> tuple[ListedClip, ...]:
        """The clips it needs."""
        return (self.initiator,) if self.responder is None else (self.initiator, self.responder)


class LostEntry(FrozenModel):
    """An entry of the list that gives no sample, and why."""

    id: str
    reason: str
    message: str


def read_list(path: Path) -> tuple[ListedSample, ...]:
    """Reads a list of samples.

    Raises:
        InputError: Listing every line that cannot be read, and every id that stands twice.
    """
    problems: list[str] = []
    samples: dict[str, ListedSample] = {}
    for number, line in _lines(path):
        try:
            sample = ListedSample.model_validate_json(line)
        except ValidationError as error:
            problems += [f"line {number}: {text}" for text in describe_validation(error)]
            continue
        if sample.id.casefold() in samples:
            problems.append(f"line {number}: sample id {sample.id!r} stands twice")
        samples.setdefault(sample.id.casefold(), sample)
    problems += _contradictions(samples.values())
    if problems:
        raise InputError(str(path), problems)
    return tuple(samples.values())


def _contradictions(samples: Iterable[ListedSample]) -> list[str]:
    """A clip is prepared once; two samples that share it must mean the same."""
    seen: dict[str, ListedClip] = {}
    return [
        f"clip {clip.clip!r} is described in two ways, by {sample.id!r} and before"
        for sample in samples
        for clip in sample.clips
        if seen.setdefault(clip.clip, clip) != clip
    ]


def write_list(path: Path, samples: Iterable[ListedSample]) -> str:
    """Writes a list atomically; returns its sha256."""
    content = "".join(sample.model_dump_json() + "\n" for sample in samples).encode()
    write_atomically(path, content)
    return hashlib.sha256(content).hexdigest()


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(str(path), [f"not UTF-8 text: {error}"]) from error
    return ((number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip())
