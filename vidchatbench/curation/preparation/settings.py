"""How a test set is prepared."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from vidchatbench.curation.preparation.hosts import Manners
from vidchatbench.engine.settings import RunConfig
from vidchatbench.errors import UsageError

DATASET = "dorni/SpeakerVid-5M-Dataset"


@dataclass(frozen=True)
class PrepareSettings:
    """Settings of a preparation.

    Attributes:
        out: The test set's folder.
        annotations: Folder of annotations, or ``user/name`` or ``user/name@revision`` on the hub; by default the
            published list of the test set where there is one, else the dataset on the hub.
        videos: Folder of source videos that are there already; by default they are downloaded.
        keep_videos: Whether downloaded videos stay after their clips were cut.
        cookies: Cookies for the host, for videos that want a login.
        workers: Processes that cut; by default one per core.
        manners: How the host is treated.
        language: Language of clips whose annotations give none.
        only: Ids of samples to prepare; by default all.
        retry_dead: Whether videos that were gone before are asked for again.
    """

    out: Path
    annotations: str | None = None
    videos: Path | None = None
    keep_videos: bool = False
    cookies: Path | None = None
    workers: int | None = None
    manners: Manners = field(default_factory=Manners)
    language: str | None = None
    only: frozenset[str] | None = None
    retry_dead: bool = False

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"workers must be at least 1, not {self.workers}")
        if self.manners.at_once < 1 or self.manners.pause < 0:
            raise UsageError("at least one download at a time, and no negative pause")
        if self.cookies is not None and not self.cookies.is_file():
            raise UsageError(f"there is no file of cookies {self.cookies}")

    @property
    def processes(self) -> int:
        """Number of processes that cut."""
        return RunConfig(workers=self.workers).effective_workers()

    @property
    def desk(self) -> Path:
        """Folder of what only the preparation needs."""
        return self.out / "preparation"


def read_ids(path: Path) -> frozenset[str]:
    """Reads ids of samples, one a line; empty lines and lines that begin with ``#`` are passed over.

    Raises:
        UsageError: If there is no such file, or no id in it.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as a list of sample ids: {error}") from error
    ids = frozenset(line.strip() for line in lines if line.strip() and not line.startswith("#"))
    if not ids:
        raise UsageError(f"{path} holds no sample id")
    return ids
