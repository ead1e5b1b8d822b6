"""How a metric chooses between the two rules by which faces become tracks: its parameter ``linking``."""

from __future__ import annotations

from vidchatbench.api import ExtractorSpec, MetricCard, Param
from vidchatbench_metrics.faces.linking import MIN_COSINE

FACE_TRACKS = {"time": "faces/mtcnn", "embedding": "identity/face_tracks"}
"""The extractor of each value of the parameter; the first is the default, and the one that every suite uses."""

LINKING_WEIGHT = "arcface_mobilefacenet"
LINKING_LICENSE = "MobileFaceNet: Apache-2.0"

_WITHOUT = "No network looks at whose face it is."
_WITH = f"""MobileFaceNet looks at whose face it is, in the key frame that was scaled down, aligned by five landmarks
to the ArcFace template of 112 x 112: a detection continues a tracklet, and a tracklet joins a track, only where the
highest cosine of a face of the one and a face of the other is {MIN_COSINE} or more."""


def face_tracks(linking: Param) -> ExtractorSpec:
    """Returns the extractor of face tracks that a metric's parameter ``linking`` names.

    Raises:
        ValueError: If there is none of that name.
    """
    if not isinstance(linking, str) or linking not in FACE_TRACKS:
        raise ValueError(f"linking is {linking!r}; it must be {' or '.join(FACE_TRACKS)}")
    return ExtractorSpec.of(FACE_TRACKS[linking])


def linked_card(card: MetricCard, linking: Param) -> MetricCard:
    """Returns the card of a metric whose face tracks are linked so; by embeddings is a protocol of its own.

    Raises:
        ValueError: If there is no linking of that name, or the card does not say how faces are linked.
    """
    if face_tracks(linking).id == FACE_TRACKS["time"]:
        return card
    if _WITHOUT not in card.protocol_text:
        raise ValueError(f"{card.id}: its protocol text does not say how faces are linked")
    base, _, version = card.protocol.rpartition("-")
    weights = card.weights if LINKING_WEIGHT in card.weights else (*card.weights, LINKING_WEIGHT)
    license_text = card.weights_license or ""
    return card.vary(
        protocol=f"{base}-linked_by_mobilefacenet-{version}",
        protocol_text=card.protocol_text.replace(_WITHOUT, _WITH),
        weights=weights,
        weights_license=license_text if "Apache-2.0" in license_text else f"{license_text}; {LINKING_LICENSE}",
    )
