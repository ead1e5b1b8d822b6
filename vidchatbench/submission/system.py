"""``system.yaml`` and ``<id>.json``: a submission's own description."""

from __future__ import annotations

import codecs
from pathlib import Path

import yaml
from pydantic import Field, ValidationError

from vidchatbench.core.models import FrozenModel
from vidchatbench.core.validation import describe_validation
from vidchatbench.errors import InputError

SYSTEM_FILE = "system.yaml"


class SystemDescription(FrozenModel):
    """What produced the outputs; every field but the name may be left out, and stays visibly unknown."""

    name: str = Field(min_length=1, max_length=100)
    revision: str | None = Field(default=None, max_length=100)
    organisation: str | None = None
    authors: tuple[str, ...] = ()
    paper: str | None = None
    code: str | None = None
    weights: str | None = None
    open_weights: bool | None = None
    parameters: str | int | None = None
    hardware: str | None = None
    generation_settings: dict[str, str | int | float | bool | None] = Field(default_factory=dict)
    training_data: str | None = None
    training_overlap: str | None = None
    license: str | None = None


class OutputNotes(FrozenModel):
    """``<id>.json``: what the system declares of one reply."""

    transcript: str | None = None
    latency_s: float | None = Field(default=None, ge=0, allow_inf_nan=False)


def named_after(outputs: Path) -> SystemDescription:
    """Returns the description of a system of which nothing is said: it is named after the folder of its outputs."""
    return SystemDescription(name=outputs.resolve().name[:100] or "unnamed")


def read_system(outputs: Path) -> SystemDescription:
    """Reads ``system.yaml``; without one, or with nothing but comments in it, the system is named after the folder.

    Raises:
        InputError: If the file is not valid.
    """
    path = outputs / SYSTEM_FILE
    if not path.is_file():
        return named_after(outputs)
    try:
        text = path.read_text(encoding="utf-8")
        content = yaml.safe_load(text)
        if content is None and text.lstrip().startswith("#"):  # nothing but comments, as `vidchatbench init` writes
            return named_after(outputs)
        return SystemDescription.model_validate(content)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(str(path), [f"not readable as YAML: {error}"]) from error
    except ValidationError as error:
        raise InputError(str(path), describe_validation(error, SystemDescription)) from error


def read_notes(path: Path) -> OutputNotes:
    """Reads ``<id>.json``.

    Raises:
        InputError: If the file is not valid.
    """
    try:
        return OutputNotes.model_validate_json(path.read_bytes().removeprefix(codecs.BOM_UTF8))
    except ValidationError as error:
        raise InputError(str(path), describe_validation(error, OutputNotes)) from error
