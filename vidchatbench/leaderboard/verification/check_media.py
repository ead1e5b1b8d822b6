"""Checks of ``media.jsonl``: which files were scored, and whether any of them is somebody else's."""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pydantic_core import from_json

from vidchatbench.api.samples import Role, offered_media
from vidchatbench.benchmark.format import Benchmark
from vidchatbench.core.hashing import hash_file
from vidchatbench.leaderboard.verification.bundle import SIGNATURE_FILE
from vidchatbench.leaderboard.verification.context import Context
from vidchatbench.leaderboard.verification.findings import Finding, error, note, warning
from vidchatbench.results.files import MEDIA_FILE

_PRIVATE = re.compile(r"(?:^|[^\w./:~-])(?:~|[A-Za-z]:)?[/\\](?:[\w.@+-]+[/\\])+[\w.@+-]+|file://")


def check_media(context: Context) -> list[Finding]:
    """Returns what is wrong with the files that were scored."""
    return [
        *_check_lines(context),
        *_check_manifest(context),
        *_check_duplicates(context),
        *_check_copies(context),
        *_check_other_submissions(context),
    ]


def _where(sample: str, file: str) -> str:
    return f"{MEDIA_FILE}: sample {sample[:80]}, {file[:80]}"


def _check_lines(context: Context) -> Iterator[Finding]:
    known = {row.sample_id for row in context.bundle.rows}
    counts = Counter((line.sample_id, line.role) for line in context.bundle.media)
    for (sample, role), count in sorted(counts.items()):
        if count > 1:
            yield error("media_twice", _where(sample, role.value), f"there are {count} lines; one is right")
    for line in context.bundle.media:
        if line.sample_id not in known:
            yield error("unknown_sample", _where(line.sample_id, line.file), "the samples have no such id")
        if line.role is Role.CANDIDATE and len(PurePosixPath(line.file).parts) != 1:
            message = "a candidate is named without folders; what lies elsewhere is no output of this run"
            yield error("path_escape", _where(line.sample_id, line.file), message)


def _check_manifest(context: Context) -> Iterator[Finding]:
    wanted: dict[tuple[str, Role], str | None] = {}
    for sample in context.benchmark or ():
        wanted |= {(sample.id, role): media.sha256 for role, media in offered_media(sample).items()}
    for line in context.bundle.media:
        expected = None if line.role is Role.CANDIDATE else wanted.get((line.sample_id, line.role))
        if expected is None and line.role is Role.REFERENCE_IMAGE and context.benchmark is not None:
            expected = _image_hash(context.benchmark, line.sample_id)
        if expected is not None and line.sha256 != expected:
            message = (
                f"the {line.role.value} has sha256 {str(line.sha256)[:12]}..., the manifest says {expected[:12]}...; "
                "the run was scored against other media: get the benchmark's own"
            )
            yield error("other_media", _where(line.sample_id, line.file), message)


def _image_hash(benchmark: Benchmark, sample_id: str) -> str | None:
    """Returns the hash of the reference image as it lies here; the manifest has none of it."""
    sample = next((sample for sample in benchmark if sample.id == sample_id), None)
    if sample is None or sample.reference_image is None:
        return None
    path = benchmark.media(sample.reference_image)
    return hash_file(path) if path.is_file() else None


def _check_duplicates(context: Context) -> Iterator[Finding]:
    places = defaultdict(list)
    for line in context.bundle.media:
        if line.role is Role.CANDIDATE and line.sha256 is not None:
            places[line.sha256].append(line)
    prompts = {} if context.benchmark is None else {s.id: (s.initiator.sha256, s.history) for s in context.benchmark}
    for lines in places.values():
        # Two samples that ask the same thing may get the same reply.
        asked = {prompts.get(line.sample_id, line.sample_id) for line in lines}
        if len(asked) > 1:
            others = ", ".join(line.sample_id[:60] for line in lines[1:4])
            message = f"the same file is the reply to {others}; every sample needs a reply of its own"
            yield error("same_file", _where(lines[0].sample_id, lines[0].file), message)


def _check_copies(context: Context) -> Iterator[Finding]:
    given: dict[str, str] = {}
    for line in context.bundle.media:
        if line.role is not Role.CANDIDATE and line.sha256 is not None:
            given.setdefault(line.sha256, f"the {line.role.value.replace('_', ' ')} of sample {line.sample_id[:60]}")
    for sample in context.benchmark or ():
        for role, media in offered_media(sample).items():
            if media.sha256 is not None:
                given.setdefault(media.sha256, f"the {role.value.replace('_', ' ')} of sample {sample.id}")
    for line in context.bundle.media:
        if line.role is Role.CANDIDATE and line.sha256 in given:
            message = f"the file is a copy of {given[line.sha256]}; a reply must be made by the system"
            yield error("copy_of_benchmark", _where(line.sample_id, line.file), message)


def _check_other_submissions(context: Context) -> Iterator[Finding]:
    own_system = context.name.partition("@")[0]
    for line in context.bundle.media:
        if line.role is not Role.CANDIDATE or line.sha256 is None:
            continue
        for other, sample in context.others.candidates.get(line.sha256, ()):
            if other == context.name:
                continue
            if other.partition("@")[0] == own_system:
                message = f"the file is that of revision {other}, sample {sample[:60]}"
                yield note("same_as_other_revision", _where(line.sample_id, line.file), message)
            else:
                message = (
                    f"the file is a copy of that of {other}, sample {sample[:60]}; submit your own system's replies"
                )
                yield error("copy_of_submission", _where(line.sample_id, line.file), message)
            break


def check_outputs(context: Context, outputs: Path) -> list[Finding]:
    """Returns where the files at hand are not those that were scored.

    Args:
        context: The bundle.
        outputs: The folder of outputs.

    Raises:
        OSError: If a file cannot be read.
    """
    findings = []
    for line in context.bundle.media:
        if line.role is not Role.CANDIDATE or line.sha256 is None or len(PurePosixPath(line.file).parts) != 1:
            continue
        path, where = outputs / line.file, _where(line.sample_id, line.file)
        if path.is_symlink() or not path.is_file():
            findings.append(error("media_missing", where, f"the file is not in {outputs.name}"))
        elif (actual := hash_file(path)) != line.sha256:
            message = f"sha256 is {actual[:12]}..., {line.sha256[:12]}... was scored; evaluate the outputs again"
            findings.append(error("media_differs", where, message))
    return findings


def check_signature(context: Context) -> list[Finding]:
    """Returns whether a signature is of this bundle; who signed is for `sigstore verify` to say."""
    if context.bundle.signature is None:
        return []
    try:
        content = from_json(context.bundle.signature)
        digest = base64.b64decode(content["messageSignature"]["messageDigest"]["digest"], validate=True)
    except (ValueError, KeyError, TypeError, binascii.Error):
        message = "this is no Sigstore bundle of a message; sign again with `vidchatbench submit --sign`"
        return [error("bad_signature", SIGNATURE_FILE, message)]
    if digest.hex() != context.bundle.sha256:
        message = (
            f"the signature is of {digest.hex()[:12]}..., the bundle is {context.bundle.sha256[:12]}...; sign again"
        )
        return [error("bad_signature", SIGNATURE_FILE, message)]
    message = "the signature is of this bundle; `sigstore verify identity` tells who signed it"
    return [note("signed", SIGNATURE_FILE, message)]


def check_private_paths(context: Context) -> list[Finding]:
    """Returns where a reason or a note names a folder of somebody's computer, which would be published with it."""
    texts = {row.reason for row in context.bundle.rows if row.reason}
    texts |= {line.problem for line in context.bundle.media if line.problem}
    texts |= {row.details for row in context.bundle.rows}
    texts |= {lacking.reason for lacking in context.bundle.results.unavailable}
    texts |= {metric.unranked for metric in context.bundle.results.metrics if metric.unranked}
    found = sorted(text for text in texts if _PRIVATE.search(text))
    return [
        warning("private_path", "reasons", f"{text!r:.150} names a folder of a computer; it would be published")
        for text in found[:3]
    ]
