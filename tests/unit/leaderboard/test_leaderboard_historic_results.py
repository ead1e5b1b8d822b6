"""Result files of every released format must load for ever; nothing in ``tests/historic_results`` is ever edited."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vidchatbench.errors import InputError
from vidchatbench.results.migrations import STEPS, upgrade
from vidchatbench.results.schema import SCHEMA_VERSION, Results, load_results

HISTORIC = Path(__file__).resolve().parents[2] / "support" / "historic_results"
FILES = sorted(HISTORIC.glob("v*/*.json"))


def from_zero(content: dict[str, object]) -> dict[str, object]:
    """A made-up step: version 0 called the system's name 'model'."""
    system = dict(content["system"])  # type: ignore[call-overload]
    system["name"] = system.pop("model")
    return {**content, "system": system}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_historic_file_loads(path: Path) -> None:
    results = load_results(path)
    assert results.schema_version == SCHEMA_VERSION
    before = json.loads(path.read_text(encoding="utf-8"))
    assert results.system.name == "example"
    assert [m.value for m in results.metrics] == [m["value"] for m in before["metrics"]], "a number is never changed"


def test_there_is_a_file_of_every_version_up_to_todays() -> None:
    assert {path.parent.name for path in FILES} == {f"v{k}" for k in range(1, SCHEMA_VERSION + 1)}
    assert set(STEPS) == set(range(1, SCHEMA_VERSION)), "every older version has the step to the next"


def old_file() -> bytes:
    content = json.loads(FILES[0].read_text(encoding="utf-8"))
    content["schema_version"] = 0
    content["system"]["model"] = content["system"].pop("name")
    return json.dumps(content).encode()


def test_an_older_file_passes_through_the_steps() -> None:
    found = Results.model_validate_json(upgrade(old_file(), subject="old", to=1, steps={0: from_zero}))
    today = load_results(FILES[0])
    assert found == today


def test_steps_are_chained() -> None:
    def add(name: str):
        return lambda content: {**content, name: True}

    found = upgrade(b'{"schema_version": 0}', subject="old", to=3, steps={0: add("a"), 1: add("b"), 2: add("c")})
    assert json.loads(found) == {"schema_version": 3, "a": True, "b": True, "c": True}


def test_a_version_without_a_way_is_refused_with_the_way_out() -> None:
    with pytest.raises(InputError, match=r"schema_version is 0, from which no way leads to 1(.|\n)*Evaluate"):
        upgrade(old_file(), subject="old", to=1)


def test_a_newer_file_asks_for_an_update() -> None:
    with pytest.raises(InputError, match=r"schema_version is 7(.|\n)*Update vidchatbench"):
        upgrade(b'{"schema_version": 7}', subject="new", to=1)


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{", b'{"schema_version": "1"}', b'{"schema_version": true}', b"[" * 5000]
)
def test_what_is_no_results_file_is_left_to_its_validation(data: bytes) -> None:
    assert upgrade(data, subject="x", to=1) == data
