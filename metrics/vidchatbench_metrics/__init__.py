"""The built-in metrics; the harness finds them through the entry point ``vidchatbench.metrics``, like anyone's."""

from __future__ import annotations

from vidchatbench.api import Plugin
from vidchatbench_metrics import faces, identity, video_quality, voice
from vidchatbench_metrics.suites import SUITES

plugin = Plugin(
    metrics={**video_quality.METRICS, **identity.METRICS, **voice.METRICS},
    extractors={**faces.EXTRACTORS, **video_quality.EXTRACTORS, **identity.EXTRACTORS, **voice.EXTRACTORS},
    weights=(*faces.WEIGHTS, *identity.WEIGHTS, *voice.WEIGHTS),
    suites=SUITES,
)
