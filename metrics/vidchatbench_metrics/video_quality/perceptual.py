"""``video_quality/lpips`` and ``/lpips_face``: how far the pictures are from the real reply's, to a network's eye."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from vidchatbench.api import ExtractorSpec, Feature, MetricCard, Need, Role, Sample, Score, Status, load_card
from vidchatbench_metrics.common.geometry import SHORTEST_COMMON
from vidchatbench_metrics.video_quality.perceptual_network import NETWORKS
from vidchatbench_metrics.video_quality.psnr_ssim import _Paired

LEAST_COVERAGE = 0.5
"""Share of the frame pairs in common that must show the responder's face on both sides."""


class Lpips(_Paired):
    """LPIPS (AlexNet, version 0.1) against the real reply, 0 or more, lower is better.

    Parameters:
        fps: Frame pairs per second.
        network: ``alex`` (the official one), or ``sha256:<64 hex>`` for any state dict of torchvision's ``alexnet``
            that lies in the weights mirror.
    """

    default_card = load_card(__package__, "cards/lpips.toml")
    defaults = {"fps": 25, "network": "alex"}
    extractor = "video_quality/lpips_frames"
    family = "lpips"
    geometry: ClassVar[str] = "cover480x768"

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
            return card.vary(protocol=f"lpips/{network}-v0.1-{self.geometry}-{fps}fps-v1", protocol_text=text)
        if not network.startswith("sha256:"):
            raise ValueError(
                f"{card.id} has no network {network!r}; use {', '.join(NETWORKS)} or sha256:<64 hex digits>"
            )
        name = f"alex-{network.removeprefix('sha256:')[:12]}"
        return card.vary(
            protocol=f"lpips/{name}-v0.1-{self.geometry}-{fps}fps-v1",
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


class LpipsFace(Lpips):
    """LPIPS of the responder's face against that of the real reply, 0 or more, lower is better.

    Parameters:
        fps: Frame pairs per second.
        network: ``alex`` (the official one), or ``sha256:<64 hex>`` for any state dict of torchvision's ``alexnet``
            that lies in the weights mirror.
    """

    default_card = load_card(__package__, "cards/lpips_face.toml")
    extractor = "video_quality/lpips_faces"
    geometry = "face1.3-256"

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Averages over the frame pairs with both faces; where they are too few, the side that lacks its face decides.

        A real reply that shows its face in under half of the pairs cannot give the score. Otherwise it is the reply's
        fault if it shows its own in fewer pairs than the real one does.
        """
        found = features["frames"]
        counts = {
            "common": int(found.number("frames")),
            "faces": int(found.number("first_faces")),
            "reference_faces": int(found.number("second_faces")),
        }
        pairs, least = len(found["value"]), LEAST_COVERAGE * counts["common"]
        if found.number("seconds") >= SHORTEST_COMMON and pairs < least:
            wanted = f"of {counts['common']} frames in common; at least half is needed"
            if counts["reference_faces"] < least:
                reason = f"the real reply shows the responder's face in {counts['reference_faces']} {wanted}"
                return Score.not_applicable(reason, **counts)
            if counts["faces"] < counts["reference_faces"]:
                reason = f"the reply shows the responder's face in {counts['faces']}, together with the real one in"
                return Score.invalid(f"{reason} {pairs}, {wanted}", **counts)
            return Score.not_applicable(f"both replies show the responder's face in {pairs} {wanted}", **counts)
        score = super().score(sample, features)
        return replace(score, details={**score.details, **counts})
