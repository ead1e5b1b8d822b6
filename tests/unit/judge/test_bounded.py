"""What is read of a server that sends too much: no more than the limit, whatever kind of answer it is."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from judge_server import Fault, JudgeServer, says

from vidchatbench.api.features import Refusal
from vidchatbench.api.judging import JudgeAnswer, JudgeRequest
from vidchatbench.judge.llm import bounded
from vidchatbench.judge.panel import Panel

LIMIT = 400_000
SPARE = 8_000_000
"""What the sockets of both sides may hold beside it."""

MakePanel = Callable[..., Panel]
MakeRequests = Callable[..., list[JudgeRequest]]


class EndlessServer:
    """Answers every request with a head and then a part of a body, again and again until the client hangs up."""

    def __init__(self) -> None:
        self.status = "200 OK"
        self.headers = ""
        self.part = b" " * 65536
        self.pause = 0.0
        self.at = "/chat/completions"
        self.sent: list[int] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._answer, args=(self._socket.accept()[0],), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while request := connection.recv(1_000_000):
                if self.at not in request.split(b"\r\n")[0].decode():
                    connection.sendall(b"HTTP/1.1 404 X\r\nContent-Length: 2\r\n\r\n{}")
                    continue
                head = f"HTTP/1.1 {self.status}\r\nContent-Type: application/json\r\n{self.headers}\r\n"
                connection.sendall(head.encode())
                number = len(self.sent)
                self.sent.append(0)
                while self.sent[number] < 10 * SPARE:  # a client that reads on is not served for ever
                    self.sent[number] += connection.send(self.part)
                    time.sleep(self.pause)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> Iterator[EndlessServer]:
    monkeypatch.setattr(bounded, "MAX_BODY_BYTES", LIMIT)
    server = EndlessServer()
    yield server
    server.close()


def reason(make_panel: MakePanel, endless: EndlessServer, make_requests: MakeRequests, **judge: object) -> str:
    panel = make_panel(base_url=endless.url, **judge)
    ((_, answer),) = panel.score(make_requests(1))
    assert isinstance(answer, Refusal)
    assert all(sent < LIMIT + SPARE for sent in endless.sent), "the rest was not read"
    assert endless.sent
    return answer.reason


@pytest.mark.parametrize("status", ["200 OK", "500 Broken", "400 Bad", "429 Slow down"])
@pytest.mark.parametrize("headers", ["", "Content-Length: 900000000000\r\n"], ids=["no length", "its length"])
def test_a_body_without_an_end_is_given_up_at_the_limit(
    endless: EndlessServer, make_panel: MakePanel, make_requests: MakeRequests, status: str, headers: str
) -> None:
    endless.status, endless.headers = status, headers
    assert "the answer is longer than 400,000 bytes (6 attempts)" in reason(make_panel, endless, make_requests)


def test_a_list_of_models_without_an_end_is_given_up_too(
    endless: EndlessServer, make_panel: MakePanel, make_requests: MakeRequests
) -> None:
    endless.at = "/models"
    assert "cannot be reached: the answer is longer than 400,000" in reason(make_panel, endless, make_requests)


def test_little_that_unpacks_to_much_is_given_up_earlier(
    endless: EndlessServer, make_panel: MakePanel, make_requests: MakeRequests
) -> None:
    endless.headers = "Content-Encoding: gzip\r\n"
    endless.part = gzip.compress(b" " * 10_000_000)
    assert len(endless.part) < LIMIT / 32
    assert "longer than" in reason(make_panel, endless, make_requests)


def test_a_body_that_trickles_in_is_given_up_in_time(
    endless: EndlessServer, make_panel: MakePanel, make_requests: MakeRequests
) -> None:
    endless.part, endless.pause = b" ", 0.05
    begun = time.monotonic()
    assert "no answer within 0.3 s" in reason(make_panel, endless, make_requests, timeout_s=0.3)
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize(("size", "is_read"), [(LIMIT, True), (LIMIT + 1, False)])
def test_the_limit_itself_is_read(
    server: JudgeServer,
    make_panel: MakePanel,
    make_requests: MakeRequests,
    monkeypatch: pytest.MonkeyPatch,
    size: int,
    is_read: bool,
) -> None:
    monkeypatch.setattr(bounded, "MAX_BODY_BYTES", LIMIT)
    choice = {"finish_reason": "stop", "message": {"content": says(4)}}
    usage = {"prompt_tokens": 1, "completion_tokens": 1}
    body = json.dumps({"choices": [choice], "usage": usage}).encode().ljust(size)
    server.fault = lambda number, sent: Fault(raw=body)
    ((_, answer),) = make_panel().score(make_requests(1))
    assert isinstance(answer, JudgeAnswer) is is_read
