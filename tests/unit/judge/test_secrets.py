"""A key and an address are used, and seen nowhere: not in results, the cache, logs, errors, nor a printed object."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from judge_server import Fault, JudgeServer, says

from vidchatbench.api.features import Refusal
from vidchatbench.api.judging import JudgeAnswer, JudgeRequest
from vidchatbench.judge.llm.faults import redact
from vidchatbench.judge.panel import Panel

KEY = "zz9-plural-z-alpha-key"

MakePanel = Callable[..., Panel]
MakeRequests = Callable[..., list[JudgeRequest]]


@pytest.fixture
def panel(make_panel: MakePanel, monkeypatch: pytest.MonkeyPatch) -> Panel:
    monkeypatch.setenv("JUDGE_KEY", KEY)
    return make_panel(api_key_env="JUDGE_KEY")


def test_the_key_is_sent(server: JudgeServer, panel: Panel, make_requests: MakeRequests) -> None:
    list(panel.score(make_requests(1)))
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"


def test_a_key_that_nobody_named_is_not_sent_to_this_server(
    server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-private")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-private")
    list(make_panel().score(make_requests(1)))
    sent = str(server.headers[0])
    assert KEY not in sent
    assert "private" not in sent


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=401, error={"message": f"Incorrect API key provided: {KEY}"}),
        Fault(status=400, error={"message": f"Bearer {KEY} may not ask http://127.0.0.1/v1"}),
        Fault(status=500, error={"message": f"proxy 127.0.0.1 with {KEY}"}),
        Fault(message={"content": None, "refusal": f"I know your key {KEY} and http://127.0.0.1:80/v1"}),
        Fault(message={"content": says(3, reason=f"the key {KEY} at 127.0.0.1")}),
        Fault(cut="before"),
    ],
)
def test_neither_key_nor_address_comes_back_out(
    server: JudgeServer, panel: Panel, make_requests: MakeRequests, fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    server.fault = lambda number, body: fault
    with caplog.at_level(logging.DEBUG, "vidchatbench"):
        (answer,) = dict(panel.score(make_requests(1))).values()
    said = answer.reason if isinstance(answer, Refusal) else str(answer.meta)
    for where in (
        said,
        caplog.text,
        repr(panel.settings),
        repr(panel.states),
        str(panel.identity()),
        str(panel.budget),
    ):
        assert KEY not in where
        assert "127.0.0.1" not in where
    assert isinstance(answer, JudgeAnswer) == ("content" in fault.message and fault.message["content"] is not None)


def test_the_key_is_not_in_the_cache(panel: Panel, make_requests: MakeRequests, tmp_path: Path) -> None:
    list(panel.score(make_requests(5)))
    texts = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(texts) >= 5
    assert not any(KEY in text or "127.0.0.1" in text for text in texts)


def test_redaction_knows_keys_by_their_looks() -> None:
    text = redact("using sk-proj-abcdefgh12345678 with Bearer abc.def and hf_abcdefghijk at https://h.example/x?k=1")
    assert text == "using *** with *** and *** at <address>"
    assert len(redact("x" * 5000)) < 400
    assert redact("two\nlines") == "two lines"
