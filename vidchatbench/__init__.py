"""VidChatBench: the benchmark of audio-visual dyadic virtual humans.

The names below are loaded when they are first used, so that ``import vidchatbench`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from vidchatbench._version import __version__

if TYPE_CHECKING:
    from vidchatbench.benchmark.format import Benchmark
    from vidchatbench.benchmark.load import load_benchmark
    from vidchatbench.engine.evaluate import evaluate
    from vidchatbench.engine.in_memory import ClipScorer
    from vidchatbench.engine.settings import RunConfig
    from vidchatbench.errors import InputError, MediaError, UnavailableError, UsageError, VidChatBenchError
    from vidchatbench.media.memory import MemoryClip
    from vidchatbench.results.schema import Results, load_results
    from vidchatbench.submission.check import check_submission

__all__ = [
    "Benchmark",
    "ClipScorer",
    "InputError",
    "MediaError",
    "MemoryClip",
    "Results",
    "RunConfig",
    "UnavailableError",
    "UsageError",
    "VidChatBenchError",
    "__version__",
    "check_submission",
    "evaluate",
    "load_benchmark",
    "load_results",
]

_HOMES = {
    "Benchmark": "vidchatbench.benchmark.format",
    "ClipScorer": "vidchatbench.engine.in_memory",
    "InputError": "vidchatbench.errors",
    "MediaError": "vidchatbench.errors",
    "MemoryClip": "vidchatbench.media.memory",
    "Results": "vidchatbench.results.schema",
    "RunConfig": "vidchatbench.engine.settings",
    "UnavailableError": "vidchatbench.errors",
    "UsageError": "vidchatbench.errors",
    "VidChatBenchError": "vidchatbench.errors",
    "check_submission": "vidchatbench.submission.check",
    "evaluate": "vidchatbench.engine.evaluate",
    "load_benchmark": "vidchatbench.benchmark.load",
    "load_results": "vidchatbench.results.schema",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
