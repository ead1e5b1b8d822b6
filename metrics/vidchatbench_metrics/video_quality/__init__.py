"""Video quality: fidelity to the real reply, distances between sets, no-reference scores, sharpness, flicker, face."""

from __future__ import annotations

from vidchatbench_metrics.video_quality.weights import (
    DISTRIBUTION_EXTRACTORS,
    DISTRIBUTION_METRICS,
    DISTRIBUTION_WEIGHTS,
    PERCEPTUAL_EXTRACTORS,
    PERCEPTUAL_METRICS,
    PERCEPTUAL_WEIGHTS,
)

_PACKAGE = "vidchatbench_metrics.video_quality"

METRICS = {
    "video_quality/psnr": f"{_PACKAGE}.psnr_ssim:Psnr",
    "video_quality/ssim": f"{_PACKAGE}.psnr_ssim:Ssim",
    "video_quality/sharpness": f"{_PACKAGE}.sharpness:FaceSharpness",
    "video_quality/sharpness_frame": f"{_PACKAGE}.sharpness:FrameSharpness",
    "video_quality/flicker": f"{_PACKAGE}.flicker:Flicker",
    "video_quality/face_presence": f"{_PACKAGE}.face_presence:FacePresence",
    "video_quality/duration_ratio": f"{_PACKAGE}.duration_ratio:DurationRatio",
    **DISTRIBUTION_METRICS,
    **PERCEPTUAL_METRICS,
}

EXTRACTORS = {
    "video_quality/psnr_frames": f"{_PACKAGE}.psnr_ssim:PsnrFrames",
    "video_quality/ssim_frames": f"{_PACKAGE}.psnr_ssim:SsimFrames",
    "video_quality/length": f"{_PACKAGE}.duration_ratio:Length",
    "video_quality/face_laplacian": f"{_PACKAGE}.sharpness:FaceLaplacian",
    "video_quality/frame_laplacian": f"{_PACKAGE}.sharpness:FrameLaplacian",
    "video_quality/frame_difference": f"{_PACKAGE}.flicker:FrameDifference",
    **DISTRIBUTION_EXTRACTORS,
    **PERCEPTUAL_EXTRACTORS,
}

WEIGHTS = (*DISTRIBUTION_WEIGHTS, *PERCEPTUAL_WEIGHTS)
