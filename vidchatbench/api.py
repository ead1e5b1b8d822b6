"""What a plugin author imports; nothing here is heavier than pydantic and numpy."""

from __future__ import annotations

from vidchatbench.contract.cards import Dimension, MetricCard, load_card
from vidchatbench.contract.extractors import (
    SAMPLE_RATE,
    Audio,
    AudioExtractor,
    ClipInfo,
    Extractor,
    ExtractorContext,
    Frame,
    FrameExtractor,
    FrameSession,
    PairExtractor,
    PairSession,
    Timeline,
    TimelineSession,
)
from vidchatbench.contract.features import Array, ExtractorSpec, Feature, Need, Param, as_array
from vidchatbench.contract.metrics import Metric, SetDistance, SetItem, SetMetric
from vidchatbench.contract.plugins import PackageFile, Plugin, Suite, SuiteEntry, WeightSpec
from vidchatbench.contract.sample_extractors import Content, Refusal, SampleExtractor, SampleInput, SampleNotes
from vidchatbench.contract.samples import Role, Sample, Side
from vidchatbench.contract.scores import Score, Status
from vidchatbench.errors import MediaError

__all__ = [
    "SAMPLE_RATE",
    "Array",
    "Audio",
    "AudioExtractor",
    "ClipInfo",
    "Content",
    "Dimension",
    "Extractor",
    "ExtractorContext",
    "ExtractorSpec",
    "Feature",
    "Frame",
    "FrameExtractor",
    "FrameSession",
    "MediaError",
    "Metric",
    "MetricCard",
    "Need",
    "PackageFile",
    "PairExtractor",
    "PairSession",
    "Param",
    "Plugin",
    "Refusal",
    "Role",
    "Sample",
    "SampleExtractor",
    "SampleInput",
    "SampleNotes",
    "Score",
    "SetDistance",
    "SetItem",
    "SetMetric",
    "Side",
    "Status",
    "Suite",
    "SuiteEntry",
    "Timeline",
    "TimelineSession",
    "WeightSpec",
    "as_array",
    "load_card",
]
