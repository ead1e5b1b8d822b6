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
from vidchatbench.contract.scores import Detail, Score, Status
from vidchatbench.errors import MediaError
from vidchatbench.judge.interface import (
    AXES,
    NO_JUDGE,
    NO_JUDGE_FIX,
    RUBRIC,
    Judge,
    JudgeAnswer,
    JudgeRequest,
    connect_judge,
    is_connection,
    offer_judge,
    open_judge,
)

__all__ = [
    "AXES",
    "NO_JUDGE",
    "NO_JUDGE_FIX",
    "RUBRIC",
    "SAMPLE_RATE",
    "Array",
    "Audio",
    "AudioExtractor",
    "ClipInfo",
    "Content",
    "Detail",
    "Dimension",
    "Extractor",
    "ExtractorContext",
    "ExtractorSpec",
    "Feature",
    "Frame",
    "FrameExtractor",
    "FrameSession",
    "Judge",
    "JudgeAnswer",
    "JudgeRequest",
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
    "connect_judge",
    "is_connection",
    "load_card",
    "offer_judge",
    "open_judge",
]
