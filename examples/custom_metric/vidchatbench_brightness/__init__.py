"""A third-party metric package; the classes are named, and imported only when they are used."""

from __future__ import annotations

from vidchatbench.api import Plugin, Suite, SuiteEntry

plugin = Plugin(
    metrics={
        "brightness/steadiness": "vidchatbench_brightness.steadiness:Steadiness",
        "brightness/exposure": "vidchatbench_brightness.exposure:Exposure",
    },
    extractors={
        "brightness/luminance": "vidchatbench_brightness.luminance:Luminance",
        "brightness/exposure": "vidchatbench_brightness.exposure:ExposureFrames",
    },
    suites=(
        Suite(
            name="brightness",
            version=1,
            description="The metrics of the example package.",
            metrics=(SuiteEntry(metric="brightness/steadiness"),),
        ),
    ),
)
