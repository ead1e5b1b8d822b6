"""Face presence on real clips, as they are and doctored, against counts of the key frames that show the face.

The counts of the clips as they are were made by looking at every key frame: each shows its person in all of them. A
doctored clip shows its person in as many key frames as the test leaves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from vidchatbench.api import ClipInfo, ExtractorContext, Feature, Frame
from vidchatbench.media.frames import GridFrame, Picture
from vidchatbench.media.probe import probe
from vidchatbench.media.reader import ClipReader, grid_frames
from vidchatbench_metrics.faces.tracks import FaceTracks

pytestmark = pytest.mark.shared

MEDIA = Path(__file__).resolve().parents[4] / "shared/mini/media"
KEYS = 12

Pixels = NDArray[np.uint8]


def key_frames(name: str) -> Iterable[Frame]:
    path = MEDIA / name
    if not path.is_file():
        pytest.skip("the shared clip is not beside the checkout")
    return grid_frames(ClipReader(path, probe(path), video=True, audio=False), 5)


@pytest.fixture(scope="module")
def extractor() -> FaceTracks:
    pytest.importorskip("facenet_pytorch")
    extractor = FaceTracks()
    extractor.setup(ExtractorContext("cpu", 1, {}))
    return extractor


@pytest.fixture(scope="module")
def pictures() -> list[Pixels]:
    """The first key frames of a clip of one man at a desk, 480 pixels high."""
    frames = zip(range(KEYS), key_frames("half_body1.mp4"), strict=False)
    shown = [Image.fromarray(frame.rgb()) for _, frame in frames]
    return [np.asarray(image.resize((image.width * 480 // image.height, 480))) for image in shown]


def watch(extractor: FaceTracks, frames: Iterable[Frame]) -> Feature:
    session = extractor.begin(ClipInfo(1, 1, 0.0), {})
    for frame in frames:
        session.push(frame)
    return session.finish()


def presence(feature: Feature) -> float:
    return float(np.count_nonzero(feature["track"] == feature.meta["primary"]) / feature.number("n_keys"))


def frames_of(pictures: Sequence[Pixels]) -> list[GridFrame]:
    return [GridFrame(Picture(pixels), index, Fraction(index, 5)) for index, pixels in enumerate(pictures)]


def closer(pixels: Pixels) -> Pixels:
    """The upper middle of the picture at twice the size."""
    height, width = pixels.shape[:2]
    part = Image.fromarray(pixels[: height // 2, width // 4 : width // 4 + width // 2])
    return np.asarray(part.resize((width, height)))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "count"), [("side1.mp4", 50), ("generated_pretrain1_initiator.mp4", 16)])
def test_a_continuous_shot_of_one_person(extractor: FaceTracks, name: str, count: int) -> None:
    """In the first the head moves fast, in the second a hand is taken for a face once."""
    feature = watch(extractor, key_frames(name))
    assert feature.number("n_keys") == count
    assert presence(feature) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("hidden", [1, 2, 5])
def test_a_hidden_moment(extractor: FaceTracks, pictures: list[Pixels], hidden: int) -> None:
    blank = np.full_like(pictures[0], 90)
    shown = [blank if 4 <= index < 4 + hidden else picture for index, picture in enumerate(pictures)]
    assert presence(watch(extractor, frames_of(shown))) == pytest.approx(1 - hidden / KEYS, abs=0.02)


def test_two_positions_in_turn(extractor: FaceTracks, pictures: list[Pixels]) -> None:
    moved = [np.roll(picture, 250, axis=1) if k // 2 % 2 else picture for k, picture in enumerate(pictures)]
    feature = watch(extractor, frames_of(moved))
    assert (presence(feature), feature.meta["n_tracks"]) == (1.0, 1)


def test_a_cut_to_a_closer_view(extractor: FaceTracks, pictures: list[Pixels]) -> None:
    cut = [closer(picture) if k >= 5 else picture for k, picture in enumerate(pictures)]
    assert presence(watch(extractor, frames_of(cut))) == 1.0


def test_two_side_by_side_are_two_people(extractor: FaceTracks, pictures: list[Pixels]) -> None:
    both = [np.concatenate([picture, picture[:, ::-1]], axis=1) for picture in pictures]
    feature = watch(extractor, frames_of(both))
    assert (presence(feature), feature.meta["n_tracks"]) == (1.0, 2)
