"""A server, and panels that ask it: quick to try again, with a cache of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from judge_server import JudgeServer, fair_mind, serving

from vidchatbench.api.judging import JudgeRequest
from vidchatbench.judge.llm.settings import PanelSettings
from vidchatbench.judge.panel import Panel

MakePanel = Callable[..., Panel]


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch, private_cache: Path) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture
def server() -> Iterator[JudgeServer]:
    with serving(fair_mind) as running:
        yield running


@pytest.fixture
def make_panel(server: JudgeServer, tmp_path: Path) -> MakePanel:
    """``make_panel(models=..., repeats=..., budget=..., cache=..., seed=..., **judge settings)``."""

    def make(
        models: tuple[str, ...] = ("judge-a",),
        *,
        repeats: int = 1,
        seed: int = 0,
        budget: str | None = None,
        cache: str = "judge",
        **judge: object,
    ) -> Panel:
        judges = [{"base_url": server.url, "model": model, **judge} for model in models]
        settings = PanelSettings.model_validate({"judges": judges, "repeats": repeats, "seed": seed})
        return Panel(settings, budget=budget, cache=tmp_path / cache, first_wait=0.005)

    return make


@pytest.fixture
def make_requests() -> Callable[..., list[JudgeRequest]]:
    """``make_requests(n)``: replies of the grades 1, 2, 3, 4, 5, 1, ..."""

    def make(n: int = 1) -> list[JudgeRequest]:
        return [
            JudgeRequest(f"s{k}", "en", "How was your day?", f"It was grade{1 + k % 5}, number {k}.") for k in range(n)
        ]

    return make
