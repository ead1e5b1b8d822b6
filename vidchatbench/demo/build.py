"""Building the demonstration: dyads become samples, and systems answer them."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path

from vidchatbench.api.samples import Sample, Side
from vidchatbench.core.hashing import hash_file
from vidchatbench.demo.files import MARKER, DemoPaths, DemoSize, hash_files, is_whole, write_marker
from vidchatbench.demo.people import Turn, make_turns
from vidchatbench.demo.systems import GOOD, MADE_SYSTEMS
from vidchatbench.errors import UsageError
from vidchatbench.media.encode import write_clip

VERSION = "2.0.0"

_DESCRIPTION = (
    "Synthetic samples made on the spot: pairs of people, painted and with synthesised voices, who ask each other and "
    "answer. For trying the library out; a score on it says nothing about a system."
)
_LICENSE = "Apache-2.0; the portrait behind the faces is in the public domain (NASA)"
_DECLARED = {
    "organisation": "VidChatBench",
    "training_data": "none: it is made by a program",
    "training_overlap": "all of it is made from the benchmark itself, as a demonstration",
}


def build(folder: Path, seed: int, size: DemoSize) -> DemoPaths:
    """Builds the demonstration in ``folder``; see :func:`vidchatbench.demo.build_demo`."""
    paths = DemoPaths(folder, size.systems)
    if is_whole(paths, seed, size):
        return paths
    strange = [part for part in paths.parts if (folder / part).exists()]
    if strange and not paths.marker.is_file():
        raise UsageError(
            f"{folder} already holds {' and '.join(strange)} but no {MARKER}, so the demonstration did not make them; "
            "name another folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".building-") as name:
        workshop = Path(name)
        fresh = workshop / "fresh"
        _write_all(fresh, seed, size)
        write_marker(fresh / MARKER, seed, size, hash_files(fresh, paths.parts))
        try:
            _install(fresh, workshop, paths)
        except OSError:
            # Another process may have been quicker; the same seed gives it the same files.
            if not is_whole(paths, seed, size):
                raise
    return paths


def _install(fresh: Path, workshop: Path, paths: DemoPaths) -> None:
    """Moves finished folders into place by renaming.

    The marker goes first: cut off at any point, the folder is then one whose hashes disagree, which the next call
    rebuilds, and never one that looks like somebody else's.
    """
    (fresh / MARKER).replace(paths.marker)
    for number, part in enumerate(paths.parts):
        target = paths.folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            target.replace(workshop / f"old-{number}")
        (fresh / part).replace(target)


def _write_all(root: Path, seed: int, size: DemoSize) -> None:
    paths = DemoPaths(root, size.systems)
    media = paths.benchmark / "media"
    media.mkdir(parents=True)
    for name, outputs in paths.systems.items():
        outputs.mkdir(parents=True)
        (outputs / "system.yaml").write_text(_system_yaml(name), encoding="utf-8")
    samples: list[Sample] = []
    asked: Side | None = None
    for turn in make_turns(size.dyads, size.side, size.seconds, seed):
        clip = media / f"{turn.actor.name}_{turn.kind}.mp4"
        write_clip(clip, turn.take.frames, turn.take.wave, GOOD)
        side = _side(turn, clip)
        if asked is None:
            asked = side
        else:
            samples.append(_sample(f"demo-{len(samples) + 1}", asked, side))
            _write_replies(paths, samples[-1].id, turn, clip)
            asked = None
    _write_manifest(paths.benchmark, samples)


def _side(turn: Turn, clip: Path) -> Side:
    return Side(
        media=f"media/{clip.name}",
        sha256=hash_file(clip),
        speaker_id=turn.actor.name,
        transcript=turn.utterance.words,
    )


def _sample(name: str, asked: Side, answered: Side) -> Sample:
    return Sample(
        id=name,
        task="dialogue",
        language="en",
        initiator=asked,
        responder=answered,
        source={"dataset": "VidChatBench demonstration"},
        tags={"dyad": "synthetic", "framing": "head"},
    )


def _write_replies(paths: DemoPaths, sample: str, turn: Turn, clip: Path) -> None:
    for name, outputs in paths.systems.items():
        if sample not in MADE_SYSTEMS[name].missing:
            MADE_SYSTEMS[name].write(turn, clip, outputs / f"{sample}.mp4")


def _write_manifest(benchmark: Path, samples: list[Sample]) -> None:
    manifest = "".join(sample.model_dump_json() + "\n" for sample in samples).encode()
    (benchmark / "manifest.jsonl").write_bytes(manifest)
    about = {
        "schema_version": 1,
        "name": "demo",
        "version": VERSION,
        "description": _DESCRIPTION,
        "n_samples": len(samples),
        "manifest_sha256": hashlib.sha256(manifest).hexdigest(),
        "license": _LICENSE,
    }
    (benchmark / "benchmark.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def _system_yaml(name: str) -> str:
    lines = [f"# {MADE_SYSTEMS[name].about}", f"name: {name}", f'revision: "{VERSION}"']
    lines += [f"{field}: {json.dumps(text)}" for field, text in _DECLARED.items()]
    return "\n".join(lines) + "\n"
