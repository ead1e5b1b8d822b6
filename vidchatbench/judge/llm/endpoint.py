"""One judge's endpoint: requests with a limit on their rate and number, retries, and the endpoint's dialect.

Everything runs in one event loop, so state needs no locks; only the budget and the cache are shared with others.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PureWindowsPath
from typing import Any
from urllib.parse import urlsplit

import openai

from vidchatbench.judge.llm.budget import Budget, cost_of, estimate_tokens
from vidchatbench.judge.llm.cache import Reply, ResponseCache
from vidchatbench.judge.llm.faults import BudgetSpent, EndpointDown, JudgeFault, redact
from vidchatbench.judge.llm.messages import Message, Schema
from vidchatbench.judge.llm.pace import FIRST_WAIT, MAX_PAUSE, Pace, retry_after, wait_before
from vidchatbench.judge.llm.settings import JudgeSettings

ATTEMPTS = 6
FAILURES_IN_A_ROW = 3
"""Requests that failed in every attempt, one after the other, after which the endpoint is taken to be down."""

TEMPERATURE = 0.0
_FORMATS = ("json_schema", "json_object", "text")
_BAD_REQUEST = frozenset({400, 404, 415, 422, 501})
_DENIED = frozenset({401, 402, 403})
_PASSING = frozenset({408, 409, 425, 429})
_NOT_FOUND = 404
_TOO_MANY = 429
_MORE_PATIENCE = 3
"""Doublings by which the waits begin later where the endpoint is asked too often: 4, 8, 16, 32 and 60 s."""
_SERVER_ERROR = 500
_NOT_IMPLEMENTED = 501
_OUT_OF_QUOTA = frozenset({"insufficient_quota", "billing_hard_limit_reached", "account_deactivated"})
_OPTIONAL = frozenset({"temperature", "seed"})
_MODEL_FIELDS = ("id", "root", "meta")


@dataclass
class EndpointState:
    """What has been learnt of an endpoint; it outlives a session.

    Attributes:
        format: Position in the list of ways to ask for structure; lowered where the endpoint refuses one.
        settled: Whether a request has succeeded, so that the way is known to work.
        limit_field: What the endpoint calls the limit of written tokens.
        dropped: Parameters that the endpoint does not take.
        served: What the endpoint says of the model it serves, where it does.
        asked: Whether it has been asked for that.
        failures: Requests that have failed in a row.
        down: Why the endpoint is not asked any more.
        requests: Requests sent.
    """

    format: int = 0
    settled: bool = False
    limit_field: str = "max_tokens"
    dropped: set[str] = field(default_factory=set)
    served: dict[str, Any] | None = None
    asked: bool = False
    failures: int = 0
    down: str | None = None
    requests: int = 0


@dataclass(frozen=True)
class Tools:
    """What the endpoints of a panel share.

    Attributes:
        cache: Replies that were paid for.
        budget: What may be spent.
        first_wait: Seconds before the second attempt.
        queue: Held by the request that waits for the budget; those behind it come in their order.
        released: Notified whenever a reservation is settled.
    """

    cache: ResponseCache
    budget: Budget
    first_wait: float = FIRST_WAIT
    queue: asyncio.Lock = field(default_factory=asyncio.Lock)
    released: asyncio.Condition = field(default_factory=asyncio.Condition)


@dataclass(frozen=True)
class Ask:
    """One request.

    Attributes:
        messages: The messages.
        schema: What the answer must look like.
        seed: The seed.
        salt: Sets requests apart that must not share a cached reply.
    """

    messages: list[Message]
    schema: Schema
    seed: int
    salt: str = ""

    def follow_up(self, answer: str, question: str) -> Ask:
        """Returns the request that continues after an answer."""
        more = [{"role": "assistant", "content": answer}, {"role": "user", "content": question}]
        return replace(self, messages=[*self.messages, *more])


@dataclass(frozen=True)
class Told:
    """A reply, the key under which it is kept, and whether it was there already."""

    reply: Reply
    key: str
    cached: bool


class Endpoint:
    """A judge's endpoint during one session; use it inside :meth:`session`."""

    def __init__(self, settings: JudgeSettings, state: EndpointState, tools: Tools) -> None:
        self.settings = settings
        self.state = state
        self._tools = tools
        self._pace = Pace(settings.requests_per_minute)
        self._places = asyncio.Semaphore(settings.max_concurrency)
        self._settling = asyncio.Lock()
        self._key = os.environ.get(settings.key_variable or "", "").strip() or None
        self._client = openai.AsyncOpenAI(
            base_url=settings.base_url,
            api_key=self._key or "none",  # the client wants one; local servers do not look
            max_retries=0,
            timeout=settings.timeout_s,
        )
        if urlsplit(settings.base_url).hostname != "api.openai.com":
            # Read from the environment by the client, and nobody else's business.
            self._client.organization = self._client.project = None

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[Endpoint]:
        """Keeps the connections for the time of the context; what was down before may be up again."""
        self.state.down, self.state.failures, self.state.asked = None, 0, False
        async with self._client:
            yield self

    def redact(self, text: str) -> str:
        """Returns a message without this endpoint's key and address."""
        return redact(text, [self._key] if self._key else [], self.settings.base_url)

    async def ask(self, ask: Ask) -> Told:
        """Returns the reply to a request, from the cache if it was paid for before.

        Raises:
            JudgeFault: If there is none.
        """
        async with self._settling:
            if not self.state.asked:
                self.state.served = await self._describe()
                self.state.asked = True
        key = self._cache_key(ask)
        if (kept := self._tools.cache.load(key)) is not None:
            return Told(kept, key, cached=True)
        if not self.state.settled:
            # One request finds out how this endpoint wants to be asked, instead of all at once.
            async with self._settling:
                if not self.state.settled:
                    return await self._paid(ask, key)
        async with self._places:
            return await self._paid(ask, key)

    def _cache_key(self, ask: Ask) -> str:
        return ResponseCache.key(
            {
                "model": self.settings.model,
                "served": self.state.served,
                "messages": ask.messages,
                "schema": ask.schema,
                "seed": ask.seed,
                "temperature": TEMPERATURE,
                "max_tokens": self.settings.max_tokens,
                "salt": ask.salt,
            }
        )

    async def _paid(self, ask: Ask, key: str) -> Told:
        pictures = sum(
            part["type"] == "image_url" for m in ask.messages if isinstance(m["content"], list) for part in m["content"]
        )
        guess = estimate_tokens(prompt_texts(ask.messages), pictures)
        unit, budget = self._tools.budget.unit, self._tools.budget
        most = cost_of(self.settings, unit, guess, self.settings.max_tokens)
        await self._reserve(most)
        # An attempt that failed on the way may have been charged for what was read.
        lost: list[int] = []
        reply: Reply | None = None
        try:
            reply = await self._persist(ask, guess, lost)
            self._tools.cache.save(key, reply)
            return Told(reply, key, cached=False)
        finally:
            read, written = (reply.tokens_in, reply.tokens_out) if reply is not None else (0, 0)
            budget.settle(most, cost_of(self.settings, unit, read + sum(lost), written))
            async with self._tools.released:
                self._tools.released.notify_all()

    async def _reserve(self, most: float) -> None:
        budget = self._tools.budget
        async with self._tools.queue, self._tools.released:
            while not budget.reserve(most):
                if not budget.could_ever(most):
                    raise BudgetSpent(f"the judge's budget is spent ({budget})")
                # Another thread's requests may release it without a notice.
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._tools.released.wait(), timeout=1.0)

    async def _persist(self, ask: Ask, guess: int, lost: list[int]) -> Reply:
        problem = ""
        attempt = 0
        while attempt < ATTEMPTS:
            if self.state.down is not None:
                raise EndpointDown(self.state.down)
            await self._pace.turn()
            try:
                reply = await self._once(ask, guess)
            except openai.APIStatusError as error:
                if self._adapt(error):
                    continue
                problem = self.redact(f"{error.status_code}: {_message(error)}")
                self._give_up_if_final(error, problem)
                wait = self._wait_for(error, attempt)
            except openai.APIConnectionError as error:
                timed_out = isinstance(error, openai.APITimeoutError)
                problem = f"no answer within {self.settings.timeout_s:g} s" if timed_out else "the connection failed"
                lost.append(guess)
                wait = wait_before(attempt, self._tools.first_wait)
            except _TornAnswer as error:
                problem = str(error)
                lost.append(guess)
                wait = wait_before(attempt, self._tools.first_wait)
            else:
                self.state.settled, self.state.failures = True, 0
                return reply
            attempt += 1
            if attempt < ATTEMPTS:
                await asyncio.sleep(wait)
        reason = f"judge {self.settings.model!r}: {problem} ({ATTEMPTS} attempts)"
        self._count_failure(reason)
        raise JudgeFault(reason)

    def _count_failure(self, reason: str) -> None:
        if not self.state.settled:
            self.state.format = 0  # none of the ways helped, so none of them was at fault
        self.state.failures += 1
        if self.state.failures >= FAILURES_IN_A_ROW:
            self.state.down = f"{reason}; it is taken to be down"

    def _wait_for(self, error: openai.APIStatusError, attempt: int) -> float:
        wait = wait_before(attempt, self._tools.first_wait)
        if (stated := retry_after(error.response.headers)) is None:
            if error.status_code != _TOO_MANY:
                return wait
            # Limits are mostly by the minute: seconds of waiting would use up all attempts within one.
            stated = wait_before(attempt + _MORE_PATIENCE, self._tools.first_wait)
        if stated > MAX_PAUSE:
            self.state.down = f"judge {self.settings.model!r} asks to be left alone for {stated:.0f} s"
            raise EndpointDown(self.state.down)
        self._pace.pause(stated)  # others would only be turned away too
        return 0.0

    def _give_up_if_final(self, error: openai.APIStatusError, problem: str) -> None:
        """Raises where another attempt cannot help."""
        reason = f"judge {self.settings.model!r}: {problem}"
        status = error.status_code
        if status in _DENIED or str(error.code) in _OUT_OF_QUOTA:
            if status in _DENIED and self._key is None:
                variable = self.settings.key_variable
                reason += f" (no key was sent; {f'set {variable}' if variable else 'name its variable as api_key_env'})"
            self.state.down = reason
            raise EndpointDown(reason)
        if status not in _PASSING and (status < _SERVER_ERROR or status == _NOT_IMPLEMENTED):
            if status == _NOT_FOUND:
                self.state.down = reason
                raise EndpointDown(reason)
            self._count_failure(reason)
            raise JudgeFault(reason)

    def _adapt(self, error: openai.APIStatusError) -> bool:
        """Learns from a request that was refused how this endpoint wants to be asked; returns whether it has."""
        if error.status_code not in _BAD_REQUEST:
            return False
        state, about = self.state, f"{error.param or ''} {_message(error)}".lower()
        if state.limit_field == "max_tokens" and "max_completion_tokens" in about:
            state.limit_field = "max_completion_tokens"
            return True
        for name in sorted(_OPTIONAL - state.dropped):
            if error.param == name:
                state.dropped.add(name)
                return True
        names_format = any(word in about for word in ("response_format", "json_schema", "json_object", "grammar"))
        if state.format < len(_FORMATS) - 1 and (names_format or not state.settled):
            # A model that does not exist is no reason to ask it differently.
            if error.status_code == _NOT_FOUND and not names_format:
                return False
            state.format += 1
            return True
        return False

    async def _once(self, ask: Ask, guess: int) -> Reply:
        way = _FORMATS[self.state.format]
        body: dict[str, Any] = {
            "model": self.settings.model,
            "messages": ask.messages,
            "temperature": TEMPERATURE,
            "seed": ask.seed,
            self.state.limit_field: self.settings.max_tokens,
        }
        if way == "json_schema":
            body["response_format"] = {"type": "json_schema", "json_schema": ask.schema}
        elif way == "json_object":
            body["response_format"] = {"type": "json_object"}
        for name in self.state.dropped:
            del body[name]
        self.state.requests += 1
        raw = await self._client.chat.completions.with_raw_response.create(**body)
        content = raw.http_response.content
        # Replies are kept on disk, and a server may say anything.
        return _read_reply(content.replace(self._key.encode(), b"***") if self._key else content, guess, way)

    async def _describe(self) -> dict[str, Any] | None:
        """Asks what is served under the model's name, so that another model of that name is not taken for it."""
        problem = ""
        for attempt in range(ATTEMPTS):
            try:
                raw = await self._client.models.with_raw_response.list()
                return _entry(raw.http_response.content, self.settings.model)
            except openai.APIStatusError as error:
                if error.status_code not in _PASSING and error.status_code < _SERVER_ERROR:
                    return None
                problem = self.redact(f"{error.status_code}: {_message(error)}")
            except openai.APIConnectionError:
                problem = "the connection failed"
            await asyncio.sleep(wait_before(attempt, self._tools.first_wait))
        self.state.asked = True
        self.state.down = f"judge {self.settings.model!r} cannot be reached: {problem} ({ATTEMPTS} attempts)"
        raise EndpointDown(self.state.down)


class _TornAnswer(Exception):  # noqa: N818 - it never leaves this module
    """A success by its status whose body is no completion."""


def _read_reply(content: bytes, guess: int, way: str) -> Reply:
    try:
        body = json.loads(content)
        choice = body["choices"][0]
        message = choice["message"]
        text, refusal = message.get("content"), message.get("refusal")
        usage = body.get("usage") or {}
        read, written = usage.get("prompt_tokens"), usage.get("completion_tokens")
        counted = isinstance(read, int) and isinstance(written, int)
        if not isinstance(read, int) or not isinstance(written, int):
            read, written = guess, estimate_tokens([text or ""])
        return Reply(
            content=text,
            refusal=refusal,
            finish_reason=choice.get("finish_reason"),
            model=_bare(body.get("model")),
            fingerprint=_bare(body.get("system_fingerprint")),
            tokens_in=read,
            tokens_out=written,
            estimated=not counted,
            format=way,
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise _TornAnswer("the answer is not a completion") from None


def _bare(name: object) -> str | None:
    """Returns a name as it may be kept, and listed between commas and bars."""
    if not isinstance(name, str):
        return None
    # Local servers name a model by its file; where that lies is nobody's business.
    is_path = name.startswith(("/", "~", ".")) or "\\" in name or name.endswith(".gguf")
    return re.sub(r"[\s,|]+", "_", PureWindowsPath(name).name if is_path else name)


def _entry(content: bytes, model: str) -> dict[str, Any] | None:
    try:
        entries = [entry for entry in json.loads(content)["data"] if isinstance(entry, dict)]
    except (ValueError, KeyError, TypeError):
        return None
    named = [entry for entry in entries if entry.get("id") == model] or (entries if len(entries) == 1 else [])
    return {name: named[0][name] for name in _MODEL_FIELDS if named[0].get(name) is not None} if named else None


def prompt_texts(messages: Sequence[Message]) -> list[str]:
    """Returns the texts of messages, without their pictures."""
    contents = [message["content"] for message in messages]
    parts = [[{"type": "text", "text": one}] if isinstance(one, str) else one for one in contents]
    return [part["text"] for some in parts for part in some if part["type"] == "text"]


def _message(error: openai.APIStatusError) -> str:
    body = error.body
    if isinstance(body, dict):
        stated = body.get("message") or body.get("error") or ""
        return stated if isinstance(stated, str) else str(stated.get("message", "")) if isinstance(stated, dict) else ""
    return ""
