"""What the distribution metrics add to the tables of their family: metrics, extractors, weights."""

from __future__ import annotations

from vidchatbench.api import WeightSpec

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
