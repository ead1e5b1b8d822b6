"""``video_quality/lpips``: how far the pictures are from those of the real reply, to a network's eye."""

from __future__ import annotations

from collections.abc import Mapping

from vidchatbench.api import ExtractorSpec, Feature, MetricCard, Need, Role, Sample, Score, Status, load_card
from vidchatbench_metrics.video_quality.paired import _Paired
from vidchatbench_metrics.video_quality.perceptual_network import NETWORKS


class Lpips(_Paired):
    """LPIPS (AlexNet, version 0.1) against the real reply, 0 or more, lower is better.

    Parameters:
        fps: Frame pairs per second.
        network: ``alex`` (the official one), or ``sha256:<64 hex>`` for any state dict of torchvision's ``alexnet``
            that lies in the weights mirror.
    """

    default_card = load_card(__package__, "lpips.toml")
    defaults = {"fps": 25, "network": "alex"}
    extractor = "video_quality/lpips_frames"
    family = "lpips"

    def make_card(self) -> MetricCard:
        """Returns the card; another frame rate or backbone is another protocol.

        Raises:
            ValueError: If the network is neither known nor named by its hash.
        """
        card, fps, network = self.default_card, int(self.number("fps")), str(self.params["network"])
        if self.params == self.defaults:
            return card
        text = card.protocol_text.replace("25 frame pairs a second", f"{fps} frame pairs a second")
        if network in NETWORKS:
            return card.vary(protocol=f"lpips/{network}-v0.1-cover480x768-{fps}fps-v1", protocol_text=text)
        if not network.startswith("sha256:"):
            raise ValueError(
                f"{card.id} has no network {network!r}; use {', '.join(NETWORKS)} or sha256:<64 hex digits>"
            )
        name = f"alex-{network.removeprefix('sha256:')[:12]}"
        return card.vary(
            protocol=f"lpips/{name}-v0.1-cover480x768-{fps}fps-v1",
            protocol_text=text.replace("alexnet-owt-7be5be79", name),
            weights=(network, *card.weights[1:]),
            weights_license="unknown, the network was named by its hash",
            commercial_use=False,
        )

    def needs(self) -> tuple[Need, ...]:
        """Frame-wise distances of candidate and reference."""
        spec = ExtractorSpec.of(self.extractor, fps=self.params["fps"], network=self.params["network"])
        return (Need("frames", spec, (Role.CANDIDATE, Role.REFERENCE)),)

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Averages the frame-wise distances."""
        score = super().score(sample, features)
        if score.status is not Status.OK or score.value is None:
            return score
        # The frame that is worst is the one of the greatest distance.
        return Score.ok(score.value, **score.details, highest=float(features["frames"]["value"].max()))
