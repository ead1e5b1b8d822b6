"""Writing the prepared test set's public files: manifest, header, checksums. Equal clips give equal bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vidchatbench.api.samples import Sample, Side, Turn
from vidchatbench.benchmark.format import HEADER_FILE, MANIFEST_FILE, BenchmarkHeader
from vidchatbench.core.atomic import write_atomically
from vidchatbench.core.hashing import CHECKSUMS_FILE, checksum_lines, hash_file
from vidchatbench.curation.preparation.clips import MEDIA_FOLDER
from vidchatbench.curation.preparation.ledger import Ledger
from vidchatbench.curation.preparation.listing import ListedClip, ListedSample
from vidchatbench.curation.preparation.portraits import IMAGES_FOLDER, image_is_whole
from vidchatbench.media.cut import CUT_PROFILE

DATASET_NAME = "SpeakerVid-5M"


@dataclass(frozen=True)
class Provenance:
    """Where a prepared set comes from.

    Attributes:
        name: The test set's name.
        version: Version of the list.
        revision: The commit of the annotations, or the hash of a list in a folder.
        license: Terms of use.
        listed: Samples of the list.
    """

    name: str
    version: str
    revision: str
    license: str
    listed: int


def write_manifest(
    root: Path, samples: Sequence[ListedSample], transcripts: Mapping[str, str], ledger: Ledger, origin: Provenance
) -> BenchmarkHeader:
    """Writes the manifest, the header bound to it, and the checksums; in that order.

    Args:
        root: The test set's folder.
        samples: The samples all clips of which are there.
        transcripts: What is said, by clip.
        ledger: The outcomes.
        origin: Where the set comes from.

    Returns:
        The header.

    Raises:
        OSError: If a file cannot be written.
    """
    lines = [_sample(root, sample, transcripts, ledger, origin).model_dump_json() + "\n" for sample in samples]
    manifest = "".join(lines).encode()
    count = len(lines)
    text = f"{count} of {origin.listed} listed samples of {DATASET_NAME}; the others could not be had."
    header = BenchmarkHeader(
        schema_version=1,
        name=origin.name,
        version=origin.version,
        description=text if count < origin.listed else f"All {count} listed samples of {DATASET_NAME}.",
        n_samples=count,
        n_listed=origin.listed,
        manifest_sha256=hashlib.sha256(manifest).hexdigest(),
        license=origin.license,
    )
    write_atomically(root / MANIFEST_FILE, manifest)
    content = json.dumps(header.model_dump(mode="json", exclude_none=True), indent=2, ensure_ascii=False) + "\n"
    write_atomically(root / HEADER_FILE, content.encode())
    write_checksums(root, samples, ledger)
    return header


def write_checksums(root: Path, samples: Sequence[ListedSample], ledger: Ledger) -> None:
    """Writes ``SHA256SUMS`` in the form that ``sha256sum --check`` reads."""
    sums: dict[str, str] = {name: hash_file(root / name) for name in (HEADER_FILE, MANIFEST_FILE)}
    for clip in {clip.clip: clip for sample in samples for clip in sample.clips}.values():
        outcome = ledger.get("clip", clip.clip)
        if outcome is not None:
            sums[f"{MEDIA_FOLDER}/{clip.clip}.mp4"] = str(outcome.facts["sha256"])
            sums[f"{MEDIA_FOLDER}/{clip.clip}.wav"] = str(outcome.facts["wav_sha256"])
    for sample in samples:
        image = _image(root, sample, ledger)
        if image is not None:
            sums[image] = hash_file(root / image)
    write_atomically(root / CHECKSUMS_FILE, checksum_lines(sums).encode())


def _sample(
    root: Path, sample: ListedSample, transcripts: Mapping[str, str], ledger: Ledger, origin: Provenance
) -> Sample:
    source: dict[str, str | float | int | bool | None] = {
        "dataset": DATASET_NAME,
        "revision": origin.revision,
        "cut": CUT_PROFILE,
    }
    for role, clip in zip(("initiator", "responder"), sample.clips, strict=False):
        source |= {f"{role}_{key}": value for key, value in _source(clip, ledger).items()}
    return Sample(
        id=sample.id,
        task=sample.task,
        language=sample.language,
        initiator=_side(sample.initiator, transcripts, ledger),
        responder=None if sample.responder is None else _side(sample.responder, transcripts, ledger),
        reference_image=_image(root, sample, ledger),
        history=tuple(
            Turn(role=turn.role, transcript=transcripts[turn.clip])
            for turn in sample.history
            if turn.clip in transcripts
        ),
        ladder=sample.ladder,
        source=source,
        tags=sample.tags,
    )


def _side(clip: ListedClip, transcripts: Mapping[str, str], ledger: Ledger) -> Side:
    outcome = ledger.get("clip", clip.clip)
    if outcome is None:
        raise ValueError(f"clip {clip.clip} is not there")
    return Side(
        media=f"{MEDIA_FOLDER}/{clip.clip}.mp4",
        sha256=str(outcome.facts["sha256"]),
        speaker_id=clip.speaker_id,
        transcript=transcripts.get(clip.clip),
    )


def _source(clip: ListedClip, ledger: Ledger) -> dict[str, str | float]:
    outcome = ledger.get("clip", clip.clip)
    source: dict[str, str | float] = {
        "video": clip.video,
        "start": clip.start,
        "end": clip.end,
        "box": ",".join(f"{edge:.6f}" for edge in clip.box),
    }
    digest = None if outcome is None else outcome.facts.get("picture_sha256")
    return {**source, "video_sha256": digest} if isinstance(digest, str) else source


def _image(root: Path, sample: ListedSample, ledger: Ledger) -> str | None:
    if sample.responder is None:
        return None
    clip = sample.responder.clip
    return f"{IMAGES_FOLDER}/{clip}.png" if image_is_whole(root, clip, ledger) else None
