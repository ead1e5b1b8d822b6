"""The benchmark's samples and the roles that a clip can play in one."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePosixPath
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field

from vidchatbench.core.models import FrozenModel

Task = Literal["dialogue", "listening", "multi_turn", "single", "multi_person"]
TASKS: tuple[Task, ...] = get_args(Task)
"""Every kind of sample; what a new one needs is its name in :data:`Task`."""

TurnRole = Literal["initiator", "responder"]

_FORBIDDEN_IN_ID = set('/\\:*?"<>|')
_INVISIBLE = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"}
_MAX_ID_BYTES = 200


class Role(str, Enum):
    """The part a clip plays in a sample.

    ``reference_image`` resolves to the sample's image, or, where it names none, to the reference clip, from which
    an extractor takes the first frame that shows a face.
    """

    CANDIDATE = "candidate"
    REFERENCE = "reference"
    INITIATOR = "initiator"
    REFERENCE_IMAGE = "reference_image"


ROLE_FIELDS: Mapping[Role, tuple[str, ...]] = {
    Role.CANDIDATE: (),
    Role.INITIATOR: ("initiator",),
    Role.REFERENCE: ("responder",),
    Role.REFERENCE_IMAGE: ("reference_image", "responder"),
}
"""Where the clip of a role comes from: the first of these fields of :class:`Sample` that is filled.

No field means the system's output. A new role needs its member of :class:`Role`, its line here and its field in
:class:`Sample`; planning, verification of media and the tables of a benchmark follow from these.
"""


def check_sample_id(value: str) -> str:
    """Returns a sample id if it is safe as the stem of a file name.

    Spaces and letters of any script are welcome; what could leave the folder, or name two files at once, is not.

    Raises:
        ValueError: If the id is empty, too long, starts with a dot, ends in a dot or space, or holds a separator,
            a reserved or a control character.
    """
    if not value or len(value.encode()) > _MAX_ID_BYTES:
        raise ValueError(f"a sample id has 1 to {_MAX_ID_BYTES} bytes")
    if value[0] in ". " or value[-1] in ". ":
        raise ValueError(f"sample id {value!r} must not start or end with a dot or a space")
    bad = sorted({c for c in value if c in _FORBIDDEN_IN_ID or unicodedata.category(c) in _INVISIBLE})
    if bad:
        raise ValueError(f"sample id {value!r} holds characters that no file name may: {' '.join(map(repr, bad))}")
    if unicodedata.normalize("NFC", value) != value:
        raise ValueError(f"sample id {value!r} is not in Unicode normal form C")
    return value


def check_media_path(value: str) -> str:
    """Returns a media path if it is relative and stays inside the benchmark's folder.

    Raises:
        ValueError: If the path is absolute, uses backslashes or a drive, or has ``..`` in it.
    """
    path = PurePosixPath(value)
    if not value or path.is_absolute() or "\\" in value or ":" in value or ".." in path.parts:
        raise ValueError(f"media path {value!r} must be relative and stay inside the benchmark's folder")
    return value


def check_speaker_id(value: str) -> str:
    """Returns a speaker id if something of it can be seen.

    Raises:
        ValueError: If it is empty: samples without an id would all be of one identity.
    """
    if all(unicodedata.category(c) in _INVISIBLE or c.isspace() for c in value):
        raise ValueError("a speaker id is not empty; where the speaker is unknown, give every sample an id of its own")
    return value


SampleId = Annotated[str, AfterValidator(check_sample_id)]
MediaPath = Annotated[str, AfterValidator(check_media_path)]
SpeakerId = Annotated[str, AfterValidator(check_speaker_id)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Side(FrozenModel):
    """One side of the conversation: the clip, who speaks in it, and what is said."""

    media: MediaPath
    sha256: Sha256
    speaker_id: SpeakerId
    transcript: str | None = None


class Turn(FrozenModel):
    """One earlier turn of the conversation."""

    role: TurnRole
    transcript: str


class LadderStep(FrozenModel):
    """One graded reply; ``score`` is 0.2, 0.4, 0.6, 0.8 or 1.0 in the paper's ladder."""

    text: str
    score: float = Field(ge=0, le=1)


class Sample(FrozenModel):
    """One test pair of the benchmark, as one line of ``manifest.jsonl`` describes it."""

    id: SampleId
    task: Task
    language: str
    initiator: Side
    responder: Side | None = None
    reference_image: MediaPath | None = None
    history: tuple[Turn, ...] = ()
    ladder: tuple[LadderStep, ...] = ()
    source: dict[str, str | float | int | bool | None] = Field(default_factory=dict)
    tags: dict[str, str | float | int | bool | None] = Field(default_factory=dict)

    @property
    def cluster(self) -> str:
        """The unit of resampling: the responder's identity, else the initiator's."""
        return (self.responder or self.initiator).speaker_id


@dataclass(frozen=True)
class SampleMedia:
    """A media file that a sample names.

    Attributes:
        path: Its path, relative to the benchmark.
        sha256: Its hash; ``None`` for a picture, of which the manifest has none.
    """

    path: str
    sha256: str | None


SIDE_FIELDS: tuple[str, ...] = tuple(
    name for name, field in Sample.model_fields.items() if Side in (field.annotation, *get_args(field.annotation))
)
"""The fields of a sample that hold a clip with its speaker, in the manifest's order."""

MEDIA_FIELDS: tuple[str, ...] = tuple(
    name for name in Sample.model_fields if any(name in fields for fields in ROLE_FIELDS.values())
)
"""The fields of a sample that name a media file, in the manifest's order."""


def sample_media(sample: Sample) -> dict[str, SampleMedia]:
    """Returns the media files that a sample names, by field."""
    media: dict[str, SampleMedia] = {}
    for name in MEDIA_FIELDS:
        value: Side | str | None = getattr(sample, name)
        if isinstance(value, Side):
            media[name] = SampleMedia(value.media, value.sha256)
        elif value is not None:
            media[name] = SampleMedia(value, None)
    return media


def offered_media(sample: Sample) -> dict[Role, SampleMedia]:
    """Returns the media file of every role that a sample offers besides the candidate."""
    media = sample_media(sample)
    offered: dict[Role, SampleMedia] = {}
    for role, fields in ROLE_FIELDS.items():
        filled = next((name for name in fields if name in media), None)
        if filled is not None:
            offered[role] = media[filled]
    return offered


def benchmark_media(sample: Sample) -> dict[Role, str]:
    """Returns the media path, relative to the benchmark, of every role that a sample offers besides the candidate."""
    return {role: media.path for role, media in offered_media(sample).items()}
