"""What the perceptual and no-reference metrics bring to the catalogue, as plain data."""

from __future__ import annotations

from vidchatbench.api import PackageFile, WeightSpec

_PACKAGE = "vidchatbench_metrics.video_quality"

DISTRIBUTION_METRICS = {
    "video_quality/fid": f"{_PACKAGE}.distribution:Fid",
    "video_quality/kid": f"{_PACKAGE}.distribution:Kid",
    "video_quality/fid_face": f"{_PACKAGE}.distribution:FidFace",
    "video_quality/kid_face": f"{_PACKAGE}.distribution:KidFace",
    "video_quality/fvd": f"{_PACKAGE}.distribution:Fvd",
    "video_quality/kvd": f"{_PACKAGE}.distribution:Kvd",
    "video_quality/fvd_face": f"{_PACKAGE}.distribution:FvdFace",
    "video_quality/kvd_face": f"{_PACKAGE}.distribution:KvdFace",
    "video_quality/fvd_128f": f"{_PACKAGE}.distribution:Fvd128",
    "video_quality/kvd_128f": f"{_PACKAGE}.distribution:Kvd128",
    "video_quality/cmmd": f"{_PACKAGE}.distribution:Cmmd",
    "video_quality/cmmd_face": f"{_PACKAGE}.distribution:CmmdFace",
}

DISTRIBUTION_EXTRACTORS = {
    "video_quality/inception_frames": f"{_PACKAGE}.inception:InceptionFrames",
    "video_quality/inception_faces": f"{_PACKAGE}.inception:InceptionFaces",
    "video_quality/i3d_clip": f"{_PACKAGE}.i3d:I3dClip",
    "video_quality/i3d_faces": f"{_PACKAGE}.i3d:I3dFaces",
    "video_quality/clip_image_frames": f"{_PACKAGE}.clip_image:ClipImageFrames",
    "video_quality/clip_image_faces": f"{_PACKAGE}.clip_image:ClipImageFaces",
}

DISTRIBUTION_WEIGHTS = (
    WeightSpec(
        name="inception_fid",
        file_name="pt_inception-2015-12-05-6726825d.pth",
        sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        size=95_628_359,
        urls=(
            "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
            "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
        ),
        license="stated as Apache-2.0 by pytorch-fid and torch-fidelity",
        commercial_use=True,
        origin="TensorFlow's Inception of 2015-12-05, trained on ImageNet; ported to torch by pytorch-fid",
    ),
    WeightSpec(
        name="i3d_torchscript",
        file_name="i3d_torchscript.pt",
        sha256="bec6519f66ea534e953026b4ae2c65553c17bf105611c746d904657e5860a5e2",
        size=51_235_320,
        urls=(
            "https://huggingface.co/flateon/FVD-I3D-torchscript/resolve/main/i3d_torchscript.pt",
            "https://huggingface.co/ByteDance/LatentSync-1.5/resolve/main/auxiliary/i3d_torchscript.pt",
            "https://www.dropbox.com/s/ge9e5ujwgetktms/i3d_torchscript.pt?dl=1",
        ),
        license="not stated; the code it was published with (StyleGAN-V) is under NVIDIA's non-commercial licence",
        commercial_use=False,
        origin="DeepMind's I3D, trained on Kinetics-400; ported to TorchScript by the author of StyleGAN-V",
    ),
    WeightSpec(
        name="clip_vit_l14_336",
        file_name="clip-vit-large-patch14-336.bin",
        sha256="c6032c2e0caae3dc2d4fba35535fa6307dbb49df59c7e182b1bc4b3329b81801",
        size=1_711_974_081,
        urls=("https://huggingface.co/openai/clip-vit-large-patch14-336/resolve/main/pytorch_model.bin",),
        license="MIT (openai/CLIP)",
        commercial_use=True,
        origin="OpenAI's CLIP ViT-L/14@336px, trained on 400 million pairs of pictures and texts from the web",
    ),
)

BY_HASH = "sha256:"

NETWORKS = {
    "pt-inception": "inception_fid",
    "i3d-sgv": "i3d_torchscript",
    "clip-vit-l14-336": "clip_vit_l14_336",
}
"""Short names of the networks in the weights table."""


def weight_of(network: str) -> str:
    """Returns the weights table's name of a network: a short name, or ``sha256:<64 hex digits>`` for any other."""
    return NETWORKS.get(network, network)


PERCEPTUAL_METRICS = {
    "video_quality/lpips": f"{_PACKAGE}.perceptual:Lpips",
    "video_quality/lpips_face": f"{_PACKAGE}.perceptual:LpipsFace",
    "iqa/musiq": "vidchatbench_metrics.iqa.no_reference:Musiq",
    "iqa/niqe": "vidchatbench_metrics.iqa.no_reference:Niqe",
    "iqa/clipiqa": "vidchatbench_metrics.iqa.no_reference:ClipIqa",
    "iqa/topiq_nr": "vidchatbench_metrics.iqa.no_reference:TopiqNr",
}

PERCEPTUAL_EXTRACTORS = {
    "video_quality/lpips_frames": f"{_PACKAGE}.perceptual:LpipsFrames",
    "video_quality/lpips_faces": f"{_PACKAGE}.perceptual:LpipsFaces",
    "iqa/frame_quality": "vidchatbench_metrics.iqa.no_reference:FrameQuality",
}

_LPIPS = "https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/082bb24f84c091ea94de2867d34c4544f68e0963"
_CLIP_RN50 = "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762"


def _pyiqa(name: str, file_name: str, license_text: str, origin: str, **known: str | int) -> WeightSpec:
    sha256, size = known.get("sha256"), known.get("size")
    return WeightSpec(
        name=name,
        file_name=file_name,
        sha256=None if sha256 is None else str(sha256),
        size=None if size is None else int(size),
        urls=(
            f"https://huggingface.co/chaofengc/IQA-PyTorch-Weights/resolve/main/{file_name}",
            f"https://github.com/chaofengc/IQA-PyTorch/releases/download/v0.1-weights/{file_name}",
        ),
        license=license_text,
        commercial_use=False,
        origin=origin,
    )


PERCEPTUAL_WEIGHTS = (
    WeightSpec(
        name="alexnet_imagenet1k_v1",
        file_name="alexnet-owt-7be5be79.pth",
        sha256="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        size=244_408_911,
        urls=("https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",),
        license="BSD-3-Clause (torchvision); trained on ImageNet-1k",
        commercial_use=True,
        origin="torchvision, AlexNet_Weights.IMAGENET1K_V1",
    ),
    WeightSpec(
        name="lpips_alex_v0.1",
        file_name="lpips_v0.1_alex.pth",
        sha256="df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
        size=6009,
        urls=(f"{_LPIPS}/lpips/weights/v0.1/alex.pth",),
        package=PackageFile(module="lpips", file="weights/v0.1/alex.pth", requirement="lpips"),
        license="BSD-2-Clause",
        commercial_use=True,
        origin="richzhang/PerceptualSimilarity, linear layers of LPIPS 0.1 on AlexNet, trained on BAPPS",
    ),
    _pyiqa(
        "pyiqa_musiq_koniq",
        "musiq_koniq_ckpt-e95806b9.pth",
        "non-commercial: published with pyiqa; the original of Google Research is Apache-2.0",
        "chaofengc/IQA-PyTorch, ported from google-research/musiq; trained on KonIQ-10k",
        sha256="e95806b9eae5f3814c410f574ba8e552362bd5bc63d758ed5b97860f5d6185aa",
        size=108_610_983,
    ),
    _pyiqa(
        "pyiqa_niqe",
        "niqe_modelparameters.mat",
        "non-commercial: published with pyiqa; original of the LIVE laboratory, UT Austin, for research",
        "Mittal et al. 2013, statistics of undistorted pictures, as published with pyiqa",
    ),
    _pyiqa(
        "pyiqa_topiq_nr_koniq",
        "cfanet_nr_koniq_res50-9a73138b.pth",
        "non-commercial: published with pyiqa",
        "chaofengc/IQA-PyTorch, TOPIQ without reference on ResNet-50; trained on KonIQ-10k",
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
