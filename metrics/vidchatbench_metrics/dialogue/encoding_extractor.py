"""The base of extractors that put texts through a text encoder."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from vidchatbench.api import ExtractorContext, SampleExtractor
from vidchatbench_metrics.dialogue.text_weights import Encoders
from vidchatbench_metrics.dialogue.transcription.source import Transcripts

if TYPE_CHECKING:
    from vidchatbench_metrics.dialogue.text_encoder import TextEncoder


class EncodingExtractor(SampleExtractor):
    """An extractor of samples with a text encoder.

    Parameters:
        transcripts: Where texts that are heard come from (see ``source.Transcripts``).
        network: The official network by its short name, or ``sha256:<64 hex>``.
        tokenizer: Likewise.
    """

    encoders: ClassVar[Encoders]
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "tokenizers")
    _encoder: TextEncoder | None = None

    @property
    def weights(self) -> tuple[str, ...]:
        """The network and its tokenizer."""
        return self.encoders.weights(str(self.params["network"]), str(self.params["tokenizer"]))

    @property
    def source(self) -> Transcripts:
        """Where texts that are heard come from."""
        return Transcripts(str(self.params["transcripts"]))

    @property
    def encoder(self) -> TextEncoder:
        """The network.

        Raises:
            RuntimeError: Before :meth:`setup`.
        """
        if self._encoder is None:
            raise RuntimeError("setup() comes before extract()")
        return self._encoder

    @abstractmethod
    def encoder_type(self) -> type[TextEncoder]:
        """The kind of network; importing it is heavy."""

    def setup(self, context: ExtractorContext) -> None:
        """Loads the network."""
        network, tokenizer = (context.weights[name] for name in self.weights)
        self._encoder = self.encoder_type()(network, tokenizer, context.device)

    def release(self) -> None:
        """Releases the network."""
        self._encoder = None


class SentenceExtractor(EncodingExtractor):
    """One with all-MiniLM-L6-v2."""

    def encoder_type(self) -> type[TextEncoder]:
        """MiniLM."""
        from vidchatbench_metrics.dialogue.text_embedding import SentenceText  # only extractors that run need it

        return SentenceText
