"""The network of UTMOS: wav2vec 2.0, a bidirectional LSTM over its frames, and a score for each frame.

Constants and wiring: tarepan/SpeechMOS @ ed25eac (MIT), ``utmos22_strong``, the strong learner of Saeki et al. 2022,
arXiv 2204.02152, without its phoneme encoder.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from vidchatbench_metrics.common.torch_weights import fill, load_state
from vidchatbench_metrics.voice.fairseq_backbone import WAV2VEC2_BASE, State, below, load_wav2vec2, place

CONDITION = 128
HIDDEN = 512
PROJECTED = 2048

_BACKBONE = "wav2vec2."
_SLOPE = 2.0
_MIDDLE = 3.0


class UtmosNetwork:
    """Scores the frames of a sound.

    Args:
        path: The checkpoint: the backbone below ``wav2vec2.`` and the head beside it.
        device: Torch device string.
        official: Whether the backbone must be as large as wav2vec 2.0 base.

    Raises:
        ValueError: If an entry of the checkpoint is missing or unknown, or has another size.
    """

    def __init__(self, path: Path, device: str, *, official: bool) -> None:
        state: State = load_state(path)
        self._device = device
        self._backbone = load_wav2vec2(below(_BACKBONE, state), WAV2VEC2_BASE if official else None)
        self._head = UtmosHead(self._backbone.config.hidden_size)
        fill(self._head, {name: value for name, value in state.items() if not name.startswith(_BACKBONE)})
        place(self._backbone, device)
        place(self._head, device)

    def score(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns a score for each frame; their mean is the opinion score.

        Args:
            samples: float32 of shape (n,), mono at 16 kHz, of one frame (400 samples) or more, used as it is.

        Returns:
            float32 of shape (frames,), in MOS, not cut to 1..5.
        """
        with torch.inference_mode():
            wave = torch.tensor(samples, device=self._device)
            frames = self._backbone(wave[None]).last_hidden_state
            scores: torch.Tensor = self._head(frames)
        result: NDArray[np.float32] = scores.cpu().numpy()
        return result


class UtmosHead(nn.Module):
    """LSTM and projection; the data set and the listener that it predicts for are constant vectors.

    Args:
        width: Width of the backbone's frames.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.domain_emb = nn.Parameter(torch.zeros(1, CONDITION))
        self.judge_emb = nn.Parameter(torch.zeros(1, CONDITION))
        self.blstm = nn.LSTM(width + 2 * CONDITION, HIDDEN, batch_first=True, bidirectional=True)
        self.projection = nn.Sequential(nn.Linear(2 * HIDDEN, PROJECTED), nn.ReLU(), nn.Linear(PROJECTED, 1))

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Returns scores of shape (n,) of frames of shape (1, n, width)."""
        conditions = [vector[None].expand(1, frames.shape[1], -1) for vector in (self.domain_emb, self.judge_emb)]
        hidden, _ = self.blstm(torch.cat([frames, *conditions], dim=2))
        scores: torch.Tensor = self.projection(hidden)[0, :, 0] * _SLOPE + _MIDDLE
        return scores
