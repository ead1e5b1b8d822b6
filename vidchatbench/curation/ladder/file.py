"""``ladder.jsonl``: one ladder a line, with who wrote it after which prompt; read with all problems listed."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from pydantic import Field, ValidationError

from vidchatbench.api.samples import LadderStep, SampleId, Sha256
from vidchatbench.core.models import FrozenModel
from vidchatbench.core.validation import describe_validation
from vidchatbench.curation.ladder.prompts import GRADES
from vidchatbench.errors import InputError


class Writer(FrozenModel):
    """Who wrote a ladder.

    Attributes:
        model: The model that was asked.
        answered_by: What the endpoint says has answered; ``None`` where it does not say.
        prompt: Version of the prompt.
        prompt_sha256: sha256 over everything that does not depend on the sample.
        asked_sha256: sha256 of the messages about this sample.
        unit: What lengths are counted in.
        target: Length that was asked for.
        lengths: Lengths of the replies, in the order of the grades.
        attempts: How often it had to be asked.
    """

    model: str
    answered_by: str | None = None
    prompt: str
    prompt_sha256: Sha256
    asked_sha256: Sha256
    unit: str
    target: int = Field(ge=1)
    lengths: tuple[int, ...]
    attempts: int = Field(ge=1)


class Ladder(FrozenModel):
    """One line: the ladder of a sample, as the manifest's field of that name, and its writer."""

    id: SampleId
    ladder: tuple[LadderStep, ...]
    generator: Writer | None = None


def read_ladders(path: Path) -> list[Ladder]:
    """Reads a file of ladders.

    Raises:
        InputError: If it cannot be read or has problems; all of them are listed.
    """
    ladders, problems = _parse(_lines_of(path))
    counts = Counter(ladder.id for ladder in ladders)
    problems += [f"sample id {name!r} stands {count} times" for name, count in sorted(counts.items()) if count > 1]
    for ladder in ladders:
        problems += [f"{ladder.id}: {problem}" for problem in problems_of(ladder.ladder)]
    if not ladders and not problems:
        problems.append("there is no ladder in it")
    if problems:
        raise InputError(str(path), problems)
    return ladders


def read_begun(path: Path) -> list[Ladder]:
    """Reads what a build that was interrupted has written; a last line that was cut off is left out.

    Raises:
        InputError: If another line is damaged.
    """
    if not path.is_file():
        return []
    lines = _lines_of(path)
    # Whatever follows the last line break was not written to its end.
    ladders, problems = _parse(lines[:-1])
    if problems:
        raise InputError(str(path), problems, "Name another file, or remove this one.")
    return list({ladder.id: ladder for ladder in ladders}.values())


def line_of(ladder: Ladder) -> str:
    """Returns a ladder as a line of the file, with its line break."""
    return json.dumps(ladder.model_dump(mode="json", exclude_none=True), ensure_ascii=False) + "\n"


def problems_of(steps: tuple[LadderStep, ...]) -> list[str]:
    """Returns what is wrong with a ladder's form: its grades, empty or equal texts."""
    problems = []
    if tuple(sorted(step.score for step in steps)) != GRADES:
        problems.append(f"the grades are not {', '.join(f'{grade:g}' for grade in GRADES)}")
    texts = [" ".join(step.text.split()).casefold() for step in steps]
    if not all(texts):
        problems.append("a reply is empty")
    elif len(set(texts)) < len(texts):
        problems.append("two replies are the same")
    return problems


def _lines_of(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(str(path), [f"not UTF-8 text: {error}"]) from error
    except OSError as error:
        raise InputError(str(path), [error.strerror or "cannot be read"]) from error


def _parse(lines: list[str]) -> tuple[list[Ladder], list[str]]:
    ladders, problems = [], []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            ladders.append(Ladder.model_validate(json.loads(line)))
        except ValidationError as error:
            problems += [f"line {number}: {text}" for text in describe_validation(error)]
        except json.JSONDecodeError as error:
            problems.append(f"line {number}: not JSON: {error}")
    return ladders, problems
