"""Writes the JSON Schemas of the public files to ``docs/schemas``, for readers in other languages.

Run it as `python docs/generate_schemas.py`; a test compares the files with what this would write.
"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel

from vidchatbench.benchmark.load import BenchmarkHeader
from vidchatbench.contract.cards import MetricCard
from vidchatbench.contract.samples import Sample
from vidchatbench.engine.anchors import AnchorTable
from vidchatbench.leaderboard.curated import ReportedTable
from vidchatbench.leaderboard.schema import Leaderboard, SystemSamples
from vidchatbench.media.probe import MediaInfo
from vidchatbench.results.comparison import Comparison
from vidchatbench.results.schema import Results
from vidchatbench.submission.system import OutputNotes, SystemDescription

FOLDER = Path(__file__).with_name("schemas")
SCHEMAS: dict[str, type[BaseModel]] = {
    "anchors": AnchorTable,
    "benchmark": BenchmarkHeader,
    "comparison": Comparison,
    "leaderboard": Leaderboard,
    "leaderboard_samples": SystemSamples,
    "manifest_line": Sample,
    "metric_card": MetricCard,
    "media_info": MediaInfo,
    "output_notes": OutputNotes,
    "reported_table": ReportedTable,
    "results": Results,
    "system": SystemDescription,
}


def render(model: type[BaseModel]) -> str:
    """Returns the JSON Schema of a model as text."""
    return json.dumps(model.model_json_schema(mode="validation"), indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, model in SCHEMAS.items():
        (FOLDER / f"{name}.json").write_text(render(model), encoding="utf-8")
