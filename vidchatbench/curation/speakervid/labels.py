"""The raw labels beside an annotation: what was said, what a model saw, how sharp face and hands are."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from vidchatbench.curation.speakervid.loose import by_key, graded, number, numbers, truth, unwrapped, words
from vidchatbench.curation.speakervid.names import ClipName, bare

_TEXT_KEYS = ("text", "transcript", "transcription")
_CONFIDENCE_KEYS = ("confidence", "conf", "avglogprob")
_EDGE_S = 0.25
_FRAMINGS = (
    ("full_body", re.compile(r"full|whole|entire")),
    ("half_body", re.compile(r"half|upper|waist|bust|torso|medium")),
    ("head", re.compile(r"head|face|close")),
)
_VIEWS = (
    ("back", re.compile(r"back|behind|rear|away")),
    ("front", re.compile(r"front|camera|forward|straight")),
    ("side", re.compile(r"side|profile|left|right|quarter|angle")),
)
_MAX_MOTION = 5
_VIEW_KEYS = ("facingdirection", "facing", "viewdirection")
_UPPER_KEYS = ("upperbodyonly", "isupperbodyonly", "upperbody")
_FRAMING_KEYS = ("bodyview", "framing", "shottype")
_MOTION_KEYS = ("motionintensitylevel", "motionintensity", "motionlevel", "activitylevel")
_CAPTION_KEYS = (*_MOTION_KEYS, *_FRAMING_KEYS, *_UPPER_KEYS, *_VIEW_KEYS, "topic", "language")


@dataclass(slots=True)
class Said:
    """The content of a transcript file for one clip.

    Attributes:
        text: The words; ``None`` where they are unknown.
        confidence: Mean log probability of the recogniser's tokens, at most 0.
        language: Language, where it is named.
        unread: What was not understood.
    """

    text: str | None = None
    confidence: float | None = None
    language: str | None = None
    unread: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Seen:
    """The content of a caption; fields that it does not give are ``None``."""

    motion: float | None = None
    framing: str | None = None
    view: str | None = None
    topic: str | None = None
    language: str | None = None
    unread: list[str] = field(default_factory=list)


# --- transcripts ----------------------------------------------------------------------------------------------------


def read_said(value: object, name: ClipName, start: float, end: float, *, shared: bool) -> Said:
    """Reads a transcript file.

    A file that belongs to several clips gives a clip only its own words: those under the clip's name, or segments
    within its time that no other speaker is named for. A person who is not heard gets no words from such a file.

    Args:
        value: The file's content.
        name: The clip.
        start: Start of the clip in the source video, in seconds.
        end: Its end.
        shared: Whether the file belongs to more clips than this one.
    """
    said = Said()
    content = unwrapped(value)
    if content is None:
        return said
    if isinstance(content, Mapping) and (own := _own(content, name)) is not None:
        content, shared = unwrapped(own), False
    if isinstance(content, Mapping):
        _read_said_object(content, said, name, (start, end) if shared else None)
    elif shared:
        said.unread.append("the transcript belongs to the whole video: whose words they are is unknown")
    elif isinstance(content, str | list):
        said.text = _list_words(content)
        if said.text is None:
            said.unread.append("the transcript is empty")
    else:
        said.unread.append(f"the transcript is {type(content).__name__}, not text")
    return said


def _own(content: Mapping[object, object], name: ClipName) -> object:
    for key, item in content.items():
        if isinstance(key, str) and bare(key) in {name.text, name.without_track}:
            return item
    return None


def _read_said_object(
    content: Mapping[object, object], said: Said, name: ClipName, within: tuple[float, float] | None
) -> None:
    fields = by_key(content, depth=2)
    said.language = words(fields.get("language"))
    segments = fields.get("segments")
    if within is not None and not isinstance(segments, list):
        said.unread.append("the transcript belongs to the whole video: whose words they are is unknown")
        return
    if isinstance(segments, list):
        _read_segments(segments, said, name, within)
    if within is None:
        own = next((text for key in _TEXT_KEYS if (text := _list_words(fields.get(key)))), None)
        said.text = own or said.text
        given = next((grade for key in _CONFIDENCE_KEYS if (grade := graded(fields.get(key))) is not None), None)
        if given is not None:
            said.confidence = _log_probability(given, said)
        if said.text is None and segments is None:
            said.unread.append(f"no words in the transcript; its fields: {', '.join(map(str, list(content)[:8]))}")


def _read_segments(segments: list[object], said: Said, name: ClipName, within: tuple[float, float] | None) -> None:
    if within is not None and name.label is None:
        said.unread.append("the transcript belongs to the whole video, and this person is not heard")
        return
    texts, weights, sums = [], 0.0, 0.0
    for segment in segments:
        if not isinstance(segment, Mapping):
            continue
        fields = by_key(segment, depth=1)
        start, end = number(fields.get("start")), number(fields.get("end"))
        if within is not None and not _is_own(fields, start, end, name, within):
            continue
        if text := words(fields.get("text")):
            texts.append(text)
        logprob = number(fields.get("avglogprob"))
        if logprob is not None and logprob <= 0:
            weight = max(end - start, 0.0) if start is not None and end is not None else 1.0
            weights, sums = weights + weight, sums + weight * logprob
    said.text = " ".join(texts) or None
    said.confidence = sums / weights if weights > 0 else None
    if not texts:
        said.unread.append(
            "no segment of the transcript lies within the clip" if within else "no words in the segments"
        )


def _is_own(
    fields: Mapping[str, object],
    start: float | None,
    end: float | None,
    name: ClipName,
    within: tuple[float, float],
) -> bool:
    if start is None or end is None or start < within[0] - _EDGE_S or end > within[1] + _EDGE_S:
        return False
    speaker = words(fields.get("speaker"))
    return speaker is None or speaker == name.label


def _list_words(value: object) -> str | None:
    if isinstance(value, list):
        texts = [words(by_key(item, 1).get("text")) if isinstance(item, Mapping) else words(item) for item in value]
        return " ".join(text for text in texts if text) or None
    return words(value)


def _log_probability(given: float, said: Said) -> float | None:
    if given < 0:
        return given
    if 0 < given <= 1:
        said.unread.append(f"the transcript's confidence {given:g} is taken for a probability")
        return math.log(given)
    said.unread.append(f"the transcript's confidence {given:g} is neither a log probability nor a probability")
    return None


def transcript_names(name: ClipName) -> list[tuple[str, bool]]:
    """Returns the names under which a clip's transcript may lie, the nearest first, and whether others share the file.

    The dataset is said to use the first three parts between underscores, which is anything between the video's id and
    its name, because ids hold underscores themselves.
    """
    three = "_".join(name.text.split("_")[:3])
    own = [name.text, name.without_track]
    shared = [one for one in (three, name.video_name, name.video_id) if one not in own]
    return [(one, False) for one in dict.fromkeys(own)] + [(one, True) for one in dict.fromkeys(shared)]


# --- captions -------------------------------------------------------------------------------------------------------


def read_seen(value: object) -> Seen:
    """Reads a structured caption in any of its spellings."""
    seen = Seen()
    content = unwrapped(value)
    if content is None:
        return seen
    if isinstance(content, list) and content:
        content = unwrapped(content[0])
    if not isinstance(content, Mapping):
        seen.unread.append("the caption is plain text, without fields")
        return seen
    fields = by_key(content)
    seen.motion = _motion(fields, seen)
    seen.framing = _framing(fields, seen)
    seen.view = _view(fields, seen)
    seen.topic = words(fields.get("topic"))
    seen.language = words(fields.get("language"))
    return seen


def kept_caption(value: object) -> object:
    """Returns the part of a caption that :func:`read_seen` looks at; reading it gives the same."""
    content = unwrapped(value)
    if isinstance(content, list) and content:
        content = unwrapped(content[0])
    if not isinstance(content, Mapping):
        return content
    fields = by_key(content)
    return {key: fields[key] for key in _CAPTION_KEYS if fields.get(key) is not None}


def _motion(fields: Mapping[str, object], seen: Seen) -> float | None:
    for key in _MOTION_KEYS:
        if (given := fields.get(key)) is None:
            continue
        level = graded(given)
        if level is not None and 0 <= level <= _MAX_MOTION:
            return level
        seen.unread.append(f"motion {str(given)[:60]!r} is no level from 0 to {_MAX_MOTION}")
    return None


def _framing(fields: Mapping[str, object], seen: Seen) -> str | None:
    for key in _FRAMING_KEYS:
        if (text := words(fields.get(key))) is None:
            continue
        # "face" is also part of "facing", so the wider framing is tried first.
        if (framing := next((name for name, sign in _FRAMINGS if sign.search(text.lower())), None)) is not None:
            return framing
        seen.unread.append(f"framing {text[:60]!r}")
    for key in _UPPER_KEYS:
        if (given := fields.get(key)) is None:
            continue
        if isinstance(given, Mapping):
            given = by_key(given, 1).get("value")
        half = truth(given)
        if half is None and (text := words(given)) is not None:
            if (framing := next((name for name, sign in _FRAMINGS if sign.search(text.lower())), None)) is not None:
                return framing
            half = truth(text.split()[0].strip(".,;:"))
        if half is not None:
            return "half_body" if half else "full_body"
        seen.unread.append(f"framing {str(given)[:60]!r}")
    return None


def _view(fields: Mapping[str, object], seen: Seen) -> str | None:
    for key in _VIEW_KEYS:
        if (text := words(fields.get(key))) is None:
            continue
        # "front, slightly left": what is said first counts.
        views = [(place.start(), name) for name, sign in _VIEWS if (place := sign.search(text.lower()))]
        if views:
            return min(views)[1]
        seen.unread.append(f"facing direction {text[:60]!r}")
    return None


# --- sharpness ------------------------------------------------------------------------------------------------------


def read_blur(value: object, unread: list[str]) -> tuple[float | None, float | None]:
    """Returns the sharpness of face and hands, 0 to 1, higher is sharper; per-frame values are averaged.

    Values that are no numbers, and negative ones, mean that the part is not seen in a frame; they are left out.
    """
    content = unwrapped(value)
    if content is None:
        return None, None
    if (single := number(content)) is not None:
        if single < 0:
            return None, None
        unread.append("one blur score, taken for face and hands")
        return single, single
    if not isinstance(content, Mapping):
        unread.append("the blur scores are neither a number nor named")
        return None, None
    named = {str(key).lower(): item for key, item in content.items()}
    if not any("face" in key or "hand" in key for key in named):
        inner = next((item for item in named.values() if isinstance(item, Mapping)), None)
        named = {str(key).lower(): item for key, item in inner.items()} if inner is not None else {}
        if not any("face" in key or "hand" in key for key in named):
            unread.append("the blur scores name neither face nor hand")
    return _mean_of(named, "face"), _mean_of(named, "hand")


def kept_blur(value: object) -> object:
    """Returns blur scores without their frames; reading it gives the same."""
    content = unwrapped(value)
    unread: list[str] = []
    face, hand = read_blur(content, unread)
    return content if unread else {"face": face, "hand": hand}


def _mean_of(named: Mapping[str, object], part: str) -> float | None:
    values = [one for key, item in named.items() if part in key for one in numbers(item) if one >= 0]
    return sum(values) / len(values) if values else None
