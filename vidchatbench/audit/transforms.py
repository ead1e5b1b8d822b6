"""Making the clip of one recipe: picture by picture, at the size and rate of the real reply.

Pictures are read upright as RGB on the clip's own average rate, sound as 16 kHz mono; both are written in the house
encoding. An odd last row or column is cut off, because the codec has none.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np

from vidchatbench.api.extractors import SAMPLE_RATE
from vidchatbench.audit import effects
from vidchatbench.audit.recipe import HOUSE, Recipe
from vidchatbench.audit.voice import fixed_sentence
from vidchatbench.errors import MediaError
from vidchatbench.media.encode import CLIP_FPS, ClipWriter, Encoding, Wave
from vidchatbench.media.frames import Pixels, cover
from vidchatbench.media.probe import MediaInfo, probe
from vidchatbench.media.reader import ClipReader, grid_frames
from vidchatbench.media.reencode import remux

BLOCK = 32
"""Pictures that a reversal holds; the clip is read once for each block."""


@dataclass(frozen=True)
class Ingredients:
    """The clips that the clip of a recipe is made of.

    Attributes:
        reply: The real reply.
        partner: Another identity's real reply, where one takes part.
        image: The reference image, where the sample names one.
        initiator: The initiator's clip, where it takes part.
        reencoded: The reply in the house encoding, for recipes that keep its picture.
    """

    reply: Path
    partner: Path | None = None
    image: Path | None = None
    initiator: Path | None = None
    reencoded: Path | None = None


class Film:
    """The pictures of a clip on a constant rate, and its sound.

    Args:
        path: The clip.

    Raises:
        MediaError: If it has no picture.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._info: MediaInfo = probe(path)
        if self._info.video is None:
            raise MediaError(str(path), "there is no picture stream to make a reference submission of")
        fps = self._info.video.fps
        self.fps = Fraction(fps).limit_denominator(1001) if fps else Fraction(CLIP_FPS)
        self.has_sound = self._info.audio is not None

    def pictures(self) -> Iterator[Pixels]:
        """Yields the pictures, uint8 RGB of shape (height, width, 3) with even sides."""
        reader = ClipReader(self.path, self._info, video=True, audio=False)
        yield from (_even(frame.rgb()) for frame in grid_frames(reader, float(self.fps)))

    def sound(self) -> Wave:
        """Returns the sound, float32 of shape (samples,), 16 kHz, time 0 at the first picture."""
        reader = ClipReader(self.path, self._info, video=False, audio=True)
        for _ in reader:
            pass
        return reader.audio.samples


@dataclass
class _Reel:
    """What a clip is written from: pictures, their rate, and the sound once the number of pictures is known."""

    fps: Fraction
    pictures: Iterator[Pixels]
    sound: Callable[[int], Wave]
    has_sound: bool
    encoding: Encoding = field(default=HOUSE)


def make_clip(recipe: Recipe, ingredients: Ingredients, target: Path) -> None:
    """Writes the clip of a recipe; copies are not its business.

    Args:
        recipe: The recipe.
        ingredients: The clips to make it of.
        target: The MP4 file to write; its folder exists.

    Raises:
        MediaError: If a clip cannot be read.
        OSError: If the file cannot be written.
        ValueError: If an ingredient is lacking.
    """
    if recipe.operation == "remux":
        remux(ingredients.reply, target)
        return
    if recipe.keeps_picture:
        if ingredients.reencoded is None:
            raise ValueError(f"{recipe.name} needs the re-encoded reply")
        wave = _other_sound(recipe, ingredients)
        with ClipWriter(target, HOUSE, channels=int(len(wave) > 0)) as writer:
            writer.picture_of(ingredients.reencoded)
            if len(wave):
                writer.sound(wave)
        return
    reel = _reel(recipe, ingredients)
    with ClipWriter(target, reel.encoding, fps=reel.fps, channels=int(reel.has_sound)) as writer:
        count = 0
        for pixels in reel.pictures:
            writer.picture(pixels)
            count += 1
        if count and reel.has_sound:
            writer.sound(reel.sound(count))


def _reel(recipe: Recipe, ingredients: Ingredients) -> _Reel:
    film, params = Film(ingredients.reply), recipe.params
    reel = _Reel(film.fps, film.pictures(), lambda _: film.sound(), film.has_sound, recipe.encoding or HOUSE)
    if recipe.operation == "freeze":
        _freeze(reel, film, recipe, ingredients)
    elif recipe.operation == "static":
        _blank(reel, film, noisy=bool(params["noise"]))
    elif recipe.operation == "reverse":
        reel.pictures = backwards(film)
    elif recipe.operation in _PICTURE_EFFECTS:
        effect = _PICTURE_EFFECTS[recipe.operation]
        reel.pictures = (effect(pixels, recipe) for pixels in film.pictures())
    elif recipe.operation == "swap_picture":
        if ingredients.partner is None:
            raise ValueError(f"{recipe.name} needs another identity's reply")
        other = Film(ingredients.partner)
        length = Fraction(sum(1 for _ in film.pictures())) / film.fps
        reel.fps, reel.pictures = other.fps, held(other.pictures(), max(1, round(length * other.fps)))
    elif recipe.operation in {"shorten", "loop"}:
        _first(reel, film, float(params["seconds"]), again=recipe.operation == "loop")
    elif recipe.operation == "resample":
        reel.fps = min(film.fps, Fraction(int(params["fps"])))
        reel.pictures = effects.picked(film.pictures(), film.fps, reel.fps)
    elif recipe.operation == "speed":
        factor = Fraction(str(params["factor"]))
        reel.fps = film.fps * factor
        reel.sound = lambda _: effects.sped(film.sound(), float(factor))
    elif recipe.operation not in {"reencode", "compress"}:
        raise ValueError(f"{recipe.name}: {recipe.operation!r} makes no clip")
    return reel


_PICTURE_EFFECTS: dict[str, Callable[[Pixels, Recipe], Pixels]] = {
    "blur": lambda pixels, recipe: effects.blurred(pixels, float(recipe.params["sigma"])),
    "resize": lambda pixels, recipe: effects.resized(pixels, float(recipe.params["scale"])),
    "mirror": lambda pixels, _: np.ascontiguousarray(pixels[:, ::-1]),
    "crop": lambda pixels, recipe: effects.cropped(pixels, float(recipe.params["share"])),
    "checker": lambda pixels, recipe: effects.checkered(pixels, int(recipe.params["levels"])),
    "sharpen": lambda pixels, recipe: effects.sharpened(pixels, int(recipe.params["percent"])),
    "cover_mouth": lambda pixels, _: effects.lower_half_hidden(pixels),
}

_SOUND_EFFECTS: dict[str, Callable[[Wave, Recipe], Wave]] = {
    "shift": lambda wave, recipe: effects.shifted(wave, int(recipe.params["frames"])),
    "silence": lambda wave, _: np.zeros_like(wave),
    "half_silence": lambda wave, _: effects.half_silenced(wave),
    "reverse_sound": lambda wave, _: np.ascontiguousarray(wave[::-1]),
    "gain": lambda wave, recipe: effects.amplified(wave, float(recipe.params["decibels"])),
    "add_noise": lambda wave, recipe: effects.in_noise(wave, float(recipe.params["decibels"])),
}


def _other_sound(recipe: Recipe, ingredients: Ingredients) -> Wave:
    own = Film(ingredients.reply).sound()
    if recipe.operation in _SOUND_EFFECTS:
        return _SOUND_EFFECTS[recipe.operation](own, recipe)
    if ingredients.partner is None:
        raise ValueError(f"{recipe.name} needs another identity's reply")
    return effects.fitted(Film(ingredients.partner).sound(), len(own))


def _first(reel: _Reel, film: Film, seconds: float, *, again: bool) -> None:
    """Turns a reel into its first seconds, once or again and again."""
    pictures = math.ceil(seconds * film.fps)
    if again:
        reel.pictures = looped(film.pictures(), pictures)
        reel.sound = lambda _: np.resize(film.sound()[: _samples(pictures, film.fps)], len(film.sound()))
    else:
        reel.pictures = itertools.islice(film.pictures(), pictures)
        reel.sound = lambda count: film.sound()[: _samples(count, film.fps)]


def _freeze(reel: _Reel, film: Film, recipe: Recipe, ingredients: Ingredients) -> None:
    """Turns a reel into one of a held picture, with motion and sound as the recipe says."""
    motion, sound = str(recipe.params.get("motion", "")), recipe.params.get("sound", "real")
    if sound in {"real", "silence"}:
        wave = film.sound()
        if sound == "silence":
            wave = np.zeros_like(wave)
        reel.sound = lambda _: wave
    else:
        reel.has_sound = True
        if sound == "sentence":
            wave = fixed_sentence(len(film.sound()) or SAMPLE_RATE)
            reel.sound = lambda count: fixed_sentence(_samples(count, film.fps))
        elif ingredients.initiator is not None:
            wave = sound_of(ingredients.initiator)
            reel.sound = lambda count: effects.fitted(wave, _samples(count, film.fps))
        else:
            raise ValueError(f"{recipe.name} needs the initiator's clip")
    levels = effects.levels_of(wave, film.fps)

    def pictures() -> Iterator[Pixels]:
        for index, still in enumerate(_frozen(film, ingredients.image)):
            level = float(levels[index]) if index < len(levels) else 0.0
            yield effects.moved(still, motion, index, float(index / film.fps), level)

    reel.pictures = pictures()


def _blank(reel: _Reel, film: Film, *, noisy: bool) -> None:
    """Turns a reel into noise, or into black and silence."""

    def picture(index: int, shape: tuple[int, ...]) -> Pixels:
        if not noisy:
            return np.zeros(shape, np.uint8)
        return np.random.Generator(np.random.PCG64(index)).integers(0, 256, shape, np.uint8)

    reel.pictures = (picture(index, pixels.shape) for index, pixels in enumerate(film.pictures()))
    reel.has_sound = True
    hiss = np.random.Generator(np.random.PCG64(0))
    reel.sound = lambda count: (0.1 * noisy * hiss.normal(size=_samples(count, film.fps))).astype(np.float32)


def _samples(pictures: int, fps: Fraction) -> int:
    return round(Fraction(pictures) / fps * SAMPLE_RATE)


def sound_of(path: Path) -> Wave:
    """Returns the sound of a clip, float32 of shape (samples,) at 16 kHz; empty where there is none.

    Raises:
        MediaError: If the clip cannot be read.
    """
    info = probe(path)
    if info.audio is None:
        return np.zeros(0, np.float32)
    reader = ClipReader(path, info, video=False, audio=True)
    for _ in reader:
        pass
    return reader.audio.samples


def looped(pictures: Iterator[Pixels], period: int) -> Iterator[Pixels]:
    """Yields the first pictures of a clip again and again, as many in all as the clip has."""
    first: list[Pixels] = []
    for index, pixels in enumerate(pictures):
        if index < period:
            first.append(pixels)
        yield first[index % period]


def held(pictures: Iterator[Pixels], count: int) -> Iterator[Pixels]:
    """Yields as many pictures as asked for: those given, then the last of them again."""
    last: Pixels | None = None
    shown = 0
    for pixels in itertools.islice(pictures, count):
        last, shown = pixels, shown + 1
        yield pixels
    if last is not None:
        yield from itertools.repeat(last, count - shown)


def backwards(film: Film) -> Iterator[Pixels]:
    """Yields the pictures of a clip from the last to the first, holding no more than a block of them."""
    count = sum(1 for _ in film.pictures())
    for start in range((count - 1) // BLOCK * BLOCK, -1, -BLOCK):
        yield from reversed(list(itertools.islice(film.pictures(), start, min(start + BLOCK, count))))


def _frozen(film: Film, image: Path | None) -> Iterator[Pixels]:
    still: Pixels | None = None
    for pixels in film.pictures():
        if still is None:
            still = pixels if image is None else cover(first_picture(image), *pixels.shape[:2])
        yield still


def first_picture(path: Path) -> Pixels:
    """Returns the first picture of a clip or an image file, uint8 RGB of shape (height, width, 3).

    Raises:
        MediaError: If there is none.
    """
    for picture, _ in ClipReader(path, probe(path), video=True, audio=False):
        return picture.rgb()
    raise MediaError(str(path), "it holds no picture")


def _even(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    return np.ascontiguousarray(pixels[: height - height % 2, : width - width % 2])
