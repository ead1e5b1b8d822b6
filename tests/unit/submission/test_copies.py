"""Copies of the real reply are told by their pictures, and the same person at another moment is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from integration_support import manifest_line, write_benchmark
from PIL import Image

from vidchatbench.benchmark.load import load_benchmark
from vidchatbench.media.encode import Encoding, write_clip
from vidchatbench.media.probe import probe
from vidchatbench.media.reencode import reencode
from vidchatbench.submission.check import check_submission
from vidchatbench.submission.copies import CROPS, MAX_SHARE, copy_of, every_look_of, find_copies, looks_of

SILENCE = np.zeros(16_000 * 4, np.float32)


def pictures(start: float, *, seconds: float = 4.0, mirrored: bool = False, still: bool = False) -> list[np.ndarray]:
    """A lit head that sways before a wall with a window, from a moment on."""
    drawn = []
    y, x = np.mgrid[0:96, 0:128]
    for k in range(round(25 * seconds)):
        time = start + (0.0 if still else k / 25)
        centre = 64 + 14 * np.sin(1.7 * time) + 5 * np.sin(4.1 * time)
        head = np.exp(-(((x - centre) / 18) ** 2 + ((y - 50 - 6 * np.sin(2.3 * time)) / 24) ** 2))
        picture = np.clip(60 + 60 * (x < 30) + 140 * head, 0, 255).astype(np.uint8)
        picture = np.repeat((picture[:, ::-1] if mirrored else picture)[..., None], 3, axis=2)
        drawn.append(np.ascontiguousarray(picture))
    return drawn


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("copies")
    write_clip(root / "real.mp4", pictures(0.0), SILENCE, Encoding(18, 64_000))
    return root


def kind_of(folder: Path, frames: list[np.ndarray], crf: int = 28, fps: int = 25) -> str | None:
    write_clip(folder / "candidate.mp4", frames, SILENCE, Encoding(crf, 64_000), fps=fps)
    real, *cropped = every_look_of(folder / "real.mp4")
    assert np.array_equal(real, looks_of(folder / "real.mp4"))
    return copy_of(looks_of(folder / "candidate.mp4"), real, cropped)


def test_copies_are_found_and_other_replies_are_none(folder: Path) -> None:
    assert kind_of(folder, pictures(0.0), crf=32) == "copy"
    assert kind_of(folder, pictures(0.0, mirrored=True)) == "mirrored"
    brighter = [np.clip(picture.astype(np.int16) + 25, 0, 255).astype(np.uint8) for picture in pictures(0.0)]
    assert kind_of(folder, brighter) == "copy", "an even light is no other picture"
    assert kind_of(folder, pictures(5.0)) is None, "the same person at another moment"
    assert kind_of(folder, pictures(0.0, still=True)) is None, "the picture that was given, held still"


@pytest.mark.parametrize(("share", "found"), [(MAX_SHARE - 0.01, "copy"), (MAX_SHARE + 0.01, None)])
def test_the_threshold_is_a_share_of_what_lies_between_two_moments(share: float, found: str | None) -> None:
    # Moments one apart from their neighbours along a line; the reply lies beside them by a share of that.
    reference = np.zeros((6, 1024))
    reference[:, 0] = np.arange(6)
    candidate = reference.copy()
    candidate[:, 40] = share
    assert copy_of(candidate, reference) == found
    assert copy_of(candidate[:3], reference) is None, "too short to tell"


def test_a_copy_of_the_middle_is_found(folder: Path) -> None:
    middle = [np.asarray(Image.fromarray(p).resize((128, 96), box=(5.12, 3.84, 122.88, 92.16))) for p in pictures(0.0)]
    write_clip(folder / "middle.mp4", middle, SILENCE, Encoding(18, 64_000))
    candidate, real = looks_of(folder / "middle.mp4"), every_look_of(folder / "real.mp4")
    apart = [float(np.median(np.linalg.norm(candidate - looks, axis=1))) for looks in real]
    assert np.argmin(apart) == 1 + CROPS.index(0.08), "8 % of each side are lacking"
    far = real[0][:, ::-1]
    assert copy_of(candidate, far, real[1:]) == "cropped"
    assert copy_of(candidate, far, [far]) is None


def test_the_check_lists_them(folder: Path, tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    lines = [manifest_line(name, folder / "real.mp4", folder, speaker=name) for name in ("a", "b", "c")]
    benchmark = load_benchmark(write_benchmark(folder, lines))
    reencode(folder / "real.mp4", outputs / "a.mp4")
    write_clip(outputs / "b.mp4", pictures(7.0), SILENCE, Encoding(18, 64_000))
    problems = find_copies(check_submission(outputs, benchmark), benchmark)
    assert [(p.sample, p.code, p.severity.value) for p in problems] == [("a", "copy_of_reference", "warning")]


def test_encoding_anew_keeps_length_and_size_but_for_an_odd_edge(folder: Path, tmp_path: Path) -> None:
    reencode(folder / "real.mp4", tmp_path / "anew.mp4")
    before, after = probe(folder / "real.mp4"), probe(tmp_path / "anew.mp4")
    assert before.video is not None
    assert after.video is not None
    assert after.video.duration == pytest.approx(before.video.duration or 0, abs=0.01)
    assert (after.video.width, after.video.height) == (128, 96)
    assert after.audio is not None
    Image.fromarray(np.full((47, 63, 3), 90, np.uint8)).save(tmp_path / "odd.png")
    reencode(tmp_path / "odd.png", tmp_path / "even.mp4")
    even = probe(tmp_path / "even.mp4").video
    assert even is not None
    assert (even.width, even.height) == (62, 46)
