"""``dialogue/reply_embedding`` and ``/initiator_embedding``: what each side says, as a vector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import numpy as np

from vidchatbench.api import Content, Feature, Need, Param, Refusal, Role, Sample, SampleInput, SampleNotes
from vidchatbench_metrics.dialogue.encoding_extractor import SentenceExtractor
from vidchatbench_metrics.dialogue.text_weights import MINILM
from vidchatbench_metrics.dialogue.transcription.given_transcript import text_feature
from vidchatbench_metrics.dialogue.transcription.source import DEFAULT
from vidchatbench_metrics.dialogue.transcription.transcript import OK
from vidchatbench_metrics.dialogue.wer import is_english


class _SaidEmbedding(SentenceExtractor):
    """Embedding of what is said in one clip, by all-MiniLM-L6-v2.

    A sample in another language than English does not apply: the network learned English only.

    Arrays:
        vector: float32 (d,), of length 1; of shape (0,) where ``status`` is not ``ok``.

    Meta:
        status: Of the text.
        tokens: Number of tokens, in ``pieces`` pieces.
    """

    defaults: ClassVar[Mapping[str, Param]] = {
        "transcripts": DEFAULT,
        "network": MINILM.networks.default,
        "tokenizer": MINILM.tokenizers.default,
    }
    encoders = MINILM

    def extract(self, inputs: Sequence[SampleInput]) -> Iterator[tuple[int, Feature | Refusal]]:
        """Yields one feature after the other."""
        for position, one in enumerate(inputs):
            yield position, self._embed(one.features.get("transcript") or text_feature(str(one.content["text"])))

    def _embed(self, said: Feature) -> Feature:
        status = str(said.meta["status"])
        if status != OK:
            return Feature({"vector": np.zeros(0, np.float32)}, {"status": status, "tokens": 0, "pieces": 0})
        embedded = self.encoder(str(said.meta["text"]))
        meta: dict[str, Param] = {"status": status, "tokens": embedded.tokens, "pieces": embedded.pieces}
        return Feature({"vector": embedded.vector}, meta)


class ReplyEmbedding(_SaidEmbedding):
    """What is said in the reply."""

    id: ClassVar[str] = "dialogue/reply_embedding"
    lacking: ClassVar[str] = "the reply is not in English, or no transcript is given"

    def reads(self) -> tuple[Need, ...]:
        """The transcript; one that the user brings is part of the content."""
        return () if self.source.given else (self.source.need(),)

    def content(self, sample: Sample, notes: SampleNotes) -> Content | None:
        """Returns the reply's text where the user brings it."""
        if not is_english(sample.language):
            return None
        if not self.source.given:
            return {}
        return None if notes.given_transcript is None else {"text": notes.given_transcript}


class InitiatorEmbedding(_SaidEmbedding):
    """What the initiator says: the manifest's words, or where it has none what is heard in the clip."""

    id: ClassVar[str] = "dialogue/initiator_embedding"
    lacking: ClassVar[str] = "the initiator has no English words"

    def reads(self) -> tuple[Need, ...]:
        """The transcript of the initiator; the user brings those of replies alone."""
        return () if self.source.given else (self.source.need(role=Role.INITIATOR),)

    def reads_of(self, sample: Sample) -> tuple[Need, ...]:
        """None where the manifest has the words."""
        return () if _words(sample) else self.reads()

    def content(self, sample: Sample, notes: SampleNotes) -> Content | None:
        """Returns the manifest's words, where it has them."""
        del notes
        if not is_english(sample.language):
            return None
        if words := _words(sample):
            return {"text": words}
        return None if self.source.given else {}


def _words(sample: Sample) -> str:
    return (sample.initiator.transcript or "").strip()
