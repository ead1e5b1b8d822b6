"""Where the clips of a run lie, and how its page reaches them: by relative links, or inside the page.

A run's files name clips within two folders, the benchmark's and the outputs', and never where these lie, because a run
is published. So the folders are given, or known by the benchmark's name, or read from the journal, which stays on the
computer that made the run. A clip is linked only if its content is the one that was scored.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from vidchatbench.api.samples import Role
from vidchatbench.benchmark.format import HEADER_FILE, MANIFEST_FILE, Benchmark
from vidchatbench.benchmark.load import load_benchmark
from vidchatbench.core.hashing import hash_file
from vidchatbench.engine.journal import read_journal
from vidchatbench.errors import InputError, UsageError
from vidchatbench.report.run import RunData

SHOWN = (Role.INITIATOR, Role.REFERENCE, Role.CANDIDATE)
"""The three sides that the page plays in step."""

MAX_EMBEDDED_CLIP_BYTES = 4 * 2**20
"""Bytes of the largest clip that is put into the page."""

MAX_EMBEDDED_BYTES = 64 * 2**20
"""Bytes of all clips that are put into the page."""

_TYPES = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/mp4",
    ".webm": "video/webm",
    ".mkv": "video/x-matroska",
    ".avi": "video/x-msvideo",
}


@dataclass(frozen=True)
class Clip:
    """One side of one sample: the file, or the reason why there is none to show."""

    path: Path | None = None
    sha256: str | None = None
    problem: str | None = None
    transcript: str | None = None


@dataclass
class MediaIndex:
    """The clips of a run.

    Attributes:
        clips: The clips that are known of, by sample and role.
        notes: Notes for the reader on the clips as a whole.
    """

    clips: dict[tuple[str, Role], Clip] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def counts(self) -> tuple[int, int]:
        """Returns how many clips can be shown, and how many cannot although there should be one."""
        return (
            sum(clip.path is not None for clip in self.clips.values()),
            sum(clip.path is None and clip.problem is not None for clip in self.clips.values()),
        )


def find_media(run: RunData, benchmark: str | Path | None, outputs: str | Path | None) -> MediaIndex:
    """Finds the clips of a run and checks that they are those that were scored.

    Args:
        run: The run.
        benchmark: Folder or name of the benchmark; looked for if not given.
        outputs: Folder of the outputs; looked for if not given.

    Raises:
        UsageError: If a folder that was given is none.
        InputError: If the benchmark is not the one of the run.
    """
    index = MediaIndex()
    loaded = find_benchmark(run, benchmark)
    folder = _outputs(run, outputs)
    if loaded is None:
        index.notes.append("The benchmark’s folder was not found: give it with --benchmark to see its clips.")
    if folder is None:
        index.notes.append("The outputs’ folder was not found: give it with --outputs to see the candidates.")
    hashes: dict[Path, str] = {}
    if loaded is not None:
        for sample_id, role, clip in _sides(loaded):
            index.clips[sample_id, role] = _checked(clip, hashes)
    lines = {str(line.get("sample_id")): line for line in run.media if line.get("role") == Role.CANDIDATE.value}
    for sample_id in run.samples:
        line = lines.get(sample_id)
        if line is None:
            index.clips[sample_id, Role.CANDIDATE] = Clip(problem="the system gave no output")
        elif folder is not None:
            index.clips[sample_id, Role.CANDIDATE] = _candidate(line, folder, hashes)
    return index


def links(index: MediaIndex, page_folder: Path) -> dict[Path, str]:
    """Returns a relative address for every clip that can be shown, from the folder of the page.

    Folders are taken where they really lie, so that ``..`` leads where it should. What lies on another drive has no
    relative address and is left out.
    """
    here = page_folder.resolve()
    addresses: dict[Path, str] = {}
    for clip in index.clips.values():
        if clip.path is None or clip.path in addresses:
            continue
        try:
            relative = os.path.relpath(clip.path.parent.resolve() / clip.path.name, here)
        except ValueError:
            continue
        # A colon is quoted too, or a file named "javascript:..." would be taken for more than a file.
        addresses[clip.path] = "/".join(quote(part, safe="") for part in PurePosixPath(Path(relative).as_posix()).parts)
    return addresses


def embedded(index: MediaIndex, wanted: Sequence[str]) -> dict[Path, str]:
    """Returns ``data:`` addresses of the clips of some samples, as far as they are small enough.

    Args:
        index: The clips.
        wanted: Ids of the samples, the most important first.
    """
    addresses: dict[Path, str] = {}
    room = MAX_EMBEDDED_BYTES
    for sample_id in wanted:
        for role in SHOWN:
            path = index.clips.get((sample_id, role), Clip()).path
            if path is None or path in addresses or path.suffix.lower() not in _TYPES:
                continue
            size = path.stat().st_size
            if size <= min(room, MAX_EMBEDDED_CLIP_BYTES):
                room -= size
                content = base64.b64encode(path.read_bytes()).decode("ascii")
                addresses[path] = f"data:{_TYPES[path.suffix.lower()]};base64,{content}"
    return addresses


def find_benchmark(run: RunData, given: str | Path | None) -> Benchmark | None:
    """Returns the benchmark of a run: the one that is given, or the one that the run's journal or its name leads to.

    Raises:
        UsageError: If a folder that was given is none.
        InputError: If what was given is not the benchmark of the run.
    """
    expected = run.results.benchmark
    if given is not None:
        loaded = load_benchmark(given)
        if loaded.header.manifest_sha256 != expected.manifest_sha256:
            problem = (
                f"its manifest is {loaded.header.manifest_sha256[:12]}, "
                f"the run was scored on {expected.name} {expected.version} ({expected.manifest_sha256[:12]})"
            )
            raise InputError(str(given), [problem], "Give the benchmark that the run was scored on.")
        return loaded
    # A name with a slash would be a dataset of the hub, and a report fetches nothing.
    places: list[str | Path] = [*_journal_place(run, "benchmark"), *([] if "/" in expected.name else [expected.name])]
    for place in places:
        if isinstance(place, Path) and not ((place / HEADER_FILE).is_file() and (place / MANIFEST_FILE).is_file()):
            continue
        try:
            loaded = load_benchmark(place)
        except (UsageError, InputError):
            continue
        if loaded.header.manifest_sha256 == expected.manifest_sha256:
            return loaded
    return None


def _outputs(run: RunData, given: str | Path | None) -> Path | None:
    if given is not None:
        folder = Path(given)
        if not folder.is_dir():
            raise UsageError(f"{folder} is not a folder; give the folder with the outputs that were scored")
        return folder
    return next((place for place in _journal_place(run, "outputs") if place.is_dir()), None)


def _journal_place(run: RunData, name: str) -> list[Path]:
    """Returns the last place of the outputs or the benchmark that the journal has, if it has one."""
    places = [event[name] for event in read_journal(run.folder) if event.get("event") == "planned" and name in event]
    return [Path(str(places[-1]))] if places else []


def _sides(benchmark: Benchmark) -> Iterator[tuple[str, Role, Clip]]:
    for sample in benchmark:
        for role, side in ((Role.INITIATOR, sample.initiator), (Role.REFERENCE, sample.responder)):
            if side is None:
                yield sample.id, role, Clip(problem="the sample has no real reply")
            else:
                path = benchmark.media(side.media)
                yield sample.id, role, Clip(path, side.sha256, transcript=side.transcript)


def _candidate(line: Mapping[str, object], folder: Path, hashes: dict[Path, str]) -> Clip:
    name = str(line.get("file"))
    if not name or name in {".", ".."} or PurePosixPath(name.replace("\\", "/")).name != name:
        return Clip(problem="the run names a file outside of the outputs")
    content = line.get("sha256")
    clip = _checked(Clip(folder / name, content if isinstance(content, str) else None), hashes)
    problem = line.get("problem")
    if clip.path is not None and isinstance(problem, str):
        return Clip(problem=f"the output cannot be read: {problem}")
    return clip


def _checked(clip: Clip, hashes: dict[Path, str]) -> Clip:
    path = clip.path
    if path is None:
        return clip
    if not path.is_file():
        return Clip(problem=f"{path.name} is not there", transcript=clip.transcript)
    if clip.sha256 is not None:
        if path not in hashes:
            hashes[path] = hash_file(path)
        if hashes[path] != clip.sha256:
            return Clip(problem=f"{path.name} is not the file that was scored", transcript=clip.transcript)
    return clip
