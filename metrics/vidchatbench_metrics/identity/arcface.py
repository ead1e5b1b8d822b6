"""``identity/arcface``: likeness of the responder's face to the face that the system was given."""

from __future__ import annotations

from vidchatbench.api import load_card
from vidchatbench_metrics.identity.likeness import ARCFACE, FaceLikeness


class ArcFace(FaceLikeness):
    """Mean cosine of the face's ArcFace embedding to that of the reference image, in -1..1, higher is better.

    Parameters:
        network: ``w600k_r50`` (the official one), ``mobilefacenet`` (small, permissive), or ``sha256:<64 hex>`` for
            any network of that interface whose file lies in the weights mirror.
        fps: Frames per second that are compared.
    """

    default_card = load_card(__package__, "cards/arcface.toml")
    defaults = {"network": "w600k_r50", "fps": 25}
    recogniser = ARCFACE
    protocol_name = "arcface/"
