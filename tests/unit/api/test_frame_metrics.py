"""A metric out of a function: values worked out by hand, blame, keys and protocol ids, and what is refused at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from vidchatbench.api import (
    ClipInfo,
    Dimension,
    ExtractorSpec,
    Feature,
    FrameExtractor,
    FrameMetric,
    MediaError,
    Metric,
    MetricCard,
    PairExtractor,
    Role,
    Sample,
    Score,
    Side,
    Status,
    frame_metric,
)
from vidchatbench.api.frame_metrics import FrameCount
from vidchatbench.core.isolation import Blame, Failure, attempt
from vidchatbench.engine.features.keys import describe_extractor, feature_key
from vidchatbench.plugins.catalogue import Catalogue, build_catalogue

Picture = NDArray[np.uint8]
CLIP = ClipInfo(width=4, height=2, duration=9.0)
SIDE = Side(media="a.mp4", sha256="0" * 64, speaker_id="s")
SAMPLE = Sample(id="x", task="dialogue", language="en", initiator=SIDE, responder=SIDE)
PAIR = (Role.CANDIDATE, Role.REFERENCE)


def card(**changes: object) -> MetricCard:
    content: dict[str, object] = {
        "id": "test/level", "version": 3, "title": "T", "dimension": Dimension.VIDEO_QUALITY, "direction": "higher",
        "unit": "", "minimum": -300.0, "maximum": 600.0, "worst": -10.0, "roles": (Role.CANDIDATE,),
        "aggregation": "mean", "protocol": "level/frames-5fps-v1", "protocol_text": "The red level.\n",
        "description": "d", "code_license": "MIT", "commercial_use": True, "citation": "", "source": "s",
    }  # fmt: skip
    return MetricCard.model_validate({**content, **changes})


def level(
    picture: Picture, *, gain: float = 1.0, dark: int = 0, mode: str = "plain", flip: bool = False
) -> float | None:
    """The red level of the upper left pixel; nothing below ``dark``."""
    value = int(picture[0, 0, 0])
    return None if value < dark else (-gain if flip else gain) * value


def difference(candidate: Picture, reference: Picture, *, gain: float = 1.0) -> float | None:
    """Signed, so that swapped arguments show; ``None`` where the reference is black."""
    apart = float(candidate[0, 0, 0]) - float(reference[0, 0, 0])
    return None if reference[0, 0, 0] == 0 else gain * apart


Level = frame_metric(level, card(), fps=5)
Difference = frame_metric(difference, card(id="test/difference", roles=PAIR), fps=5, size=(2, 3))


@dataclass(frozen=True)
class Shown:
    """A frame of one level, two pixels high and four wide."""

    index: int
    level: int
    fps: float = 5.0

    @property
    def time(self) -> float:
        return self.index / self.fps

    def rgb(self) -> Picture:
        return np.full((2, 4, 3), self.level, np.uint8)

    def cover(self, height: int, width: int) -> Picture:
        return np.full((height, width, 3), self.level, np.uint8)

    def window(self, box: tuple[float, float, float, float], height: int, width: int) -> Picture:
        raise AssertionError(box)

    def fit(self, longest: int) -> tuple[Picture, float]:
        raise AssertionError(longest)


def values(made: type[FrameMetric], *clips: Sequence[int], **params: float | str) -> Feature:
    """The feature of the given levels, one clip or a pair."""
    extractor = made.extractor(**params)
    shown = [[Shown(index, value) for index, value in enumerate(clip)] for clip in clips]
    if isinstance(extractor, FrameExtractor):
        session = extractor.begin(CLIP, {})
        for frame in shown[0]:
            session.push(frame)
        return session.finish()
    assert isinstance(extractor, PairExtractor)
    pair = extractor.begin(CLIP, CLIP, ({}, {}))
    for one, two in zip(*shown, strict=False):
        pair.push(one, two)
    return pair.finish()


def score(made: type[FrameMetric], *clips: Sequence[int], **params: float | str) -> Score:
    """The score as a run would give it, the arguments in the order that the metric's needs ask for."""
    metric = made(**params)
    by_role: dict[Role, Sequence[int]] = dict(zip(PAIR, clips, strict=False))
    features = {}
    for need in metric.needs():
        own = {name: value for name, value in need.extractor.params if isinstance(value, (str, int, float))}
        if need.extractor.id == FrameCount.id:
            session = FrameCount(**own).begin(CLIP, {})
            for index, value in enumerate(by_role[need.roles[0]]):
                session.push(Shown(index, value))
            features[need.name] = session.finish()
        else:
            features[need.name] = values(made, *(by_role[role] for role in need.roles), **own)
    return metric.score(SAMPLE, features)


# --- one clip -------------------------------------------------------------------------------------------------------


def test_the_score_is_the_mean_over_frames() -> None:
    made = score(Level, [10, 20, 30, 40, 100])
    assert (made.status, made.value) == (Status.OK, 40.0)
    assert made.details == {"seconds": 1.0, "frames": 5, "measured": 5}


def test_frames_with_nothing_to_measure_are_left_out() -> None:
    made = score(Level, [10, 20, 30, 40, 100], dark=25)
    assert made.value == pytest.approx((30 + 40 + 100) / 3)
    assert made.details == {"seconds": 1.0, "frames": 5, "measured": 3}


def test_no_frame_with_a_value_is_the_submissions_fault() -> None:
    made = score(Level, [1] * 6, dark=2)
    assert made.status is Status.OUTPUT_INVALID
    assert made.reason == "none of 6 frames has anything to measure"


def test_a_clip_that_is_too_short_is_the_submissions_fault() -> None:
    made = score(Level, [1] * 4)
    assert made.status is Status.OUTPUT_INVALID
    assert made.reason == "the clip has only 0.80 s; 1 s is needed"
    assert score(Level, []).status is Status.OUTPUT_INVALID


def test_the_least_length_is_the_authors_choice() -> None:
    lenient, strict = (frame_metric(level, card(), fps=5, min_seconds=least) for least in (0, 2.0))
    assert score(lenient, [7]).value == 7.0
    assert score(lenient, []).status is Status.OUTPUT_INVALID
    assert score(strict, [7] * 10).value == 7.0
    assert score(strict, [7] * 9).status is Status.OUTPUT_INVALID


def test_parameters_reach_the_function_in_the_type_that_its_author_wrote() -> None:
    seen: list[object] = []

    def spy(picture: Picture, gain: float = 0.5, count: int = 2, mode: str = "a", flip: bool = False) -> float:
        seen.append((picture.shape, type(gain), gain, count, mode, flip))
        return gain

    made = frame_metric(spy, card(), fps=5)
    score(made, [0] * 5, gain=2, count=3.0, mode="b", flip=True)
    assert set(seen) == {((2, 4, 3), float, 2.0, 3, "b", True)}
    assert score(made, [0] * 5).value == 0.5


def test_pictures_come_in_the_size_asked_for() -> None:
    def rows(picture: Picture) -> float:
        return 100.0 * picture.shape[0] + picture.shape[1]

    assert score(frame_metric(rows, card(), fps=5), [0] * 5).value == 204.0
    assert score(frame_metric(rows, card(), fps=5, size=(3, 1)), [0] * 5).value == 301.0


def test_values_may_be_scalars_of_numpy() -> None:
    def mean(picture: Picture) -> np.float32:
        return picture.mean(dtype=np.float32)

    assert score(frame_metric(mean, card(), fps=5), [3] * 5).value == 3.0


# --- a pair ---------------------------------------------------------------------------------------------------------


def test_a_pair_is_candidate_minus_reference_and_not_the_other_way_round() -> None:
    made = score(Difference, [30, 40, 50, 60, 70], [10] * 5)
    assert (made.status, made.value) == (Status.OK, 40.0)
    assert Difference().needs()[0].roles == PAIR


def test_what_the_candidate_does_not_show_is_charged_the_worst() -> None:
    made = score(Difference, [30] * 6, [10] * 8)  # 6 of 8 at 20, 2 of 8 at -10
    assert made.value == pytest.approx((6 * 20 + 2 * -10) / 8) == 12.5
    assert made.details == {
        "seconds": pytest.approx(1.2), "frames": 6, "measured": 6, "reference_seconds": 1.6, "common": 20.0,
    }  # fmt: skip


def test_a_candidate_that_goes_on_is_not_charged() -> None:
    made = score(Difference, [30] * 9, [10] * 6)
    assert made.value == 20.0
    assert made.details["seconds"] == pytest.approx(1.2)


def test_pairs_with_nothing_to_measure_are_left_out_of_the_common_part_only() -> None:
    made = score(Difference, [30, 50] * 3, [10, 0] * 4)  # three pairs of six have a value; 6 of 8 frames are shown
    assert made.value == pytest.approx(20 + 2 / 8 * (-10 - 20))
    assert (made.details["measured"], made.details["frames"]) == (3, 6)


def test_no_pair_with_a_value_is_the_submissions_fault() -> None:
    made = score(Difference, [30] * 5, [0] * 5)
    assert made.status is Status.OUTPUT_INVALID
    assert made.reason == "none of 5 frame pairs has anything to measure"


def test_too_little_in_common_is_the_fault_of_whoever_is_short() -> None:
    ours = score(Difference, [30] * 4, [10] * 8)
    assert ours.status is Status.OUTPUT_INVALID
    assert ours.reason == "only 0.80 s in common with the reference; 1 s is needed"
    theirs = score(Difference, [30] * 8, [10] * 4)
    assert theirs.status is Status.NOT_APPLICABLE
    assert theirs.reason == "the reference has only 0.80 s; 1 s is needed"


def test_without_a_least_length_an_empty_pair_is_no_crash() -> None:
    made = frame_metric(difference, card(roles=PAIR), fps=5, size=(2, 3), min_seconds=0)
    assert score(made, [], [10] * 4).status is Status.OUTPUT_INVALID
    assert score(made, [30], [10]).value == 20.0
    assert score(made, [], []).status is Status.OUTPUT_INVALID


def test_the_reference_is_counted_on_the_grid_of_the_metric() -> None:
    needs = {need.name: need for need in Difference(fps=2).needs()}
    assert needs["reference"].extractor == ExtractorSpec.of("frames/count", fps=2)
    assert needs["reference"].roles == (Role.REFERENCE,)
    assert FrameCount(fps=2).fps == 2.0


def test_every_catalogue_counts_frames() -> None:
    extractor = build_catalogue([]).extractor(ExtractorSpec.of("frames/count", fps=5))
    assert isinstance(extractor, FrameCount)


# --- our own faults -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float64("nan")])
def test_a_value_that_is_not_finite_is_an_error(value: float) -> None:
    made = frame_metric(lambda picture: value, card(), fps=5)
    result = attempt(lambda: values(made, [1] * 5))
    assert isinstance(result, Failure)
    assert result.blame is Blame.OURS
    assert "test/level, frame at 0.00 s: the function must return a finite number or None" in result.reason


@pytest.mark.parametrize("value", ["1", [1.0], np.zeros(1), 1j])
def test_what_is_no_number_is_an_error(value: object) -> None:
    made = frame_metric(lambda picture: value, card(), fps=5)  # type: ignore[arg-type, return-value]
    result = attempt(lambda: values(made, [1] * 5))
    assert isinstance(result, Failure)
    assert "test/level" in result.reason
    assert "finite number or None" in result.reason


def test_an_exception_names_the_metric_and_the_frame() -> None:
    def breaks(picture: Picture) -> float:
        return 1 / (int(picture[0, 0, 0]) - 3)

    result = attempt(lambda: values(frame_metric(breaks, card(), fps=5), [1, 2, 3, 4]))
    assert isinstance(result, Failure)
    assert result.blame is Blame.OURS
    expected = "RuntimeError: test/level, frame at 0.40 s: ZeroDivisionError: "
    assert result.reason.startswith(expected)
    assert "in breaks" in str(result.trace)


def test_an_exception_in_a_pair_names_its_metric() -> None:
    def breaks(candidate: Picture, reference: Picture) -> float:
        raise KeyError("lost")

    made = frame_metric(breaks, card(id="test/pair", roles=PAIR), fps=5, size=(1, 1))
    result = attempt(lambda: values(made, [1], [1]))
    assert isinstance(result, Failure)
    assert result.reason == "RuntimeError: test/pair, frame at 0.00 s: KeyError: 'lost'"


def test_a_media_error_stays_the_clips_fault_and_an_os_error_keeps_its_place_to_itself() -> None:
    def media(picture: Picture) -> float:
        raise MediaError("clip.mp4", "all is green")

    def file(picture: Picture) -> float:
        raise FileNotFoundError(2, "No such file", "/somewhere/table.txt")

    spoilt = attempt(lambda: values(frame_metric(media, card(), fps=5), [1]))
    assert spoilt == Failure(Blame.MEDIA, "all is green", None)
    lost = attempt(lambda: values(frame_metric(file, card(), fps=5), [1]))
    assert isinstance(lost, Failure)
    assert (lost.blame, "somewhere" in lost.reason) == (Blame.OURS, False)


# --- keys, parameters and protocol ids ------------------------------------------------------------------------------


def key(made: type[FrameMetric], **params: float | str) -> str:
    need = made(**params).needs()[0]
    return feature_key(describe_extractor(made.extractor(**dict(need.extractor.params)), Catalogue()), ["0" * 64])


def test_everything_that_can_change_the_feature_is_in_its_key() -> None:
    described = describe_extractor(Level.extractor(), Catalogue())
    assert described == {
        "extractor": "test/level", "version": 3, "weights": {}, "requires": {},
        "params": {"dark": 0, "flip": False, "fps": 5, "gain": 1, "mode": "plain", "size": "own"},
    }  # fmt: skip
    variants = [
        key(Level), key(Level, fps=2), key(Level, gain=2.0), key(Level, dark=1), key(Level, mode="x"),
        key(Level, flip=True), key(frame_metric(level, card(version=4), fps=5)),
        key(frame_metric(level, card(id="test/other"), fps=5)), key(frame_metric(level, card(), fps=5, size=(2, 3))),
        key(frame_metric(level, card(), fps=5, size=(3, 2))),
    ]  # fmt: skip
    assert len(set(variants)) == len(variants)
    assert key(Level, gain=1, fps=5.0) == key(Level)


def test_the_default_protocol_is_the_authors_and_its_text_is_completed() -> None:
    made = Level().card
    assert made.protocol == "level/frames-5fps-v1"
    assert made.protocol_text == (
        "The red level.\n5 frames a second from t = 0, nearest frame by timestamp, uint8 RGB in the clip's own size; "
        "mean over the frames that have a value. No such frame, or a clip of under 1 s, is an invalid output. "
        "Parameters: gain = 1, dark = 0, mode = plain, flip = false.\n"
    )
    assert Level(gain=1, fps=5.0).card == made


def test_the_text_of_a_pair_says_what_is_charged() -> None:
    made = frame_metric(difference, card(roles=PAIR), fps=12.5, size=(480, 768), min_seconds=0.5)
    assert made().card.protocol_text == (
        "The red level.\nBoth clips from t = 0, 12.5 frame pairs a second, nearest frame by timestamp, uint8 RGB "
        "scaled to cover 480 high x 768 wide (Pillow BICUBIC, antialiased) and centre-cropped; mean over the pairs "
        "that have a value, as far as both clips go. The part of the reference that the candidate does not show is "
        "charged -10, by its share of the reference's frames. No such pair, or under 0.5 s in common, is an invalid "
        "output; a reference of under 0.5 s is not applicable. Parameters: gain = 1.\n"
    )


def test_a_metric_without_parameters_names_none() -> None:
    def red(picture: Picture) -> float:
        return float(picture[0, 0, 0])

    assert "Parameters" not in frame_metric(red, card(), fps=5)().card.protocol_text


@pytest.mark.parametrize(
    ("params", "suffix"),
    [
        ({"fps": 2}, "+fps-2"),
        ({"fps": 12.5}, "+fps-12.5"),
        ({"gain": -2.0, "dark": 3.0}, "+gain--2+dark-3"),
        ({"gain": 1e-7}, "+gain-1e-07"),
        ({"flip": True, "mode": "x-1"}, "+mode-x-1+flip-true"),
    ],
)
def test_another_value_is_another_protocol(params: dict[str, float | str], suffix: str) -> None:
    made = Level(**params).card
    assert made.protocol == f"level/frames-5fps-v1{suffix}"
    assert made.protocol_text != Level().card.protocol_text
    assert made.id == "test/level"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"brightness": 1}, "test/level.* has no parameter brightness"),
        ({"size": "2x3"}, "has no parameter size"),
        ({"fps": 0}, "fps must be more than 0"),
        ({"fps": -1.0}, "fps must be more than 0"),
        ({"fps": "fast"}, "fps must be a finite number"),
        ({"fps": math.inf}, "fps must be a finite number"),
        ({"gain": math.nan}, "gain must be a finite number"),
        ({"gain": True}, "gain must be a finite number"),
        ({"gain": None}, "gain must be a finite number"),
        ({"flip": 1}, "flip must be of type bool"),
        ({"mode": 3}, "mode must be of type str"),
        ({"mode": "Über"}, "protocol id"),
        ({"mode": ""}, "protocol id"),
        ({"mode": "a+fps-2"}, "protocol id"),
    ],
)
def test_parameters_of_another_kind_are_refused(params: dict[str, float | str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Level(**params)


def test_what_is_made_are_classes_of_the_contract_that_workers_can_import() -> None:
    assert issubclass(Level, FrameMetric)
    assert issubclass(Level, Metric)
    assert issubclass(Level.extractor, FrameExtractor)
    assert issubclass(Difference.extractor, PairExtractor)
    assert (Level.__module__, Level.extractor.__module__) == (__name__, __name__)
    assert Level.__doc__ == level.__doc__
    assert (Level.extractor.id, Level.extractor.version) == ("test/level", 3)
    assert (Level.extractor().packages, Level.extractor().weights) == ((), ())
    assert Level.extractor().fps == Difference.extractor().fps == 5.0


# --- refused at once ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"id": "level"}, "id"), ({"dimension": "beauty"}, "dimension"), ({"protocol": "v1"}, "protocol")],
)
def test_a_card_that_is_wrong_is_refused_by_its_field(changes: dict[str, object], field: str) -> None:
    with pytest.raises(ValidationError, match=rf"MetricCard\n{field}\n"):
        card(**changes)


def test_a_card_without_a_protocol_is_refused() -> None:
    content = card().model_dump()
    del content["protocol"]
    with pytest.raises(ValidationError, match=r"protocol\n.*Field required"):
        MetricCard.model_validate(content)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"roles": (Role.REFERENCE,)}, r"not 'mean' and \(reference\)"),
        ({"roles": (Role.REFERENCE, Role.CANDIDATE)}, r"not 'mean' and \(reference, candidate\)"),
        ({"aggregation": "set", "worst": None}, r"not 'set' and \(candidate\)"),
        ({"weights": ("net",), "weights_license": "MIT"}, "extractor of its own"),
    ],
)
def test_a_card_of_another_kind_of_metric_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        frame_metric(level, card(**changes), fps=5)


def no_picture(*, gain: float = 1.0) -> float:
    return gain


def two_pictures(candidate: Picture, reference: Picture) -> float:
    return 0.0


def any_pictures(*pictures: Picture) -> float:
    return 0.0


def anything(picture: Picture, **options: float) -> float:
    return 0.0


def by_keyword(*, picture: Picture) -> float:
    return 0.0


def by_position(picture: Picture, gain: float = 1.0, /) -> float:
    return gain


def nothing_by_default(picture: Picture, gain: float | None = None) -> float:
    return 0.0


def own_rate(picture: Picture, fps: int = 3) -> float:
    return 0.0


def own_size(picture: Picture, size: int = 3) -> float:
    return 0.0


def upper_case(picture: Picture, Gain: float = 3.0) -> float:  # noqa: N803
    return 0.0


@pytest.mark.parametrize(
    "function",
    [
        no_picture, two_pictures, any_pictures, anything, by_keyword, by_position, nothing_by_default, own_rate,
        own_size, upper_case,
    ],
)  # fmt: skip
def test_a_function_that_does_not_fit_is_shown_with_what_would(function: Callable[..., float]) -> None:
    with pytest.raises(ValueError, match=rf"test/level: {function.__name__}\(.*does not fit: it must take candidate "):
        frame_metric(function, card(), fps=5)


def test_a_pair_takes_two_pictures() -> None:
    with pytest.raises(ValueError, match=r"it must take candidate, reference \(a picture each\)"):
        frame_metric(level, card(roles=PAIR), fps=5, size=(2, 2))


def test_what_is_no_function_is_refused() -> None:
    with pytest.raises(ValueError, match="made of a function, not of 3"):
        frame_metric(3, card(), fps=5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fps": 0}, "fps must be more than 0"),
        ({"fps": math.nan}, "fps must be a finite number"),
        ({"fps": 5, "size": (0, 4)}, "size must be"),
        ({"fps": 5, "size": (4, -1)}, "size must be"),
        ({"fps": 5, "min_seconds": -1.0}, "min_seconds must be 0 or more"),
        ({"fps": 5, "min_seconds": math.inf}, "min_seconds must be 0 or more"),
    ],
)
def test_a_grid_that_means_nothing_is_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=f"test/level: {message}"):
        frame_metric(level, card(), **options)  # type: ignore[arg-type]


def test_pairs_must_be_brought_to_one_size() -> None:
    with pytest.raises(ValueError, match=r"need size=\(height, width\)"):
        frame_metric(difference, card(roles=PAIR), fps=5)
    assert score(frame_metric(difference, card(roles=PAIR), fps=5, size=(1, 1)), [3] * 5, [1] * 5).value == 2.0
