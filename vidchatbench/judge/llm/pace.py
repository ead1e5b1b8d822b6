"""How fast an endpoint is asked: spacing of requests, pauses that it demands, and waits before another try."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

FIRST_WAIT = 0.5
MAX_WAIT = 60.0
MAX_PAUSE = 600.0
"""An endpoint that asks for a longer pause is not waited for."""


class Pace:
    """Spaces the requests to one endpoint; all of them wait while it has asked for a pause.

    Args:
        requests_per_minute: Most requests to begin in a minute; unlimited if ``None``.
    """

    def __init__(self, requests_per_minute: float | None) -> None:
        self._gap = 60.0 / requests_per_minute if requests_per_minute else 0.0
        self._next = 0.0
        self._pause_until = 0.0

    async def turn(self) -> None:
        """Waits for this request's turn."""
        if self._gap:
            now = time.monotonic()
            slot = max(now, self._next)
            self._next = slot + self._gap
            await asyncio.sleep(slot - now)
        while (wait := self._pause_until - time.monotonic()) > 0:
            await asyncio.sleep(wait)

    def pause(self, seconds: float) -> None:
        """Holds every request back for a while."""
        self._pause_until = max(self._pause_until, time.monotonic() + seconds)


def wait_before(attempt: int, first_wait: float = FIRST_WAIT) -> float:
    """Seconds before another try: doubling, with jitter of a half, so that many clients do not come back at once."""
    wait = min(MAX_WAIT, first_wait * 2.0**attempt)
    return wait * random.uniform(0.5, 1.5)  # noqa: S311 - it spreads requests, it hides nothing


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the endpoint wants to be left alone (``Retry-After``: seconds or a date), if it says so."""
    stated = headers.get("retry-after-ms")
    if stated is not None and stated.strip().isdigit():
        return int(stated) / 1000
    stated = headers.get("retry-after", "").strip()
    try:
        return max(0.0, float(stated)) if stated else None
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(stated)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return max(0.0, (moment - datetime.now(timezone.utc)).total_seconds())
