"""Sentence embeddings of all-MiniLM-L6-v2: BERT of six layers, mean over tokens, through transformers' network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vidchatbench_metrics.common.torch_weights import fill, load_state
from vidchatbench_metrics.dialogue.text_encoder import TextEncoder
from vidchatbench_metrics.faces.torchvision_import import import_torchvision

HEAD_SIZE = 32
"""Channels of an attention head of MiniLM-L6; a state dict does not tell."""

_SUPERFLUOUS = ("pooler.", "embeddings.position_ids")


class SentenceText(TextEncoder):
    """Mean of the final states of all tokens, of length 1; pieces of 254 tokens, what sentence-transformers takes."""

    first = "[CLS]"
    last = "[SEP]"
    limit = 254

    def load(self, path: Path) -> Any:  # noqa: ANN401 - torch is not imported here
        """Returns the network; its sizes follow from the weights.

        Args:
            path: State dict of transformers' ``BertModel``.
        """
        import_torchvision()  # transformers imports it
        from transformers import BertConfig, BertModel  # heavy

        state = load_state(path)
        config = BertConfig.from_dict({**bert_sizes(state), "hidden_act": "gelu", "layer_norm_eps": 1e-12})
        model: Any = BertModel  # its methods have no types
        network = model(config, add_pooling_layer=False)
        fill(network, state, superfluous=_SUPERFLUOUS)
        return network

    def embed(self, ids: Any) -> Any:  # noqa: ANN401 - torch is not imported here
        """Returns the mean over all tokens, the marks among them."""
        return self._network(input_ids=ids).last_hidden_state[0].mean(dim=0)


def bert_sizes(state: Mapping[str, Any]) -> dict[str, int]:
    """Returns the sizes of a BERT network, as ``BertConfig`` names them, from the shapes of its weights.

    Args:
        state: A state dict of transformers.

    Raises:
        ValueError: If it is none of BERT.
    """
    try:
        vocabulary, width = state["embeddings.word_embeddings.weight"].shape
        positions = state["embeddings.position_embeddings.weight"].shape[0]
        types = state["embeddings.token_type_embeddings.weight"].shape[0]
        inner = state["encoder.layer.0.intermediate.dense.weight"].shape[0]
    except KeyError as error:
        raise ValueError(f"these weights are not of BERT: {error} is missing") from error
    return {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": sum(name.endswith(".intermediate.dense.weight") for name in state),
        "num_attention_heads": width // HEAD_SIZE,
        "max_position_embeddings": positions,
        "type_vocab_size": types,
    }
