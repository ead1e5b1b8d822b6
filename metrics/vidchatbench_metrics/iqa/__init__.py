"""Image quality: pictures without a reference, rated by models that were trained on people's opinions."""

from __future__ import annotations

from vidchatbench.api import WeightSpec

_PACKAGE = "vidchatbench_metrics.iqa"

METRICS = {
    "iqa/musiq": f"{_PACKAGE}.no_reference:Musiq",
    "iqa/niqe": f"{_PACKAGE}.no_reference:Niqe",
    "iqa/clipiqa": f"{_PACKAGE}.no_reference:ClipIqa",
    "iqa/topiq_nr": f"{_PACKAGE}.no_reference:TopiqNr",
}

EXTRACTORS = {"iqa/frame_quality": f"{_PACKAGE}.no_reference:FrameQuality"}

_CLIP_RN50 = "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762"


def _pyiqa(
    name: str, file_name: str, *, license: str, origin: str, sha256: str | None = None, size: int | None = None
) -> WeightSpec:
    return WeightSpec(
        name=name,
        file_name=file_name,
        sha256=sha256,
        size=size,
        urls=(
            f"https://huggingface.co/chaofengc/IQA-PyTorch-Weights/resolve/main/{file_name}",
            f"https://github.com/chaofengc/IQA-PyTorch/releases/download/v0.1-weights/{file_name}",
        ),
        license=license,
        commercial_use=False,
        origin=origin,
    )


WEIGHTS = (
    _pyiqa(
        "pyiqa_musiq_koniq",
        "musiq_koniq_ckpt-e95806b9.pth",
        license="non-commercial: published with pyiqa; the original of Google Research is Apache-2.0",
        origin="chaofengc/IQA-PyTorch, ported from google-research/musiq; trained on KonIQ-10k",
        sha256="e95806b9eae5f3814c410f574ba8e552362bd5bc63d758ed5b97860f5d6185aa",
        size=108_610_983,
    ),
    _pyiqa(
        "pyiqa_niqe",
        "niqe_modelparameters.mat",
        license="non-commercial: published with pyiqa; original of the LIVE laboratory, UT Austin, for research",
        origin="Mittal et al. 2013, statistics of undistorted pictures, as published with pyiqa",
    ),
    _pyiqa(
        "pyiqa_topiq_nr_koniq",
        "cfanet_nr_koniq_res50-9a73138b.pth",
        license="non-commercial: published with pyiqa",
        origin="chaofengc/IQA-PyTorch, TOPIQ without reference on ResNet-50; trained on KonIQ-10k",
    ),
    WeightSpec(
        name="clip_rn50",
        file_name="clip_RN50.pt",
        sha256=_CLIP_RN50,
        size=255_827_503,
        urls=(f"https://openaipublic.azureedge.net/clip/models/{_CLIP_RN50}/RN50.pt",),
        license="MIT",
        commercial_use=True,
        origin="openai/CLIP, ResNet-50, trained on 400 million pairs of picture and text",
    ),
)
