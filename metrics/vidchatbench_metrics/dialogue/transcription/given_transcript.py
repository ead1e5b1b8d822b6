"""``dialogue/transcript_given`` and ``/declared``: texts that come beside the clips, from the user or the system."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from vidchatbench.api import Content, Feature, Refusal, Sample, SampleExtractor, SampleInput, SampleNotes
from vidchatbench_metrics.dialogue.transcription.transcript import EMPTY, OK


class GivenTranscript(SampleExtractor):
    """The transcript of the reply that the user brings (``--transcripts``).

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
    """The transcript that the system declares (``<id>.json``); it never replaces a recognised one.

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
    """Returns the feature of a text that comes as text."""
    stripped = text.strip()
    return Feature({}, {"status": OK if stripped else EMPTY, "text": stripped})
