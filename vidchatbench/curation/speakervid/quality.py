"""The two quality tiers of the paper as thresholds, and which of them a clip does not reach."""

from __future__ import annotations

from dataclasses import dataclass

from vidchatbench.curation.speakervid.records import ClipRecord

MIN_SECONDS, MAX_SECONDS = 3.0, 14.0
"""Length of the published clips, in seconds."""

LENGTH_SLACK_S = 0.05
"""By how much a length may miss these bounds: annotations are rounded to frames."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A least value of one score.

    Attributes:
        field: The field of :class:`~vidchatbench.curation.speakervid.records.ClipRecord`.
        title: The score in words.
        least: The value.
        inclusive: Whether the value itself passes.
        unknown_passes: Whether a clip without this score passes.
        of_speech: Whether it is about speech, so that a silent person is not held to it.
    """

    field: str
    title: str
    least: float
    inclusive: bool = False
    unknown_passes: bool = False
    of_speech: bool = False

    def passes(self, clip: ClipRecord) -> bool:
        """Whether a clip reaches it."""
        if self.of_speech and not clip.heard:
            return True
        value: float | None = getattr(clip, self.field)
        if value is None:
            return self.unknown_passes
        return value >= self.least if self.inclusive else value > self.least

    def __str__(self) -> str:
        """The rule as people read it."""
        return f"{self.title} {'≥' if self.inclusive else '>'} {self.least:g}".replace("-", "−")


HQ: tuple[Threshold, ...] = (
    Threshold("hand_blur", "sharpness of the hands", 0.5),
    Threshold("face_blur", "sharpness of the face", 0.7),
    Threshold("dover", "DOVER", 0.6),
    Threshold("motion", "motion", 2.0),
    Threshold("asr_confidence", "ASR confidence", -1.0, of_speech=True),
)
"""The high-quality tier (SpeakerVid-5M, section on data tiers); a score that is unknown does not pass."""

BASE: tuple[Threshold, ...] = (
    Threshold("hand_blur", "sharpness of the hands", 0.1, inclusive=True, unknown_passes=True),
    Threshold("face_blur", "sharpness of the face", 0.1, inclusive=True, unknown_passes=True),
    Threshold("dover", "DOVER", 0.25, inclusive=True, unknown_passes=True),
    Threshold("asr_confidence", "ASR confidence", -1.5, inclusive=True, unknown_passes=True, of_speech=True),
)
"""The filter that everything in the dataset has passed; a score that is unknown passes."""


def is_hq(clip: ClipRecord) -> bool:
    """Whether a clip passes every threshold of the high-quality tier."""
    return all(threshold.passes(clip) for threshold in HQ)


def has_length(clip: ClipRecord) -> bool:
    """Whether a clip is as long as the paper's clips are."""
    return MIN_SECONDS - LENGTH_SLACK_S <= clip.duration <= MAX_SECONDS + LENGTH_SLACK_S
