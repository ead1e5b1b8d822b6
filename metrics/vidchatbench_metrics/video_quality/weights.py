"""The weights of this family."""

from __future__ import annotations

from vidchatbench.api import PackageFile, WeightSpec

_LPIPS = "https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/082bb24f84c091ea94de2867d34c4544f68e0963"

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

LPIPS_WEIGHTS = (
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
)
