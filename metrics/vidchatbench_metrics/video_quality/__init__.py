"""Video quality: fidelity to the real reply, sharpness, flicker, presence of the face."""

from __future__ import annotations

_PACKAGE = "vidchatbench_metrics.video_quality"

METRICS = {
    "video_quality/psnr": f"{_PACKAGE}.paired:Psnr",
    "video_quality/ssim": f"{_PACKAGE}.paired:Ssim",
    "video_quality/sharpness": f"{_PACKAGE}.sharpness:FaceSharpness",
    "video_quality/sharpness_frame": f"{_PACKAGE}.sharpness:FrameSharpness",
    "video_quality/flicker": f"{_PACKAGE}.flicker:Flicker",
    "video_quality/face_presence": f"{_PACKAGE}.face_presence:FacePresence",
    "video_quality/duration_ratio": f"{_PACKAGE}.duration_ratio:DurationRatio",
}

EXTRACTORS = {
    "video_quality/psnr_frames": f"{_PACKAGE}.paired_frames:PsnrFrames",
    "video_quality/ssim_frames": f"{_PACKAGE}.paired_frames:SsimFrames",
    "video_quality/length": f"{_PACKAGE}.length:Length",
    "video_quality/face_laplacian": f"{_PACKAGE}.laplacian:FaceLaplacian",
    "video_quality/frame_laplacian": f"{_PACKAGE}.laplacian:FrameLaplacian",
    "video_quality/frame_difference": f"{_PACKAGE}.difference:FrameDifference",
}
