"""What a network and a model can do to a request, one after the other, over real HTTP."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from judge_server import Body, Fault, JudgeServer, fair_mind, says

from vidchatbench.api.features import Refusal
from vidchatbench.api.judging import JudgeAnswer, JudgeRequest
from vidchatbench.judge.llm.settings import PanelSettings
from vidchatbench.judge.panel import Panel

MakePanel = Callable[..., Panel]
MakeRequests = Callable[..., list[JudgeRequest]]


def answers(panel: Panel, requests: list[JudgeRequest]) -> list[JudgeAnswer | Refusal]:
    found = dict(panel.score(requests))
    assert sorted(found) == list(range(len(requests)))
    return [found[position] for position in range(len(requests))]


def first_requests(server: JudgeServer, count: int, fault: Fault) -> None:
    server.fault = lambda number, body: fault if number < count else None


def one_score(panel: Panel, request: JudgeRequest) -> int:
    (answer,) = answers(panel, [request])
    assert isinstance(answer, JudgeAnswer), answer
    assert len(set(answer.scores.ravel().tolist())) == 1
    return int(answer.scores.ravel()[0])


def refusal(panel: Panel, request: JudgeRequest) -> str:
    (answer,) = answers(panel, [request])
    assert isinstance(answer, Refusal)
    return answer.reason


# --- what goes well -------------------------------------------------------------------------------------------------


def test_scores_every_request_with_every_judge_and_seed(
    server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests
) -> None:
    panel = make_panel(("judge-a", "judge-b"), repeats=3, seed=5)
    for k, answer in enumerate(answers(panel, make_requests(7))):
        assert isinstance(answer, JudgeAnswer)
        assert answer.scores.shape == (2, 3, 5)
        assert set(answer.scores.ravel().tolist()) == {1 + k % 5}
        assert answer.tokens.tolist() == [[1500, 180], [1500, 180]]
        assert answer.meta["judges"] == "judge-a | judge-b"
        assert answer.meta["fingerprints"] == "fp_test | fp_test"
        assert answer.meta["reply_words"] == 5
    asked = {(body["model"], body["seed"], body["temperature"]) for body in server.requests}
    assert asked == {(model, seed, 0.0) for model in ("judge-a", "judge-b") for seed in (5, 6, 7)}
    assert len(server.requests) == 42
    assert all(body["response_format"]["json_schema"]["strict"] for body in server.requests)


def test_works_inside_a_running_event_loop(make_panel: MakePanel, make_requests: MakeRequests) -> None:
    async def notebook() -> int:
        return one_score(make_panel(), make_requests(1)[0])

    assert asyncio.run(notebook()) == 1


def test_keeps_to_the_concurrency_and_reaches_it(
    server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests
) -> None:
    server.delay = 0.02
    answers(make_panel(max_concurrency=3), make_requests(12))
    assert server.most_under_way == 3


def test_keeps_to_the_rate(server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests) -> None:
    started = time.monotonic()
    answers(make_panel(requests_per_minute=1200), make_requests(9))
    assert time.monotonic() - started >= 8 * 0.05


def test_stops_asking_when_nobody_listens(
    server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests
) -> None:
    server.delay = 0.05
    found = make_panel(max_concurrency=2).score(make_requests(200))
    next(found)
    found.close()
    sent = len(server.requests)
    assert sent < 20
    time.sleep(0.2)
    assert len(server.requests) <= sent + 2


def test_shows_pictures_to_those_who_see(server: JudgeServer, make_panel: MakePanel) -> None:
    request = JudgeRequest("s", "en", "Look!", "grade4", frames=(b"\xff\xd8one", b"\xff\xd8two"))
    assert one_score(make_panel(), request) == 4
    parts = server.requests[0]["messages"][1]["content"]
    assert [part["type"] for part in parts] == ["text", "image_url", "image_url"]
    assert parts[1]["image_url"]["url"].startswith("data:image/jpeg;base64,")
    assert "2 pictures" in parts[0]["text"]


# --- what passes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500),
        Fault(status=503, error={"message": "loading"}),
        Fault(status=408),
        Fault(status=429, error={"message": "slow down", "code": "rate_limit_exceeded"}),
        Fault(cut="before"),
        Fault(cut="middle"),
        Fault(raw=b'{"choices": [{"mess'),
        Fault(raw=b"<html>gateway</html>"),
        Fault(raw=b'{"choices": []}'),
        Fault(raw=b"[]"),
    ],
    ids=lambda fault: f"{fault.status}{fault.cut}{(fault.raw or b'')[:9]!r}",
)
def test_is_tried_again(server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests, fault: Fault) -> None:
    first_requests(server, 3, fault)
    panel = make_panel()
    assert one_score(panel, make_requests(3)[2]) == 3
    assert len(server.requests) == panel.requests_sent == 4


def test_a_slow_answer_is_given_up_and_asked_for_again(
    server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests
) -> None:
    first_requests(server, 1, Fault(delay=5))
    started = time.monotonic()
    assert one_score(make_panel(timeout_s=0.3), make_requests(1)[0]) == 1
    assert time.monotonic() - started < 3


@pytest.mark.parametrize("header", [{"Retry-After": "0.4"}, {"retry-after-ms": "400"}])
def test_waits_as_long_as_it_is_told_to_and_so_do_the_others(
    server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests, header: dict[str, str]
) -> None:
    times: list[float] = []

    def fault(number: int, body: Body) -> Fault | None:
        times.append(time.monotonic())
        return Fault(status=429, headers=header) if number == 1 else None

    server.fault = fault
    answers(make_panel(max_concurrency=1), make_requests(4))
    assert times[2] - times[1] >= 0.39
    assert len(times) == 5


def test_gives_up_on_a_pause_of_hours(server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests) -> None:
    first_requests(server, 99, Fault(status=429, headers={"Retry-After": "86400"}))
    assert "left alone for 86400 s" in refusal(make_panel(), make_requests(1)[0])


# --- what does not pass ---------------------------------------------------------------------------------------------


def test_after_six_attempts_the_sample_is_refused_and_the_next_run_asks_again(
    server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests
) -> None:
    first_requests(server, 6, Fault(status=500, error={"message": "out of memory"}))
    panel = make_panel()
    assert "500: out of memory (6 attempts)" in refusal(panel, make_requests(1)[0])
    assert one_score(panel, make_requests(1)[0]) == 1


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault(status=401, error={"message": "bad key"}), "401: bad key (no key was sent"),
        (Fault(status=404, error={"message": "no such model"}), "404: no such model"),
        (Fault(status=429, error={"message": "pay", "code": "insufficient_quota"}), "429: pay"),
    ],
)
def test_what_another_attempt_cannot_change_ends_all_at_once(
    server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests, fault: Fault, reason: str
) -> None:
    first_requests(server, 999, fault)
    found = answers(make_panel(), make_requests(50))
    assert all(isinstance(answer, Refusal) and reason in answer.reason for answer in found)
    assert len(server.requests) == 1


def test_an_endpoint_that_is_not_there_does_not_cost_an_hour(make_requests: MakeRequests, tmp_path: Any) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    judges = [{"base_url": f"http://127.0.0.1:{port}/v1", "model": "m"}]
    panel = Panel(PanelSettings.model_validate({"judges": judges}), cache=tmp_path, first_wait=0.005)
    started = time.monotonic()
    found = answers(panel, make_requests(100))
    assert time.monotonic() - started < 5
    assert all(isinstance(answer, Refusal) and "cannot be reached" in answer.reason for answer in found)


def test_one_request_that_is_too_long_does_not_stop_the_others(
    server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests
) -> None:
    def fault(number: int, body: Body) -> Fault | None:
        long = "number 0." in body["messages"][1]["content"]
        return Fault(status=400, error={"message": "maximum context length"}) if long else None

    server.fault = fault
    found = answers(make_panel(), make_requests(6))
    assert [isinstance(answer, Refusal) for answer in found] == [True] + [False] * 5
    assert all(body["response_format"]["type"] == "json_schema" for body in server.requests[3:])


def test_a_panel_of_which_one_judge_fails_gives_no_score(
    server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests
) -> None:
    server.fault = lambda number, body: Fault(status=500) if body["model"] == "judge-b" else None
    panel = make_panel(("judge-a", "judge-b"))
    assert "judge-b" in refusal(panel, make_requests(1)[0])
    server.fault = lambda number, body: None
    server.reset()
    assert one_score(panel, make_requests(1)[0]) == 1
    assert [body["model"] for body in server.requests] == ["judge-b"], "what judge-a said was paid for"


# --- what a model may answer ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [
        "I think it is quite good.",
        '{"relevance": 5, "coherence": ',
        says(9),
        says(0),
        says(3).replace("3", "3.5"),
        says(3).replace("3", "true"),
        '{"relevance": 5}',
        "",
        "[" * 5000,
    ],
)
def test_a_bad_answer_is_asked_for_once_more(
    server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests, bad: str
) -> None:
    first_requests(server, 1, Fault(message={"content": bad}))
    (answer,) = answers(make_panel(), make_requests(4)[3:])
    assert isinstance(answer, JudgeAnswer)
    assert answer.scores.tolist() == [[[4] * 5]]
    assert answer.tokens.tolist() == [[1000, 120]], "both rounds were paid for"
    again = server.requests[1]["messages"]
    assert [message["role"] for message in again] == ["system", "user", "assistant", "user"]
    assert "could not be used" in again[3]["content"]


@pytest.mark.parametrize("bad", ["no", says(6)])
def test_after_that_it_is_an_error_and_is_not_kept(
    server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests, bad: str
) -> None:
    first_requests(server, 2, Fault(message={"content": bad}))
    panel = make_panel()
    assert "no usable answer, asked twice" in refusal(panel, make_requests(1)[0])
    assert len(server.requests) == 2
    assert one_score(panel, make_requests(1)[0]) == 1


@pytest.mark.parametrize(
    "fault", [Fault(message={"content": None, "refusal": "I cannot help"}), Fault(finish="content_filter")]
)
def test_a_refusal_is_an_error_at_once(
    server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests, fault: Fault
) -> None:
    first_requests(server, 1, fault)
    panel = make_panel()
    assert "refused to judge" in refusal(panel, make_requests(1)[0])
    assert len(server.requests) == 1
    assert one_score(panel, make_requests(1)[0]) == 1


@pytest.mark.parametrize(
    "text",
    [
        f"```json\n{says(2)}\n```",
        f"<think>Perhaps {says(5)}?</think>{says(2)}",
        f"The reply says {says(5)}, but my verdict is {says(2)}",
        json.dumps({"verdict": json.loads(says(2))}),
        says(2).replace("2", '"2"'),
    ],
)
def test_an_answer_is_found_in_what_surrounds_it(
    server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests, text: str
) -> None:
    server.mind = lambda body: text
    assert one_score(make_panel(), make_requests(1)[0]) == 2
    assert len(server.requests) == 1


def test_another_model_that_answers_is_named(
    server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests
) -> None:
    first_requests(server, 99, Fault(changes={"model": "something-else", "system_fingerprint": None}))
    (answer,) = answers(make_panel(), make_requests(1))
    assert isinstance(answer, JudgeAnswer)
    assert answer.meta["answered_by"] == "something-else"
    assert answer.meta["fingerprints"] == "unstated"


@pytest.mark.parametrize(
    ("stated", "kept"),
    [
        ("/" + "home/someone/models/q-7b.gguf", "q-7b.gguf"),
        ("C:\\models\\q.gguf", "q.gguf"),
        ("maker/q-7b", "maker/q-7b"),
        ("a, b | c", "a_b_c"),
        (7, "unstated"),
    ],
)
def test_a_stated_model_is_kept_without_the_folder_it_lies_in(
    server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests, stated: object, kept: str
) -> None:
    first_requests(server, 99, Fault(changes={"model": stated, "system_fingerprint": stated}))
    (answer,) = answers(make_panel(), make_requests(1))
    assert isinstance(answer, JudgeAnswer)
    assert (answer.meta["answered_by"], answer.meta["fingerprints"]) == (kept, kept)


def test_ten_thousand_tokens_are_read_and_counted(
    server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests
) -> None:
    server.mind = lambda body: f"{'word { ' * 10_000}{fair_mind(body)}"
    usage = {"usage": {"prompt_tokens": 700, "completion_tokens": 10_000}}
    first_requests(server, 99, Fault(changes=usage))
    panel = make_panel()
    (answer,) = answers(panel, make_requests(1))
    assert isinstance(answer, JudgeAnswer)
    assert answer.tokens.tolist() == [[700, 10_000]]
    assert panel.budget.spent == 10_700


def test_tokens_that_nobody_counted_are_estimated_and_said_to_be(
    server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests
) -> None:
    first_requests(server, 99, Fault(changes={"usage": None}))
    (answer,) = answers(make_panel(), make_requests(1))
    assert isinstance(answer, JudgeAnswer)
    assert answer.meta["tokens_estimated"] is True
    assert 800 < answer.tokens[0, 0] < 2500


# --- dialects -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "way", "extra"),
    [({"json_object", "text"}, "json_object", 1), ({"text"}, "text", 2)],
)
def test_structure_is_asked_for_as_the_endpoint_can_and_found_out_once(
    server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests, known: set[str], way: str, extra: int
) -> None:
    server.formats = known
    found = answers(make_panel(), make_requests(10))
    assert all(isinstance(answer, JudgeAnswer) and answer.meta["format"] == way for answer in found)
    assert len(server.requests) == 10 + extra


def test_parameters_that_a_model_does_not_take_are_left_out_and_said_to_be(
    server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests
) -> None:
    def fault(number: int, body: Body) -> Fault | None:
        if "max_tokens" in body:
            text = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
            return Fault(status=400, error={"message": text, "param": "max_tokens"})
        if "temperature" in body:
            return Fault(status=400, error={"message": "only the default (1) is supported", "param": "temperature"})
        return None

    server.fault = fault
    (first, *_) = answers(make_panel(), make_requests(3))
    assert isinstance(first, JudgeAnswer)
    assert first.meta["not_taken"] == "temperature"
    assert first.meta["format"] == "json_schema"
    assert server.requests[-1]["max_completion_tokens"] == 1024
    assert len(server.requests) == 5


@pytest.mark.parametrize(("owner", "sent"), [("llamacpp", True), ("vllm", False), (None, False)])
def test_llama_cpp_is_told_not_to_reuse_prompts_and_to_end_its_reasons(
    server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests, owner: str | None, sent: bool
) -> None:
    server.models = [{"id": "judge-a", "owned_by": owner, "meta": {"n_params": 7}}]
    answers(make_panel(), make_requests(2))
    assert [body.get("cache_prompt") for body in server.requests] == [False if sent else None] * 2
    for body in server.requests:
        fields = body["response_format"]["json_schema"]["schema"]["properties"]
        assert fields["reason"] == ({"type": "string", "maxLength": 600} if sent else {"type": "string"})
        assert "maxLength" not in fields["relevance"]


def test_a_server_that_does_not_take_it_is_asked_without(
    server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests
) -> None:
    server.models = [{"id": "judge-a", "owned_by": "llamacpp"}]
    server.fault = lambda number, body: (
        Fault(status=400, error={"message": "unknown", "param": "cache_prompt"}) if "cache_prompt" in body else None
    )
    (answer, _) = answers(make_panel(), make_requests(2))
    assert isinstance(answer, JudgeAnswer)
    assert answer.meta["not_taken"] == "cache_prompt"
    assert len(server.requests) == 3
