"""Face motion, steadiness and sharpness as pure functions of features: the ratio, who is charged, and who is not."""

from __future__ import annotations

import numpy as np
import pytest
from windows import WHOLE

from vidchatbench.api import Feature, Metric, Role, Sample, Score, Side, Status
from vidchatbench.plugins.catalogue import load_catalogue

SIDE = Side(media="a.mp4", sha256="0" * 64, speaker_id="s")
SAMPLE = Sample(id="x", task="dialogue", language="en", initiator=SIDE, responder=SIDE)
GRIDS = {"video_quality/face_motion": 25, "video_quality/steadiness": 25, "video_quality/sharpness": 5}
LEAST = {"video_quality/face_motion": 0.01, "video_quality/steadiness": 0.01, "video_quality/sharpness": 0.1}

pytestmark = pytest.mark.parametrize("name", sorted(GRIDS))


def metric(name: str) -> Metric:
    return load_catalogue().metric(name)


def feature(name: str, *values: float, seconds: float = 4.0, measurable: int | None = None) -> Feature:
    meta = {"frames": round(seconds * GRIDS[name]), "measurable": len(values) if measurable is None else measurable}
    return Feature({"value": np.array(values, np.float64)}, {**meta, **WHOLE})


def score(name: str, candidate: Feature, reference: Feature) -> Score:
    return metric(name).score(SAMPLE, {"candidate": candidate, "reference": reference})


@pytest.mark.parametrize(
    ("candidate", "reference", "expected"),
    [((2.0, 4.0), (1.0, 5.0), 1.0), ((1.0,), (4.0,), 0.25), ((4.0,), (1.0,), 0.25), ((0.0, 0.0), (3.0,), 0.0)],
)
def test_the_smaller_mean_over_the_larger(
    name: str, candidate: tuple[float, ...], reference: tuple[float, ...], expected: float
) -> None:
    result = score(name, feature(name, *candidate), feature(name, *reference))
    assert (result.status, result.value) == (Status.OK, expected)


def test_what_the_candidate_does_not_last_is_charged_and_what_it_lasts_longer_is_not(name: str) -> None:
    reference = feature(name, 2.0, seconds=4.0)
    assert score(name, feature(name, 2.0, seconds=1.0), reference).value == pytest.approx(0.25)
    assert score(name, feature(name, 1.0, seconds=2.0), reference).value == pytest.approx(0.25)
    assert score(name, feature(name, 2.0, seconds=9.0), reference).value == 1.0


def test_a_still_reference_has_nothing_to_be_compared_with(name: str) -> None:
    least = LEAST[name]
    still = score(name, feature(name, 1.0), feature(name, least * 0.99))
    assert still.status is Status.NOT_APPLICABLE
    assert score(name, feature(name, 0.0), feature(name, 0.0)).status is Status.NOT_APPLICABLE
    assert score(name, feature(name, least), feature(name, least)).value == 1.0


def test_too_little_of_the_candidate_is_its_fault(name: str) -> None:
    reference = feature(name, 2.0)
    nothing = score(name, feature(name, measurable=10), reference)
    assert nothing.status is Status.OUTPUT_INVALID
    assert "0 of 10" in str(nothing.reason)
    assert score(name, feature(name, 2.0, 2.0, measurable=5), reference).status is Status.OUTPUT_INVALID
    assert score(name, feature(name, 2.0, 2.0, measurable=4), reference).status is Status.OK
    grid = GRIDS[name]
    assert score(name, feature(name, 2.0, seconds=1 - 1 / grid), reference).status is Status.OUTPUT_INVALID
    assert score(name, feature(name, 2.0, seconds=1.0), reference).status is Status.OK


def test_too_little_of_the_reference_is_nobodys_fault_whatever_the_candidate(name: str) -> None:
    for candidate in (feature(name, 2.0), feature(name, measurable=10), feature(name, 2.0, seconds=0.5)):
        for reference in (feature(name, measurable=10), feature(name, 2.0, seconds=0.5)):
            assert score(name, candidate, reference).status is Status.NOT_APPLICABLE


def test_both_sides_are_measured_alone_so_that_the_reference_serves_every_submission(name: str) -> None:
    candidate, reference = metric(name).needs()
    assert candidate.extractor == reference.extractor
    assert (candidate.roles, reference.roles) == ((Role.CANDIDATE,), (Role.REFERENCE,))
