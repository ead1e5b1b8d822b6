"""Video quality: fidelity to the real reply, distances between sets, sharpness, motion, steadiness, face."""

from __future__ import annotations

from vidchatbench_metrics.video_quality.weights import DISTRIBUTION_WEIGHTS, LPIPS_WEIGHTS

_PACKAGE = "vidchatbench_metrics.video_quality"

METRICS = {
    "video_quality/psnr": f"{_PACKAGE}.psnr_ssim:Psnr",
    "video_quality/ssim": f"{_PACKAGE}.psnr_ssim:Ssim",
    "video_quality/sharpness": f"{_PACKAGE}.sharpness:FaceSharpness",
    "video_quality/face_motion": f"{_PACKAGE}.face_motion:FaceMotionRatio",
    "video_quality/steadiness": f"{_PACKAGE}.steadiness:Steadiness",
    "video_quality/face_presence": f"{_PACKAGE}.face_presence:FacePresence",
    "video_quality/duration_ratio": f"{_PACKAGE}.duration_ratio:DurationRatio",
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
    "video_quality/lpips": f"{_PACKAGE}.lpips:Lpips",
    "video_quality/lpips_face": f"{_PACKAGE}.lpips:LpipsFace",
}

EXTRACTORS = {
    "video_quality/squared_error_frames": f"{_PACKAGE}.psnr_ssim:ErrorFrames",
    "video_quality/ssim_frames": f"{_PACKAGE}.psnr_ssim:SsimFrames",
    "video_quality/length": f"{_PACKAGE}.duration_ratio:Length",
    "video_quality/face_laplacian": f"{_PACKAGE}.sharpness:FaceLaplacian",
    "video_quality/face_flow": f"{_PACKAGE}.face_motion:FaceMotion",
    "video_quality/warp_error": f"{_PACKAGE}.steadiness:WarpError",
    "video_quality/inception_frames": f"{_PACKAGE}.inception:InceptionFrames",
    "video_quality/inception_faces": f"{_PACKAGE}.inception:InceptionFaces",
    "video_quality/i3d_clip": f"{_PACKAGE}.i3d:I3dClip",
    "video_quality/i3d_faces": f"{_PACKAGE}.i3d:I3dFaces",
    "video_quality/clip_image_frames": f"{_PACKAGE}.clip_image:ClipImageFrames",
    "video_quality/clip_image_faces": f"{_PACKAGE}.clip_image:ClipImageFaces",
    "video_quality/lpips_frames": f"{_PACKAGE}.lpips:LpipsFrames",
    "video_quality/lpips_faces": f"{_PACKAGE}.lpips:LpipsFaces",
}

WEIGHTS = (*DISTRIBUTION_WEIGHTS, *LPIPS_WEIGHTS)
