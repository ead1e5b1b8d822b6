"""What is generated must be what is committed: the metric pages, and the names that README and docs speak of."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest
from jsonschema import Draft202012Validator

from vidchatbench.plugins.catalogue import load_catalogue

ROOT = Path(__file__).resolve().parents[2]


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_metric_pages_are_those_of_the_cards() -> None:
    folder = ROOT / "docs" / "metrics"
    committed = {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in folder.rglob("*.md")}
    assert committed == script("generate_metric_pages").render(), "run python docs/generate_metric_pages.py"


def test_every_card_says_what_its_page_needs() -> None:
    catalogue = load_catalogue()
    for name in catalogue.metrics:
        if catalogue.metrics.origin(name) == "core":
            card = catalogue.metric(name).card
            missing = [field for field in ("formula", "reading", "failure_modes") if not getattr(card, field).strip()]
            assert not missing, f"the card of {name} does not say: {', '.join(missing)}"


def test_the_json_schemas_are_those_of_the_models() -> None:
    module = script("generate_schemas")
    committed = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "schemas").glob("*.json")}
    expected = {name: module.render(model) for name, model in module.SCHEMAS.items()}
    assert committed == expected, "run python docs/generate_schemas.py"


@pytest.mark.parametrize("name", ["benchmark", "manifest_line", "results", "system"])
def test_the_json_schemas_are_valid_and_closed(name: str) -> None:
    schema = json.loads((ROOT / "docs" / "schemas" / f"{name}.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False


def test_every_metric_that_the_texts_name_exists() -> None:
    families = {name.split("/")[0] for name in load_catalogue().metrics}
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for name in re.findall(r"`([a-z_]+/[a-z0-9_]+)`", page.read_text(encoding="utf-8")):
            known = name in load_catalogue().metrics or name in load_catalogue().extractors
            assert known or name.split("/")[0] not in families, f"{page.name} names {name}, which does not exist"
