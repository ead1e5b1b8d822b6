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
    where = settings.annotations or DATASET
    local = Path(where).expanduser()
    made = _of_folder(name, local, settings, ledger, progress) if local.is_dir() else None
    return _keep(made or _of_hub(name, where, settings, ledger, progress), settings)


def _check_same(plan: Plan, name: str, settings: PrepareSettings) -> None:
    asked = settings.annotations
    same = asked is None or _origin_of(asked)[0] == plan.origin
    # A branch may have moved on; the plan stays at the commit that it was made at.
    other = asked is not None and _COMMIT.fullmatch(_origin_of(asked)[1]) and _origin_of(asked)[1] != plan.revision
    if plan.name == name and plan.cut == CUT_PROFILE and same and not other:
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


def _origin_of(asked: str) -> tuple[str, str]:
    """Returns where annotations come from and at which revision: a folder has none."""
    local = Path(asked).expanduser()
    if local.is_dir():
        return str(local.resolve()), ""
    dataset, _, revision = asked.partition("@")
    return dataset, revision


def _keep(made: tuple[Plan, Sequence[ListedSample]], settings: PrepareSettings) -> Planned:
    plan, samples = made
    digest = write_list(settings.desk / LIST_FILE, samples)
    plan = plan.model_copy(update={"samples_sha256": digest, "language": settings.language})
    content = json.dumps(plan.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"
    write_atomically(settings.desk / PLAN_FILE, content.encode())
    return Planned(plan, tuple(samples))


def _of_published(name: str, path: Path, language: str | None) -> tuple[Plan, Sequence[ListedSample]]:
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
    return plan, samples


def _published_losses(path: Path) -> tuple[LostEntry, ...]:
    """Reads which entries of the dataset's list give no sample."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n") if path.is_file() else []
        return tuple(LostEntry.model_validate_json(line) for line in lines if line.strip())
    except ValidationError as error:
        raise InputError(str(path), describe_validation(error)) from error


def _of_folder(
    name: str, root: Path, settings: PrepareSettings, ledger: Ledger, progress: Progress
) -> tuple[Plan, Sequence[ListedSample]]:
    if (root / SELECTION_FILE).is_file():
        return _of_selection(name, root, settings)
    path = root / TEST_LIST
    if not path.is_file():
        raise InputError(str(root), [f"there is no {TEST_LIST}"], "Give a folder that holds list and annotations.")
    source = LocalAnnotations(root)
    return _of_list(name, (str(root.resolve()), hash_file(path)), path, source, (settings, ledger, progress))


def _of_selection(name: str, root: Path, settings: PrepareSettings) -> tuple[Plan, Sequence[ListedSample]]:
    found = read_selection(root, language=settings.language)
    digest = hash_file(root / PAIRS_FILE)
    listed = len(found.samples) + len(found.lost)
    return _planned(name, (str(root.resolve()), digest), ("selection", digest, listed), found, []), found.samples


def _of_hub(
    name: str, where: str, settings: PrepareSettings, ledger: Ledger, progress: Progress
) -> tuple[Plan, Sequence[ListedSample]]:
    settled = settings.desk / _SETTLED_FILE
    source = HubAnnotations(where, _settled_commit(settled, where), settings.desk / "hub")
    origin = (source.dataset, source.commit)
    # A branch may move on before all annotations are read.
    write_atomically(settled, json.dumps({"asked": where, "commit": source.commit}).encode())
    return _of_list(name, origin, source.test_list(), source, (settings, ledger, progress))


def _settled_commit(path: Path, where: str) -> str | None:
    """Returns the commit at which an earlier run has begun to read the same annotations."""
    try:
        told = json.loads(path.read_bytes())
        commit = str(told["commit"]) if told["asked"] == where else ""
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return commit if _COMMIT.fullmatch(commit) else None


def _of_list(
    name: str,
    origin: tuple[str, str],
    path: Path,
    source: AnnotationSource,
    how: tuple[PrepareSettings, Ledger, Progress],
) -> tuple[Plan, Sequence[ListedSample]]:
    settings, ledger, progress = how
    listed = read_test_list(path)
    # What an earlier run has kept of other annotations is not mixed in.
    own = hashlib.sha256(json.dumps(origin).encode()).hexdigest()[:16]
    kept = AnnotationFolder(settings.desk / ANNOTATIONS_FOLDER / own)
    problems = [*listed.not_understood, *gather(source, _wanted(listed.entries), kept, ledger, progress)]
    found: Pairing = pair(listed.entries, kept.records(), language=settings.language)
    if not found.samples:
        reasons = sorted({lost.message for lost in found.lost})[:10]
        raise InputError(str(path), ["no entry of the list becomes a sample", *reasons])
    told = (listed.form, listed.sha256, len(listed.entries))
    return _planned(name, origin, told, found, problems), found.samples


def _planned(
    name: str,
    origin: tuple[str, str],
    listed: tuple[Literal["names", "pairs", "mixed", "selection"], str, int],
    found: Pairing,
    problems: Sequence[str],
) -> Plan:
    remarks = [f"{clip}: {remark}" for clip, told in sorted(found.remarks.items()) for remark in told]
    return Plan(
        name=name,
        version="1.0.0",
        origin=origin[0],
        revision=origin[1],
        list_form=listed[0],
        list_sha256=listed[1],
        listed=listed[2],
        cut=CUT_PROFILE,
        samples_sha256="0" * 64,
        lost=tuple(found.lost),
        not_understood=tuple([*problems, *remarks][:_MAX_LISTED]),
        transcripts=found.transcripts,
        license=LICENSE,
    )


def _wanted(entries: Sequence[TestEntry]) -> Wanted:
    clips: list[ClipName] = []
    videos: set[str] = set()
    for entry in entries:
        for name in (entry.initiator, entry.responder):
            if name is None or not is_clip_name(name):
                continue  # what is no clip's name is told of when pairs are made
            clips.append(ClipName.parse(name))
            if entry.initiator is None:
                videos.add(clips[-1].video_id)
    return Wanted.of(clips, videos)
