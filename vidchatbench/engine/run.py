"""TODO."""

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
from vidchatbench.engine.extraction.extract import Extraction, extract
from vidchatbench.engine.extraction.sample_pass import Known, run_sample_tasks
from vidchatbench.engine.extraction.worker import peak_memory
from vidchatbench.engine.features.store import FeatureStore
from vidchatbench.engine.journal import Journal
from vidchatbench.engine.plan import Plan, Planner, gather_clips, needed_roles
from vidchatbench.engine.scoring import score_cells
from vidchatbench.engine.settings import RunConfig
from vidchatbench.media.profile import decode_profile
from vidchatbench.plugins.availability import Availability
from vidchatbench.plugins.catalogue import load_catalogue
from vidchatbench.results.aggregate import Record, aggregate_all
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
)
from vidchatbench.submission.check import CheckedSubmission
from vidchatbench.submission.system import OutputNotes
from vidchatbench.submission.transcripts import read_transcripts
from vidchatbench.weights.resolver import WeightResolver

if TYPE_CHECKING:
    from vidchatbench.engine.judging import Judging
from vidchatbench.engine.suites import list_unavailable

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
        from vidchatbench.engine.judging import judging_of  # loads the client of the endpoints

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
