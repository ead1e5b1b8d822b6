"""What a run says while it runs: soon, honestly, and no `done` where something failed."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator

import pytest
from rich.console import Console

from vidchatbench.cli import progress as module
from vidchatbench.cli.evaluate import EvaluateOptions, next_steps
from vidchatbench.cli.progress import LiveProgress, PlainProgress, TimeLeft, progress_for, spell_time

ALONE, EIGHT = 1, 8


def ends_of_jobs(jobs: int, seconds: float, workers: int, loading: float) -> Iterator[tuple[float, float]]:
    """Times at which equal jobs end, with what is done then; each worker first loads its models."""
    for place in range(jobs):
        yield loading + seconds * (place // workers + 1) + 0.01 * (place % workers), place + 1


@pytest.mark.parametrize("workers", [ALONE, EIGHT])
@pytest.mark.parametrize("loading", [0.0, 5.0, 60.0])
@pytest.mark.parametrize("jobs", [16, 64, 504])
def test_the_time_left_is_right_within_a_factor_of_two_from_a_quarter_on(
    workers: int, loading: float, jobs: int
) -> None:
    ends = list(ends_of_jobs(jobs, 10.0, workers, loading))
    left = TimeLeft(jobs, 0.0)
    last = ends[-1][0]
    for now, done in ends:
        left.advance(done, now)
        told = left.seconds(now)
        # A burst counts when all workers have ended their clips.
        if done >= jobs / 4 and done % workers == 0 and last - now > 0:
            assert told is not None
            assert 0.5 * (last - now) <= told <= 2.0 * (last - now) + loading, (now, told, last - now)


def test_equal_work_is_told_exactly() -> None:
    left = TimeLeft(100.0, 0.0)
    assert left.seconds(0.0) is None
    for second in range(1, 100):
        left.advance(float(second), float(second))
        if second >= 2:
            assert left.seconds(float(second)) == pytest.approx(100 - second)


def test_nothing_is_told_where_nothing_is_known() -> None:
    left = TimeLeft(100.0, 0.0)
    left.advance(1.9, 50.0)
    assert left.seconds(50.0) is None, "under 2 % of the work"
    left.advance(2.0, 51.0)
    assert left.seconds(51.0) is not None
    assert TimeLeft(0.0, 0.0).seconds(9.0) is None, "a stage of unknown size"
    late = TimeLeft(10.0, 0.0)
    late.advance(9.0, 9.0)
    assert late.seconds(9.5) == pytest.approx(1.0, abs=0.1)
    assert late.seconds(30.0) is None, "one second was left, 21 ago"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (4.4, "4 s"), (9.4, "9 s"), (12.4, "10 s"), (12.6, "15 s"), (57, "55 s"), (61, "1 min"),
     (600, "10 min"), (3560, "59 min"), (3600, "1 h 0 min"), (7900, "2 h 12 min")],
)  # fmt: skip
def test_a_time_is_no_more_exact_than_an_estimate(seconds: float, text: str) -> None:
    assert spell_time(seconds) == text


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred times as fast as for people."""
    for name in ("_SECONDS_BEFORE_FIRST_LINE", "_SECONDS_BETWEEN_LINES", "_SECONDS_OF_A_SHORT_STAGE", "_BEAT_SECONDS"):
        monkeypatch.setattr(module, name, getattr(module, name) / 100)


def wait_for(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.005)


def test_the_first_line_comes_within_five_seconds_also_where_nothing_advances(
    quick: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert module._SECONDS_BEFORE_FIRST_LINE + module._BEAT_SECONDS < 0.05, "of the hundredth of five seconds"
    said = ""

    def heard(text: str) -> bool:
        nonlocal said
        said += capsys.readouterr().err
        return text in said

    with PlainProgress() as progress:
        wait_for(lambda: heard("at work, 0 s so far\n"))
        progress.begin("checking outputs", 500, "clips")
        wait_for(lambda: heard("checking outputs: 0/500 clips, 0 s so far\n"))
        progress.end()
        progress.begin("extracting", 100.0, "s of media")
        time.sleep(0.02)
        progress.advance(50.0)
        wait_for(lambda: heard("extracting: 50/100 s of media"))
    capsys.readouterr()
    time.sleep(0.2)
    assert capsys.readouterr().err == "", "nothing is said after the end"


def test_a_short_stage_says_nothing_and_one_that_fails_does_not_say_done(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainProgress() as progress:
        progress.begin("checking outputs", 4, "clips")
        progress.end()
        assert capsys.readouterr().err == ""
        progress.begin("extracting asr", 4, "samples")
        progress.end("failed")
        assert "extracting asr: failed in 0.0 s (4 samples)" in capsys.readouterr().err
        progress.begin("extracting", 4, "samples")
    with pytest.raises(RuntimeError), PlainProgress() as progress:  # noqa: PT012
        progress.begin("net.onnx", 4, "MB")
        raise RuntimeError
    assert "done" not in capsys.readouterr().err


def test_a_bar_is_drawn_on_a_terminal_and_ends_where_an_error_ends_it() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    progress = progress_for(console)
    assert isinstance(progress, LiveProgress)
    with pytest.raises(RuntimeError), progress:  # noqa: PT012
        progress.begin("extracting", 10.0, "s of media")
        progress.advance(5.0)
        progress.note("[bold]a note")
        raise RuntimeError
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "5/10 s of media" in text
    assert "[bold]a note" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h"), "the cursor is shown again"


def test_a_run_ends_with_what_to_do_next() -> None:
    from pathlib import Path

    from vidchatbench.results.schema import load_results

    runs = Path(__file__).resolve().parents[2] / "support" / "historic_results" / "v1"
    for path in sorted(runs.glob("*.json")):
        results = load_results(path)
        options = EvaluateOptions(Path("my outputs"), benchmark="a set", out=Path("my run"), suite="lite")
        commands = [command for command, _ in next_steps(results, options)]
        assert "vidchatbench report 'my run'" in commands
        assert "vidchatbench compare 'my run' OTHER_RUN" in commands
        assert ("vidchatbench submit 'my run'" in commands) is (results.complete and results.suite.version > 0)
        anchored = any(m.anchors.oracle is not None or m.anchors.nulls for m in results.metrics)
        wanted = "vidchatbench anchors build --benchmark 'a set' --suite lite"
        assert (wanted in commands) is not anchored
        ours = results.model_copy(update={"metrics": (results.metrics[0].model_copy(update={"n_error": 1}),)})
        assert next_steps(ours, options)[0][0].startswith("vidchatbench evaluate 'my outputs' --benchmark 'a set'")
