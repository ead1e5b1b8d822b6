"""The checkout itself: nothing of one person's machine in it, and texts in the form they claim to have."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]

# Written in pieces, so that this file does not hold what it looks for.
REGISTRY_HOSTS = (
    "py" + r"pi\.org",
    "python" + r"hosted\.org",
    "registry" + r"\.npmjs",
    "download" + r"\.pytorch\.org/whl",
)
FOLDERS = ("wo" + "rk", "ro" + "ot", "op" + "t", "ho" + "me", "Us" + "ers", "m" + "nt")
MACHINE = re.compile(r"(?<![\w.}~*)>-])/(?:" + "|".join(FOLDERS) + ")/")
HOST = re.compile("|".join(REGISTRY_HOSTS))
SECTIONS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
VERSION_HEADING = re.compile(r"\[(\d+\.\d+\.\d+)\] - \d{4}-\d{2}-\d{2}")


@pytest.fixture(scope="module")
def files() -> list[Path]:
    """Files that are tracked, or would be if all were added."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is no git checkout")
    paths = [ROOT / name for name in listed.split("\0") if name]
    return [path for path in paths if path.is_file()]


def texts(files: list[Path]) -> list[tuple[str, bytes]]:
    contents = [(path.relative_to(ROOT).as_posix(), path.read_bytes()) for path in files]
    return [(name, content) for name, content in contents if b"\0" not in content]


def places(pattern: re.Pattern[str], files: list[Path]) -> list[str]:
    return [
        f"{name}:{number}: {line.strip()[:120]}"
        for name, content in texts(files)
        for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_package_registry_is_named(files):
    assert places(HOST, files) == []


def test_no_path_of_one_machine(files):
    assert places(MACHINE, files) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("cd /{0}/main", True),
        ("file:///{2}/wheels", True),
        ('"/{3}/someone/clips"', True),
        ("https://example.org/{0}/x", False),
        ("the {0}/life balance", False),
        ("${{HOME}}/{0}/", False),
    ],
)
def test_machine_paths_are_told_from_other_slashes(text, found):
    assert bool(MACHINE.search(text.format(*FOLDERS))) is found


def test_lines_end_with_a_line_feed_alone(files):
    assert [name for name, content in texts(files) if b"\r" in content] == []


def test_no_large_file(files):
    assert [str(path) for path in files if path.stat().st_size > 2_000_000] == []


def test_names_differ_by_more_than_case(files):
    names = [path.relative_to(ROOT).as_posix().casefold() for path in files]
    assert len(names) == len(set(names))


def test_the_changelog_is_kept():
    lines = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# Changelog"
    versions = [line.removeprefix("## ") for line in lines if line.startswith("## ")]
    assert versions[0] == "[Unreleased]"
    assert all(VERSION_HEADING.fullmatch(version) for version in versions[1:]), versions
    assert {line.removeprefix("### ") for line in lines if line.startswith("### ")} <= SECTIONS


def test_the_citation_is_complete_and_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    namespace: dict[str, str] = {}
    exec((ROOT / "vidchatbench" / "_version.py").read_text(encoding="utf-8"), namespace)
    assert (citation["cff-version"], citation["title"], citation["type"]) == ("1.2.0", "VidChatBench", "software")
    assert citation["version"] == namespace["__version__"]
    assert citation["license"] == "Apache-2.0"
    (paper,) = citation["references"]
    assert paper["title"].startswith("SpeakerVid-5M")
    assert "arXiv:2507.09862" in {entry["value"] for entry in paper["identifiers"]}


def test_the_licence_is_whole():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License\n                           Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_the_lock_names_versions_and_nothing_else():
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert pins
    assert [line for line in pins if not re.fullmatch(r"[a-z0-9-]+==[\w.+]+( ; .+)?", line)] == []


def test_the_types_and_walls_cover_both_packages():
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert tool["mypy"]["strict"] is True
    assert tool["mypy"]["packages"] == tool["importlinter"]["root_packages"]
    assert tool["check-wheel-contents"]["toplevel"] == tool["importlinter"]["root_packages"]


def test_the_entry_for_continuous_integration_is_executable():
    entry = ROOT / ".ci" / "run"
    assert entry.stat().st_mode & 0o111
    assert entry.read_text(encoding="utf-8").startswith("#!/usr/bin/env bash\n")
