"""The pass over samples: text encoders and judges, which read features and words instead of clips.

It runs in this process after all clips have been decoded. Every feature is stored as it comes, so that a run that is
killed in the middle of asking a judge pays for no answer twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from vidchatbench.api.extractors import ExtractorContext
from vidchatbench.api.features import ExtractorSpec, Feature, Refusal
from vidchatbench.api.judging import CONNECTIONS
from vidchatbench.api.sample_extractors import Content, SampleExtractor, SampleInput, SampleNotes
from vidchatbench.api.samples import Sample
from vidchatbench.core.isolation import Blame, Failure, attempt
from vidchatbench.core.progress import Progress
from vidchatbench.engine.extraction.worker import guarded_torch
from vidchatbench.engine.features.keys import describe_extractor
from vidchatbench.engine.features.lookup import FeatureLookup
from vidchatbench.engine.settings import RunConfig
from vidchatbench.plugins.catalogue import Catalogue
from vidchatbench.weights.resolver import WeightResolver


def read_content(extractor: SampleExtractor, sample: Sample, notes: SampleNotes) -> Content | None:
    """Returns what an extractor reads of a sample, with the identity of the judge it asks; ``None`` if it cannot read.

    Raises:
        UnavailableError: If the judge is not connected.
    """
    content = extractor.content(sample, notes)
    if content is None or extractor.judge_name is None:
        return content
    return {**content, "judge": dict(CONNECTIONS.open(extractor.judge_name).identity())}


@dataclass(frozen=True)
class SampleRequest:
    """One feature of one sample.

    Attributes:
        key: Key in the feature store.
        spec: Extractor and parameters.
        name: The sample's id.
        content: What the extractor reads of the sample.
        features: Key of each feature that it reads, by local name.
        stored: True where the feature is in the store already.
    """

    key: str
    spec: ExtractorSpec
    name: str
    content: Content = field(hash=False)
    features: Mapping[str, str] = field(default_factory=dict, hash=False)
    stored: bool = False


@dataclass
class SamplePassReport:
    """The number of features that were extracted, and the seconds per extractor."""

    extracted: int = 0
    seconds: dict[str, float] = field(default_factory=dict)


class SamplePass:
    """Runs the requests of a plan.

    Args:
        catalogue: Where extractors come from.
        resolver: Where their weights are.
        features: The features of the run; successes, failures and what could not be stored join them.
        config: Device and batch size.
        progress: Receives progress.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        resolver: WeightResolver,
        features: FeatureLookup,
        config: RunConfig,
        progress: Progress,
    ) -> None:
        self._catalogue = catalogue
        self._resolver = resolver
        self._features = features
        self._config = config
        self._progress = progress

    def run(self, requests: Sequence[SampleRequest]) -> SamplePassReport:
        """Extracts what is not stored.

        Args:
            requests: The requests, each after those it reads from.
        """
        report = SamplePassReport()
        for spec in dict.fromkeys(request.spec for request in requests if not request.stored):
            members = [request for request in requests if request.spec == spec and not request.stored]
            started = time.perf_counter()
            self._progress.begin(f"extracting {spec.id}", float(len(members)), "samples")
            before = report.extracted
            with guarded_torch(self._config.device):
                self._run_extractor(spec, members, report)
            failed = len(members) - (report.extracted - before)
            all_failed = failed == len(members)
            self._progress.end("failed" if all_failed else f"{failed} of {len(members)} failed" if failed else "done")
            report.seconds[spec.id] = report.seconds.get(spec.id, 0.0) + time.perf_counter() - started
        return report

    def _run_extractor(self, spec: ExtractorSpec, requests: Sequence[SampleRequest], report: SamplePassReport) -> None:
        extractor = attempt(lambda: self._set_up(spec))
        if isinstance(extractor, Failure):
            self._features.put({request.key: extractor for request in requests})
            return
        ready: list[tuple[SampleRequest, SampleInput]] = []
        for request in requests:
            features = self._read(request)
            if isinstance(features, Failure):
                self._features.put({request.key: features})
            else:
                ready.append((request, SampleInput(request.name, request.content, features)))
        if not ready:
            return
        provenance = describe_extractor(extractor, self._catalogue)
        done = 0
        try:
            for request, outcome in self._answers(extractor, ready):
                report.extracted += self._keep(request, outcome, provenance)
                done += 1
                self._progress.advance(float(done))
        finally:
            extractor.release()
        silent = Failure(Blame.OURS, f"{spec.id} gave no answer for this sample")
        self._features.put({request.key: silent for request, _ in ready if not self._features.settled(request.key)})

    def _set_up(self, spec: ExtractorSpec) -> SampleExtractor:
        extractor = self._catalogue.extractor(spec)
        if not isinstance(extractor, SampleExtractor):
            raise TypeError(f"extractor {spec.id!r} is none of samples")
        weights = {name: self._resolver.path(name) for name in extractor.weights}
        judge = None if extractor.judge_name is None else CONNECTIONS.open(extractor.judge_name)
        extractor.setup(ExtractorContext(self._config.device, self._config.batch_size, weights, judge))
        return extractor

    def _read(self, request: SampleRequest) -> dict[str, Feature] | Failure:
        features = {}
        for name, key in request.features.items():
            feature = self._features.get(key)
            if isinstance(feature, Failure):
                return feature
            features[name] = feature
        return features

    def _answers(
        self, extractor: SampleExtractor, ready: Sequence[tuple[SampleRequest, SampleInput]]
    ) -> Iterator[tuple[SampleRequest, Feature | Failure]]:
        answers = attempt(lambda: iter(extractor.extract([given for _, given in ready])))
        refuser = Blame.OURS if extractor.judge_name is None else Blame.JUDGE
        waiting = {place: request for place, (request, _) in enumerate(ready)}
        while waiting:
            step = answers if isinstance(answers, Failure) else attempt(_next(answers))
            if step is None:
                return
            if isinstance(step, Failure):
                yield from ((request, step) for request in waiting.values())
                return
            place, outcome = step
            request = waiting.pop(place, None)
            if request is not None:
                yield request, Failure(refuser, outcome.reason) if isinstance(outcome, Refusal) else outcome

    def _keep(self, request: SampleRequest, outcome: Feature | Failure, provenance: Mapping[str, object]) -> bool:
        """Keeps what an extractor gave for a sample, and returns whether it is a feature."""
        if isinstance(outcome, Failure):
            self._features.put({request.key: outcome})
            return False

        def save() -> None:
            try:
                self._features.save(request.key, outcome, {"sample": request.name, **provenance})
            except OSError as error:
                self._progress.note(f"the feature store cannot be written ({error.strerror}); this run goes on")

        refused = attempt(save)
        if isinstance(refused, Failure):  # what the extractor returned is no feature that could be kept
            self._features.put({request.key: refused})
        return not isinstance(refused, Failure)


def run_sample_requests(
    requests: Sequence[SampleRequest],
    features: FeatureLookup,
    catalogue: Catalogue,
    config: RunConfig,
    progress: Progress,
) -> SamplePassReport:
    """Runs the sample requests of a plan; see :meth:`SamplePass.run`."""
    if all(request.stored for request in requests):
        return SamplePassReport()
    return SamplePass(catalogue, WeightResolver(catalogue.weights), features, config, progress).run(requests)


def _next(
    answers: Iterator[tuple[int, Feature | Refusal]],
) -> Callable[[], tuple[int, Feature | Refusal] | None]:
    return lambda: next(answers, None)
