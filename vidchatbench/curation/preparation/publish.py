"""Publishing the list of a prepared test set: ids, times, boxes and fingerprints; no clip, no word of what is said."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

from vidchatbench.core.atomic import write_atomically
from vidchatbench.core.hashing import CHECKSUMS_FILE, checksum_lines, hash_file
from vidchatbench.core.pool import worker_pool
from vidchatbench.core.progress import Progress
from vidchatbench.curation.preparation.clips import WholeClips, clip_files
from vidchatbench.curation.preparation.fingerprints import fingerprint
from vidchatbench.curation.preparation.ledger import Ledger
from vidchatbench.curation.preparation.listing import (
    LIST_FILE,
    Fingerprint,
    ListedClip,
    ListedSample,
    LostEntry,
    write_list,
)
from vidchatbench.curation.preparation.plan import LOST_FILE, load_plan
from vidchatbench.curation.preparation.run import LEDGER_FILE
from vidchatbench.errors import UsageError

SCHEMA_FILE = "samples.schema.json"
VERSION_FILE = "VERSION"
_VERSION = re.compile(r"[1-9]\d*\.\d+\.\d+")
# Annotations about a person or the talk are not published: the list names clips, and no more.
_PUBLIC_TAGS = frozenset({"dyad", "framing", "view", "gap_s"})


def publish(root: Path, target: Path, version: str, progress: Progress, *, workers: int) -> tuple[ListedSample, ...]:
    """Writes the list of a prepared test set into a folder such as ``data/test_500``.

    Every listed sample is published, also those whose clips could not be had here; only the others carry fingerprints.
    Entries of the dataset's list that give no sample are published beside it, with the reason.

    Args:
        root: The prepared test set.
        target: Where to; the folder exists.
        version: Version of the list, three numbers.
        progress: Receives progress.
        workers: Processes that analyse clips.

    Returns:
        The samples of the list.

    Raises:
        UsageError: If nothing was prepared in ``root``, the folder is missing, or the version is none.
        MediaError: If a clip cannot be read.
        OSError: If a file cannot be written.
    """
    planned = load_plan(root / "preparation")
    if planned is None:
        raise UsageError(f"nothing was prepared in {root}; begin with: vidchatbench data prepare --out {root}")
    if not target.is_dir():
        raise UsageError(f"{target} is not a folder; give the one that holds the list and its datasheet")
    if not _VERSION.fullmatch(version):
        raise UsageError(f"version {version!r} is not three numbers such as 1.0.0")
    ledger = Ledger(root / "preparation" / LEDGER_FILE)
    prints = _fingerprints(root, planned.samples, ledger, progress, workers)
    samples = tuple(_public(sample, prints) for sample in planned.samples)
    write_list(target / LIST_FILE, samples)
    _write_lost(target / LOST_FILE, planned.plan.lost)
    write_atomically(target / SCHEMA_FILE, list_schema().encode())
    write_atomically(target / VERSION_FILE, f"{version}\n".encode())
    write_list_checksums(target)
    return samples


def list_schema() -> str:
    """Returns the JSON Schema of one line of the list."""
    return json.dumps(ListedSample.model_json_schema(mode="validation"), indent=2, sort_keys=True) + "\n"


def write_list_checksums(folder: Path) -> None:
    """Writes ``SHA256SUMS`` over the files that belong to the list."""
    own = [path.name for path in folder.iterdir() if path.is_file() and path.name != CHECKSUMS_FILE]
    sums = {name: hash_file(folder / name) for name in own if not name.startswith(".")}
    write_atomically(folder / CHECKSUMS_FILE, checksum_lines(sums).encode())


def _write_lost(path: Path, lost: Sequence[LostEntry]) -> None:
    if lost:
        write_atomically(path, "".join(entry.model_dump_json() + "\n" for entry in lost).encode())
    else:
        path.unlink(missing_ok=True)


def _fingerprints(
    root: Path, samples: tuple[ListedSample, ...], ledger: Ledger, progress: Progress, workers: int
) -> dict[str, Fingerprint]:
    clips = {clip.clip: clip for sample in samples for clip in sample.clips}
    there = WholeClips(root, ledger)
    whole = [clip.clip for clip in clips.values() if there.holds(clip)]
    if not whole:
        raise UsageError(f"no clip of {root} is whole; prepare it first: vidchatbench data prepare --out {root}")
    prints: dict[str, Fingerprint] = {}
    progress.begin("taking fingerprints", len(whole), "clips")
    with worker_pool(min(workers, len(whole))) as pool:
        waiting: dict[str, Future[Fingerprint]] = {
            name: pool.submit(fingerprint, clip_files(root, name)[0]) for name in whole
        }
        for name, future in waiting.items():
            prints[name] = future.result()
            progress.advance(len(prints))
    progress.end()
    return prints


def _public(sample: ListedSample, prints: dict[str, Fingerprint]) -> ListedSample:
    def marked(clip: ListedClip) -> ListedClip:
        return clip.model_copy(update={"fingerprint": prints.get(clip.clip)})

    return sample.model_copy(
        update={
            "initiator": marked(sample.initiator),
            "responder": None if sample.responder is None else marked(sample.responder),
            "tags": {key: value for key, value in sample.tags.items() if key in _PUBLIC_TAGS},
        }
    )
