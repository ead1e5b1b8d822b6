"""Frame metrics that look through the window of the built-in ones."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray
from windows import guide

from vidchatbench.api import (
    ClipInfo,
    Dimension,
    ExtractorSpec,
    Feature,
    FrameExtractor,
    MetricCard,
    PairExtractor,
    Role,
    Sample,
    Side,
    frame_metric,
)
from vidchatbench.media.frames import GridFrame, Picture

SIDE = Side(media="a.mp4", sha256="0" * 64, speaker_id="s")
SAMPLE = Sample(id="x", task="dialogue", language="en", initiator=SIDE, responder=SIDE)
CLIP = ClipInfo(width=40, height=40, duration=1.0)
UPPER = guide(0.0, 0.0, 1.0, 0.5, face_kept=0.75)
HALVES = np.repeat(np.array([200, 10], np.uint8), 20)[:, None, None].repeat(40, axis=1).repeat(3, axis=2)
"""A picture whose upper half is bright and whose lower half is dark."""


def card(*roles: Role) -> MetricCard:
    return MetricCard.model_validate({
        "id": "test/level", "version": 1, "title": "T", "dimension": Dimension.VIDEO_QUALITY, "direction": "higher",
        "unit": "", "worst": 0.0, "roles": roles, "aggregation": "mean", "protocol": "level/v1", "protocol_text": "L.",
        "description": "d", "weights": ("mtcnn_onet",), "weights_license": "MIT", "code_license": "MIT",
        "commercial_use": True, "citation": "", "source": "s",
    })  # fmt: skip


def level(picture: NDArray[np.uint8]) -> float:
    """The mean level."""
    assert picture.shape == (10, 20, 3)
    return float(picture.mean())


def apart(candidate: NDArray[np.uint8], reference: NDArray[np.uint8]) -> float:
    """By how much the candidate is brighter."""
    return float(candidate.mean()) - float(reference.mean())


Level = frame_metric(level, card(Role.CANDIDATE), fps=5, size=(10, 20), anchored=True)
Apart = frame_metric(apart, card(Role.CANDIDATE, Role.REFERENCE), fps=5, size=(10, 20), anchored=True)


def shown(index: int) -> GridFrame:
    return GridFrame(Picture(HALVES), index, Fraction(index, 5))


def test_the_function_gets_the_window_and_the_details_say_what_it_keeps() -> None:
    extractor = Level.extractor()
    assert isinstance(extractor, FrameExtractor)
    session = extractor.begin(CLIP, UPPER)
    for index in range(5):
        session.push(shown(index))
    score = Level().score(SAMPLE, {"frames": session.finish()})
    assert score.value == pytest.approx(200, abs=1.5), "the antialiased edge lets a little of the lower half in"
    assert (score.details["kept"], score.details["face_kept"], score.details["anchored"]) == (0.5, 0.75, True)


def test_each_clip_of_a_pair_has_its_window() -> None:
    extractor = Apart.extractor()
    assert isinstance(extractor, PairExtractor)
    session = extractor.begin(CLIP, CLIP, (UPPER, guide(0.0, 0.5, 1.0, 1.0, face_kept=None)))
    for index in range(5):
        session.push(shown(index), shown(index))
    features = {"frames": session.finish(), "reference": Feature({}, {"frames": 5})}
    score = Apart().score(SAMPLE, features)
    assert score.value == pytest.approx(190, abs=3)
    assert score.details["anchored"] is False, "the reference was centred"


def test_the_reference_guides_and_the_window_is_part_of_what_is_computed() -> None:
    window = ExtractorSpec.of("faces/window", height=10, width=20)
    for made in (Level, Apart):
        need = made().needs()[0]
        assert need.guide is Role.REFERENCE
        assert made.extractor().guides == {"window": window}
        assert dict(need.extractor.params) | {"size": "anchored10x20"} == dict(made.extractor().spec.params)
    free = card(Role.CANDIDATE, Role.REFERENCE).model_copy(update={"weights": ()})
    plain = frame_metric(apart, free, fps=5, size=(10, 20))
    assert (plain.extractor().guides, plain().needs()[0].guide) == ({}, None)
    assert plain.extractor().spec != Apart.extractor().spec


def test_the_text_says_what_the_window_is() -> None:
    text = Level().card.protocol_text
    assert "the window scaled to 10 high x 20 wide" in text
    assert "the largest of ratio 20 : 10 in the real reply's picture" in text


def test_a_window_without_a_size_is_refused() -> None:
    with pytest.raises(ValueError, match="anchored to the face needs a size"):
        frame_metric(level, card(Role.CANDIDATE), fps=5, anchored=True)
