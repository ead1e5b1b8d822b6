"""Questions to language models: a plain callable for the builder and the check, with endpoints behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vidchatbench.core.paths import cache_root
from vidchatbench.judge.llm.faults import ModelFault
from vidchatbench.judge.llm.messages import Message, Schema

if TYPE_CHECKING:
    from vidchatbench.judge.llm.endpoint import Endpoint

_SALT = "ladder"
"""Part of the key of every cached answer."""


@dataclass(frozen=True)
class Question:
    """One request to one model.

    Attributes:
        model: Position of the model in :attr:`Models.names`.
        messages: The messages.
        schema: What the answer must look like.
        seed: The seed.
        usable: Whether an answer's text is what was asked for; one that is not is not kept, or every later run would
            get it again.
    """

    model: int
    messages: list[Message]
    schema: Schema
    seed: int = 0
    usable: Callable[[str], bool] = bool


@dataclass(frozen=True)
class Answer:
    """The text of an answer, and the model that the endpoint names as having answered."""

    text: str
    answered_by: str | None = None


@dataclass(frozen=True)
class Unanswered:
    """Why there is no answer; names neither addresses nor keys."""

    reason: str


Answers = Iterator[tuple[int, Answer | Unanswered]]


@dataclass(frozen=True)
class Models:
    """Language models that can be asked.

    Attributes:
        names: Their names.
        ask: Yields the position of each question with its answer, in whatever order they come.
    """

    names: tuple[str, ...]
    ask: Callable[[Sequence[Question]], Answers]


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
    # The client of the endpoints takes long to load, and the builder and the check do without it.
    from vidchatbench.judge.llm.answers import is_cut_short
    from vidchatbench.judge.llm.budget import Budget, read_budget
    from vidchatbench.judge.llm.cache import ResponseCache
    from vidchatbench.judge.llm.endpoint import ChatRequest
    from vidchatbench.judge.llm.loop import EndpointPool
    from vidchatbench.judge.llm.settings import read_settings

    settings = read_settings(judge)
    responses = ResponseCache(cache or cache_root() / "judge" / "responses")
    pool = EndpointPool(
        settings.judges, responses, Budget(None if budget is None else read_budget(budget, settings.judges))
    )

    async def ask_one(endpoints: Sequence[Endpoint], question: Question) -> Answer | Unanswered:
        request = ChatRequest(question.messages, question.schema, question.seed, _SALT)
        try:
            response = await endpoints[question.model].ask(request)
        except ModelFault as fault:
            return Unanswered(str(fault))
        reply = response.reply
        refused = reply.refusal or reply.finish_reason == "content_filter"
        is_cut = is_cut_short(reply.finish_reason)
        if refused or is_cut or not question.usable(reply.content or ""):
            responses.forget(response.key)
        if is_cut:
            return Unanswered(f"its answer was cut off at max_tokens ({settings.judges[question.model].max_tokens})")
        return Unanswered("it refused") if refused else Answer(reply.content or "", reply.model)

    return Models(tuple(one.model for one in settings.judges), lambda questions: pool.run(ask_one, questions))
