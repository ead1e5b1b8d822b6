"""``dialogue/ladder_clip_embeddings`` and ``/ladder_sentence_embeddings``: the reply and its ladder as vectors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from vidchatbench.api import Content, Feature, Need, Param, Refusal, Sample, SampleInput, SampleNotes, as_array
from vidchatbench_metrics.dialogue.encoding_extractor import EncodingExtractor, SentenceExtractor
from vidchatbench_metrics.dialogue.text_weights import CLIP, MINILM
from vidchatbench_metrics.dialogue.transcription.given_transcript import text_feature
from vidchatbench_metrics.dialogue.transcription.source import DEFAULT
from vidchatbench_metrics.dialogue.transcription.transcript import OK
from vidchatbench_metrics.dialogue.wer import is_english

if TYPE_CHECKING:
    from vidchatbench_metrics.dialogue.text_encoder import TextEncoder

_MIN_GRADES = 2


class _LadderEmbeddings(EncodingExtractor):
    """Embeddings of the reply's transcript and of the ladder's texts.

    A sample without a ladder of two grades or more, or in another language than English, does not apply: both
    encoders learned English only.

    Parameters:
        transcripts: Where the reply's text comes from (see ``source.Transcripts``).
        network: The official network by its short name, or ``sha256:<64 hex>``.
        tokenizer: Likewise.

    Arrays:
        reply: float32 (d,), of length 1; of shape (0,) where ``status`` is not ``ok``.
        ladder: float32 (k, d), each row of length 1, in the manifest's order.
        grade: float64 (k,), the ladder's scores.

    Meta:
        status: Of the transcript.
        tokens: Tokens of the reply, ``pieces`` the number of pieces it was embedded in.
    """

    def reads(self) -> tuple[Need, ...]:
        """The transcript; one that the user brings is part of the content."""
        return () if self.source.given else (self.source.need(),)

    def content(self, sample: Sample, notes: SampleNotes) -> Content | None:
        """Returns the ladder, and the reply's text where the user brings it."""
        grades = {step.score for step in sample.ladder}
        if len(grades) < _MIN_GRADES or not is_english(sample.language):
            return None
        content: dict[str, object] = {"ladder": [[step.text, step.score] for step in sample.ladder]}
        if self.source.given:
            if notes.given_transcript is None:
                return None
            content["reply"] = notes.given_transcript
        return content

    def extract(self, inputs: Sequence[SampleInput]) -> Iterator[tuple[int, Feature | Refusal]]:
        """Yields one feature after the other."""
        for position, one in enumerate(inputs):
            reply = one.features.get("transcript") or text_feature(str(one.content["reply"]))
            yield position, self._embed(reply, one.content["ladder"])

    def _embed(self, reply: Feature, ladder: Any) -> Feature:  # noqa: ANN401 - JSON
        status = str(reply.meta["status"])
        embedded = self.encoder(str(reply.meta["text"])) if status == OK else None
        rows = [self.encoder(str(text)).vector for text, _ in ladder]
        return Feature(
            {
                "reply": np.zeros(0, np.float32) if embedded is None else embedded.vector,
                "ladder": np.stack(rows),
                "grade": as_array([score for _, score in ladder], "float64"),
            },
            {
                "status": status,
                "tokens": 0 if embedded is None else embedded.tokens,
                "pieces": 0 if embedded is None else embedded.pieces,
            },
        )


class ClipLadder(_LadderEmbeddings):
    """Embeddings by CLIP's text network, pieces of 75 tokens."""

    id: ClassVar[str] = "dialogue/ladder_clip_embeddings"
    defaults: ClassVar[Mapping[str, Param]] = {
        "transcripts": DEFAULT,
        "network": CLIP.networks.default,
        "tokenizer": CLIP.tokenizers.default,
    }
    encoders = CLIP

    def encoder_type(self) -> type[TextEncoder]:
        """CLIP's text network."""
        from vidchatbench_metrics.dialogue.text_clip import ClipText  # only extractors that run need it

        return ClipText


class SentenceLadder(_LadderEmbeddings, SentenceExtractor):
    """Embeddings by all-MiniLM-L6-v2, pieces of 254 tokens."""

    id: ClassVar[str] = "dialogue/ladder_sentence_embeddings"
    defaults: ClassVar[Mapping[str, Param]] = {
        "transcripts": DEFAULT,
        "network": MINILM.networks.default,
        "tokenizer": MINILM.tokenizers.default,
    }
    encoders = MINILM
