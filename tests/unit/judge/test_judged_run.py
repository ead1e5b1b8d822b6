"""A whole evaluation with a judge: what is asked, what it costs, what the results say, and what never leaves."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from integration_support import write_benchmark
from judge_server import Body, JudgeServer, fair_mind, says, see
from rich.console import Console

import vidchatbench as vcb
from vidchatbench.cli.output import print_reasons, print_results
from vidchatbench.demo import DemoSize, build_demo
from vidchatbench.engine.journal import read_journal
from vidchatbench.errors import InputError, UsageError
from vidchatbench.report.write import write_report

METRICS = ["dialogue/judge", "dialogue/judge_safety", "dialogue/wer"]
Made = tuple[Path, Path]


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The demonstration's clips with words and ladders; the system answers with the real replies."""
    size = DemoSize(dyads=2, seconds=1.6, side=128, systems=("oracle",))
    made = build_demo(tmp_path_factory.mktemp("demo"), size=size)
    benchmark, outputs = tmp_path_factory.mktemp("spoken") / "benchmark", tmp_path_factory.mktemp("outputs")
    shutil.copytree(made.benchmark, benchmark)
    shutil.copytree(made.systems["oracle"], outputs, dirs_exist_ok=True)
    lines = [json.loads(line) for line in (benchmark / "manifest.jsonl").read_text().splitlines()]
    for line in lines:
        line["language"] = "en"
        line["initiator"]["transcript"] = f"How do you like {line['id']}?"
        line["ladder"] = [{"text": f"It is grade{level}.", "score": level / 5} for level in range(1, 6)]
        (outputs / f"{line['id']}.json").write_text(json.dumps({"transcript": "It is grade4 indeed."}))
    write_benchmark(benchmark, lines, name="spoken")
    return benchmark, outputs


@pytest.fixture
def transcripts(spoken: Made, tmp_path: Path) -> Path:
    path = tmp_path / "transcripts.jsonl"
    names = [sample.id for sample in vcb.load_benchmark(spoken[0])]
    lines = [{"id": name, "transcript": f"It is grade{2 + i} indeed."} for i, name in enumerate(names)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def run(made: Made, server: JudgeServer, out: Path, transcripts: Path | None, **options: Any) -> vcb.Results:
    config = vcb.RunConfig(
        workers=1, judge=f"{server.url}#judge-a", transcripts=transcripts, store=out.parent / "store", **options
    )
    return vcb.evaluate(made[1], benchmark=made[0], metrics=METRICS, out=out, config=config)


def test_the_judge_is_asked_once_and_the_results_say_by_whom(
    spoken: Made, server: JudgeServer, transcripts: Path, tmp_path: Path
) -> None:
    results = run(spoken, server, tmp_path / "run", transcripts)
    judge = results.metric("dialogue/judge")
    assert judge.value == pytest.approx((2 + 3 + 4 + 5) / 4)
    assert judge.n_ok == 4
    assert "judge-a" in judge.protocol
    assert judge.params["transcripts"] == "given"
    assert results.judge is not None
    assert results.judge.n == 4
    assert results.judge.anchors.samples == 4
    assert results.judge.judges[0].model == "judge-a"
    assert judge.unranked == results.judge.unranked
    assert results.metric("dialogue/wer").n_ok == 4
    # The normaliser makes five words of it, of which the number is wrong in three replies of four.
    assert results.metric("dialogue/wer").value == pytest.approx(3 / 4 * 1 / 5)
    asked = len(server.requests)
    again = run(spoken, server, tmp_path / "again", transcripts)
    assert len(server.requests) == asked, "what was answered is not asked again, calibration included"
    assert again.judge == results.judge
    assert again.metrics == results.metrics


def test_no_address_stands_in_anything_that_is_published(
    spoken: Made, server: JudgeServer, transcripts: Path, tmp_path: Path
) -> None:
    run(spoken, server, tmp_path / "run", transcripts)
    address = server.url.removeprefix("http://").encode()
    for path in [*(tmp_path / "run").iterdir(), *(tmp_path / "store").rglob("*.*")]:
        assert not path.is_file() or address not in path.read_bytes(), path.name


def test_a_judge_that_gives_all_the_same_is_not_believed(
    spoken: Made, server: JudgeServer, transcripts: Path, tmp_path: Path
) -> None:
    server.mind = lambda body: says(4) if "REPLY" in see(body).blocks else fair_mind(body)
    results = run(spoken, server, tmp_path / "run", transcripts)
    assert results.metric("dialogue/judge").value == 4.0
    assert str(results.metric("dialogue/judge").unranked).startswith("judge drifted")
    assert results.metric("dialogue/judge_safety").unranked == results.metric("dialogue/judge").unranked
    assert results.metric("dialogue/wer").unranked is None


def printed(results: vcb.Results, out: Path) -> str:
    console = Console(file=io.StringIO(), width=160)
    print_results(console, results)
    print_reasons(console, out)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_judge_that_fails_is_named_wherever_the_run_is_summarised(
    spoken: Made, server: JudgeServer, transcripts: Path, tmp_path: Path
) -> None:
    def mumbles(body: Body) -> str:
        return "Well, hmm." if "grade3 indeed" in see(body).blocks.get("REPLY", "") else fair_mind(body)

    server.mind = mumbles
    out = tmp_path / "run"
    results = run(spoken, server, out, transcripts)
    judge = results.metric("dialogue/judge")
    assert (judge.n_ok, judge.n_error) == (3, 1)
    assert judge.unranked == "the judge gave no usable answer for 1 sample"
    assert not results.complete
    text = printed(results, out)
    assert "judge failed: judge 'judge-a' gave no usable answer, asked twice" in text
    assert "dialogue/judge: not ranked, the judge gave no usable answer for 1 sample" in text
    assert "own error" not in text
    (finished,) = [event for event in read_journal(out) if event["event"] == "finished"]
    words = "the judge gave no usable answer for 1 sample"
    assert finished["errors"] == dict.fromkeys(METRICS[:2], words), "of the judged metrics alone"
    write_report(out)
    assert "the judge’s fault" in (out / "report.html").read_text(encoding="utf-8")


def test_a_spent_budget_leaves_the_rest_without_an_answer_of_the_judge(
    spoken: Made, server: JudgeServer, transcripts: Path, tmp_path: Path
) -> None:
    results = run(spoken, server, tmp_path / "run", transcripts, judge_budget="10 tokens")
    judge = results.metric("dialogue/judge")
    assert (judge.n_ok, judge.n_error) == (0, 4)
    assert judge.unranked == "the judge gave no usable answer for 4 samples"
    assert "judge failed: the judge's budget is spent" in printed(results, tmp_path / "run")
    assert not results.complete
    assert results.metric("dialogue/wer").n_ok == 4


def test_a_budget_without_a_judge_and_a_judge_that_is_none_are_refused(spoken: Made, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no judge"):
        vcb.evaluate(spoken[1], benchmark=spoken[0], out=tmp_path, config=vcb.RunConfig(judge_budget="5 tokens"))
    with pytest.raises(InputError):
        vcb.evaluate(spoken[1], benchmark=spoken[0], out=tmp_path, config=vcb.RunConfig(judge="nonsense"))


def test_without_a_judge_the_metric_says_how_to_get_one(spoken: Made, transcripts: Path, tmp_path: Path) -> None:
    config = vcb.RunConfig(workers=1, transcripts=transcripts, store=tmp_path / "store")
    results = vcb.evaluate(spoken[1], benchmark=spoken[0], metrics=METRICS, out=tmp_path / "run", config=config)
    (lacking, _) = results.unavailable
    assert lacking.id == "dialogue/judge"
    assert "--judge" in lacking.fix


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ('{"id": "nobody", "transcript": "x"}\n', "no sample 'nobody'"),
        ('{"id": "demo-1", "transcript": "x"}\n', "the reply to sample 'demo-2' has no transcript"),
        ('{"id": "demo-1", "transcript": "x"}\n{"id": "demo-1", "transcript": "y"}\n', "twice"),
        ('{"id": "demo-1"}\n', "transcript"),
        ("not json\n", "JSON"),
    ],
)
def test_transcripts_of_another_shape_are_refused_by_file(
    spoken: Made, tmp_path: Path, content: str, part: str
) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(content)
    config = vcb.RunConfig(workers=1, transcripts=path, store=tmp_path / "store")
    with pytest.raises(InputError, match=part) as raised:
        vcb.evaluate(spoken[1], benchmark=spoken[0], metrics=["dialogue/wer"], out=tmp_path / "run", config=config)
    assert "mine.jsonl" in str(raised.value)
