"""The suites: named, versioned lists of metrics."""

from __future__ import annotations

from vidchatbench.api import Suite, SuiteEntry

LITE = Suite(
    name="lite",
    version=1,
    description="Runs on a CPU with small, permissive weights: fewer frames a second, and protocol ids that say so.",
    metrics=(
        SuiteEntry(metric="video_quality/psnr", params={"fps": 5}),
        SuiteEntry(metric="video_quality/ssim", params={"fps": 5}),
        SuiteEntry(metric="video_quality/duration_ratio"),
        SuiteEntry(metric="video_quality/sharpness"),
        SuiteEntry(metric="video_quality/sharpness_frame"),
        SuiteEntry(metric="video_quality/flicker"),
        SuiteEntry(metric="video_quality/face_presence"),
        SuiteEntry(metric="identity/arcface", params={"network": "mobilefacenet", "fps": 2}),
        SuiteEntry(metric="voice/resemblyzer"),
        SuiteEntry(metric="voice/dnsmos_sig"),
        SuiteEntry(metric="voice/dnsmos_bak"),
        SuiteEntry(metric="voice/dnsmos_ovr"),
        SuiteEntry(metric="voice/dnsmos_p808"),
    ),
)

SUITES = (LITE,)
