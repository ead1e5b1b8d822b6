"""What recipes do to pictures and sounds, by hand: positions, rates, levels, lengths."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from vidchatbench.api.extractors import SAMPLE_RATE
from vidchatbench.audit import effects
from vidchatbench.audit.extra_recipes import MOVES
from vidchatbench.audit.transforms import looped
from vidchatbench.audit.voice import fixed_sentence

GREY = np.full((40, 60, 3), 100, np.uint8)
NOISE = np.random.default_rng(1).integers(0, 256, (40, 60, 3), np.uint8)


def numbered(count: int) -> list[np.ndarray]:
    return [np.full((2, 2, 3), k, np.uint8) for k in range(count)]


def test_a_checkerboard_alternates_and_keeps_the_mean() -> None:
    found = effects.checkered(GREY, 12)
    assert set(np.unique(found)) == {88, 112}
    assert found[0, 0, 0] == found[1, 1, 0] == 112
    assert found[0, 1, 0] == found[1, 0, 0] == 88
    assert effects.checkered(np.full((2, 2, 3), 250, np.uint8), 12).max() == 255, "it does not wrap around"


def test_the_lower_half_is_hidden_and_the_upper_is_not() -> None:
    found = effects.lower_half_hidden(NOISE)
    assert np.array_equal(found[:20], NOISE[:20])
    assert (found[20:] == 128).all()


def test_a_crop_keeps_the_middle_and_the_size() -> None:
    marked = GREY.copy()
    marked[:, :3] = 255
    found = effects.cropped(marked, 0.1)  # 3 of 60 columns at each side
    assert found.shape == marked.shape
    assert abs(int(found[20, 0, 0]) - 100) <= 25, "the bright columns are cut off"
    assert np.array_equal(effects.cropped(GREY, 0.05), GREY)


@pytest.mark.parametrize(("scale", "size"), [(0.5, (20, 30)), (0.25, (10, 16)), (0.01, (2, 2))])
def test_a_smaller_picture_has_even_sides(scale: float, size: tuple[int, int]) -> None:
    assert effects.resized(GREY, scale).shape[:2] == size


def test_sharpening_overshoots_at_an_edge() -> None:
    edge = GREY.copy()
    edge[:, 30:] = 150
    found = effects.sharpened(edge, 300)
    assert found.min() < 90
    assert found.max() > 160


@pytest.mark.parametrize("motion", [name for name in MOVES if name not in {"sharpen", "pulse", "flap"}])
def test_a_moved_still_differs_from_moment_to_moment(motion: str) -> None:
    one, two = (effects.moved(NOISE, motion, index, index / 25, 0.0) for index in (10, 60))
    assert one.shape == NOISE.shape
    assert not np.array_equal(one, two)
    assert np.array_equal(one, effects.moved(NOISE, motion, 10, 10 / 25, 1.0)), "the sound plays no part"


def test_a_still_is_still() -> None:
    assert np.array_equal(effects.moved(NOISE, "", 7, 0.3, 1.0), NOISE)
    with pytest.raises(ValueError, match="no motion"):
        effects.moved(NOISE, "dance", 0, 0.0, 0.0)


def test_what_follows_the_sound_follows_it() -> None:
    quiet, loud = (effects.moved(GREY, "pulse", 0, 0.0, level) for level in (0.0, 1.0))
    assert (int(quiet[0, 0, 0]), int(loud[0, 0, 0])) == (90, 110)
    quiet, loud = (effects.moved(NOISE, "flap", 0, 0.0, level) for level in (0.0, 1.0))
    assert np.array_equal(quiet, NOISE)
    assert np.array_equal(loud[:20], NOISE[:20])
    assert not np.array_equal(loud[20:], NOISE[20:])


@pytest.mark.parametrize(
    ("fps", "target", "shown"),
    [(25, 5, [0, 5]), (30, 15, [0, 2, 4, 6, 8]), (25, 15, [0, 1, 3, 5, 6, 8]), (10, 10, list(range(10)))],
)
def test_a_slower_rate_shows_what_is_shown_at_its_moments(fps: int, target: int, shown: list[int]) -> None:
    found = effects.picked(iter(numbered(10)), Fraction(fps), Fraction(target))
    assert [int(pixels[0, 0, 0]) for pixels in found] == shown


def test_a_loop_repeats_its_first_pictures() -> None:
    assert [int(pixels[0, 0, 0]) for pixels in looped(iter(numbered(7)), 3)] == [0, 1, 2, 0, 1, 2, 0]


def test_sounds_by_hand() -> None:
    wave = np.array([0.1, -0.2, 0.3, 0.4], np.float32)
    assert effects.half_silenced(wave).tolist() == [*wave[:2].tolist(), 0, 0]
    assert effects.amplified(wave, 6.0206).tolist() == pytest.approx([0.2, -0.4, 0.6, 0.8], abs=1e-5)
    assert effects.amplified(wave, 40).tolist() == [1, -1, 1, 1], "cut off at full scale"
    assert effects.sped(np.arange(202, dtype=np.float32), 1.01)[[0, 100]].tolist() == pytest.approx([0, 101])
    assert len(effects.sped(np.zeros(2020, np.float32), 1.01)) == 2000
    assert len(effects.in_noise(np.zeros(0, np.float32), 0)) == len(effects.sped(np.zeros(0, np.float32), 2)) == 0


@pytest.mark.parametrize("decibels", [0.0, 20.0])
def test_noise_has_the_power_that_was_asked_for(decibels: float) -> None:
    tone = (0.1 * np.sin(np.arange(SAMPLE_RATE) / 7)).astype(np.float32)
    noise = effects.in_noise(tone, decibels).astype(np.float64) - tone
    assert 10 * np.log10(np.mean(tone.astype(np.float64) ** 2) / np.mean(noise**2)) == pytest.approx(decibels, abs=0.2)


def test_loudness_is_that_of_each_picture() -> None:
    wave = np.zeros(SAMPLE_RATE, np.float32)
    wave[640:1280] = 0.5
    wave[1280:1920] = 0.25
    levels = effects.levels_of(wave, Fraction(25))
    assert len(levels) == 25
    assert levels[0] == 0
    assert levels[1] == 1
    assert 0 < levels[2] <= 1
    assert not effects.levels_of(np.zeros(6400, np.float32), Fraction(25)).any()


def test_the_sentence_is_always_the_same_and_sounds_like_a_voice() -> None:
    wave = fixed_sentence(6 * SAMPLE_RATE)
    assert len(wave) == 6 * SAMPLE_RATE
    assert wave.dtype == np.float32
    assert np.abs(wave).max() == pytest.approx(0.5)
    assert np.array_equal(fixed_sentence(100), wave[:100])
    vowel = wave[round(0.08 * SAMPLE_RATE) : round(0.18 * SAMPLE_RATE)].astype(np.float64)
    product = np.correlate(vowel, vowel, "full")[len(vowel) :]
    period = 80 + int(np.argmax(product[80:200])) + 1
    assert SAMPLE_RATE / period == pytest.approx(120, abs=6), "its pitch"
    levels = effects.levels_of(wave, Fraction(100))
    assert (levels < 0.02).sum() >= 10, "it pauses"
