"""The plan of a preparation: which samples, from which annotations; settled once, and the same for every later run."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from vidchatbench.api.samples import Sha256
from vidchatbench.core import paths
from vidchatbench.core.atomic import write_atomically
from vidchatbench.core.hashing import hash_file
from vidchatbench.core.models import FrozenModel
from vidchatbench.core.progress import Progress
from vidchatbench.core.validation import describe_validation
from vidchatbench.curation.preparation.annotations import (
    AnnotationFolder,
    AnnotationSource,
    LocalAnnotations,
    Wanted,
    gather,
)
from vidchatbench.curation.preparation.annotations_hub import HubAnnotations
from vidchatbench.curation.preparation.from_selection import read_selection
from vidchatbench.curation.preparation.ledger import Ledger
from vidchatbench.curation.preparation.listing import LIST_FILE, ListedSample, LostEntry, read_list, write_list
from vidchatbench.curation.preparation.samples import UNKNOWN_LANGUAGE, Pairing, pair
from vidchatbench.curation.preparation.settings import DATASET, PrepareSettings
from vidchatbench.curation.selection.schema import PAIRS_FILE, SELECTION_FILE
from vidchatbench.curation.speakervid.layout import TEST_LIST
from vidchatbench.curation.speakervid.lists import TestEntry, read_test_list
from vidchatbench.curation.speakervid.names import ClipName, is_clip_name
from vidchatbench.errors import InputError, UsageError
from vidchatbench.media.cut import CUT_PROFILE

PLAN_FILE = "plan.json"
LOST_FILE = "lost.jsonl"
ANNOTATIONS_FOLDER = "annotations"
_SETTLED_FILE = "revision.json"
LICENSE = (
    "non-commercial research and education only, as the dataset's authors state; rights in the clips stay with their "
    "owners"
)
_MAX_LISTED = 200
_COMMIT = re.compile(r"[0-9a-f]{40}")


class Plan(FrozenModel):
    """``preparation/plan.json``: what is prepared; the samples lie beside it in ``samples.jsonl``.

    Attributes:
        name: Name of the test set.
        version: Version of its list.
        origin: Where the annotations were read: a dataset of the hub, or a folder of this computer.
        revision: The commit, or the hash of a list in a folder.
        list_form: Whether the list holds names, pairs, or both; is the published one of the test set; or was chosen by
            `data build`.
        list_sha256: Hash of the list that the plan was made from.
        listed: Entries of the list.
        cut: The cut profile.
        samples_sha256: Hash of ``samples.jsonl``.
        lost: Entries that give no sample.
        not_understood: What was left out while lists and annotations were read.
        transcripts: What is said in each clip, by name.
        language: Language that was given for clips of which nobody says it.
    """

    schema_version: Literal[1] = 1
    name: str
    version: str
    origin: str
    revision: str
    list_form: Literal["names", "pairs", "mixed", "published", "selection"]
    list_sha256: Sha256
    listed: int = Field(ge=1)
    cut: str
    samples_sha256: Sha256
    lost: tuple[LostEntry, ...]
    not_understood: tuple[str, ...]
    transcripts: dict[str, str]
    license: str
    language: str | None = None


@dataclass(frozen=True)
class Planned:
    """A plan with its samples."""

    plan: Plan
    samples: tuple[ListedSample, ...]


@dataclass(frozen=True)
class _Request:
    """What is asked for: a test set by name, with the settings, the ledger and the receiver of progress."""

    name: str
    settings: PrepareSettings
    ledger: Ledger
    progress: Progress


@dataclass(frozen=True)
class _Origin:
    """Where annotations come from: a dataset or folder, and its revision; a folder that is only named has none."""

    place: str
    revision: str


@dataclass(frozen=True)
class _Listed:
    """The list that a plan is made from."""

    form: Literal["names", "pairs", "mixed", "selection"]
    sha256: str
    entries: int


def load_plan(desk: Path) -> Planned | None:
    """Reads the plan of an earlier run, ``None`` if there is none.

    Raises:
        InputError: If it is damaged.
    """
    path = desk / PLAN_FILE
    if not path.is_file():
        return None
    hint = f"Delete {path} to plan anew; clips that are whole are found again."
    try:
        plan = Plan.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise InputError(str(path), describe_validation(error), hint) from error
    samples = desk / LIST_FILE
    if not samples.is_file() or hash_file(samples) != plan.samples_sha256:
        raise InputError(str(samples), ["is not the list that the plan speaks of"], hint)
    return Planned(plan, read_list(samples))


def make_plan(name: str, settings: PrepareSettings, ledger: Ledger, progress: Progress) -> Planned:
    """Returns the plan of a preparation: that of an earlier run, or a new one.

    Raises:
        UsageError: If the folder holds the preparation of another list.
        InputError: If lists or annotations cannot be read; what was read is kept.
        UnavailableError: If the hub does not answer or wants a login.
    """
    known = load_plan(settings.desk)
    if known is not None:
        _check_same(known.plan, name, settings)
        return known
    published = paths.packaged_benchmark(name) / LIST_FILE
    if settings.annotations is None and published.is_file() and published.stat().st_size:
        return _keep(_of_published(name, published, settings.language), settings)
    request = _Request(name, settings, ledger, progress)
    where = settings.annotations or DATASET
    local = Path(where).expanduser()
    return _keep(_of_folder(request, local) if local.is_dir() else _of_hub(request, where), settings)


def _check_same(plan: Plan, name: str, settings: PrepareSettings) -> None:
    asked = settings.annotations
    origin = _Origin(plan.origin, "") if asked is None else _origin_of(asked)
    # A branch may have moved on; the plan stays at the commit that it was made at.
    other = _COMMIT.fullmatch(origin.revision) and origin.revision != plan.revision
    if plan.name == name and plan.cut == CUT_PROFILE and origin.place == plan.origin and not other:
        _check_unchanged(plan, settings)
        return
    held = f"{plan.name!r} from {plan.origin} at {plan.revision[:12]}, cut by {plan.cut}"
    raise UsageError(f"{settings.out} holds a preparation of {held}; name another folder with --out")


def _check_unchanged(plan: Plan, settings: PrepareSettings) -> None:
    anew = f"delete {settings.desk / PLAN_FILE} to plan anew, or name another folder with --out"
    if settings.language is not None and settings.language != plan.language:
        held = "no --language" if plan.language is None else f"--language {plan.language}"
        raise UsageError(f"{settings.out} was planned with {held}, not {settings.language}; {anew}")
    root = Path(settings.annotations or "").expanduser()
    listed = root / (PAIRS_FILE if (root / SELECTION_FILE).is_file() else TEST_LIST)
    if settings.annotations is not None and listed.is_file() and hash_file(listed) != plan.list_sha256:
        raise UsageError(f"{listed} is not the list that {settings.out} was planned from; {anew}")


def _origin_of(asked: str) -> _Origin:
    local = Path(asked).expanduser()
    if local.is_dir():
        return _Origin(str(local.resolve()), "")
    dataset, _, revision = asked.partition("@")
    return _Origin(dataset, revision)


def _keep(made: Planned, settings: PrepareSettings) -> Planned:
    digest = write_list(settings.desk / LIST_FILE, made.samples)
    plan = made.plan.model_copy(update={"samples_sha256": digest, "language": settings.language})
    content = json.dumps(plan.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"
    write_atomically(settings.desk / PLAN_FILE, content.encode())
    return Planned(plan, made.samples)


def _of_published(name: str, path: Path, language: str | None) -> Planned:
    samples = [
        sample.model_copy(update={"language": language}) if language and sample.language == UNKNOWN_LANGUAGE else sample
        for sample in read_list(path)
    ]
    version = (path.parent / "VERSION").read_text(encoding="utf-8").strip()
    lost = _published_losses(path.with_name(LOST_FILE))
    digest = hash_file(path)
    plan = Plan(
        name=name,
        version=version,
        origin=DATASET,
        revision=digest,
        list_form="published",
        list_sha256=digest,
        listed=len(samples) + len(lost),
        cut=CUT_PROFILE,
        samples_sha256=digest,
        lost=lost,
        not_understood=(),
        transcripts={},
        license=LICENSE,
    )
    return Planned(plan, tuple(samples))


def _published_losses(path: Path) -> tuple[LostEntry, ...]:
    """Reads which entries of the dataset's list give no sample."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n") if path.is_file() else []
        return tuple(LostEntry.model_validate_json(line) for line in lines if line.strip())
    except ValidationError as error:
        raise InputError(str(path), describe_validation(error)) from error


def _of_folder(request: _Request, root: Path) -> Planned:
    if (root / SELECTION_FILE).is_file():
        return _of_selection(request, root)
    path = root / TEST_LIST
    if not path.is_file():
        raise InputError(str(root), [f"there is no {TEST_LIST}"], "Give a folder that holds list and annotations.")
    source = LocalAnnotations(root)
    return _of_list(request, _Origin(str(root.resolve()), hash_file(path)), path, source)


def _of_selection(request: _Request, root: Path) -> Planned:
    pairing = read_selection(root, language=request.settings.language)
    digest = hash_file(root / PAIRS_FILE)
    listed = _Listed("selection", digest, len(pairing.samples) + len(pairing.lost))
    return _planned(request.name, _Origin(str(root.resolve()), digest), listed, pairing, [])


def _of_hub(request: _Request, where: str) -> Planned:
    desk = request.settings.desk
    settled = desk / _SETTLED_FILE
    source = HubAnnotations(where, _settled_commit(settled, where), desk / "hub")
    origin = _Origin(source.dataset, source.commit)
    # A branch may move on before all annotations are read.
    write_atomically(settled, json.dumps({"asked": where, "commit": source.commit}).encode())
    return _of_list(request, origin, source.test_list(), source)


def _settled_commit(path: Path, where: str) -> str | None:
    """Returns the commit at which an earlier run has begun to read the same annotations."""
    try:
        content = json.loads(path.read_bytes())
        commit = str(content["commit"]) if content["asked"] == where else ""
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return commit if _COMMIT.fullmatch(commit) else None


def _of_list(request: _Request, origin: _Origin, path: Path, source: AnnotationSource) -> Planned:
    settings = request.settings
    test_list = read_test_list(path)
    # Annotations that an earlier run kept of another origin are not mixed in.
    own = hashlib.sha256(json.dumps([origin.place, origin.revision]).encode()).hexdigest()[:16]
    kept = AnnotationFolder(settings.desk / ANNOTATIONS_FOLDER / own)
    gathered = gather(source, _wanted(test_list.entries), kept, request.ledger, request.progress)
    problems = [*test_list.not_understood, *gathered]
    pairing = pair(test_list.entries, kept.records(), language=settings.language)
    if not pairing.samples:
        reasons = sorted({lost.message for lost in pairing.lost})[:10]
        raise InputError(str(path), ["no entry of the list becomes a sample", *reasons])
    listed = _Listed(test_list.form, test_list.sha256, len(test_list.entries))
    return _planned(request.name, origin, listed, pairing, problems)


def _planned(name: str, origin: _Origin, listed: _Listed, pairing: Pairing, problems: Sequence[str]) -> Planned:
    remarks = [f"{clip}: {remark}" for clip, of_clip in sorted(pairing.remarks.items()) for remark in of_clip]
    plan = Plan(
        name=name,
        version="1.0.0",
        origin=origin.place,
        revision=origin.revision,
        list_form=listed.form,
        list_sha256=listed.sha256,
        listed=listed.entries,
        cut=CUT_PROFILE,
        samples_sha256="0" * 64,
        lost=tuple(pairing.lost),
        not_understood=tuple([*problems, *remarks][:_MAX_LISTED]),
        transcripts=pairing.transcripts,
        license=LICENSE,
    )
    return Planned(plan, tuple(pairing.samples))


def _wanted(entries: Sequence[TestEntry]) -> Wanted:
    clips: list[ClipName] = []
    videos: set[str] = set()
    for entry in entries:
        for name in (entry.initiator, entry.responder):
            if name is None or not is_clip_name(name):
                continue  # names of no clip are reported when pairs are made
            clips.append(ClipName.parse(name))
            if entry.initiator is None:
                videos.add(clips[-1].video_id)
    return Wanted.of(clips, videos)
