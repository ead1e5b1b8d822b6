"""The gate before every voice metric: a voice can only be judged where someone speaks."""

from __future__ import annotations

from vidchatbench.api import ExtractorSpec, Feature, Need, Role

MIN_SPEECH_SECONDS = 0.3


def speech_of(role: Role) -> Need:
    """Returns the need for the speech segments of a role, under the name ``<role>_speech``."""
    return Need(f"{role.value}_speech", ExtractorSpec.of("speech/silero"), (role,))


def speech_seconds(feature: Feature) -> float:
    """Returns the seconds of speech in a clip, from the feature of ``speech/silero``."""
    return feature.number("speech_seconds")


def lacks_speech(seconds: float) -> str | None:
    """Returns why a clip cannot be judged, or ``None`` if it holds 0.3 s of speech or more."""
    if seconds >= MIN_SPEECH_SECONDS:
        return None
    return f"no speech: {seconds:.2f} s found, {MIN_SPEECH_SECONDS:g} s is needed"
