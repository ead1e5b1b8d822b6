"""What runs in a worker process: set extractors up once, run the decoding pass, store what comes out."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from vidchatbench.api.extractors import Extractor, ExtractorContext
from vidchatbench.api.features import ExtractorSpec, Feature
from vidchatbench.core.isolation import Blame, Failure, attempt
from vidchatbench.engine.extraction.decode_pass import DecodePass
from vidchatbench.engine.extraction.jobs import Job, JobResult
from vidchatbench.engine.features.keys import describe_extractor
from vidchatbench.engine.features.memory import MemoryStore
from vidchatbench.engine.features.store import FeatureStore
from vidchatbench.plugins.catalogue import load_catalogue
from vidchatbench.weights.resolver import WeightResolver


@dataclass(frozen=True)
class WorkerSettings:
    """How a worker is to run.

    Attributes:
        store: Folder of the feature store.
        device: Torch device string.
        batch_size: Most frames to put through a model at once.
    """

    store: Path
    device: str
    batch_size: int


class Worker:
    """Runs jobs one after the other and keeps the models in memory between them.

    Args:
        settings: How to run.
        store: Where features go; by default the store on disk that the settings name.
    """

    def __init__(self, settings: WorkerSettings, store: FeatureStore | MemoryStore | None = None) -> None:
        self._settings = settings
        self._store = store or FeatureStore(settings.store)
        self._catalogue = load_catalogue()
        self._resolver = WeightResolver(self._catalogue.weights)
        self._extractors: dict[ExtractorSpec, Extractor | Failure] = {}

    def run(self, job: Job, on_progress: Callable[[float], None] | None = None) -> JobResult:
        """Runs a job; faults end up in the result, never as exceptions."""
        with guarded_torch(self._settings.device):
            extractors = {
                request.key: self._plain(request.spec) if request.stored else self._ready(request.spec)
                for request in job.requests
            }
            report = DecodePass(job, extractors, self._store.load).run(on_progress)
        result = JobResult(passes=report.passes, seconds=report.seconds, peak_memory=peak_memory())
        changed = {clip.sha256: Path(clip.path).name for clip in job.clips if clip.has_changed}
        for request in job.requests:
            if request.stored:
                continue
            outcome = report.outcomes.get(request.key)
            if name := next((changed[sha] for sha in request.media if sha in changed), None):
                # Kept under the hash of the file that was there before, it would be wrong for ever.
                outcome = Failure(Blame.OURS, f"{name} changed while it was read; run again", request.media[0])
            if outcome is None:
                outcome = Failure(Blame.OURS, "the pass ended without a result", request.media[0])
            if isinstance(outcome, Failure):
                result.failures[request.key] = outcome
            else:
                self._keep(request.key, request.spec, request.media, outcome, result)
        return result

    def release(self) -> None:
        """Lets go of all models."""
        for extractor in self._extractors.values():
            if isinstance(extractor, Extractor):
                extractor.release()
        self._extractors.clear()

    def _plain(self, spec: ExtractorSpec) -> Extractor | Failure:
        return attempt(lambda: self._catalogue.extractor(spec))

    def _ready(self, spec: ExtractorSpec) -> Extractor | Failure:
        if spec not in self._extractors:
            self._extractors[spec] = attempt(lambda: self._set_up(spec))
        return self._extractors[spec]

    def _set_up(self, spec: ExtractorSpec) -> Extractor:
        extractor = self._catalogue.extractor(spec)
        weights = {name: self._resolver.path(name) for name in extractor.weights}
        extractor.setup(ExtractorContext(self._settings.device, self._settings.batch_size, weights))
        return extractor

    def _keep(self, key: str, spec: ExtractorSpec, media: tuple[str, ...], feature: Feature, result: JobResult) -> None:
        provenance = {"media": list(media), **describe_extractor(self._catalogue.extractor(spec), self._catalogue)}

        def save() -> str | None:
            try:
                self._store.save(key, feature, provenance)
            except OSError as error:
                return error.strerror or str(error)
            return None

        refused = attempt(save, media=media[0])
        if isinstance(refused, Failure):  # what the extractor returned is no feature that could be kept
            result.failures[key] = refused
        elif refused is not None:
            # A full disk or a read-only cache costs the next run its head start, not this run its result.
            result.store_error = f"{self._settings.store}: {refused}"
            result.inline[key] = feature
        else:
            result.stored.append(key)


@contextlib.contextmanager
def guarded_torch(device: str) -> Iterator[None]:
    """Lets torch compute with one thread on the CPU, and leaves its threads and its random numbers as they were.

    The number of threads changes sums in their last bits; with one thread a worker, the numbers do not depend on the
    machine's cores or on the number of workers, and whole clips side by side use the cores better anyway. Building a
    network draws random numbers, which must not change the course of a training run that scores clips on the way. On a
    GPU, products are computed in float32 and not in the shorter TF32, so that its numbers are those of the CPU.
    """
    import torch  # only a worker that extracts pays for loading torch

    before = torch.get_num_threads()
    short = (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32)
    with torch.random.fork_rng(devices=[]):
        if device.startswith("cpu"):
            torch.set_num_threads(1)
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        try:
            yield
        finally:
            torch.set_num_threads(before)
            torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = short


def peak_memory() -> int:
    """Returns the largest resident set of this process so far in bytes, 0 where the platform does not tell."""
    # Linux hands ru_maxrss down to the programs a process starts, so there the process's own mark is read.
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource  # not on every platform
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)
