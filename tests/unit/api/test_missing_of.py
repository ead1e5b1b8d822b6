"""What a sample is missing for a metric: asked of the card, by the engine's plan and by the leaderboard alike."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from vidchatbench.api.cards import MetricCard
from vidchatbench.api.samples import Role, Sample, Side, Task, benchmark_media

SHA = "0" * 64


def card(*roles: Role, tasks: tuple[Task, ...] = ("dialogue", "listening")) -> MetricCard:
    return MetricCard.model_validate(
        {
            "id": "family/name", "version": 1, "title": "Name", "dimension": "identity", "direction": "higher",
            "unit": "", "worst": 0.0, "roles": roles, "tasks": tasks, "aggregation": "mean", "protocol": "name/v1",
            "protocol_text": "p", "description": "d", "code_license": "MIT", "commercial_use": True, "citation": "c",
            "source": "s",
        }
    )  # fmt: skip


def sample(task: Task = "dialogue", *, answered: bool = True, image: str | None = None) -> Sample:
    side = Side(media="i.mp4", sha256=SHA, speaker_id="p")
    reply = side.model_copy(update={"media": "r.mp4"}) if answered else None
    return Sample(id="a", task=task, language="en", initiator=side, responder=reply, reference_image=image)


@pytest.mark.parametrize(
    ("roles", "offered", "expected"),
    [
        ((Role.CANDIDATE,), (), None),
        ((Role.CANDIDATE, Role.REFERENCE), (Role.REFERENCE,), None),
        ((Role.CANDIDATE, Role.REFERENCE), (Role.CANDIDATE, Role.INITIATOR), "the sample has no reference"),
        ((Role.CANDIDATE, Role.REFERENCE_IMAGE, Role.REFERENCE), (), "the sample has no reference image"),
        ((Role.INITIATOR, Role.REFERENCE), (Role.INITIATOR,), "the sample has no reference"),
    ],
)
def test_the_first_missing_role_is_named(
    roles: tuple[Role, ...], offered: Collection[Role], expected: str | None
) -> None:
    assert card(*roles).missing_of(sample(), offered) == expected


def test_a_task_is_asked_before_the_roles() -> None:
    made = card(Role.CANDIDATE, Role.REFERENCE)
    assert made.missing_of(sample("single"), ()) == "the metric does not apply to task 'single'"
    assert made.missing_of(sample("listening"), (Role.REFERENCE,)) is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (sample(), None),
        (sample(answered=False), "the sample has no reference image"),
        (sample(answered=False, image="face.png"), None),
    ],
)
def test_a_reference_stands_in_for_its_image(given: Sample, expected: str | None) -> None:
    assert card(Role.CANDIDATE, Role.REFERENCE_IMAGE).missing_of(given, benchmark_media(given)) == expected
