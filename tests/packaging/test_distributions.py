"""What is in the wheel and in the sdist, and what is not."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from email.parser import Parser
from fnmatch import fnmatch

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PACKAGES = {"vidchatbench", "vidchatbench_metrics"}
FETCHED = ("*.mp4", "*.mkv", "*.webm", "*.avi", "*.wav", "*.onnx", "*.pt", "*.pth", "*.safetensors", "*.pyc")
OUTSIDE = {"tests", "submissions", "examples", "benchmarks", "__pycache__", ".git", ".venv", ".github"}


def package_files(root):
    """The files of both packages in the checkout, under their names in the wheel."""
    sources = {"vidchatbench": root / "vidchatbench", "vidchatbench_metrics": root / "metrics" / "vidchatbench_metrics"}
    return {
        f"{name}/{path.relative_to(folder).as_posix()}"
        for name, folder in sources.items()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_has_exactly_our_two_packages_at_its_top(built):
    top = {name.split("/")[0] for name in built.wheel_files()}
    (dist_info,) = top - PACKAGES
    assert top - {dist_info} == PACKAGES
    assert re.fullmatch(r"vidchatbench-[0-9][\w.+]*\.dist-info", dist_info)


def test_the_wheel_has_every_file_of_both_packages(root, built):
    missing = package_files(root) - built.wheel_files()
    assert not missing, f"in the checkout but not in the wheel: {sorted(missing)}"


def test_every_package_has_an_init_file(built):
    files = built.wheel_files()
    folders = {name.rpartition("/")[0] for name in files if name.endswith(".py")}
    assert not {folder for folder in folders if f"{folder}/__init__.py" not in files}


def test_both_packages_declare_their_types(built):
    assert {f"{package}/py.typed" for package in PACKAGES} <= built.wheel_files()
    assert {"vidchatbench/py.typed", "metrics/vidchatbench_metrics/py.typed"} <= built.sdist_files()


def test_cards_travel_beside_their_code(root, built):
    cards = {name for name in package_files(root) if name.endswith(".toml")}
    assert cards <= built.wheel_files()
    assert {re.sub("^vidchatbench_metrics/", "metrics/vidchatbench_metrics/", name) for name in cards} <= (
        built.sdist_files()
    )


def test_the_test_set_travels_whole_but_without_media(root, built):
    here = {
        path.relative_to(root / "data" / "test_500").as_posix()
        for path in (root / "data" / "test_500").rglob("*")
        if path.is_file() and "media" not in path.parts
    }
    in_wheel = {
        name.removeprefix("vidchatbench/_data/test_500/")
        for name in built.wheel_files()
        if name.startswith("vidchatbench/_data/test_500/")
    }
    assert in_wheel == here, "pyproject.toml names the files of data/test_500 one by one under force-include"
    assert {f"data/test_500/{name}" for name in here} <= built.sdist_files()


def test_nothing_else_travels(built):
    for files in (built.wheel_files(), built.sdist_files()):
        strangers = [
            name
            for name in files
            if any(fnmatch(name, pattern) for pattern in FETCHED)
            or OUTSIDE & set(name.split("/"))
            or "test_500/media/" in name
        ]
        assert not strangers
    top = {name.split("/")[0] for name in built.sdist_files()}
    assert top <= {"vidchatbench", "metrics", "data", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"} | {
        "CITATION.cff", "requirements.lock", "PKG-INFO", ".gitignore"
    }  # fmt: skip


def test_check_wheel_contents_is_content(root, built):
    done = subprocess.run(
        [sys.executable, "-m", "check_wheel_contents", "--config", str(root / "pyproject.toml"), str(built.wheel)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_metadata_says_what_pyproject_says(root, built):
    with zipfile.ZipFile(built.wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = Parser().parsestr(archive.read(name).decode())
        (entries,) = [name for name in archive.namelist() if name.endswith(".dist-info/entry_points.txt")]
        entry_points = archive.read(entries).decode()
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert metadata["Name"] == "vidchatbench"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert set(metadata["Requires-Python"].split(",")) == set(project["requires-python"].split(","))
    assert set(metadata.get_all("Provides-Extra", [])) == set(project["optional-dependencies"])
    assert "vidchatbench = vidchatbench.cli:main" in entry_points
    assert "core = vidchatbench_metrics:plugin" in entry_points


def test_every_dependency_has_a_bound_and_stands_in_the_lock(root):
    tables = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = tables["project"]["dependencies"] + tables["dependency-groups"]["dev"]
    lock = (root / "requirements.lock").read_text(encoding="utf-8")
    locked = {line.partition("==")[0] for line in lock.splitlines() if "==" in line and not line.startswith("#")}
    names = {re.split(r"[<>=!\[; ]", item, maxsplit=1)[0].lower(): item for item in wanted}
    assert not [item for item in names.values() if not re.search(">=|==", item)]
    assert set(names) <= locked, "run `make lock`"
