"""What a plugin author imports; nothing here is heavier than pydantic and numpy."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from vidchatbench.api.cards import Dimension, MetricCard, load_card
from vidchatbench.api.extractors import (
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
from vidchatbench.api.features import Array, ExtractorSpec, Feature, Need, Param, as_array
from vidchatbench.api.frame_metrics import FrameMetric, frame_metric
from vidchatbench.api.judging import (
    AXES,
    NO_JUDGE,
    NO_JUDGE_FIX,
    RUBRIC,
    Judge,
    JudgeAnswer,
    JudgeRequest,
    is_connection,
    offer_judge,
    open_judge,
)
from vidchatbench.api.metrics import Metric, SetDistance, SetItem, SetMetric
from vidchatbench.api.plugins import PackageFile, Plugin, Suite, SuiteEntry, WeightSpec
from vidchatbench.api.sample_extractors import Content, Refusal, SampleExtractor, SampleInput, SampleNotes
from vidchatbench.api.samples import Role, Sample, Side
from vidchatbench.api.scores import Detail, Score, Status
from vidchatbench.errors import MediaError

if TYPE_CHECKING:
    from vidchatbench.judge.connect import connect_judge

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
    "FrameMetric",
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
    "frame_metric",
    "is_connection",
    "load_card",
    "offer_judge",
    "open_judge",
]


def __getattr__(name: str) -> object:
    # Connecting a judge needs the clients of its endpoints, which plugin authors need not load.
    if name != "connect_judge":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module("vidchatbench.judge.connect").connect_judge
