"""A panel of judges: asks every judge for every reply as often as the settings say, and gathers the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidchatbench.api.features import Param, Refusal
from vidchatbench.api.judging import AXES, RUBRIC, JudgeAnswer, JudgeRequest
from vidchatbench.core.paths import cache_root
from vidchatbench.judge.llm.answers import UnfinishedAnswerError, UnusableAnswerError, is_cut_short
from vidchatbench.judge.llm.budget import Budget, cost_of, estimate_tokens, read_budget
from vidchatbench.judge.llm.cache import Reply, ResponseCache
from vidchatbench.judge.llm.endpoint import TEMPERATURE, ChatRequest, ChatResponse, Endpoint, EndpointState
from vidchatbench.judge.llm.faults import ModelFault
from vidchatbench.judge.llm.loop import EndpointPool
from vidchatbench.judge.llm.messages import prompt_texts
from vidchatbench.judge.llm.pace import FIRST_WAIT
from vidchatbench.judge.llm.quoting import is_cut
from vidchatbench.judge.llm.settings import PanelSettings
from vidchatbench.judge.rubric import PROMPT_SHA256, REPAIR, messages_for, pair_messages_for
from vidchatbench.judge.verdict import (
    PAIR_SCHEMA,
    VERDICT_SCHEMA,
    Answer,
    NoVerdict,
    Preference,
    UnfinishedVerdict,
    Verdict,
    read_answer,
)

SEPARATOR = " | "
_USUAL_ANSWER = 120
"""Tokens of an answer, for estimates: five numbers and a reason."""
_MAX_QUOTE_LENGTH = 2000


@dataclass(frozen=True)
class Estimate:
    """What a run of the judges would take if nothing of it was paid for before.

    Attributes:
        calls: Requests to be sent.
        tokens_in: Tokens to be read, from the length of the prompts in bytes; on the dear side.
        tokens_out: Tokens to be written, by the usual length of an answer.
        cost: What that costs in ``unit``.
        unit: ``tokens``, or the currency of the budget.
    """

    calls: int
    tokens_in: int
    tokens_out: int
    cost: float
    unit: str

    def __str__(self) -> str:
        money = "" if self.unit == "tokens" else f", {self.cost:.2f} {self.unit}"
        return f"{self.calls:,} requests, {self.tokens_in + self.tokens_out:,} tokens{money}"


@dataclass(frozen=True)
class PairVerdict:
    """What the panel says of two texts, each judge asked in both orders.

    Attributes:
        better: 1 where the first text is better, -1 where the second is, 0 for a tie; the panel's majority.
        votes: One of 1, 0, -1 per judge and seed; 0 where the two orders disagree.
        inconsistent: Votes whose two orders disagree.
        order_bias: Share of the inconsistent answers that chose what came first, minus those that chose what came
            second, in -1..1; 0 without any.
    """

    better: int
    votes: tuple[int, ...]
    inconsistent: int
    order_bias: float


@dataclass(frozen=True)
class _Answered:
    """A valid answer, and the replies that it took: two where the first one was not usable."""

    answer: Verdict | Preference
    replies: tuple[Reply, ...]


class Panel:
    """One judge or several; implements :class:`vidchatbench.api.judging.Judge`.

    Args:
        settings: The judges.
        budget: Most that may be spent by this object, such as ``200k tokens``; unlimited if ``None``.
        cache: Folder of the responses; the usual one if ``None``.
        first_wait: Seconds before a failed request is tried again for the first time.

    Raises:
        UsageError: If the budget is not understood, or is money where a judge has no price.
    """

    def __init__(
        self,
        settings: PanelSettings,
        *,
        budget: str | None = None,
        cache: Path | None = None,
        first_wait: float = FIRST_WAIT,
    ) -> None:
        self.settings = settings
        self.budget = Budget(None if budget is None else read_budget(budget, settings.judges))
        self.folder = cache_root() / "judge" if cache is None else cache
        self._cache = ResponseCache(self.folder / "responses")
        self._pool = EndpointPool(settings.judges, self._cache, self.budget, first_wait)

    @property
    def name(self) -> str:
        """Public name: the models, and the repeats and the seed where they are unusual."""
        return self.settings.name

    @property
    def seeds(self) -> tuple[int, ...]:
        """One seed per repeat."""
        return tuple(self.settings.seed + repeat for repeat in range(self.settings.repeats))

    @property
    def states(self) -> tuple[EndpointState, ...]:
        """What has been learnt of each judge's endpoint."""
        return self._pool.states

    @property
    def requests_sent(self) -> int:
        """Requests sent so far, those that failed included."""
        return sum(state.requests for state in self.states)

    def identity(self) -> Mapping[str, object]:
        """Everything known beforehand that can change the answers; no address, no key."""
        return {
            "rubric": RUBRIC,
            "prompt_sha256": PROMPT_SHA256,
            "judges": [{"model": judge.model, "max_tokens": judge.max_tokens} for judge in self.settings.judges],
            "seeds": list(self.seeds),
            "temperature": TEMPERATURE,
        }

    def estimate(self, requests: Sequence[JudgeRequest]) -> Estimate:
        """Estimates what judging takes; pictures are counted at a flat rate."""
        read = [estimate_tokens(prompt_texts(messages_for(one)), len(one.frames)) for one in requests]
        tokens_in, repeats = sum(read), self.settings.repeats
        each = (tokens_in * repeats, len(requests) * repeats * _USUAL_ANSWER)
        judges = self.settings.judges
        cost = sum(cost_of(judge, self.budget.unit, *each) for judge in judges)
        calls = len(requests) * repeats * len(judges)
        return Estimate(calls, each[0] * len(judges), each[1] * len(judges), cost, self.budget.unit)

    def score(self, requests: Sequence[JudgeRequest], *, salt: str = "") -> Iterator[tuple[int, JudgeAnswer | Refusal]]:
        """Yields the position of each request with its answer, in whatever order they come.

        Args:
            requests: What to judge.
            salt: Sets these requests apart from others of the same content, which would share their cached replies.
        """

        async def judge(endpoints: Sequence[Endpoint], request: JudgeRequest) -> JudgeAnswer | Refusal:
            messages = messages_for(request)
            questions = [
                _ask(endpoint, self._cache, ChatRequest(messages, VERDICT_SCHEMA, seed, salt), Verdict)
                for endpoint in endpoints
                for seed in self.seeds
            ]
            answered = await _gather(questions)
            return answered if isinstance(answered, Refusal) else self._answer(request, answered, endpoints)

        return self._pool.run(judge, requests)

    def compare_texts(self, pairs: Sequence[tuple[JudgeRequest, str]]) -> list[PairVerdict | Refusal]:
        """Compares the reply of each request with a second text, in both orders.

        A judge that prefers the one in one order and the other in the other order has seen their places and not the
        texts: its vote counts as a tie (Zheng et al. 2023, arXiv 2306.05685).
        """

        async def compare(endpoints: Sequence[Endpoint], pair: tuple[JudgeRequest, str]) -> PairVerdict | Refusal:
            request, second = pair
            swapped = JudgeRequest(request.name, request.language, request.initiator, second, request.history)
            orders = (pair_messages_for(request, second), pair_messages_for(swapped, request.reply))
            questions = [
                _ask(endpoint, self._cache, ChatRequest(messages, PAIR_SCHEMA, seed), Preference)
                for endpoint in endpoints
                for seed in self.seeds
                for messages in orders
            ]
            answered = await _gather(questions)
            if isinstance(answered, Refusal):
                return answered
            choices = [one.answer.better for one in answered if isinstance(one.answer, Preference)]
            return weigh(list(zip(choices[::2], choices[1::2], strict=True)))

        results = dict(self._pool.run(compare, pairs))
        return [results[position] for position in range(len(pairs))]

    def _answer(
        self, request: JudgeRequest, answered: Sequence[_Answered], endpoints: Sequence[Endpoint]
    ) -> JudgeAnswer:
        judges, repeats = len(endpoints), self.settings.repeats
        verdicts = [one.answer for one in answered if isinstance(one.answer, Verdict)]
        scores = np.array([verdict.scores() for verdict in verdicts], np.int8).reshape(judges, repeats, len(AXES))
        groups = [answered[k * repeats : (k + 1) * repeats] for k in range(judges)]
        replies = [[reply for one in group for reply in one.replies] for group in groups]
        tokens = [(sum(r.tokens_in for r in row), sum(r.tokens_out for r in row)) for row in replies]
        reasons = [one.redact(group[0].answer.reason) for one, group in zip(endpoints, groups, strict=True)]
        meta: dict[str, Param] = {
            "judges": SEPARATOR.join(judge.model for judge in self.settings.judges),
            "answered_by": SEPARATOR.join(_distinct(reply.model for reply in row) for row in replies),
            "fingerprints": SEPARATOR.join(_distinct(reply.fingerprint for reply in row) for row in replies),
            "format": SEPARATOR.join(_distinct(reply.format for reply in row) for row in replies),
            "reasons": SEPARATOR.join(reasons),
            "rubric": RUBRIC,
            "prompt_sha256": PROMPT_SHA256,
            "seed": self.settings.seed,
            "temperature": TEMPERATURE,
            "not_taken": ",".join(sorted({name for endpoint in endpoints for name in endpoint.state.dropped})),
            "tokens_estimated": any(reply.estimated for row in replies for reply in row),
            "reply_words": len(request.reply.split()),
            "cut": is_cut(request.reply),
        }
        return JudgeAnswer(scores, np.array(tokens, np.int64).reshape(judges, 2), meta)


def weigh(answers: Sequence[tuple[str, str]]) -> PairVerdict:
    """Makes one verdict of what was answered in both orders.

    Args:
        answers: Pairs of ``first``, ``second`` or ``tie``: with the first text in the first place, and in the second.
    """
    straight = {"first": 1, "second": -1, "tie": 0}
    votes, bias = [], []
    for there, back in answers:
        one, other = straight[there], -straight[back]
        votes.append(one if one == other else 0)
        if one != other:
            bias.append((straight[there] + straight[back]) / 2)
    majority = int(np.sign(sum(votes)))
    return PairVerdict(majority, tuple(votes), len(bias), float(np.mean(bias)) if bias else 0.0)


async def _gather(questions: Sequence[Awaitable[_Answered]]) -> list[_Answered] | Refusal:
    # All of them are awaited even where one fails: what was asked is paid, and is kept for the next run.
    results = await asyncio.gather(*questions, return_exceptions=True)
    answered: list[_Answered] = []
    for result in results:
        if isinstance(result, ModelFault):
            return Refusal(str(result))
        if isinstance(result, BaseException):
            raise result
        answered.append(result)
    return answered


async def _ask(endpoint: Endpoint, cache: ResponseCache, request: ChatRequest, kind: type[Answer]) -> _Answered:
    """Asks one judge; an answer that is not usable is sent back once, with what is wrong with it."""
    judged = prompt_texts(request.messages)
    first = await endpoint.ask(request)
    try:
        return _Answered(_read(first, endpoint, kind, judged), (first.reply,))
    except UnusableAnswerError as error:
        problem, unfinished = str(error), isinstance(error, UnfinishedAnswerError)
    except NoVerdict:
        cache.forget(first.key)
        raise
    quote = (first.reply.content or "")[:_MAX_QUOTE_LENGTH]
    second = await endpoint.ask(request.follow_up(quote, REPAIR.format(problem=problem)))
    try:
        return _Answered(_read(second, endpoint, kind, judged), (first.reply, second.reply))
    except (UnusableAnswerError, NoVerdict) as error:
        # Kept, they would make every later run fail without asking.
        cache.forget(first.key)
        cache.forget(second.key)
        if isinstance(error, NoVerdict):
            raise
        unfinished = unfinished or isinstance(error, UnfinishedAnswerError)
        reason = f"judge {endpoint.settings.model!r} gave no usable answer, asked twice: {endpoint.redact(str(error))}"
        if not unfinished:
            raise NoVerdict(reason) from None
        limit = f"max_tokens is {endpoint.settings.max_tokens}, and can be raised in the judges' TOML file"
        raise UnfinishedVerdict(f"{reason}; {limit}") from None


def _read(response: ChatResponse, endpoint: Endpoint, kind: type[Answer], judged: Sequence[str]) -> Answer:
    reply, most = response.reply, endpoint.settings.max_tokens
    if reply.refusal or reply.finish_reason == "content_filter":
        words = f": {endpoint.redact(reply.refusal)}" if reply.refusal else ""
        raise NoVerdict(f"judge {endpoint.settings.model!r} refused to judge{words}")
    # Not every server says why an answer ends.
    at_limit = reply.finish_reason is None and not reply.estimated and reply.tokens_out >= most
    if is_cut_short(reply.finish_reason) or at_limit:
        raise UnfinishedAnswerError(f"it was cut off at {most} tokens, before its end")
    if not reply.content:
        raise UnusableAnswerError(f"it is empty (finish_reason {reply.finish_reason!r})")
    return read_answer(reply.content, kind, judged)


def _distinct(values: Iterable[str | None]) -> str:
    return ",".join(sorted({value for value in values if value})) or "unstated"
