"""``dialogue/transcript_given`` and ``/declared``: texts that come beside the clips, from the user or the system."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from vidchatbench.api import Content, Feature, Refusal, Sample, SampleExtractor, SampleInput, SampleNotes
from vidchatbench_metrics.dialogue.transcription.transcript import EMPTY, OK


class GivenTranscript(SampleExtractor):
    """What the user says that is heard in the reply (``--transcripts``).

    Meta:
        status: ``ok`` or ``empty``.
        text: The text, without spaces around it.
    """

    id: ClassVar[str] = "dialogue/transcript_given"

    def content(self, sample: Sample, notes: SampleNotes) -> Content | None:
        """Returns the given text, ``None`` where none is given."""
        del sample
        return None if notes.given_transcript is None else {"text": notes.given_transcript}

    def extract(self, inputs: Sequence[SampleInput]) -> Iterator[tuple[int, Feature | Refusal]]:
        """Yields the texts as they are."""
        for position, one in enumerate(inputs):
            yield position, text_feature(str(one.content["text"]))


class DeclaredTranscript(SampleExtractor):
    """What the system says that it said (``<id>.json``); never trusted in place of what is heard.

    Meta:
        status: ``ok`` or ``empty``.
        text: The text, without spaces around it.
    """

    id: ClassVar[str] = "dialogue/declared"

    def content(self, sample: Sample, notes: SampleNotes) -> Content | None:
        """Returns the declared text, ``None`` where nothing is declared."""
        del sample
        return None if notes.declared_transcript is None else {"text": notes.declared_transcript}

    def extract(self, inputs: Sequence[SampleInput]) -> Iterator[tuple[int, Feature | Refusal]]:
        """Yields the texts as they are."""
        for position, one in enumerate(inputs):
            yield position, text_feature(str(one.content["text"]))


def text_feature(text: str) -> Feature:
    """Returns the feature of a text that nobody had to recognise."""
    stripped = text.strip()
    return Feature({}, {"status": OK if stripped else EMPTY, "text": stripped})
