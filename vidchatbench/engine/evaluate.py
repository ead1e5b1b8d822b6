"""One run from outputs to results: check, plan, extract, score, aggregate, write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vidchatbench.benchmark.format import Benchmark
from vidchatbench.benchmark.load import load_benchmark
from vidchatbench.core.progress import Progress, SilentProgress
from vidchatbench.engine.parameters import MetricParams
from vidchatbench.engine.run import Run
from vidchatbench.engine.settings import RunConfig
from vidchatbench.engine.suites import MetricChoice, choose_metrics
from vidchatbench.errors import InputError, UsageError
from vidchatbench.judge.connect import connect_judge
from vidchatbench.plugins.catalogue import load_catalogue
from vidchatbench.results.schema import (
    RESULTS_FILE,
    Results,
    load_results,
)
from vidchatbench.submission.check import CheckedSubmission, check_submission
from vidchatbench.submission.system import SYSTEM_FILE


def evaluate(
    outputs: str | Path,
    *,
    benchmark: str | Path = "test_500",
    suite: str = "lite",
    metrics: Sequence[str] | None = None,
    out: str | Path = "run",
    params: MetricParams | None = None,
    config: RunConfig | None = None,
    progress: Progress | None = None,
) -> Results:
    """Scores a system's outputs on a benchmark and writes a run folder.

    Args:
        outputs: Folder with one ``<sample id>.mp4`` per sample.
        benchmark: Folder or known name of the benchmark.
        suite: Named list of metrics.
        metrics: Metric ids to run instead of the suite's whole list; a metric of the suite keeps its parameters there.
        out: The run folder to write.
        params: Parameters by metric id, such as ``{"dialogue/wer": {"transcripts": "whisper-base"}}``; the protocol id
            follows, and a suite that is varied is listed as ``custom``.
        config: Device, workers, judge and the like.
        progress: Receives progress; nothing does by default.

    Returns:
        The results, as written to ``results.json``.

    Raises:
        UsageError: If a name or a parameter is unknown, or the folder holds no output of the benchmark.
        InputError: If the benchmark has problems; all of them are listed.
        OSError: If the run folder cannot be written.
    """
    config = config or RunConfig()
    config.check_device()
    config.check_engine()
    catalogue = load_catalogue()
    if config.judge is not None:
        config = replace(config, judge=connect_judge(config.judge, budget=config.judge_budget))
    elif config.judge_budget is not None:
        raise UsageError("a judge's budget is given, but no judge")
    choice = choose_metrics(catalogue, suite, metrics, config.overrides(), params=params, asr=config.asr)
    for option in config.overrides():
        if not any(option in metric.params for metric in choice.metrics):
            raise UsageError(f"--{option} is of use to dialogue metrics only, and none of them is among those chosen")
    loaded = load_benchmark(benchmark)
    loaded.verify_media()
    progress = progress or SilentProgress()
    submission = check_submission(Path(outputs), loaded, progress=progress)
    check_run_folder(Path(out), submission, loaded, choice)
    return Run(loaded, submission, Path(out), config, progress).execute(choice)


def check_run_folder(out: Path, submission: CheckedSubmission, benchmark: Benchmark, choice: MetricChoice) -> None:
    """Makes sure that writing a run to ``out`` destroys nothing.

    Raises:
        UsageError: If ``out`` is a file, cannot be made, is or lies in the outputs' folder, or holds another run.
    """
    if out.resolve().is_relative_to(submission.root.resolve()):
        raise UsageError(f"the run folder {out} lies in the outputs, which a run must not change; give another --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"the run folder {out} cannot be made: {error.strerror}; give another --out") from error
    if not (out / RESULTS_FILE).is_file():
        if (out / SYSTEM_FILE).is_file():
            raise UsageError(f"{out} holds a {SYSTEM_FILE} but no run; a run would overwrite it, give another --out")
        return
    try:
        before = load_results(out)
    except InputError as error:
        raise UsageError(f"{out / RESULTS_FILE} is no results file of this library; give another --out") from error
    system, header = submission.system, benchmark.header
    same_run = (
        (before.system.name, before.system.revision) == (system.name, system.revision)
        and (before.benchmark.name, before.benchmark.version) == (header.name, header.version)
        and before.suite == choice.suite
    )
    if not same_run:
        held = f"system {before.system.name!r} on {before.benchmark.name!r}, suite {before.suite.name!r}"
        raise UsageError(f"{out} holds another run ({held}); give another --out, or delete it")
    listed = {(m.id, m.protocol) for m in before.metrics} | {(m.id, m.protocol) for m in before.unavailable}
    if not choice.suite.version and listed != {(m.card.id, m.card.protocol) for m in choice.metrics}:
        raise UsageError(f"{out} holds a run of other metrics or protocols; give another --out, or delete it")
