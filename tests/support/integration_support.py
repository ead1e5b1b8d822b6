"""What tests of whole runs are made of: excerpts of replies, and benchmarks written on the spot."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Excerpt:
    """Pictures and sound of a reply.

    Attributes:
        frames: uint8 RGB, each of shape (height, width, 3), 25 a second.
        samples: float32, mono, 16 kHz.
    """

    frames: list[NDArray[np.uint8]]
    samples: NDArray[np.float32]


def write_benchmark(folder: Path, lines: Sequence[dict[str, object]], name: str = "test") -> Path:
    """Writes ``manifest.jsonl`` and ``benchmark.json``; the media are the caller's business."""
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    (folder / "manifest.jsonl").write_text(text, encoding="utf-8")
    header = {
        "schema_version": 1,
        "name": name,
        "version": "1.0.0",
        "description": "made by a test",
        "n_samples": len(lines),
        "manifest_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "license": "none",
    }
    (folder / "benchmark.json").write_text(json.dumps(header), encoding="utf-8")
    return folder


def manifest_line(sample_id: str, media: Path, root: Path, speaker: str = "spk") -> dict[str, object]:
    """One sample whose initiator and responder are the same clip."""
    side = {
        "media": media.relative_to(root).as_posix(),
        "sha256": hashlib.sha256(media.read_bytes()).hexdigest(),
        "speaker_id": speaker,
        "transcript": None,
    }
    return {"id": sample_id, "task": "dialogue", "language": "en", "initiator": side, "responder": side}
