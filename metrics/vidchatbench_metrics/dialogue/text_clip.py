"""The text side of CLIP, through transformers' network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vidchatbench_metrics.common.torch_weights import fill, load_state
from vidchatbench_metrics.dialogue.text_encoder import TextEncoder
from vidchatbench_metrics.faces.torchvision_import import import_torchvision

HEAD_SIZE = 64
"""Channels of an attention head, the same in every CLIP; a state dict does not tell."""

_OTHER_TOWER = ("vision_model.", "visual_projection.", "logit_scale", "text_model.embeddings.position_ids")


class ClipText(TextEncoder):
    """Embeddings of CLIP: the final state at the end of the text, projected, of length 1; pieces of 75 tokens."""

    first = "<|startoftext|>"
    last = "<|endoftext|>"
    limit = 75

    def load(self, path: Path) -> Any:  # noqa: ANN401 - torch is not imported here
        """Returns the network; its sizes follow from the weights.

        Args:
            path: State dict of transformers' ``CLIPModel`` or ``CLIPTextModelWithProjection``.
        """
        import_torchvision()  # transformers imports it
        from transformers import CLIPTextConfig, CLIPTextModelWithProjection  # heavy

        state = load_state(path)
        first, last = self._marks
        config = CLIPTextConfig.from_dict(
            {**text_sizes(state), "hidden_act": "quick_gelu", "bos_token_id": first, "eos_token_id": last}
        )
        model: Any = CLIPTextModelWithProjection  # its methods have no types
        network = model(config)
        fill(network, state, superfluous=_OTHER_TOWER)
        return network

    def embed(self, ids: Any) -> Any:  # noqa: ANN401 - torch is not imported here
        """Returns the projected state at the end of the text."""
        return self._network(input_ids=ids).text_embeds[0]


def text_sizes(state: Mapping[str, Any]) -> dict[str, int]:
    """Returns the sizes of a CLIP text network, as ``CLIPTextConfig`` names them, from the shapes of its weights.

    Args:
        state: A state dict of transformers.

    Raises:
        ValueError: If it is none of CLIP's text side.
    """
    try:
        projection, width = state["text_projection.weight"].shape
        vocabulary = state["text_model.embeddings.token_embedding.weight"].shape[0]
        positions = state["text_model.embeddings.position_embedding.weight"].shape[0]
        inner = state["text_model.encoder.layers.0.mlp.fc1.weight"].shape[0]
    except KeyError as error:
        raise ValueError(f"these weights are not of CLIP's text network: {error} is missing") from error
    layers = sum(name.endswith("mlp.fc1.weight") and name.startswith("text_model.") for name in state)
    return {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": inner,
        "projection_dim": projection,
        "num_hidden_layers": layers,
        "num_attention_heads": width // HEAD_SIZE,
        "max_position_embeddings": positions,
    }
