"""Identity: whether the responder stays the person the system was given."""

from __future__ import annotations

from vidchatbench.api import WeightSpec

METRICS = {"identity/arcface": "vidchatbench_metrics.identity.arcface:ArcFace"}

EXTRACTORS = {
    "identity/arcface_frames": "vidchatbench_metrics.identity.embeddings:ArcFaceFrames",
    "identity/arcface_reference": "vidchatbench_metrics.identity.embeddings:ArcFaceReference",
}

WEIGHTS = (
    WeightSpec(
        name="arcface_w600k_r50",
        file_name="w600k_r50.onnx",
        sha256="4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43",
        size=174_383_860,
        urls=("https://huggingface.co/public-data/insightface/resolve/main/models/buffalo_l/w600k_r50.onnx",),
        license="insightface models: non-commercial research only",
        commercial_use=False,
        origin="insightface's buffalo_l, ResNet-50 trained with ArcFace on WebFace600K",
    ),
    WeightSpec(
        name="arcface_mobilefacenet",
        file_name="mobilefacenet_arcface_112.onnx",
        sha256="b7120c095d60094f28a4a54ba6a8bf51b297a6273fb40ef6350dfec1f63d9507",
        size=3_998_070,
        urls=("https://github.com/foamliu/MobileFaceNet/raw/master/weights/MobileFaceNet.onnx",),
        license="Apache-2.0",
        commercial_use=True,
        origin="foamliu/MobileFaceNet, trained with ArcFace on a refined MS-Celeb-1M; LFW 99.48 % by its author",
    ),
)
