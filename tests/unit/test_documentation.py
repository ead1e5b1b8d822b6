"""What is generated must be what is committed: the metric pages, and the names that README and docs speak of."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from vidchatbench.plugins import load_catalogue

ROOT = Path(__file__).resolve().parents[2]


def test_the_metric_pages_are_those_of_the_cards() -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate_metric_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    committed = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert committed == module.render(), "run python docs/generate_metric_pages.py"


def test_every_metric_that_the_texts_name_exists() -> None:
    families = {name.split("/")[0] for name in load_catalogue().metrics}
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for name in re.findall(r"`([a-z_]+/[a-z0-9_]+)`", page.read_text(encoding="utf-8")):
            known = name in load_catalogue().metrics or name in load_catalogue().extractors
            assert known or name.split("/")[0] not in families, f"{page.name} names {name}, which does not exist"
