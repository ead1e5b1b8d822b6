"""The front end of wav2vec 2.0 and WavLM: how much of a sound they take, and how many frames it has."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api import SAMPLE_RATE

CONV_KERNELS = (10, 3, 3, 3, 3, 2, 2)
CONV_STRIDES = (5, 2, 2, 2, 2, 2, 2)
"""Front end of wav2vec 2.0 and WavLM: a frame of 25 ms every 20 ms."""

MAX_SECONDS = 60
"""The networks are given no more of a sound: attention takes memory that grows with the square of the length."""


def beginning(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the first 60 s of a sound at 16 kHz, float32 of shape (n,)."""
    return samples[: MAX_SECONDS * SAMPLE_RATE]


def frame_count(n_samples: int) -> int:
    """Returns how many frames the front end makes of a sound at 16 kHz: none of less than 400 samples (25 ms)."""
    count = n_samples
    for kernel, stride in zip(CONV_KERNELS, CONV_STRIDES, strict=True):
        count = (count - kernel) // stride + 1
    return max(0, count)
