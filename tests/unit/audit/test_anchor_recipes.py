"""Recipes and transforms: what is done to the real reply is what the recipe says, to the picture and to the sample."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from clips import Sound, make_clip, numbered
from PIL import Image

from vidchatbench.api.extractors import SAMPLE_RATE
from vidchatbench.audit.effects import blurred, fitted, shifted
from vidchatbench.audit.nearest import TrainingFolder
from vidchatbench.audit.recipe import Recipe
from vidchatbench.audit.recipes import RECIPES, find_recipes, ladders
from vidchatbench.audit.transforms import Film, Ingredients, Pixels, backwards, held
from vidchatbench.audit.transforms import (
    make_clip as make,
)
from vidchatbench.errors import MediaError, UsageError
from vidchatbench.media.probe import probe

BY_NAME = {recipe.name: recipe for recipe in RECIPES}
STEP = 3
"""Levels of gray between pictures, more than the codec changes."""


def graded(index: int, time: float, width: int, height: int) -> Pixels:
    return numbered(20 + STEP * index, time, width, height)


def numbers(pictures: Iterable[Pixels]) -> list[int]:
    """The index of each picture of a clip that was painted by ``graded``."""
    return [round((float(pixels.mean()) - 20) / STEP) for pixels in pictures]


@pytest.fixture(scope="module")
def reply(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """70 numbered pictures, more than two blocks of a reversal, with noise that no two samples share."""
    path = tmp_path_factory.mktemp("reply") / "reply.mkv"
    sound = Sound(kind="noise", codec="pcm_s16le")
    return make_clip(path, seconds=2.8, size=(64, 48), audio=sound, lossless=True, paint=graded)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shorter reply of another size, all white, with a tone."""
    path = tmp_path_factory.mktemp("other") / "other.mkv"
    white = lambda index, time, width, height: np.full((height, width, 3), 250 - index, np.uint8)  # noqa: E731
    return make_clip(path, seconds=1.6, size=(80, 60), audio=Sound(codec="pcm_s16le"), lossless=True, paint=white)


def made(name: str, ingredients: Ingredients, folder: Path) -> Film:
    target = folder / f"{name}.mp4"
    if BY_NAME[name].keeps_picture:
        base = folder / "base.mp4"
        make(BY_NAME["reencoded"], ingredients, base)
        ingredients = Ingredients(
            ingredients.reply, ingredients.partner, ingredients.image, ingredients.initiator, base
        )
    make(BY_NAME[name], ingredients, target)
    return Film(target)


def lag(heard: np.ndarray, wanted: np.ndarray) -> int:
    """Samples by which ``heard`` comes later than ``wanted``."""
    size = 1 << (len(heard) + len(wanted)).bit_length()
    product = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(wanted, size)), size)
    place = int(np.argmax(product))
    return place if place < size // 2 else place - size


# --- recipes --------------------------------------------------------------------------------------------------------


def test_the_ladders_are_those_of_the_issue_in_order() -> None:
    found = {ladder.family: [step.step for step in ladder.steps] for ladder in ladders()}
    assert found == {
        "sound_late": [2, 4, 6, 8, 10],
        "sound_early": [2, 4, 6, 8, 10],
        "blur": [0.5, 1, 2, 4, 8],
        "compression": [26, 32, 38, 44, 50],
    }


def test_names_and_contents_tell_recipes_apart() -> None:
    assert len(BY_NAME) == len(RECIPES)
    assert len({recipe.sha256 for recipe in RECIPES}) == len(RECIPES)
    assert all(recipe.does.endswith(".") and recipe.title for recipe in RECIPES)
    assert all(recipe.hurts for recipe in RECIPES if recipe.kind != "identity" and recipe.group != "copy")


def test_the_hash_follows_what_makes_another_clip_and_nothing_else() -> None:
    blur = BY_NAME["blur_02_0"]
    told = {name: getattr(blur, name) for name in Recipe.__dataclass_fields__}
    assert Recipe(**{**told, "title": "another title"}).sha256 == blur.sha256
    assert Recipe(**{**told, "params": {"sigma": 2.1}}).sha256 != blur.sha256


def test_recipes_are_found_by_name_and_by_ladder() -> None:
    assert [r.name for r in find_recipes(["blur_01_0", "oracle"], training=False)] == ["oracle", "blur_01_0"]
    assert len(find_recipes(["compression"], training=False)) == 5
    with_picture = find_recipes(["silent"], training=False)
    assert [r.name for r in with_picture] == ["reencoded", "silent"], "its picture is that of the re-encoded reply"
    everything = find_recipes(None, training=False)
    assert {r.name for r in RECIPES} - {r.name for r in everything} == {"nearest_training"}
    assert find_recipes(None, training=True) == RECIPES


@pytest.mark.parametrize("names", [["blurr"], []])
def test_an_unknown_recipe_is_refused_with_the_known_ones(names: list[str]) -> None:
    with pytest.raises(UsageError, match=r"sound_late, .*frozen.*shift_p02"):
        find_recipes(names, training=False)


def test_the_nearest_training_clip_needs_a_folder() -> None:
    with pytest.raises(UsageError, match="--training"):
        find_recipes(["nearest_training"], training=False)


# --- pictures -------------------------------------------------------------------------------------------------------


def test_the_reencoded_reply_has_the_same_pictures_and_sound_in_place(reply: Path, tmp_path: Path) -> None:
    film = made("reencoded", Ingredients(reply), tmp_path)
    assert numbers(film.pictures()) == list(range(70))
    sound = Film(reply).sound()
    assert lag(film.sound()[: len(sound)], sound) == 0
    info = probe(film.path)
    assert info.video is not None
    assert (info.video.width, info.video.height, info.video.fps, info.video.codec) == (64, 48, 25.0, "h264")


def test_a_reversal_is_exact_over_its_blocks(reply: Path, tmp_path: Path) -> None:
    assert numbers(backwards(Film(reply))) == list(range(69, -1, -1))
    film = made("reversed", Ingredients(reply), tmp_path)
    assert numbers(film.pictures()) == list(range(69, -1, -1))
    assert lag(film.sound()[: 2 * SAMPLE_RATE], Film(reply).sound()[: 2 * SAMPLE_RATE]) == 0


def test_frozen_is_frozen_and_speaks(reply: Path, tmp_path: Path) -> None:
    film = made("frozen", Ingredients(reply), tmp_path)
    assert numbers(film.pictures()) == [0] * 70
    assert lag(film.sound()[:SAMPLE_RATE], Film(reply).sound()[:SAMPLE_RATE]) == 0
    silent = made("frozen_silent", Ingredients(reply), tmp_path)
    assert numbers(silent.pictures()) == [0] * 70
    assert float(np.abs(silent.sound()).max()) < 1e-4
    assert len(silent.sound()) >= len(Film(reply).sound())


def test_a_given_reference_image_is_the_one_that_is_held(reply: Path, tmp_path: Path) -> None:
    image = tmp_path / "face.png"
    Image.new("RGB", (30, 30), (200, 40, 40)).save(image)
    pictures = list(made("frozen", Ingredients(reply, image=image), tmp_path).pictures())
    assert len(pictures) == 70
    assert pictures[0].shape == (48, 64, 3), "at the size of the reply"
    assert np.abs(pictures[-1].mean(axis=(0, 1)) - (200, 40, 40)).max() < 6


def test_one_second_is_one_second(reply: Path, tmp_path: Path) -> None:
    film = made("one_second", Ingredients(reply), tmp_path)
    assert numbers(film.pictures()) == list(range(25))
    assert abs(len(film.sound()) - SAMPLE_RATE) <= 1024, "to the block of the codec"
    info = probe(film.path)
    assert info.video is not None
    assert info.video.duration == pytest.approx(1.0)


def test_another_identity_shows_its_picture_for_as_long_as_this_reply(reply: Path, other: Path, tmp_path: Path) -> None:
    film = made("other_face", Ingredients(reply, other), tmp_path)
    pictures = list(film.pictures())
    assert len(pictures) == 70
    assert pictures[0].shape == (60, 80, 3)
    assert abs(float(pictures[-1].mean()) - float(pictures[39].mean())) < 1, "the last picture is held"
    assert abs(float(pictures[-1].mean()) - (250 - 39)) < 2
    assert lag(film.sound()[:SAMPLE_RATE], Film(reply).sound()[:SAMPLE_RATE]) == 0


def test_a_long_picture_is_cut_to_a_short_reply(reply: Path, other: Path, tmp_path: Path) -> None:
    film = made("other_face", Ingredients(other, reply), tmp_path)
    assert numbers(film.pictures()) == list(range(40))


def test_a_blur_grows_with_its_sigma_and_with_the_picture() -> None:
    edge = np.zeros((480, 640, 3), np.uint8)
    edge[:, 320:] = 255

    def width(pixels: Pixels) -> int:
        row = pixels[pixels.shape[0] // 2, :, 0]
        return int(((row > 40) & (row < 215)).sum())

    # Between 16 % and 84 % a Gaussian edge is two sigma wide.
    assert width(blurred(edge, 8)) == pytest.approx(16, abs=2)
    assert width(blurred(np.repeat(np.repeat(edge, 2, 0), 2, 1), 8)) == pytest.approx(32, abs=3)
    assert width(blurred(edge, 0.5)) < width(blurred(edge, 2)) < width(blurred(edge, 8))


def test_more_compression_is_a_smaller_file(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    painted = lambda index, time, width, height: noise.integers(0, 255, (height, width, 3), np.uint8)  # noqa: E731
    clip = make_clip(tmp_path / "noise.mkv", seconds=1, size=(96, 64), lossless=True, paint=painted)
    sizes = []
    for ladder in ladders():
        for step in ladder.steps if ladder.family == "compression" else ():
            make(step, Ingredients(clip), tmp_path / f"{step.name}.mp4")
            sizes.append((tmp_path / f"{step.name}.mp4").stat().st_size)
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 5


def test_odd_sides_lose_a_row_and_a_column(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "odd.mkv", seconds=1, size=(65, 49), lossless=True, paint=graded)
    film = made("reencoded", Ingredients(clip), tmp_path)
    assert next(film.pictures()).shape == (48, 64, 3)


def test_a_reply_without_sound_stays_without(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "mute.mkv", seconds=1, audio=None, lossless=True, paint=graded)
    assert probe(made("reencoded", Ingredients(clip), tmp_path).path).audio is None
    assert probe(made("shift_p02", Ingredients(clip), tmp_path).path).audio is None


def test_a_clip_without_picture_is_named(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "sound.mkv", seconds=1, video=False)
    with pytest.raises(MediaError, match=r"sound\.mkv.*no picture"):
        make(BY_NAME["reencoded"], Ingredients(clip), tmp_path / "out.mp4")


def test_held_pictures_are_as_many_as_asked_for() -> None:
    pictures = [np.full((2, 2, 3), k, np.uint8) for k in range(3)]
    assert [int(p[0, 0, 0]) for p in held(iter(pictures), 5)] == [0, 1, 2, 2, 2]
    assert [int(p[0, 0, 0]) for p in held(iter(pictures), 2)] == [0, 1]
    assert list(held(iter([]), 4)) == []


# --- sound ----------------------------------------------------------------------------------------------------------


def test_a_shift_moves_whole_frames_and_keeps_the_length() -> None:
    wave = np.arange(1, 4001, dtype=np.float32)
    late, early = shifted(wave, 2), shifted(wave, -2)
    assert len(late) == len(early) == 4000
    assert not late[:1280].any()
    assert np.array_equal(late[1280:], wave[:-1280])
    assert np.array_equal(early[:-1280], wave[1280:])
    assert not early[-1280:].any()
    assert not shifted(wave, 10).any(), "a shift beyond the end leaves silence"


@pytest.mark.parametrize("frames", [2, 10, -2, -10])
def test_a_shifted_clip_is_shifted_to_the_sample_and_keeps_its_picture(
    frames: int, reply: Path, tmp_path: Path
) -> None:
    name = f"shift_{'p' if frames > 0 else 'm'}{abs(frames):02d}"
    film = made(name, Ingredients(reply), tmp_path)
    base = Film(tmp_path / "base.mp4")
    own = Film(reply).sound()
    heard = film.sound()[: len(own)]
    assert lag(heard, own) == frames * SAMPLE_RATE // 25
    assert len(film.sound()) == len(base.sound())
    quiet = heard[:600] if frames > 0 else heard[-600:]
    assert float(np.abs(quiet).max()) < 0.02, "silence fills what became free"
    for mine, theirs in zip(film.pictures(), base.pictures(), strict=True):
        assert np.array_equal(mine, theirs)


def test_silence_and_another_voice_keep_the_picture_and_the_length(reply: Path, other: Path, tmp_path: Path) -> None:
    ingredients = Ingredients(reply, other)
    silent, spoken = made("silent", ingredients, tmp_path), made("other_voice", ingredients, tmp_path)
    assert numbers(silent.pictures()) == numbers(spoken.pictures()) == list(range(70))
    assert float(np.abs(silent.sound()).max()) < 1e-4
    theirs = Film(other).sound()
    assert lag(spoken.sound()[: len(theirs)], theirs) == pytest.approx(0, abs=1)
    assert float(np.abs(spoken.sound()[len(theirs) + 2048 :]).max()) < 0.01, "silence after its end"
    assert len(silent.sound()) == len(spoken.sound())
    assert np.array_equal(fitted(np.ones(3, np.float32), 2), np.ones(2, np.float32))


@pytest.mark.parametrize("name", ["reencoded", "blur_04_0", "compress_38", "reversed", "shift_m06", "other_face"])
def test_the_same_clip_gives_the_same_bytes(name: str, reply: Path, other: Path, tmp_path: Path) -> None:
    hashes = []
    for attempt in ("one", "two"):
        (tmp_path / attempt).mkdir()
        film = made(name, Ingredients(reply, other), tmp_path / attempt)
        hashes.append(hashlib.sha256(film.path.read_bytes()).hexdigest())
    assert hashes[0] == hashes[1]


# --- the nearest training clip --------------------------------------------------------------------------------------


def test_the_nearest_clip_looks_alike_whatever_its_brightness(tmp_path: Path) -> None:
    folder = tmp_path / "training" / "deep"
    folder.mkdir(parents=True)
    generator = np.random.default_rng(1)
    scenes = [generator.integers(40, 200, (48, 64, 3)).astype(np.uint8) for _ in range(4)]
    for k, scene in enumerate(scenes):
        make_clip(folder / f"clip{k}.mkv", seconds=0.2, lossless=True, paint=lambda *_, scene=scene: scene)
    (folder / "broken.mp4").write_bytes(b"no clip")
    found = TrainingFolder(tmp_path / "training")
    assert found.unreadable == 1
    Image.fromarray((scenes[2] * 0.5 + 20).astype(np.uint8)).save(tmp_path / "darker.png")
    path, distance = found.nearest(tmp_path / "darker.png")
    assert path.name == "clip2.mkv"
    assert 0 <= distance < 0.2
    with pytest.raises(MediaError, match=r"broken\.mp4"):
        found.nearest(folder / "broken.mp4")


def test_a_training_folder_must_hold_clips(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not there"):
        TrainingFolder(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="no readable clip"):
        TrainingFolder(tmp_path)
