"""What was paid for is never paid for again: the cache, its keys, and a run that is killed without warning."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from judge_server import JudgeServer

from vidchatbench.api.judging import JudgeRequest
from vidchatbench.judge.llm.cache import Reply, ResponseCache, write_file
from vidchatbench.judge.panel import Panel

MakePanel = Callable[..., Panel]
MakeRequests = Callable[..., list[JudgeRequest]]

SCORE_MANY = """
import sys
from pathlib import Path
from vidchatbench.api.judging import JudgeRequest
from vidchatbench.judge.panel import Panel
from vidchatbench.judge.llm.settings import PanelSettings
url, cache, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
judges = [{"base_url": url, "model": f"judge-{name}", "max_concurrency": 8} for name in "abc"]
panel = Panel(PanelSettings.model_validate({"judges": judges, "repeats": 1}), cache=cache)
requests = [JudgeRequest(f"s{k}", "en", "How are you?", f"grade{1 + k % 5} number {k}") for k in range(count)]
for position, answer in panel.score(requests):
    print(position, answer.scores.ravel().tolist(), flush=True)
"""


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.json") if not path.name.startswith(".")]


def test_an_answer_is_asked_for_once(server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests) -> None:
    first = dict(make_panel(repeats=2).score(make_requests(5)))
    assert len(server.requests) == 10
    again = make_panel(repeats=2)
    second = dict(again.score(make_requests(5)))
    assert len(server.requests) == 10
    assert again.budget.spent == 0
    assert {k: a.scores.tolist() for k, a in first.items()} == {k: a.scores.tolist() for k, a in second.items()}
    assert [a.tokens.tolist() for a in second.values()] == [[[1000, 120]]] * 5, "what it cost is still known"


@pytest.mark.parametrize(
    "change",
    [
        {"models": ("judge-b",)},
        {"seed": 1},
        {"max_tokens": 2048},
    ],
    ids=str,
)
def test_whatever_can_change_an_answer_is_in_its_key(
    server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests, change: dict[str, object]
) -> None:
    list(make_panel().score(make_requests(1)))
    list(make_panel(**change).score(make_requests(1)))
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "other",
    [
        JudgeRequest("s0", "de", "How was your day?", "It was grade1, number 0."),
        JudgeRequest("s0", "en", "How was your night?", "It was grade1, number 0."),
        JudgeRequest("s0", "en", "How was your day?", "It was grade1, number 0.", (("initiator", "Hi."),)),
        JudgeRequest("s0", "en", "How was your day?", "It was grade1, number 0.", (), (b"jpeg",)),
    ],
)
def test_so_is_all_that_the_judge_is_shown(
    server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests, other: JudgeRequest
) -> None:
    list(make_panel().score([*make_requests(1), other]))
    assert len(server.requests) == 2


def test_the_name_of_a_sample_and_the_address_are_not(
    server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests
) -> None:
    (one,) = make_requests(1)
    list(make_panel().score([one]))
    renamed = JudgeRequest("other", one.language, one.initiator, one.reply)
    list(make_panel(base_url=server.url.replace("127.0.0.1", "localhost")).score([renamed]))
    assert len(server.requests) == 1


def test_another_model_served_under_the_same_name_is_asked_anew(
    server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests
) -> None:
    server.models = [{"id": "judge-a", "meta": {"n_params": 7_000_000_000}, "created": 1}]
    list(make_panel().score(make_requests(1)))
    server.models = [{"id": "judge-a", "meta": {"n_params": 7_000_000_000}, "created": 2}]
    list(make_panel().score(make_requests(1)))
    assert len(server.requests) == 1, "when it was started does not matter"
    server.models = [{"id": "judge-a", "meta": {"n_params": 500_000_000}, "created": 2}]
    list(make_panel().score(make_requests(1)))
    assert len(server.requests) == 2


LLAMA = {"vocab_type": 2, "n_vocab": 49152, "n_ctx_train": 2048, "n_params": 134515008, "size": 97227264}


@pytest.mark.parametrize("name", ["n_ctx", "n_slots", "n_parallel"])
def test_a_server_with_other_places_serves_the_same_model(
    server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests, name: str
) -> None:
    for value in (2048, 4096, None):
        server.models = [{"id": "judge-a", "meta": {**LLAMA, name: value} if value else LLAMA}]
        list(make_panel().score(make_requests(2)))
    assert len(server.requests) == 2


@pytest.mark.parametrize("name", LLAMA)
def test_a_model_of_another_size_is_another_model(
    server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests, name: str
) -> None:
    for change in (0, 1):
        server.models = [{"id": "judge-a", "meta": {**LLAMA, "n_ctx": 2048, name: LLAMA[name] + change}}]
        list(make_panel().score(make_requests(1)))
    assert len(server.requests) == 2


def test_what_an_earlier_release_kept_beside_the_context_size_is_found(
    server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests, tmp_path: Path
) -> None:
    """0.1.0 had the context size in the key; the key below is the one that it made of this request."""
    server.models = [{"id": "judge-a", "meta": {**LLAMA, "n_ctx": 2048}}]
    list(make_panel().score(make_requests(1)))
    (file,) = files(tmp_path / "judge")
    body = server.requests[0]
    old = ResponseCache.key(
        {
            "model": "judge-a",
            "served": {"id": "judge-a", "meta": {**LLAMA, "n_ctx": 2048}},
            "messages": body["messages"],
            "schema": body["response_format"]["json_schema"],
            "seed": body["seed"],
            "temperature": 0.0,
            "max_tokens": 1024,
            "salt": "",
        }
    )
    assert old != file.stem
    (file.parent.parent / old[:2]).mkdir(exist_ok=True)
    file.rename(file.parent.parent / old[:2] / f"{old}.json")
    list(make_panel().score(make_requests(1)))
    assert len(server.requests) == 1
    server.models = [{"id": "judge-a", "meta": {**LLAMA, "n_ctx": 4096}}]
    list(make_panel().score(make_requests(1)))
    assert len(server.requests) == 2, "an old key stands for one context size"


def test_a_damaged_file_counts_as_absent(
    server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests, tmp_path: Path
) -> None:
    list(make_panel().score(make_requests(1)))
    (file,) = files(tmp_path / "judge")
    for damage in (b"", b"{", file.read_bytes()[:-20], b"[]"):
        file.write_bytes(damage)
        list(make_panel().score(make_requests(1)))
    assert len(server.requests) == 5


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ResponseCache(tmp_path)
    key = ResponseCache.key({"a": 1})
    reply = Reply(content="x", tokens_in=1, tokens_out=2, format="text")
    cache.save(key, reply)

    def full(self: Path, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_file(tmp_path / key[:2] / f"{key}.json", b"half")
    assert cache.load(key) == reply
    assert [path.name for path in (tmp_path / key[:2]).iterdir()] == [f"{key}.json"]


def start(server: JudgeServer, cache: Path, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SCORE_MANY, server.url, str(cache), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_killed_run_repeats_no_call_that_was_answered(server: JudgeServer, tmp_path: Path) -> None:
    count, answered = 40, 50
    server.hold_after = answered  # what comes later is left without an answer, so that the kill falls in the middle
    child = start(server, tmp_path, count)
    deadline = time.monotonic() + 60
    while len(files(tmp_path)) < answered and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    paid = dict(server.answered)
    assert sum(paid.values()) == answered
    server.hold_after = None
    child = start(server, tmp_path, count)
    lines, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    assert len(lines.splitlines()) == count
    assert [identity for identity in paid if server.asked[identity] > 1] == []
    assert sum(server.answered.values()) == 3 * count, "each was answered once, over both runs"
