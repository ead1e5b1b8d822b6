"""Identity: whether the responder stays the person the system was given."""

from __future__ import annotations

from vidchatbench.api import WeightSpec

METRICS = {
    "identity/arcface": "vidchatbench_metrics.identity.likeness:ArcFace",
    "identity/facenet": "vidchatbench_metrics.identity.likeness:Facenet",
    "identity/drift": "vidchatbench_metrics.identity.likeness:IdentityDrift",
}

EXTRACTORS = {
    "identity/arcface_frames": "vidchatbench_metrics.identity.embeddings:ArcFaceFrames",
    "identity/arcface_reference": "vidchatbench_metrics.identity.embeddings:ArcFaceReference",
    "identity/face_tracks": "vidchatbench_metrics.identity.face_tracks:IdentityTracks",
    "identity/arcface_linked_frames": "vidchatbench_metrics.identity.face_tracks:LinkedArcFaceFrames",
    "identity/facenet_linked_frames": "vidchatbench_metrics.identity.face_tracks:LinkedFacenetFrames",
    "identity/facenet_frames": "vidchatbench_metrics.identity.embeddings:FacenetFrames",
    "identity/facenet_reference": "vidchatbench_metrics.identity.embeddings:FacenetReference",
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
    WeightSpec(
        name="facenet_vggface2",
        file_name="20180402-114759-vggface2.pt",
        # facenet-pytorch publishes no hash; this one is what many users of the release have pinned independently.
        sha256="281cebca8662831adb987a874bdcb36e73f5b1c6dc5ee5878f305e985625d99b",
        size=111_898_327,
        urls=("https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/20180402-114759-vggface2.pt",),
        license="MIT (weights published with the code); trained on VGGFace2",
        commercial_use=True,
        origin="timesler/facenet-pytorch, ported from davidsandberg/facenet: Inception-ResNet-v1 trained on VGGFace2",
    ),
)
