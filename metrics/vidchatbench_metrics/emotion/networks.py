"""Which networks a metric of this family may run with, and what that makes of its card."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from vidchatbench.api import MetricCard, Param

_BY_HASH = re.compile(r"sha256:[0-9a-f]{64}")
_UNKNOWN = "unknown, the network was named by its hash; MTCNN: MIT"


@dataclass(frozen=True)
class Networks:
    """Networks of one interface.

    Attributes:
        weights: Short name of each network to its name in the weights table; the first is the default.
        labels: Short name of each network to its name in protocol ids.
        by_hash: Beginning of the protocol id's name of a network that was named by its hash.
    """

    weights: Mapping[str, str]
    labels: Mapping[str, str]
    by_hash: str

    @property
    def default(self) -> str:
        """Short name of the default."""
        return next(iter(self.weights))

    def weight_of(self, network: str) -> str:
        """Returns the weights table's name of a network.

        Args:
            network: A short name, or ``sha256:<64 hex digits>`` for any file in the weights mirror.

        Raises:
            ValueError: If it is neither.
        """
        if network in self.weights:
            return self.weights[network]
        if not _BY_HASH.fullmatch(network):
            raise ValueError(
                f"there is no network {network!r}; use {', '.join(self.weights)} or sha256:<64 hex digits>"
            )
        return network

    def card(self, card: MetricCard, params: Mapping[str, Param], fps: float) -> MetricCard:
        """Returns the card of a metric for its parameters; another network or frame rate is another protocol.

        Args:
            card: The card for the defaults: the default network at 5 frames a second.
            params: The metric's parameters; ``network`` is read.
            fps: Frames per second.

        Raises:
            ValueError: If the network is unknown, or the frame rate is not positive.
        """
        network = str(params["network"])
        weight = self.weight_of(network)
        if not fps > 0:
            raise ValueError(f"fps must be positive, not {fps:g}")
        known = network in self.weights
        digits = network.removeprefix("sha256:")[:12]
        label = self.labels[network] if known else f"{self.by_hash}-{digits}"
        protocol = f"{card.protocol.partition('/')[0]}/{label}-{fps:g}fps-v1"
        if protocol == card.protocol:
            return card
        text = card.protocol_text.replace(self.default, network if known else f"of sha256 {digits}...")
        changes: dict[str, object] = {} if known else {"weights_license": _UNKNOWN, "commercial_use": False}
        return card.vary(
            protocol=protocol,
            protocol_text=text.replace("5 frames a second", f"{fps:g} frames a second"),
            weights=(weight, *card.weights[1:]),
            **changes,
        )


DEEP3D = Networks({"epoch_20": "deep3d_epoch20"}, {"epoch_20": "deep3d-epoch20"}, "deep3d-torch")
TDDFA = Networks({"mb05_120x120": "tddfa_mb05"}, {"mb05_120x120": "tddfa-mb05"}, "tddfa-torch")
FER = Networks({"mini_xception": "fer2013_mini_xception"}, {"mini_xception": "fer-mini_xception"}, "fer-keras")

_EMOTION = ("enet_b0_8_best_vgaf", "enet_b0_8_va_mtl", "enet_b2_8")
HSEMOTION = Networks({name: f"hsemotion_{name}" for name in _EMOTION}, {name: name for name in _EMOTION}, "torch")
VALENCE_AROUSAL = Networks(
    {"enet_b0_8_va_mtl": "hsemotion_enet_b0_8_va_mtl"}, {"enet_b0_8_va_mtl": "enet_b0_8_va_mtl"}, "torch"
)
"""Those of :data:`HSEMOTION` that also give valence and arousal."""

HSEMOTION_CLASSES = ("anger", "contempt", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
"""In the order of the networks' outputs; EmotiEffLib, ``facial_analysis.py``."""

FER_CLASSES = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
"""In the order of the network's outputs; face_classification, ``get_labels('fer2013')``."""
