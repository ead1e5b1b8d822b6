"""``av_sync/mouth_envelope`` on made mouths and sounds: values by hand, and what lateness does to them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from vidchatbench.api import Audio, ClipInfo, Feature, Sample, Score, Side, Status
from vidchatbench.media.frames import GridFrame, Picture
from vidchatbench.plugins.catalogue import load_catalogue
from vidchatbench_metrics.av_sync.mouth_envelope import (
    MouthDarkness,
    SoundEnergy,
    mouth_level,
    sound_energy,
    without_moving_mean,
)
from vidchatbench_metrics.faces.alignment import TEMPLATE
from vidchatbench_metrics.faces.timeline import FaceTimeline

SIDE = Side(media="a.mp4", sha256="0" * 64, speaker_id="s")
SAMPLE = Sample(id="x", task="dialogue", language="en", initiator=SIDE, responder=SIDE)
FRAMES = 200


def loudness(seed: int = 0) -> np.ndarray:
    """Energies of a made voice, syllables of some 4 frames."""
    steps = np.random.default_rng(seed).normal(0, 1, FRAMES + 40)
    return 10 ** np.convolve(steps, np.ones(4), "valid")[:FRAMES]


def score(level: np.ndarray, energy: np.ndarray, index: np.ndarray | None = None, frames: int = FRAMES) -> Score:
    features = {
        "mouth": Feature(
            {"level": level, "index": (np.arange(len(level)) if index is None else index).astype(np.int32)},
            {"frames": frames},
        ),
        "sound": Feature({"energy": energy}),
    }
    return load_catalogue().metric("av_sync/mouth_envelope").score(SAMPLE, features)


def value(level: np.ndarray, energy: np.ndarray) -> float:
    result = score(level, energy).value
    assert result is not None
    return result


def test_energy_of_one_sample_by_hand() -> None:
    samples = np.zeros(3 * 640 + 100, np.float32)
    samples[700] = 0.5
    assert sound_energy(samples) == pytest.approx([0, 0.5**2 + (0.97 * 0.5) ** 2, 0])
    samples[700], samples[639] = 0, 0.5
    assert sound_energy(samples) == pytest.approx([0.25, (0.97 * 0.5) ** 2, 0]), "what follows is in the next frame"
    assert len(SoundEnergy().extract(Audio(samples[:639]), {})["energy"]) == 0


def test_the_moving_mean_is_of_the_frames_that_are_there() -> None:
    index = np.array([0, 1, 12, 13, 40])
    values = np.array([1.0, 2.0, 6.0, 9.0, 5.0])
    # Frame 0 sees up to 12, frame 1 up to 13, frame 40 itself alone.
    assert without_moving_mean(values, index) == pytest.approx([1 - 3, 2 - 4.5, 6 - 4.5, 9 - 17 / 3, 0])


def test_the_darkest_tenth_of_the_mouth() -> None:
    picture = np.full((112, 112, 3), 200, np.uint8)
    assert mouth_level(picture, TEMPLATE) == 200
    picture[84:102, 40:43] = 10  # 3 of 32 columns are under a tenth
    assert mouth_level(picture, TEMPLATE) == 200
    picture[84:102, 43] = 10
    assert mouth_level(picture, TEMPLATE) == 10
    picture[84:102, 40:72] = 200
    picture[102:, :], picture[:84, :], picture[:, :40], picture[:, 72:] = 0, 0, 0, 0
    assert mouth_level(picture, TEMPLATE) == 200, "what is around the mouth does not count"


def test_the_mouth_is_that_of_the_responder_frame_by_frame() -> None:
    faces = FaceTimeline(5.0)
    other = TEMPLATE / 2 + [150, 0]
    for _ in range(3):
        boxes = np.array([[20.0, 20.0, 100.0, 100.0], [160.0, 10.0, 200.0, 50.0]])
        faces.add_key(boxes, np.stack([TEMPLATE, other]), np.full(2, 0.99))
    faces.close()
    session = MouthDarkness().begin(ClipInfo(width=220, height=112, duration=0.0), {"faces": faces})
    for index in range(12):
        picture = np.full((112, 220, 3), 255, np.uint8)
        picture[:, :112] = 10 * index
        session.push(GridFrame(Picture(picture), index, Fraction(index, 25)))
    feature = session.finish()
    assert feature["level"] == pytest.approx(10.0 * np.arange(12))
    assert feature["index"].tolist() == list(range(12))
    assert dict(feature.meta) == {"frames": 12}


def test_a_mouth_that_opens_with_the_voice_scores_and_lateness_lowers_it() -> None:
    energy = loudness()
    mouth = 120 - 20 * np.log10(energy)
    in_step = value(mouth, energy)
    assert in_step > 0.7
    assert value(-mouth, energy) == pytest.approx(-in_step), "dark is open"
    late = [value(mouth, np.roll(energy, frames)) for frames in (1, 2, 3, 5)]
    assert in_step > late[0] > late[1] > late[2] > late[3]
    assert late[3] < 0.1
    assert abs(value(mouth, loudness(seed=1))) < 0.2


def test_the_lags_reach_one_frame_to_both_sides() -> None:
    generator = np.random.default_rng(3)
    energy = 10 ** generator.normal(0, 1, FRAMES)
    mouth = -np.log10(energy)
    shifted = [value(mouth, np.roll(energy, frames)) for frames in (-2, -1, 0, 1, 2)]
    assert shifted[1:4] == pytest.approx([1 / 3] * 3, abs=0.1), "a voice without memory fits at one lag of three"
    assert max(abs(shifted[0]), abs(shifted[4])) < 0.15


def test_slow_changes_of_light_and_volume_do_not_count() -> None:
    energy = loudness()
    mouth = 120 - 20 * np.log10(energy)
    slow = np.linspace(0, 1, FRAMES)
    assert value(mouth + 100 * slow, energy * 10 ** (3 * slow)) == pytest.approx(value(mouth, energy), abs=0.05)


def test_a_frozen_mouth_and_a_silent_sound_score_nothing() -> None:
    energy = loudness()
    assert value(np.full(FRAMES, 91.3), energy) == 0
    assert value(120 - 20 * np.log10(energy), np.zeros(FRAMES)) == 0


def test_enough_of_face_and_sound_is_needed() -> None:
    energy = loudness()
    mouth = 120 - 20 * np.log10(energy)
    every_third = np.arange(0, FRAMES, 3)
    result = score(mouth[every_third], energy, every_third)
    assert result.status is Status.OUTPUT_INVALID
    assert "67 of 200 frames" in str(result.reason)
    assert score(mouth[:100], energy, np.arange(100)).status is Status.OK
    assert score(mouth[:99], energy, np.arange(99)).status is Status.OUTPUT_INVALID
    assert score(mouth, energy[:100]).status is Status.OK
    assert score(mouth, energy[:99]).status is Status.OUTPUT_INVALID, "half of the picture has no sound"
    assert score(mouth[:25], energy[:25], frames=25).status is Status.OK
    assert score(mouth[:24], energy[:24], frames=24).status is Status.OUTPUT_INVALID
    assert score(np.zeros(0), energy, frames=0).status is Status.OUTPUT_INVALID
