"""``identity/arcface``: likeness of the responder's face to the face that the system was given."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vidchatbench.api import ExtractorSpec, Feature, Metric, MetricCard, Need, Role, Sample, Score, load_card
from vidchatbench_metrics.identity.network import NETWORKS, weight_of

LEAST_COVERAGE = 0.5
"""Share of frames that must show the face."""

_LICENSES = {
    "w600k_r50": ("insightface models: non-commercial research only; MTCNN: MIT", False),
    "mobilefacenet": ("Apache-2.0; MTCNN: MIT", True),
}


class ArcFace(Metric):
    """Mean cosine of the face's embedding to that of the reference image, in -1..1, higher is better.

    Parameters:
        network: ``w600k_r50`` (the official one), ``mobilefacenet`` (small, permissive), or ``sha256:<64 hex>`` for
            any network of that interface whose file lies in the weights mirror.
        fps: Frames per second that are compared.
    """

    default_card = load_card(__package__, "arcface.toml")
    defaults = {"network": "w600k_r50", "fps": 25}

    def make_card(self) -> MetricCard:
        """Returns the card; another network or frame rate is another protocol."""
        if self.params == self.defaults:
            return self.default_card
        network, fps = str(self.params["network"]), int(self.number("fps"))
        weight = weight_of(network)
        if network not in NETWORKS and not weight.startswith("sha256:"):
            raise ValueError(
                f"identity/arcface has no network {network!r}; use {', '.join(NETWORKS)} or sha256:<64 hex digits>"
            )
        name = network if network in NETWORKS else f"onnx-{weight.removeprefix('sha256:')[:12]}"
        license_text, commercial = _LICENSES.get(network, ("unknown, the network was named by its hash", False))
        card = self.default_card
        text = card.protocol_text.replace("w600k_r50", name).replace("25 frames a second", f"{fps} frames a second")
        return card.vary(
            protocol=f"arcface/{name}-{fps}fps-v1",
            protocol_text=text,
            weights=(weight, *card.weights[1:]),
            weights_license=license_text,
            commercial_use=commercial,
        )

    def needs(self) -> tuple[Need, ...]:
        """Embeddings of the candidate's frames and of the reference image."""
        network = self.params["network"]
        frames = ExtractorSpec.of("identity/arcface_frames", network=network, fps=self.params["fps"])
        reference = ExtractorSpec.of("identity/arcface_reference", network=network)
        return (
            Need("frames", frames, (Role.CANDIDATE,)),
            Need("reference", reference, (Role.REFERENCE_IMAGE,)),
        )

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Averages the cosines over the frames that show the face."""
        del sample
        reference = features["reference"]["embedding"].astype(np.float64)
        if reference.size == 0:
            return Score.not_applicable("no face was found in the reference image")
        embeddings = features["frames"]["embedding"].astype(np.float64)
        frames = int(features["frames"].number("frames"))
        coverage = len(embeddings) / frames if frames else 0.0
        if len(embeddings) == 0 or coverage < LEAST_COVERAGE:
            return Score.invalid(
                f"the responder's face was found in {len(embeddings)} of {frames} frames; at least half is needed",
                frames=frames,
                coverage=coverage,
            )
        cosines = np.clip(embeddings @ reference, -1.0, 1.0)
        return Score.ok(float(cosines.mean()), frames=frames, coverage=coverage, lowest=float(cosines.min()))
