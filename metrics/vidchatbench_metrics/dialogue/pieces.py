"""Texts longer than an encoder takes: cut into pieces at the ends of sentences, embedded apart, averaged."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+")


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
        found = tokens(sentence)
        for start in range(0, len(found), limit):
            part = found[start : start + limit]
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
