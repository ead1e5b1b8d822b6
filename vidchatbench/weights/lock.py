"""The record of hashes seen first, for weights without a published hash.

From the first file on, every further one must be equal to it. The record lies beside the cached weights.
"""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path

from filelock import FileLock
from pydantic import Field, TypeAdapter, ValidationError

from vidchatbench.api.samples import Sha256
from vidchatbench.core import paths
from vidchatbench.core.atomic import write_atomically
from vidchatbench.core.models import FrozenModel
from vidchatbench.errors import WeightsError

LOCK_FILE = "weights.lock.json"


class Pin(str, Enum):
    """On whose word a weight is known to be the right one.

    ``published``: its hash stands in the table. ``first_download``: it came from the table's own address, and its hash
    was recorded then. ``local_file``: somebody brought the file, and its hash was recorded then. ``named``: the run
    named the file by its hash, whatever it is. Only the first two can stand behind a ranked number.
    """

    PUBLISHED = "published"
    FIRST_DOWNLOAD = "first_download"
    LOCAL_FILE = "local_file"
    NAMED = "named"

    @property
    def is_official(self) -> bool:
        """True where the weight is the table's, as far as can be known."""
        return self in {Pin.PUBLISHED, Pin.FIRST_DOWNLOAD}


class LockEntry(FrozenModel):
    """What was seen first under a name.

    Attributes:
        sha256: Hash of the content.
        size: Size in bytes.
        source: Address or file that it came from.
        pin: How far it can be trusted.
    """

    sha256: Sha256
    size: int = Field(gt=0)
    source: str
    pin: Pin


_ENTRIES = TypeAdapter(dict[str, LockEntry])


def lock_file() -> Path:
    """The record's file."""
    return paths.weights_root() / LOCK_FILE


def read_lock() -> dict[str, LockEntry]:
    """Returns what was seen first, by weight.

    Raises:
        WeightsError: If the record is damaged; guessing would let another file in.
    """
    try:
        return _ENTRIES.validate_json(lock_file().read_bytes())
    except FileNotFoundError:
        return {}
    except ValidationError as error:
        raise WeightsError(f"{lock_file()} is damaged; delete it and pull the weights again") from error


def record_first(name: str, entry: LockEntry) -> None:
    """Records what was seen first; an existing record is kept.

    Raises:
        OSError: If the record cannot be written.
    """
    target = lock_file()
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_name(f".{target.name}.lock")):
        entries = read_lock()
        if name in entries:
            return
        entries[name] = entry
        content = {key: value.model_dump(mode="json") for key, value in sorted(entries.items())}
        write_atomically(target, (json.dumps(content, indent=2) + "\n").encode())
