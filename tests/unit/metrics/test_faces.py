"""Face tracks: linking, bridging, interpolation and the choice of the responder, on made-up detections."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from vidchatbench_metrics.faces.mtcnn import FaceDetector
from vidchatbench_metrics.faces.timeline import FaceTimeline
from vidchatbench_metrics.faces.torchvision_import import plain_nms

Boxes = NDArray[np.float64]


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
    assert len(timeline.tracks) == 1
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
    assert len(timeline.tracks) == 2


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
    assert timeline.primary() == 0
    assert timeline.result().meta["n_tracks"] == 2


def test_two_faces_that_pass_each_other_keep_their_tracks() -> None:
    timeline = FaceTimeline(5)
    for step in range(6):
        add(timeline, square(20.0 * step, 0, 100), square(500 - 20.0 * step, 200, 100))
    timeline.close()
    assert len(timeline.tracks) == 2
    assert all(len(track.keys) == 6 for track in timeline.tracks)


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
    assert timeline.primary() is None
    assert timeline.at(0.0) == []
    restored = FaceTimeline.from_feature(timeline.result())
    assert restored.primary() is None


def test_a_stored_feature_gives_the_same_answers() -> None:
    timeline = FaceTimeline(5)
    for step in range(8):
        add(timeline, *([square(3.0 * step, 0, 80)] if step != 4 else []), square(200, 9.0 * step, 40))
    timeline.close()
    restored = FaceTimeline.from_feature(timeline.result())
    for k in range(40):
        before, after = timeline.at(k / 25), restored.at(k / 25)
        assert [(f.track, f.box.tolist()) for f in before] == [(f.track, f.box.tolist()) for f in after]
    assert restored.primary() == timeline.primary()


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
