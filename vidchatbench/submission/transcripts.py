"""Transcripts that a user brings (``--transcripts FILE``) instead of having the replies heard here."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from vidchatbench.benchmark.format import Benchmark
from vidchatbench.core.models import FrozenModel
from vidchatbench.core.validation import describe_validation
from vidchatbench.errors import InputError
from vidchatbench.submission.check import CheckedSubmission

_SHAPE = 'It holds {"<sample id>": "<text>", ...}, or one {"id": ..., "transcript": ...} a line.'


class _Line(FrozenModel):
    id: str
    transcript: str


_OBJECT = TypeAdapter(dict[str, str])


def read_transcripts(path: Path, benchmark: Benchmark, submission: CheckedSubmission) -> dict[str, str]:
    """Reads what is heard in each reply.

    Args:
        path: A JSON object of texts by sample id, or JSON lines with ``id`` and ``transcript``.
        benchmark: The benchmark whose samples they are of.
        submission: The replies; each that is there must have its transcript, or leaving one out would pay.

    Raises:
        InputError: If the file cannot be read, is of another shape, names a sample twice or one that is not there, or
            has none for a reply that is there.
    """
    if not path.is_file():
        raise InputError(str(path), ["there is no such file"], _SHAPE)
    try:
        text = path.read_text(encoding="utf-8-sig")
        pairs = _read_object(text) if path.suffix == ".json" else _read_lines(text)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(str(path), [f"not readable as JSON: {error}"], _SHAPE) from error
    except ValidationError as error:
        raise InputError(str(path), describe_validation(error), _SHAPE) from error
    names = [name for name, _ in pairs]
    known = {sample.id for sample in benchmark}
    problems = [f"sample {name!r} stands there twice" for name in sorted({n for n in names if names.count(n) > 1})]
    problems += [f"the benchmark has no sample {name!r}" for name in sorted(set(names) - known)]
    there = {name for name, output in submission.outputs.items() if output.path is not None}
    problems += [f"the reply to sample {name!r} has no transcript" for name in sorted(there - set(names))]
    if problems:
        raise InputError(str(path), problems, _SHAPE)
    return dict(pairs)


def _read_object(text: str) -> list[tuple[str, str]]:
    _OBJECT.validate_json(text)
    # As pairs, so that duplicate names are noticed.
    pairs: list[tuple[str, str]] = json.loads(text, object_pairs_hook=list)
    return pairs


def _read_lines(text: str) -> list[tuple[str, str]]:
    lines = [_Line.model_validate_json(line) for line in text.split("\n") if line.strip()]
    return [(line.id, line.transcript) for line in lines]
