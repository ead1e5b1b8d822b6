"""The built-in metrics; the harness finds them through the entry point ``vidchatbench.metrics``, like anyone's."""

from __future__ import annotations

from vidchatbench.api import Plugin
from vidchatbench_metrics import av_sync, dialogue, emotion, faces, identity, iqa, speech, video_quality, voice
from vidchatbench_metrics.suites import SUITES

_FAMILIES = (faces, video_quality, iqa, identity, dialogue, av_sync, emotion, speech, voice)
"""Their order is the order in which metrics, extractors and weights are registered."""

plugin = Plugin(
    metrics={name: target for family in _FAMILIES for name, target in family.METRICS.items()},
    extractors={name: target for family in _FAMILIES for name, target in family.EXTRACTORS.items()},
    weights=tuple(spec for family in _FAMILIES for spec in family.WEIGHTS),
    suites=SUITES,
)
