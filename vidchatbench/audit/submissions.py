"""Writing reference submissions: in parallel over clips, resumable at any moment, announced before the disk fills."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from filelock import FileLock, Timeout

from vidchatbench.api.samples import Sample, Side
from vidchatbench.audit.nearest import TrainingFolder
from vidchatbench.audit.recipe import Recipe
from vidchatbench.audit.recipes import REENCODED
from vidchatbench.audit.transforms import Ingredients, make_clip
from vidchatbench.benchmark.format import Benchmark
from vidchatbench.core.atomic import write_atomically
from vidchatbench.core.hashing import hash_file
from vidchatbench.core.pool import worker_pool
from vidchatbench.core.progress import Progress
from vidchatbench.engine.anchors import partners
from vidchatbench.engine.settings import RunConfig
from vidchatbench.errors import InputError, MediaError, UsageError
from vidchatbench.media.reencode import remuxed_suffix
from vidchatbench.submission.system import SYSTEM_FILE, SystemDescription

LEDGER = ".made"
"""Folder, beside the submissions, that says of every clip what it was made of."""

OWNER_FILE = "benchmark.json"
GROWTH = 2.5
"""Size of a clip in the house encoding over that of the real reply, at most, for the forecast of the disk."""

_TEMPORARY = ".tmp"
_MEBIBYTE = 2**20


@dataclass(frozen=True)
class Submission:
    """One reference submission on the disk.

    Attributes:
        recipe: Its recipe.
        folder: Its outputs.
        made: Samples whose clips were made now.
        reused: Samples whose clips were there already, of the same recipe and the same sources.
        not_made: Samples without a clip, and why.
    """

    recipe: Recipe
    folder: Path
    made: tuple[str, ...]
    reused: tuple[str, ...]
    not_made: dict[str, str]

    @property
    def samples(self) -> tuple[str, ...]:
        """Samples that have a clip."""
        return (*self.made, *self.reused)


@dataclass(frozen=True)
class _Task:
    recipe: Recipe
    sample: str
    target: Path
    ledger: Path
    sources: dict[str, str]
    ingredients: Ingredients
    copied: Path | None
    bytes: int

    @property
    def identity(self) -> dict[str, object]:
        return {"recipe": self.recipe.sha256, "sources": self.sources}


@dataclass
class _Plan:
    tasks: list[_Task] = field(default_factory=list)
    reused: list[_Task] = field(default_factory=list)
    not_made: dict[str, dict[str, str]] = field(default_factory=dict)


def write_submissions(
    benchmark: Benchmark,
    root: Path,
    recipes: Sequence[Recipe],
    progress: Progress,
    *,
    training: Path | None = None,
    workers: int | None = None,
) -> tuple[Submission, ...]:
    """Writes reference submissions, each an ordinary folder of outputs below ``root``.

    A clip that is there, whole, of the same recipe and the same sources is not made again.

    Args:
        benchmark: The benchmark.
        root: The folder to write into; made if it is absent.
        recipes: What to write.
        progress: Receives progress.
        training: Folder of training clips, for the recipe that returns the nearest of them.
        workers: Processes; by default one per core.

    Returns:
        What was written, in the order of the recipes.

    Raises:
        UsageError: If the folder belongs to something else or to a run in progress, the disk is too small, or no sample
            has a real reply.
        InputError: If real replies cannot be read; all of them are listed.
        OSError: If a file cannot be written.
    """
    if all(sample.responder is None for sample in benchmark):
        raise UsageError(f"no sample of {benchmark.header.name} has a real reply, so there is nothing to write")
    count = RunConfig(workers=workers).effective_workers()
    with _owned(root, benchmark):
        nearest: dict[str, Path] = {}
        if training is not None and any(recipe.source == "training" for recipe in recipes):
            nearest = _nearest(benchmark, training, progress, count)
        plan = _plan(benchmark, root, recipes, nearest)
        _announce(plan, root, progress)
        for recipe in recipes:
            _describe(root / recipe.name, recipe)
        problems = _carry_out(plan.tasks, progress, count)
    if problems:
        hint = "A reference submission is made of the real replies; mend the benchmark's media and run again."
        raise InputError(str(root), problems, hint)
    return tuple(_submission(recipe, root, plan) for recipe in recipes)


def _submission(recipe: Recipe, root: Path, plan: _Plan) -> Submission:
    made, reused = (
        tuple(task.sample for task in tasks if task.recipe is recipe) for tasks in (plan.tasks, plan.reused)
    )
    return Submission(recipe, root / recipe.name, made, reused, plan.not_made.get(recipe.name, {}))


@contextmanager
def _owned(root: Path, benchmark: Benchmark) -> Iterator[None]:
    """Holds the folder for one benchmark and one run."""
    ledger = root / LEDGER
    owner = ledger / OWNER_FILE
    try:
        if root.is_dir() and not owner.is_file() and any(not path.name.startswith(".") for path in root.iterdir()):
            raise UsageError(f"{root} holds other files than reference submissions; give a folder of their own")
        ledger.mkdir(parents=True, exist_ok=True)
    except (NotADirectoryError, FileExistsError) as error:
        raise UsageError(f"{root} is no folder; give another one") from error
    owner_of = {"manifest_sha256": benchmark.header.manifest_sha256}
    try:
        with FileLock(ledger / "lock", timeout=0):
            if owner.is_file() and json.loads(owner.read_bytes()) != owner_of:
                raise UsageError(f"{root} holds reference submissions of another benchmark; give another folder")
            write_atomically(owner, json.dumps(owner_of).encode())
            for left in root.glob(f"*/.*{_TEMPORARY}"):  # of a run that was killed; nobody else writes here
                left.unlink(missing_ok=True)
            yield
    except Timeout as error:
        raise UsageError(f"another run is writing into {root}; wait for it, or give another folder") from error


# --- what to make of what -------------------------------------------------------------------------------------------


def _plan(benchmark: Benchmark, root: Path, recipes: Sequence[Recipe], nearest: dict[str, Path]) -> _Plan:
    replied = [sample for sample in benchmark if sample.responder is not None]
    cast, plan = _Cast.of(benchmark, replied, nearest), _Plan()
    hashes: dict[Path, str] = {}
    for recipe in recipes:
        for sample in benchmark:
            reason = cast.lacks(recipe, sample)
            if reason is None:
                task = _task(benchmark, root, recipe, sample, cast, hashes)
                (plan.reused if _is_whole(task) else plan.tasks).append(task)
                continue
            plan.not_made.setdefault(recipe.name, {})[sample.id] = reason
    return plan


@dataclass(frozen=True)
class _Cast:
    """Which clips of others take part in the replies to each sample."""

    clips: dict[str, dict[str, Path]]

    @classmethod
    def of(cls, benchmark: Benchmark, replied: Sequence[Sample], nearest: dict[str, Path]) -> _Cast:
        """Returns the cast of a benchmark."""
        others, alike = partners(replied), siblings(replied)
        fixed = min(replied, key=lambda sample: sample.id)
        clips: dict[str, dict[str, Path]] = {}
        for sample in replied:
            own = clips.setdefault(sample.id, {})
            own["initiator"] = benchmark.media(sample.initiator.media)
            partner = others.get(sample.id)
            constant = fixed if sample.cluster != fixed.cluster else others.get(fixed.id)
            for name, other in (("partner", partner), ("fixed", constant)):
                if other is not None and other.responder is not None:
                    own[name] = benchmark.media(other.responder.media)
            if sample.id in alike:
                own["sibling"] = benchmark.media(alike[sample.id])
            if sample.id in nearest:
                own["training"] = nearest[sample.id]
        return cls(clips)

    def lacks(self, recipe: Recipe, sample: Sample) -> str | None:
        """Returns why there is no clip of a recipe for a sample; ``None`` where there is one."""
        if sample.responder is None:
            return "the sample has no real reply"
        own = self.clips[sample.id]
        if (recipe.needs_partner and "partner" not in own) or (recipe.source == "fixed" and "fixed" not in own):
            return "no other identity replies in this benchmark"
        if recipe.source == "sibling" and "sibling" not in own:
            return "this identity has no other clip in this benchmark"
        return None


def siblings(samples: Sequence[Sample]) -> dict[str, str]:
    """Returns for every sample the media of another clip of the same identity: another reply, else one as initiator.

    One rotation serves the replies of an identity, so that each is lent once. An identity without another clip has no
    sibling.
    """
    ordered = sorted(samples, key=lambda sample: sample.id)
    replies: dict[str, list[Side]] = {}
    openings: dict[str, list[Side]] = {}
    for sample in ordered:
        if sample.responder is not None:
            replies.setdefault(sample.cluster, []).append(sample.responder)
        openings.setdefault(sample.initiator.speaker_id, []).append(sample.initiator)
    found = {}
    for sample in ordered:
        if sample.responder is None:
            continue
        own = replies[sample.cluster]
        place = own.index(sample.responder)
        others = [*own[place + 1 :], *own[:place], *openings.get(sample.cluster, [])]
        other = next((side for side in others if side.sha256 != sample.responder.sha256), None)
        if other is not None:
            found[sample.id] = other.media
    return found


def _task(
    benchmark: Benchmark, root: Path, recipe: Recipe, sample: Sample, cast: _Cast, hashes: dict[Path, str]
) -> _Task:
    assert sample.responder is not None  # noqa: S101 - the caller has looked
    reply = benchmark.media(sample.responder.media)
    clips = {"reply": reply, **cast.clips[sample.id]}
    image = benchmark.media(sample.reference_image) if sample.reference_image is not None else None
    copied: Path | None = None
    used: dict[str, Path | None] = {"reply": reply}
    if recipe.operation == "copy":
        copied = clips[recipe.source]
        used = {recipe.source: copied}
    else:
        if recipe.needs_partner:
            used["partner"] = clips["partner"]
        if recipe.needs_initiator:
            used["initiator"] = clips["initiator"]
        if recipe.operation == "freeze" and image is not None:
            used["image"] = image
    folder = root / recipe.name
    suffix = copied.suffix.lower() if copied is not None else ".mp4"
    target = folder / f"{sample.id}{remuxed_suffix(reply) if recipe.operation == 'remux' else suffix}"
    hashes_of = {name: _hash(path, hashes) for name, path in used.items() if path is not None}
    size = copied.stat().st_size if copied is not None else round(GROWTH * reply.stat().st_size)
    reencoded = root / REENCODED / f"{sample.id}.mp4"
    ingredients = Ingredients(reply, clips.get("partner"), image, clips["initiator"], reencoded)
    ledger = root / LEDGER / recipe.name / f"{sample.id}.json"
    return _Task(recipe, sample.id, target, ledger, hashes_of, ingredients, copied, size)


def _hash(path: Path, hashes: dict[Path, str]) -> str:
    if path not in hashes:
        hashes[path] = hash_file(path)
    return hashes[path]


def _is_whole(task: _Task) -> bool:
    try:
        record = json.loads(task.ledger.read_bytes())
        mine = {name: record.pop(name) for name in ("file", "sha256")}
        return bool(record == task.identity and mine == {"file": task.target.name, "sha256": hash_file(task.target)})
    except (OSError, ValueError, KeyError, AttributeError):
        return False


def _nearest(benchmark: Benchmark, training: Path, progress: Progress, workers: int) -> dict[str, Path]:
    with worker_pool(workers) as pool:
        folder = TrainingFolder(training, lambda look, paths: pool.map(look, paths, chunksize=16))
    if folder.unreadable:
        progress.note(f"{folder.unreadable} clips of {training} cannot be read and are left out")
    nearest = {}
    for sample in benchmark:
        if sample.responder is not None:
            shown = sample.reference_image or sample.responder.media
            nearest[sample.id], _ = folder.nearest(benchmark.media(shown))
    return nearest


def _announce(plan: _Plan, root: Path, progress: Progress) -> None:
    if not plan.tasks:
        return
    needed, free = sum(task.bytes for task in plan.tasks), shutil.disk_usage(root).free
    message = (
        f"{len(plan.tasks)} clips to write, about {needed / _MEBIBYTE:.0f} MiB; {free / _MEBIBYTE:.0f} MiB are free"
    )
    if needed > free:
        raise UsageError(f"{root}: {message}. Free some space, name fewer submissions, or give another folder.")
    progress.note(message + (f"; {len(plan.reused)} are there already" if plan.reused else ""))


def _describe(folder: Path, recipe: Recipe) -> None:
    folder.mkdir(exist_ok=True)
    encoding = recipe.encoding
    settings: dict[str, str | int | float | bool | None] = {
        "recipe": recipe.name,
        "recipe_sha256": recipe.sha256,
        "kind": recipe.kind,
        "class": recipe.group,
        "operation": recipe.operation,
        "picture_of": recipe.source,
        **{f"parameter_{name}": value for name, value in recipe.params.items()},
        "encoding": "copy" if encoding is None else f"x264 crf {encoding.crf}, AAC {encoding.audio_bits} bit/s",
    }
    system = SystemDescription(
        name=f"reference submission: {recipe.title}",
        revision=recipe.sha256[:12],
        organisation="VidChatBench",
        generation_settings=settings,
        training_overlap="made of the test set itself: an anchor, not a system",
    )
    text = f"# {recipe.does}\n" + yaml.safe_dump(system.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    write_atomically(folder / SYSTEM_FILE, text.encode())


# --- making it ------------------------------------------------------------------------------------------------------


def _carry_out(tasks: Sequence[_Task], progress: Progress, workers: int) -> list[str]:
    problems: list[str] = []
    if not tasks:
        return problems
    for folder in {task.ledger.parent for task in tasks}:
        folder.mkdir(parents=True, exist_ok=True)
    # What keeps the re-encoded picture comes after the clips that it takes the picture of.
    phases = [[task for task in tasks if task.recipe.keeps_picture is late] for late in (False, True)]
    progress.begin("writing reference submissions", len(tasks), "clips")
    done = 0
    for phase in phases:
        for problem in _run(phase, workers):
            done += 1
            progress.advance(done)
            if problem is not None:
                problems.append(problem)
        if problems:
            break
    progress.end()
    return sorted(set(problems))


def _run(tasks: Sequence[_Task], workers: int) -> Iterator[str | None]:
    if workers == 1 or len(tasks) == 1:
        yield from map(_make, tasks)
        return
    try:
        with worker_pool(min(workers, len(tasks) or 1)) as pool:
            yield from pool.map(_make, tasks)
    except BrokenProcessPool as error:
        raise UsageError("a process that writes clips died (out of memory?); run again with fewer --workers") from error


def _make(task: _Task) -> str | None:
    """Makes one clip under a temporary name, renames it, and notes what it was made of; returns what went wrong."""
    temporary = task.target.with_name(f".{task.target.name}.{os.getpid()}{_TEMPORARY}")
    try:
        if task.copied is not None:
            shutil.copyfile(task.copied, temporary)
        else:
            make_clip(task.recipe, task.ingredients, temporary)
        for older in task.target.parent.glob(f"{_escaped(task.sample)}.*"):
            older.unlink()  # of another container, say; two outputs for one sample are none
        digest = hash_file(temporary)
        temporary.replace(task.target)
    except MediaError as error:
        return f"{task.sample}: {error}"
    finally:
        temporary.unlink(missing_ok=True)
    note = {**task.identity, "file": task.target.name, "sha256": digest}
    write_atomically(task.ledger, json.dumps(note).encode(), durable=False)
    return None


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "[]*?" else letter for letter in name)
