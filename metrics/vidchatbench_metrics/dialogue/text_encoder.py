"""The base of the text encoders: splits a long text into pieces, embeds each, and joins their vectors."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+")


@dataclass(frozen=True)
class Embedded:
    """A text as a vector.

    Attributes:
        vector: float32 of shape (d,), of length 1.
        tokens: Number of tokens, those that mark beginning and end not counted.
        pieces: Number of pieces in which it was embedded.
    """

    vector: NDArray[np.float32]
    tokens: int
    pieces: int


class TextEncoder(ABC):
    """A network that turns a text into a vector.

    Args:
        network: The network's weights.
        tokenizer: File of the tokenizers library.
        device: Torch device string.

    Attributes:
        first: Token that marks the beginning of a text.
        last: Token that marks its end.
        limit: Most tokens of a piece, without these two.
    """

    first: str
    last: str
    limit: int

    def __init__(self, network: Path, tokenizer: Path, device: str) -> None:
        import torch  # heavy, and only extractors that run need it
        from tokenizers import Tokenizer  # likewise

        self._torch = torch
        self._device = device
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        # The file may say how its authors cut and fill texts; here both are this package's to say.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._marks = (self._mark(self.first), self._mark(self.last))
        self._network = self.load(network)
        self._network.eval().requires_grad_(requires_grad=False).to(device)

    @abstractmethod
    def load(self, path: Path) -> Any:  # noqa: ANN401 - torch is not imported here
        """Returns the network, a torch module, with its weights."""

    @abstractmethod
    def embed(self, ids: Any) -> Any:  # noqa: ANN401 - torch is not imported here
        """Returns the embedding of one piece, a tensor of shape (d,) and any length.

        Args:
            ids: Tokens with their marks, a tensor of shape (1, n).
        """

    def tokens(self, text: str) -> list[int]:
        """Returns the tokens of a text, without marks."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def __call__(self, text: str) -> Embedded:
        """Embeds a text.

        Pieces go through the network one at a time, so that no number depends on what else is embedded.
        """
        pieces = pieces_of(text, self.tokens, self.limit)
        vectors = [self._unit(piece) for piece in pieces]
        lengths = [len(piece) for piece in pieces]
        return Embedded(joined(vectors, lengths), sum(lengths), len(pieces))

    def _unit(self, piece: list[int]) -> NDArray[np.float32]:
        torch = self._torch
        with torch.inference_mode():
            ids = torch.tensor([[self._marks[0], *piece, self._marks[1]]], device=self._device)
            vector = self.embed(ids)
            unit: NDArray[np.float32] = (vector / torch.linalg.vector_norm(vector)).cpu().numpy()
        return unit

    def _mark(self, token: str) -> int:
        number = self._tokenizer.token_to_id(token)
        if number is None:
            raise ValueError(f"this tokenizer is not of this network: it has no token {token!r}")
        return int(number)


def pieces_of(text: str, tokens: Callable[[str], list[int]], limit: int) -> list[list[int]]:
    """Returns the tokens of a text in pieces that an encoder can take.

    A text of at most ``limit`` tokens is one piece. A longer one is split after ``.``, ``!``, ``?`` or ``…`` and a
    space; sentences are put together, in order, as long as they fit; one that is longer than a piece by itself is cut
    after every ``limit`` tokens.

    Args:
        text: The text; an empty one is one empty piece.
        tokens: Gives the tokens of a text, without those that mark its beginning and end.
        limit: Most tokens of a piece.
    """
    whole = tokens(text)
    if len(whole) <= limit:
        return [whole]
    pieces: list[list[int]] = [[]]
    for sentence in _SENTENCE_END.split(text.strip()):
        sentence_tokens = tokens(sentence)
        for start in range(0, len(sentence_tokens), limit):
            part = sentence_tokens[start : start + limit]
            if len(pieces[-1]) + len(part) > limit:
                pieces.append([])
            pieces[-1] = [*pieces[-1], *part]
    return pieces


def joined(embeddings: Sequence[NDArray[np.float32]], lengths: Sequence[int]) -> NDArray[np.float32]:
    """Returns the embedding of a text from those of its pieces, of length 1.

    Args:
        embeddings: One of length 1 for each piece, float32 of shape (d,).
        lengths: Tokens of each piece, by which they are weighted: a short last piece must not count like a full one.
    """
    if len(embeddings) == 1:
        return embeddings[0]
    mean = np.average(np.stack(embeddings).astype(np.float64), axis=0, weights=lengths)
    unit: NDArray[np.float32] = (mean / np.linalg.norm(mean)).astype(np.float32)
    return unit
