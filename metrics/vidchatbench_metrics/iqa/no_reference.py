"""``iqa/*``: quality of the pictures without anything to compare them with, as models trained on opinions see it.

The models are pyiqa's (extra ``[iqa]``); without that package the metrics are unavailable and everything else runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from vidchatbench.api import ExtractorSpec, Feature, Metric, MetricCard, Need, Role, Sample, Score, load_card
from vidchatbench_metrics.video_quality.no_reference_network import MODELS, PYIQA_VERSION

LEAST_RATED = 0.5
"""Share of frames that the model must be able to rate."""


class _NoReference(Metric):
    """Mean of a model's ratings of single frames, each cut to the card's range.

    Parameters:
        fps: Frames per second that are rated.
        network: ``official``, or ``sha256:<64 hex>`` for any file that the model can be made of.
    """

    defaults = {"fps": 1, "network": "official"}
    model: ClassVar[str]

    def make_card(self) -> MetricCard:
        """Returns the card; another frame rate or file is another protocol.

        Raises:
            ValueError: If the network is neither the official one nor named by its hash.
        """
        card, fps, network = self.default_card, self.number("fps"), str(self.params["network"])
        if self.params == self.defaults:
            return card
        variant, text = MODELS[self.model].variant, card.protocol_text
        changes: dict[str, object] = {}
        if network != "official":
            if not network.startswith("sha256:"):
                raise ValueError(f"{card.id} has no network {network!r}; use official or sha256:<64 hex digits>")
            variant = f"file-{network.removeprefix('sha256:')[:12]}"
            text = text.replace(MODELS[self.model].file, variant)
            changes = {"weights": (network,), "weights_license": "unknown, the file was named by its hash"}
        if fps != self.defaults["fps"]:
            text = text.replace("1 frame a second", f"{fps:g} frames a second")
        protocol = f"{self.model}/pyiqa{PYIQA_VERSION}-{variant}-cover480x768-{fps:g}fps-v1"
        return card.vary(protocol=protocol, protocol_text=text, **changes)

    def needs(self) -> tuple[Need, ...]:
        """Ratings of the candidate's frames."""
        params = self.params
        spec = ExtractorSpec.of("iqa/frame_quality", model=self.model, fps=params["fps"], network=params["network"])
        return (Need("frames", spec, (Role.CANDIDATE,)),)

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Averages the ratings; a clip of which the model can rate less than half is the submission's fault."""
        del sample
        values, frames = features["frames"]["value"].astype(np.float64), int(features["frames"].number("frames"))
        if len(values) == 0 or len(values) < LEAST_RATED * frames:
            return Score.invalid(
                f"{self.model} could rate {len(values)} of {frames} frames; the others have no texture",
                frames=frames,
                rated=len(values),
            )
        cut = np.clip(values, self.card.minimum, self.card.maximum)
        return Score.ok(
            float(cut.mean()),
            frames=frames,
            rated=len(values),
            lowest=float(values.min()),
            highest=float(values.max()),
        )


class Musiq(_NoReference):
    """MUSIQ trained on KonIQ-10k, 0..100, higher is better."""

    default_card = load_card(__package__, "cards/musiq.toml")
    model = "musiq"


class Niqe(_NoReference):
    """NIQE, distance from the statistics of undistorted pictures, 0..100, lower is better."""

    default_card = load_card(__package__, "cards/niqe.toml")
    model = "niqe"


class ClipIqa(_NoReference):
    """CLIP-IQA with five pairs of prompts on CLIP's ResNet-50, 0..1, higher is better."""

    default_card = load_card(__package__, "cards/clipiqa.toml")
    model = "clipiqa"


class TopiqNr(_NoReference):
    """TOPIQ without a reference, trained on KonIQ-10k, 0..1, higher is better."""

    default_card = load_card(__package__, "cards/topiq_nr.toml")
    model = "topiq_nr"
