"""The window that frame metrics look through: where it lies, whom it serves, and what it shows that a centre misses."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from windows import guide

from vidchatbench.api import ClipInfo, Feature, Timeline, Window, window_details
from vidchatbench.engine.extraction.lanes import Whole
from vidchatbench.media.frames import GridFrame, Picture
from vidchatbench.plugins.catalogue import load_catalogue
from vidchatbench_metrics.common.geometry import GUIDES
from vidchatbench_metrics.faces.timeline import FaceTimeline
from vidchatbench_metrics.faces.window import FaceWindow
from vidchatbench_metrics.video_quality.psnr_ssim import ErrorFrames

RATIO = 768 / 480
Box = tuple[float, float, float, float]


def around(width: int, height: int, *boxes: Box) -> Window:
    return Window.around(np.array(boxes, float).reshape(-1, 4), (height, width), RATIO)


def face(x: float, y: float, side: float = 40.0) -> Box:
    """A face by its centre."""
    return (x - side / 2, y - side / 2, x + side / 2, y + side / 2)


@pytest.mark.parametrize(
    ("y", "top"),
    [(120, 0), (200, 0), (201, 1), (500, 300), (699, 499), (700, 500), (950, 500)],
)
def test_the_faces_centre_stands_at_two_fifths_of_the_height(y: float, top: float) -> None:
    # Of a picture of 800 x 1000 the window is 800 x 500, and 200 pixels of it are above the face's centre.
    window = around(800, 1000, face(400, y))
    assert window.box == pytest.approx((0.0, top / 1000, 1.0, (top + 500) / 1000))
    assert (window.kept, window.face_kept) == (0.5, 1.0)


@pytest.mark.parametrize(("x", "left"), [(100, 0), (384, 0), (385, 1), (1000, 616), (1536, 1152), (1900, 1152)])
def test_the_window_is_centred_across_on_the_face(x: float, left: float) -> None:
    window = around(1920, 480, face(x, 100))
    assert window.box == pytest.approx((left / 1920, 0.0, (left + 768) / 1920, 1.0))
    assert window.kept == pytest.approx(0.4)


def test_boxes_are_averaged_by_their_centres() -> None:
    two = around(1920, 480, face(700, 100, side=10), face(900, 300, side=90))
    assert two.box == around(1920, 480, face(800, 200)).box


def test_without_a_face_it_is_the_centre_and_says_so() -> None:
    window = around(800, 1000)
    assert window.box == pytest.approx((0.0, 0.25, 1.0, 0.75))
    assert (window.anchored, window.face_kept) == (False, None)
    assert around(800, 1000, face(400, 450)).anchored


def test_the_share_of_the_face_that_is_kept() -> None:
    # A face from row 40 to row 540 of 1000, in a window of rows 90 to 590.
    assert around(800, 1000, (300.0, 40.0, 500.0, 540.0)).face_kept == pytest.approx(0.9)
    # Two faces at the two ends, of which only the halves lie in the middle.
    ends = around(1536, 480, face(384, 100, side=100), face(1152, 100, side=100))
    assert ends.box == pytest.approx((0.25, 0.0, 0.75, 1.0))
    assert ends.face_kept == pytest.approx(0.5)


@pytest.mark.parametrize("size", [(768, 480), (1536, 960), (480, 300)])
def test_a_picture_of_the_ratio_is_kept_whole_wherever_the_face_is(size: tuple[int, int]) -> None:
    window = around(*size, face(30, 40))
    assert window.box == pytest.approx((0.0, 0.0, 1.0, 1.0))
    assert max(window.box) <= 1.0
    assert window.kept == pytest.approx(1.0)


@pytest.mark.parametrize("width", [1, 2, 17, 368, 427, 762, 1080, 1920, 3001])
def test_no_rounding_puts_it_outside_a_picture(width: int) -> None:
    for height in (1, 3, 208, 240, 428, 720, 1366, 1921):
        for place in (face(0, 0), face(width, height), face(width / 3, height / 3)):
            left, top, right, bottom = around(width, height, place).box
            assert 0 <= left < right <= 1
            assert 0 <= top < bottom <= 1
            Picture(np.zeros((height, width, 3), np.uint8)).window((left, top, right, bottom), 4, 6)


def test_it_goes_through_its_feature_unchanged() -> None:
    for window in (around(800, 1000, face(400, 120)), around(800, 1000)):
        assert Window.of(window.feature()) == window
        assert Window.of(Whole(window.feature())) == window
        shown = window_details(Feature({}, window.meta()))
        assert shown["anchored"] is window.anchored
        assert ("face_kept" in shown) is window.anchored


class TestExtractor:
    @staticmethod
    def run(*keys: Sequence[Box], size: tuple[int, int] = (800, 1000), **params: int) -> Window:
        faces = FaceTimeline(5)
        for boxes in keys:
            count = len(boxes)
            faces.add_key(np.array(boxes, float).reshape(-1, 4), np.zeros((count, 5, 2)), np.full(count, 0.99))
        faces.close()
        session = FaceWindow(**params).begin(ClipInfo(*size, 1.0), {"faces": faces})
        session.push(GridFrame(Picture(np.zeros((2, 2, 3), np.uint8)), 0, Fraction(0)))
        assert not session.done, "a face may still come"
        return Window.of(session.finish())

    def test_the_responder_places_it_not_whoever_else_is_there(self) -> None:
        small, large = face(100, 900, 30), face(500, 300, 200)
        assert self.run([large, small], [large, small]).box == around(800, 1000, large).box

    def test_another_size_is_another_window(self) -> None:
        # 800 x 800 of 800 x 1000, of which 320 rows are above the face's centre.
        assert self.run([face(400, 500)], height=500, width=500).box == pytest.approx((0.0, 0.18, 1.0, 0.98))

    def test_no_face_at_all(self) -> None:
        assert not self.run([], []).anchored

    @pytest.mark.parametrize(
        ("size", "serves"),
        [
            ((1000, 1000), True), ((500, 500), True), ((1020, 1000), True), ((1021, 1000), False),
            ((1000, 1020), True), ((1000, 1021), False), ((0, 0), False),
        ],
    )  # fmt: skip
    def test_it_serves_pictures_of_its_own_shape(self, size: tuple[int, int], serves: bool) -> None:
        assert FaceWindow().serves(ClipInfo(1000, 1000, 1.0), ClipInfo(*size, 1.0)) is serves

    def test_it_is_asked_for_by_the_geometrys_size(self) -> None:
        assert GUIDES["window"] == FaceWindow().spec


def error_of(candidate: np.ndarray, reference: np.ndarray, *windows: dict[str, Timeline]) -> Feature:
    sides = [ClipInfo(picture.shape[1], picture.shape[0], 1.0) for picture in (candidate, reference)]
    session = ErrorFrames(fps=5).begin(sides[0], sides[1], (windows[0], windows[-1]))
    for index in range(2):
        one, two = (GridFrame(Picture(picture), index, Fraction(index, 5)) for picture in (candidate, reference))
        session.push(one, two)
    return session.finish()


def seen_through(window: Window) -> dict[str, Timeline]:
    return {"window": Whole(window.feature())}


class TestFaceAtTheTop:
    """A portrait clip whose head is in the upper third, as half of the people film themselves."""

    picture = np.random.default_rng(0).integers(0, 256, (400, 240, 3)).astype(np.uint8)
    head = (90.0, 10.0, 150.0, 80.0)

    def blurred(self, rows: slice) -> np.ndarray:
        made = self.picture.copy()
        made[rows] = 128
        return made

    def test_a_ruined_head_is_seen_though_the_centre_does_not_show_it(self) -> None:
        ruined = self.blurred(slice(0, 100))
        anchored, centre = around(240, 400, self.head), around(240, 400)
        assert error_of(ruined, self.picture, seen_through(centre))["value"].tolist() == [0.0, 0.0]
        feature = error_of(ruined, self.picture, seen_through(anchored))
        assert feature["value"].min() > 1000
        assert (feature.meta["face_kept"], feature.meta["anchored"]) == (1.0, True)
        assert error_of(ruined, self.picture, seen_through(centre)).meta["anchored"] is False

    def test_what_lies_under_the_window_does_not_count(self) -> None:
        legs = self.blurred(slice(200, 400))
        assert error_of(legs, self.picture, seen_through(around(240, 400, self.head)))["value"].tolist() == [0.0, 0.0]

    def test_the_reply_in_another_size_is_looked_at_in_the_same_place(self) -> None:
        half = np.asarray(self.picture[::2, ::2])
        window = seen_through(around(240, 400, self.head))
        placed = error_of(half, self.picture, window)["value"]
        moved = error_of(half, self.picture, guide(0.0, 0.5, 1.0, 0.875), window)["value"]
        assert placed.max() < 0.75 * moved.min()

    def test_one_centred_side_is_told(self) -> None:
        anchored, centre = around(240, 400, self.head), around(240, 400)
        feature = error_of(self.picture, self.picture, seen_through(centre), seen_through(anchored))
        assert (feature.meta["anchored"], feature.meta["face_kept"]) == (False, 1.0)


def test_every_metric_of_whole_frames_names_the_face_detector_and_its_window() -> None:
    catalogue = load_catalogue()
    for name in catalogue.metrics:
        metric = catalogue.metric(name)
        for need in metric.needs():
            if catalogue.extractor(need.extractor).guides:
                assert need.guide is not None, f"{name}: {need.name} would guide itself"
                assert "mtcnn_onet" in metric.card.weights
                assert "The window: the largest of ratio 768 : 480" in metric.card.protocol_text
        assert "cover480x768" not in metric.card.protocol
