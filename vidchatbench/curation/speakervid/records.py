"""One clip of SpeakerVid-5M: when, where in the picture, who, and how good; put together from four label files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vidchatbench.curation.speakervid.boxes import Box, BoxForm, ReadBox, read_box
from vidchatbench.curation.speakervid.labels import read_blur, read_said, read_seen
from vidchatbench.curation.speakervid.loose import number, numbers, spelled, strings, truth, unwrapped
from vidchatbench.curation.speakervid.names import ClipName

__all__ = ["Box", "BoxForm", "ClipRecord", "RecordError", "parse_record"]

_MAX_SECONDS = 24 * 3600.0
_MAX_PIXELS = 20000
_EDGE_S = 0.05
_DISAGREE_S = 0.5


class RecordError(ValueError):
    """An annotation whose time or box cannot be read.

    Args:
        name: The clip.
        problems: One line per problem.
    """

    def __init__(self, name: str, problems: list[str]) -> None:
        self.name = name
        self.problems = tuple(problems)
        super().__init__(f"{name}: {'; '.join(problems)}")


@dataclass(frozen=True, slots=True)
class ClipRecord:
    """A clip and what is known about it; ``None`` marks values that no label file gives.

    Attributes:
        name: Its name.
        start: Start of the whole clip in the source video, in seconds.
        end: Its end.
        inner: A safer range within, start and end in seconds.
        box: The part of the picture, in fractions.
        box_form: Which way of writing the box was taken for.
        box_sure: Whether the record leaves no other reading of the box.
        raw_size: Width and height of the source video in pixels.
        clip_size: Width and height of the published clip in pixels.
        talking: Whether the person seen is said to talk.
        speaker_id: The speaker, unique over videos; silent persons have an id of their own.
        n_speakers: Number of speakers heard in the clip.
        clarity: The dataset's sharpness of the picture, unbounded, higher is sharper.
        dover: DOVER quality of the video, 0 to 1.
        sync_confidence: Highest SyncNet confidence of any face and stretch.
        transcript: What this person says.
        asr_confidence: Mean log probability of the recogniser's tokens, at most 0.
        face_blur: Sharpness of the face, 0 to 1, higher is sharper.
        hand_blur: Sharpness of the hands.
        motion: Intensity of motion, 1 to 5.
        framing: ``head``, ``half_body`` or ``full_body``.
        view: ``front``, ``side`` or ``back``.
        topic: What the talk is about.
        language: Language of the speech.
        voices: Labels of the speakers heard in the clip.
        unread: Remarks on what was not understood or does not agree.
    """

    name: ClipName
    start: float
    end: float
    inner: tuple[float, float] | None
    box: Box
    box_form: BoxForm
    box_sure: bool
    raw_size: tuple[int, int] | None
    clip_size: tuple[int, int] | None
    talking: bool | None
    speaker_id: str
    n_speakers: int | None
    clarity: float | None
    dover: float | None
    sync_confidence: float | None
    transcript: str | None
    asr_confidence: float | None
    face_blur: float | None
    hand_blur: float | None
    motion: float | None
    framing: str | None
    view: str | None
    topic: str | None
    language: str | None
    voices: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def duration(self) -> float:
        """Length of the whole clip in seconds."""
        return self.end - self.start

    @property
    def heard(self) -> bool:
        """Whether this person speaks: has a voice of their own, and is not said to be silent."""
        return self.name.label is not None and self.talking is not False

    @property
    def likely_label(self) -> str | None:
        """The voice of this person: by the name, else the only voice of a clip in which this person talks."""
        if self.name.label is not None:
            return self.name.label
        return self.voices[0] if self.talking and len(self.voices) == 1 else None


def parse_record(
    name: str,
    merged: object,
    *,
    asr: object = None,
    caption: object = None,
    blur: object = None,
    asr_shared: bool = False,
) -> ClipRecord:
    """Puts a clip's record together.

    Args:
        name: Name of the clip, with or without suffix.
        merged: Content of its ``merged_anno`` file.
        asr: Content of the transcript file that belongs to it.
        caption: Content of its ``anno`` file.
        blur: Content of its ``l_score`` file.
        asr_shared: Whether the transcript file belongs to more clips than this one.

    Raises:
        RecordError: If the name, the time or the box cannot be read; all problems are listed.
    """
    clip, fields = _opened(name, merged)
    try:
        return _put_together(clip, fields, _Labels(asr, caption, blur, asr_shared))
    except RecursionError as error:
        raise RecordError(clip.text, ["a label file is nested too deeply"]) from error


@dataclass(frozen=True, slots=True)
class _Labels:
    """Contents of the label files beside ``merged_anno``; see :func:`parse_record`."""

    asr: object
    caption: object
    blur: object
    asr_shared: bool


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Width and height in pixels of the source video and of the published clip."""

    raw: tuple[int, int] | None
    clip: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class _Time:
    """Start and end of a clip in seconds, and the safer range within."""

    start: float
    end: float
    inner: tuple[float, float] | None


def _put_together(clip: ClipName, fields: Mapping[str, object], labels: _Labels) -> ClipRecord:
    unread: list[str] = []
    sizes = _Sizes(_size(fields, "raw") or _named_size(clip), _size(fields, "clip"))
    time, box = _essentials(fields, clip, sizes, unread)
    voices = _voices(fields, clip, unread)
    said = read_said(labels.asr, clip, time.start, time.end, shared=labels.asr_shared)
    seen = read_seen(labels.caption)
    face_blur, hand_blur = read_blur(labels.blur, unread)
    people = number(fields.get("clipspeakernum"))
    return ClipRecord(
        name=clip,
        start=time.start,
        end=time.end,
        inner=time.inner,
        box=box.box,
        box_form=box.form,
        box_sure=box.sure,
        raw_size=sizes.raw,
        clip_size=sizes.clip,
        talking=_talking(fields, clip, unread),
        speaker_id=clip.speaker_id,
        n_speakers=None if people is None or people < 0 else int(people),
        clarity=number(fields.get("clear")),
        dover=number(fields.get("dover")),
        sync_confidence=_sync(fields),
        transcript=said.text,
        asr_confidence=said.confidence,
        face_blur=face_blur,
        hand_blur=hand_blur,
        motion=seen.motion,
        framing=seen.framing,
        view=seen.view,
        topic=seen.topic,
        language=said.language or seen.language,
        voices=voices,
        unread=(*unread, *said.unread, *seen.unread),
    )


def _opened(name: str, merged: object) -> tuple[ClipName, dict[str, object]]:
    try:
        clip = ClipName.parse(name)
    except ValueError as error:
        raise RecordError(name[:200], [str(error)]) from error
    content = unwrapped(merged)
    if not isinstance(content, Mapping):
        raise RecordError(clip.text, [f"the annotation is {type(content).__name__}, not an object"])
    return clip, {spelled(key): item for key, item in content.items()}


def _essentials(
    fields: Mapping[str, object], clip: ClipName, sizes: _Sizes, unread: list[str]
) -> tuple[_Time, ReadBox]:
    problems: list[str] = []
    time = _time(fields, problems, unread)
    box = _box(fields, sizes, problems, unread)
    if time is None or box is None or problems:
        raise RecordError(clip.text, problems)
    return time, box


def _time(fields: Mapping[str, object], problems: list[str], unread: list[str]) -> _Time | None:
    def get(*keys: str) -> float | None:
        for key in keys:
            if (given := fields.get(key)) is not None:
                if (seconds := number(given)) is not None:
                    return seconds
                unread.append(f"{key} {str(given)[:40]!r} is no number")
        return None

    start = get("orgstartseconds", "startseconds")
    total, stop = get("videototalduration"), get("endseconds")
    inner_start, inner_length = get("start", "startnew"), get("duration", "durationnew")
    if start is None:
        # Only the inner range is given: it is all there is.
        start, inner_start = inner_start, None
        total = total if total is not None else inner_length
    elif total is None and stop is None:
        total = inner_length
    if start is None:
        problems.append("no start: org_start_seconds, start_seconds and start are missing")
        return None
    if total is not None:
        end = start + total
        if stop is not None and abs(stop - end) > _DISAGREE_S:
            unread.append(f"end_seconds {stop:g} does not agree with the duration, which ends at {end:g}")
    elif stop is not None:
        end = stop
    else:
        problems.append("no end: video_total_duration, end_seconds and duration are missing")
        return None
    if not 0 <= start < end:
        problems.append(f"the time from {start:g} s to {end:g} s is not a range")
    elif end > _MAX_SECONDS:
        problems.append(f"the time until {end:g} s is longer than a day")
    return _Time(start, end, _inner(start, end, inner_start, inner_length, unread))


def _inner(
    start: float, end: float, inner_start: float | None, length: float | None, unread: list[str]
) -> tuple[float, float] | None:
    if inner_start is None or length is None:
        return None
    stop = inner_start + length
    if length <= 0 or inner_start < start - _EDGE_S or stop > end + _EDGE_S:
        unread.append(f"the inner range {inner_start:g} to {stop:g} s does not lie within the clip")
        return None
    return max(inner_start, start), min(stop, end)


def _size(fields: Mapping[str, object], which: str) -> tuple[int, int] | None:
    width, height = number(fields.get(f"{which}videowidth")), number(fields.get(f"{which}videoheight"))
    if width is None or height is None or not (1 <= width <= _MAX_PIXELS and 1 <= height <= _MAX_PIXELS):
        return None
    return int(width), int(height)


def _named_size(clip: ClipName) -> tuple[int, int] | None:
    return None if clip.width is None or clip.height is None else (clip.width, clip.height)


def _box(fields: Mapping[str, object], sizes: _Sizes, problems: list[str], unread: list[str]) -> ReadBox | None:
    if (given := fields.get("bbox")) is None:
        problems.append("no bbox")
        return None
    try:
        box = read_box(given, sizes.raw, sizes.clip)
    except ValueError as error:
        problems.append(str(error))
        return None
    if box.clipped:
        unread.append(f"bbox {str(given)[:80]} lies slightly outside the picture and was clipped")
    if not box.sure:
        unread.append("bbox may be corners or a size; taken for corners")
    return box


def _talking(fields: Mapping[str, object], clip: ClipName, unread: list[str]) -> bool | None:
    given = fields.get("istalking")
    talking = truth(given)
    if given is not None and talking is None:
        unread.append(f"is_talking {str(given)[:40]!r}")
    if talking and clip.label is None:
        unread.append("is_talking says that this person talks, the name that they are not heard")
    if talking is False and clip.label is not None:
        unread.append("is_talking says that this person is silent, the name that they are heard")
    return talking


def _voices(fields: Mapping[str, object], clip: ClipName, unread: list[str]) -> tuple[str, ...]:
    given = fields.get("speaker")
    labels = [label.strip() for label in strings(given)]
    voices = tuple(dict.fromkeys(label for label in labels if label and label.lower() != "none"))
    if clip.label is not None and voices and clip.label not in voices:
        unread.append(f"the name says that {clip.label} is heard, the annotation {', '.join(voices)[:60]}")
    return voices


def _sync(fields: Mapping[str, object]) -> float | None:
    confidences: list[float] = []
    sync = fields.get("sync")
    for stretches in sync.values() if isinstance(sync, Mapping) else ():
        for triple in stretches if isinstance(stretches, list) else ():
            # Confidence, distance, offset.
            first = triple[0] if isinstance(triple, list) and triple else triple
            if (confidence := number(first)) is not None:
                confidences.append(confidence)
    return max(confidences or numbers(fields.get("conf")), default=None)
