"""One evaluation of a submission: from its outputs to the run folder."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from vidchatbench._version import __version__
from vidchatbench.api.metrics import Metric
from vidchatbench.api.sample_extractors import SampleNotes
from vidchatbench.api.samples import Role, benchmark_media
from vidchatbench.benchmark.format import Benchmark
from vidchatbench.core import paths
from vidchatbench.core.progress import Progress
from vidchatbench.engine.extraction.worker import peak_memory
from vidchatbench.engine.features.store import FeatureStore
from vidchatbench.engine.journal import Journal
from vidchatbench.engine.pipeline import Outcome, Pipeline
from vidchatbench.engine.plan import Inputs, Plan
from vidchatbench.engine.settings import RunConfig
from vidchatbench.engine.suites import MetricChoice, list_unavailable
from vidchatbench.media.profile import decode_profile
from vidchatbench.plugins.availability import Availability
from vidchatbench.plugins.catalogue import load_catalogue
from vidchatbench.results.aggregate import errors_of
from vidchatbench.results.anchors import known_anchors
from vidchatbench.results.files import write_run
from vidchatbench.results.schema import (
    BenchmarkRef,
    Environment,
    MetricResult,
    Policy,
    Results,
    RunInfo,
    SuiteRef,
    UnavailableMetric,
)
from vidchatbench.submission.check import CheckedSubmission
from vidchatbench.submission.system import OutputNotes
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
        progress: Receives progress.
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
        self._judging: Judging | None = None

    def execute(self, choice: MetricChoice) -> Results:
        """Runs the metrics and writes the run folder.

        Raises:
            UnavailableError: If none of the metrics can run here.
            InputError: If a clip or the anchors of the benchmark cannot be read.
            OSError: If the run folder cannot be written.
        """
        started = datetime.now(timezone.utc)
        journal = Journal(self._out)
        availability = Availability.of(
            choice.metrics, self._catalogue, self._resolver, permissive=self._config.permissive
        )
        availability.require_any()
        runnable = availability.runnable
        if len(runnable) < len(choice.metrics):
            message = f"{len(runnable)} of {len(choice.metrics)} metrics can run here"
            self._progress.note(f"{message}; the end of the run lists what the others need")
        clock = time.perf_counter()
        inputs = Inputs.of(self._benchmark, self._submission, runnable, self._notes())
        gathered = time.perf_counter() - clock
        pipeline = Pipeline(self._catalogue, self._store, self._config, self._progress, journal=journal)
        known = known_anchors(self._benchmark, runnable, self._catalogue.weights)
        outcome = pipeline.run(
            inputs,
            runnable,
            anchors={name: entry.anchors for name, entry in known.items()},
            ceilings={name: entry.samples for name, entry in known.items()},
            on_plan=lambda plan: self._write_plan(journal, plan, runnable),
            on_clips_read=lambda plan: self._begin_judging(runnable, plan),
        )
        outcome.seconds["plan"] += gathered
        results = self._results(choice.suite, list_unavailable(availability), outcome, started)
        write_run(self._out, results, outcome.records, self._media_lines(outcome.plan))
        journal.write("finished", complete=results.complete, errors=errors_of(outcome.records))
        return results

    def _results(
        self, suite: SuiteRef, unavailable: tuple[UnavailableMetric, ...], outcome: Outcome, started: datetime
    ) -> Results:
        numbers, report = outcome.numbers, None
        if self._judging is not None:
            report = self._judging.finish(outcome.features)
            numbers = self._judging.mark(numbers, report)
        return Results(
            benchmark=BenchmarkRef.of(self._benchmark),
            vidchatbench_version=__version__,
            suite=suite,
            system=self._submission.system,
            metrics=numbers,
            unavailable=unavailable,
            judge=report,
            environment=self._environment(),
            run=self._run_info(started, outcome),
            complete=not unavailable and all(_is_whole(number) for number in numbers),
        )

    def _write_plan(self, journal: Journal, plan: Plan, metrics: Sequence[Metric]) -> None:
        # Where the clips lie is for this computer's report alone; nothing that is published says it.
        places = {"outputs": str(self._submission.root.resolve()), "benchmark": str(self._benchmark.root.resolve())}
        ids = [metric.card.id for metric in metrics]
        journal.write("planned", jobs=len(plan.jobs), features=plan.wanted, metrics=ids, **places)

    def _begin_judging(self, metrics: Sequence[Metric], plan: Plan) -> None:
        if self._config.judge is None:
            return
        from vidchatbench.engine.judging import judging_of  # loads the client of the endpoints

        self._judging = judging_of(metrics, self._benchmark.samples, plan, self._progress)
        if self._judging is not None:
            self._judging.begin()

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

    def _environment(self) -> Environment:
        return Environment(
            python=platform.python_version(),
            platform=f"{platform.system()} {platform.machine()}",
            device=self._config.device,
            packages=_package_versions(),
            plugins=dict(self._catalogue.packages),
            decode_profile=decode_profile(),
        )

    def _run_info(self, started: datetime, outcome: Outcome) -> RunInfo:
        plan, extraction = outcome.plan, outcome.extraction
        stages = {name: round(seconds, 3) for name, seconds in outcome.seconds.items()}
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
                problem = {"file": output.path.name, "problem": output.reason}
                lines.append({"sample_id": sample.id, "role": Role.CANDIDATE.value, **problem})
            for role in Role:
                clip = plan.roles.get((sample.id, role))
                if clip is not None:
                    # Files of equal content share a clip, so the name comes from the role, not from the clip.
                    name = output.path.name if role is Role.CANDIDATE and output.path else benchmark_media(sample)[role]
                    content = clip.info.model_dump(mode="json")
                    lines.append({"sample_id": sample.id, "role": role.value, "file": name, **content})
        return lines


def _is_whole(number: MetricResult) -> bool:
    # A metric that no sample applies to has no value, and nothing is missing.
    return number.n_error == 0 and (number.value is not None or number.n_ok == 0)


def _package_versions() -> dict[str, str]:
    versions = {}
    for name in _RECORDED_PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
