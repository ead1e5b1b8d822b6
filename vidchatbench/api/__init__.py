"""What a plugin author imports; nothing here is heavier than pydantic and numpy."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

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
from vidchatbench.api.features import Array, ExtractorSpec, Feature, Need, Param, Refusal, as_array
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
from vidchatbench.api.metrics import JointItem, JointMetric, JointScores, Metric, SetDistance, SetItem, SetMetric
from vidchatbench.api.plugins import PackageFile, PackagePart, Plugin, Suite, SuiteEntry, WeightSpec
from vidchatbench.api.sample_extractors import Content, SampleExtractor, SampleInput, SampleNotes
from vidchatbench.api.samples import Role, Sample, Side
from vidchatbench.api.scores import Detail, Score, Status
from vidchatbench.api.windows import MAX_ASPECT_DIFFERENCE, Window, window_details, window_spec
from vidchatbench.errors import MediaError

if TYPE_CHECKING:
    from pathlib import Path


class _ConnectJudge(Protocol):
    def __call__(self, text: str, *, budget: str | None = None, cache: Path | None = None) -> str: ...


# Declared, not imported: the judge stands above this package. __getattr__ below loads it when it is first used.
connect_judge: _ConnectJudge
public_judge_name: Callable[[str], str]

__all__ = [
    "AXES",
    "MAX_ASPECT_DIFFERENCE",
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
    "JointItem",
    "JointMetric",
    "JointScores",
    "Judge",
    "JudgeAnswer",
    "JudgeRequest",
    "MediaError",
    "Metric",
    "MetricCard",
    "Need",
    "PackageFile",
    "PackagePart",
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
    "Window",
    "as_array",
    "connect_judge",
    "frame_metric",
    "is_connection",
    "load_card",
    "offer_judge",
    "open_judge",
    "public_judge_name",
    "window_details",
    "window_spec",
]


def __getattr__(name: str) -> object:
    # Connecting a judge needs the clients of its endpoints, which plugin authors need not load.
    if name not in {"connect_judge", "public_judge_name"}:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("vidchatbench.judge.connect"), name)
