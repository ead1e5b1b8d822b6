"""The training clip that looks most like what a system was given: the reply of a system that has learnt by heart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vidchatbench.audit.transforms import first_picture
from vidchatbench.errors import MediaError, UsageError
from vidchatbench.submission.check import CONTAINERS

SIDE = 32
"""Side of the small picture that is compared."""

Mapper = Callable[[Callable[[Path], "Look | None"], Iterable[Path]], Iterator["Look | None"]]


@dataclass(frozen=True)
class Look:
    """What a clip looks like at first sight.

    Attributes:
        path: The clip.
        vector: float64 of shape (1024,): 32 x 32 luma without its mean, of length one (zero for an even picture).
    """

    path: Path
    vector: NDArray[np.float64]


def look_at(path: Path) -> Look | None:
    """Returns what a clip or an image file looks like; ``None`` where it cannot be read."""
    try:
        pixels = first_picture(path)
    except MediaError:
        return None
    small = Image.fromarray(pixels).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    vector = np.asarray(small, np.float64).ravel()
    vector -= vector.mean()
    length = float(np.linalg.norm(vector))
    return Look(path, vector / length if length else vector)


class TrainingFolder:
    """The clips of a training folder, by their looks.

    Args:
        folder: The folder; clips are found in it at any depth.
        mapper: What applies a function to many paths, in order; in this process by default.

    Raises:
        UsageError: If there is no such folder or no readable clip in it.
    """

    def __init__(self, folder: Path, mapper: Mapper = map) -> None:
        if not folder.is_dir():
            raise UsageError(f"the training folder {folder} is not there")
        paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in CONTAINERS and p.is_file())
        self._looks = [look for look in mapper(look_at, paths) if look is not None]
        self.unreadable = len(paths) - len(self._looks)
        """Clips that could not be read."""
        if not self._looks:
            raise UsageError(f"the training folder {folder} holds no readable clip ({', '.join(CONTAINERS)})")
        self._matrix = np.stack([look.vector for look in self._looks])

    def nearest(self, picture: Path) -> tuple[Path, float]:
        """Returns the clip nearest to a picture (or to a clip's first one), and its distance, 0 to 2.

        Raises:
            MediaError: If the picture cannot be read.
        """
        look = look_at(picture)
        if look is None:
            raise MediaError(str(picture), "it holds no readable picture")
        distances = np.linalg.norm(self._matrix - look.vector, axis=1)
        place = int(np.argmin(distances))
        return self._looks[place].path, float(distances[place])
