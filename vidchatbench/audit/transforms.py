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
from PIL import Image, ImageFilter

from vidchatbench.api.extractors import SAMPLE_RATE
from vidchatbench.audit.recipes import HOUSE, Recipe
from vidchatbench.errors import MediaError
from vidchatbench.media.encode import CLIP_FPS, ClipWriter, Encoding, Wave
from vidchatbench.media.frames import Pixels, cover
from vidchatbench.media.probe import MediaInfo, probe
from vidchatbench.media.reader import ClipReader, grid_frames

FRAME_SECONDS = Fraction(1, 25)
"""What a frame of a shift is, whatever the rate of the clip."""

BLUR_SIDE = 480
"""Short side, in pixels, of the picture that a blur's sigma is stated for."""

BLOCK = 32
"""Pictures that a reversal holds; the clip is read once for each block."""


@dataclass(frozen=True)
class Ingredients:
    """The clips that the clip of a recipe is made of.

    Attributes:
        reply: The real reply.
        partner: Another identity's real reply, where one takes part.
        image: The reference image, where the sample names one.
        reencoded: The reply in the house encoding, for recipes that keep its picture.
    """

    reply: Path
    partner: Path | None = None
    image: Path | None = None
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
    film = Film(ingredients.reply)
    reel = _Reel(film.fps, film.pictures(), lambda _: film.sound(), film.has_sound)
    if recipe.operation == "freeze":
        reel.pictures = _frozen(film, ingredients.image)
        if recipe.params.get("silent"):
            reel.sound = lambda _: np.zeros_like(film.sound())
    elif recipe.operation == "reverse":
        reel.pictures = backwards(film)
    elif recipe.operation == "blur":
        reel.pictures = (blurred(pixels, float(recipe.params["sigma"])) for pixels in film.pictures())
    elif recipe.operation == "compress":
        reel.encoding = recipe.encoding or HOUSE
    elif recipe.operation == "swap_picture":
        if ingredients.partner is None:
            raise ValueError(f"{recipe.name} needs another identity's reply")
        other = Film(ingredients.partner)
        length = Fraction(sum(1 for _ in film.pictures())) / film.fps
        reel.fps, reel.pictures = other.fps, held(other.pictures(), max(1, round(length * other.fps)))
    elif recipe.operation == "shorten":
        pictures = math.ceil(recipe.params["seconds"] * film.fps)
        reel.pictures = itertools.islice(film.pictures(), pictures)
        reel.sound = lambda count: film.sound()[: round(Fraction(count) / film.fps * SAMPLE_RATE)]
    elif recipe.operation != "reencode":
        raise ValueError(f"{recipe.name}: {recipe.operation!r} makes no clip")
    return reel


def _other_sound(recipe: Recipe, ingredients: Ingredients) -> Wave:
    own = Film(ingredients.reply).sound()
    if recipe.operation == "shift":
        return shifted(own, int(recipe.params["frames"]))
    if recipe.operation == "silence":
        return np.zeros_like(own)
    if ingredients.partner is None:
        raise ValueError(f"{recipe.name} needs another identity's reply")
    return fitted(Film(ingredients.partner).sound(), len(own))


def shifted(wave: Wave, frames: int) -> Wave:
    """Returns the sound later by so many frames of 40 ms; a negative number makes it earlier.

    The length is kept: silence fills what becomes free, and what leaves the clip is lost.
    """
    by = round(frames * FRAME_SECONDS * SAMPLE_RATE)
    moved = np.zeros_like(wave)
    kept = max(0, len(wave) - abs(by))
    if by >= 0:
        moved[by:] = wave[:kept]
    else:
        moved[:kept] = wave[-by:]
    return moved


def fitted(wave: Wave, length: int) -> Wave:
    """Returns the sound cut, or followed by silence, to a number of samples."""
    return np.concatenate([wave[:length], np.zeros(max(0, length - len(wave)), np.float32)])


def blurred(pixels: Pixels, sigma: float) -> Pixels:
    """Returns a picture blurred by a Gaussian whose sigma is stated for a short side of 480 pixels."""
    radius = sigma * min(pixels.shape[:2]) / BLUR_SIDE
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))


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
