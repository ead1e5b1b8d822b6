"""The networks whose features the distances between sets are made of."""

from __future__ import annotations

from vidchatbench_metrics.common.networks import Network, Networks


def _networks(name: str, weight: str) -> Networks:
    return Networks((Network(name, weight),), hashed_label="sha256-{digits}")


INCEPTION = _networks("pt-inception", "inception_fid")
I3D = _networks("i3d-sgv", "i3d_torchscript")
CLIP_IMAGE = _networks("clip-vit-l14-336", "clip_vit_l14_336")
