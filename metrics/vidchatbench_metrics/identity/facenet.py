"""``identity/facenet``: likeness to the given face by a network whose weights come under a permissive licence."""

from __future__ import annotations

from vidchatbench.api import load_card
from vidchatbench_metrics.identity.likeness import FACENET, FaceLikeness


class Facenet(FaceLikeness):
    """Mean cosine of the face's FaceNet embedding to that of the reference image, in -1..1, higher is better.

    Parameters:
        network: ``vggface2`` (the official one), or ``sha256:<64 hex>`` for any state dict of facenet-pytorch's
            ``InceptionResnetV1`` that lies in the weights mirror.
        fps: Frames per second that are compared.
    """

    default_card = load_card(__package__, "cards/facenet.toml")
    defaults = {"network": "vggface2", "fps": 25}
    recogniser = FACENET
    protocol_name = "facenet/"
