"""Face tracks: linking, bridging, interpolation and the choice of the responder, on made-up detections.

The right values are counts of the key frames in which the test puts the person's face.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from vidchatbench.api import Sample, Side
from vidchatbench_metrics.faces.linking import link
from vidchatbench_metrics.faces.mtcnn import Detections, FaceDetector
from vidchatbench_metrics.faces.timeline import FaceTimeline, responder_tracklets
from vidchatbench_metrics.faces.torchvision_import import plain_nms
from vidchatbench_metrics.video_quality.face_presence import FacePresence

Boxes = NDArray[np.float64]

SIDE = Side(media="a.mp4", sha256="0" * 64, speaker_id="s")
SAMPLE = Sample(id="x", task="dialogue", language="en", initiator=SIDE, responder=SIDE)


def square(x: float, y: float, side: float) -> list[float]:
    return [x, y, x + side, y + side]


def add(timeline: FaceTimeline, *boxes: list[float]) -> None:
    array: Boxes = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    centres = (array[:, :2] + array[:, 2:]) / 2
    landmarks = np.repeat(centres[:, None], 5, axis=1)
    timeline.add_key(array, landmarks, np.linspace(1.0, 0.95, len(array)))


def test_a_moving_face_is_one_track_and_is_interpolated() -> None:
    timeline = FaceTimeline(5)
    for step in range(5):
        add(timeline, square(10.0 * step, 0, 100))
    timeline.close()
    assert len(timeline.tracklets) == 1
    (face,) = timeline.at(0.3)  # half-way between key frames 1 and 2
    assert face.box == pytest.approx([15, 0, 115, 100])
    assert face.landmarks[0] == pytest.approx([65, 50])


def test_one_missed_key_frame_is_bridged_but_not_two() -> None:
    timeline = FaceTimeline(5)
    add(timeline, square(0, 0, 100))
    add(timeline)
    add(timeline, square(20, 0, 100))
    add(timeline)
    add(timeline)
    add(timeline, square(20, 0, 100))
    timeline.close()
    assert [face.box[0] for face in timeline.at(0.2)] == pytest.approx([10])
    assert timeline.at(0.6) == []
    assert timeline.at(0.8) == []
    assert len(timeline.tracklets) == 2
    assert timeline.tracks() == [[0, 1]]


def test_horizon_leaves_room_for_the_bridge_and_ends_at_infinity() -> None:
    timeline = FaceTimeline(5)
    assert timeline.horizon() < 0
    add(timeline, square(0, 0, 50))
    assert timeline.horizon() < 0
    add(timeline, square(0, 0, 50))
    assert timeline.horizon() == 0
    add(timeline)
    assert timeline.horizon() == pytest.approx(0.2)
    timeline.close()
    assert timeline.horizon() == math.inf


def test_answers_before_the_horizon_never_change() -> None:
    generator = np.random.default_rng(0)
    keys = [[square(float(generator.uniform(0, 20)), 0, 100)] if generator.random() > 0.3 else [] for _ in range(40)]
    growing, whole = FaceTimeline(5), FaceTimeline(5)
    for boxes in keys:
        add(whole, *boxes)
    whole.close()
    asked = 0
    times = [k / 25 for k in range(200)]
    for boxes in keys:
        add(growing, *boxes)
        while asked < len(times) and times[asked] <= growing.horizon():
            early, late = growing.at(times[asked]), whole.at(times[asked])
            assert [face.box.tolist() for face in early] == [face.box.tolist() for face in late]
            asked += 1
    assert asked > 150


def test_the_responder_is_the_track_with_the_most_area_over_time() -> None:
    timeline = FaceTimeline(5)
    for step in range(10):
        boxes = [square(0, 0, 60)]
        if step < 2:
            boxes.append(square(300, 0, 100))
        add(timeline, *boxes)
    timeline.close()
    assert (timeline.result().meta["primary"], timeline.result().meta["n_tracks"]) == (0, 2)


def test_two_faces_that_pass_each_other_keep_their_tracks() -> None:
    timeline = FaceTimeline(5)
    for step in range(6):
        add(timeline, square(20.0 * step, 0, 100), square(500 - 20.0 * step, 200, 100))
    timeline.close()
    assert timeline.tracks() == [[0], [1]]
    assert all(len(tracklet.keys) == 6 for tracklet in timeline.tracklets)


def test_the_last_face_is_held_to_the_end_of_the_clip_only() -> None:
    timeline = FaceTimeline(5)
    add(timeline, square(0, 0, 50))
    add(timeline, square(0, 0, 50))
    timeline.close()
    assert len(timeline.at(0.36)) == 1
    assert timeline.at(0.5) == []


def test_no_face_at_all() -> None:
    timeline = FaceTimeline(5)
    add(timeline)
    timeline.close()
    assert timeline.result().meta["primary"] is None
    assert responder_tracklets(timeline) == ()
    assert timeline.at(0.0) == []
    restored = FaceTimeline.from_feature(timeline.result())
    assert restored.result().meta["primary"] is None


def test_a_stored_feature_gives_the_same_answers() -> None:
    timeline = FaceTimeline(5)
    for step in range(8):
        add(timeline, *([square(3.0 * step, 0, 80)] if step != 4 else []), square(200, 9.0 * step, 40))
    timeline.close()
    restored = FaceTimeline.from_feature(timeline.result())
    for k in range(40):
        before, after = timeline.at(k / 25), restored.at(k / 25)
        assert [(f.tracklet, f.box.tolist()) for f in before] == [(f.tracklet, f.box.tolist()) for f in after]
    assert restored.result().meta == timeline.result().meta
    for name, array in timeline.result().arrays.items():
        np.testing.assert_array_equal(restored.result()[name], array, strict=True)


def watch(*keys: list[list[float]]) -> FaceTimeline:
    timeline = FaceTimeline(5)
    for boxes in keys:
        add(timeline, *boxes)
    timeline.close()
    return timeline


def persons(timeline: FaceTimeline) -> list[list[int]]:
    """The key frames of each track."""
    feature = timeline.result()
    return [feature["key"][feature["track"] == number].tolist() for number in range(int(feature.number("n_tracks")))]


def presence(timeline: FaceTimeline) -> float:
    return float(FacePresence().score(SAMPLE, {"faces": timeline.result()}).value or 0.0)


LEFT, RIGHT, CLOSE = square(20, 40, 100), square(400, 60, 110), square(150, 20, 200)


class TestOnePerson:
    @pytest.mark.parametrize("hidden", [1, 2, 3, 5, 10])
    @pytest.mark.parametrize("later", [LEFT, square(60, 60, 100), RIGHT, CLOSE], ids=["same", "moved", "far", "closer"])
    def test_a_hidden_moment_costs_its_key_frames_alone(self, hidden: int, later: list[float]) -> None:
        timeline = watch(*[[LEFT]] * 10, *[[]] * hidden, *[[later]] * 15)
        assert len(persons(timeline)) == 1
        assert presence(timeline) == pytest.approx(25 / (25 + hidden))

    @pytest.mark.parametrize("every", [1, 2, 3, 4, 7])
    def test_two_positions_in_turn(self, every: int) -> None:
        timeline = watch(*[[LEFT] if k // every % 2 == 0 else [RIGHT] for k in range(28)])
        assert persons(timeline) == [list(range(28))]
        assert presence(timeline) == 1.0
        for k in range(140):
            assert len(timeline.at(k / 25)) <= 1, "a person has one face at a time"

    @pytest.mark.parametrize("factor", [0.25, 0.5, 2.0, 4.0])
    def test_a_cut_to_another_size(self, factor: float) -> None:
        side = 80 * factor
        timeline = watch(*[[square(100, 100, 80)]] * 6, *[[square(140 - side / 2, 140 - side / 2, side)]] * 9)
        assert presence(timeline) == 1.0

    def test_a_head_that_moves_by_more_than_it_overlaps(self) -> None:
        """Each step leaves an intersection over union of 30 / 170 with the last box."""
        assert presence(watch(*[[square(70.0 * k, 0, 100)] for k in range(9)])) == 1.0

    def test_nothing_is_interpolated_across_a_jump(self) -> None:
        timeline = watch([LEFT], [RIGHT], [RIGHT])
        assert [len(timeline.at(time)) for time in (0.0, 0.1, 0.2, 0.3, 0.4)] == [1, 0, 1, 1, 1]

    @pytest.mark.parametrize("hidden", [0, 3])
    def test_another_person_who_never_coexists_is_taken_for_the_same(self, hidden: int) -> None:
        """Wrong, and known: no rule without a network can tell a cut to somebody else from a cut to a closer view."""
        assert len(persons(watch(*[[LEFT]] * 5, *[[]] * hidden, *[[CLOSE]] * 5))) == 1


class TestTwoPeople:
    def test_side_by_side_all_the_time(self) -> None:
        timeline = watch(*[[LEFT, RIGHT]] * 12)
        assert persons(timeline) == [list(range(12))] * 2
        assert timeline.result().meta["primary"] == 1, "the larger one"

    @pytest.mark.parametrize("lost", [1, 2, 5])
    @pytest.mark.parametrize("apart", [0, 1, 4])
    def test_each_is_found_again_in_its_place(self, lost: int, apart: int) -> None:
        """The left one is lost first, the right one ``apart`` key frames later."""
        left = [not 8 <= k < 8 + lost for k in range(24)]
        right = [not 8 + apart <= k < 8 + apart + lost for k in range(24)]
        timeline = watch(
            *[[box for box, seen in ((LEFT, left[k]), (RIGHT, right[k])) if seen] for k in range(24)],
        )
        assert persons(timeline) == [[k for k in range(24) if seen[k]] for seen in (left, right)]

    def test_a_cut_to_a_closer_view_of_both(self) -> None:
        small = [square(100, 100, 60), square(300, 100, 70)]
        large = [square(0, 50, 150), square(480, 50, 175)]
        timeline = watch(*[small] * 6, *[large] * 6)
        assert persons(timeline) == [list(range(12))] * 2
        feature = timeline.result()
        assert feature["box"][feature["track"] == feature.meta["primary"]][:, 0].tolist() == [300] * 6 + [480] * 6

    @pytest.mark.parametrize("start", [0, 1, 9, 24])
    def test_somebody_walks_through_for_a_second(self, start: int) -> None:
        walk = {start + step: square(120.0 * step, 200, 90) for step in range(6)}
        timeline = watch(*[[CLOSE, walk[k]] if k in walk else [CLOSE] for k in range(30)])
        assert presence(timeline) == 1.0
        assert max(len(keys) for keys in persons(timeline)) == 30
        assert all(not set(keys) - set(walk) for keys in persons(timeline) if len(keys) < 30)

    @pytest.mark.parametrize("missed", [1, 2, 3])
    def test_somebody_walks_in_just_as_the_responder_is_missed(self, missed: int) -> None:
        """The newcomer is seen beside the responder later, so that the gap is not filled with another's face."""
        walker = square(500, 200, 80)
        timeline = watch(
            *[[CLOSE]] * 10,
            *[[walker]] * missed,
            *[[CLOSE, walker]] * 4,
            *[[CLOSE]] * 10,
        )
        assert presence(timeline) == pytest.approx(24 / (24 + missed))
        assert len(persons(timeline)) == 2

    def test_a_common_key_frame_at_the_very_end_keeps_two_people_apart(self) -> None:
        assert len(persons(watch(*[[LEFT]] * 5, [LEFT, RIGHT], *[[RIGHT]] * 5))) == 2
        assert len(persons(watch(*[[LEFT]] * 5, [LEFT], *[[RIGHT]] * 5))) == 1

    @pytest.mark.parametrize("seed", range(8))
    def test_no_track_is_twice_in_a_key_frame_and_none_could_be_joined(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        keys = [
            [square(*rng.uniform(0, 300, 2), rng.uniform(40, 160)) for _ in range(rng.choice([0, 1, 1, 1, 2, 3]))]
            for _ in range(60)
        ]
        timeline = watch(*keys)
        tracks = persons(timeline)
        assert sum(len(track) for track in tracks) == sum(len(boxes) for boxes in keys)
        assert all(len(set(track)) == len(track) for track in tracks)
        filled = [
            {key for n in track for key in range(timeline.tracklets[n].keys[0], timeline.tracklets[n].keys[-1] + 1)}
            for track in timeline.tracks()
        ]
        assert all(one & two for i, one in enumerate(filled) for two in filled[:i])
        own = set(responder_tracklets(timeline))
        for k in range(300):
            assert sum(face.tracklet in own for face in timeline.at(k / 25)) <= 1


def test_no_tracklets_are_nobody() -> None:
    assert link([]) == []


def test_plain_suppression_equals_torchvisions() -> None:
    torch = pytest.importorskip("torch")
    ops = pytest.importorskip("torchvision.ops")
    generator = torch.Generator().manual_seed(3)
    for n in (0, 1, 2, 50, 300):
        corners = torch.rand((n, 2), generator=generator) * 80
        boxes = torch.cat([corners, corners + 1 + torch.rand((n, 2), generator=generator) * 40], dim=1)
        scores = torch.rand(n, generator=generator)
        for threshold in (0.1, 0.5, 0.7):
            assert torch.equal(plain_nms(boxes, scores, threshold), ops.nms(boxes, scores, threshold))


@pytest.mark.parametrize("shape", [(16, 16, 3), (31, 640, 3), (1, 1, 3)])
def test_pictures_too_small_for_any_face_have_none(shape: tuple[int, int, int]) -> None:
    detector = FaceDetector("cpu", 32)
    (found,) = detector.detect([np.zeros(shape, np.uint8)])
    assert len(found.boxes) == 0


def test_a_picture_without_a_face_has_none() -> None:
    detector = FaceDetector("cpu", 32)
    noise = np.random.default_rng(1).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    (found,) = detector.detect([noise])
    assert len(found.boxes) == 0


def test_detections_are_mirrored_with_left_and_right_in_their_places() -> None:
    marks = np.array([[[12.0, 20.0], [28.0, 21.0], [19.0, 30.0], [14.0, 40.0], [26.0, 41.0]]])
    one = Detections(np.array([[10.0, 5.0, 30.0, 50.0]]), marks, np.array([0.95]))
    other = one.mirrored(100)
    assert other.boxes.tolist() == [[70.0, 5.0, 90.0, 50.0]]
    assert other.landmarks.tolist() == [[[72.0, 21.0], [88.0, 20.0], [81.0, 30.0], [74.0, 41.0], [86.0, 40.0]]]
    back = other.mirrored(100)
    np.testing.assert_array_equal(back.boxes, one.boxes)
    np.testing.assert_array_equal(back.landmarks, one.landmarks)
    assert len(Detections.none().mirrored(100).boxes) == 0


def test_only_pictures_without_a_face_are_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in finds a face where a picture's first column is bright."""
    asked: list[int] = []

    def detect(self: FaceDetector, pictures: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        del self
        asked.append(len(pictures))
        face = Detections(np.array([[0.0, 0.0, 10.0, 10.0]]), np.zeros((1, 5, 2)), np.ones(1))
        return [face if picture[0, 0, 0] > 100 else Detections.none() for picture in pictures]

    monkeypatch.setattr(FaceDetector, "detect", detect)
    left, right, none = (np.zeros((40, 60, 3), np.uint8) for _ in range(3))
    left[:, :1], right[:, -1:] = 255, 255
    results = FaceDetector("cpu", 32).detect_twice([left, right, none])
    assert [result.boxes.tolist() for result in results] == [[[0, 0, 10, 10]], [[50, 0, 60, 10]], []]
    assert asked == [3, 2]
