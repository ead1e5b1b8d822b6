"""The demonstration's systems: what each makes of the reply that should have been given."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from vidchatbench.demo.motion import FPS
from vidchatbench.demo.people import Turn
from vidchatbench.demo.portrait import Pixels
from vidchatbench.demo.speech import SAMPLE_RATE
from vidchatbench.demo.voice import Wave
from vidchatbench.media.encode import Encoding, write_clip

GOOD = Encoding(crf=18, audio_bits=64_000)
FAIR = Encoding(crf=28, audio_bits=32_000)
POOR = Encoding(crf=36, audio_bits=24_000)

PICTURE_DELAY = 0.4
SOUND_ADVANCE = 0.4
"""With the picture's delay it makes 0.8 s, more than the 0.6 s over which SyncNet looks for an offset."""

_LIP_DELAY = 2
_HISS = 0.004
_SMALL_SHARE = 0.36
_REDUCTION = 4
_PICTURE_NOISE = 8.0
_FLICKER = 0.16
_BAND = (250.0, 3000.0)
_SOUND_NOISE = 0.015


@dataclass(frozen=True)
class MadeSystem:
    """A system of the demonstration.

    Attributes:
        about: What it does, in one sentence.
        write: Writes its output: of a turn, whose real clip is the first path, to the second.
        missing: Samples that it does not answer.
    """

    about: str
    write: Callable[[Turn, Path, Path], None]
    missing: frozenset[str] = frozenset()


def write_oracle(turn: Turn, clip: Path, path: Path) -> None:
    """Copies the real reply."""
    del turn
    shutil.copyfile(clip, path)


def write_careful(turn: Turn, clip: Path, path: Path) -> None:
    """Lets the right person say the right words again, with a melody and movements of its own."""
    del clip
    take = turn.second_take
    write_clip(path, take.frames, take.wave, GOOD)


def write_hasty(turn: Turn, clip: Path, path: Path) -> None:
    """Gives the careful system's reply a softer picture, lips that are 80 ms late, and some hiss."""
    del clip
    take = turn.second_take
    write_clip(path, soft_picture(_delayed(take.frames, _LIP_DELAY)), _hissing(take.wave, turn.seed + 40), FAIR)


def write_still(turn: Turn, clip: Path, path: Path) -> None:
    """Holds the first frame, which is the reference image, under the real voice."""
    del clip
    frames, wave = turn.take.frames, turn.take.wave
    write_clip(path, (frames[0] for _ in frames), wave, GOOD)


def write_shifted(turn: Turn, clip: Path, path: Path) -> None:
    """Lets picture and sound slip."""
    del clip
    write_clip(path, late_picture(turn.take.frames), early_sound(turn.take.wave), GOOD)


def write_degraded(turn: Turn, clip: Path, path: Path) -> None:
    """Degrades picture and sound, in the partner's voice."""
    del clip
    sound = poor_sound(turn.dubbed(), turn.seed + 51)
    write_clip(path, poor_picture(turn.take.frames, turn.seed + 50), sound, POOR)


MADE_SYSTEMS: Mapping[str, MadeSystem] = {
    "careful": MadeSystem("The right person says the right words, with movements of its own.", write_careful),
    "hasty": MadeSystem(
        "The careful system's replies with a softer picture, lips 80 ms late and some hiss; one reply is missing.",
        write_hasty,
        frozenset({"demo-7"}),
    ),
    "still": MadeSystem("A cheat: the reference image held still, with the real voice.", write_still),
    "oracle": MadeSystem("The real replies.", write_oracle),
    "shifted": MadeSystem(
        "The right person and voice, but the picture comes 0.4 s late and the sound 0.4 s early.", write_shifted
    ),
    "degraded": MadeSystem(
        "A small, noisy, flickering picture, and another person's voice through a bad telephone line.", write_degraded
    ),
}
"""What can be built; the demonstration shows the first three."""


def soft_picture(frames: Iterable[Pixels]) -> Iterator[Pixels]:
    """The same frames as if they had been made at two thirds of the size."""
    for pixels in frames:
        image = Image.fromarray(pixels)
        small = image.resize((image.width * 2 // 3, image.height * 2 // 3), Image.Resampling.BILINEAR)
        yield np.asarray(small.resize(image.size, Image.Resampling.BICUBIC))


def late_picture(frames: Sequence[Pixels]) -> Iterator[Pixels]:
    """The same frames 0.4 s later, the first one held until then, the last ones lost."""
    return _delayed(frames, round(PICTURE_DELAY * FPS))


def early_sound(wave: Wave) -> Wave:
    """The same sound 0.4 s earlier, with silence at its end."""
    advance = round(SOUND_ADVANCE * SAMPLE_RATE)
    return np.concatenate([wave[advance:], np.zeros(min(advance, len(wave)), np.float32)])


def poor_picture(frames: Iterable[Pixels], seed: int) -> Iterator[Pixels]:
    """Small, blurred, noisy and flickering frames, uint8 RGB."""
    rng = np.random.default_rng(seed)
    for pixels in frames:
        small = Image.fromarray(pixels).reduce(_REDUCTION)
        # Reduced further than the size it is shown at, which blurs it.
        side = round(_SMALL_SHARE * len(pixels)) // 2 * 2
        blurred = np.asarray(small.resize((side, side), Image.Resampling.BILINEAR), np.float32)
        brightness = 1 + rng.uniform(-_FLICKER, _FLICKER)
        noise = rng.standard_normal((*blurred.shape[:2], 1), np.float32)
        yield np.clip(blurred * np.float32(brightness) + _PICTURE_NOISE * noise + 0.5, 0, 255).astype(np.uint8)


def poor_sound(wave: Wave, seed: int) -> Wave:
    """The sound of a bad telephone line: 250 to 3000 Hz, with noise."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(wave)
    frequency = np.fft.rfftfreq(len(wave), 1 / SAMPLE_RATE)
    band = 1 / (1 + (_BAND[0] / np.maximum(frequency, 1)) ** 8) / (1 + (frequency / _BAND[1]) ** 16)
    limited = np.fft.irfft(spectrum * band, len(wave))
    return np.clip(limited + rng.normal(scale=_SOUND_NOISE, size=len(wave)), -1, 1).astype(np.float32)


def _delayed(frames: Sequence[Pixels], delay: int) -> Iterator[Pixels]:
    for number in range(len(frames)):
        yield frames[max(0, number - delay)]


def _hissing(wave: Wave, seed: int) -> Wave:
    rng = np.random.default_rng(seed)
    return np.clip(wave + rng.normal(scale=_HISS, size=len(wave)), -1, 1).astype(np.float32)
