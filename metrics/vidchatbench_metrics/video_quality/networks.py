"""Which weights the networks of the distribution metrics have, by their short names."""

from __future__ import annotations

BY_HASH = "sha256:"

NETWORKS = {
    "pt-inception": "inception_fid",
    "i3d-sgv": "i3d_torchscript",
    "clip-vit-l14-336": "clip_vit_l14_336",
}
"""Short names of the networks in the weights table."""


def weight_of(network: str) -> str:
    """Returns the weights table's name of a network: a short name, or ``sha256:<64 hex digits>`` for any other."""
    return NETWORKS.get(network, network)
