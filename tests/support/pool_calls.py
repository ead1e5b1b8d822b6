"""What the calls of a pool's tests do; in a module of its own, because worker processes import it by name."""

from __future__ import annotations

import errno
import os
import signal
import time
from pathlib import Path

from vidchatbench.errors import MediaError


def act(folder: str, kind: str) -> tuple[str, int]:
    """What a call does in its process, by name."""
    if kind == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "fills the disk":
        raise OSError(errno.ENOSPC, "No space left on device")
    if kind == "reads a bad clip":
        raise MediaError("a.mp4", "it is no clip")
    if kind == "waits":
        (Path(folder) / f"begun {os.getpid()}").touch()
        time.sleep(600)
    return kind, os.getpid()
