"""Names of clips: which video, scene, speaker and track a file of SpeakerVid-5M belongs to."""

from __future__ import annotations

import re
from dataclasses import dataclass

ID_LENGTH = 11
"""Length of a YouTube id; it may itself hold ``_`` and ``-``, so that a name cannot be split at its underscores."""

_SUFFIXES = (".json", ".mp4", ".wav")
_MAX_LENGTH = 200
_SIZE = r"(?P<width>[1-9]\d{0,4})[x×](?P<height>[1-9]\d{0,4})"
_VIDEO = (
    rf"_(?:{_SIZE}_full_video|full_video_{_SIZE.replace('width', 'width2').replace('height', 'height2')}|full_video)"
)
_PATTERN = re.compile(
    rf"(?P<id>[A-Za-z0-9_-]{{{ID_LENGTH}}})(?P<video>{_VIDEO})"
    r"_(?P<scene>\d{1,6})(?:_(?P<label>[A-Za-z][A-Za-z0-9]{0,15}))?(?:_(?P<track>\d{1,4}))?"
)
_VIDEO_PATTERN = re.compile(rf"(?P<id>[A-Za-z0-9_-]{{{ID_LENGTH}}}){_VIDEO}")
_SILENT = "None"


@dataclass(frozen=True, slots=True)
class ClipName:
    """A clip's name, taken apart.

    Attributes:
        text: The name without folders and suffix, as it was written.
        video_id: The id of the source video, 11 characters.
        width: Width of the source video in pixels, if the name gives it.
        height: Its height.
        scene: Number of the scene within the video.
        label: The speaker heard with this track within the video (``A``, ``B``, …); ``None`` for a person who is seen
            and not heard.
        track: Number of the face track within the scene, if the name gives it.
    """

    text: str
    video_id: str
    width: int | None
    height: int | None
    scene: int | None
    label: str | None
    track: int | None

    @classmethod
    def parse(cls, text: str) -> ClipName:
        """Takes a name apart; ``.json``, ``.mp4``, ``.wav`` and folders are left out.

        Raises:
            ValueError: If it is not a clip's name; says what was not understood.
        """
        stem = bare(text)
        match = _PATTERN.fullmatch(stem)
        if match is None:
            raise ValueError(f"{_shown(text)}: {_reason(stem)}")
        label = match["label"]
        return cls(
            text=stem,
            video_id=match["id"],
            width=_integer(match["width"] or match["width2"]),
            height=_integer(match["height"] or match["height2"]),
            scene=int(match["scene"]),
            label=None if label == _SILENT else label,
            track=_integer(match["track"]),
        )

    @property
    def speaker_id(self) -> str:
        """``<video id>:<label>``; for a silent person ``<video id>:<scene>-<track>``, whose identity is unknown."""
        return f"{self.video_id}:{self.label}" if self.label else f"{self.video_id}:{self.scene}-{self.track}"

    @property
    def video_name(self) -> str:
        """The name of the source video as the dataset writes it, ``<video id>_<W>x<H>_full_video``."""
        match = _PATTERN.fullmatch(self.text)
        return self.video_id + (match["video"] if match else "")

    @property
    def key(self) -> str:
        """One spelling for all ways of writing this name, to find a clip by."""
        size = f"{self.width}x{self.height}" if self.width else "-"
        return f"{self.video_id}|{size}|{self.scene}|{self.label or '-'}|{'-' if self.track is None else self.track}"

    @property
    def without_track(self) -> str:
        """The name without its track: what is said in one scene by one speaker."""
        match = _PATTERN.fullmatch(self.text)
        if match is None or match["track"] is None:
            return self.text
        return self.text[: match.start("track") - 1]


def bare(text: str) -> str:
    """Returns a file's name without folders and without the suffixes of this dataset."""
    stem = text.strip().replace("\\", "/").rpartition("/")[2]
    for suffix in _SUFFIXES:
        if stem.lower().endswith(suffix):
            return stem[: -len(suffix)]
    return stem


def is_clip_name(text: str) -> bool:
    """Whether :meth:`ClipName.parse` would take a text."""
    return _PATTERN.fullmatch(bare(text)) is not None


def video_of(text: str) -> str | None:
    """Returns the video id of a clip's name, a video's name, a speaker id or a bare id; ``None`` for anything else."""
    stem = bare(text.partition(":")[0])
    match = _PATTERN.fullmatch(stem) or _VIDEO_PATTERN.fullmatch(stem)
    if match is not None:
        return match["id"]
    return stem if re.fullmatch(rf"[A-Za-z0-9_-]{{{ID_LENGTH}}}", stem) else None


def _integer(text: str | None) -> int | None:
    return None if text is None else int(text)


def _shown(text: str) -> str:
    shown = text if len(text) <= _MAX_LENGTH else f"{text[:_MAX_LENGTH]}…"
    return repr(shown)


def _reason(stem: str) -> str:
    if _VIDEO_PATTERN.fullmatch(stem):
        return "names a source video; scene, speaker and track are missing"
    if not re.match(rf"[A-Za-z0-9_-]{{{ID_LENGTH}}}_", stem):
        return f"does not begin with a video id of {ID_LENGTH} letters, digits, '-' or '_'"
    if "_full_video" not in stem:
        return "'full_video' is not in it, so the end of the video's name is unknown"
    return "what follows the video's name is not <scene>_<speaker>_<track>"
