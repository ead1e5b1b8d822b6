"""What the packaging tests share: the checkout, and distributions built from it once per worker."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Built:
    """The wheel, built from the sdist, and the sdist."""

    wheel: Path
    sdist: Path

    def wheel_files(self) -> set[str]:
        with zipfile.ZipFile(self.wheel) as archive:
            return {name for name in archive.namelist() if not name.endswith("/")}

    def sdist_files(self) -> set[str]:
        """The files of the sdist, without the leading folder."""
        with tarfile.open(self.sdist) as archive:
            return {member.name.split("/", 1)[1] for member in archive.getmembers() if member.isfile()}


@dataclass(frozen=True)
class Installed:
    """An environment that holds the wheel and sees the dependencies, but not the checkout.

    Attributes:
        python: Its interpreter.
        home: An empty folder to run in.
    """

    python: Path
    home: Path

    @property
    def script(self) -> Path:
        return self.python.with_name("vidchatbench")

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        return run(command, cwd=self.home, env=clean_environment(self.home / "cache"))


def clean_environment(bytecode: Path) -> dict[str, str]:
    """The environment without what could put other code on the path; compiled files go to ``bytecode``."""
    dropped = {"PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONDONTWRITEBYTECODE", "PYTHONSAFEPATH"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return {**kept, "PYTHONPYCACHEPREFIX": str(bytecode)}


def run(
    command: tuple[str | Path, ...], *, cwd: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, env=env, capture_output=True, text=True, timeout=240, check=False
    )


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def built(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Builds sdist and wheel without isolation; the wheel is built from the sdist, so both must be complete."""
    out = tmp_path_factory.mktemp("dist")
    done = run((sys.executable, "-m", "build", "--no-isolation", "--outdir", out, root), cwd=out)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return Built(wheel, sdist)


@pytest.fixture(scope="session")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Installs the wheel, without dependencies, into a new environment that sees those of the running one.

    The running environment is added as a plain folder: its own ``.pth`` files, with the one of the editable
    install, are not read from there.
    """
    if importlib.util.find_spec("ensurepip") is None:
        pytest.skip("this Python has no ensurepip, so no environment can be made")
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    home = folder / "home"
    home.mkdir()
    environment = Installed(python, home)
    done = environment.run(python, "-m", "pip", "install", "--no-deps", "--no-index", built.wheel)
    assert done.returncode == 0, done.stdout + done.stderr
    (packages,) = (folder / "venv" / "lib").glob("python3.*/site-packages")
    (packages / "dependencies.pth").write_text(f"{site_packages()}\n", encoding="utf-8")
    return environment


def site_packages() -> Path:
    """Where the running environment keeps its packages."""
    spec = importlib.util.find_spec("pytest")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).resolve().parents[1]
