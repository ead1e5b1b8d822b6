"""A bundle read into memory: each file bounded and parsed by its schema, or refused with its place and the reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import yaml
from pydantic import AfterValidator, Field, ValidationError, model_validator

from vidchatbench.api.samples import Role, SampleId, Sha256, check_media_path
from vidchatbench.core.models import FrozenModel
from vidchatbench.core.validation import describe_validation
from vidchatbench.errors import InputError
from vidchatbench.leaderboard.verification.bundle import (
    BUNDLE_FILE,
    FILES,
    SIGNATURE_FILE,
    bundle_hashes,
    bundle_path,
    bundle_sha256,
    check_hashes,
    check_layout,
    read_bytes,
)
from vidchatbench.leaderboard.verification.findings import Finding, RefusedFileError, error, has_errors
from vidchatbench.leaderboard.verification.strict import check_json, load_yaml
from vidchatbench.leaderboard.verification.table_process import table_process
from vidchatbench.media.probe import AudioInfo, VideoInfo
from vidchatbench.results.files import MEDIA_FILE, SAMPLES_FILE
from vidchatbench.results.migrations import upgrade
from vidchatbench.results.sample_rows import SampleRow
from vidchatbench.results.schema import RESULTS_FILE, SCHEMA_VERSION, Results
from vidchatbench.submission.system import SYSTEM_FILE, SystemDescription

MAX_MEDIA_LINES = 20_000
_MAX_MESSAGE = 300
T = TypeVar("T")


def _check_file_name(value: str) -> str:
    if not value.isprintable():
        raise ValueError("a file name holds no control characters")
    return check_media_path(value)


class MediaLine(FrozenModel):
    """One line of ``media.jsonl``: a clip that took part, or the candidate that could not be used and why."""

    sample_id: SampleId
    role: Role
    file: Annotated[str, AfterValidator(_check_file_name)]
    problem: str | None = None
    sha256: Sha256 | None = None
    bytes: int | None = Field(default=None, gt=0)
    container: str | None = None
    video: VideoInfo | None = None
    audio: AudioInfo | None = None
    is_image: bool = False
    warnings: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check_kind(self) -> MediaLine:
        if self.problem is None and (self.sha256 is None or self.bytes is None):
            raise ValueError("a clip needs its sha256 and its bytes, or the problem with it")
        if self.problem is not None and self.role is not Role.CANDIDATE:
            raise ValueError("only a candidate can have a problem")
        return self


@dataclass(frozen=True)
class Bundle:
    """A bundle of which every file could be read.

    Attributes:
        results: ``results.json``.
        rows: ``samples.parquet``.
        media: ``media.jsonl``.
        system: ``system.yaml``.
        sha256: The hash that stands for the bundle.
        contents: The bytes of each file.
        hashes: The text of ``bundle.sha256``.
        signature: The signature over it, if there is one.
    """

    results: Results
    rows: tuple[SampleRow, ...]
    media: tuple[MediaLine, ...]
    system: SystemDescription
    sha256: str
    contents: dict[str, bytes]
    hashes: str
    signature: bytes | None = None


def read_bundle(folder: Path) -> tuple[Bundle | None, list[Finding]]:
    """Reads a bundle of ``submissions/<system>/<revision>``.

    Returns:
        The bundle, or ``None`` where a file of it is refused; and what is wrong with its files.

    Raises:
        OSError: If the folder cannot be read.
    """
    findings = check_layout(folder)
    if any(finding.code == "not_a_folder" for finding in findings):
        return None, findings
    contents, refused = _read_files(folder, (*FILES, BUNDLE_FILE))
    findings += refused
    hashes = contents.pop(BUNDLE_FILE, None)
    if hashes is not None:
        findings += check_hashes(contents, hashes)
    signature = None
    if (folder / SIGNATURE_FILE).exists():
        signed, refused = _read_files(folder, (SIGNATURE_FILE,))
        signature, findings = signed.get(SIGNATURE_FILE), findings + refused
    if hashes is None or len(contents) < len(FILES):
        return None, findings
    bundle, refused = parse_bundle(contents, hashes.decode("utf-8", "replace"), signature)
    findings += refused
    if bundle is not None and not any(f.code == "unsafe_name" for f in findings):
        findings += _check_place(folder, bundle.system)
    return bundle, findings


def read_run(folder: Path, system: SystemDescription | None = None) -> tuple[Bundle | None, list[Finding]]:
    """Reads a run folder as the bundle that it would make.

    Args:
        folder: A folder that `vidchatbench evaluate` wrote.
        system: What is published of the system, in place of what the run says.

    Raises:
        OSError: If the folder cannot be read.
    """
    contents, findings = _read_files(folder, tuple(FILES))
    if has_errors(findings):
        return None, findings
    if system is not None:
        bundle, findings = parse_bundle(contents, bundle_hashes(contents), None)
        if bundle is None:
            return None, findings
        results = bundle.results.model_copy(update={"system": system})
        text = yaml.safe_dump(system.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        contents |= {RESULTS_FILE: results.to_json().encode(), SYSTEM_FILE: text.encode()}
    return parse_bundle(contents, bundle_hashes(contents), None)


def parse_bundle(
    contents: dict[str, bytes], hashes: str, signature: bytes | None
) -> tuple[Bundle | None, list[Finding]]:
    """Parses the files of a bundle, each by its schema; there is a finding for every file that is refused."""
    findings: list[Finding] = []

    def attempt(parse: Callable[[], T]) -> T | None:
        try:
            return parse()
        except RefusedFileError as refusal:
            findings.append(refusal.finding)
            return None

    results = attempt(lambda: _parse_results(contents[RESULTS_FILE]))
    expected = None if results is None else len(results.metrics) * results.benchmark.n_samples
    rows = attempt(lambda: table_process().read(contents[SAMPLES_FILE], expected))
    media = attempt(lambda: _parse_media(contents[MEDIA_FILE]))
    system = attempt(lambda: _parse_system(contents[SYSTEM_FILE]))
    if results is None or rows is None or media is None or system is None:
        return None, findings
    return Bundle(results, tuple(rows), media, system, bundle_sha256(hashes), contents, hashes, signature), findings


def _read_files(folder: Path, names: tuple[str, ...]) -> tuple[dict[str, bytes], list[Finding]]:
    contents, findings = {}, []
    for name in names:
        try:
            contents[name] = read_bytes(folder, name)
        except RefusedFileError as refusal:
            findings.append(refusal.finding)
    return contents, findings


def _parse_results(content: bytes) -> Results:
    try:
        upgraded = upgrade(content, subject=RESULTS_FILE, to=SCHEMA_VERSION)
        results = Results.model_validate_json(upgraded, strict=True)
        check_json(content)
        return results
    except ValidationError as failure:
        problems = describe_validation(failure)
        code = "nan" if any("finite" in problem for problem in problems) else "bad_results"
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        message = f"{_short(problems[0])}{more}; take the file that the run wrote"
        raise RefusedFileError(code, RESULTS_FILE, message) from failure
    except InputError as failure:
        message = f"{failure.problems[0]}; {failure.hint}"
        raise RefusedFileError("bad_version", RESULTS_FILE, message) from failure
    except ValueError as failure:
        code = "nan" if "finite" in str(failure) else "bad_results"
        message = f"{_short(str(failure))}; take the file that the run wrote"
        raise RefusedFileError(code, RESULTS_FILE, message) from failure


def _short(text: str) -> str:
    return text[:_MAX_MESSAGE]


def _parse_media(content: bytes) -> tuple[MediaLine, ...]:
    lines = [line for line in content.split(b"\n") if line.strip()]
    if len(lines) > MAX_MEDIA_LINES:
        message = f"{len(lines):,} lines; at most {MAX_MEDIA_LINES:,} are read"
        raise RefusedFileError("too_many_rows", MEDIA_FILE, message)
    parsed = []
    for number, line in enumerate(lines, 1):
        where = f"{MEDIA_FILE}:{number}"
        try:
            check_json(line)
            parsed.append(MediaLine.model_validate_json(line, strict=True))
        except ValidationError as failure:
            message = _short("; ".join(describe_validation(failure)[:3]))
            raise RefusedFileError("bad_media", where, message) from failure
        except ValueError as failure:
            raise RefusedFileError("bad_media", where, f"this is no JSON: {_short(str(failure))}") from failure
    return tuple(parsed)


def _parse_system(content: bytes) -> SystemDescription:
    try:
        # By way of JSON, where a list may stand for a tuple, but no truth value for a number.
        text = json.dumps(load_yaml(content.decode("utf-8")), allow_nan=False)
        return SystemDescription.model_validate_json(text, strict=True)
    except ValidationError as failure:
        message = _short("; ".join(describe_validation(failure)[:3]))
        raise RefusedFileError("bad_system", SYSTEM_FILE, message) from failure
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as failure:
        reason = type(failure).__name__ if isinstance(failure, yaml.YAMLError) else _short(str(failure))
        message = f"this is not readable as YAML ({reason}); take the file that the run wrote"
        raise RefusedFileError("bad_system", SYSTEM_FILE, message) from failure


def _check_place(folder: Path, system: SystemDescription) -> list[Finding]:
    place, expected = f"{folder.parent.name}/{folder.name}", bundle_path(system)
    if place == expected:
        return []
    message = f"a bundle of system {system.name[:50]!r}, revision {system.revision!r:.50}, lies in {expected}"
    return [error("wrong_place", place, message)]
