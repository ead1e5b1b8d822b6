"""The one base of the models: what it refuses, and that nobody writes the same settings again."""

from __future__ import annotations

import ast
import math
from pathlib import Path

import pytest
from pydantic import ValidationError

import vidchatbench
from vidchatbench.api import SuiteEntry
from vidchatbench.core.models import AnyFloatModel, FrozenModel

PACKAGE = Path(vidchatbench.__file__).parent


class Point(FrozenModel):
    x: float


class Loose(AnyFloatModel):
    x: float


@pytest.mark.parametrize("model", [Point, Loose])
def test_models_are_immutable_and_refuse_unknown_fields(model):
    with pytest.raises(ValidationError, match="frozen"):
        model(x=1).x = 2
    with pytest.raises(ValidationError, match="extra_forbidden"):
        model(x=1, y=2)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_only_the_variant_takes_numbers_that_json_cannot_hold(value):
    with pytest.raises(ValidationError, match="finite_number"):
        Point(x=value)
    assert str(Loose(x=value).x) == str(value)


def test_a_parameter_of_a_metric_may_be_infinite():
    assert SuiteEntry(metric="family/name", params={"longest": math.inf}).params["longest"] == math.inf


def test_no_other_module_repeats_the_settings_of_the_base():
    repeated = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if path == PACKAGE / "core" / "models.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "ConfigDict":
                settings = {word.arg: ast.unparse(word.value) for word in node.keywords}
                if settings.get("extra") == "'forbid'":
                    repeated.append(f"{path.relative_to(PACKAGE)}:{node.lineno}")
    assert not repeated
