"""Questions to language models: a plain callable for the builder and the check, and the judge's endpoints behind it."""

from __future__ import annotations

import asyncio
import contextlib
import queue
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidchatbench.judge.llm.faults import JudgeFault

if TYPE_CHECKING:
    from vidchatbench.judge.llm.settings import PanelSettings

_AHEAD = 2
"""Questions begun per place at an endpoint, so that no place waits for the next one."""


@dataclass(frozen=True)
class Question:
    """One request to one model.

    Attributes:
        model: Position of the model in :attr:`Models.names`.
        messages: The messages.
        schema: What the answer must look like.
        seed: The seed.
        usable: Whether an answer's text is what was asked for; one that is not is not kept, or it would be found again
            by every later run.
    """

    model: int
    messages: list[dict[str, Any]]
    schema: dict[str, Any]
    seed: int = 0
    usable: Callable[[str], bool] = bool


@dataclass(frozen=True)
class Said:
    """An answer, with what the endpoint says has answered."""

    text: str
    answered_by: str | None = None


@dataclass(frozen=True)
class Unanswered:
    """Why there is no answer; names neither addresses nor keys."""

    reason: str


Asked = Iterator[tuple[int, Said | Unanswered]]


@dataclass(frozen=True)
class Models:
    """Language models that can be asked.

    Attributes:
        names: Their names.
        ask: Yields the position of each question with its answer, in whatever order they come.
    """

    names: tuple[str, ...]
    ask: Callable[[Sequence[Question]], Asked]


def connect_models(judge: str, *, budget: str | None = None, cache: Path | None = None) -> Models:
    """Returns the models behind ``URL#MODEL`` or a TOML file of judges; nothing is sent yet.

    Answers are kept in the cache of the judge, so that nothing is paid for twice.

    Args:
        judge: As ``--judge`` takes it; several are separated by commas.
        budget: Most that may be spent, such as ``200k tokens`` or ``5 USD``.
        cache: Folder of the answers; the usual one if ``None``.

    Raises:
        InputError: If it is not understood.
        UsageError: If the budget is not.
    """
    from vidchatbench.core.paths import cache_root
    from vidchatbench.judge.llm.budget import Budget, read_budget
    from vidchatbench.judge.llm.cache import ResponseCache
    from vidchatbench.judge.llm.endpoint import EndpointState
    from vidchatbench.judge.llm.settings import read_settings

    settings = read_settings(judge)
    spending = Budget(None if budget is None else read_budget(budget, settings.judges))
    responses = ResponseCache(cache or cache_root() / "judge" / "responses")
    states = [EndpointState() for _ in settings.judges]

    def ask(questions: Sequence[Question]) -> Asked:
        return _ask_all(settings, (responses, spending, states), questions)

    return Models(tuple(one.model for one in settings.judges), ask)


def _ask_all(settings: PanelSettings, kept: tuple[Any, Any, Any], questions: Sequence[Question]) -> Asked:
    """Asks everything at once, within the endpoints' limits, in an event loop of its own thread."""
    outbox: queue.SimpleQueue[tuple[int, Said | Unanswered] | None] = queue.SimpleQueue()
    loop = asyncio.new_event_loop()
    task = loop.create_task(_work(settings, kept, questions, outbox.put))

    def run() -> None:
        try:
            loop.run_until_complete(task)
        finally:
            loop.close()
            outbox.put(None)

    with ThreadPoolExecutor(1, thread_name_prefix="ladder") as pool:
        done = pool.submit(run)
        try:
            while (item := outbox.get()) is not None:
                yield item
            done.result()
        finally:
            with contextlib.suppress(RuntimeError):  # the loop may have ended in the meantime
                loop.call_soon_threadsafe(task.cancel)


async def _work(
    settings: PanelSettings,
    kept: tuple[Any, Any, Any],
    questions: Sequence[Question],
    hand_over: Callable[[tuple[int, Said | Unanswered]], None],
) -> None:
    from vidchatbench.judge.llm.endpoint import Ask, Endpoint, Tools

    cache, budget, states = kept
    tools = Tools(cache, budget)
    places = asyncio.Semaphore(_AHEAD * sum(one.max_concurrency for one in settings.judges))
    async with contextlib.AsyncExitStack() as stack:
        endpoints = [
            await stack.enter_async_context(Endpoint(one, state, tools).session())
            for one, state in zip(settings.judges, states, strict=True)
        ]

        async def one(position: int, question: Question) -> None:
            async with places:
                try:
                    told = await endpoints[question.model].ask(
                        Ask(question.messages, question.schema, question.seed, "ladder")
                    )
                except JudgeFault as fault:
                    hand_over((position, Unanswered(str(fault))))
                    return
            reply = told.reply
            refused = reply.refusal or reply.finish_reason == "content_filter"
            if refused or not question.usable(reply.content or ""):
                cache.forget(told.key)
            hand_over((position, Unanswered("it refused") if refused else Said(reply.content or "", reply.model)))

        tasks = [asyncio.ensure_future(one(*numbered)) for numbered in enumerate(questions)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
