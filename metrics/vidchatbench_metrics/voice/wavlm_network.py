"""The speaker network of SIM-o: WavLM-large's hidden states, mixed and pooled by a small ECAPA-TDNN.

Constants and wiring: microsoft/UniSpeech @ 40d3227, ``downstreams/speaker_verification`` (``ECAPA_TDNN_SMALL``); the
head follows Desplanques et al. 2020, arXiv 2005.07143.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from vidchatbench_metrics.common.torch_weights import fill, load_state
from vidchatbench_metrics.voice.fairseq_backbone import WAVLM_LARGE, State, below, load_wavlm, place

CHANNELS = 512
POOLED = 1536
BOTTLENECK = 128
EMBEDDING_SIZE = 256

_SCALE = 8
_OFFSET = 1e-6
_MIN_VARIANCE = 1e-9
_BACKBONE = "feature_extract.model."
# The classifier of the speakers it was trained on.
_TRAINING_ONLY = "loss_calculator."
# What this module calls a part, and what the checkpoint calls it.
_NAMES = (
    ("Res2Conv1dReluBn.", "scales."),
    ("Conv1dReluBn1.", "before."),
    ("Conv1dReluBn2.", "after."),
    ("SE_Connect.", "gate."),
)


class SpeakerNetwork:
    """Embeds a whole utterance.

    Args:
        path: The checkpoint: ``model`` holds the backbone below ``feature_extract.model.`` and the head beside it.
        device: Torch device string.
        official: Whether the backbone must be as large as WavLM-large.

    Raises:
        ValueError: If an entry of the checkpoint is missing or unknown, or has another size.
    """

    def __init__(self, path: Path, device: str, *, official: bool) -> None:
        loaded = load_state(path)
        if "model" not in loaded:
            raise ValueError("these weights are not of this network: 'model' is missing")
        state: State = loaded["model"]
        self._device = device
        self._backbone = load_wavlm(below(_BACKBONE, state), WAVLM_LARGE if official else None)
        self._states: list[torch.Tensor] = []
        # Through hooks, because releases of transformers differ in whether the last of the hidden states that they
        # offer is normalised; here it must be.
        for layer in self._backbone.encoder.layers:
            layer.register_forward_pre_hook(self._keep)
        self._head = SpeakerHead(self._backbone.config.hidden_size, self._backbone.config.num_hidden_layers + 1)
        fill(self._head, head_state(state))
        place(self._backbone, device)
        place(self._head, device)

    def embed(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns the embedding of a sound.

        Args:
            samples: float32 of shape (n,), mono at 16 kHz, of two frames (720 samples) or more.

        Returns:
            float32 of shape (256,), of any length.
        """
        with torch.inference_mode():
            wave = torch.tensor(samples, device=self._device)
            embedding: torch.Tensor = self._head(self.hidden_states(wave))
        result: NDArray[np.float32] = embedding.cpu().numpy()
        return result

    def hidden_states(self, wave: torch.Tensor) -> list[torch.Tensor]:
        """Returns what enters each layer of the backbone, and what leaves it after the final norm.

        Args:
            wave: float32 of shape (n,), on the network's device; it is scaled to zero mean and unit variance.

        Returns:
            Layers + 1 tensors of shape (frames, width).
        """
        normalised = nn.functional.layer_norm(wave, wave.shape)
        last = self._backbone(normalised[None]).last_hidden_state[0]
        states, self._states = [*self._states, last], []
        return states

    def _keep(self, layer: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        del layer
        self._states.append(inputs[0][0])


class SpeakerHead(nn.Module):
    """Mixes hidden states, runs the ECAPA-TDNN over them and pools it over time.

    Args:
        width: Width of a hidden state.
        states: Number of hidden states.
    """

    def __init__(self, width: int, states: int) -> None:
        super().__init__()
        self.feature_weight = nn.Parameter(torch.zeros(states))
        self.instance_norm = nn.InstanceNorm1d(width)
        self.layer1 = _ConvReluNorm(width, CHANNELS, kernel=5)
        self.layer2 = _Block(dilation=2)
        self.layer3 = _Block(dilation=3)
        self.layer4 = _Block(dilation=4)
        self.conv = nn.Conv1d(3 * CHANNELS, POOLED, 1)
        self.pooling = _AttentivePooling()
        self.bn = nn.BatchNorm1d(2 * POOLED)
        self.linear = nn.Linear(2 * POOLED, EMBEDDING_SIZE)

    def forward(self, hidden_states: list[torch.Tensor]) -> torch.Tensor:
        """Returns the embedding, of shape (256,), of hidden states of shape (frames, width) each."""
        weights = torch.softmax(self.feature_weight, dim=0)
        # One after the other: a stack of all states would be the largest tensor of all.
        mixed = torch.zeros_like(hidden_states[0])
        for weight, state in zip(weights, hidden_states, strict=True):
            mixed = mixed + weight * state
        features = self.instance_norm(mixed.T[None] + _OFFSET)
        first = self.layer1(features)
        second = self.layer2(first)
        third = self.layer3(second)
        fourth = self.layer4(third)
        joined = torch.relu(self.conv(torch.cat([second, third, fourth], dim=1)))
        embedding: torch.Tensor = self.linear(self.bn(self.pooling(joined)))
        return embedding[0]


class _ConvReluNorm(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2)
        self.bn = nn.BatchNorm1d(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.bn(torch.relu(self.conv(x)))
        return result


class _Res2(nn.Module):
    """Eight slices of the channels: each but the last is convolved together with the result of the one before."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        width = CHANNELS // _SCALE
        count = _SCALE - 1
        self.convs = nn.ModuleList(
            nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation) for _ in range(count)
        )
        self.bns = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(count))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        *slices, untouched = x.chunk(_SCALE, dim=1)
        results: list[torch.Tensor] = []
        for piece, conv, norm in zip(slices, self.convs, self.bns, strict=True):
            added = results[-1] + piece if results else piece
            results.append(norm(torch.relu(conv(added))))
        return torch.cat([*results, untouched], dim=1)


class _Gate(nn.Module):
    """Squeeze and excitation: every channel is scaled by what the means of all channels say."""

    def __init__(self) -> None:
        super().__init__()
        self.linear1 = nn.Linear(CHANNELS, BOTTLENECK)
        self.linear2 = nn.Linear(BOTTLENECK, CHANNELS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate = torch.sigmoid(self.linear2(torch.relu(self.linear1(x.mean(dim=2)))))
        return x * gate[:, :, None]


class _Block(nn.Module):
    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.before = _ConvReluNorm(CHANNELS, CHANNELS)
        self.scales = _Res2(dilation)
        self.after = _ConvReluNorm(CHANNELS, CHANNELS)
        self.gate = _Gate()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = x + self.gate(self.after(self.scales(self.before(x))))
        return result


class _AttentivePooling(nn.Module):
    """Mean and standard deviation over time, with a weight for each frame and channel."""

    def __init__(self) -> None:
        super().__init__()
        self.linear1 = nn.Conv1d(POOLED, BOTTLENECK, 1)
        self.linear2 = nn.Conv1d(BOTTLENECK, POOLED, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights = torch.softmax(self.linear2(torch.tanh(self.linear1(x))), dim=2)
        mean = (weights * x).sum(dim=2)
        variance = (weights * x**2).sum(dim=2) - mean**2
        return torch.cat([mean, variance.clamp(min=_MIN_VARIANCE).sqrt()], dim=1)


def head_state(state: State) -> dict[str, torch.Tensor]:
    """Returns the part of the checkpoint that belongs to :class:`SpeakerHead`, under the names it has there."""
    renamed: dict[str, torch.Tensor] = {}
    for name, value in state.items():
        if name.startswith((_BACKBONE, _TRAINING_ONLY)):
            continue
        new = name
        for theirs, ours in _NAMES:
            new = new.replace(theirs, ours)
        renamed[new] = value
    return renamed
