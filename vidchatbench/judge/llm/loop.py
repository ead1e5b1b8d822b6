"""Asks several endpoints many things at once, and yields the results to a synchronous caller as they come.

The work is done by an event loop in a thread of its own, so that it can be used from anywhere, a notebook's running
loop included. Each result is handed over at once, so that a run that is killed has kept what it was given.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from vidchatbench.judge.llm.budget import Budget
from vidchatbench.judge.llm.cache import ResponseCache
from vidchatbench.judge.llm.endpoint import Endpoint, EndpointState, Shared
from vidchatbench.judge.llm.pace import FIRST_WAIT
from vidchatbench.judge.llm.settings import JudgeSettings

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 2
"""Items begun per place at an endpoint, so that no place waits for the next one."""


class EndpointPool:
    """Endpoints that share a cache and a budget; what is learnt of them is kept between calls of :meth:`run`.

    Args:
        settings: One entry per endpoint.
        cache: Replies that were paid for.
        budget: What may be spent.
        first_wait: Seconds before a failed request is tried again for the first time.
    """

    def __init__(
        self, settings: Sequence[JudgeSettings], cache: ResponseCache, budget: Budget, first_wait: float = FIRST_WAIT
    ) -> None:
        self._settings = tuple(settings)
        self._cache = cache
        self._budget = budget
        self._first_wait = first_wait
        self.states = tuple(EndpointState() for _ in self._settings)

    def run(
        self, action: Callable[[Sequence[Endpoint], T], Awaitable[R]], items: Sequence[T]
    ) -> Iterator[tuple[int, R]]:
        """Runs an action on all items at once, within the endpoints' limits.

        An exception of an action cancels the other actions and is raised here. A caller that stops early, by closing
        the iterator or by an exception such as ``KeyboardInterrupt``, cancels them too. In each case the thread has
        ended when control returns to the caller.

        Args:
            action: Asks the endpoints, which come in the order of the settings, about one item.
            items: The items.

        Yields:
            The position of each item with its result, in whatever order they come.
        """
        outbox: queue.SimpleQueue[tuple[int, R] | None] = queue.SimpleQueue()
        loop = asyncio.new_event_loop()
        task = loop.create_task(self._work(action, items, outbox.put))

        def run_loop() -> None:
            try:
                loop.run_until_complete(task)
            finally:
                loop.close()
                outbox.put(None)

        with ThreadPoolExecutor(1, thread_name_prefix="llm") as pool:
            done = pool.submit(run_loop)
            try:
                while (result := outbox.get()) is not None:
                    yield result
                done.result()
            finally:
                with contextlib.suppress(RuntimeError):  # the loop may have ended in the meantime
                    loop.call_soon_threadsafe(task.cancel)

    async def _work(
        self,
        action: Callable[[Sequence[Endpoint], T], Awaitable[R]],
        items: Sequence[T],
        hand_over: Callable[[tuple[int, R]], None],
    ) -> None:
        places = asyncio.Semaphore(_AHEAD * sum(one.max_concurrency for one in self._settings))

        async def run_one(endpoints: Sequence[Endpoint], position: int, item: T) -> None:
            async with places:
                hand_over((position, await action(endpoints, item)))

        async with self._session() as endpoints:
            tasks = [asyncio.ensure_future(run_one(endpoints, *numbered)) for numbered in enumerate(items)]
            try:
                await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    @contextlib.asynccontextmanager
    async def _session(self) -> AsyncIterator[Sequence[Endpoint]]:
        shared = Shared(self._cache, self._budget, self._first_wait)
        async with contextlib.AsyncExitStack() as stack:
            yield [
                await stack.enter_async_context(Endpoint(settings, state, shared).session())
                for settings, state in zip(self._settings, self.states, strict=True)
            ]
