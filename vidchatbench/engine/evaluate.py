"""One run from outputs to results: check, plan, extract, score, aggregate, write."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from vidchatbench import paths
from vidchatbench._version import __version__
from vidchatbench.availability import Availability
from vidchatbench.benchmark.load import Benchmark, load_benchmark
from vidchatbench.contract.features import Param
from vidchatbench.contract.metrics import Metric
from vidchatbench.contract.sample_extractors import SampleNotes
from vidchatbench.contract.samples import Role
from vidchatbench.engine.anchors import known_anchors
from vidchatbench.engine.extraction import Extraction, extract
from vidchatbench.engine.journal import Journal
from vidchatbench.engine.plan import Plan, Planner, benchmark_media, gather_clips, needed_roles
from vidchatbench.engine.progress import Progress, SilentProgress
from vidchatbench.engine.sample_pass import Known, run_sample_tasks
from vidchatbench.engine.scoring import score_cells
from vidchatbench.engine.settings import RunConfig
from vidchatbench.engine.worker import peak_memory
from vidchatbench.errors import InputError, UsageError
from vidchatbench.features.store import FeatureStore
from vidchatbench.judge.interface import connect_judge
from vidchatbench.media.profile import decode_profile
from vidchatbench.plugins import Catalogue, load_catalogue
from vidchatbench.results.aggregate import Record, aggregate_all
from vidchatbench.results.files import write_run
from vidchatbench.results.schema import (
    RESULTS_FILE,
    BenchmarkRef,
    Environment,
    MetricResult,
    Policy,
    Results,
    RunInfo,
    SuiteRef,
    UnavailableMetric,
    load_results,
)
from vidchatbench.submission.check import CheckedSubmission, check_submission
from vidchatbench.submission.system import SYSTEM_FILE, OutputNotes
from vidchatbench.submission.transcripts import read_transcripts
from vidchatbench.weights.resolver import WeightResolver

if TYPE_CHECKING:
    from vidchatbench.engine.judging import Judging

_RECORDED_PACKAGES = (
    *("av", "facenet-pytorch", "h5py", "lpips", "numpy", "onnxruntime", "opencv-contrib-python", "pillow", "pyiqa"),
    *("python-speech-features", "scipy", "silero-vad", "speechmos", "syncnet-python", "timm", "torch"),
    *("torchvision", "transformers", "webrtcvad-wheels"),
)


class Run:
    """The state of one evaluation.

    Args:
        benchmark: The benchmark.
        submission: The checked submission.
        out: The run folder.
        config: How to run.
        progress: Who hears of it.
    """

    def __init__(
        self, benchmark: Benchmark, submission: CheckedSubmission, out: Path, config: RunConfig, progress: Progress
    ) -> None:
        self._benchmark = benchmark
        self._submission = submission
        self._out = out
        self._config = config
        self._progress = progress
        self._catalogue = load_catalogue()
        self._resolver = WeightResolver(self._catalogue.weights)
        self._store = FeatureStore(config.store or paths.feature_root())
        self._seconds: dict[str, float] = {}

    def execute(self, suite: SuiteRef, metrics: Sequence[Metric]) -> Results:
        """Runs the metrics and writes the run folder."""
        started = datetime.now(timezone.utc)
        journal = Journal(self._out)
        availability = Availability.of(metrics, self._catalogue, self._resolver, permissive=self._config.permissive)
        availability.require_any()
        runnable = availability.runnable
        if len(runnable) < len(metrics):
            told = f"{len(runnable)} of {len(metrics)} metrics can run here"
            self._progress.note(f"{told}; at the end stands what the others lack")
        clock = time.perf_counter()
        clips = gather_clips(self._benchmark, self._submission, needed_roles(runnable))
        planner = Planner(
            self._benchmark.samples,
            self._submission.outputs,
            clips,
            self._catalogue,
            self._store,
            notes=self._notes(),
        )
        plan = planner.build(runnable)
        self._seconds["plan"] = time.perf_counter() - clock
        # Where the clips lie is for this computer's report alone; nothing that is published says it.
        places = {"outputs": str(self._submission.root.resolve()), "benchmark": str(self._benchmark.root.resolve())}
        ids = [metric.card.id for metric in runnable]
        journal.write("planned", jobs=len(plan.jobs), features=plan.wanted, metrics=ids, **places)
        extraction = extract(plan, self._config, self._progress, journal)
        self._seconds["extract"] = extraction.elapsed
        known = extraction.known
        judging = self._judging(runnable, plan)
        read = run_sample_tasks(plan.samples, known, self._catalogue, self._store, self._config, self._progress)
        extraction.extracted += read.extracted
        extraction.seconds.update(read.seconds)
        records = self._score(plan, known)
        anchors = known_anchors(self._benchmark, runnable, self._catalogue.weights)
        clock = time.perf_counter()
        numbers = aggregate_all(runnable, records, self._catalogue.weights, seed=self._config.seed, anchors=anchors)
        self._seconds["aggregate"] = time.perf_counter() - clock
        report = None if judging is None else judging.finish(known, self._store)
        if judging is not None and report is not None:
            numbers = judging.mark(numbers, report)
        missing = list_unavailable(availability)
        results = Results(
            benchmark=BenchmarkRef.of(self._benchmark),
            vidchatbench_version=__version__,
            suite=suite,
            system=self._submission.system,
            metrics=numbers,
            unavailable=missing,
            judge=report,
            environment=self._environment(),
            run=self._run_info(started, plan, extraction),
            complete=not missing and all(_is_whole(number) for number in numbers),
        )
        write_run(self._out, results, records, self._media_lines(plan))
        journal.write("finished", complete=results.complete)
        return results

    def _judging(self, metrics: Sequence[Metric], plan: Plan) -> Judging | None:
        if self._config.judge is None:
            return None
        from vidchatbench.engine.judging import judging_of  # noqa: PLC0415 - loads the client of the endpoints

        judging = judging_of(metrics, self._benchmark.samples, plan, self._progress)
        if judging is not None:
            judging.begin()
        return judging

    def _notes(self) -> dict[str, SampleNotes]:
        path, declared = self._config.transcripts, self._submission.notes
        given = {} if path is None else read_transcripts(path, self._benchmark, self._submission)
        nothing = OutputNotes()
        return {
            sample.id: SampleNotes(
                declared_transcript=declared.get(sample.id, nothing).transcript,
                given_transcript=given.get(sample.id),
                latency_s=declared.get(sample.id, nothing).latency_s,
            )
            for sample in self._benchmark
        }

    def _score(self, plan: Plan, known: Known) -> list[Record]:
        clock = time.perf_counter()
        records = score_cells(plan.cells, self._submission.outputs, known, self._store.load)
        self._seconds["score"] = time.perf_counter() - clock
        return records

    def _environment(self) -> Environment:
        return Environment(
            python=platform.python_version(),
            platform=f"{platform.system()} {platform.machine()}",
            device=self._config.device,
            packages=_package_versions(),
            plugins=dict(self._catalogue.packages),
            decode_profile=decode_profile(),
        )

    def _run_info(self, started: datetime, plan: Plan, extraction: Extraction) -> RunInfo:
        stages = {name: round(seconds, 3) for name, seconds in self._seconds.items()}
        stages |= {f"extract {name}": round(seconds, 3) for name, seconds in sorted(extraction.seconds.items())}
        candidates = {
            clip.sha256: clip.info.video.duration or 0.0
            for (_, role), clip in plan.roles.items()
            if role is Role.CANDIDATE and clip.info.video is not None
        }
        return RunInfo(
            started=started,
            finished=datetime.now(timezone.utc),
            seed=self._config.seed,
            permissive=self._config.permissive,
            policy=Policy(),
            workers=self._config.effective_workers(),
            batch_size=self._config.batch_size,
            engine=self._config.engine,
            seconds=stages,
            media_seconds=round(sum(candidates.values()), 3),
            features_reused=plan.reused,
            features_extracted=extraction.extracted,
            decode_passes={self._label(path): count for path, count in sorted(extraction.passes.items())},
            peak_memory_bytes=max(extraction.peak_memory, peak_memory()),
        )

    def _label(self, path: str) -> str:
        # Results are published: they name files within the two folders, never where those lie on somebody's disk.
        for prefix, root in (("outputs", self._submission.root), (self._benchmark.header.name, self._benchmark.root)):
            if Path(path).is_relative_to(root):
                return f"{prefix}/{Path(path).relative_to(root).as_posix()}"
        return Path(path).name

    def _media_lines(self, plan: Plan) -> list[dict[str, object]]:
        lines: list[dict[str, object]] = []
        for sample in self._benchmark:
            output = self._submission.outputs[sample.id]
            if output.path is not None and output.info is None:
                told = {"file": output.path.name, "problem": output.reason}
                lines.append({"sample_id": sample.id, "role": Role.CANDIDATE.value, **told})
            for role in Role:
                clip = plan.roles.get((sample.id, role))
                if clip is not None:
                    # Files of equal content share a clip, so the name comes from the role, not from the clip.
                    name = output.path.name if role is Role.CANDIDATE and output.path else benchmark_media(sample)[role]
                    content = clip.info.model_dump(mode="json")
                    lines.append({"sample_id": sample.id, "role": role.value, "file": name, **content})
        return lines


def evaluate(
    outputs: str | Path,
    *,
    benchmark: str | Path = "test_500",
    suite: str = "lite",
    metrics: Sequence[str] | None = None,
    out: str | Path = "run",
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
        config: Device, workers, judge and the like.
        progress: Who hears of the progress; nobody by default.

    Returns:
        The results, as written to ``results.json``.

    Raises:
        UsageError: If a name is unknown, or the folder holds no output of the benchmark.
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
    chosen_suite, chosen = choose_metrics(catalogue, suite, metrics, config.overrides())
    for option in config.overrides():
        if not any(option in metric.params for metric in chosen):
            raise UsageError(f"--{option} is of use to dialogue metrics only, and none of them is among those chosen")
    loaded = load_benchmark(benchmark)
    loaded.verify_media()
    submission = check_submission(Path(outputs), loaded)
    check_run_folder(Path(out), submission, loaded, (chosen_suite, chosen))
    return Run(loaded, submission, Path(out), config, progress or SilentProgress()).execute(chosen_suite, chosen)


def check_run_folder(
    out: Path, submission: CheckedSubmission, benchmark: Benchmark, chosen: tuple[SuiteRef, Sequence[Metric]]
) -> None:
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
    suite, metrics = chosen
    if not (out / RESULTS_FILE).is_file():
        if (out / SYSTEM_FILE).is_file():
            raise UsageError(f"{out} holds a {SYSTEM_FILE} but no run; a run would overwrite it, give another --out")
        return
    try:
        before = load_results(out)
    except InputError as error:
        raise UsageError(f"{out / RESULTS_FILE} is no results file of this library; give another --out") from error
    told = (before.system.name, before.system.revision, before.benchmark.name, before.benchmark.version, before.suite)
    system, header = submission.system, benchmark.header
    if told != (system.name, system.revision, header.name, header.version, suite):
        held = f"system {before.system.name!r} on {before.benchmark.name!r}, suite {before.suite.name!r}"
        raise UsageError(f"{out} holds another run ({held}); give another --out, or delete it")
    listed = {(m.id, m.protocol) for m in before.metrics} | {(m.id, m.protocol) for m in before.unavailable}
    if not suite.version and listed != {(metric.card.id, metric.card.protocol) for metric in metrics}:
        raise UsageError(f"{out} holds a run of other metrics or protocols; give another --out, or delete it")


def choose_metrics(
    catalogue: Catalogue,
    suite_name: str,
    metric_ids: Sequence[str] | None,
    overrides: Mapping[str, Param] | None = None,
) -> tuple[SuiteRef, list[Metric]]:
    """Returns the metrics to run and the name under which the results list them.

    Args:
        catalogue: Where metrics come from.
        suite_name: Named list of metrics.
        metric_ids: Metrics to run instead of the whole list.
        overrides: Parameters for every metric that has them.

    Raises:
        UsageError: If the suite or a metric is unknown, or a metric is named twice.
    """
    suite = catalogue.suite(suite_name)
    configured: Mapping[str, Mapping[str, Param]] = {entry.metric: entry.params for entry in suite.metrics}

    def build(name: str) -> Metric:
        metric = catalogue.metric(name, **configured.get(name, {}))
        changed = {key: value for key, value in (overrides or {}).items() if key in metric.defaults}
        return catalogue.metric(name, **{**configured.get(name, {}), **changed}) if changed else metric

    if metric_ids is None:
        chosen = [build(entry.metric) for entry in suite.metrics]
        return SuiteRef(name=suite.name, version=suite.version), chosen
    if not metric_ids:
        raise UsageError("no metric is named")
    if len(set(metric_ids)) != len(metric_ids):
        raise UsageError("a metric is named twice")
    chosen = [build(name) for name in metric_ids]
    return SuiteRef(name="custom", version=0), chosen


def list_unavailable(availability: Availability) -> tuple[UnavailableMetric, ...]:
    """Returns how results list the metrics that cannot run here."""
    return tuple(
        UnavailableMetric(
            id=metric.card.id,
            protocol=metric.card.protocol,
            reason=paths.without_places(lack.reason),
            fix=paths.without_places(lack.fix),
        )
        for metric, lack in availability.lacks.items()
    )


def _is_whole(number: MetricResult) -> bool:
    # A metric that no sample applies to has no value, and nothing is missing.
    return number.n_error == 0 and (number.value is not None or number.n_ok == 0)


def _package_versions() -> dict[str, str]:
    found = {}
    for name in _RECORDED_PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
