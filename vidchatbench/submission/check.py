"""Finding outputs and checking them before any model runs; every problem is listed, none stops the listing."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from vidchatbench.api.samples import Sample
from vidchatbench.benchmark.format import Benchmark
from vidchatbench.core.hashing import file_stamp
from vidchatbench.core.progress import Progress, SilentProgress
from vidchatbench.errors import InputError, MediaError, UsageError
from vidchatbench.media.probe import MediaInfo, probe
from vidchatbench.submission.system import (
    SYSTEM_FILE,
    OutputNotes,
    SystemDescription,
    named_after,
    read_notes,
    read_system,
)

CONTAINERS = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi")
BAD_SYSTEM = "bad_system"
MIN_SECONDS = 1.0
LENGTH_RATIO = (0.5, 2.0)


class Severity(str, Enum):
    """``error``: metrics charge the worst value, or nothing is scored. ``warning``: scored, but suspicious."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Problem:
    """One finding of the pre-flight check.

    Attributes:
        severity: Whether it costs the submission a score.
        code: Machine-readable kind, such as ``missing`` or ``no_audio``.
        sample: The sample concerned, if it is one.
        file: The file concerned, relative to the outputs.
        message: What is wrong.
    """

    severity: Severity
    code: str
    sample: str | None
    file: str | None
    message: str


@dataclass(frozen=True)
class Output:
    """The output found for one sample.

    Attributes:
        path: The file; ``None`` if there is none.
        info: The result of probing; ``None`` if the file cannot be used at all.
        reason: Why it cannot be used.
        stamp: Size and time of change of the file when it was probed.
    """

    path: Path | None
    info: MediaInfo | None
    reason: str | None = None
    stamp: tuple[int, int] | None = None


@dataclass
class CheckedSubmission:
    """A submission after the pre-flight check.

    Attributes:
        root: The outputs folder.
        system: The submission's own description.
        outputs: One entry per sample of the benchmark.
        notes: What the submission declares of single replies, by sample.
        problems: Every finding.
    """

    root: Path
    system: SystemDescription
    outputs: dict[str, Output] = field(default_factory=dict)
    notes: dict[str, OutputNotes] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @property
    def errors(self) -> list[Problem]:
        """Findings that cost the submission a score."""
        return [problem for problem in self.problems if problem.severity is Severity.ERROR]


def check_submission(
    outputs: Path, benchmark: Benchmark, *, list_all: bool = False, progress: Progress | None = None
) -> CheckedSubmission:
    """Finds the output of every sample and probes it.

    Args:
        outputs: Folder with one ``<id>.mp4`` (or another container) per sample.
        benchmark: The benchmark it answers.
        list_all: Whether what is wrong in ``system.yaml`` is listed among the problems; otherwise it is raised before
            anything is probed.
        progress: Receives progress; nothing does by default.

    Raises:
        UsageError: If the folder does not exist or holds no output of this benchmark.
        InputError: If ``system.yaml`` is not valid and ``list_all`` is not set.
    """
    if not outputs.is_dir():
        raise UsageError(f"{outputs} is not a folder; give the folder with one <sample id>.mp4 per sample")
    checked = CheckedSubmission(outputs, named_after(outputs))
    try:
        checked.system = read_system(outputs)
    except InputError as error:
        if not list_all:
            raise
        checked.problems += [Problem(Severity.ERROR, BAD_SYSTEM, None, SYSTEM_FILE, text) for text in error.problems]
    files, notes = _files_by_stem(outputs, CONTAINERS), _files_by_stem(outputs, (".json",))
    progress = progress or SilentProgress()
    progress.begin("checking outputs", len(benchmark), "clips")
    for number, sample in enumerate(benchmark, start=1):
        checked.outputs[sample.id] = _find(sample, files.pop(sample.id, []), benchmark, checked)
        _check_notes(sample, notes.get(sample.id, []), checked)
        progress.advance(number)
    progress.end()
    if all(output.path is None for output in checked.outputs.values()):
        example = benchmark.samples[0].id
        name = benchmark.header.name
        raise UsageError(f"{outputs} holds no output of benchmark {name!r}; expected {example}.mp4 ...")
    for strangers in files.values():
        for path in strangers:
            message = "no sample of the benchmark has this id; the file is ignored"
            checked.problems.append(Problem(Severity.WARNING, "unknown_sample", None, path.name, message))
    return checked


def _files_by_stem(outputs: Path, suffixes: tuple[str, ...]) -> dict[str, list[Path]]:
    files: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(outputs.iterdir()):
        if path.is_file() and path.suffix.lower() in suffixes:
            # Some file systems hand back decomposed letters; ids are in normal form C.
            files[unicodedata.normalize("NFC", path.stem)].append(path)
    return files


def _find(sample: Sample, files: list[Path], benchmark: Benchmark, checked: CheckedSubmission) -> Output:
    def note(severity: Severity, code: str, file: str | None, message: str) -> None:
        checked.problems.append(Problem(severity, code, sample.id, file, message))

    if not files:
        note(Severity.ERROR, "missing", None, f"no output; expected {sample.id}.mp4 in {checked.root}")
        return Output(None, None)
    if len(files) > 1:
        reason = f"several outputs for one sample: {', '.join(path.name for path in files)}; keep one"
        note(Severity.ERROR, "ambiguous", files[0].name, reason)
        return Output(files[0], None, reason)
    path = files[0]
    stamp = file_stamp(path)
    try:
        info = probe(path)
    except MediaError as error:
        note(Severity.ERROR, "unreadable", path.name, error.reason)
        return Output(path, None, error.reason)
    for severity, code, message in (*_findings(info, sample), *_against_reference(info, sample, benchmark)):
        note(severity, code, path.name, message)
    return Output(path, info, stamp=stamp)


def _check_notes(sample: Sample, files: list[Path], checked: CheckedSubmission) -> None:
    for path in files:
        try:
            checked.notes[sample.id] = read_notes(path)
        except InputError as error:
            message = "; ".join(error.problems)
            checked.problems.append(Problem(Severity.WARNING, "bad_notes", sample.id, path.name, message))


def _findings(info: MediaInfo, sample: Sample) -> Iterator[tuple[Severity, str, str]]:
    if info.video is None:
        yield Severity.ERROR, "no_video", "there is no picture stream"
    elif info.video.duration is not None and info.video.duration < MIN_SECONDS:
        message = f"only {info.video.duration:.2f} s of picture; at least {MIN_SECONDS:g} s is needed"
        yield Severity.ERROR, "too_short", message
    if info.audio is None:
        # A listener may stay silent; everyone else is expected to speak.
        severity = Severity.WARNING if sample.task == "listening" else Severity.ERROR
        yield severity, "no_audio", "there is no sound stream"
    for warning in info.warnings:
        yield Severity.WARNING, "unusual", warning
    if info.video is not None and info.audio is not None:
        picture, sound = info.video.duration, info.audio.duration
        if picture and sound and not LENGTH_RATIO[0] <= picture / sound <= LENGTH_RATIO[1]:
            yield Severity.WARNING, "lengths_differ", f"{picture:.2f} s of picture against {sound:.2f} s of sound"


def _against_reference(info: MediaInfo, sample: Sample, benchmark: Benchmark) -> Iterator[tuple[Severity, str, str]]:
    if sample.responder is None or info.video is None or not info.video.duration:
        return
    try:
        reference = probe(benchmark.media(sample.responder.media))
    except MediaError:
        return  # the benchmark's own media are checked where it is loaded
    expected = reference.video.duration if reference.video is not None else None
    if expected and not LENGTH_RATIO[0] <= info.video.duration / expected <= LENGTH_RATIO[1]:
        message = f"{info.video.duration:.2f} s of picture against {expected:.2f} s of the real reply"
        yield Severity.WARNING, "duration_differs", message
