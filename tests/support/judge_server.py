"""A server that speaks the OpenAI protocol over real HTTP, with a judge's mind and a network's faults to order.

It is used by the tests and the benchmark of the judge. A *mind* answers a conversation with a text; a *fault* decides,
by the number of the request, what goes wrong with it. What was asked is kept for the tests to look at.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

Body = dict[str, Any]
Mind = Callable[[Body], str]
AXES = ("relevance", "coherence", "informativeness", "naturalness", "safety")


@dataclass
class Fault:
    """What goes wrong with one request.

    Attributes:
        status: HTTP status; 200 for none.
        headers: Further headers, such as ``Retry-After``.
        error: Body of the error.
        delay: Seconds before the answer.
        cut: Close the connection: before the answer (``"before"``) or in the middle of it (``"middle"``).
        raw: The HTTP body, in place of a completion.
        changes: Fields of the completion that are replaced.
        message: Fields of its message that are replaced.
        finish: The finish reason.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    error: Body = field(default_factory=dict)
    delay: float = 0.0
    cut: str = ""
    raw: bytes | None = None
    changes: Body = field(default_factory=dict)
    message: Body = field(default_factory=dict)
    finish: str = "stop"


class JudgeServer:
    """The server; ``mind`` and ``fault`` may be exchanged while it runs.

    Args:
        mind: Answers a request.
        fault: Called with the number of the request (from 0) and its body.
        formats: The response formats that the server knows; others are refused with 400.
        models: What ``GET /models`` lists; ``None`` answers 404.
    """

    def __init__(self, mind: Mind) -> None:
        self.mind = mind
        self.fault: Callable[[int, Body], Fault | None] = lambda number, body: None
        self.formats = {"json_schema", "json_object", "text"}
        self.models: list[Body] | None = [{"id": "judge-a", "object": "model"}]
        self.delay = 0.0
        self.hold_after: int | None = None
        self.requests: list[Body] = []
        self.headers: list[dict[str, str]] = []
        self.asked: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.under_way = 0
        self.most_under_way = 0
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._port = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    def start(self) -> JudgeServer:
        self._thread.start()
        self._ready.wait(10)
        return self

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(10)

    def reset(self) -> None:
        """Forgets what was asked."""
        with self._lock:
            self.requests.clear()
            self.headers.clear()
            self.asked.clear()
            self.answered.clear()
            self.most_under_way = 0

    def _serve(self) -> None:
        async def main() -> None:
            self._stopped = asyncio.Event()
            server = await asyncio.start_server(self._connection, "127.0.0.1", 0, backlog=512)
            self._port = server.sockets[0].getsockname()[1]
            self._ready.set()
            await self._stopped.wait()
            server.close()
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self._loop.run_until_complete(main())
        self._loop.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The end of the server cancels what it has held.
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await self._exchange(reader, writer):
                pass
        writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        line = (await reader.readline()).decode()
        if not line:
            return False
        headers: dict[str, str] = {}
        while header := (await reader.readline()).decode().strip():
            name, _, value = header.partition(":")
            headers[name.lower()] = value.strip()
        content = await reader.readexactly(int(headers.get("content-length", 0)))
        if line.split()[1].endswith("/models"):
            if self.models is None:
                _send(writer, 404, {"error": {"message": "no such path"}})
            else:
                _send(writer, 200, {"object": "list", "data": self.models})
            return True
        return await self._complete(json.loads(content), headers, writer)

    async def _complete(self, body: Body, headers: dict[str, str], writer: asyncio.StreamWriter) -> bool:
        identity = json.dumps(body, sort_keys=True)
        with self._lock:
            number = len(self.requests)
            self.requests.append(body)
            self.headers.append(headers)
            self.asked[identity] += 1
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            if self.hold_after is not None and number >= self.hold_after:
                await self._stopped.wait()
            fault = self.fault(number, body) or Fault()
            if wait := fault.delay or self.delay:
                await asyncio.sleep(wait)
            return await self._answer(body, fault, writer, identity)
        finally:
            with self._lock:
                self.under_way -= 1

    async def _answer(self, body: Body, fault: Fault, writer: asyncio.StreamWriter, identity: str) -> bool:
        if fault.cut == "before":
            return False
        wanted = body.get("response_format", {"type": "text"})["type"]
        if fault.status != 200:
            _send(writer, fault.status, {"error": fault.error}, fault.headers)
            return True
        if wanted not in self.formats:
            _send(writer, 400, {"error": {"message": f"response_format {wanted} is not supported"}})
            return True
        if fault.raw is not None:
            _send_bytes(writer, 200, fault.raw)
            return True
        text = fault.message["content"] if "content" in fault.message else self.mind(body)
        completion = {
            "id": "c",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "system_fingerprint": "fp_test",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": fault.finish,
                    "message": {"role": "assistant", "content": text, **fault.message},
                }
            ],
            "usage": {"prompt_tokens": 500, "completion_tokens": 60, "total_tokens": 560},
            **fault.changes,
        }
        if fault.cut == "middle":
            _send_bytes(writer, 200, json.dumps(completion).encode(), shorten=40)
            await writer.drain()
            return False
        with self._lock:
            self.answered[identity] += 1
        _send(writer, 200, completion)
        await writer.drain()
        return True


@contextlib.contextmanager
def serving(mind: Mind) -> Iterator[JudgeServer]:
    """Runs a server for the time of the context."""
    server = JudgeServer(mind).start()
    try:
        yield server
    finally:
        server.stop()


def _send(writer: asyncio.StreamWriter, status: int, body: Body, headers: dict[str, str] | None = None) -> None:
    _send_bytes(writer, status, json.dumps(body).encode(), headers)


def _send_bytes(
    writer: asyncio.StreamWriter, status: int, content: bytes, headers: dict[str, str] | None = None, shorten: int = 0
) -> None:
    lines = [f"HTTP/1.1 {status} X", "Content-Type: application/json", f"Content-Length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    writer.write("\r\n".join([*lines, "", ""]).encode() + (content[:-shorten] if shorten else content))


# --- what a judge reads ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """A request as a judge that reads it properly sees it: the blocks by name, and all that stands outside of them."""

    blocks: dict[str, str]
    outside: str


def see(body: Body) -> Seen:
    """Reads the last user message as the instructions say: by the code in its first line."""
    users = [message["content"] for message in body["messages"] if message["role"] == "user"]
    text = users[0] if isinstance(users[0], str) else users[0][0]["text"]
    code = re.match(r"Code: (\w+)", text)
    assert code is not None
    block = re.compile(rf"^\[([A-Z0-9 a-z]+) {code[1]}\]\n(.*?)\n\[/\1 {code[1]}\]$", re.MULTILINE | re.DOTALL)
    return Seen(dict(block.findall(text)), block.sub("", text))


def says(*scores: int, reason: str = "because") -> str:
    """The answer with these scores; one score counts for every axis."""
    levels = scores * len(AXES) if len(scores) == 1 else scores
    return json.dumps({"reason": reason, **dict(zip(AXES, levels, strict=True))})


def fair_mind(body: Body) -> str:
    """Knows a reply's grade by the word ``grade<n>`` in it, 3 without; prefers the higher of two."""
    blocks = see(body).blocks
    if "REPLY" in blocks:
        return says(grade(blocks["REPLY"]))
    first, second = grade(blocks["FIRST"]), grade(blocks["SECOND"])
    return json.dumps({"reason": "r", "better": "first" if first > second else "second" if second > first else "tie"})


def grade(text: str) -> int:
    """The grade that a test has written into a reply."""
    found = re.search(r"grade(\d)", text)
    return int(found[1]) if found else 3
