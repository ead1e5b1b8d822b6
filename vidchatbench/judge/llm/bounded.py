"""A limit on what is read of a server's answer, kept while it comes in: one without an end must not fill the memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import openai

MAX_BODY_BYTES = 8_000_000
"""Bytes of an answer that are read: the longest text that is read, its reasoning beside it, and all of it escaped."""

_MOST_PACKED = 32
"""Times that a compressed body may be smaller; JSON packs by ten, and no body of that size unpacks to over 260 MB."""


class OversizedAnswer(openai.OpenAIError):
    """An answer that was given up because of its size."""

    def __init__(self) -> None:
        super().__init__(f"the answer is longer than {MAX_BODY_BYTES:,} bytes")


def bounded_http_client() -> Any:  # noqa: ANN401 - httpx's in earlier releases of openai, httpx2's in later ones
    """Returns a client for ``openai.AsyncOpenAI`` that reads no body beyond the limit, be it an error's or a success's.

    Its requests raise :class:`OversizedAnswer` or, by earlier releases of openai, an ``APIConnectionError`` with it as
    its cause.
    """
    make = getattr(openai, "DefaultAsyncHttpx2Client", openai.DefaultAsyncHttpxClient)
    return make(event_hooks={"response": [_bound]})


async def _bound(response: Any) -> None:  # noqa: ANN401 - see above
    is_packed = response.headers.get("content-encoding", "identity") != "identity"
    response.stream = _bounded(response.stream, MAX_BODY_BYTES // (_MOST_PACKED if is_packed else 1))


def _bounded(stream: Any, most: int) -> object:  # noqa: ANN401 - see above
    # The library looks at a stream's class, and which library it is depends on the release of openai.
    base = next(kind for kind in type(stream).__mro__ if kind.__name__ == "AsyncByteStream")

    async def read(_: object) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in stream:
            size += len(chunk)
            if size > most:
                raise OversizedAnswer
            yield chunk

    async def close(_: object) -> None:
        await stream.aclose()

    return type("BoundedStream", (base,), {"__aiter__": read, "aclose": close})()
