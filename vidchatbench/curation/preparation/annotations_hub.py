"""The annotations on the Hugging Face hub: at one commit, one archive on the disk at a time."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vidchatbench.benchmark.hub import DatasetCommit, HubName, find_dataset
from vidchatbench.benchmark.hub_errors import in_our_words
from vidchatbench.curation.preparation.annotations import Archive
from vidchatbench.curation.speakervid.layout import TEST_LIST, Part, part_of
from vidchatbench.errors import InputError


@dataclass(frozen=True)
class HubArchive:
    """An archive on the hub; implements :class:`vidchatbench.curation.preparation.annotations.Archive`."""

    dataset: HubName
    commit: str
    name: str
    desk: Path

    @property
    def identity(self) -> str:
        """The commit."""
        return self.commit

    def open(self) -> Path:
        """Fetches the archive, or its missing rest, and returns its path."""
        return _fetch(self.dataset, self.commit, self.name, self.desk)

    def release(self) -> None:
        """Deletes the copy, and what the client keeps beside it."""
        (self.desk / self.name).unlink(missing_ok=True)
        shutil.rmtree(self.desk / ".cache", ignore_errors=True)

    def fetch_anew(self) -> bool:
        """Throws the copy away."""
        self.release()
        return True


class HubAnnotations:
    """The annotations of a dataset at the commit of a revision.

    Args:
        text: ``user/name`` or ``user/name@revision``.
        commit: The commit, where an earlier run has settled it.
        desk: Folder for archives while they are read.

    Raises:
        UsageError: If there is no such dataset or revision.
        InputError: If the dataset holds no annotations in the published layout.
        UnavailableError: If the hub does not answer or wants a login.
    """

    def __init__(self, text: str, commit: str | None, desk: Path) -> None:
        name = HubName.parse(text)
        self._name = name if commit is None else HubName(name.dataset, commit)
        self._desk = desk
        self._dataset: DatasetCommit = find_dataset(self._name)
        if not any(part_of(file) == "merged" for file in self._dataset.files):
            problem = f"commit {self.commit[:12]} holds no merged_anno/*.tar.gz"
            hint = "Name another revision: --annotations user/name@REVISION."
            raise InputError(f"dataset {name.dataset} of the hub", [problem], hint)

    @property
    def dataset(self) -> str:
        """``user/name``."""
        return self._name.dataset

    @property
    def commit(self) -> str:
        """The commit that everything is read at."""
        return self._dataset.commit

    def test_list(self) -> Path:
        """Fetches the test list and returns its path.

        Raises:
            InputError: If the dataset has none.
        """
        if TEST_LIST not in self._dataset.files:
            raise InputError(f"dataset {self.dataset} of the hub", [f"there is no {TEST_LIST}"])
        return _fetch(self._name, self.commit, TEST_LIST, self._desk)

    def archives(self, part: Part) -> Sequence[Archive]:
        """Returns the archives of a part."""
        files = sorted(file for file in self._dataset.files if part_of(file) == part)
        return [HubArchive(self._name, self.commit, file, self._desk) for file in files]


def _fetch(name: HubName, commit: str, file: str, desk: Path) -> Path:
    from huggingface_hub import hf_hub_download  # takes a while to import

    desk.mkdir(parents=True, exist_ok=True)

    def kept() -> str:
        return f"what has come of {file} is kept"

    with in_our_words(name.dataset, name.revision, kept):
        return Path(hf_hub_download(name.dataset, file, repo_type="dataset", revision=commit, local_dir=desk))
