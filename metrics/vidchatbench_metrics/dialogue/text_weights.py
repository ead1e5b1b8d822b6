"""The text encoders of the ladder: their files, and how a network is named in a metric's parameters.

CLIP is taken from the safetensors file of openai/clip-vit-large-patch14, not from OpenAI's ViT-L-14.pt (sha256
b8cca3fd...): that one is a TorchScript archive, which torch reads only by running code out of it, while this one is the
conversion of the same weights that everybody's transformers loads, holds numbers alone, and has a published hash too.
"""

from __future__ import annotations

import re

from vidchatbench.api import MetricCard, WeightSpec

CLIP_VIT_L14 = "clip-vit-l14"
MINILM_L6 = "minilm-l6-v2"

_WEIGHTS = {CLIP_VIT_L14: "clip_vit_l14", MINILM_L6: "minilm_l6_v2"}
_TOKENIZERS = {CLIP_VIT_L14: "clip_tokenizer", MINILM_L6: "minilm_l6_v2_tokenizer"}
_BY_HASH = re.compile(r"sha256:[0-9a-f]{64}")
_SHOWN_DIGITS = 12

_CLIP_REPOSITORY = (
    "https://huggingface.co/openai/clip-vit-large-patch14/resolve/32bd64288804d66eefd0ccbe215aa642df71cc41"
)
_MINILM_REPOSITORY = (
    "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2/resolve/1110a243fdf4706b3f48f1d95db1a4f5529b4d41"
)

TEXT_WEIGHTS: tuple[WeightSpec, ...] = (
    WeightSpec(
        name="clip_vit_l14",
        file_name="clip-vit-large-patch14.safetensors",
        sha256="a2bf730a0c7debf160f7a6b50b3aaf3703e7e88ac73de7a314903141db026dcb",
        size=1_710_540_580,
        urls=(f"{_CLIP_REPOSITORY}/model.safetensors",),
        license="MIT (openai/CLIP)",
        commercial_use=True,
        origin="OpenAI's CLIP ViT-L/14, trained on 400 million pairs of pictures and texts from the web",
    ),
    WeightSpec(
        name="clip_tokenizer",
        file_name="clip-tokenizer.json",
        sha256="a83e0809aa4c3af7208b2df632a7a69668c6d48775b3c3fe4e1b1199d1f8b8f4",
        size=2_224_003,
        urls=(f"{_CLIP_REPOSITORY}/tokenizer.json",),
        license="MIT (openai/CLIP)",
        commercial_use=True,
        origin="the byte pairs of OpenAI's CLIP (bpe_simple_vocab_16e6) in the form of the tokenizers library",
    ),
    WeightSpec(
        name="minilm_l6_v2",
        file_name="all-MiniLM-L6-v2.safetensors",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        size=90_868_376,
        urls=(f"{_MINILM_REPOSITORY}/model.safetensors",),
        license="Apache-2.0",
        commercial_use=True,
        origin="sentence-transformers; MiniLM (6 layers) fine-tuned on over a billion pairs of English sentences",
    ),
    WeightSpec(
        name="minilm_l6_v2_tokenizer",
        file_name="all-MiniLM-L6-v2-tokenizer.json",
        sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        size=466_247,
        urls=(f"{_MINILM_REPOSITORY}/tokenizer.json",),
        license="Apache-2.0",
        commercial_use=True,
        origin="sentence-transformers; word pieces of BERT base uncased",
    ),
)


def weight_of(network: str) -> str:
    """Returns the weights table's name of a network: a short name, or ``sha256:<64 hex digits>`` for any other."""
    return _WEIGHTS.get(network, network)


def tokenizer_of(tokenizer: str) -> str:
    """Returns the weights table's name of a tokenizer, given by its network's short name or by its own hash."""
    return _TOKENIZERS.get(tokenizer, tokenizer)


def card_for(card: MetricCard, official: str, network: str, tokenizer: str) -> MetricCard:
    """Returns the card for an encoder that is named by its hashes: another protocol, of unknown licence.

    Args:
        card: The card for the official network, whose name is part of its protocol id.
        official: Short name of the official network.
        network: The network asked for.
        tokenizer: The tokenizer asked for.

    Raises:
        ValueError: If one of them is neither the official one nor named by its hash.
    """
    if network == tokenizer == official:
        return card
    for kind, name in (("network", network), ("tokenizer", tokenizer)):
        if name != official and _BY_HASH.fullmatch(name) is None:
            raise ValueError(f"{card.id} has no {kind} {name!r}; use {official} or sha256:<64 hex digits>")
    shown = "-".join(
        f"{kind}-{name.partition(':')[2][:_SHOWN_DIGITS]}"
        for kind, name in (("net", network), ("tok", tokenizer))
        if name != official
    )
    return card.vary(
        protocol=card.protocol.replace(official, shown),
        protocol_text=f"{card.protocol_text.rstrip()} Encoder: {shown} in place of the official one.\n",
        weights=(weight_of(network), tokenizer_of(tokenizer), *card.weights[2:]),
        weights_license="unknown, the encoder was named by its hash",
        commercial_use=False,
    )
