"""Writes the JSON Schemas of the public files to ``docs/schemas``, for readers in other languages.

Run it as `python docs/generate_schemas.py`; a test compares the files with what this would write.
"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel

from vidchatbench.api.cards import MetricCard
from vidchatbench.api.samples import Sample
from vidchatbench.audit.schema import AuditReport
from vidchatbench.benchmark.format import BenchmarkHeader
from vidchatbench.curation.preparation.listing import ListedSample
from vidchatbench.curation.preparation.plan import Plan
from vidchatbench.curation.preparation.publish import list_schema
from vidchatbench.curation.preparation.status import SetStatus
from vidchatbench.curation.selection.schema import Selection
from vidchatbench.leaderboard.curated import ReportedTable
from vidchatbench.leaderboard.schema import Leaderboard, SystemSamples
from vidchatbench.media.probe import MediaInfo
from vidchatbench.results.anchors import AnchorTable
from vidchatbench.results.comparison import Comparison
from vidchatbench.results.schema import Results
from vidchatbench.submission.system import OutputNotes, SystemDescription

FOLDER = Path(__file__).with_name("schemas")
SCHEMAS: dict[str, type[BaseModel]] = {
    "anchors": AnchorTable,
    "audit": AuditReport,
    "benchmark": BenchmarkHeader,
    "comparison": Comparison,
    "data_status": SetStatus,
    "leaderboard": Leaderboard,
    "leaderboard_samples": SystemSamples,
    "listed_sample": ListedSample,
    "manifest_line": Sample,
    "metric_card": MetricCard,
    "media_info": MediaInfo,
    "output_notes": OutputNotes,
    "preparation_plan": Plan,
    "reported_table": ReportedTable,
    "results": Results,
    "selection": Selection,
    "system": SystemDescription,
}


def render(model: type[BaseModel]) -> str:
    """Returns the JSON Schema of a model as text."""
    return json.dumps(model.model_json_schema(mode="validation"), indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, model in SCHEMAS.items():
        (FOLDER / f"{name}.json").write_text(render(model), encoding="utf-8")
    (FOLDER.parents[1] / "data" / "test_500" / "samples.schema.json").write_text(list_schema(), encoding="utf-8")
