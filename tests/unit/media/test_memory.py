"""Clips in memory: what cannot be meant is refused with the name of the argument, on either side of each threshold."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from vidchatbench.media.memory import MemoryClip, MemoryReader

FRAMES = np.zeros((3, 4, 4, 3), np.uint8)
TONE = np.linspace(-1, 1, 4_800, dtype=np.float32)


def clip(**changes: Any) -> MemoryClip:
    arguments: dict[str, Any] = {"frames": FRAMES, "fps": 25, "sound": TONE, "sample_rate": 48_000, **changes}
    return MemoryClip.of(**arguments)


@pytest.mark.parametrize("fps", [math.inf, -math.inf, math.nan, 0, -25, 1e-9, 0.0999, 1000.1, 1e300])
def test_a_frame_rate_that_no_clip_has_is_refused(fps: float) -> None:
    with pytest.raises(ValueError, match=r"^fps must be 0\.1 to 1000 frames per second"):
        clip(fps=fps)


@pytest.mark.parametrize("fps", [0.1, 0.5, 1, 23.976, 30_000 / 1001, 60, 1000, np.float32(25), np.int64(25)])
def test_pictures_come_at_the_frame_rate(fps: float) -> None:
    times = [float(time) for _, time in MemoryReader(clip(fps=fps), video=True)]
    assert times == pytest.approx([0, 1 / float(fps), 2 / float(fps)], rel=1e-4)


@pytest.mark.parametrize("rate", [0.5, 0, -16_000, 999, 768_001, 22_050.5, math.inf, math.nan, True, 1e300], ids=str)
def test_a_sample_rate_that_no_sound_has_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match=r"^sample_rate must be a whole number of 1000 to 768000 Hz"):
        clip(sample_rate=rate)


@pytest.mark.parametrize("rate", [1_000, 8_000, 16_000, 44_100, 48_000, 768_000, 44_100.0, np.int32(8_000)], ids=str)
def test_sound_of_every_rate_keeps_its_length(rate: float) -> None:
    sound = np.zeros(int(rate), np.float32)
    assert len(MemoryReader(clip(sound=sound, sample_rate=rate), video=False).audio.samples) == pytest.approx(
        16_000, abs=40
    )


@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
@pytest.mark.parametrize("shape", [(0,), (2, 0), (0, 100), (0, 0)], ids=str)
def test_sound_of_no_samples_is_refused(rate: int, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^sound has no samples; leave it out"):
        clip(sound=np.zeros(shape, np.float32), sample_rate=rate)
    assert clip(sound=None, sample_rate=rate).describe().audio is None
    assert clip(sound=np.zeros(1, np.float32), sample_rate=rate).describe().audio is not None


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("peak", [32.1, 127, -128, 32_767, -32_768], ids=str)
def test_integers_made_into_floats_are_refused(peak: float, dtype: type) -> None:
    for sound in (np.array([0, peak, 0.5], dtype), np.array([[0, 0.5], [peak, 0]], dtype)):
        if np.isfinite(sound).all():
            with pytest.raises(ValueError, match=r"^sound must be floats in -1\.\.1, not up to"):
                clip(sound=sound)


@pytest.mark.parametrize("peak", [1.0, 1.5, 19.0, 32.0])
def test_overshoot_is_clipped_as_players_do(peak: float) -> None:
    made = clip(sound=np.array([0, peak, -peak, 0.5], np.float32))
    assert made.sound is not None
    assert made.sound.tolist() == [0, 1, -1, 0.5]
    # Each channel by itself, before they are averaged.
    made = clip(sound=np.array([[peak, 0], [0, 0]], np.float32))
    assert made.sound is not None
    assert made.sound.tolist() == [0.5, 0]


def test_what_is_no_number_is_silence_and_what_overflows_is_full_scale() -> None:
    made = clip(sound=np.array([np.nan, np.inf, -np.inf, 0.25]))
    assert made.sound is not None
    assert made.sound.tolist() == [0, 1, -1, 0.25]
