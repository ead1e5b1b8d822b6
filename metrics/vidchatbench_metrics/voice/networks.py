"""The networks of SIM-o and UTMOS, and what the choice of one makes of a metric's card."""

from __future__ import annotations

from vidchatbench.api import MetricCard
from vidchatbench_metrics.common.networks import Network, Networks

_UNKNOWN = "unknown, the network was named by its hash; Silero VAD: MIT"
WAVLM_LARGE = Networks((Network("wavlm_large", "wavlm_large_finetune"),), hashed_license=_UNKNOWN)
UTMOS22_STRONG = Networks((Network("utmos22_strong", "utmos22_strong"),), hashed_license=_UNKNOWN)


def varied_card(networks: Networks, card: MetricCard, network: str) -> MetricCard:
    """Returns the card for a network; one named by its hash is another protocol, of unknown licence.

    Args:
        networks: The networks that the metric runs with.
        card: The card for the official network.
        network: The network asked for.

    Raises:
        ValueError: If there is no such network.
    """
    other = networks.find(network, card.id)
    note = "" if other.name == networks.default else f" Network: {other.in_text} in place of the official one."
    return networks.card(card, network, note=note)
