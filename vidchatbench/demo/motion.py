"""From an utterance to poses: the mouth follows the speech, the head sways and nods, the eyes blink."""

from __future__ import annotations

import numpy as np

from vidchatbench.demo.face import Pose
from vidchatbench.demo.speech import HOP, SAMPLE_RATE, Track, Utterance, smooth

FPS = 25

_BLINK = (0.45, 1.0, 1.0, 0.7, 0.35)
"""How far the lids are down in the frames of one blink."""


def plan_poses(utterance: Utterance, seed: int) -> list[Pose]:
    """Makes one pose per frame at 25 frames a second.

    Args:
        utterance: What the face speaks.
        seed: Seed of sway and blinks.
    """
    rng = np.random.default_rng(seed)
    count = round(utterance.seconds * FPS)
    # The middle of a frame's time, so that picture and sound neither lead nor lag.
    times = (np.arange(count) + 0.5) / FPS
    stress = smooth(utterance.voicing, 0.35)
    opening, rounding, nod = (_at(track, times) for track in (utterance.opening, utterance.rounding, stress))
    left, up, roll, turn, tilt = (_sway(rng, times) for _ in range(5))
    lids = _blinks(rng, count)
    return [
        Pose(
            opening=float(np.clip(opening[i], 0, 1)),
            rounding=float(rounding[i]),
            blink=float(lids[i]),
            shift=(5.0 * float(left[i]), 2.5 * float(up[i]) + 4.0 * float(nod[i])),
            roll=0.028 * float(roll[i]),
            turn=(7.0 * float(turn[i]), 3.0 * float(tilt[i])),
        )
        for i in range(count)
    ]


def _at(track: Track, times: Track) -> Track:
    points = (np.arange(len(track)) + 0.5) * HOP / SAMPLE_RATE
    return np.interp(times, points, track)


def _sway(rng: np.random.Generator, times: Track) -> Track:
    """A slow, irregular swing between about -1 and 1."""
    slow, quick = rng.uniform(0.2, 0.35), rng.uniform(0.5, 0.8)
    first, second = rng.uniform(0, 2 * np.pi, size=2)
    swing: Track = 0.7 * np.sin(2 * np.pi * slow * times + first) + 0.3 * np.sin(2 * np.pi * quick * times + second)
    return swing


def _blinks(rng: np.random.Generator, count: int) -> Track:
    lids = np.zeros(count)
    # The first frame serves as the reference image and keeps its eyes open.
    start = int(rng.integers(12, 40))
    while start + len(_BLINK) < count:
        lids[start : start + len(_BLINK)] = _BLINK
        start += int(rng.integers(40, 75))
    return lids
