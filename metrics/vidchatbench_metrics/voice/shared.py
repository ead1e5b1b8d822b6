"""What SIM-o and UTMOS share before any network is loaded: which network, how much of the sound, how many frames."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api import (
    SAMPLE_RATE,
    Array,
    MetricCard,
)

WAVLM_LARGE = "wavlm_large"
UTMOS22_STRONG = "utmos22_strong"

CONV_KERNELS = (10, 3, 3, 3, 3, 2, 2)
CONV_STRIDES = (5, 2, 2, 2, 2, 2, 2)
"""Front end of wav2vec 2.0 and WavLM: a frame of 25 ms every 20 ms."""

MAX_SECONDS = 60
"""Only this much is heard: attention takes memory that grows with the square of the length."""

_WEIGHTS = {WAVLM_LARGE: "wavlm_large_finetune", UTMOS22_STRONG: "utmos22_strong"}
_BY_HASH = re.compile(r"sha256:[0-9a-f]{64}")
_SHOWN_DIGITS = 12


def weight_of(network: str) -> str:
    """Returns the weights table's name of a network: an official one, or ``sha256:<64 hex digits>`` for any other."""
    return _WEIGHTS.get(network, network)


def is_official(network: str) -> bool:
    """Says whether a network is one of the published ones, whose size is then checked."""
    return network in _WEIGHTS


def card_for(card: MetricCard, official: str, network: str) -> MetricCard:
    """Returns the card for a network named by its hash: another protocol, of unknown licence.

    Args:
        card: The card for the official network, whose name is part of its protocol id.
        official: Name of the official network.
        network: The network asked for.

    Raises:
        ValueError: If the network is neither the official one nor named by its hash.
    """
    if network == official:
        return card
    if _BY_HASH.fullmatch(network) is None:
        raise ValueError(f"{card.id} has no network {network!r}; use {official} or sha256:<64 hex digits>")
    name = f"net-{network.partition(':')[2][:_SHOWN_DIGITS]}"
    return card.vary(
        protocol=card.protocol.replace(official, name),
        protocol_text=f"{card.protocol_text.rstrip()} Network: {name} in place of the official one.\n",
        weights=(network, *card.weights[1:]),
        weights_license="unknown, the network was named by its hash; Silero VAD: MIT",
        commercial_use=False,
    )


def heard_part(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the first 60 s of a sound at 16 kHz, float32 of shape (n,)."""
    return samples[: MAX_SECONDS * SAMPLE_RATE]


def frame_count(n_samples: int) -> int:
    """Returns how many frames the front end makes of a sound at 16 kHz: none of less than 400 samples (25 ms)."""
    count = n_samples
    for kernel, stride in zip(CONV_KERNELS, CONV_STRIDES, strict=True):
        count = (count - kernel) // stride + 1
    return max(0, count)


MIN_MOS, MAX_MOS = 1.0, 5.0


def cosine(first: Array, second: Array) -> float:
    """Returns the cosine of the angle between two vectors, in -1..1; 0 if one of them is zero.

    Args:
        first: Of shape (n,).
        second: Of shape (n,).
    """
    a, b = first.astype(np.float64), second.astype(np.float64)
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    if lengths == 0.0:
        return 0.0
    # Rounding can carry the quotient past 1 by the last bit.
    return float(np.clip(float(a @ b) / lengths, -1.0, 1.0))
