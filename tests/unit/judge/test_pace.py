"""Waits between attempts, and what endpoints say about them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest

from vidchatbench.judge.llm.pace import MAX_WAIT, retry_after, wait_before


def test_waits_double_with_jitter_up_to_a_minute() -> None:
    for attempt in range(20):
        middle = min(MAX_WAIT, 0.5 * 2**attempt)
        waits = [wait_before(attempt) for _ in range(50)]
        assert all(0.5 * middle <= wait <= 1.5 * middle for wait in waits)
        assert len(set(waits)) > 40, "many clients must not come back at once"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_retry_after_a_date_to_come() -> None:
    moment = datetime.now(timezone.utc) + timedelta(seconds=90)
    assert retry_after({"retry-after": format_datetime(moment, usegmt=True)}) == pytest.approx(90, abs=2)
