"""A key and an address are used, and seen nowhere: not in results, the cache, logs, errors, nor a printed object."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable
from html import escape
from pathlib import Path
from urllib.parse import quote, quote_plus

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


ODD_KEY = 'zz9/pl+ural "z"&<alpha>\\\'kéy=😀'


def all_as(form: str, text: str) -> str:
    return "".join(form.format(ord(letter)) for letter in text)


ESCAPES = {
    "json": lambda key: json.dumps(key)[1:-1],
    "json unicode": lambda key: json.dumps(key, ensure_ascii=False)[1:-1],
    "json slashes": lambda key: json.dumps(key)[1:-1].replace("/", "\\/"),
    "json twice": lambda key: json.dumps(json.dumps(key)[1:-1])[1:-1],
    "address": lambda key: quote(key, safe=""),
    "address, most left alone": quote,
    "address, small letters": lambda key: re.sub("%..", lambda match: match[0].lower(), quote(key, safe="")),
    "address twice": lambda key: quote(quote(key, safe=""), safe=""),
    "form": lambda key: quote_plus(key).replace("+", "%20"),
    "html": escape,
    "html twice": lambda key: escape(escape(key)),
    "html decimal": lambda key: all_as("&#{};", key),
    "html hexadecimal": lambda key: all_as("&#x{:X};", key),
    "python": lambda key: repr(key)[1:-1],
    "python, by numbers": lambda key: "".join(f"\\x{ord(c):02x}" if ord(c) < 256 else repr(c)[1:-1] for c in key),
    "as it is": str,
}


@pytest.mark.parametrize("way", ESCAPES)
@pytest.mark.parametrize("key", [KEY, ODD_KEY, "abcd"], ids=["plain", "odd", "short"])
def test_a_key_is_hidden_however_it_is_escaped(way: str, key: str) -> None:
    written = ESCAPES[way](key)
    assert redact(f"[{written}]", [key]) == "[***]"
    assert redact(f"[{written[:-1]}]", [key[:-1] + "?"]) != "[***]", "what is not the key is left"


@pytest.mark.parametrize("piece", ["\\", "%25", "&amp;", "&#0", "z", "zz9/", "http:", "https%3A%2F"])
def test_no_text_takes_long_to_search(piece: str) -> None:
    started = time.monotonic()
    redact(piece * (1_000_000 // len(piece)), [KEY, ODD_KEY], "http://h.example/v1")
    assert time.monotonic() - started < 10


def test_text_that_only_looks_like_a_key_is_left() -> None:
    assert redact("zz9-plural-z-alpha-ke and zz9_plural-z-alpha-key", [KEY]) == (
        "zz9-plural-z-alpha-ke and zz9_plural-z-alpha-key"
    )
    assert redact("a man", ["man"]) == "a man", "three characters are no secret"


@pytest.mark.parametrize(
    "written", ["http:\\/\\/h.example\\/v1", "https%3A%2F%2Fh.example%2Fv1", "http&#x3A;&#47;&#47;h.example"]
)
def test_an_address_is_hidden_however_it_is_escaped(written: str) -> None:
    assert redact(f"see {written} for more") == "see <address> for more"
    assert "h.example" not in redact("at h%2Eexample or h.example", base_url="http://h.example/v1")


@pytest.mark.parametrize("way", ["json", "address", "html", "html decimal"])
def test_an_escaped_key_reaches_neither_results_nor_the_cache(
    server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests, tmp_path: Path, way: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    key = 'k/9"<&>-alpha'
    monkeypatch.setenv("JUDGE_KEY", key)
    written = ESCAPES[way](key)
    server.fault = lambda number, body: Fault(message={"content": says(3, reason=f"the key {written} is mine")})
    (answer,) = dict(make_panel(api_key_env="JUDGE_KEY").score(make_requests(1))).values()
    assert isinstance(answer, JudgeAnswer)
    assert answer.meta["reasons"] == "the key *** is mine"
    for path in (tmp_path / "judge").rglob("*.json"):
        assert written not in path.read_text()
        assert json.dumps(written)[1:-1] not in path.read_text()


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
