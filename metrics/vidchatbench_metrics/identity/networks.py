"""The face recognition networks."""

from __future__ import annotations

from vidchatbench_metrics.common.networks import Network, Networks

ARCFACE = Networks(
    (
        Network("w600k_r50", "arcface_w600k_r50"),
        Network("mobilefacenet", "arcface_mobilefacenet", license="Apache-2.0; MTCNN: MIT", commercial_use=True),
    ),
    hashed_label="onnx-{digits}",
)

FACENET = Networks((Network("vggface2", "facenet_vggface2"),), hashed_label="torch-{digits}")
