"""Motion in the face and steadiness of the picture on generated frames: closed forms, and what damage does to them."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image
from windows import guide

from vidchatbench.api import ClipInfo, Feature, Sample, Side
from vidchatbench.media.frames import GridFrame, Picture
from vidchatbench.plugins.catalogue import load_catalogue
from vidchatbench_metrics.faces.alignment import TEMPLATE
from vidchatbench_metrics.faces.timeline import FaceTimeline
from vidchatbench_metrics.video_quality.face_motion import COLUMNS, ROWS, FaceMotion, motion_between
from vidchatbench_metrics.video_quality.neighbours import begins_pair
from vidchatbench_metrics.video_quality.optical_flow import farneback, warp_back
from vidchatbench_metrics.video_quality.steadiness import WarpError, warp_error

pytest.importorskip("cv2")

SIDE = Side(media="a.mp4", sha256="0" * 64, speaker_id="s")
SAMPLE = Sample(id="x", task="dialogue", language="en", initiator=SIDE, responder=SIDE)
CLIP = ClipInfo(width=256, height=160, duration=0.0)
CORNER = np.array([60.0, 20.0])
"""Where the aligned face lies in a picture of 160 x 256, so that its crop is the picture's own pixels."""

Clip = list[np.ndarray]


def wave(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.sin(2 * np.pi * (y - 20) / 56) * np.cos(2 * np.pi * (x - 60) / 112)


DOWN, RIGHT = np.mgrid[20 + ROWS.start : 20 + ROWS.stop, 60 + COLUMNS.start : 60 + COLUMNS.stop].astype(float)
"""Where the face lies in the picture."""
FIT = np.linalg.lstsq(
    np.stack([np.ones_like(RIGHT), RIGHT, DOWN], axis=-1).reshape(-1, 3), wave(RIGHT, DOWN).ravel(), rcond=None
)[0]
"""What a shift, a turn and a stretch make of the wave within the face."""


def swell(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A motion to the right that no shift, turn or stretch makes."""
    return wave(x, y) - (FIT[0] + FIT[1] * x + FIT[2] * y)


MEAN_SWELL = np.abs(swell(RIGHT, DOWN)).mean()


def texture(right: float = 0.0, down: float = 0.0, inner: float = 0.0) -> np.ndarray:
    """A smooth picture of 160 x 256, moved; exact for any part of a pixel.

    ``inner`` also moves it within itself, by so many pixels on average within the face.
    """
    y, x = np.mgrid[:160, :256]
    x, y = x - right, y - down
    x = x - inner * swell(x, y) / MEAN_SWELL
    waves = np.sin(x / 3.1) + np.sin(y / 2.7 + 1) + np.sin((x + y) / 4.3) + np.sin((x - 2 * y) / 9.7)
    return np.repeat((127 + 28 * waves)[..., None], 3, axis=2).round().astype(np.uint8)


def moving(pixels_a_frame: float, frames: int) -> Clip:
    return [texture(pixels_a_frame * index) for index in range(frames)]


def living(pixels_a_frame: float, frames: int, right: float = 0.0) -> Clip:
    """A face that swells to one side and back, so that its motion stays small, before a camera that may move."""
    places = [pixels_a_frame * (index % 2) for index in range(frames)]
    return [texture(right * index, inner=place) for index, place in enumerate(places)]


def noisy(clip: Clip, sigma: float, seed: int = 0) -> Clip:
    generator = np.random.default_rng(seed)
    return [np.clip(p + generator.normal(0, sigma, p.shape), 0, 255).round().astype(np.uint8) for p in clip]


def blurred(clip: Clip) -> Clip:
    def halved(picture: np.ndarray) -> np.ndarray:
        padded = np.pad(picture.astype(float), ((2, 2), (2, 2), (0, 0)), mode="edge")
        rows = sum(padded[k : k + 160] for k in range(5)) / 5
        return (sum(rows[:, k : k + 256] for k in range(5)) / 5).round().astype(np.uint8)

    return [halved(picture) for picture in clip]


def flickering(clip: Clip) -> Clip:
    return [np.clip(p * (1.06 if k % 2 else 0.94), 0, 255).round().astype(np.uint8) for k, p in enumerate(clip)]


def frame(index: int, pixels: np.ndarray) -> GridFrame:
    return GridFrame(Picture(pixels), index, Fraction(index, 25))


def face_track(frames: int, pixels_a_frame: float = 0.0, hidden: range = range(0)) -> FaceTimeline:
    """The face at CORNER in every key frame but the hidden ones, following a motion to the right."""
    timeline = FaceTimeline(5.0)
    for key in range(-(-frames // 5)):
        count = 0 if key in hidden else 1
        moved = CORNER + np.array([pixels_a_frame * 5 * key, 0.0])
        box = np.array([[*(moved + 20), *(moved + 90)]])
        timeline.add_key(box[:count], (TEMPLATE + moved)[None][:count], np.full(count, 0.99))
    timeline.close()
    return timeline


def motion(clip: Clip, faces: FaceTimeline | None = None) -> Feature:
    session = FaceMotion().begin(CLIP, {"faces": faces or face_track(len(clip))})
    for index, pixels in enumerate(clip):
        session.push(frame(index, pixels))
    return session.finish()


def steadiness(clip: Clip) -> Feature:
    session = WarpError().begin(CLIP, guide())
    for index, pixels in enumerate(clip):
        session.push(frame(index, pixels))
    return session.finish()


def score(name: str, candidate: Feature, reference: Feature) -> float:
    value = load_catalogue().metric(name).score(SAMPLE, {"candidate": candidate, "reference": reference}).value
    assert value is not None
    return value


def test_pairs_begin_at_every_phase_in_turn() -> None:
    begins = [k for k in range(125) if begins_pair(k)]
    assert begins[:11] == [0, 8, 11, 19, 22, 28, 31, 39, 42, 45, 51]
    assert sorted(k % 25 for k in begins) == list(range(25)), "every frame of a second has its turn in five"


@pytest.mark.parametrize("rate", [5, 6, 8, 10, 12, 12.5, 15, 16, 20, 24, 24000 / 1001, 30, 60])
@pytest.mark.parametrize("seconds", [2, 3, 4, 5, 10])
def test_no_frame_rate_aliases(rate: float, seconds: int) -> None:
    """Pictures that pass within the pairs, against those that pass in as many frames."""
    begins = np.array([k for k in range(25 * seconds - 1) if begins_pair(k)])
    shown = np.ceil(np.arange(25 * seconds + 1) * rate / 25 - 0.5)
    passed = (shown[begins + 1] - shown[begins]).mean()
    exact = seconds % 5 == 0 and rate == int(rate)
    assert passed == pytest.approx(rate / 25, rel=0.05 if exact else 0.26)


class TestFaceMotion:
    CROP = np.s_[20:132, 60:172, 0]

    @pytest.mark.parametrize("length", [0.3, 0.6, 1.2])
    @pytest.mark.parametrize("shift", [(0.0, 0.0), (1.5, -0.8)])
    def test_a_motion_within_is_as_long_as_it_is(self, length: float, shift: tuple[float, float]) -> None:
        moved = texture(*shift, inner=length)
        assert motion_between(texture()[self.CROP], moved[self.CROP]) == pytest.approx(length, rel=0.12)

    @pytest.mark.parametrize("shift", [(0.6, 0.0), (0.0, 1.0), (1.5, -0.8)])
    def test_a_shift_is_none(self, shift: tuple[float, float]) -> None:
        assert motion_between(texture()[self.CROP], texture(*shift)[self.CROP]) < 0.05 * np.hypot(*shift)

    @pytest.mark.parametrize("angle", [-1.5, 1.5])
    @pytest.mark.parametrize("scale", [0.98, 1.02])
    def test_nor_is_a_turn_or_another_size(self, angle: float, scale: float) -> None:
        picture = Image.fromarray(texture())
        cos, sin = np.cos(np.radians(angle)) / scale, np.sin(np.radians(angle)) / scale
        around = (cos, -sin, 115 - cos * 115 + sin * 75, sin, cos, 75 - sin * 115 - cos * 75)
        turned = np.asarray(picture.transform(picture.size, Image.Transform.AFFINE, around, Image.Resampling.BICUBIC))
        flow = farneback(texture()[self.CROP], turned[self.CROP])[ROWS, COLUMNS]
        whole = np.hypot(*flow.reshape(-1, 2).T).mean()
        assert whole > 0.7
        assert motion_between(texture()[self.CROP], turned[self.CROP]) < 0.1 * whole

    def test_the_flow_of_the_whole_is_that_of_the_edges(self) -> None:
        """Where the picture is flat, flow gives way; half of a face without an edge must not leave motion behind."""
        flat, shifted = (texture(right)[self.CROP].copy() for right in (0.0, 1.0))
        flat[:, 56:] = shifted[:, 57:] = 127
        still, moved = motion_between(flat, flat), motion_between(flat, shifted)
        assert still == pytest.approx(0, abs=1e-6)
        assert moved < 0.25

    def test_a_picture_without_an_edge_has_none(self) -> None:
        grey = np.full((112, 112), 90, np.uint8)
        assert motion_between(grey, grey + np.uint8(9)) == 0

    def test_a_still_picture_has_none(self) -> None:
        assert motion([texture()] * 25)["value"] == pytest.approx(np.zeros(5), abs=1e-3)

    def test_every_pair_of_the_time_line_is_measured_once(self) -> None:
        assert dict(motion(moving(0.5, 23)).meta) == {"frames": 23, "measurable": 4}, "frame 23 is not there"
        assert dict(motion(moving(0.5, 24)).meta) == {"frames": 24, "measurable": 5}
        assert dict(motion(moving(0.5, 30)).meta) == {"frames": 30, "measurable": 6}

    def test_a_track_that_follows_the_face_hides_nothing(self) -> None:
        values = motion(living(0.8, 27, right=0.8), face_track(27, 0.8))["value"]
        assert values == pytest.approx(motion(living(0.8, 27))["value"], rel=0.1)

    def test_pairs_without_the_face_give_no_value_but_count(self) -> None:
        feature = motion(moving(0.5, 50), face_track(50, hidden=range(4, 10)))
        assert feature.number("measurable") == 10
        assert len(feature["value"]) == 3, "the pairs from 0, 8 and 11"

    def test_a_low_frame_rate_moves_as_much_in_jumps(self) -> None:
        clip = [texture(inner=0.04 * index) for index in range(126)]
        held = [clip[index // 5 * 5] for index in range(len(clip))]
        assert motion(clip)["value"].mean() == pytest.approx(0.04, rel=0.15)
        assert motion(held)["value"].mean() == pytest.approx(0.04, rel=0.2)

    def test_too_little_and_too_much_both_lose(self) -> None:
        reference = motion(living(0.8, 27))
        levels = [score("video_quality/face_motion", motion(living(m, 27)), reference) for m in (0, 0.2, 0.4, 0.8)]
        assert levels == pytest.approx([0, 0.25, 0.5, 1.0], abs=0.03)
        assert score("video_quality/face_motion", motion(living(1.6, 27)), reference) == pytest.approx(0.5, abs=0.05)

    def test_a_moved_still_loses(self) -> None:
        assert score("video_quality/face_motion", motion(moving(0.8, 27)), motion(living(0.8, 27))) < 0.1

    def test_blur_noise_flicker_and_reversal_change_little_of_it(self) -> None:
        clip = noisy(living(0.8, 27), 1.0)
        reference = motion(clip)
        for damage in (blurred, flickering, lambda c: noisy(c, 4.0, seed=1), lambda c: c[::-1]):
            assert score("video_quality/face_motion", motion(damage(clip)), reference) > 0.85


class TestSteadiness:
    def test_warping_back_by_whole_and_half_pixels(self) -> None:
        picture = np.arange(5 * 6, dtype=np.uint8).reshape(5, 6, 1) * 4
        flow = np.zeros((5, 6, 2), np.float32)
        flow[..., 0], flow[..., 1] = 1.5, -1.0
        expected = np.array(
            [[picture[max(y - 1, 0), [min(x + 1, 5), min(x + 2, 5)], 0].mean() for x in range(6)] for y in range(5)]
        )
        assert warp_back(picture, flow)[0] == pytest.approx(expected)

    def test_a_step_of_brightness_is_an_error_of_its_square(self) -> None:
        assert warp_error(texture(), texture() + np.uint8(10)) == pytest.approx(100, rel=0.02)

    def test_motion_is_taken_out(self) -> None:
        plain = float(np.square(texture().astype(float) - texture(2.0, 1.0)).mean())
        assert warp_error(texture(), texture(2.0, 1.0)) < 0.05 * plain

    def test_flow_points_from_the_first_to_the_second(self) -> None:
        flow = farneback(texture()[..., 0], texture(2.0, -1.0)[..., 0])[30:130, 30:220]
        assert flow.mean(axis=(0, 1)) == pytest.approx([2.0, -1.0], abs=0.05)

    @pytest.mark.parametrize(
        ("damage", "least", "most"),
        [
            (lambda clip: [clip[0]] * len(clip), 0.0, 0.02),
            (flickering, 0.0, 0.3),
            (lambda clip: noisy(clip, 4.0, seed=1), 0.1, 0.6),
            (blurred, 0.01, 0.8),
            (lambda clip: clip[::-1], 0.9, 1.0),
        ],
        ids=["frozen", "flicker", "noise", "blur", "reversed"],
    )
    def test_damage_lowers_it(self, damage: Callable[[Clip], Clip], least: float, most: float) -> None:
        clip = noisy(moving(0.8, 27), 2.0)
        assert least <= score("video_quality/steadiness", steadiness(damage(clip)), steadiness(clip)) <= most

    def test_pictures_outside_pairs_are_not_asked_for(self) -> None:
        asked: list[int] = []

        class Counting(GridFrame):
            def window(self, box: tuple[float, float, float, float], height: int, width: int) -> np.ndarray:
                asked.append(self.index)
                return super().window(box, height, width)

        session = WarpError().begin(CLIP, guide())
        for index in range(30):
            session.push(Counting(Picture(texture()), index, Fraction(index, 25)))
        session.finish()
        assert sorted(set(asked)) == [0, 1, 8, 9, 11, 12, 19, 20, 22, 23, 28, 29]
