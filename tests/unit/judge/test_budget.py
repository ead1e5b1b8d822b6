"""The budget: what it understands, that it stops in time, and that what was judged before stays judged."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from judge_server import Fault, JudgeServer

from vidchatbench.api.features import Refusal
from vidchatbench.api.judging import JudgeAnswer, JudgeRequest
from vidchatbench.api.samples import LadderStep, Sample, Side
from vidchatbench.errors import UsageError
from vidchatbench.judge.calibration import forecast
from vidchatbench.judge.llm.budget import Limit, read_budget
from vidchatbench.judge.llm.cache import MAX_STATED_TOKENS
from vidchatbench.judge.llm.settings import JudgeSettings
from vidchatbench.judge.panel import Panel

MakePanel = Callable[..., Panel]
MakeRequests = Callable[..., list[JudgeRequest]]

FREE = JudgeSettings(base_url="http://h/v1", model="free")
DEAR = JudgeSettings(base_url="http://h/v1", model="dear", price_in=2.5, price_out=10)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("200k tokens", Limit(200_000, "tokens")),
        ("1.5M tokens", Limit(1_500_000, "tokens")),
        ("12_000 tokens", Limit(12_000, "tokens")),
        ("5 USD", Limit(5, "USD")),
        ("0.25 usd", Limit(0.25, "USD")),
    ],
)
def test_budgets(text: str, limit: Limit) -> None:
    assert read_budget(text, [DEAR]) == limit


@pytest.mark.parametrize("text", ["", "5", "USD", "-1 USD", "five tokens", "5 dollars", "5 EUR", "nan tokens"])
def test_what_is_no_budget(text: str) -> None:
    with pytest.raises(UsageError):
        read_budget(text, [DEAR])


def test_money_needs_prices_of_every_judge() -> None:
    with pytest.raises(UsageError, match="'free' has no price in USD"):
        read_budget("5 USD", [DEAR, FREE])


def test_stops_before_the_limit_and_keeps_what_was_judged(
    server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests
) -> None:
    server.delay = 0.005
    requests = make_requests(60)
    panel = make_panel(budget="15k tokens")
    found = dict(panel.score(requests))
    judged = {k for k, answer in found.items() if isinstance(answer, JudgeAnswer)}
    assert panel.budget.spent == 560 * len(judged) <= 15_000
    assert len(judged) >= (15_000 - 3000) // 560, "what was set aside for answers is used again"
    assert judged == set(range(len(judged))), "samples are judged one after the other, not all of them by half"
    assert all("budget is spent" in a.reason for a in found.values() if isinstance(a, Refusal))
    sent = len(server.requests)
    later = dict(make_panel(budget="100k tokens").score(requests))
    assert all(isinstance(answer, JudgeAnswer) for answer in later.values())
    assert len(server.requests) == sent + 60 - len(judged), "the others were paid for"


def test_counts_money_by_the_prices(server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests) -> None:
    panel = make_panel(budget="5 USD", price_in=100, price_out=1000)
    list(panel.score(make_requests(3)))
    assert panel.budget.spent == pytest.approx(3 * (500 * 100 + 60 * 1000) / 1e6)
    assert "of 5.0000 USD" in str(panel.budget)


def test_an_answer_that_was_lost_on_the_way_is_counted(
    server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests
) -> None:
    server.fault = lambda number, body: Fault(cut="middle") if number == 0 else None
    panel = make_panel()
    list(panel.score(make_requests(1)))
    assert panel.budget.spent > 560 + 500


@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens"])
@pytest.mark.parametrize(
    "stated", [0, -1, -560, True, 10**30, MAX_STATED_TOKENS + 1, 60.0, 0.5, "60", None, [60], {"text": 60}]
)
def test_a_count_that_cannot_be_one_is_replaced_by_our_own(
    server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests, name: str, stated: object
) -> None:
    usage = {"prompt_tokens": 500, "completion_tokens": 60, name: stated}
    server.fault = lambda number, body: Fault(changes={"usage": usage})
    panel = make_panel(budget="15k tokens")
    found = dict(panel.score(make_requests(40)))
    judged = [answer for answer in found.values() if isinstance(answer, JudgeAnswer)]
    assert all(answer.meta["tokens_estimated"] is True for answer in judged)
    assert 5000 < panel.budget.spent <= 15_000
    assert 0 < len(judged) < 40, "the budget has an end"


@pytest.mark.parametrize("usage", [[], "60", 7, True, {}, None])
def test_so_it_is_where_usage_is_no_object(
    server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests, usage: object
) -> None:
    server.fault = lambda number, body: Fault(changes={"usage": usage})
    (answer,) = dict(make_panel().score(make_requests(1))).values()
    assert isinstance(answer, JudgeAnswer)
    assert answer.meta["tokens_estimated"] is True


@pytest.mark.parametrize("stated", [1, MAX_STATED_TOKENS])
def test_counts_within_their_bounds_are_believed(
    server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests, stated: int
) -> None:
    server.fault = lambda number, body: Fault(changes={"usage": {"prompt_tokens": stated, "completion_tokens": 1}})
    panel = make_panel()
    (answer,) = dict(panel.score(make_requests(1))).values()
    assert isinstance(answer, JudgeAnswer)
    assert answer.tokens.tolist() == [[stated, 1]]
    assert panel.budget.spent == stated + 1


def test_nothing_stays_set_aside_after_failures(
    server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests
) -> None:
    server.fault = lambda number, body: Fault(status=500)
    panel = make_panel(budget="6k tokens")
    (refused,) = dict(panel.score(make_requests(1))).values()
    assert isinstance(refused, Refusal)
    assert panel.budget.reserve(6000)


def test_the_estimate_is_near_and_not_below(
    server: JudgeServer, make_panel: MakePanel, make_requests: MakeRequests
) -> None:
    panel = make_panel(("judge-a", "judge-b"), repeats=3, budget="9 USD", price_in=1, price_out=2)
    estimate = panel.estimate(make_requests(10))
    assert estimate.calls == 60
    assert estimate.unit == "USD"
    assert estimate.cost == pytest.approx((estimate.tokens_in + 2 * estimate.tokens_out) / 1e6)
    # About 4.5 bytes of English a token; the estimate reckons with 3.
    size = sum(len(str(m["content"])) for m in first_messages(panel, server, make_requests(1)))
    assert size / 4.5 < estimate.tokens_in / 60 < size / 2.5


def test_the_forecast_reckons_with_every_sample_and_both_rounds_of_calibration(make_panel: MakePanel) -> None:
    side = Side(media="a.mp4", sha256="0" * 64, speaker_id="s", transcript="Hello?")
    ladder = tuple(LadderStep(text=f"step {grade}", score=grade / 5) for grade in range(1, 6))
    samples = [
        Sample(id=f"s{k}", task="dialogue", language="en", initiator=side, responder=side, ladder=ladder)
        for k in range(30)
    ]
    mute = samples[0].model_copy(update={"id": "mute", "initiator": side.model_copy(update={"transcript": None})})
    panel = make_panel(("judge-a", "judge-b"), repeats=2)
    assert forecast(panel, [*samples, mute]).calls == (30 + 2 * 10 * 5 + 4 * 4) * 2 * 2
    assert panel.requests_sent == 0


def first_messages(panel: Panel, server: JudgeServer, requests: list[JudgeRequest]) -> list[dict[str, object]]:
    list(panel.score(requests))
    messages: list[dict[str, object]] = server.requests[0]["messages"]
    return messages
