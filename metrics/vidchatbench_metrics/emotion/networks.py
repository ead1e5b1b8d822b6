"""The networks of this family, and what a metric's parameters make of its card."""

from __future__ import annotations

from collections.abc import Mapping

from vidchatbench.api import MetricCard, Param
from vidchatbench_metrics.common.networks import Network, Networks

HSEMOTION_CLASSES = ("anger", "contempt", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
"""In the order of the networks' outputs; EmotiEffLib, ``facial_analysis.py``."""

FER_CLASSES = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
"""In the order of the network's outputs; face_classification, ``get_labels('fer2013')``."""


def _networks(*known: Network, hashed: str) -> Networks:
    return Networks(
        known,
        hashed_label=f"{hashed}-{{digits}}",
        hashed_title="of sha256 {digits}...",
        hashed_license="unknown, the network was named by its hash; MTCNN: MIT",
    )


DEEP3D = _networks(Network("epoch_20", "deep3d_epoch20", label="deep3d-epoch20"), hashed="deep3d-torch")
TDDFA = _networks(Network("mb05_120x120", "tddfa_mb05", label="tddfa-mb05"), hashed="tddfa-torch")
FER = _networks(Network("mini_xception", "fer2013_mini_xception", label="fer-mini_xception"), hashed="fer-keras")
_WITH_AFFECT = Network("enet_b0_8_va_mtl", "hsemotion_enet_b0_8_va_mtl")
HSEMOTION = _networks(
    Network("enet_b0_8_best_vgaf", "hsemotion_enet_b0_8_best_vgaf"),
    _WITH_AFFECT,
    Network("enet_b2_8", "hsemotion_enet_b2_8"),
    hashed="torch",
)

VALENCE_AROUSAL = _networks(_WITH_AFFECT, hashed="torch")
"""Those of :data:`HSEMOTION` that also give valence and arousal."""


def varied_card(networks: Networks, card: MetricCard, params: Mapping[str, Param], fps: float) -> MetricCard:
    """Returns the card of a metric for its parameters; another network or frame rate is another protocol.

    Args:
        networks: The networks it runs with.
        card: The card for the defaults.
        params: The metric's parameters; ``network`` is read.
        fps: Frames per second.

    Raises:
        ValueError: If the network is unknown, or the frame rate is not positive.
    """
    network = networks.find(str(params["network"]))
    if not fps > 0:
        raise ValueError(f"fps must be positive, not {fps:g}")
    return networks.card(card, network.name, fps=f"{fps:g}")
