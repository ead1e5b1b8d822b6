"""``emotion/valence_ccc`` and ``/arousal_ccc``: whether pleasure and excitement rise and fall as in the real reply."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from vidchatbench.api import Array, ExtractorSpec, Feature, Metric, MetricCard, Need, Role, Sample, Score, load_card
from vidchatbench_metrics.emotion.common_time import in_step
from vidchatbench_metrics.emotion.networks import VALENCE_AROUSAL, varied_card


def concordance(first: Array, second: Array) -> float:
    """Lin's concordance correlation coefficient, in -1..1: 1 only for equal series.

    ``2 cov / (var1 + var2 + (mean1 - mean2)^2)`` with population moments; Lin 1989, "A concordance correlation
    coefficient to evaluate reproducibility". Two equal constants, for which that is 0 / 0, agree: 1. A constant and any
    other series have no covariance: 0.

    Args:
        first: Of shape (n,), n >= 1.
        second: Of shape (n,).
    """
    one, two = first.astype(np.float64), second.astype(np.float64)
    apart = float(one.mean() - two.mean())
    # The mean of equal numbers can differ from them by the last bit, which would pass for a variance.
    rest = one - one.mean() if np.ptp(one) > 0 else np.zeros_like(one)
    other = two - two.mean() if np.ptp(two) > 0 else np.zeros_like(two)
    spread = float((rest**2).mean() + (other**2).mean()) + apart**2
    if spread == 0.0:
        return 1.0
    return float(np.clip(2 * float((rest * other).mean()) / spread, -1.0, 1.0))


class _Concordance(Metric):
    """Concordance of one quantity over the grid points at which both sides show the face.

    Parameters:
        network: ``enet_b0_8_va_mtl``, or ``sha256:<64 hex>`` for any with valence and arousal in the weights mirror.
        fps: Frames per second that are read.
    """

    defaults = {"network": VALENCE_AROUSAL.default, "fps": 5}
    quantity: ClassVar[str]

    def make_card(self) -> MetricCard:
        """Returns the card; another network or frame rate is another protocol."""
        return varied_card(VALENCE_AROUSAL, self.default_card, self.params, self.number("fps"))

    def needs(self) -> tuple[Need, ...]:
        """Valence and arousal of candidate and reference."""
        network, fps = self.params["network"], self.params["fps"]
        spec = ExtractorSpec.of("emotion/hsemotion_frames", network=network, fps=fps)
        return (Need("candidate", spec, (Role.CANDIDATE,)), Need("reference", spec, (Role.REFERENCE,)))

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Compares the two series.

        Raises:
            ValueError: If the network gives no valence and arousal.
        """
        del sample
        candidate, reference = features["candidate"], features["reference"]
        for feature in (candidate, reference):
            if len(feature[self.quantity]) != len(feature["index"]):
                raise ValueError(f"the network {self.params['network']} gives no {self.quantity}")
        compared = in_step(candidate, reference)
        if isinstance(compared, Score):
            return compared
        ours = candidate[self.quantity][compared.candidate]
        theirs = reference[self.quantity][compared.reference]
        return Score.ok(
            concordance(ours, theirs),
            mean=float(ours.mean(dtype=np.float64)),
            reference_mean=float(theirs.mean(dtype=np.float64)),
            deviation=float(ours.std(dtype=np.float64)),
            reference_deviation=float(theirs.std(dtype=np.float64)),
            **compared.details,
        )


class ValenceConcordance(_Concordance):
    """Concordance of valence (unpleasant to pleasant), in -1..1, higher is better."""

    default_card = load_card(__package__, "cards/valence_ccc.toml")
    quantity = "valence"


class ArousalConcordance(_Concordance):
    """Concordance of arousal (calm to excited), in -1..1, higher is better."""

    default_card = load_card(__package__, "cards/arousal_ccc.toml")
    quantity = "arousal"
