"""The distribution metrics without their large networks: which frames are taken, what counts, what each card says."""

from __future__ import annotations

import hashlib
import importlib
import warnings
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from windows import WHOLE, cover_window, cut_face, guide

from vidchatbench.api import (
    ClipInfo,
    ExtractorContext,
    Feature,
    Role,
    Sample,
    Score,
    SetItem,
    SetMetric,
    Side,
    Status,
)
from vidchatbench.media.frames import GridFrame, Picture
from vidchatbench_metrics import video_quality
from vidchatbench_metrics.common.set_distances import FrechetDistance, GaussianMmd, PolynomialMmd
from vidchatbench_metrics.faces.timeline import FaceTimeline
from vidchatbench_metrics.video_quality import clip_image, inception
from vidchatbench_metrics.video_quality.distribution import (
    Cmmd,
    CmmdFace,
    Fid,
    FidFace,
    Fvd,
    Fvd128,
    FvdFace,
    Kid,
    KidFace,
    Kvd,
    Kvd128,
    KvdFace,
)
from vidchatbench_metrics.video_quality.even_frames import CAPACITY, EvenFrames, even_indices
from vidchatbench_metrics.video_quality.i3d import I3dClip
from vidchatbench_metrics.video_quality.inception import InceptionFaces, InceptionFrames
from vidchatbench_metrics.video_quality.weights import DISTRIBUTION_WEIGHTS

SIDE = Side(media="a.mp4", sha256="0" * 64, speaker_id="s")
SAMPLE = Sample(id="x", task="dialogue", language="en", initiator=SIDE, responder=SIDE)
CLIP = ClipInfo(width=768, height=480, duration=0.0)
BY_HASH = "sha256:" + "0123456789abcdef" * 4
DISTRIBUTION_METRICS = {name: target for name, target in video_quality.METRICS.items() if ".distribution:" in target}
METRICS: list[type[SetMetric]] = [
    Fid, Kid, FidFace, KidFace, Fvd, Kvd, FvdFace, KvdFace, Fvd128, Kvd128, Cmmd, CmmdFace,
]  # fmt: skip
FACE_MOTION = {FvdFace, KvdFace}
every_metric = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.__name__)


@dataclass
class Tiny:
    """A frame whose pictures are one pixel, so that clips of minutes cost nothing."""

    index: int
    asked: list[int] = field(default_factory=list)

    @property
    def time(self) -> float:
        return self.index / 25

    def rgb(self) -> np.ndarray:
        return np.zeros((2, 3, 3), np.uint8)

    def cover(self, height: int, width: int) -> np.ndarray:
        raise NotImplementedError

    def window(self, box: tuple[float, float, float, float], height: int, width: int) -> np.ndarray:
        assert (height, width) == (480, 768)
        self.asked.append(self.index)
        return np.full((1, 1, 3), self.index % 251, np.uint8)

    def fit(self, longest: int) -> tuple[np.ndarray, float]:
        raise NotImplementedError


def frame(index: int, pixels: np.ndarray) -> GridFrame:
    return GridFrame(Picture(pixels), index, Fraction(index, 25))


class TestEvenFrames:
    @pytest.mark.parametrize("n", [*range(135), 250, 256, 257, 1023, 1024, 1025, 4500])
    def test_streaming_keeps_what_the_rule_takes(self, n):
        even = EvenFrames(cover_window(2, 3))
        for index in range(n):
            even.push(Tiny(index))
        chosen = even.chosen()
        assert even.frames == n
        assert list(chosen) == even_indices(n)
        for index, kept in chosen.items():
            assert kept.time == index / 25
            assert kept.pixels[0, 0, 0] == index % 251
            assert kept.source == (2, 3)

    def test_worked_out_by_hand(self):
        assert even_indices(16) == list(range(16))
        assert even_indices(32) == list(range(1, 32, 2))
        assert even_indices(64) == list(range(2, 64, 4))
        # 65 frames: 2, 6, 10, ... 62 are wanted and even, the second to last is 58.9 -> 58
        assert even_indices(65) == [2, 6, 10, 14, 18, 22, 26, 30, 34, 38, 42, 46, 50, 54, 58, 62]
        # 1000 frames: stride 16; 31.25, 93.75, ... -> 31, 93, ... -> 32, 96, ...
        assert even_indices(1000) == [32, 96, 160, 224, 288, 336, 400, 464, 528, 592, 656, 720, 784, 848, 912, 960]

    @pytest.mark.parametrize("n", [16, 25, 64, 65, 127, 129, 250, 1000, 4500])
    def test_sixteen_frames_close_to_even(self, n):
        indices = even_indices(n)
        assert len(indices) == 16
        assert indices[0] >= 0
        assert indices[-1] < n
        wanted = (np.arange(16) + 0.5) * n / 16
        assert np.abs(np.array(indices) - wanted).max() <= max(1.0, n / 64 + 1)

    def test_short_clips_have_fewer(self):
        assert even_indices(0) == []
        assert even_indices(1) == [0]
        assert even_indices(5) == [0, 1, 2, 3, 4]

    def test_memory_is_bounded_and_few_pictures_are_scaled(self):
        even = EvenFrames(cover_window(2, 3))
        asked: list[int] = []
        for index in range(5000):
            even.push(Tiny(index, asked))
            assert len(even._kept) <= CAPACITY
        assert len(asked) < 5 * CAPACITY


class TestFaceSquare:
    picture = np.random.default_rng(0).integers(0, 256, (480, 768, 3), np.uint8)

    def test_of_a_picture_that_needs_no_scaling(self):
        square = cut_face(self.picture, np.array([300.0, 100.0, 360.0, 200.0]), (480, 768))
        assert square is not None
        # 1.3 x 100 pixels around (330, 150)
        assert np.array_equal(square, self.picture[85:215, 265:395])

    def test_follows_the_scaling_and_the_crop(self):
        # 1920 x 1080 covers 768 x 480 at 4/9, which leaves 853.3 columns; 42.7 are cut off on each side.
        box = np.array([300.0, 100.0, 360.0, 200.0])
        full = (box + np.array([128 / 3, 0, 128 / 3, 0])) * 9 / 4
        square = cut_face(self.picture, full, (1080, 1920))
        assert square is not None
        assert np.array_equal(square, self.picture[85:215, 265:395])

    @pytest.mark.parametrize(
        ("box", "rows", "columns"),
        [((0, 0, 100, 100), (0, 130), (0, 130)), ((668, 380, 768, 480), (350, 480), (638, 768))],
    )
    def test_is_moved_into_the_picture(self, box, rows, columns):
        square = cut_face(self.picture, np.array(box, float), (480, 768))
        assert square is not None
        assert np.array_equal(square, self.picture[slice(*rows), slice(*columns)])

    def test_is_never_larger_than_the_picture(self):
        square = cut_face(self.picture, np.array([100.0, -100.0, 700.0, 500.0]), (480, 768))
        assert square is not None
        assert np.array_equal(square, self.picture[:, 160:640])

    def test_a_face_outside_the_window_is_none(self):
        # Of a portrait picture of 480 x 1080 only the middle 300 rows are left.
        assert cut_face(self.picture, np.array([200.0, 100.0, 280.0, 200.0]), (1080, 480)) is None
        assert cut_face(self.picture, np.array([200.0, 500.0, 280.0, 600.0]), (1080, 480)) is not None

    def test_a_tiny_face_is_none(self):
        assert cut_face(self.picture, np.array([100.0, 100.0, 112.0, 108.0]), (480, 768)) is not None
        assert cut_face(self.picture, np.array([100.0, 100.0, 111.0, 108.0]), (480, 768)) is None


class Levels:
    """Instead of a network: the mean of each picture, and its number of rows."""

    def __init__(self, *_: object) -> None:
        pass

    def __call__(self, pictures):
        if isinstance(pictures, np.ndarray):
            return np.array([pictures.mean(), len(pictures)], np.float32)
        rows = [[picture.mean(), len(picture)] for picture in pictures]
        return np.array(rows, np.float32) if rows else np.zeros((0, 0), np.float32)


def gray(index: int, shape: tuple[int, int] = (480, 768)) -> np.ndarray:
    return np.full((*shape, 3), index, np.uint8)


class TestSessions:
    context = ExtractorContext("cpu", 4, {"inception_fid": Path("a"), "clip_vit_l14_336": Path("b")})

    @pytest.mark.parametrize("name", ["frames", "clip"])
    def test_whole_frames(self, name, monkeypatch):
        monkeypatch.setattr(inception, "InceptionFeatures", Levels)
        monkeypatch.setattr(clip_image, "ClipImageEncoder", Levels)
        extractor = InceptionFrames() if name == "frames" else clip_image.ClipImageFrames()
        extractor.setup(self.context)
        session = extractor.begin(CLIP, guide())
        for index in range(30):
            session.push(frame(index, gray(index)))
        feature = session.finish()
        assert feature["embedding"][:, 0].tolist() == even_indices(30)
        assert feature["time"].tolist() == [index / 25 for index in even_indices(30)]
        assert dict(feature.meta) == {"frames": 30, "chosen": 16, **WHOLE}
        assert feature["embedding"].dtype == np.float32

    @pytest.mark.parametrize("extractor", [InceptionFrames(), clip_image.ClipImageFrames()])
    def test_a_clip_without_frames(self, extractor, monkeypatch):
        monkeypatch.setattr(inception, "InceptionFeatures", Levels)
        monkeypatch.setattr(clip_image, "ClipImageEncoder", Levels)
        extractor.setup(self.context)
        feature = extractor.begin(CLIP, guide()).finish()
        assert feature["embedding"].shape == (0, 0)
        assert feature.meta["frames"] == 0

    def test_faces_are_those_of_the_responder(self, monkeypatch):
        monkeypatch.setattr(inception, "InceptionFeatures", Levels)
        faces = FaceTimeline(5.0)
        small, large = np.array([0.0, 0.0, 20.0, 20.0]), np.array([300.0, 100.0, 400.0, 200.0])
        extractor = InceptionFaces()
        extractor.setup(self.context)
        session = extractor.begin(CLIP, {"faces": faces, **guide()})
        for key in range(8):
            # The bystander is seen first and throughout, the responder from key frame 3 on.
            boxes = np.stack([small, large]) if key >= 3 else small[None]
            faces.add_key(boxes, np.zeros((len(boxes), 5, 2)), np.full(len(boxes), 0.99))
        for index in range(40):
            session.push(frame(index, gray(index)))
        faces.close()
        feature = session.finish()
        seen = [index for index in even_indices(40) if index >= 15]
        assert feature["embedding"][:, 0].tolist() == seen
        assert set(feature["embedding"][:, 1].tolist()) == {130.0}
        assert feature["time"].tolist() == [index / 25 for index in seen]
        assert dict(feature.meta) == {"frames": 40, "chosen": 16, **WHOLE}

    def test_no_face_at_all(self, monkeypatch):
        monkeypatch.setattr(inception, "InceptionFeatures", Levels)
        faces = FaceTimeline(5.0)
        extractor = InceptionFaces()
        extractor.setup(self.context)
        session = extractor.begin(CLIP, {"faces": faces, **guide()})
        for index in range(30):
            session.push(frame(index, gray(index)))
        faces.close()
        feature = session.finish()
        assert feature["embedding"].shape == (0, 0)
        assert feature.meta["chosen"] == 16


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TorchScript archive with the signature of I3D that tells which numbers it was given."""
    torch = pytest.importorskip("torch")

    class Witness(torch.nn.Module):
        def forward(
            self, x: torch.Tensor, rescale: bool = False, resize: bool = False, return_features: bool = False
        ) -> torch.Tensor:
            flags = torch.tensor([[float(rescale), float(resize), float(return_features), float(x.shape[0])]])
            moments = torch.cat([x.mean(dim=[3, 4]).flatten(1), x.std(dim=[2, 3, 4])], dim=1)
            return torch.cat([flags, moments], dim=1)

    path = tmp_path_factory.mktemp("weights") / "witness.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        torch.jit.save(torch.jit.script(Witness()), str(path))
    return path


class TestI3d:
    def extractor(self, archive: Path, every: int) -> I3dClip:
        name = f"sha256:{hashlib.sha256(archive.read_bytes()).hexdigest()}"
        extractor = I3dClip(network=name, every=every)
        assert extractor.weights == (name,)
        extractor.setup(ExtractorContext("cpu", 8, {name: archive}))
        return extractor

    def run(self, extractor: I3dClip, n: int) -> tuple[Feature, int]:
        session = extractor.begin(CLIP, guide())
        pushed = 0
        while pushed < n and not session.done:
            colored = np.stack([np.full((480, 768), pushed + 50 * channel, np.uint8) for channel in range(3)], axis=2)
            session.push(frame(pushed, colored))
            pushed += 1
        return session.finish(), pushed

    @pytest.mark.parametrize(("every", "pushed"), [(1, 25), (8, 128)])
    def test_the_frames_reach_the_network_in_their_order(self, archive, every, pushed):
        feature, taken = self.run(self.extractor(archive, every), 200)
        row = feature["embedding"][0]
        assert feature["embedding"].shape == (1, 4 + 48 + 3)
        assert row[:4].tolist() == [1, 1, 1, 1]
        indices = np.arange(16) * every
        assert row[4:52].reshape(3, 16).tolist() == [(indices + 50 * channel).tolist() for channel in range(3)]
        assert taken == pushed
        assert feature.meta["frames"] == pushed

    def test_too_short(self, archive):
        extractor = self.extractor(archive, 8)
        feature, _ = self.run(extractor, 127)
        assert feature["embedding"].shape == (0, 0)
        assert feature.meta["frames"] == 127
        assert len(self.run(extractor, 128)[0]["embedding"]) == 1

    def test_every_run_gives_the_same_bits(self, archive):
        extractor = self.extractor(archive, 1)
        first = self.run(extractor, 30)[0]["embedding"]
        for _ in range(4):
            assert np.array_equal(self.run(extractor, 30)[0]["embedding"], first)


def feature_of(metric: SetMetric, frames: int, *, rows: int = 16, level: float = 0.0) -> Feature:
    """A feature as the metric's extractor gives it."""
    motion = metric.needs()[0].extractor.id.startswith("video_quality/i3d_")
    embedding = np.full((1 if motion else rows, 4), level, np.float32)
    return Feature({"embedding": embedding}, {"frames": frames, "chosen": min(frames, 16), "faces": rows, **WHOLE})


def item(metric: SetMetric, candidate: Feature, reference: Feature) -> SetItem | Score:
    return metric.item({"candidate": candidate, "reference": reference})


class TestItems:
    @every_metric
    def test_rows_of_both_sides(self, metric):
        made = metric()
        found = item(made, feature_of(made, 200, rows=15, level=1.0), feature_of(made, 150, level=3.0))
        assert isinstance(found, SetItem)
        counts = {"faces": 15, "reference_faces": 16} if metric in FACE_MOTION else {}
        assert set(found.candidate.ravel()) == {1.0}
        assert set(found.reference.ravel()) == {3.0}
        assert found.details == {
            "frames": 200, "rows": len(found.candidate), "reference_rows": len(found.reference), **counts, **WHOLE,
        }  # fmt: skip
        score = made.score(
            SAMPLE, {"candidate": feature_of(made, 200, level=1.0), "reference": feature_of(made, 150, level=3.0)}
        )
        assert (score.status, score.value) == (Status.OK, 4.0)

    @every_metric
    def test_a_short_reply_is_charged_and_a_short_real_one_is_not(self, metric):
        made = metric()
        short, long = feature_of(made, 24), feature_of(made, 200)
        charged, excused, both = item(made, short, long), item(made, long, short), item(made, short, short)
        assert isinstance(charged, Score)
        assert isinstance(excused, Score)
        assert isinstance(both, Score)
        assert charged.status is Status.OUTPUT_INVALID
        assert "the reply lasts 0.96 s" in str(charged.reason)
        assert charged.details == {"frames": 24}
        assert excused.status is Status.NOT_APPLICABLE
        assert "the real reply lasts 0.96 s" in str(excused.reason)
        assert both.status is Status.NOT_APPLICABLE

    @pytest.mark.parametrize("metric", [Fvd128, Kvd128])
    def test_128_frames_are_needed(self, metric):
        made = metric()
        almost, enough = feature_of(made, 127), feature_of(made, 128)
        assert isinstance(item(made, enough, enough), SetItem)
        charged, excused = item(made, almost, enough), item(made, enough, almost)
        assert isinstance(charged, Score)
        assert isinstance(excused, Score)
        assert charged.status is Status.OUTPUT_INVALID
        assert "lasts 5.08 s; 5.12 s is needed" in str(charged.reason)
        assert excused.status is Status.NOT_APPLICABLE

    @pytest.mark.parametrize("metric", [FidFace, KidFace, FvdFace, KvdFace, CmmdFace])
    def test_the_face_is_needed_in_half_of_the_frames(self, metric):
        made = metric()
        few, half = feature_of(made, 100, rows=7), feature_of(made, 100, rows=8)
        found = item(made, half, half)
        assert isinstance(found, SetItem)
        assert len(found.candidate) == (1 if metric in FACE_MOTION else 8)
        charged, excused = item(made, few, half), item(made, half, few)
        assert isinstance(charged, Score)
        assert isinstance(excused, Score)
        assert charged.status is Status.OUTPUT_INVALID
        assert "face in 7 of 16 frames" in str(charged.reason)
        assert excused.status is Status.NOT_APPLICABLE
        assert "the real reply shows" in str(excused.reason)


class TestDistances:
    candidates = list(np.random.default_rng(0).normal(size=(9, 4, 6)))
    references = list(np.random.default_rng(1).normal(0.2, 1, size=(9, 4, 6)))

    @pytest.mark.parametrize(
        ("metric", "distance"),
        [
            (Fid, lambda c, r: FrechetDistance(c, r, ddof=1)),
            (FidFace, lambda c, r: FrechetDistance(c, r, ddof=1)),
            (Fvd, lambda c, r: FrechetDistance(c, r, ddof=0)),
            (FvdFace, lambda c, r: FrechetDistance(c, r, ddof=0)),
            (Fvd128, lambda c, r: FrechetDistance(c, r, ddof=0)),
            (Kid, lambda c, r: PolynomialMmd(c, r, 3, 1 / 6, 1.0)),
            (KidFace, lambda c, r: PolynomialMmd(c, r, 3, 1 / 6, 1.0)),
            (Kvd, lambda c, r: PolynomialMmd(c, r, 3, 1 / 6, 1.0)),
            (KvdFace, lambda c, r: PolynomialMmd(c, r, 3, 1 / 6, 1.0)),
            (Kvd128, lambda c, r: PolynomialMmd(c, r, 3, 1 / 6, 1.0)),
            (Cmmd, lambda c, r: GaussianMmd(c, r, 10.0, 1000.0)),
            (CmmdFace, lambda c, r: GaussianMmd(c, r, 10.0, 1000.0)),
        ],
    )
    def test_constants(self, metric, distance):
        selection = np.arange(9), np.arange(9)
        expected = distance(self.candidates, self.references).between(*selection)
        assert metric().distance(self.candidates, self.references).between(*selection) == expected


class TestCards:
    @every_metric
    def test_the_card_and_the_tables_agree(self, metric):
        made = metric()
        target = DISTRIBUTION_METRICS[made.card.id]
        module, _, name = target.partition(":")
        assert getattr(importlib.import_module(module), name) is metric
        assert made.card.aggregation == "set"
        assert made.card.direction == "lower"
        assert made.card.roles == (Role.CANDIDATE, Role.REFERENCE)
        table = {spec.name: spec for spec in DISTRIBUTION_WEIGHTS}
        (need, other) = made.needs()
        assert (need.roles, other.roles) == ((Role.CANDIDATE,), (Role.REFERENCE,))
        assert need.extractor == other.extractor
        module, _, name = video_quality.EXTRACTORS[need.extractor.id].partition(":")
        extractor = getattr(importlib.import_module(module), name)(**dict(need.extractor.params))
        assert extractor.id == need.extractor.id
        assert extractor.fps == 25
        assert extractor.weights == made.card.weights[:1]
        assert set(made.card.weights[1:]) == {"mtcnn_pnet", "mtcnn_rnet", "mtcnn_onet"}, "the window needs the face"
        assert made.card.commercial_use is table[made.card.weights[0]].commercial_use

    @every_metric
    def test_only_what_cannot_be_negative_has_a_minimum(self, metric):
        unbiased = metric in {Kid, KidFace, Kvd, KvdFace, Kvd128}
        assert metric.default_card.minimum == (None if unbiased else 0.0)

    @every_metric
    def test_another_network_is_another_protocol(self, metric):
        official, other = metric(), metric(network=BY_HASH)
        assert other.card.protocol != official.card.protocol
        assert "sha256-0123456789ab-" in f"{other.card.protocol}-"
        assert "sha256-0123456789ab" in other.card.protocol_text
        assert str(official.params["network"]) not in other.card.protocol_text
        assert other.card.weights == (BY_HASH, *official.card.weights[1:])
        assert not other.card.commercial_use
        assert "unknown" in str(other.card.weights_license)
        assert dict(other.needs()[0].extractor.params)["network"] == BY_HASH

    @every_metric
    @pytest.mark.parametrize("network", ["vgg16", "sha256:abc", f"{BY_HASH}0", BY_HASH.upper()])
    def test_an_unknown_network_is_refused(self, metric, network):
        with pytest.raises(ValueError, match="has no network"):
            metric(network=network)

    def test_all_protocols_differ(self):
        protocols = [metric.default_card.protocol for metric in METRICS]
        assert len(set(protocols)) == len(METRICS) == len(DISTRIBUTION_METRICS)

    def test_weights_are_named_with_published_hashes(self):
        assert {spec.name: (spec.sha256 or "")[:8] for spec in DISTRIBUTION_WEIGHTS} == {
            "inception_fid": "6726825d",
            "i3d_torchscript": "bec6519f",
            "clip_vit_l14_336": "c6032c2e",
        }
