"""A small dataset whose videos carry their frame numbers: annotations in the published form, and what the host has.

Every frame shows a public-domain face, and below it the frame's number in stripes; the sound clicks at known times.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from fractions import Fraction
from importlib import resources
from pathlib import Path

import numpy as np
from clips import Pixels, Sound, make_clip
from numpy.typing import NDArray
from PIL import Image
from speakervid_made import MadeClip, MadeLists, write_archives, write_flat

from vidchatbench.curation.preparation.clips import CutJob, CutOutcome
from vidchatbench.media.probe import probe
from vidchatbench.media.reader import ClipReader

SIZE = (192, 224)
STRIPES = 32
BITS = 12
SECONDS = 12.0
RATE = 48_000
CLICKS = tuple(0.37 + 0.81 * k for k in range(14))

ANN, BOB = "AnnAndBob_1", "-Bob_Ann--2"
CUT_SHORT, GONE, PRIVATE, SMALL, WIDE = "CutShort__3", "GoneGone__4", "Private___5", "Smaller___6", "WideScreen7"
TURNS = (("A", 1.0037, 3.2), ("B", 3.4, 6.0123), ("A", 6.3, 8.1), ("B", 8.52, 10.9))
"""Turns of a video: who speaks, from when to when; two pairs of question and answer."""
LONG_TURNS = (("A", 0.0, 3.0), ("B", 3.0, 6.0), ("A", 6.0, 9.0), ("B", 9.0, 12.0))
"""Turns that are long enough for a test set of one's own."""

Turns = Sequence[tuple[str, float, float]]


@functools.cache
def _face() -> Pixels:
    with resources.as_file(resources.files("vidchatbench.demo") / "portrait.jpg") as path, Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((SIZE[0], SIZE[1] - STRIPES)))


def coded(index: int, time: float, width: int, height: int) -> Pixels:
    """A face, and the index in stripes below it."""
    del time
    bits = np.asarray([255 * (index >> bit & 1) for bit in range(BITS)], np.uint8)
    picture = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    picture[:-STRIPES] = _face()
    picture[-STRIPES:] = np.repeat(bits, SIZE[0] // BITS)[None, :, None]
    if (width, height) != SIZE:
        return np.asarray(Image.fromarray(picture).resize((width, height)))
    return picture


def number_on(pixels: Pixels) -> int:
    height, width = pixels.shape[:2]
    row = height - round(height * STRIPES / SIZE[1] / 2)
    return sum(int(pixels[row, (2 * bit + 1) * width // (2 * BITS), 1] > 127) << bit for bit in range(BITS))


def clicks(seconds: float) -> NDArray[np.float32]:
    samples = np.zeros(round(seconds * RATE), np.float32)
    period = np.sin(2 * np.pi * np.arange(RATE // 1000) / (RATE // 1000)).astype(np.float32)
    for at in CLICKS:
        place = round(at * RATE)
        if place + len(period) < len(samples):
            samples[place : place + len(period)] = 0.7 * period
    return samples


def onsets(samples: NDArray[np.float32]) -> list[float]:
    """Where clicks begin, in seconds of a sound at 16 kHz."""
    loud = np.flatnonzero(np.abs(samples) > 0.15)
    groups = np.split(loud, np.flatnonzero(np.diff(loud) > 800) + 1) if len(loud) else []
    return [float(group[np.argmax(samples[group])]) / 16_000 - 0.00025 for group in groups]


@dataclass
class World:
    """What there is.

    Attributes:
        root: The annotations, as the hub has them.
        videos: Files of each video that the host has.
        sizes: Width and height of each.
        fps: Frames a second of each.
        pairs: The test list: initiator and responder of each sample.
    """

    root: Path
    videos: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    fps: dict[str, Fraction] = field(default_factory=dict)
    pairs: list[tuple[str, str]] = field(default_factory=list)
    clips: dict[str, MadeClip] = field(default_factory=dict)

    @property
    def responders(self) -> list[str]:
        return [responder for _, responder in self.pairs]

    def expected_frames(self, video: str, start: float, frames: int) -> list[int]:
        """The definition of a cut, by brute force: for each point the nearest source frame, the earlier of two."""
        fps, begin = self.fps[video], Fraction(start).limit_denominator(10**6)
        count = round(SECONDS * fps)
        return [
            min(range(count), key=lambda n, at=begin + Fraction(k, 25): (abs(n / fps - at), n)) for k in range(frames)
        ]


def clip_name(video: str, turn: int, size: tuple[int, int] = SIZE) -> str:
    return f"{video}_{size[0]}x{size[1]}_full_video_{turn:03d}_{TURNS[turn][0]}_00"


def annotate(
    video: str, turn: int, *, seconds_more: float = 0.0, size: tuple[int, int] = SIZE, turns: Turns = TURNS
) -> MadeClip:
    """The annotation of a turn, in the form of the published record."""
    label, start, end = turns[turn]
    end += seconds_more
    merged = {
        "num_frames": round((end - start) * 25), "is_talking": 1, "clip_speaker_num": 1, "clear": 2100.5,
        "video_name": f"{video}_{size[0]}x{size[1]}_full_video", "video_total_duration": end - start,
        "start": start + 0.2, "duration": 1.0, "bbox": [0.0, 0.25, 1.0, 1.0], "conf": 0,
        "sync": {"0": [[5.5, 8.0, 0.0]]}, "speaker": [label], "raw_video_height": size[1], "raw_video_width": size[0],
        "clip_video_height": 176, "clip_video_width": 192, "start_seconds": start, "end_seconds": end, "dover": 0.7,
    }  # fmt: skip
    name = clip_name(video, turn, size)
    asr = {"text": f"this is turn {turn} of {video}", "confidence": -0.3, "language": "en"}
    caption = {
        "Upper-Body Only": "half-body",
        "Facing Direction": "front",
        "Motion Intensity Level": 3,
        "topic": "music",
    }
    return MadeClip(name, merged, asr, caption, {"face_score": 0.9, "hand_score": 0.8})


def build_world(
    folder: Path,
    *,
    form: str = "pairs",
    layout: str = "archives",
    which: Sequence[str] = (ANN,),
    turns: Turns = TURNS,
) -> World:
    """Makes a world of the named videos, with two samples each.

    Args:
        folder: Where to.
        form: Whether the test list holds ``pairs`` or ``names``; ``none`` leaves it out.
        layout: ``archives`` as published, or ``flat``.
        which: Videos by the names above; some of them are not on the host, or are not as annotated.
        turns: Who speaks when.
    """
    world = World(folder / "annotations")
    (folder / "videos").mkdir(parents=True)
    for video in which:
        _make_video(world, folder / "videos", video)
        more = 8.0 if video == CUT_SHORT else 0.0
        for turn in range(len(TURNS)):
            made = annotate(video, turn, seconds_more=more if turn == len(TURNS) - 1 else 0.0, turns=turns)
            world.clips[made.name] = made
        world.pairs += [(clip_name(video, 0), clip_name(video, 1)), (clip_name(video, 2), clip_name(video, 3))]
    test: object = [list(pair) for pair in world.pairs] if form == "pairs" else world.responders
    lists = MadeLists(test=None if form == "none" else test, all={"batch": [f"{name}.json" for name in world.clips]})
    write = write_archives if layout == "archives" else write_flat
    write(world.root, world.clips.values(), lists)
    return world


def _make_video(world: World, folder: Path, video: str) -> None:
    if video in {GONE, PRIVATE}:
        return
    fps = Fraction(30_000, 1001) if video == BOB else Fraction(25)
    size = {SMALL: (SIZE[0] // 2, SIZE[1] // 2), WIDE: (SIZE[0] * 2, SIZE[1])}.get(video, SIZE)
    files = []
    for suffix, content in _encoded(fps, size, apart=video != BOB):
        files.append(folder / f"{video}{suffix}")
        files[-1].write_bytes(content)
    world.videos[video], world.sizes[video], world.fps[video] = tuple(files), size, fps


@functools.cache
def _encoded(fps: Fraction, size: tuple[int, int], *, apart: bool) -> tuple[tuple[str, bytes], ...]:
    """The files of a video, with picture and sound together or apart; encoded once for all tests of a process."""
    sound = Sound(sample_rate=RATE, samples=clicks(SECONDS))
    with tempfile.TemporaryDirectory() as name:
        picture, alone = Path(name) / "picture.mp4", Path(name) / "sound.m4v"
        audio = None if apart else sound
        make_clip(picture, seconds=SECONDS, fps=float(fps), size=size, paint=coded, audio=audio)
        if not apart:
            return ((".mp4", picture.read_bytes()),)
        make_clip(alone, seconds=SECONDS, video=False, audio=sound)
        return ((".mp4", picture.read_bytes()), (".m4a", alone.read_bytes()))


def frames_of(path: Path) -> list[int]:
    return [number_on(picture.rgb()) for picture, _ in ClipReader(path, probe(path), video=True, audio=False)]


def pool_of(cut: Callable[[CutJob], CutOutcome]) -> type:
    """Returns a pool that cuts in this process, with a function of the test's."""

    class InThisProcess:
        def __init__(self, workers: int) -> None:
            del workers

        def __enter__(self) -> InThisProcess:
            return self

        def __exit__(self, *_: object) -> None:
            """Has nothing to end."""

        def shutdown(self, **_: object) -> None:
            """Has nothing to end."""

        def submit(self, function: object, job: CutJob) -> Future[CutOutcome]:
            del function
            future: Future[CutOutcome] = Future()
            try:
                future.set_result(cut(job))
            except (BrokenProcessPool, OSError) as error:
                future.set_exception(error)
            return future

    return InThisProcess
