"""Emotion: whether the reply's face shows what the real one shows."""

from __future__ import annotations

from vidchatbench.api import WeightSpec

_PACKAGE = "vidchatbench_metrics.emotion"

METRICS = {
    "emotion/expression_fd": f"{_PACKAGE}.expression:ExpressionFrechet",
    "emotion/expression_kd": f"{_PACKAGE}.expression:ExpressionKernel",
    "emotion/expression_fd_tddfa": f"{_PACKAGE}.expression:LightExpressionFrechet",
    "emotion/expression_kd_tddfa": f"{_PACKAGE}.expression:LightExpressionKernel",
    "emotion/agreement": f"{_PACKAGE}.agreement:Agreement",
    "emotion/agreement_fer": f"{_PACKAGE}.agreement:LightAgreement",
    "emotion/distribution_agreement": f"{_PACKAGE}.agreement:DistributionAgreement",
    "emotion/distribution_agreement_fer": f"{_PACKAGE}.agreement:LightDistributionAgreement",
    "emotion/valence_ccc": f"{_PACKAGE}.concordance:ValenceConcordance",
    "emotion/arousal_ccc": f"{_PACKAGE}.concordance:ArousalConcordance",
}

EXTRACTORS = {
    "emotion/deep3d_coefficients": f"{_PACKAGE}.deep3d:Deep3dCoefficients",
    "emotion/tddfa_coefficients": f"{_PACKAGE}.tddfa:TddfaCoefficients",
    "emotion/hsemotion_frames": f"{_PACKAGE}.hsemotion:HsemotionFrames",
    "emotion/fer_frames": f"{_PACKAGE}.fer:FerFrames",
}

_FACE_CLASSIFICATION = "https://github.com/oarriaga/face_classification/raw/master"
_AFFECTNET = "code: Apache-2.0; the networks were trained on AffectNet, whose terms are for research"


def _hsemotion(name: str, accuracy: str, git_blob: str | None = None) -> WeightSpec:
    return WeightSpec(
        name=f"hsemotion_{name}",
        file_name=f"{name}.pt",
        sha256=None,
        git_blob=git_blob,
        size=None,
        urls=(f"https://github.com/sb-ai-lab/EmotiEffLib/raw/main/models/affectnet_emotions/{name}.pt",),
        license=_AFFECTNET,
        commercial_use=False,
        origin=f"EmotiEffLib (HSEmotion), EfficientNet trained on VGGFace2 and AffectNet; {accuracy} % on AffectNet-8",
    )


WEIGHTS = (
    WeightSpec(
        name="deep3d_epoch20",
        file_name="deep3d_epoch_20.pth",
        sha256="6d17a6b23457b521801baae583cb6a58f7238fe6721fc3d65d76407460e9149b",
        size=288_860_037,
        urls=("https://github.com/OpenTalker/SadTalker/releases/download/v0.0.2/epoch_20.pth",),
        license="code: MIT; the coefficients are those of the Basel Face Model, which is for research",
        commercial_use=False,
        origin="sicxu/Deep3DFaceRecon_pytorch, ResNet-50, the checkpoint before 2023-04-25, as SadTalker hosts it",
    ),
    WeightSpec(
        name="tddfa_mb05",
        file_name="tddfa_mb05_120x120.pth",
        sha256="f93ed7f1c4c0382b16d7c18480a5f67473c1917a47475a9823924f38aeb27280",
        git_blob="6b7be882d53da54cc84732b295695d5c89c93bc3",
        size=3_752_462,
        urls=("https://github.com/cleardusk/3DDFA_V2/raw/master/weights/mb05_120x120.pth",),
        license="MIT; the coefficients are of a basis that derives from the Basel Face Model, which is for research",
        commercial_use=False,
        origin="cleardusk/3DDFA_V2, MobileNet of half width, trained on 300W-LP",
    ),
    _hsemotion("enet_b0_8_best_vgaf", "61.32", "7219cfb037209b253ea8b81cf969e60a00e9181c"),
    _hsemotion("enet_b0_8_va_mtl", "61.93"),
    _hsemotion("enet_b2_8", "63.03"),
    WeightSpec(
        name="fer2013_mini_xception",
        file_name="fer2013_mini_xception.hdf5",
        sha256="59534287fdfb125e30a94400296c25ea9f5d706fca93dd8adbbbed916799ea0e",
        git_blob="4d6900b8fd0dd69328a641d36c1d8821c01b80d8",
        size=872_856,
        urls=(f"{_FACE_CLASSIFICATION}/trained_models/emotion_models/fer2013_mini_XCEPTION.102-0.66.hdf5",),
        license="MIT",
        commercial_use=True,
        origin="oarriaga/face_classification, mini-Xception trained on FER2013; 66 % there by its author",
    ),
)
