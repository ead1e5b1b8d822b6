"""The face variants of FVD, KVD, CMMD and LPIPS without their networks: which pixels they look at, who is charged."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image
from windows import WHOLE, cover_window, cut_face, guide

from vidchatbench.api import (
    ClipInfo,
    Extractor,
    ExtractorContext,
    ExtractorSpec,
    Feature,
    Frame,
    FrameExtractor,
    Role,
    Sample,
    Score,
    SetItem,
    Side,
    Status,
    Timeline,
    TimelineSession,
)
from vidchatbench.core.isolation import Failure
from vidchatbench.engine.extraction.decode_pass import DecodePass
from vidchatbench.engine.extraction.jobs import ClipSource, FeatureRequest, Job, side_name
from vidchatbench.media.frames import GridFrame, Picture
from vidchatbench.media.probe import probe
from vidchatbench_metrics.common.geometry import GUIDES
from vidchatbench_metrics.faces.timeline import FaceTimeline
from vidchatbench_metrics.faces.window import FaceWindow
from vidchatbench_metrics.video_quality import clip_image
from vidchatbench_metrics.video_quality.distribution import FvdFace
from vidchatbench_metrics.video_quality.even_frames import even_indices
from vidchatbench_metrics.video_quality.face_square import Square, resize_square
from vidchatbench_metrics.video_quality.i3d import I3dClip, I3dFaces, fill_from_nearest
from vidchatbench_metrics.video_quality.lpips import Lpips, LpipsFace, LpipsFaces

SIDE = Side(media="a.mp4", sha256="0" * 64, speaker_id="s")
SAMPLE = Sample(id="x", task="dialogue", language="en", initiator=SIDE, responder=SIDE)
CLIP = ClipInfo(width=768, height=480, duration=0.0)
SMALL, LARGE, LARGER = (0.0, 0.0, 20.0, 20.0), (300.0, 100.0, 400.0, 200.0), (550.0, 200.0, 700.0, 350.0)
"""Boxes of faces that do not overlap, and so are three tracks."""


def noise(seed: int, height: int = 480, width: int = 768) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def frame(index: int, pixels: np.ndarray) -> GridFrame:
    return GridFrame(Picture(pixels), index, Fraction(index, 25))


def faces_by_key(*keys: Sequence[tuple[float, ...]]) -> FaceTimeline:
    """Face tracks of a whole clip from the boxes of each of its key frames, 5 a second."""
    timeline = FaceTimeline(5.0)
    for boxes in keys:
        timeline.add_key(np.array(boxes, float).reshape(-1, 4), np.zeros((len(boxes), 5, 2)), np.full(len(boxes), 0.99))
    timeline.close()
    return timeline


def square_of(pixels: np.ndarray, box: tuple[float, ...], side: int) -> np.ndarray:
    """The face as the protocol says it, by Pillow alone."""
    cut = cut_face(pixels, np.array(box), (480, 768))
    assert cut is not None
    return np.asarray(Image.fromarray(cut).resize((side, side), Image.Resampling.BICUBIC))


class Heard:
    """Instead of I3D: keeps what it was given."""

    def __init__(self, *_: object) -> None:
        self.pictures: list[np.ndarray] = []

    def __call__(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        self.pictures = list(pictures)
        return np.array([[picture.mean() for picture in pictures]], np.float32)


class TestI3dFaces:
    def run(self, faces: FaceTimeline, pictures: Sequence[np.ndarray]) -> tuple[Feature, list[np.ndarray]]:
        extractor, network = I3dFaces(), Heard()
        extractor._network = network  # type: ignore[assignment]
        session = extractor.begin(CLIP, {"faces": faces, **guide()})
        for index, pixels in enumerate(pictures):
            session.push(frame(index, pixels))
            assert not session.done, "only the whole clip tells who the responder is"
        return session.finish(), network.pictures

    def test_sixteen_faces_each_from_its_own_frame(self) -> None:
        pictures = [noise(seed) for seed in range(18)]
        feature, seen = self.run(faces_by_key([LARGE], [LARGE], [LARGE], [LARGE], [LARGE]), pictures)
        assert len(seen) == 16
        for index, picture in enumerate(seen):
            assert np.array_equal(picture, square_of(pictures[index], LARGE, 224)), index
        assert feature["embedding"].shape == (1, 16)
        assert dict(feature.meta) == {"frames": 18, "chosen": 16, "faces": 16, **WHOLE}

    def test_the_square_follows_the_face(self) -> None:
        moved = tuple(value + 20 for value in LARGE)
        pictures = [noise(0)] * 20
        _, seen = self.run(faces_by_key([LARGE], [moved], [moved], [moved], [moved]), pictures)
        assert np.array_equal(seen[0], square_of(pictures[0], LARGE, 224))
        assert np.array_equal(seen[5], square_of(pictures[5], moved, 224))
        between = tuple(value + 8 for value in LARGE)  # two fifths of the way from key frame 0 to 1
        assert np.array_equal(seen[2], square_of(pictures[2], between, 224))

    def test_frames_before_the_face_look_where_it_will_first_be(self) -> None:
        pictures = [noise(seed) for seed in range(30)]
        later = tuple(value + 20 for value in LARGE)
        feature, seen = self.run(faces_by_key([], [LARGE], [LARGE], [later], [later], [later]), pictures)
        assert feature.meta["faces"] == 11
        for index in range(5):
            assert np.array_equal(seen[index], square_of(pictures[index], LARGE, 224)), "its own pixels, next square"

    def test_the_responder_is_who_is_largest_over_the_whole_clip(self) -> None:
        keys = [*[[SMALL, LARGE]] * 4, [SMALL, LARGE, LARGER], *[[SMALL, LARGER]] * 8]
        feature, seen = self.run(faces_by_key(*keys), [noise(0)] * 60)
        assert feature.meta["faces"] == 0, "who appears at the end is not in the first frames"
        assert seen == []
        assert feature["embedding"].shape == (0, 0)
        alone = [*[[SMALL, LARGE]] * 4, *[[SMALL, LARGER]] * 8]
        feature, seen = self.run(faces_by_key(*alone), [noise(0)] * 60)
        assert feature.meta["faces"] == 16, "two that never coexist are one person"
        assert np.array_equal(seen[3], square_of(noise(0), LARGE, 224))
        feature, seen = self.run(faces_by_key(*[[SMALL, LARGE]] * 12), [noise(0)] * 60)
        assert np.array_equal(seen[3], square_of(noise(0), LARGE, 224))

    @pytest.mark.parametrize("frames", [0, 1, 15])
    def test_a_clip_of_fewer_frames_has_no_row(self, frames: int) -> None:
        feature, _ = self.run(faces_by_key([LARGE], [LARGE], [LARGE], [LARGE]), [noise(0)] * frames)
        assert feature["embedding"].shape == (0, 0)
        assert dict(feature.meta) == {"frames": frames, "chosen": frames, "faces": frames, **WHOLE}

    def test_nearest_and_of_two_equally_near_the_earlier(self) -> None:
        a, b = Square(0, 0, 20), Square(5, 5, 30)
        assert fill_from_nearest([None, a, None, None, None, b, None]) == [a, a, a, a, b, b, b]
        assert fill_from_nearest([None, None]) == [None, None]
        assert fill_from_nearest([]) == []

    def test_the_network_gets_224_pixels_a_side_as_i3d_clip_calls_it(self, tmp_path: Path) -> None:
        torch = pytest.importorskip("torch")

        class Witness(torch.nn.Module):
            def forward(
                self, x: torch.Tensor, rescale: bool = False, resize: bool = False, return_features: bool = False
            ) -> torch.Tensor:
                flags = torch.tensor([[float(rescale), float(resize), float(return_features), float(x.shape[3])]])
                return torch.cat([flags, x.mean(dim=[3, 4]).flatten(1)], dim=1)

        path = tmp_path / "witness.pt"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript is deprecated
            torch.jit.save(torch.jit.script(Witness()), str(path))
        name = "sha256:" + "0" * 64
        extractor = I3dFaces(network=name)
        extractor.setup(ExtractorContext("cpu", 8, {name: path}))
        session = extractor.begin(CLIP, {"faces": faces_by_key(*[[LARGE]] * 6), **guide()})
        pictures = [noise(seed) for seed in range(16)]
        for index, pixels in enumerate(pictures):
            session.push(frame(index, pixels))
        row = session.finish()["embedding"][0]
        assert row[:4].tolist() == [1, 1, 1, 224]
        means = [square_of(pixels, LARGE, 224).mean(axis=(0, 1)) for pixels in pictures]
        assert np.allclose(row[4:].reshape(3, 16).T, means, atol=1e-3)

    def test_another_extractor_than_the_whole_pictures(self) -> None:
        (need, _) = FvdFace().needs()
        assert need.extractor.id == I3dFaces.id != I3dClip.id
        assert I3dFaces().requires == {"faces": ExtractorSpec.of("faces/mtcnn")}


class TestFvdFaceItems:
    @staticmethod
    def feature(faces: int, frames: int = 100) -> Feature:
        embedding = np.full((1, 3), 2.0, np.float32) if faces else np.zeros((0, 0), np.float32)
        return Feature({"embedding": embedding}, {"frames": frames, "chosen": 16, "faces": faces, **WHOLE})

    def item(self, faces: int, reference: int) -> SetItem | Score:
        return FvdFace().item({"candidate": self.feature(faces), "reference": self.feature(reference)})

    def test_half_of_the_frames_is_enough_and_is_told(self) -> None:
        found = self.item(8, 12)
        assert isinstance(found, SetItem)
        assert found.details == {
            "frames": 100, "rows": 1, "reference_rows": 1, "faces": 8, "reference_faces": 12, **WHOLE,
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("faces", "reference", "status"),
        [
            (7, 16, Status.OUTPUT_INVALID),
            (0, 16, Status.OUTPUT_INVALID),
            (16, 7, Status.NOT_APPLICABLE),
            (0, 0, Status.NOT_APPLICABLE),
        ],
    )
    def test_the_side_without_a_face_decides(self, faces: int, reference: int, status: Status) -> None:
        found = self.item(faces, reference)
        assert isinstance(found, Score)
        assert found.status is status
        assert "at least half is needed" in str(found.reason)


class TestClipFaces:
    @pytest.fixture(autouse=True)
    def encoder(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Sums:
            def __init__(self, *_: object) -> None:
                pass

            def __call__(self, picture: np.ndarray) -> np.ndarray:
                return np.array([picture.astype(np.int64).sum(), len(picture)], np.float32)

        monkeypatch.setattr(clip_image, "ClipImageEncoder", Sums)

    def run(self, faces: FaceTimeline, pictures: Sequence[np.ndarray]) -> Feature:
        extractor = clip_image.ClipImageFaces()
        extractor.setup(ExtractorContext("cpu", 4, {"clip_vit_l14_336": Path("a")}))
        session = extractor.begin(CLIP, {"faces": faces, **guide()})
        for index, pixels in enumerate(pictures):
            session.push(frame(index, pixels))
        return session.finish()

    def test_the_squares_of_the_frames_that_show_the_responder(self) -> None:
        pictures = [noise(seed) for seed in range(40)]
        feature = self.run(faces_by_key(*[[SMALL]] * 3, *[[SMALL, LARGE]] * 5), pictures)
        seen = [index for index in even_indices(40) if index >= 15]
        squares = [cut_face(pictures[index], np.array(LARGE), (480, 768)) for index in seen]
        expected = [[square.astype(np.int64).sum(), 130] for square in squares if square is not None]
        assert feature["embedding"].tolist() == np.array(expected, np.float32).tolist()
        assert feature["time"].tolist() == [index / 25 for index in seen]
        assert dict(feature.meta) == {"frames": 40, "chosen": 16, **WHOLE}

    def test_no_face_no_row(self) -> None:
        feature = self.run(faces_by_key(*[[]] * 6), [noise(0)] * 30)
        assert feature["embedding"].shape == (0, 0)
        assert feature.meta["chosen"] == 16


def difference(first: np.ndarray, second: np.ndarray) -> float:
    """Instead of LPIPS; not symmetric, so that swapped sides show."""
    assert first.shape == second.shape == (256, 256, 3)
    return float(first.mean() - second.mean())


def faces_of(*boxes: tuple[float, ...], keys: int = 12) -> FaceTimeline:
    return faces_by_key(*[boxes] * keys)


def compare(
    first: FaceTimeline, second: FaceTimeline, pictures: Sequence[tuple[np.ndarray, np.ndarray]]
) -> tuple[Feature, list[tuple[np.ndarray, np.ndarray]]]:
    extractor = LpipsFaces()
    asked: list[tuple[np.ndarray, np.ndarray]] = []

    def measure(one: np.ndarray, two: np.ndarray) -> float:
        asked.append((one, two))
        return difference(one, two)

    extractor._distance = measure  # type: ignore[assignment]
    session = extractor.begin(CLIP, CLIP, ({"faces": first, **guide()}, {"faces": second, **guide()}))
    for index, (one, two) in enumerate(pictures):
        session.push(frame(index, one), frame(index, two))
    return session.finish(), asked


class TestLpipsFaces:
    pictures = tuple((noise(seed), noise(seed + 100) // 2) for seed in range(6))

    def test_each_clip_by_its_own_face(self) -> None:
        feature, asked = compare(faces_of(LARGE), faces_of(LARGER), self.pictures)
        expected = [
            difference(square_of(one, LARGE, 256), square_of(two, LARGER, 256)) for one, two in self.pictures
        ]  # fmt: skip
        assert feature["value"].tolist() == expected
        assert min(expected) > 20, "the first is the brighter one"
        assert feature["time"].tolist() == [index / 25 for index in range(6)]
        assert dict(feature.meta) == {
            "fps": 25, "seconds": 6 / 25, "frames": 6, "first_faces": 6, "second_faces": 6, **WHOLE,
        }  # fmt: skip
        assert len(asked) == 6

    def test_swapped_clips_give_the_swapped_value(self) -> None:
        feature, _ = compare(faces_of(LARGE), faces_of(LARGER), self.pictures)
        swapped, _ = compare(faces_of(LARGER), faces_of(LARGE), [(two, one) for one, two in self.pictures])
        assert swapped["value"].tolist() == (-feature["value"]).tolist()

    def test_the_place_of_the_face_in_the_picture_does_not_count(self) -> None:
        one = noise(0)
        two = np.roll(one, (30, 50), axis=(0, 1))
        moved = (350.0, 130.0, 450.0, 230.0)
        _, ((first, second),) = compare(faces_of(LARGE), faces_of(moved), [(one, two)])
        assert np.array_equal(first, second)

    def test_pairs_without_both_faces_are_left_out_and_counted(self) -> None:
        pictures = [(noise(0), noise(1))] * 30
        first = faces_by_key([LARGE], [LARGE], [LARGE], [], [], [])
        second = faces_by_key([], [], [LARGE], [LARGE], [LARGE], [LARGE])
        feature, asked = compare(first, second, pictures)
        assert feature["time"].tolist() == [10 / 25]
        assert (feature.meta["frames"], feature.meta["seconds"]) == (30, 1.2)
        assert (feature.meta["first_faces"], feature.meta["second_faces"]) == (11, 20)
        assert len(asked) == 1

    def test_the_responders_are_chosen_at_the_end(self) -> None:
        # A passer-by is as large as the one who stays, who alone counts.
        first = faces_by_key(*[[LARGE, LARGER]] * 2, *[[LARGE]] * 10)
        second = faces_by_key(*[[SMALL, LARGE]] * 12)
        feature, asked = compare(first, second, self.pictures)
        expected = [difference(square_of(one, LARGE, 256), square_of(two, LARGE, 256)) for one, two in self.pictures]
        assert feature["value"].tolist() == expected
        assert len(asked) == 4 * 6

    def test_a_jump_costs_the_frames_around_it_alone(self) -> None:
        # Frames 6 to 9 lie between the two places; the reference jumps one key frame later.
        first = faces_by_key([LARGE], [LARGE], [LARGER], [LARGER])
        second = faces_by_key([LARGE], [LARGE], [LARGE], [LARGER])
        feature, _ = compare(first, second, [(noise(0), noise(1))] * 20)
        assert feature["time"].tolist() == [
            index / 25 for index in range(20) if index not in {6, 7, 8, 9, 11, 12, 13, 14}
        ]
        assert (feature.meta["first_faces"], feature.meta["second_faces"]) == (16, 16)
        there = difference(square_of(noise(0), LARGER, 256), square_of(noise(1), LARGE, 256))
        assert feature["value"][feature["time"].tolist().index(10 / 25)] == there

    def test_at_most_two_faces_of_a_picture_are_compared(self) -> None:
        crowd = [(float(x), 300.0, x + 40.0, 340.0) for x in range(0, 400, 60)]
        feature, asked = compare(faces_of(*crowd, LARGE), faces_of(LARGER, *crowd), self.pictures)
        assert len(asked) == 4 * 6
        expected = [difference(square_of(one, LARGE, 256), square_of(two, LARGER, 256)) for one, two in self.pictures]
        assert feature["value"].tolist() == expected

    def test_a_responder_behind_two_larger_ones_is_not_seen(self) -> None:
        # Two large ones pass by, then the one who stays is the largest: in the first frames there is no value.
        other = (50.0, 250.0, 200.0, 400.0)
        first = faces_by_key(*[[LARGE, LARGER, other]] * 2, *[[LARGE]] * 20)
        feature, _ = compare(first, faces_of(LARGE), [(noise(0), noise(1))] * 30)
        assert feature.meta["first_faces"] == 30 - 6
        assert len(feature["value"]) == 24

    def test_no_face_at_all(self) -> None:
        feature, asked = compare(faces_of(), faces_of(LARGE), self.pictures)
        assert len(feature["value"]) == len(asked) == 0
        assert (feature.meta["first_faces"], feature.meta["second_faces"]) == (0, 6)

    def test_a_square_is_scaled_by_pillow_in_one_step(self) -> None:
        small = noise(0, 40, 40)
        expected = np.asarray(Image.fromarray(small).resize((256, 256), Image.Resampling.BICUBIC))
        assert np.array_equal(resize_square(small, 256), expected)


class TestLpipsFace:
    @staticmethod
    def score(values: Sequence[float], common: int, faces: int, reference_faces: int) -> Score:
        meta = {"fps": 25, "seconds": common / 25, "frames": common}
        arrays = {"value": np.array(values, float), "time": np.arange(common - len(values), common) / 25}
        feature = Feature(arrays, {**WHOLE, **meta, "first_faces": faces, "second_faces": reference_faces})
        return LpipsFace().score(SAMPLE, {"frames": feature, "reference": Feature({}, {"frames": 40})})

    def test_is_the_mean_of_the_pairs_with_both_faces(self) -> None:
        score = self.score([0.1] * 10 + [0.4] * 10, 40, 25, 35)
        assert score.value == pytest.approx(0.25)
        assert score.details == {
            "seconds": 1.6, "reference_seconds": 1.6, "shown": 1.0, "common": pytest.approx(0.25), "frames": 20,
            "highest": 0.4, "pairs": 40, "faces": 25, "reference_faces": 35, **WHOLE,
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("pairs", "faces", "reference_faces", "status", "words"),
        [
            (19, 19, 40, Status.OUTPUT_INVALID, "the reply shows the responder's face in 19"),
            (0, 0, 40, Status.OUTPUT_INVALID, "the reply shows the responder's face in 0"),
            (15, 22, 30, Status.OUTPUT_INVALID, "in 22, together with the real one in 15, of 40"),
            (19, 40, 19, Status.NOT_APPLICABLE, "the real reply shows the responder's face in 19 of 40"),
            (0, 0, 0, Status.NOT_APPLICABLE, "the real reply"),
            (10, 30, 20, Status.NOT_APPLICABLE, "both replies"),
            (10, 25, 25, Status.NOT_APPLICABLE, "both replies show the responder's face in 10 of 40"),
        ],
    )
    def test_the_side_that_lacks_its_face_decides(
        self, pairs: int, faces: int, reference_faces: int, status: Status, words: str
    ) -> None:
        score = self.score([0.2] * pairs, 40, faces, reference_faces)
        assert score.status is status
        assert words in str(score.reason)
        assert "at least half is needed" in str(score.reason)
        assert (score.details["faces"], score.details["reference_faces"]) == (faces, reference_faces)

    @pytest.mark.parametrize("common", [0, 24])
    def test_under_a_second_in_common_is_invalid_whoever_shows_a_face(self, common: int) -> None:
        score = self.score([], common, 0, 0)
        assert score.status is Status.OUTPUT_INVALID
        assert "1 s is needed" in str(score.reason)

    def test_is_another_protocol_than_of_whole_pictures(self) -> None:
        made = LpipsFace()
        assert made.card.protocol == "lpips/alex-v0.1-face1.3-256-25fps-v2" != Lpips().card.protocol
        assert (made.card.null, made.card.worst, made.card.direction) == ("shuffled_replies", 1.0, "lower")
        assert LpipsFace(fps=5).card.protocol == "lpips/alex-v0.1-face1.3-256-5fps-v2"
        need, _ = made.needs()
        assert need.roles == (Role.CANDIDATE, Role.REFERENCE)
        assert need.extractor == LpipsFaces().spec


class Painted(FrameExtractor):
    """Instead of a detector: the box lies where a clip was painted, and is told as late as face tracks are."""

    id = "t/faces"

    def __init__(self, box: tuple[float, ...]) -> None:
        super().__init__()
        self._box = box

    @property
    def fps(self) -> float:
        return 5.0

    def begin(self, clip: ClipInfo, upstream: Mapping[str, Timeline]) -> TimelineSession:
        return _PaintedSession(self._box)


class _PaintedSession(TimelineSession):
    def __init__(self, box: tuple[float, ...]) -> None:
        self._timeline = FaceTimeline(5.0)
        self._box = np.array([box])

    def push(self, frame: Frame) -> None:
        self._timeline.add_key(self._box, np.zeros((1, 5, 2)), np.array([0.99]))

    def horizon(self) -> float:
        return self._timeline.horizon()

    def at(self, time: float) -> object:
        return self._timeline.at(time)

    def finish(self) -> Feature:
        self._timeline.close()
        return self._timeline.to_feature()

    def result(self) -> Feature:
        return self._timeline.to_feature()


class TestPass:
    def test_faces_of_both_clips_are_compared_in_one_pass(
        self, tmp_path: Path, make_clip: Callable[..., Path], clips: ModuleType
    ) -> None:
        # Pictures of 192 x 120 are scaled by 4 to cover 480 x 768; the clips differ in length, rate and place.
        paths = [
            make_clip(tmp_path / "one.mp4", seconds=2, size=(192, 120), audio=None),
            make_clip(tmp_path / "two.mp4", seconds=1.4, fps=50, size=(192, 120), audio=None),
        ]
        sources = [ClipSource(str(path), probe(path)) for path in paths]
        shas = [source.sha256 for source in sources]
        boxes = [(60.0, 30.0, 90.0, 60.0), (100.0, 40.0, 140.0, 80.0)]
        pair = LpipsFaces()
        pair._distance = difference  # type: ignore[assignment]
        tasks = [FeatureRequest(f"faces {i}", ExtractorSpec.of("t/faces"), (sha,)) for i, sha in enumerate(shas)]
        upstream = {side_name(i, "faces"): f"faces {i}" for i in range(2)}
        tasks.append(FeatureRequest("window", GUIDES["window"], (shas[1],), stored=True))
        upstream |= {side_name(i, "window"): "window" for i in range(2)}
        tasks.append(FeatureRequest("pair", pair.spec, tuple(shas), upstream, guides=frozenset({"window"})))
        extractors: dict[str, Extractor | Failure] = {
            "faces 0": Painted(boxes[0]), "faces 1": Painted(boxes[1]), "window": FaceWindow(), "pair": pair,
        }  # fmt: skip
        window = cover_window(120, 192).feature()
        report = DecodePass(Job(tuple(sources), tuple(tasks)), extractors, {"window": window}.get).run()
        feature = report.outcomes["pair"]
        assert isinstance(feature, Feature), feature
        assert report.passes == {str(path): 1 for path in paths}
        assert dict(feature.meta) == {
            "fps": 25, "seconds": 1.4, "frames": 35, "first_faces": 35, "second_faces": 35,
            "kept": 1.0, "face_kept": None, "anchored": False,
        }  # fmt: skip
        decoded = [[picture.rgb() for picture, _ in source.open(video=True, audio=False)] for source in sources]
        expected = []
        for index in range(35):
            squares = []
            for pixels, box in zip((decoded[0][index], decoded[1][2 * index]), boxes, strict=True):
                cut = cut_face(Picture(pixels).cover(480, 768), np.array(box), (120, 192))
                assert cut is not None
                squares.append(resize_square(cut, 256))
            expected.append(difference(*squares))
        assert feature["value"].tolist() == expected
