"""Preparation of real clips: stitched into a longer video as the host would have it, and cut out of it again."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from speakervid_made import MadeClip, MadeLists, write_archives
from video_host import PLUGIN, VideoServer

import vidchatbench as vcb
from vidchatbench.core.progress import SilentProgress
from vidchatbench.curation.preparation.hosts import Manners
from vidchatbench.curation.preparation.run import prepare
from vidchatbench.curation.preparation.settings import PrepareSettings
from vidchatbench.curation.preparation.status import status_of
from vidchatbench.media.encode import ClipWriter, Encoding
from vidchatbench.media.probe import probe
from vidchatbench.media.reader import ClipReader

MINI = Path(__file__).resolve().parents[3] / "shared" / "mini"
VIDEO = "Conversa_10"
CANVAS = (1280, 1088)
FRAMES = 60

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not MINI.is_dir(), reason="the folder of real clips, ../shared/mini, is absent"),
]


@dataclass
class Turn:
    """A real clip's beginning, and where in the long video it stands."""

    frames: list[NDArray[np.uint8]]
    sound: NDArray[np.float32]
    label: str
    start: float = 0.0


def beginning(name: str, label: str) -> Turn:
    path = MINI / "media" / f"{name}.mp4"
    reader = ClipReader(path, probe(path), video=True, audio=True)
    frames = [picture.rgb() for picture, _ in itertools.islice(reader, FRAMES)]
    heard = ClipReader(path, probe(path), video=False, audio=True)
    assert list(heard) == []
    return Turn(frames, heard.audio.samples[: FRAMES * 640], label)


def canvas_of(turn: Turn) -> Iterator[NDArray[np.uint8]]:
    for pixels in turn.frames:
        canvas = np.full((CANVAS[1], CANVAS[0], 3), 90, np.uint8)
        canvas[16 : 16 + pixels.shape[0], 32 : 32 + pixels.shape[1]] = pixels
        yield canvas


def stitch(path: Path, turns: list[Turn]) -> None:
    """Half a second of nothing, then the turns, a fifth of a second apart."""
    nothing = np.full((CANVAS[1], CANVAS[0], 3), 40, np.uint8)
    sounds: list[NDArray[np.float32]] = []
    with ClipWriter(path, Encoding(crf=10, audio_bits=128_000, preset="ultrafast")) as writer:
        at = 0
        for pause, turn in zip((12, 5), turns, strict=True):
            for _ in range(pause):
                writer.picture(nothing)
            sounds.append(np.zeros(pause * 640, np.float32))
            at += pause
            turn.start = at / 25
            for pixels in canvas_of(turn):
                writer.picture(pixels)
            sounds.append(turn.sound)
            at += len(turn.frames)
        writer.sound(np.concatenate(sounds))


def annotation(turn: Turn, scene: int) -> MadeClip:
    height, width = turn.frames[0].shape[:2]
    box = [32 / CANVAS[0], 16 / CANVAS[1], (32 + width) / CANVAS[0], (16 + height) / CANVAS[1]]
    merged = {
        "is_talking": 1, "bbox": box, "speaker": [turn.label], "start_seconds": turn.start,
        "end_seconds": turn.start + len(turn.frames) / 25, "raw_video_width": CANVAS[0], "raw_video_height": CANVAS[1],
        "clip_video_width": width, "clip_video_height": height,
    }  # fmt: skip
    name = f"{VIDEO}_{CANVAS[0]}x{CANVAS[1]}_full_video_{scene:03d}_{turn.label}_00"
    return MadeClip(name, merged, {"text": "words"}, {}, {})


def test_real_clips_come_out_as_they_went_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, private_cache: Path
) -> None:
    del private_cache
    turns = [beginning("dialogue1_initiator", "A"), beginning("dialogue1_responder", "B")]
    source = tmp_path / "source.mp4"
    stitch(source, turns)
    made = [annotation(turn, scene) for scene, turn in enumerate(turns)]
    root = write_archives(tmp_path / "annotations", made, MadeLists(test=[made[1].name]), batches=1)
    monkeypatch.syspath_prepend(str(PLUGIN))
    with VideoServer({VIDEO: (source,)}, {VIDEO: CANVAS}) as host:
        monkeypatch.setenv("VCB_TEST_HOST", host.url)
        settings = PrepareSettings(tmp_path / "out", str(root), workers=2, manners=Manners(pause=0), language="en")
        prepare("real", settings, SilentProgress())
    assert status_of(tmp_path / "out", SilentProgress()).counts["alive"] == 1
    benchmark = vcb.load_benchmark(tmp_path / "out")
    (sample,) = benchmark
    assert sample.responder is not None
    assert sample.reference_image is not None
    for side, turn in zip((sample.initiator, sample.responder), turns, strict=True):
        compare(benchmark.media(side.media), turn)
    # A real face stands in the first frame, so that is what systems are given.
    image = probe(benchmark.media(sample.reference_image))
    assert image.video is not None
    assert (image.video.height, image.video.width) == turns[1].frames[0].shape[:2]
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    (outputs / f"{sample.id}.mp4").write_bytes(benchmark.media(sample.responder.media).read_bytes())
    config = vcb.RunConfig(workers=1)
    results = vcb.evaluate(
        outputs, benchmark=benchmark.root, metrics=["video_quality/psnr"], out=tmp_path / "run", config=config
    )
    assert results.metric("video_quality/psnr").value == 100.0


def compare(path: Path, turn: Turn) -> None:
    """Every frame is the one that went in, and no neighbour of it; the sound lies within a millisecond."""
    reader = ClipReader(path, probe(path), video=True, audio=True)
    cut = [picture.rgb() for picture, _ in reader]
    assert len(cut) == len(turn.frames)
    for number, pixels in enumerate(cut[2:-2], start=2):
        errors = {
            k: float(np.mean((turn.frames[k].astype(np.int16) - pixels) ** 2)) for k in range(number - 2, number + 3)
        }
        assert 10 * np.log10(255**2 / errors[number]) > 30
        if squared_error(turn.frames[number], turn.frames[number - 1]) > 4:  # where the picture moves
            assert min(errors, key=lambda k: errors[k]) == number
    heard, went_in = reader.audio.samples.astype(np.float64), turn.sound.astype(np.float64)
    length = min(len(heard), len(went_in))
    spectrum = np.fft.rfft(heard[:length], 2 * length) * np.conj(np.fft.rfft(went_in[:length], 2 * length))
    lag = int(np.argmax(np.fft.irfft(spectrum)))
    assert min(lag, 2 * length - lag) <= 16


def squared_error(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    return float(np.mean(np.square(first.astype(np.float32) - second)))
