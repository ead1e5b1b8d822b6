"""Annotations like those of SpeakerVid-5M, made up by a seed: no video, speaker or text in them exists."""

from __future__ import annotations

import io
import json
import random
import string
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

REAL_NAME = "BK6_XIz6-ZE_1920x1080_full_video_042_None_01"
REAL_MERGED = {
    "num_frames": 294, "is_talking": 1, "clip_speaker_num": 1, "clear": 2221.8,
    "video_name": "BK6_XIz6-ZE_1920x1080_full_video", "video_total_duration": 11.8118,
    "start": 297.25603, "duration": 4.2, "bbox": [0.60201, 0.06040, 0.99948, 0.91407], "conf": 0,
    "sync": {"0": [[6.1157, 7.3346, -3.0], [3.444, 9.1359, -1.0]], "1": [[0, 0, 0], [0, 0, 0]]},
    "speaker": ["B", "B"], "raw_video_height": 1080, "raw_video_width": 1920,
    "clip_video_height": 928, "clip_video_width": 768, "start_seconds": 289.65603, "end_seconds": 301.46783,
    "dover": 0.558,
}  # fmt: skip
"""The form of a published record, with its numbers."""

TOPICS = ("technology", "health", "sports", "politics", "music", "travel")
FACING = ("Front", "front, slightly left", "Side profile")
WORDS = ("well", "yes", "think", "really", "about", "the", "thing", "we", "saw", "there", "again", "maybe")
_LETTERS = string.ascii_letters + string.digits + "_-"


@dataclass
class MadeClip:
    """One clip with its four files."""

    name: str
    merged: dict
    asr: object
    caption: dict
    blur: dict


@dataclass
class MadeLists:
    """What the lists beside the annotations name; ``None`` leaves a list out."""

    hq: Sequence[str] | None = None
    test: object = None
    all: dict[str, list[str]] = field(default_factory=dict)


def video_id(rng: random.Random) -> str:
    return "".join(rng.choices(_LETTERS, k=11))


def make_clips(n_videos: int, seed: int = 0, turns: tuple[int, int] = (4, 9)) -> Iterator[MadeClip]:
    """Videos of two or three speakers who take turns, with somebody listening in some scenes."""
    rng = random.Random(seed)
    for _ in range(n_videos):
        yield from make_video(rng, video_id(rng), rng.randint(*turns))


def make_video(rng: random.Random, video: str, n_turns: int) -> Iterator[MadeClip]:
    width, height = rng.choice(((1920, 1080), (1280, 720), (854, 480)))
    stem = f"{video}_{width}x{height}_full_video"
    cast = "ABC" if rng.random() < 0.2 else "AB"
    topic, half = rng.choice(TOPICS), {label: rng.random() < 0.7 for label in cast}
    at, label = rng.uniform(0, 60), "A"
    for turn in range(n_turns):
        length = rng.uniform(3.0, 14.0)
        # Half of the scenes show one more person, who listens.
        for track, who in enumerate([label, "None"] if rng.random() < 0.5 else [label]):
            name = f"{stem}_{turn:03d}_{who}_{track:02d}"
            yield make_clip(rng, name, (at, length), (width, height), label, topic=topic, half=half[label])
        at += length + rng.choice((-0.3, 0.1, 0.5, 1.0, 1.9, 2.5, 20.0))
        at = max(at, 0.0)
        label = rng.choice([other for other in cast if other != label] + ([label] if rng.random() < 0.3 else []))


def make_clip(
    rng: random.Random,
    name: str,
    time: tuple[float, float],
    raw: tuple[int, int],
    heard: str,
    *,
    topic: str = "music",
    half: bool = True,
) -> MadeClip:
    start, length = time
    left, top = rng.uniform(0.0, 0.4), rng.uniform(0.0, 0.2)
    right, bottom = rng.uniform(left + 0.2, 1.0), rng.uniform(top + 0.5, 1.0)
    silent = "_None_" in name
    inner = min(4.2, length - 1.0)
    clip = [
        max(16, round(share * side / 16) * 16) for share, side in zip((right - left, bottom - top), raw, strict=True)
    ]
    merged = {
        "num_frames": int(length * 25), "is_talking": int(not silent), "clip_speaker_num": 1,
        "clear": round(rng.uniform(100, 3000), 1), "video_name": name[: name.index("_full_video") + 11],
        "video_total_duration": round(length, 4), "start": round(start + 0.5, 5), "duration": round(inner, 2),
        "bbox": [round(value, 5) for value in (left, top, right, bottom)], "conf": 0,
        "sync": {"0": [[round(rng.uniform(1, 8), 4), 7.3, -1.0]]}, "speaker": [heard],
        "raw_video_width": raw[0], "raw_video_height": raw[1],
        "clip_video_width": clip[0], "clip_video_height": clip[1],
        "start_seconds": round(start, 5), "end_seconds": round(start + length, 5),
        "dover": round(rng.uniform(0.45, 0.9), 3),
    }  # fmt: skip
    said = "" if silent else " ".join(rng.choices(WORDS, k=rng.randint(4, 20)))
    asr = {"text": said, "confidence": round(rng.uniform(-1.3, -0.1), 3), "language": "en"}
    caption = {
        "Clarity": "clear", "Motion Intensity Level": rng.randint(1, 5), "Upper-Body Only": half,
        "Facing Direction": rng.choice(FACING), "Number of People": 1, "topic": topic,
        "Observed Actions": " ".join(rng.choices(WORDS, k=12)),
    }  # fmt: skip
    frames = [round(rng.uniform(0.6, 1.0), 2) for _ in range(3)]
    blur = {"face_score": frames, "left_hand_score": [round(rng.uniform(0.3, 1.0), 2), -1], "right_hand_score": "none"}
    return MadeClip(name, merged, asr, caption, blur)


def write_flat(root: Path, clips: Iterable[MadeClip], lists: MadeLists | None = None) -> Path:
    """The unpacked layout."""
    folders = {part: root / name for part, name in _FLAT.items()}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    for clip in clips:
        for part, content in _files(clip):
            (folders[part] / f"{clip.name}.json").write_text(json.dumps(content))
    write_lists(root, lists)
    return root


def write_archives(
    root: Path, clips: Iterable[MadeClip], lists: MadeLists | None = None, *, batches: int = 3, seed: int = 0
) -> Path:
    """The published layout: the batches of one part do not correspond to those of another."""
    rng = random.Random(seed)
    written = list(clips)
    for part, name in _ARCHIVED.items():
        count = batches if part == "merged" else batches + 1
        (root / name).mkdir(parents=True, exist_ok=True)
        files = [(clip.name, content) for clip in written for which, content in _files(clip) if which == part]
        rng.shuffle(files)
        for batch in range(count):
            members = [
                (f"{name.rpartition('/')[2]}/{clip}.json", _bytes(content)) for clip, content in files[batch::count]
            ]
            write_archive(root / name / f"tar_batch_{batch}.tar.gz", members)
    write_lists(root, lists)
    return root


def write_archive(path: Path, members: Iterable[tuple[str, bytes]], *, apple: bool = True) -> Path:
    """An archive of plain files, with the ``._*`` files that macOS puts beside them."""
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for number, (name, content) in enumerate(members):
            if apple and number % 50 == 0:
                folder, _, base = name.rpartition("/")
                _add(archive, f"{folder}/._{base}", b"\x00\x05\x16\x07")
            _add(archive, name, content)
    return path


def write_lists(root: Path, lists: MadeLists | None) -> None:
    if lists is None:
        return
    if lists.hq is not None:
        (root / "SFT_set.json").write_text(json.dumps([f"{name}.json" for name in lists.hq]))
    if lists.test is not None:
        (root / "testset.json").write_text(json.dumps(lists.test))
    if lists.all:
        (root / "all_data_list.json").write_text(json.dumps(lists.all))


_FLAT = {"merged": "merge_anno", "asr": "asr", "caption": "anno", "blur": "l_score"}
_ARCHIVED = {
    "merged": "merged_anno", "asr": "raw_labels/asr", "caption": "raw_labels/anno", "blur": "raw_labels/l_score",
}  # fmt: skip


def _files(clip: MadeClip) -> Iterator[tuple[str, object]]:
    yield "merged", clip.merged
    yield "asr", clip.asr
    yield "caption", clip.caption
    yield "blur", clip.blur


def _bytes(content: object) -> bytes:
    return json.dumps(content).encode()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))
