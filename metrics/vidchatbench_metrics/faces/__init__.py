"""Faces: detection and tracking, shared by every metric that looks at one."""

from __future__ import annotations

from vidchatbench.api import PackageFile, WeightSpec

METRICS: dict[str, str] = {}

EXTRACTORS = {
    "faces/mtcnn": "vidchatbench_metrics.faces.tracks:FaceTracks",
    "faces/window": "vidchatbench_metrics.faces.window:FaceWindow",
}


def _mtcnn(stage: str, sha256: str, size: int) -> WeightSpec:
    return WeightSpec(
        name=f"mtcnn_{stage}",
        file_name=f"facenet_pytorch_{stage}.pt",
        sha256=sha256,
        size=size,
        package=PackageFile(module="facenet_pytorch", file=f"data/{stage}.pt", requirement="facenet-pytorch==2.5.3"),
        license="MIT",
        commercial_use=True,
        origin="facenet-pytorch's port of the MTCNN networks of Zhang et al. 2016, trained on WIDER FACE and CelebA",
    )


WEIGHTS = (
    _mtcnn("pnet", "a2a71925e0b9996a42f63e47efc1ca19043e69558b5c523b978d611dfae49c8f", 28570),
    _mtcnn("rnet", "bbb937de72efc9ef83b186c49f5f558467a1d7e3453a8ece0d71a886633f6a86", 403147),
    _mtcnn("onet", "165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d", 1559269),
)
