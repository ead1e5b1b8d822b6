"""Speech backbones of transformers, filled from checkpoints that name their parameters as fairseq and WavLM do.

The widths are read from the checkpoint, so that small networks with the same wiring can stand in for large ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import nn
from transformers import PreTrainedModel, Wav2Vec2Config, Wav2Vec2Model, WavLMConfig, WavLMModel

from vidchatbench_metrics.common.torch_weights import fill
from vidchatbench_metrics.voice.front_end import CONV_KERNELS, CONV_STRIDES

State = Mapping[str, torch.Tensor]
_Model = TypeVar("_Model", bound=PreTrainedModel)

# The published configuration of WavLM-large; unlike the number of buckets, it leaves no trace in the checkpoint.
_MAX_DISTANCE = 800
_HEAD_WIDTH = 64
# The vector that stands for hidden frames in pre-training; nothing is hidden at inference.
_UNUSED = "mask_emb"

_LAYER = r"encoder\.layers\.(\d+)\."
_WEIGHT_NORM = "encoder.pos_conv_embed.conv.parametrizations.weight"
_RULES = tuple(
    (re.compile(old), new)
    for old, new in (
        (r"feature_extractor\.conv_layers\.(\d)\.0\.weight", r"feature_extractor.conv_layers.\1.conv.weight"),
        # Norm of one group a channel after the first convolution (wav2vec 2.0 base), or of layers after each (WavLM).
        (r"feature_extractor\.conv_layers\.(0)\.2\.(\w+)", r"feature_extractor.conv_layers.\1.layer_norm.\2"),
        (r"feature_extractor\.conv_layers\.(\d)\.2\.1\.(\w+)", r"feature_extractor.conv_layers.\1.layer_norm.\2"),
        (r"layer_norm\.(\w+)", r"feature_projection.layer_norm.\1"),
        (r"post_extract_proj\.(\w+)", r"feature_projection.projection.\1"),
        (r"encoder\.pos_conv\.0\.weight_g", f"{_WEIGHT_NORM}.original0"),
        (r"encoder\.pos_conv\.0\.weight_v", f"{_WEIGHT_NORM}.original1"),
        (r"encoder\.pos_conv\.0\.bias", r"encoder.pos_conv_embed.conv.bias"),
        (r"encoder\.layer_norm\.(\w+)", r"encoder.layer_norm.\1"),
        (_LAYER + r"self_attn\.([qkv]|out)_proj\.(\w+)", r"encoder.layers.\1.attention.\2_proj.\3"),
        (_LAYER + r"self_attn\.grep_linear\.(\w+)", r"encoder.layers.\1.attention.gru_rel_pos_linear.\2"),
        (_LAYER + r"self_attn\.grep_a", r"encoder.layers.\1.attention.gru_rel_pos_const"),
        (_LAYER + r"self_attn\.relative_attention_bias\.weight", r"encoder.layers.\1.attention.rel_attn_embed.weight"),
        (_LAYER + r"self_attn_layer_norm\.(\w+)", r"encoder.layers.\1.layer_norm.\2"),
        (_LAYER + r"fc1\.(\w+)", r"encoder.layers.\1.feed_forward.intermediate_dense.\2"),
        (_LAYER + r"fc2\.(\w+)", r"encoder.layers.\1.feed_forward.output_dense.\2"),
        (_LAYER + r"final_layer_norm\.(\w+)", r"encoder.layers.\1.final_layer_norm.\2"),
    )
)


@dataclass(frozen=True)
class Widths:
    """The size of a backbone, as far as its checkpoint tells.

    Attributes:
        channels: Channels of the convolutional front end.
        hidden: Width of the transformer.
        feed_forward: Width inside its feed-forward layers.
        layers: Number of its layers.
        position_kernel: Frames that the convolution for positions spans.
        position_groups: Groups of that convolution.
    """

    channels: int
    hidden: int
    feed_forward: int
    layers: int
    position_kernel: int
    position_groups: int


WAVLM_LARGE = Widths(512, 1024, 4096, 24, 128, 16)
WAV2VEC2_BASE = Widths(512, 768, 3072, 12, 128, 16)


def load_wavlm(state: State, expected: Widths | None) -> WavLMModel:
    """Builds a WavLM of the large kind: layer norms in the front end and before, not after, each part of a layer.

    Args:
        state: The checkpoint's part, under the names of microsoft/unilm's ``WavLM.py``.
        expected: The size that it must have, or ``None`` for any.

    Returns:
        The model, on the CPU.

    Raises:
        ValueError: If an entry of the checkpoint is missing or unknown, or has another size.
    """
    widths = _widths(state, expected)
    first = "encoder.layers.0.self_attn"
    config = WavLMConfig(
        **_common(widths),
        num_attention_heads=_size(state, f"{first}.grep_a", 1),
        num_buckets=_size(state, f"{first}.relative_attention_bias.weight", 0),
        max_bucket_distance=_MAX_DISTANCE,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
    )
    return _filled(WavLMModel(config), state)


def load_wav2vec2(state: State, expected: Widths | None) -> Wav2Vec2Model:
    """Builds a wav2vec 2.0 of the base kind: one group norm in the front end, layer norms after each part of a layer.

    Args:
        state: The checkpoint's part, under fairseq's names.
        expected: The size that it must have, or ``None`` for any.

    Returns:
        The model, on the CPU.

    Raises:
        ValueError: If an entry of the checkpoint is missing or unknown, or has another size.
    """
    widths = _widths(state, expected)
    # This attention never holds the weights of all pairs of frames at once.
    options = {**_common(widths), "attn_implementation": "sdpa"}
    config = Wav2Vec2Config(
        **options,
        num_attention_heads=widths.hidden // _HEAD_WIDTH,
        feat_extract_norm="group",
        do_stable_layer_norm=False,
    )
    return _filled(Wav2Vec2Model(config), state)


def place(network: nn.Module, device: str) -> None:
    """Makes a network ready for inference on a device."""
    network.eval().to(device)


def below(prefix: str, state: State) -> dict[str, torch.Tensor]:
    """Returns the part of a state dict whose names begin with ``prefix``, without it."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _common(widths: Widths) -> dict[str, Any]:
    return {
        "hidden_size": widths.hidden,
        "num_hidden_layers": widths.layers,
        "intermediate_size": widths.feed_forward,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-5,
        "feat_extract_activation": "gelu",
        "conv_dim": (widths.channels,) * len(CONV_KERNELS),
        "conv_stride": CONV_STRIDES,
        "conv_kernel": CONV_KERNELS,
        "conv_bias": False,
        "num_conv_pos_embeddings": widths.position_kernel,
        "num_conv_pos_embedding_groups": widths.position_groups,
        "apply_spec_augment": False,
        "mask_time_prob": 0.0,
        "mask_feature_prob": 0.0,
    }


def _widths(state: State, expected: Widths | None) -> Widths:
    positions = "encoder.pos_conv.0.weight_v"
    hidden = _size(state, "post_extract_proj.weight", 0)
    widths = Widths(
        channels=_size(state, "feature_extractor.conv_layers.0.0.weight", 0),
        hidden=hidden,
        feed_forward=_size(state, "encoder.layers.0.fc1.weight", 0),
        layers=sum(re.fullmatch(_LAYER + r"fc1\.weight", name) is not None for name in state),
        position_kernel=_size(state, positions, 2),
        position_groups=hidden // _size(state, positions, 1),
    )
    if expected is not None and widths != expected:
        raise ValueError(f"these weights are of another size: {widths}, expected {expected}")
    return widths


def _size(state: State, name: str, axis: int) -> int:
    if name not in state:
        raise ValueError(f"these weights are not of this network: {name} is missing")
    return int(state[name].shape[axis])


def _filled(model: _Model, state: State) -> _Model:
    fill(model, {_new_name(name): value for name, value in state.items() if name != _UNUSED})
    return model


def _new_name(name: str) -> str:
    for old, new in _RULES:
        if (match := old.fullmatch(name)) is not None:
            return match.expand(new)
    raise ValueError(f"these weights are not of this network: {name} is unknown")
