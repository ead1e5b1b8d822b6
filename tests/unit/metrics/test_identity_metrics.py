"""FaceNet likeness and identity drift as pure functions, the crop of a face, and the sessions that networks share."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from vidchatbench.api import ClipInfo, Feature, Metric, Role, Sample, Side, Status
from vidchatbench.media.frames import GridFrame, Picture
from vidchatbench.plugins.catalogue import load_catalogue
from vidchatbench_metrics.faces.mtcnn import Detections
from vidchatbench_metrics.faces.timeline import FaceTimeline
from vidchatbench_metrics.identity import embeddings
from vidchatbench_metrics.identity.encoders import FaceEncoder
from vidchatbench_metrics.identity.facenet_network import crop_face, standardised

SIDE = Side(media="a.mp4", sha256="0" * 64, speaker_id="s")
SAMPLE = Sample(id="x", task="dialogue", language="en", initiator=SIDE, responder=SIDE)
OFFICIAL = {"identity/arcface": "w600k_r50", "identity/drift": "w600k_r50", "identity/facenet": "vggface2"}


def metric(name: str, **params: str | int) -> Metric:
    return load_catalogue().metric(name, **params)


def at_cosine(*values: float) -> NDArray[np.float32]:
    """Rows of length 1 with the given cosines to (1, 0)."""
    return np.stack([[value, np.sqrt(1 - value**2)] for value in values]).astype(np.float32)


def clip(values: list[float], *, fps: int = 2, missing: tuple[int, ...] = ()) -> Feature:
    """A clip with one cosine per frame, and no face in the frames ``missing``."""
    shown = [k for k in range(len(values)) if k not in missing]
    rows = at_cosine(*(values[k] for k in shown)) if shown else np.zeros((0, 0), np.float32)
    return Feature({"embedding": rows, "time": np.array([k / fps for k in shown])}, {"frames": len(values)})


def features(
    values: list[float], real: list[float] | None = None, *, fps: int = 2, missing: tuple[int, ...] = ()
) -> dict[str, Feature]:
    """Features of a reply; its real reply is at cosine 1 throughout unless it is given."""
    return {
        "frames": clip(values, fps=fps, missing=missing),
        "real_frames": clip([1.0] * 60 if real is None else real),
        "image": Feature({"embedding": at_cosine(1.0)[0]}, {"time": 0.0}),
    }


class TestDrift:
    def test_is_late_minus_early(self) -> None:
        score = metric("identity/drift", network="mobilefacenet", fps=2).score(
            SAMPLE, features([0.9, 0.8, 0.1, 0.2, 0.5, 0.3])
        )
        # Thirds of six frames are two each; what lies between them does not count.
        assert score.value == pytest.approx((0.5 + 0.3) / 2 - (0.9 + 0.8) / 2, abs=1e-6)
        assert score.details["early"] == pytest.approx(0.85, abs=1e-6)
        assert score.details["late"] == pytest.approx(0.4, abs=1e-6)
        assert score.details["face_seconds"] == 3.0

    def test_turns_its_sign_with_time(self) -> None:
        values = [0.9, 0.8, 0.5, 0.4, 0.2, 0.1]
        drift = metric("identity/drift", fps=2)
        away, towards = drift.score(SAMPLE, features(values)), drift.score(SAMPLE, features(values[::-1]))
        assert away.value is not None
        assert away.value < 0
        assert towards.value == pytest.approx(-away.value, abs=1e-6)

    def test_of_a_face_that_stays_is_0_even_if_it_is_the_wrong_one(self) -> None:
        drift = metric("identity/drift", fps=2)
        for value in (1.0, -0.2):
            assert drift.score(SAMPLE, features([value] * 7)).value == pytest.approx(0.0, abs=1e-7)
        assert drift.card.ideal is None, "the real reply itself is not at 0"

    def test_a_still_scores_what_the_real_reply_scores(self) -> None:
        drift = metric("identity/drift", fps=2)
        for real in ([0.9, 0.9, 0.8, 0.8, 0.6, 0.7], [0.6, 0.7, 0.8, 0.8, 0.9, 0.9]):
            oracle = drift.score(SAMPLE, features(real, real))
            assert oracle.value == pytest.approx((real[4] + real[5] - real[0] - real[1]) / 2, abs=1e-6)
            still = drift.score(SAMPLE, features([0.995] * 6, real))
            assert still.value == pytest.approx(oracle.value, abs=1e-6)
            assert still.details["uncapped"] == pytest.approx(0.0, abs=1e-6)

    def test_each_third_is_cut_at_the_real_replys_own(self) -> None:
        score = metric("identity/drift", fps=2).score(
            SAMPLE, features([0.9, 0.9, 0.5, 0.5, 0.3, 0.3], [0.8, 0.8, 0.0, 0.0, 0.7, 0.7])
        )
        assert score.value == pytest.approx(0.3 - 0.8, abs=1e-6)
        assert score.details == pytest.approx(
            {
                "early": 0.9,
                "late": 0.3,
                "real_early": 0.8,
                "real_late": 0.7,
                "uncapped": -0.6,
                "frames": 6,
                "coverage": 1.0,
                "face_seconds": 3.0,
            },
            abs=1e-6,
        )

    @pytest.mark.parametrize(("frames", "status"), [(3, Status.NOT_APPLICABLE), (4, Status.OK)])
    def test_a_real_reply_that_is_too_short_is_nobodys_fault(self, frames: int, status: Status) -> None:
        for candidate in ([0.5] * 8, [0.5] * 3):
            score = metric("identity/drift", fps=2).score(SAMPLE, features(candidate, [0.5] * frames))
            assert score.status is (status if len(candidate) == 8 or frames == 3 else Status.OUTPUT_INVALID)

    def test_counts_thirds_of_the_frames_with_the_face(self) -> None:
        # A person who turns away in the beginning: the first face seen is the early one.
        values = [0.0, 0.0, 0.0, 0.9, 0.9, 0.5, 0.5, 0.3, 0.3]
        score = metric("identity/drift", fps=2).score(SAMPLE, features(values, missing=(0, 1, 2)))
        assert score.value == pytest.approx(-0.6, abs=1e-6)

    def test_is_the_same_at_any_rate(self) -> None:
        values = [0.8] * 20 + [0.5] * 20 + [0.1] * 20
        score = metric("identity/drift").score(SAMPLE, features(values, fps=25))
        assert score.value == pytest.approx(-0.7, abs=1e-6)

    @pytest.mark.parametrize(("frames", "status"), [(3, Status.OUTPUT_INVALID), (4, Status.OK)])
    def test_needs_two_seconds_of_the_face(self, frames: int, status: Status) -> None:
        score = metric("identity/drift", fps=2).score(SAMPLE, features([0.5] * frames))
        assert score.status is status
        assert score.reason is None or "1.50 s; 2 s is needed" in score.reason

    def test_asks_for_what_arcface_asks_for(self) -> None:
        for params in ({}, {"network": "mobilefacenet", "fps": 2}):
            assert metric("identity/drift", **params).needs() == metric("identity/arcface", **params).needs()

    def test_range_holds_every_difference_of_cosines(self) -> None:
        card = metric("identity/drift").card
        assert (card.minimum, card.worst, card.maximum, card.direction) == (-2.0, -1.0, 2.0, "higher")


@pytest.mark.parametrize("name", sorted(OFFICIAL))
class TestAllIdentityMetrics:
    def test_a_reference_without_a_face_is_nobodys_fault_even_if_the_candidate_has_none(self, name: str) -> None:
        found = features([0.5] * 60, missing=tuple(range(60)), fps=25)
        found["image"] = Feature({"embedding": np.zeros(0, np.float32)}, {"time": None})
        assert metric(name).score(SAMPLE, found).status is Status.NOT_APPLICABLE

    @pytest.mark.parametrize("missing", [31, 60])
    def test_a_face_in_under_half_of_the_frames_is_invalid(self, name: str, missing: int) -> None:
        score = metric(name).score(SAMPLE, features([0.5] * 60, missing=tuple(range(missing)), fps=25))
        assert score.status is Status.OUTPUT_INVALID
        assert f"{60 - missing} of 60 frames" in str(score.reason)

    @pytest.mark.parametrize(("missing", "status"), [(30, Status.OK), (31, Status.NOT_APPLICABLE)])
    def test_a_real_reply_without_the_face_is_nobodys_fault(self, name: str, missing: int, status: Status) -> None:
        for hidden in ((), tuple(range(60))):
            found = features([0.5] * 60, missing=hidden, fps=25)
            found["real_frames"] = clip([0.5] * 120, missing=tuple(range(2 * missing)))
            score = metric(name).score(SAMPLE, found)
            expected = Status.OUTPUT_INVALID if hidden and status is Status.OK else status
            assert score.status is expected

    def test_no_frame_at_all_is_invalid(self, name: str) -> None:
        assert metric(name).score(SAMPLE, features([])).status is Status.OUTPUT_INVALID

    def test_every_choice_has_a_protocol_of_its_own(self, name: str) -> None:
        by_hash = "sha256:" + "ab" * 32
        cards = [metric(name, **params).card for params in ({}, {"fps": 2}, {"network": by_hash})]
        assert len({card.protocol for card in cards}) == 3
        assert OFFICIAL[name] in cards[0].protocol_text
        assert "2 frames a second" in cards[1].protocol_text
        assert OFFICIAL[name] not in cards[2].protocol_text
        assert cards[2].weights[0] == by_hash
        assert not cards[2].commercial_use
        assert "unknown" in str(cards[2].weights_license)

    def test_reads_the_candidate_the_real_reply_and_the_reference_image(self, name: str) -> None:
        needs = {need.name: need for need in metric(name).needs()}
        assert {key: need.roles for key, need in needs.items()} == {
            "frames": (Role.CANDIDATE,),
            "real_frames": (Role.REFERENCE,),
            "image": (Role.REFERENCE_IMAGE,),
        }
        assert needs["frames"].extractor == needs["real_frames"].extractor
        assert set(metric(name).card.roles) == {Role.CANDIDATE, Role.REFERENCE, Role.REFERENCE_IMAGE}


@pytest.mark.parametrize("name", ["identity/arcface", "identity/facenet"])
class TestLikeness:
    @pytest.mark.parametrize(
        ("values", "value"),
        [([0.995] * 4, 0.8), ([0.9, 0.8, 0.8, 0.7], 0.8), ([0.7, 0.8, 0.8, 0.8], 0.775), ([-0.2] * 4, -0.2)],
    )
    def test_is_cut_at_the_real_replys_own(self, name: str, values: list[float], value: float) -> None:
        score = metric(name).score(SAMPLE, features(values, [0.9, 0.7, 0.8]))
        assert score.value == pytest.approx(value, abs=1e-6)
        assert score.details["uncapped"] == pytest.approx(np.mean(values), abs=1e-6)
        assert score.details["real"] == pytest.approx(0.8, abs=1e-6)
        assert score.details["lowest"] == pytest.approx(min(values), abs=1e-6)

    def test_of_the_real_reply_is_its_own_and_a_still_ties_with_it(self, name: str) -> None:
        real = [0.9, 0.7, 0.8, 0.6]
        oracle = metric(name).score(SAMPLE, features(real, real))
        still = metric(name).score(SAMPLE, features([1.0] * 4, real))
        assert oracle.value == oracle.details["uncapped"] == still.value

    def test_says_so_in_its_name(self, name: str) -> None:
        assert metric(name).card.protocol.endswith("-25fps-capped-v1")


def test_facenet_is_the_mean_cosine_and_permissive() -> None:
    facenet = metric("identity/facenet")
    score = facenet.score(SAMPLE, features([0.9, 0.5, 0.1, 0.3], missing=(3,)))
    assert score.value == pytest.approx(0.5, abs=1e-6)
    assert score.details["lowest"] == pytest.approx(0.1, abs=1e-6)
    assert score.details["coverage"] == 0.75
    assert facenet.card.commercial_use
    assert facenet.card.protocol == "facenet/vggface2-25fps-capped-v1"


def test_facenet_has_no_arcface_network() -> None:
    with pytest.raises(Exception, match="use vggface2 or sha256"):
        metric("identity/facenet", network="mobilefacenet")


class TestCrop:
    def test_rounds_towards_zero_and_stays_inside(self) -> None:
        picture = np.zeros((100, 120, 3), np.uint8)
        picture[10:50, 20:70] = 200
        assert crop_face(picture, np.array([20.9, 10.9, 70.9, 50.9])).min() == 200  # type: ignore[union-attr]
        shown = crop_face(np.full((100, 120, 3), 90, np.uint8), np.array([-30.0, -5.0, 500.0, 500.0]))
        assert shown is not None
        assert (shown.shape, shown.min(), shown.max()) == ((160, 160, 3), 90, 90)

    @pytest.mark.parametrize("box", [[130.0, 10, 150, 40], [-50, 10, -5, 40], [10.2, 5, 10.8, 40], [40, 5, 10, 40]])
    def test_of_nothing_is_none(self, box: list[float]) -> None:
        assert crop_face(np.zeros((100, 120, 3), np.uint8), np.array(box)) is None

    def test_is_standardised_as_the_network_was_trained(self) -> None:
        face = np.zeros((160, 160, 3), np.uint8)
        face[0, 1] = (255, 128, 0)
        batch = standardised(face)
        assert batch.shape == (1, 3, 160, 160)
        assert batch[0, :, 0, 1].tolist() == [127.5 / 128, 0.5 / 128, -127.5 / 128]


class MeanColour:
    """An encoder whose embedding tells which box of which picture it saw."""

    def encode(
        self, picture: NDArray[np.uint8], box: NDArray[np.float64], landmarks: NDArray[np.float64]
    ) -> NDArray[np.float32] | None:
        del landmarks
        left, top, right, bottom = (int(value) for value in box)
        region = picture[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
        return None if region.size == 0 else region.mean(axis=(0, 1)).astype(np.float32)


def grid(pixels: NDArray[np.uint8], index: int, fps: int) -> GridFrame:
    return GridFrame(Picture(pixels), index, Fraction(index, fps))


class TestSessions:
    @pytest.fixture(params=[embeddings.ArcFaceFrames, embeddings.FacenetFrames])
    def frames(self, request: pytest.FixtureRequest) -> embeddings.ArcFaceFrames:
        extractor = request.param(fps=5)
        extractor._encoder = MeanColour()
        return extractor

    def test_the_responders_track_is_embedded_and_no_other(self, frames: embeddings.ArcFaceFrames) -> None:
        faces = FaceTimeline(5)
        picture = np.zeros((100, 200, 3), np.uint8)
        picture[:, 100:] = 250
        session = frames.begin(ClipInfo(200, 100, 0.6), {"faces": faces})
        for _ in range(3):
            boxes = np.array([[10.0, 10, 40, 40], [120, 10, 180, 70]])
            faces.add_key(boxes, np.zeros((2, 5, 2)), np.array([0.99, 0.95]))
        faces.close()
        for index in range(3):
            session.push(grid(picture, index, 5))
        feature = session.finish()
        # The second face is larger, so it is the responder though it was found with a lower score.
        assert feature["embedding"].tolist() == [[250.0, 250.0, 250.0]] * 3
        assert feature["time"] == pytest.approx([0.0, 0.2, 0.4])
        assert feature.meta["frames"] == 3

    def test_a_face_that_is_hidden_and_found_elsewhere_is_the_same_person(
        self, frames: embeddings.ArcFaceFrames
    ) -> None:
        faces = FaceTimeline(5)
        picture = np.zeros((100, 200, 3), np.uint8)
        picture[:, 100:] = 250
        for boxes in ([[10.0, 10, 70, 70]], [], [], [[120.0, 10, 180, 70]], [[120.0, 10, 180, 70]]):
            found = np.array(boxes).reshape(-1, 4)
            faces.add_key(found, np.zeros((len(found), 5, 2)), np.ones(len(found)))
        faces.close()
        session = frames.begin(ClipInfo(200, 100, 1.0), {"faces": faces})
        for index in range(5):
            session.push(grid(picture, index, 5))
        feature = session.finish()
        assert feature["embedding"][:, 0].tolist() == [0.0, 250.0, 250.0]
        assert feature["time"] == pytest.approx([0.0, 0.6, 0.8])

    def test_a_face_outside_the_picture_is_a_frame_without_one(self, frames: embeddings.ArcFaceFrames) -> None:
        faces = FaceTimeline(5)
        for left in (10.0, 500.0):
            faces.add_key(np.array([[left, 10, left + 30, 40]]), np.zeros((1, 5, 2)), np.ones(1))
        faces.close()
        session = frames.begin(ClipInfo(100, 100, 0.4), {"faces": faces})
        for index in range(2):
            session.push(grid(np.full((100, 100, 3), 9, np.uint8), index, 5))
        feature = session.finish()
        assert (len(feature["embedding"]), feature.meta["frames"]) == (1, 2)

    @pytest.mark.parametrize("kind", [embeddings.ArcFaceReference, embeddings.FacenetReference])
    def test_the_reference_is_the_largest_face_of_the_first_frame_with_one(
        self, kind: type[embeddings.ArcFaceReference]
    ) -> None:
        found = Detections(np.array([[0.0, 0, 20, 20], [50, 0, 90, 40]]), np.zeros((2, 5, 2)), np.array([0.99, 0.9]))

        class Detector:
            def __init__(self) -> None:
                self.answers = [Detections.none(), found]

            def detect(self, pictures: list[NDArray[np.uint8]]) -> list[Detections]:
                del pictures
                return [self.answers.pop(0)]

        extractor = kind()
        encoder: FaceEncoder = MeanColour()
        extractor._encoder = encoder
        extractor._detector = Detector()  # type: ignore[assignment]
        session = extractor.begin(ClipInfo(100, 60, 1.0), {})
        picture = np.zeros((60, 100, 3), np.uint8)
        picture[:, 50:] = 80
        session.push(grid(picture, 0, 5))
        assert not session.done
        session.push(grid(picture, 1, 5))
        assert session.done
        feature = session.finish()
        assert feature["embedding"].tolist() == [80.0, 80.0, 80.0]
        assert feature.meta["time"] == pytest.approx(0.2)

    def test_no_face_gives_an_empty_embedding(self) -> None:
        extractor = embeddings.FacenetReference()
        extractor._encoder, extractor._detector = MeanColour(), None  # type: ignore[assignment]
        assert extractor.begin(ClipInfo(8, 8, 0.0), {}).finish()["embedding"].shape == (0,)


def test_extractors_name_the_files_of_their_own_network() -> None:
    assert embeddings.ArcFaceFrames(network="mobilefacenet").weights == ("arcface_mobilefacenet",)
    assert embeddings.FacenetFrames().weights == ("facenet_vggface2",)
    assert embeddings.FacenetReference().weights[0] == "facenet_vggface2"
    assert embeddings.FacenetFrames(network="sha256:" + "0" * 64).weights == ("sha256:" + "0" * 64,)
