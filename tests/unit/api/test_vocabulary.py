"""Tasks, roles and dimensions are each listed once; what others know of them follows from that list."""

from __future__ import annotations

from typing import get_args

import pytest

from vidchatbench.api.cards import Dimension, MetricCard
from vidchatbench.api.samples import (
    MEDIA_FIELDS,
    ROLE_FIELDS,
    SIDE_FIELDS,
    TASKS,
    Role,
    Sample,
    SampleMedia,
    Side,
    Task,
    benchmark_media,
    sample_media,
)
from vidchatbench.benchmark.dataset_card import _about
from vidchatbench.benchmark.tables import MANIFEST_COLUMNS, MEDIA_COLUMNS
from vidchatbench.report.drawing.text import dimension_title

ASKED = Side(media="media/a.mp4", sha256="a" * 64, speaker_id="one")
REPLY = Side(media="media/b.mp4", sha256="b" * 64, speaker_id="two")


def sample(**more: object) -> Sample:
    return Sample.model_validate({"id": "s", "task": "dialogue", "language": "en", "initiator": ASKED, **more})


def test_a_metric_applies_to_every_task_unless_its_card_says_otherwise() -> None:
    assert get_args(Task) == TASKS == MetricCard.model_fields["tasks"].default
    assert len(set(TASKS)) == len(TASKS)


def test_every_role_says_where_its_clip_comes_from() -> None:
    assert set(ROLE_FIELDS) == set(Role)
    assert [role for role, fields in ROLE_FIELDS.items() if not fields] == [Role.CANDIDATE]
    assert {name for fields in ROLE_FIELDS.values() for name in fields} == set(MEDIA_FIELDS) <= set(Sample.model_fields)
    assert set(SIDE_FIELDS) < set(MEDIA_FIELDS)


@pytest.mark.parametrize(
    ("more", "offered"),
    [
        ({}, {Role.INITIATOR: "media/a.mp4"}),
        (
            {"responder": REPLY},
            {Role.INITIATOR: "media/a.mp4", Role.REFERENCE: "media/b.mp4", Role.REFERENCE_IMAGE: "media/b.mp4"},
        ),
        ({"reference_image": "f.png"}, {Role.INITIATOR: "media/a.mp4", Role.REFERENCE_IMAGE: "f.png"}),
        (
            {"responder": REPLY, "reference_image": "f.png"},
            {Role.INITIATOR: "media/a.mp4", Role.REFERENCE: "media/b.mp4", Role.REFERENCE_IMAGE: "f.png"},
        ),
    ],
)
def test_a_sample_offers_the_first_field_that_it_fills(more: dict[str, object], offered: dict[Role, str]) -> None:
    # The order decides under which name a clip is read that two roles share.
    assert list(benchmark_media(sample(**more)).items()) == list(offered.items())


def test_media_are_known_by_field() -> None:
    assert sample_media(sample(responder=REPLY, reference_image="f.png")) == {
        "initiator": SampleMedia("media/a.mp4", "a" * 64),
        "responder": SampleMedia("media/b.mp4", "b" * 64),
        "reference_image": SampleMedia("f.png", None),
    }


def test_a_table_has_a_column_for_every_field_of_a_sample() -> None:
    columns = ("id", "task", "language", "initiator", "responder", "reference_image", "reference_image_sha256")
    assert (*columns, "history", "ladder", "source", "tags", "manifest_line") == MANIFEST_COLUMNS
    assert MEDIA_COLUMNS == ("initiator_media", "responder_media", "reference_image_media")


def test_a_card_has_words_for_every_column() -> None:
    assert _about("task") == "`dialogue`, `listening`, `multi_turn`, `single` or `multi_person`"
    assert _about("initiator_media") == "the initiator's clip: content and path"
    assert _about("second_participant") == "the second participant, in the same form"


def test_dimensions_have_labels() -> None:
    assert {dimension.value: dimension.label for dimension in Dimension} == {
        "video_quality": "Video quality",
        "identity": "Identity",
        "dialogue": "Dialogue",
        "av_sync": "AV sync",
        "emotion": "Emotion",
        "voice": "Voice",
        "interaction": "Interaction",
        "multi_person": "Multi person",
    }
    assert {d.column_label for d in Dimension if d.column_label != d.label} == {"A/V sync", "Multi-person"}
    assert dimension_title("av_sync") == "AV sync"
