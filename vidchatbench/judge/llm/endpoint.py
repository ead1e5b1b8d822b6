"""One endpoint: requests with a limit on their rate and number, retries, and the endpoint's dialect.

Everything runs in one event loop, so state needs no locks; only the budget and the cache are shared with others.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import PureWindowsPath
from typing import Any
from urllib.parse import urlsplit

import openai

from vidchatbench.judge.llm.bounded import OversizedAnswer, bounded_http_client
from vidchatbench.judge.llm.budget import Budget, cost_of, estimate_tokens
from vidchatbench.judge.llm.cache import MAX_STATED_TOKENS, Reply, ResponseCache
from vidchatbench.judge.llm.faults import BudgetSpent, EndpointDown, ModelFault, redact, without_secret
from vidchatbench.judge.llm.messages import Message, Schema, count_pictures, prompt_texts
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
_OPTIONAL = frozenset({"temperature", "seed", "cache_prompt"})
_LLAMA_CPP = "llamacpp"
"""How llama.cpp's server signs its models."""

MAX_TEXT = 600
"""Characters of a free text that llama.cpp's grammar lets through: small models repeat themselves without end."""

_MODEL_FIELDS = ("id", "root", "meta")
_SERVING_FIELDS = frozenset({"n_ctx", "n_ctx_slot", "n_ctx_per_seq", "n_slots", "n_parallel", "n_batch", "n_ubatch"})
"""What a server says of itself beside the model: it is started with more places, and its model stays the same."""


@dataclass
class EndpointState:
    """What has been learnt of an endpoint; it outlives a session.

    Attributes:
        format: Position in the list of ways to ask for structure; lowered where the endpoint refuses one.
        settled: Whether a request has succeeded, so that the way is known to work.
        limit_field: What the endpoint calls the limit of written tokens.
        dropped: Parameters that the endpoint does not take.
        served: What the endpoint says of the model it serves, where it does.
        is_llama_cpp: Whether it is llama.cpp's server.
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
    is_llama_cpp: bool = False
    asked: bool = False
    failures: int = 0
    down: str | None = None
    requests: int = 0


@dataclass(frozen=True)
class Shared:
    """What endpoints that are asked together share.

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
class ChatRequest:
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

    def follow_up(self, answer: str, question: str) -> ChatRequest:
        """Returns the request that continues after an answer."""
        more = [{"role": "assistant", "content": answer}, {"role": "user", "content": question}]
        return replace(self, messages=[*self.messages, *more])


@dataclass(frozen=True)
class ChatResponse:
    """The answer to a request.

    Attributes:
        reply: The reply.
        key: The key under which the cache keeps it.
        cached: Whether it was there already.
    """

    reply: Reply
    key: str
    cached: bool


class Endpoint:
    """An endpoint during one session; use it inside :meth:`session`.

    Args:
        settings: The model, and how its endpoint is asked.
        state: What has been learnt of the endpoint.
        shared: What it shares with the others that are asked at the same time.
    """

    def __init__(self, settings: JudgeSettings, state: EndpointState, shared: Shared) -> None:
        self.settings = settings
        self.state = state
        self._shared = shared
        self._pace = Pace(settings.requests_per_minute)
        self._places = asyncio.Semaphore(settings.max_concurrency)
        self._settling = asyncio.Lock()
        self._key = os.environ.get(settings.key_variable or "", "").strip() or None
        self._client = openai.AsyncOpenAI(
            base_url=settings.base_url,
            api_key=self._key or "none",  # the client wants one; local servers do not look
            max_retries=0,
            timeout=settings.timeout_s,
            http_client=bounded_http_client(),
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

    async def ask(self, request: ChatRequest) -> ChatResponse:
        """Returns the reply to a request, from the cache if it was paid for before.

        Raises:
            ModelFault: If there is none.
        """
        async with self._settling:
            if not self.state.asked:
                self.state.served = await self._describe()
                self.state.asked = True
        keys = self._cache_keys(request)
        for key in keys:
            if (kept := self._shared.cache.load(key)) is not None:
                return ChatResponse(kept, key, cached=True)
        key = keys[0]
        if not self.state.settled:
            # One request finds out how this endpoint wants to be asked, instead of all at once.
            async with self._settling:
                if not self.state.settled:
                    return await self._paid(request, key)
        async with self._places:
            return await self._paid(request, key)

    def _cache_keys(self, request: ChatRequest) -> list[str]:
        """Returns the key of a request, and the one under which earlier releases kept its reply, where they differ."""
        served = dict.fromkeys(
            json.dumps(one, sort_keys=True) for one in (_model_of(self.state.served), self.state.served)
        )
        return [
            ResponseCache.key(
                {
                    "model": self.settings.model,
                    "served": json.loads(one),
                    "messages": request.messages,
                    "schema": request.schema,
                    "seed": request.seed,
                    "temperature": TEMPERATURE,
                    "max_tokens": self.settings.max_tokens,
                    "salt": request.salt,
                }
            )
            for one in served
        ]

    async def _paid(self, request: ChatRequest, key: str) -> ChatResponse:
        guess = estimate_tokens(prompt_texts(request.messages), count_pictures(request.messages))
        unit, budget = self._shared.budget.unit, self._shared.budget
        most = cost_of(self.settings, unit, guess, self.settings.max_tokens)
        await self._reserve(most)
        # An attempt that failed on the way may have been charged for what was read.
        lost: list[int] = []
        reply: Reply | None = None
        try:
            reply = await self._persist(request, guess, lost)
            self._shared.cache.save(key, reply)
            return ChatResponse(reply, key, cached=False)
        finally:
            read, written = (reply.tokens_in, reply.tokens_out) if reply is not None else (0, 0)
            budget.settle(most, cost_of(self.settings, unit, read + sum(lost), written))
            async with self._shared.released:
                self._shared.released.notify_all()

    async def _reserve(self, most: float) -> None:
        budget = self._shared.budget
        async with self._shared.queue, self._shared.released:
            while not budget.reserve(most):
                if not budget.could_ever(most):
                    raise BudgetSpent(f"the judge's budget is spent ({budget})")
                # Another thread's requests may release it without a notice.
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._shared.released.wait(), timeout=1.0)

    async def _persist(self, request: ChatRequest, guess: int, lost: list[int]) -> Reply:
        problem = ""
        attempt = 0
        while attempt < ATTEMPTS:
            if self.state.down is not None:
                raise EndpointDown(self.state.down)
            await self._pace.turn()
            try:
                reply = await self._once(request, guess)
            except openai.APIStatusError as error:
                if self._adapt(error):
                    continue
                problem = self.redact(f"{error.status_code}: {_message(error)}")
                self._give_up_if_final(error, problem)
                wait = self._wait_for(error, attempt)
            except _NO_ANSWER as error:
                problem = self._problem(error)
                lost.append(guess)
                wait = wait_before(attempt, self._shared.first_wait)
            else:
                self.state.settled, self.state.failures = True, 0
                return reply
            attempt += 1
            if attempt < ATTEMPTS:
                await asyncio.sleep(wait)
        reason = f"judge {self.settings.model!r}: {problem} ({ATTEMPTS} attempts)"
        self._count_failure(reason)
        raise ModelFault(reason)

    def _problem(self, error: Exception) -> str:
        oversized = error.__cause__ if isinstance(error.__cause__, OversizedAnswer) else error
        if isinstance(oversized, (OversizedAnswer, _TornAnswer)):
            return str(oversized)
        timed_out = isinstance(error, (openai.APITimeoutError, asyncio.TimeoutError))
        return f"no answer within {self.settings.timeout_s:g} s" if timed_out else "the connection failed"

    def _count_failure(self, reason: str) -> None:
        if not self.state.settled:
            self.state.format = 0  # none of the ways helped, so none of them was at fault
        self.state.failures += 1
        if self.state.failures >= FAILURES_IN_A_ROW:
            self.state.down = f"{reason}; it is taken to be down"

    def _wait_for(self, error: openai.APIStatusError, attempt: int) -> float:
        wait = wait_before(attempt, self._shared.first_wait)
        if (stated := retry_after(error.response.headers)) is None:
            if error.status_code != _TOO_MANY:
                return wait
            # Limits are mostly by the minute: seconds of waiting would use up all attempts within one.
            stated = wait_before(attempt + _MORE_PATIENCE, self._shared.first_wait)
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
            raise ModelFault(reason)

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

    async def _once(self, request: ChatRequest, guess: int) -> Reply:
        answer_format = _FORMATS[self.state.format]
        body: dict[str, Any] = {
            "model": self.settings.model,
            "messages": request.messages,
            "temperature": TEMPERATURE,
            "seed": request.seed,
            self.state.limit_field: self.settings.max_tokens,
        }
        if answer_format == "json_schema":
            # Others may refuse a bound in a strict schema; llama.cpp makes it part of its grammar.
            schema = _bounded(request.schema) if self.state.is_llama_cpp else request.schema
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif answer_format == "json_object":
            body["response_format"] = {"type": "json_object"}
        if self.state.is_llama_cpp:
            # What it keeps of earlier prompts changes the batches it computes in, and so the rounding and the answers.
            body["extra_body"] = {"cache_prompt": False}
        for name in self.state.dropped:
            body.get("extra_body", {}).pop(name, None)
            body.pop(name, None)
        self.state.requests += 1
        sent = self._client.chat.completions.with_raw_response.create(**body)
        # The client's own limit is on the wait for each part of the answer.
        raw = await asyncio.wait_for(sent, self.settings.timeout_s)
        return _read_reply(raw.http_response.content, self._key, guess, answer_format)

    async def _describe(self) -> dict[str, Any] | None:
        """Asks what is served under the model's name, so that another model of that name is not taken for it."""
        problem = ""
        for attempt in range(ATTEMPTS):
            try:
                raw = await asyncio.wait_for(self._client.models.with_raw_response.list(), self.settings.timeout_s)
                entry = _entry(raw.http_response.content, self.settings.model)
                self.state.is_llama_cpp = entry is not None and entry.get("owned_by") == _LLAMA_CPP
                return entry and {name: entry[name] for name in _MODEL_FIELDS if entry.get(name) is not None}
            except openai.APIStatusError as error:
                if error.status_code not in _PASSING and error.status_code < _SERVER_ERROR:
                    return None
                problem = self.redact(f"{error.status_code}: {_message(error)}")
            except _NO_ANSWER as error:
                problem = self._problem(error)
            await asyncio.sleep(wait_before(attempt, self._shared.first_wait))
        self.state.asked = True
        self.state.down = f"judge {self.settings.model!r} cannot be reached: {problem} ({ATTEMPTS} attempts)"
        raise EndpointDown(self.state.down)


class _TornAnswer(Exception):  # noqa: N818 - it never leaves this module
    """A success by its status whose body is no completion."""


_NO_ANSWER = (openai.APIConnectionError, OversizedAnswer, _TornAnswer, asyncio.TimeoutError)
"""What may be better at the next attempt."""


def _read_reply(content: bytes, key: str | None, guess: int, answer_format: str) -> Reply:
    try:
        text = content.decode(json.detect_encoding(content), "surrogatepass")
        # Replies are kept on disk, and a server may say anything, in whatever way it escapes it.
        body = json.loads(without_secret(text, key) if key else text)
        choice = body["choices"][0]
        message = choice["message"]
        text, refusal = message.get("content"), message.get("refusal")
        usage = body.get("usage")
        stated = usage if isinstance(usage, dict) else {}
        read, written = _count(stated.get("prompt_tokens")), _count(stated.get("completion_tokens"))
        counted = read is not None and written is not None
        if read is None or written is None:
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
            format=answer_format,
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise _TornAnswer("the answer is not a completion") from None


def _count(stated: object) -> int | None:
    """Returns a number of tokens that a server states, ``None`` if it cannot be one."""
    if not isinstance(stated, int) or isinstance(stated, bool):
        return None
    return stated if 1 <= stated <= MAX_STATED_TOKENS else None


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
    return named[0] if named else None


def _model_of(served: dict[str, Any] | None) -> dict[str, Any] | None:
    """Returns what names the model in what a server says of it."""
    if served is None or not isinstance(meta := served.get("meta"), dict):
        return served
    return {**served, "meta": {name: value for name, value in meta.items() if name not in _SERVING_FIELDS}}


def _message(error: openai.APIStatusError) -> str:
    body = error.body
    if isinstance(body, dict):
        stated = body.get("message") or body.get("error") or ""
        return stated if isinstance(stated, str) else str(stated.get("message", "")) if isinstance(stated, dict) else ""
    return ""


def _bounded(schema: Schema) -> Schema:
    """Returns a strict schema whose free texts have at most :data:`MAX_TEXT` characters."""
    fields: Schema = schema["schema"]["properties"]
    bounded = {
        name: {"maxLength": MAX_TEXT, **field} if field.get("type") == "string" and "enum" not in field else field
        for name, field in fields.items()
    }
    return {**schema, "schema": {**schema["schema"], "properties": bounded}}
