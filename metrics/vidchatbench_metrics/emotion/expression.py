"""``emotion/expression_fd`` and ``/expression_kd``: distances of the replies' expressions to the real ones, as sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from vidchatbench.api import (
    Array,
    ExtractorSpec,
    Feature,
    MetricCard,
    Need,
    Role,
    Score,
    SetDistance,
    SetItem,
    SetMetric,
    load_card,
)
from vidchatbench_metrics.common.networks import Networks
from vidchatbench_metrics.common.set_distances import FrechetDistance, PolynomialMmd
from vidchatbench_metrics.emotion.networks import DEEP3D, TDDFA, varied_card
from vidchatbench_metrics.emotion.responder import coverage, missing_face


class _Expression(SetMetric):
    """Compares the expression coefficients of all frames of all samples.

    Parameters:
        network: The default one, or ``sha256:<64 hex>`` for any of its architecture in the weights mirror.
        fps: Frames per second that are read.
    """

    networks: ClassVar[Networks]
    extractor: ClassVar[str]

    def make_card(self) -> MetricCard:
        """Returns the card; another network or frame rate is another protocol."""
        return varied_card(self.networks, self.default_card, self.params, self.number("fps"))

    def needs(self) -> tuple[Need, ...]:
        """Coefficients of candidate and reference."""
        spec = ExtractorSpec.of(self.extractor, network=self.params["network"], fps=self.params["fps"])
        return (Need("candidate", spec, (Role.CANDIDATE,)), Need("reference", spec, (Role.REFERENCE,)))

    def item(self, features: Mapping[str, Feature]) -> SetItem | Score:
        """Returns the coefficients of both sides; either side must show the face in half of its frames."""
        candidate, reference = features["candidate"], features["reference"]
        details = {
            "frames": len(candidate["index"]),
            "coverage": coverage(candidate),
            "reference_frames": len(reference["index"]),
            "reference_coverage": coverage(reference),
        }
        # The reference goes first: which samples leave the denominator must not depend on the candidate.
        if reason := missing_face(reference):
            return Score.not_applicable(f"reference: {reason}", **details)
        if reason := missing_face(candidate):
            return Score.invalid(reason, **details)
        return SetItem(candidate["expression"], reference["expression"], details)


class _Frechet(_Expression):
    def distance(self, candidates: Sequence[Array], references: Sequence[Array]) -> SetDistance:
        """Fréchet distance of two Gaussians with sample covariances."""
        return FrechetDistance(candidates, references, ddof=1)


class _Kernel(_Expression):
    def distance(self, candidates: Sequence[Array], references: Sequence[Array]) -> SetDistance:
        """Squared maximum mean discrepancy of the kernel ``(x y / d + 1)^3``, unbiased for paired sets."""
        return PolynomialMmd(candidates, references, degree=3, gamma=None, coef0=1.0)


class ExpressionFrechet(_Frechet):
    """Fréchet distance over Deep3DFaceRecon's 64 expression coefficients, lower is better."""

    default_card = load_card(__package__, "cards/expression_fd.toml")
    defaults = {"network": DEEP3D.default, "fps": 5}
    networks = DEEP3D
    extractor = "emotion/deep3d_coefficients"


class ExpressionKernel(_Kernel):
    """Kernel distance over Deep3DFaceRecon's 64 expression coefficients, lower is better."""

    default_card = load_card(__package__, "cards/expression_kd.toml")
    defaults = {"network": DEEP3D.default, "fps": 5}
    networks = DEEP3D
    extractor = "emotion/deep3d_coefficients"


class LightExpressionFrechet(_Frechet):
    """Fréchet distance over 3DDFA_V2's 10 expression coefficients, lower is better."""

    default_card = load_card(__package__, "cards/expression_fd_tddfa.toml")
    defaults = {"network": TDDFA.default, "fps": 5}
    networks = TDDFA
    extractor = "emotion/tddfa_coefficients"


class LightExpressionKernel(_Kernel):
    """Kernel distance over 3DDFA_V2's 10 expression coefficients, lower is better."""

    default_card = load_card(__package__, "cards/expression_kd_tddfa.toml")
    defaults = {"network": TDDFA.default, "fps": 5}
    networks = TDDFA
    extractor = "emotion/tddfa_coefficients"
