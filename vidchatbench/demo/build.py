"""Building the demonstration: five utterances become four samples and the outputs of three systems."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vidchatbench.api.samples import Sample, Side
from vidchatbench.core.hashing import hash_file
from vidchatbench.demo.face import TalkingFace
from vidchatbench.demo.files import MARKER, PARTS, DemoPaths, hash_files, is_whole, write_marker
from vidchatbench.demo.motion import plan_poses
from vidchatbench.demo.portrait import Person, Pixels, first_person, second_person
from vidchatbench.demo.speech import Utterance, plan_utterance
from vidchatbench.demo.systems import early_sound, late_picture, poor_picture, poor_sound
from vidchatbench.demo.voice import HIGH_VOICE, LOW_VOICE, Voice, Wave, synthesise
from vidchatbench.errors import UsageError
from vidchatbench.media.encode import Encoding, write_clip

SAMPLES = 4
SECONDS = 4.0
VERSION = "1.0.0"
GOOD = Encoding(crf=18, audio_bits=64_000)
POOR = Encoding(crf=36, audio_bits=24_000)

_DESCRIPTION = (
    "Four synthetic samples made on the spot: two speakers, drawn and with synthesised voices, who answer each other. "
    "For trying the library out; a score on it says nothing about a system."
)
_LICENSE = "Apache-2.0; the portrait behind the faces is in the public domain (NASA)"
_ABOUT = {
    "oracle": "The demonstration's upper anchor: copies of the references.",
    "shifted": "The right person and voice, but the picture comes 0.4 s late and the sound 0.4 s early.",
    "degraded": "A small, noisy, flickering picture, and the other speaker's voice through a bad telephone line.",
}


@dataclass(frozen=True)
class Turn:
    """One turn of the conversation, ready to be written.

    Attributes:
        speaker: Whose turn it is.
        frames: uint8 RGB pictures at 25 a second.
        wave: float32 samples at 16 kHz.
        other_wave: The same utterance in the other speaker's voice.
    """

    speaker: str
    frames: tuple[Pixels, ...]
    wave: Wave
    other_wave: Wave


def make_turns(seed: int) -> Iterator[Turn]:
    """Makes the conversation's five turns one by one; the speakers alternate, and every turn has its own text."""
    cast: tuple[tuple[Person, Voice], ...] = ((first_person(), HIGH_VOICE), (second_person(), LOW_VOICE))
    faces = [TalkingFace(person) for person, _ in cast]
    for number in range(SAMPLES + 1):
        own, other = number % 2, 1 - number % 2
        key = 1000 * seed + 10 * number
        utterance: Utterance = plan_utterance(key + 1, SECONDS)
        yield Turn(
            speaker=cast[own][0].name,
            frames=tuple(faces[own].draw(pose) for pose in plan_poses(utterance, key + 2)),
            wave=synthesise(utterance, cast[own][1], key + 3),
            other_wave=synthesise(utterance, cast[other][1], key + 4),
        )


def build(folder: Path, seed: int) -> DemoPaths:
    """Builds the demonstration in ``folder``; see :func:`vidchatbench.demo.build_demo`."""
    paths = DemoPaths(folder)
    if is_whole(paths, seed):
        return paths
    strange = [part for part in PARTS if (folder / part).exists()]
    if strange and not paths.marker.is_file():
        raise UsageError(
            f"{folder} already holds {' and '.join(strange)} but no {MARKER}, so the demonstration did not make them; "
            "name another folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".building-") as name:
        workshop = Path(name)
        fresh = workshop / "fresh"
        _write_all(fresh, seed)
        write_marker(fresh / MARKER, seed, hash_files(fresh))
        try:
            _install(fresh, workshop, paths)
        except OSError:
            # Another process may have been quicker; the same seed gives it the same files.
            if not is_whole(paths, seed):
                raise
    return paths


def _install(fresh: Path, workshop: Path, paths: DemoPaths) -> None:
    """Moves finished folders into place by renaming.

    The marker goes first: cut off at any point, the folder is then one whose hashes disagree, which the next call
    rebuilds, and never one that looks like somebody else's.
    """
    (fresh / MARKER).replace(paths.marker)
    for number, part in enumerate(PARTS):
        target = paths.folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            target.replace(workshop / f"old-{number}")
        (fresh / part).replace(target)


def _write_all(root: Path, seed: int) -> None:
    paths = DemoPaths(root)
    media = paths.benchmark / "media"
    media.mkdir(parents=True)
    for name, outputs in paths.systems.items():
        outputs.mkdir(parents=True)
        (outputs / "system.yaml").write_text(_system_yaml(name), encoding="utf-8")
    sides: list[Side] = []
    for number, turn in enumerate(make_turns(seed)):
        clip = media / f"turn_{number}.mp4"
        write_clip(clip, turn.frames, turn.wave, GOOD)
        sha256 = hash_file(clip)
        sides.append(Side(media=f"media/{clip.name}", sha256=sha256, speaker_id=turn.speaker))
        if number:
            _write_replies(paths, f"demo-{number}", clip, turn, 1000 * seed + 10 * number)
    _write_manifest(paths.benchmark, sides)


def _write_replies(paths: DemoPaths, sample: str, clip: Path, turn: Turn, key: int) -> None:
    targets = {name: outputs / f"{sample}.mp4" for name, outputs in paths.systems.items()}
    shutil.copyfile(clip, targets["oracle"])
    write_clip(targets["shifted"], late_picture(turn.frames), early_sound(turn.wave), GOOD)
    sound = poor_sound(turn.other_wave, key + 6)
    write_clip(targets["degraded"], poor_picture(turn.frames, key + 5), sound, POOR)


def _write_manifest(benchmark: Path, sides: list[Side]) -> None:
    lines = [
        Sample(
            id=f"demo-{number}",
            task="dialogue",
            # Speech-like sound without words; ISO 639 keeps "zxx" for what is in no language.
            language="zxx",
            initiator=sides[number - 1],
            responder=sides[number],
            source={"dataset": "VidChatBench demonstration"},
            tags={"dyad": "synthetic", "framing": "head"},
        ).model_dump_json()
        for number in range(1, len(sides))
    ]
    manifest = ("\n".join(lines) + "\n").encode()
    (benchmark / "manifest.jsonl").write_bytes(manifest)
    about = {
        "schema_version": 1,
        "name": "demo",
        "version": VERSION,
        "description": _DESCRIPTION,
        "n_samples": len(lines),
        "manifest_sha256": hashlib.sha256(manifest).hexdigest(),
        "license": _LICENSE,
    }
    (benchmark / "benchmark.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def _system_yaml(name: str) -> str:
    return f'# {_ABOUT[name]}\nname: demo-{name}\nrevision: "{VERSION}"\norganisation: VidChatBench\n'
