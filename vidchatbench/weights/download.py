"""Downloads a weight: to a temporary name, resumed where possible, verified, then renamed."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

from vidchatbench.contract.plugins import WeightSpec
from vidchatbench.errors import UnavailableError, WeightsError
from vidchatbench.media.hashing import hash_file
from vidchatbench.weights.table import cache_name

TIMEOUT = 30.0
_CHUNK = 1 << 18


def download(spec: WeightSpec, folder: Path, *, progress: Callable[[int], None] | None = None) -> Path:
    """Brings one weight into ``folder``.

    Args:
        spec: The table entry; its URLs are tried in order.
        folder: The cache of weights.
        progress: Called with the number of bytes present so far.

    Returns:
        The verified file.

    Raises:
        UnavailableError: If no URL serves the file.
        WeightsError: If what was served has another hash; nothing is left under the final name.
    """
    final = folder / cache_name(spec)
    partial = folder / f"{cache_name(spec)}.part"
    folder.mkdir(parents=True, exist_ok=True)
    failures = []
    for url in spec.urls:
        try:
            _fetch(url, partial, spec.size, progress)
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            failures.append(f"{url}: {error}")
            continue
        actual = hash_file(partial)
        if actual != spec.sha256:
            partial.unlink()
            expected = spec.sha256[:12]
            raise WeightsError(f"{url} served sha256 {actual[:12]}... for {spec.name!r}, expected {expected}...")
        partial.replace(final)
        return final
    reason = "; ".join(failures) or "the table gives no URL"
    raise UnavailableError(
        f"weight {spec.name!r} could not be downloaded ({reason})",
        f"bring a file of sha256 {spec.sha256} and name its folder in VIDCHATBENCH_WEIGHTS_DIR",
    )


def _fetch(url: str, partial: Path, size: int | None, progress: Callable[[int], None] | None) -> None:
    if not url.startswith(("https://", "http://")):
        raise urllib.error.URLError(f"only http and https are followed, not {url}")
    have = partial.stat().st_size if partial.is_file() else 0
    if size is not None and have >= size:
        partial.unlink()
        have = 0
    try:
        _request(url, partial, have, size, progress)
    except urllib.error.HTTPError as error:
        if not have or error.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        partial.unlink()  # there is nothing behind what is here, so what is here is not a beginning: start anew
        _request(url, partial, 0, size, progress)


def _request(url: str, partial: Path, have: int, size: int | None, progress: Callable[[int], None] | None) -> None:
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:  # noqa: S310 - the scheme was checked before
        resumed = response.status == HTTPStatus.PARTIAL_CONTENT
        have = have if resumed else 0
        announced = response.headers.get("Content-Length", "")
        expected = size if size is not None else have + int(announced) if announced.isdigit() else None
        with partial.open("ab" if resumed else "wb") as file:
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                have += len(chunk)
                if progress is not None:
                    progress(have)
    if expected is not None and have < expected:
        raise ConnectionError(f"the connection ended after {have} of {expected} bytes; run the command again to resume")
