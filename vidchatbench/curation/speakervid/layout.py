"""Where the parts of SpeakerVid-5M lie in a folder: as published in archives, or unpacked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, get_args

Part = Literal["merged", "asr", "caption", "blur"]
PARTS: tuple[Part, ...] = get_args(Part)

HQ_LIST = "SFT_set.json"
TEST_LIST = "testset.json"
ALL_LIST = "all_data_list.json"

_FOLDERS: dict[Part, tuple[str, ...]] = {
    "merged": ("merged_anno", "merge_anno"),
    "asr": ("raw_labels/asr", "asr"),
    "caption": ("raw_labels/anno", "anno"),
    "blur": ("raw_labels/l_score", "l_score"),
}
_ARCHIVES = (".tar.gz", ".tgz", ".tar")


def find_sources(root: Path) -> dict[Part, list[Path]]:
    """Returns the archives and folders of every part, sorted; a part that is not there has an empty list.

    Args:
        root: The dataset's folder, in the published layout (``merged_anno/tar_batch_*.tar.gz``, ``raw_labels/asr/…``)
            or the flat one (``merge_anno/``, ``asr/``, ``anno/``, ``l_score/`` with plain files), or a mixture.
    """
    return {part: [source for name in _FOLDERS[part] for source in _sources(root / name)] for part in PARTS}


def part_of(path: str) -> Part | None:
    """Returns the part that an archive of the published layout belongs to, by its path; ``None`` for other files."""
    folder, _, name = path.rpartition("/")
    if not name.endswith(_ARCHIVES):
        return None
    return next((part for part in PARTS if folder in _FOLDERS[part]), None)


def _sources(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    archives, plain = [], False
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith("."):
                continue
            if name.endswith(_ARCHIVES) and entry.is_file():
                archives.append(Path(entry.path))
            elif not plain:
                plain = name.lower().endswith(".json") or entry.is_dir(follow_symlinks=False)
    return sorted(archives) + ([folder] if plain else [])
