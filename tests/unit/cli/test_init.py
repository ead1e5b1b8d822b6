"""The ``system.yaml`` to fill in, and the examples of the README, are what the library reads."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from vidchatbench.errors import UsageError
from vidchatbench.submission.system import SystemDescription, read_system
from vidchatbench.submission.template import TEMPLATE, write_template
from vidchatbench.submission.transcripts import _OBJECT, _Line

README = (Path(__file__).resolve().parents[3] / "README.md").read_text(encoding="utf-8")


def uncommented() -> str:
    return "".join(line.removeprefix("#") + "\n" for line in TEMPLATE.splitlines())


def test_the_file_says_nothing_until_it_is_filled_in(tmp_path: Path) -> None:
    path = write_template(tmp_path / "outputs")
    assert all(not line or line.startswith("#") for line in path.read_text(encoding="utf-8").splitlines())
    assert read_system(tmp_path / "outputs") == SystemDescription(name="outputs")


def test_every_field_is_there_and_valid_when_uncommented(tmp_path: Path) -> None:
    (tmp_path / "system.yaml").write_text(uncommented(), encoding="utf-8")
    system = read_system(tmp_path)
    assert set(yaml.safe_load(uncommented())) == set(SystemDescription.model_fields)
    empty = SystemDescription(name="x")
    for field in SystemDescription.model_fields:
        assert getattr(system, field) != getattr(empty, field), f"{field} has no example"


@pytest.mark.parametrize("field", [name for name in SystemDescription.model_fields if name != "generation_settings"])
def test_one_field_alone_can_be_filled_in_beside_the_name(tmp_path: Path, field: str) -> None:
    lines = [line.removeprefix("#") if re.match(rf"#({field}|name):", line) else line for line in TEMPLATE.splitlines()]
    (tmp_path / "system.yaml").write_text("\n".join(lines), encoding="utf-8")
    assert read_system(tmp_path).model_fields_set == {"name", field}


def test_what_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "system.yaml").write_text("name: Mine", encoding="utf-8")
    with pytest.raises(UsageError, match="there already"):
        write_template(tmp_path)
    assert (tmp_path / "system.yaml").read_text(encoding="utf-8") == "name: Mine"
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match="cannot be made"):
        write_template(tmp_path / "file" / "below")


def test_the_examples_of_the_readme_are_read() -> None:
    (description,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert SystemDescription.model_validate(yaml.safe_load(description)).training_overlap == "none"
    (heard,) = re.findall(r"```json\n(.*?)```", README, re.DOTALL)
    assert len(_OBJECT.validate_json(heard)) == 2
    (line,) = re.findall(r'`(\{"id".*?\})`', README)
    assert _Line.model_validate(json.loads(line)).id == "..."
