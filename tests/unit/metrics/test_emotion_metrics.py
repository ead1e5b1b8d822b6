"""The emotion family on made-up features and pictures: no network is loaded here."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from vidchatbench.api import Dimension, Feature, Metric, Plugin, Sample, Score, SetItem, SetMetric, Side, Status
from vidchatbench_metrics import emotion
from vidchatbench_metrics.emotion.agreement import (
    Agreement,
    DistributionAgreement,
    LightAgreement,
    LightDistributionAgreement,
    jensen_shannon_distance,
)
from vidchatbench_metrics.emotion.alignment import STANDARD_FACE, align
from vidchatbench_metrics.emotion.concordance import ArousalConcordance, ValenceConcordance, concordance
from vidchatbench_metrics.emotion.expression import (
    ExpressionFrechet,
    ExpressionKernel,
    LightExpressionFrechet,
    LightExpressionKernel,
)
from vidchatbench_metrics.emotion.face_crop import box_crop, square_crop
from vidchatbench_metrics.emotion.hsemotion import softmax
from vidchatbench_metrics.emotion.networks import FER_CLASSES, HSEMOTION_CLASSES
from vidchatbench_metrics.emotion.responder import ResponderRows, coverage
from vidchatbench_metrics.emotion.tddfa import crop, mean_and_std, region
from vidchatbench_metrics.faces.timeline import FaceTimeline

SAMPLE = Sample(
    id="a",
    task="dialogue",
    language="en",
    initiator=Side(media="i.mp4", sha256="0" * 64, speaker_id="i"),
    responder=Side(media="r.mp4", sha256="1" * 64, speaker_id="r"),
)
SETS = (ExpressionFrechet, ExpressionKernel, LightExpressionFrechet, LightExpressionKernel)
STEPS = (Agreement, LightAgreement)
WHOLES = (DistributionAgreement, LightDistributionAgreement)
CONCORDANCES = (ValenceConcordance, ArousalConcordance)
METRICS = (*SETS, *STEPS, *WHOLES, *CONCORDANCES)
ANYONE = "sha256:" + "ab" * 32


def emotions(classes: int, shown: list[int], frames: int | None = None, index: list[int] | None = None) -> Feature:
    """A clip that is sure of its emotion in every frame."""
    count = len(shown)
    arrays = {
        "probability": np.eye(classes, dtype=np.float32)[shown].reshape(-1, classes),
        "index": np.array(range(count) if index is None else index, np.int32),
    }
    return Feature(arrays, {"frames": count if frames is None else frames, "fps": 5})


def affect(values: list[float], frames: int | None = None, index: list[int] | None = None) -> Feature:
    count = len(values)
    arrays = {
        "probability": np.full((count, 8), 0.125, np.float32),
        "valence": np.array(values, np.float32),
        "arousal": -np.array(values, np.float32),
        "index": np.array(range(count) if index is None else index, np.int32),
    }
    return Feature(arrays, {"frames": count if frames is None else frames, "fps": 5})


def coefficients(width: int, rows: int, frames: int, seed: int = 0) -> Feature:
    values = np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)
    return Feature({"expression": values, "index": np.arange(rows, dtype=np.int32)}, {"frames": frames, "fps": 5})


def compare(metric: Metric, candidate: Feature, reference: Feature) -> Score:
    return metric.score(SAMPLE, {"candidate": candidate, "reference": reference})


class TestDeclarations:
    def test_tables_make_a_valid_plugin(self):
        plugin = Plugin(metrics=emotion.METRICS, extractors=emotion.EXTRACTORS, weights=emotion.WEIGHTS)
        assert len({weight.name for weight in plugin.weights}) == len(plugin.weights)

    @pytest.mark.parametrize("metric", METRICS)
    def test_card_agrees_with_the_tables(self, metric):
        card = metric().card
        module, _, name = emotion.METRICS[card.id].partition(":")
        assert (metric.__module__, metric.__name__) == (module, name)
        assert card is metric.default_card
        assert card.dimension is Dimension.EMOTION
        assert card.citation.strip().startswith("@")
        assert "5 frames a second" in card.protocol_text
        assert "faces/mtcnn" in card.protocol_text
        weights = {weight.name: weight for weight in emotion.WEIGHTS}
        own = [name for name in card.weights if name in weights]
        assert own == list(card.weights[:1])
        assert card.weights[1:] == ("mtcnn_pnet", "mtcnn_rnet", "mtcnn_onet")
        assert card.commercial_use is all(weights[name].commercial_use for name in own)
        assert {need.extractor.id for need in metric().needs()} <= set(emotion.EXTRACTORS)
        assert [need.roles[0].value for need in metric().needs()] == ["candidate", "reference"]

    def test_all_metrics_are_tested(self):
        assert {metric.default_card.id for metric in METRICS} == set(emotion.METRICS)
        assert len({metric.default_card.protocol for metric in METRICS}) == len(METRICS)

    def test_worst_values_and_floors(self):
        for metric in SETS:
            assert (metric.default_card.aggregation, metric.default_card.worst) == ("set", None)
            assert metric.default_card.null is None
            assert issubclass(metric, SetMetric)
        for metric in (*STEPS, *WHOLES, *CONCORDANCES):
            assert (metric.default_card.worst, metric.default_card.ideal) == (0.0, 1.0)
            assert metric.default_card.null == "shuffled_replies"
        assert {metric.default_card.minimum for metric in CONCORDANCES} == {-1.0}

    @pytest.mark.parametrize("metric", METRICS)
    def test_another_network_or_rate_is_another_protocol(self, metric):
        default, faster, named = metric().card, metric(fps=12).card, metric(network=ANYONE).card
        assert len({default.protocol, faster.protocol, named.protocol}) == 3
        assert faster.protocol == default.protocol.replace("-5fps-", "-12fps-")
        assert "12 frames a second" in faster.protocol_text
        assert "5 frames a second" not in faster.protocol_text
        assert "-abababababab-5fps-" in named.protocol
        assert named.weights[0] == ANYONE
        assert not named.commercial_use
        assert str(metric.defaults["network"]) not in named.protocol_text

    def test_networks_by_name(self):
        assert Agreement(network="enet_b2_8").card.protocol == "emotion_agreement/enet_b2_8-5fps-v1"
        assert "enet_b2_8" in Agreement(network="enet_b2_8").card.protocol_text
        with pytest.raises(ValueError, match="enet_b0_8_va_mtl"):
            ValenceConcordance(network="enet_b2_8")
        with pytest.raises(ValueError, match="sha256:<64 hex"):
            ExpressionFrechet(network="sha256:1234")
        with pytest.raises(ValueError, match="positive"):
            LightAgreement(fps=0)

    def test_importing_the_family_loads_no_model_library(self):
        modules = {target.partition(":")[0] for target in (*emotion.METRICS.values(), *emotion.EXTRACTORS.values())}
        heavy = ("torch", "timm", "torchvision", "h5py", "cv2", "scipy", "facenet_pytorch")
        code = f"import sys, {', '.join(sorted(modules))}; print([name for name in {heavy} if name in sys.modules])"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"


class TestJensenShannon:
    def test_ends_of_the_scale(self):
        one, two = np.array([[1.0, 0.0], [0.3, 0.7]]), np.array([[0.0, 1.0], [0.3, 0.7]])
        assert jensen_shannon_distance(one, two).tolist() == [1.0, 0.0]

    def test_by_hand(self):
        # Divergence of (1, 0) and (1/2, 1/2): (log2(4/3) + log2(2/3)/2 + log2(2)/2) / 2.
        expected = math.sqrt((math.log2(4 / 3) + math.log2(2 / 3) / 2 + 0.5) / 2)
        assert jensen_shannon_distance(np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]]))[0] == pytest.approx(expected)

    def test_does_not_care_for_the_order_of_its_arguments(self):
        one, two = np.random.default_rng(0).dirichlet(np.ones(8), (2, 50)).astype(np.float32)
        np.testing.assert_array_equal(jensen_shannon_distance(one, two), jensen_shannon_distance(two, one))


class TestConcordance:
    def test_by_hand(self):
        # Means 2 and 3, variances 2/3 and 2/3, covariance 2/3: 4/3 / (4/3 + 1).
        assert concordance(np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 4.0])) == pytest.approx(4 / 7)

    def test_ends_of_the_scale(self):
        series = np.random.default_rng(1).normal(size=20).astype(np.float32)
        assert concordance(series, series) == 1.0
        centred = series.astype(np.float64) - series.astype(np.float64).mean()
        assert concordance(centred, -centred) == pytest.approx(-1.0)

    @pytest.mark.parametrize("value", [0.0, 0.1, 1e-8])
    def test_constants(self, value):
        constant = np.full(7, value, np.float32)
        assert concordance(constant, constant) == 1.0
        assert concordance(constant, constant + np.float32(0.5)) == 0.0
        assert concordance(constant, np.arange(7, dtype=np.float32)) == 0.0
        assert concordance(np.arange(7, dtype=np.float32), constant) == 0.0

    def test_a_damped_copy_is_no_full_agreement(self):
        series = np.array([-1.0, 0.0, 1.0])
        assert concordance(series, series / 2) == pytest.approx(0.8)


class TestAgreement:
    @pytest.mark.parametrize(("metric", "classes"), [(Agreement, 8), (LightAgreement, 7)])
    def test_share_of_time_with_the_same_emotion_when_both_are_sure(self, metric, classes):
        score = compare(
            metric(), emotions(classes, [4, 4, 4, 5, 5, 4, 4, 4]), emotions(classes, [4, 4, 4, 4, 4, 4, 4, 4])
        )
        assert score.value == pytest.approx(0.75)
        assert score.details["same_emotion"] == 0.75
        assert score.details["seconds"] == 1.6

    @pytest.mark.parametrize(("metric", "classes"), [(Agreement, HSEMOTION_CLASSES), (LightAgreement, FER_CLASSES)])
    def test_dominant_emotions_are_told_apart_by_side(self, metric, classes):
        happy, sad = classes.index("happiness"), classes.index("sadness")
        score = compare(metric(), emotions(len(classes), [happy] * 6), emotions(len(classes), [sad] * 6))
        assert (score.details["emotion"], score.details["reference_emotion"]) == ("happiness", "sadness")
        assert score.value == 0.0

    def test_same_faces_agree_fully(self):
        clip = emotions(8, [0, 1, 2, 3, 4, 5])
        assert compare(Agreement(), clip, clip).value == 1.0
        assert compare(DistributionAgreement(), clip, clip).value == 1.0

    def test_frames_pair_by_time_and_not_by_count(self):
        # The candidate's face is missing in frame 0, so its row k belongs to the reference's row k + 1.
        candidate = emotions(8, [1, 2, 3, 4, 5, 6], frames=7, index=[1, 2, 3, 4, 5, 6])
        reference = emotions(8, [0, 1, 2, 3, 4, 5, 6])
        assert compare(Agreement(), candidate, reference).value == 1.0

    @pytest.mark.parametrize("metric", STEPS)
    def test_less_than_a_second_in_common_is_charged(self, metric):
        classes = len(metric.classes)
        score = compare(metric(), emotions(classes, [0] * 4), emotions(classes, [0] * 20))
        assert score.status is Status.OUTPUT_INVALID
        assert "0.80 s" in str(score.reason)

    def test_faces_at_different_times_are_charged(self):
        candidate = emotions(8, [0] * 10, frames=20, index=list(range(10)))
        reference = emotions(8, [0] * 10, frames=20, index=list(range(10, 20)))
        assert compare(Agreement(), candidate, reference).status is Status.OUTPUT_INVALID
        assert compare(DistributionAgreement(), candidate, reference).value == 1.0

    @pytest.mark.parametrize("metric", [*STEPS, *WHOLES])
    def test_a_candidate_without_its_face_is_charged(self, metric):
        classes = len(metric.classes)
        score = compare(metric(), emotions(classes, [0] * 9, frames=20), emotions(classes, [0] * 20))
        assert score.status is Status.OUTPUT_INVALID
        assert "9 of 20 frames" in str(score.reason)
        assert score.details["coverage"] == 0.45
        assert compare(metric(), emotions(classes, [0] * 10, frames=20), emotions(classes, [0] * 20)).value == 1.0

    @pytest.mark.parametrize("metric", [*STEPS, *WHOLES])
    @pytest.mark.parametrize("shown", [0, 20])
    @pytest.mark.parametrize("reference", [(9, 20), (0, 20), (0, 0), (4, 4)])
    def test_a_reference_without_a_face_is_nobodys_fault_whatever_the_candidate_does(self, metric, shown, reference):
        classes, (seen, frames) = len(metric.classes), reference
        candidate = emotions(classes, [0] * shown, frames=20)
        score = compare(metric(), candidate, emotions(classes, [0] * seen, frames=frames))
        assert score.status is Status.NOT_APPLICABLE

    @pytest.mark.parametrize("metric", WHOLES)
    def test_the_mixture_counts_and_not_its_order(self, metric):
        classes = len(metric.classes)
        forwards, backwards = emotions(classes, [0, 0, 0, 1, 2, 2]), emotions(classes, [2, 2, 1, 0, 0, 0])
        assert compare(metric(), forwards, backwards).value == 1.0
        assert compare(metric(), forwards, emotions(classes, [3] * 6)).value == 0.0
        step = Agreement() if classes == 8 else LightAgreement()
        assert compare(step, forwards, backwards).value == 0.0

    @pytest.mark.parametrize("metric", WHOLES)
    def test_clips_of_any_length_are_compared_as_wholes(self, metric):
        classes = len(metric.classes)
        score = compare(metric(), emotions(classes, [0] * 5), emotions(classes, [0] * 50))
        assert score.value == 1.0
        assert (score.details["seconds"], score.details["reference_seconds"]) == (1.0, 10.0)
        short = compare(metric(), emotions(classes, [0] * 4), emotions(classes, [0] * 50))
        assert short.status is Status.OUTPUT_INVALID


class TestValenceArousal:
    def test_each_takes_its_own_series(self):
        one, two = affect([0.1, 0.2, 0.3, 0.4, 0.5]), affect([0.5, 0.4, 0.3, 0.2, 0.1])
        values = np.array([0.1, 0.2, 0.3, 0.4, 0.5], np.float32)
        for metric in CONCORDANCES:
            assert compare(metric(), one, two).value == pytest.approx(concordance(values, values[::-1]))
        assert compare(ValenceConcordance(), one, two).details["mean"] == pytest.approx(0.3)
        assert compare(ArousalConcordance(), one, two).details["mean"] == pytest.approx(-0.3)

    def test_only_the_common_part_counts(self):
        reference = affect([0.0, 0.1, 0.2, 0.3, 0.4, 0.9, -0.9])
        score = compare(ValenceConcordance(), affect([0.0, 0.1, 0.2, 0.3, 0.4]), reference)
        assert (score.value, score.details["seconds"]) == (1.0, 1.0)

    def test_a_frozen_face_has_no_covariance(self):
        score = compare(ArousalConcordance(), affect([0.2] * 8), affect([0.1 * k for k in range(8)]))
        assert score.value == 0.0
        assert score.details["deviation"] == pytest.approx(0.0, abs=1e-7)

    def test_statuses(self):
        series = affect([0.1 * k for k in range(10)])
        assert compare(ValenceConcordance(), affect([0.0] * 4), series).status is Status.OUTPUT_INVALID
        assert compare(ValenceConcordance(), affect([]), series).status is Status.OUTPUT_INVALID
        assert compare(ValenceConcordance(), series, affect([])).status is Status.NOT_APPLICABLE

    def test_a_network_without_valence_is_our_fault(self):
        bare = emotions(8, [0] * 8)
        lacking = Feature({**bare.arrays, "valence": np.zeros(0, np.float32)}, bare.meta)
        with pytest.raises(ValueError, match="no valence"):
            compare(ValenceConcordance(network=ANYONE), lacking, lacking)


class TestExpression:
    @pytest.mark.parametrize(("metric", "width"), list(zip(SETS, (64, 64, 10, 10), strict=True)))
    def test_items_carry_each_side(self, metric, width):
        candidate, reference = coefficients(width, 8, 10, seed=1), coefficients(width, 5, 10, seed=2)
        item = metric().item({"candidate": candidate, "reference": reference})
        assert isinstance(item, SetItem)
        np.testing.assert_array_equal(item.candidate, candidate["expression"])
        np.testing.assert_array_equal(item.reference, reference["expression"])
        assert (item.details["coverage"], item.details["reference_coverage"]) == (0.8, 0.5)

    @pytest.mark.parametrize("metric", SETS)
    def test_statuses(self, metric):
        half, less, none = coefficients(10, 5, 10), coefficients(10, 4, 10), coefficients(10, 0, 0)
        for candidate, reference, status in [
            (less, half, Status.OUTPUT_INVALID),
            (none, half, Status.OUTPUT_INVALID),
            (half, less, Status.NOT_APPLICABLE),
            (half, none, Status.NOT_APPLICABLE),
            (none, none, Status.NOT_APPLICABLE),
        ]:
            found = metric().item({"candidate": candidate, "reference": reference})
            assert isinstance(found, Score)
            assert found.status is status

    def test_frechet_distance_of_a_shift_is_its_square(self):
        rows = np.random.default_rng(3).normal(size=(6, 30, 10))
        distance = LightExpressionFrechet().distance(list(rows + 0.5), list(rows))
        everything = np.arange(6)
        assert distance.between(everything, everything) == pytest.approx(10 * 0.25, abs=1e-8)
        same = LightExpressionFrechet().distance(list(rows), list(rows))
        assert same.between(everything, everything) == pytest.approx(0.0, abs=1e-8)

    def test_frechet_distance_divides_by_one_less_than_the_rows(self):
        one, two = np.array([[0.0], [2.0]]), np.array([[0.0], [4.0]])
        # Means 1 and 2, sample variances 2 and 8: 1 + 2 + 8 - 2 sqrt(16).
        only = np.arange(1)
        assert ExpressionFrechet().distance([one], [two]).between(only, only) == pytest.approx(3.0)

    def test_kernel_distance_leaves_out_pairs_of_one_identity(self):
        ones, twos = [np.array([[1.0], [5.0]]), np.array([[2.0]])], [np.array([[0.0]]), np.array([[1.0]])]

        def kernel(x: float, y: float) -> float:
            return (x * y + 1) ** 3

        within = (kernel(1, 2) + kernel(5, 2)) / 2
        across = (kernel(1, 1) + kernel(5, 1) + kernel(2, 0)) / 3
        expected = within + kernel(0, 1) - 2 * across
        both = np.arange(2)
        assert ExpressionKernel().distance(ones, twos).between(both, both) == pytest.approx(expected)
        assert ExpressionKernel().distance(twos, twos).between(both, both) == 0.0


class Still:
    """A frame of a made-up clip."""

    def __init__(self, index: int, picture: np.ndarray) -> None:
        self.index, self.time, self.picture = index, index / 5, picture

    def rgb(self) -> np.ndarray:
        return self.picture

    def cover(self, height: int, width: int) -> np.ndarray:
        raise AssertionError

    def window(self, box: tuple[float, float, float, float], height: int, width: int) -> np.ndarray:
        raise AssertionError

    def fit(self, longest: int) -> tuple[np.ndarray, float]:
        raise AssertionError


def timeline(*keys: list[tuple[float, float, float]]) -> FaceTimeline:
    """Key frames at 5 a second, each with faces (left, top, side)."""
    made = FaceTimeline(5)
    for faces in keys:
        boxes = np.array([[x, y, x + side, y + side] for x, y, side in faces], np.float64).reshape(-1, 4)
        marks = np.repeat(boxes[:, None, :2], 5, axis=1)
        made.add_key(boxes, marks, np.full(len(boxes), 0.99))
    made.close()
    return made


class TestResponderRows:
    def run(self, faces: FaceTimeline, frames: int) -> Feature:
        session = ResponderRows(
            faces,
            5,
            lambda picture, face: None if picture[0, 0, 0] == 9 else face.box[:2].astype(np.float32),
            lambda rows: {"corner": rows},
            2,
        )
        for index in range(frames):
            session.push(Still(index, np.full((4, 4, 3), index, np.uint8)))
        return session.finish()

    def test_only_the_responder_is_kept(self):
        feature = self.run(timeline([(0, 0, 10), (50, 50, 40)], [(0, 0, 10), (52, 50, 40)], [(0, 0, 10)], []), 4)
        np.testing.assert_array_equal(feature["corner"], [[50, 50], [52, 50]])
        assert feature["index"].tolist() == [0, 1]
        assert feature.meta == {"frames": 4, "fps": 5}
        assert coverage(feature) == 0.5

    def test_a_responder_who_jumps_is_kept_and_somebody_beside_is_not(self):
        there, here, beside = (50, 50, 40), (200, 10, 40), (0, 0, 10)
        feature = self.run(timeline([there, beside], [there, beside], [], [], [here, beside], [here]), 6)
        np.testing.assert_array_equal(feature["corner"], [[50, 50], [50, 50], [200, 10], [200, 10]])
        assert feature["index"].tolist() == [0, 1, 4, 5]

    def test_no_face_gives_no_rows(self):
        feature = self.run(timeline([], []), 2)
        assert feature["corner"].shape == (0, 2)
        assert coverage(feature) == 0.0

    def test_a_face_that_cannot_be_described_is_left_out(self):
        feature = self.run(timeline(*[[(0, 0, 10)]] * 10), 10)
        assert feature["index"].tolist() == list(range(9))


class TestCrops:
    picture = np.arange(20 * 30 * 3, dtype=np.uint32).reshape(20, 30, 3).astype(np.uint8)

    def test_boxes_are_cut_towards_zero_and_to_the_picture(self):
        np.testing.assert_array_equal(
            box_crop(self.picture, np.array([2.9, 3.9, 10.9, 12.1])), self.picture[3:12, 2:10]
        )
        np.testing.assert_array_equal(box_crop(self.picture, np.array([-4.0, -0.5, 5.0, 90.0])), self.picture[:20, 0:5])

    @pytest.mark.parametrize("box", [[-9, -9, -1, -1], [40, 0, 50, 9], [3, 3, 3.5, 9]])
    def test_boxes_without_a_pixel(self, box):
        assert box_crop(self.picture, np.array(box, np.float64)) is None
        assert square_crop(self.picture, np.array(box, np.float64), 8) is None

    def test_squares_are_centred_and_black_outside(self):
        white = np.full((40, 40, 3), 255, np.uint8)
        found = square_crop(white, np.array([0.0, 10.0, 10.0, 30.0]), 20)
        # Side 20 around (5, 20): five columns lie left of the picture.
        expected = np.full((20, 20), 255, np.uint8)
        expected[:, :5] = 0
        np.testing.assert_array_equal(found, expected)

    def test_tddfa_region_by_hand(self):
        # Mean side 100, size 158, centre (50, 50 + 14).
        assert region(np.array([0.0, 0.0, 100.0, 100.0])) == (-29, -15, 129, 143)

    def test_tddfa_crop_is_bgr_and_black_outside(self):
        pytest.importorskip("cv2")
        red = np.zeros((200, 200, 3), np.uint8)
        red[..., 0] = 200
        found = crop(red, np.array([50.0, 50.0, 150.0, 150.0]))
        assert found is not None
        assert found.shape == (120, 120, 3)
        assert (found == (0, 0, 200)).all()
        corner = crop(red, np.array([0.0, 0.0, 100.0, 100.0]))
        assert corner is not None
        assert not corner[:8].any()
        assert corner[60, 60].tolist() == [0, 0, 200]
        assert crop(red, np.array([400.0, 0.0, 450.0, 50.0])) is None
        assert crop(red, np.array([10.0, 10.0, 10.2, 10.2])) is None

    def test_alignment_refuses_what_is_no_face(self):
        picture = np.zeros((50, 50, 3), np.uint8)
        assert align(picture, np.full((5, 2), 20.0)) is None
        assert align(picture, np.full((5, 2), 20.0) + STANDARD_FACE[:, :2] * 1e5) is None

    def test_alignment_puts_the_face_into_the_middle(self):
        # Where the landmarks are the standard face itself, its origin comes to the centre of the crop.
        picture = np.zeros((300, 400, 3), np.uint8)
        picture[99:102, 249:252] = 255
        landmarks = STANDARD_FACE[:, :2] * np.array([102.0, -102.0]) + np.array([250.0, 100.0 - 1])
        found = align(picture, landmarks)
        assert found is not None
        assert found.shape == (224, 224, 3)
        rows, columns = np.nonzero(found[..., 0] > 128)
        assert abs(rows.mean() - 111.5) <= 1.5
        assert abs(columns.mean() - 111.5) <= 1.5


def test_mean_and_std_of_the_light_expression_are_complete():
    mean, std = mean_and_std()
    assert (mean.shape, std.shape) == ((62,), (62,))
    assert (std > 0).all()
    # A few of the published numbers, as float32.
    assert mean[[3, -10, -1]].tolist() == np.array([60.167957, -1.2070955, -0.14168486], np.float32).tolist()
    assert std[[3, -10, -1]].tolist() == np.array([26.550232, 1.5870835, 0.2559693], np.float32).tolist()


def test_softmax_of_large_logits_and_of_no_rows():
    rows = softmax(np.array([[1000.0, 1000.0], [0.0, math.log(3)]], np.float32))
    np.testing.assert_allclose(rows, [[0.5, 0.5], [0.25, 0.75]], rtol=1e-6)
    assert softmax(np.zeros((0, 8), np.float32)).shape == (0, 8)
