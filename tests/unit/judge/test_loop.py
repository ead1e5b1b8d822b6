"""The event loop behind judges and ladders: results as they come, faults to the caller, and nothing left behind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from vidchatbench.judge.llm.budget import Budget
from vidchatbench.judge.llm.cache import ResponseCache
from vidchatbench.judge.llm.endpoint import Endpoint
from vidchatbench.judge.llm.loop import EndpointPool
from vidchatbench.judge.llm.settings import JudgeSettings


@pytest.fixture
def pool(tmp_path: Path) -> EndpointPool:
    settings = [
        JudgeSettings(base_url="http://localhost:1/v1", model=f"m{k}", max_concurrency=2, api_key_env=None)
        for k in range(2)
    ]
    return EndpointPool(settings, ResponseCache(tmp_path), Budget(None))


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("llm")]


def test_results_come_with_their_positions_as_soon_as_they_are_there(pool: EndpointPool) -> None:
    async def action(endpoints: Sequence[Endpoint], item: int) -> str:
        await asyncio.sleep(item / 50)
        return f"{endpoints[item % 2].settings.model}: {item}"

    assert list(pool.run(action, [4, 1, 2])) == [(1, "m1: 1"), (2, "m0: 2"), (0, "m0: 4")]
    assert list(pool.run(action, [])) == []
    assert threads() == []


def test_items_beyond_the_places_wait(pool: EndpointPool) -> None:
    running, most = 0, 0

    async def action(endpoints: Sequence[Endpoint], item: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.005)
        running -= 1

    assert len(list(pool.run(action, range(30)))) == 30
    assert most == 8, "two per place"


def test_an_exception_is_raised_and_cancels_the_others(pool: EndpointPool) -> None:
    cancelled = []

    async def action(endpoints: Sequence[Endpoint], item: int) -> int:
        if item == 0:
            return item
        if item == 1:
            await asyncio.sleep(0.02)
            raise ZeroDivisionError("item 1")
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.append(item)
        return item

    results = []
    with pytest.raises(ZeroDivisionError, match="item 1"):
        results.extend(pool.run(action, range(4)))
    assert sorted(cancelled) == [2, 3]
    assert threads() == []


@pytest.mark.parametrize("interrupted", [True, False])
def test_a_caller_that_stops_early_leaves_nothing_running(pool: EndpointPool, interrupted: bool) -> None:
    cancelled = []

    async def action(endpoints: Sequence[Endpoint], item: int) -> int:
        try:
            await asyncio.sleep(60 * item)
        except asyncio.CancelledError:
            cancelled.append(item)
            raise
        return item

    results = pool.run(action, range(3))
    assert next(results) == (0, 0)
    if interrupted:
        with pytest.raises(KeyboardInterrupt):
            results.throw(KeyboardInterrupt)  # type: ignore[attr-defined]
    else:
        results.close()  # type: ignore[attr-defined]
    assert sorted(cancelled) == [1, 2]
    assert threads() == []


def test_it_works_inside_a_running_loop(pool: EndpointPool) -> None:
    async def action(endpoints: Sequence[Endpoint], item: int) -> int:
        return item

    async def notebook() -> list[tuple[int, int]]:
        return list(pool.run(action, [7]))

    assert asyncio.run(notebook()) == [(0, 7)]


def test_what_is_learnt_of_endpoints_stays(pool: EndpointPool) -> None:
    async def action(endpoints: Sequence[Endpoint], item: int) -> None:
        endpoints[item].state.requests += 1

    list(pool.run(action, [0, 1]))
    list(pool.run(action, [1]))
    assert [state.requests for state in pool.states] == [1, 2]
