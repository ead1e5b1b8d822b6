"""The bundle of a submission: which files it has, what they may be called, and how large they may be.

``submissions/<system>/<revision>/`` holds the files of a run that are published, and ``bundle.sha256``, which names the
hash of each in the format of ``sha256sum``. The hash of that file stands for the whole bundle. A bundle is untrusted
input: no file is opened before its name, kind and size are checked.
"""

from __future__ import annotations

import hashlib
import re
import stat
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path

from vidchatbench.core.hashing import checksum_lines
from vidchatbench.leaderboard.verification.findings import Finding, RefusedFileError, error
from vidchatbench.results.files import MEDIA_FILE, SAMPLES_FILE
from vidchatbench.results.schema import RESULTS_FILE
from vidchatbench.submission.system import SYSTEM_FILE, SystemDescription

BUNDLE_FILE = "bundle.sha256"
SIGNATURE_FILE = "bundle.sha256.sigstore.json"
SUBMISSIONS_FOLDER = "submissions"
MEGABYTE = 1_000_000
FILES: Mapping[str, int] = {
    MEDIA_FILE: 16 * MEGABYTE,
    RESULTS_FILE: 4 * MEGABYTE,
    SAMPLES_FILE: 32 * MEGABYTE,
    SYSTEM_FILE: 65_536,
}
"""Files of every bundle and the most bytes that each may have: some ten times what 500 samples in 60 metrics take."""

MAX_BYTES: Mapping[str, int] = {**FILES, BUNDLE_FILE: 4_096, SIGNATURE_FILE: 65_536}
FIRST_REVISION = "v0"

_LINE = re.compile(r"([0-9a-f]{64})  (\S+)")
_SAFE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")
_MAX_NAME_LENGTH = 80


def safe_name(text: str) -> str:
    """Returns a text as the name of a folder: lower-case letters, digits, dot, dash and underscore.

    Names of any script become letters as far as Unicode can take them apart; where nothing is left, a hash stands in.
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9._-]+", "-", plain).strip("-._")[:_MAX_NAME_LENGTH].rstrip("-._")
    return name or f"system-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def is_safe_name(name: str) -> bool:
    """Returns whether a folder of a submission may have this name."""
    return _SAFE_NAME.fullmatch(name) is not None


def bundle_path(system: SystemDescription) -> str:
    """Returns where a system's bundle lies below ``submissions``: ``<system>/<revision>``."""
    return f"{safe_name(system.name)}/{safe_name(system.revision or FIRST_REVISION)}"


def row_id(system: SystemDescription) -> str:
    """Returns the id of a system's row on the board: ``<system>@<revision>``."""
    return bundle_path(system).replace("/", "@")


def find_bundles(root: Path) -> Iterator[Path]:
    """Yields the folders of all bundles below ``root``, in the order of their names; links are not followed.

    Args:
        root: A folder of submissions, or one that holds such a folder.
    """
    inner = root / SUBMISSIONS_FOLDER
    root = inner if inner.is_dir() and not inner.is_symlink() else root
    for system in sorted(root.iterdir()):
        if system.is_dir() and not system.is_symlink() and not system.name.startswith("."):
            yield from (
                revision
                for revision in sorted(system.iterdir())
                if revision.is_dir() and not revision.name.startswith(".")
            )


def read_bytes(folder: Path, name: str) -> bytes:
    """Reads a file of a bundle.

    Raises:
        RefusedFileError: If it is missing, a link or no plain file, or larger than it may be.
        OSError: If it cannot be read.
    """
    path = folder / name
    try:
        status = path.lstat()
    except FileNotFoundError:
        message = "the file is missing; a bundle is made by `vidchatbench submit RUN --to folder:PATH`"
        raise RefusedFileError("missing_file", name, message) from None
    if not stat.S_ISREG(status.st_mode):
        kind = "a symbolic link" if stat.S_ISLNK(status.st_mode) else "no plain file"
        raise RefusedFileError("not_a_file", name, f"this is {kind}; put the file itself into the bundle")
    limit = MAX_BYTES[name]
    with path.open("rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        message = (
            f"the file has {status.st_size:,} bytes, at most {limit:,} are read; it is no file of a run of this size"
        )
        raise RefusedFileError("file_too_large", name, message)
    return content


def bundle_hashes(contents: Mapping[str, bytes]) -> str:
    """Returns the text of ``bundle.sha256`` for the files of a bundle."""
    return checksum_lines({name: hashlib.sha256(content).hexdigest() for name, content in contents.items()})


def bundle_sha256(hashes: str) -> str:
    """Returns the hash that stands for a bundle: that of ``bundle.sha256``."""
    return hashlib.sha256(hashes.encode()).hexdigest()


def check_layout(folder: Path) -> list[Finding]:
    """Returns findings on the names and kinds of a bundle's files, without opening any."""
    if folder.is_symlink() or not folder.is_dir():
        return [error("not_a_folder", folder.name, "a bundle is a folder; links to folders are not followed")]
    findings = [
        error(
            "unsafe_name",
            part,
            "a folder of a submission has 1 to 80 lower-case letters, digits, dots, dashes and underscores, and starts "
            "with a letter or digit; `vidchatbench submit` names it so",
        )
        for part in (folder.parent.name, folder.name)
        if not is_safe_name(part)
    ]
    for path in sorted(folder.iterdir()):
        if path.name not in MAX_BYTES:
            message = (
                f"this is no file of a bundle; remove it (a bundle has {', '.join(sorted(FILES))} and {BUNDLE_FILE})"
            )
            findings.append(error("unexpected_file", path.name[:100], message))
    return findings


def check_hashes(contents: Mapping[str, bytes], hashes: bytes) -> list[Finding]:
    """Returns where the files of a bundle are not those that ``bundle.sha256`` names."""
    findings: list[Finding] = []
    named: dict[str, str] = {}
    for number, line in enumerate(hashes.decode("utf-8", "replace").splitlines(), 1):
        match = _LINE.fullmatch(line)
        if match is None or match[2] not in FILES or match[2] in named:
            shown = line[:100]
            message = f"{shown!r} is not '<sha256>  <file>' of a file of the bundle; names with a path are refused"
            findings.append(error("bad_hash_line", f"{BUNDLE_FILE}:{number}", message))
        else:
            named[match[2]] = match[1]
    for name in sorted(contents):
        actual = hashlib.sha256(contents[name]).hexdigest()
        if name not in named:
            findings.append(error("hash_missing", BUNDLE_FILE, f"{name} has no line; make the bundle again"))
        elif named[name] != actual:
            message = (
                f"the file's sha256 is {actual[:12]}..., {BUNDLE_FILE} says {named[name][:12]}...: it was changed "
                "after the bundle was made; make the bundle again from the run"
            )
            findings.append(error("hash_mismatch", name, message))
    return findings
