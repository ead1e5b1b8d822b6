"""``av_sync/syncnet_sound``: SyncNet's embeddings of a clip's sound."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from vidchatbench.api import SAMPLE_RATE, Audio, AudioExtractor, ExtractorContext, Feature, as_array
from vidchatbench_metrics.av_sync.network import CEPSTRA, DIMENSIONS, NETWORKS, SOUND_WINDOW, SoundNetwork, load_network

COLUMNS_PER_FRAME = 4
"""Columns of 10 ms for each picture of 40 ms."""

_HOP = SAMPLE_RATE // 100
_LENGTH = 25 * SAMPLE_RATE // 1000
_PREEMPHASIS = 0.97
# Columns at a time: 30 s, so that a long clip does not need its sound several hundred times over in memory.
_COLUMNS_AT_ONCE = 3000


class SyncNetSound(AudioExtractor):
    """Embedding of the 0.2 s of sound from every 25th of a second.

    Parameters:
        network: ``syncnet_v2``, or ``sha256:<64 hex>`` for any state dict of that network in the weights mirror.

    Arrays:
        embedding: float32 (n, 1024); row ``v`` belongs to the window of pictures that starts at frame ``v``. No row
            for less than 0.2 s.

    Meta:
        samples: Length of the sound in samples at 16 kHz.
    """

    id = "av_sync/syncnet_sound"
    defaults = {"network": NETWORKS.default}
    packages = ("torch", "syncnet_python", "python_speech_features")

    @property
    def weights(self) -> tuple[str, ...]:
        """The network."""
        return (NETWORKS.weight_of(str(self.params["network"])),)

    def setup(self, context: ExtractorContext) -> None:
        """Loads the network."""
        importlib.import_module("python_speech_features")
        self._network = SoundNetwork(load_network(context.weights[self.weights[0]]), context.device)

    def extract(self, audio: Audio, upstream: Mapping[str, Feature]) -> Feature:
        """Returns the feature of one clip; sound of any length is accepted."""
        del upstream
        blocks = [self._network.embed(windows) for windows in windows_of(cepstra(audio.samples))]
        rows = np.concatenate([np.zeros((0, DIMENSIONS), np.float32), *blocks])
        return Feature({"embedding": as_array(rows, "float32")}, {"samples": len(audio.samples)})


def to_int16(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """Returns sound as the 16-bit integers that it was, or would be, decoded from: ``x * 32768``, rounded, clipped."""
    return np.clip(np.round(samples * np.float32(32768)), -32768, 32767).astype(np.int16)


def cepstra(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the mel-frequency cepstra of ``python_speech_features.mfcc`` at its defaults, of 16-bit sound.

    Windows of 25 ms every 10 ms without a taper, 26 bands, 13 coefficients, liftered, the first one the log energy.

    Args:
        samples: float32 of shape (n,), mono at 16 kHz, in -1..1.

    Returns:
        float32 of shape (columns, 13); one column for up to 400 samples, none for none.
    """
    package: Any = importlib.import_module("python_speech_features")
    if len(samples) == 0:
        return np.zeros((0, CEPSTRA), np.float32)
    pcm = to_int16(samples)
    emphasised = np.append(pcm[0], pcm[1:] - _PREEMPHASIS * pcm[:-1])
    columns = 1 + max(0, -(-(len(pcm) - _LENGTH) // _HOP))
    parts = []
    for start in range(0, columns, _COLUMNS_AT_ONCE):
        count = min(_COLUMNS_AT_ONCE, columns - start)
        part = emphasised[start * _HOP : (start + count - 1) * _HOP + _LENGTH]
        parts.append(package.mfcc(part, SAMPLE_RATE, preemph=0.0).astype(np.float32))
    return np.concatenate(parts)


def windows_of(columns: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Yields the windows of 20 columns that start at every fourth one, in blocks.

    Args:
        columns: float32 of shape (n, 13).

    Yields:
        float32 of shape (up to 750, 13, 20).
    """
    if len(columns) < SOUND_WINDOW:
        return
    windows = sliding_window_view(columns, SOUND_WINDOW, axis=0)[::COLUMNS_PER_FRAME]
    size = _COLUMNS_AT_ONCE // COLUMNS_PER_FRAME
    for start in range(0, len(windows), size):
        yield windows[start : start + size]
