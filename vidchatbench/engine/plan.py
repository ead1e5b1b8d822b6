"""The plan: which feature every metric needs for every sample, and which of them are not in the store yet."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vidchatbench.api.extractors import AudioExtractor, Extractor, PairExtractor
from vidchatbench.api.features import ExtractorSpec, Need
from vidchatbench.api.metrics import JointMetric, Metric
from vidchatbench.api.sample_extractors import Content, SampleExtractor, SampleNotes
from vidchatbench.api.samples import Role, Sample, benchmark_media
from vidchatbench.api.scores import Score, Status
from vidchatbench.benchmark.format import Benchmark
from vidchatbench.core.hashing import file_stamp
from vidchatbench.core.isolation import Failure, attempt
from vidchatbench.engine.extraction.jobs import ClipSource, FeatureRequest, Job, plan_waves, side_name
from vidchatbench.engine.extraction.sample_pass import SampleRequest, read_content
from vidchatbench.engine.features.keys import describe_extractor, feature_key, sample_key
from vidchatbench.errors import InputError, MediaError
from vidchatbench.media.probe import probe
from vidchatbench.plugins.catalogue import Catalogue
from vidchatbench.submission.check import CheckedSubmission, Output


@dataclass(frozen=True)
class Cell:
    """One metric on one sample: either settled already, or the keys of the features it waits for.

    Attributes:
        metric: The metric.
        sample: The sample.
        settled: The score, where it follows from what is missing.
        keys: Key of each feature by the name of the need; of a settled cell those of the metric's background.
    """

    metric: Metric
    sample: Sample
    settled: Score | None = None
    keys: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Plan:
    """What is to be done.

    Attributes:
        cells: Metrics times samples, in the order of the suite and of the manifest.
        clips: Every clip by sha256.
        roles: The clip of each sample and role.
        waves: What is missing of clips, as jobs; those of a wave read what earlier ones extract.
        sample_requests: What is read of samples after that, each request after those it reads from.
        wanted: Number of features that cells ask for.
        reused: Number of those that are in the store already.
    """

    cells: list[Cell]
    clips: dict[str, ClipSource]
    roles: dict[tuple[str, Role], ClipSource]
    waves: list[list[Job]]
    sample_requests: list[SampleRequest]
    wanted: int
    reused: int

    @property
    def jobs(self) -> list[Job]:
        """The jobs of all waves."""
        return [job for wave in self.waves for job in wave]


@dataclass(frozen=True)
class Inputs:
    """What is scored: samples with their outputs and clips.

    Attributes:
        samples: The samples.
        outputs: The output of each sample.
        clips: The clip of each sample and role, as far as the sample offers it.
        sounds: Clips whose sound the candidates are heard with instead of their own, by sample.
        notes: What is known of the replies besides their clips, by sample.
    """

    samples: Sequence[Sample]
    outputs: Mapping[str, Output]
    clips: Mapping[tuple[str, Role], ClipSource]
    sounds: Mapping[str, ClipSource] = field(default_factory=dict)
    notes: Mapping[str, SampleNotes] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        benchmark: Benchmark,
        submission: CheckedSubmission,
        metrics: Sequence[Metric],
        notes: Mapping[str, SampleNotes] | None = None,
    ) -> Inputs:
        """Returns the inputs of a submission, with the clips that the metrics read.

        Raises:
            InputError: If a clip of the benchmark cannot be read; all such clips are listed.
        """
        clips = gather_clips(benchmark, submission, needed_roles(metrics))
        return cls(benchmark.samples, submission.outputs, clips, notes=notes or {})


class Planner:
    """Builds the plan of a run.

    Args:
        inputs: What is scored.
        catalogue: Where extractors come from.
        store: The keys of the features that need no extraction.
    """

    def __init__(self, inputs: Inputs, catalogue: Catalogue, store: Container[str]) -> None:
        self._samples = inputs.samples
        self._outputs = inputs.outputs
        self._catalogue = catalogue
        self._store = store
        # Clips of equal content are one: it is read once, under the first path it was met.
        self._clips: dict[str, ClipSource] = {}
        self._roles = {place: self._clips.setdefault(clip.sha256, clip) for place, clip in inputs.clips.items()}
        self._sounds = {name: self._clips.setdefault(clip.sha256, clip) for name, clip in inputs.sounds.items()}
        self._notes = inputs.notes
        self._requests: dict[str, FeatureRequest] = {}
        self._sample_requests: dict[str, SampleRequest] = {}
        self._extractors: dict[ExtractorSpec, tuple[Extractor, dict[str, object]]] = {}

    def build(self, metrics: Sequence[Metric]) -> Plan:
        """Returns the plan for the given metrics."""
        cells = [self._cell(metric, sample) for metric in metrics for sample in self._samples]
        wanted = {key for cell in cells for key in cell.keys.values()}
        requests: dict[str, FeatureRequest | SampleRequest] = {**self._requests, **self._sample_requests}
        reused = sum(requests[key].stored for key in wanted)
        sample_requests = list(self._sample_requests.values())
        return Plan(cells, self._clips, self._roles, self._missing_waves(), sample_requests, len(wanted), reused)

    def _cell(self, metric: Metric, sample: Sample) -> Cell:
        settled = self._settle(metric, sample)
        keys = {}
        for need in () if settled is not None else metric.needs():
            key = self._feature(need, sample)
            if isinstance(key, Score):
                settled = key
                break
            keys[need.name] = key
        if settled is not None:
            return Cell(metric, sample, settled, self._background(metric, sample, settled))
        return Cell(metric, sample, None, keys)

    def _background(self, metric: Metric, sample: Sample, settled: Score) -> dict[str, str]:
        """Returns the keys of what the scores of other samples may rest on."""
        if not isinstance(metric, JointMetric) or settled.status is Status.NOT_APPLICABLE:
            return {}
        keys = {need.name: self._feature(need, sample) for need in metric.needs() if need.name in metric.background}
        return {name: key for name, key in keys.items() if isinstance(key, str)}

    def _feature(self, need: Need, sample: Sample) -> str | Score:
        """Returns the key of a feature, or the score that follows where there can be none."""
        need = need.spoken_in(sample.language)
        extractor, description = self._extractor(need.extractor)
        if isinstance(extractor, SampleExtractor):
            return self._sample_feature(extractor, description, sample)
        missing = self._missing_stream(need, sample)
        if missing is not None:
            return missing
        media = tuple(self._clip(need, sample, role).sha256 for role in need.roles)
        guide = None if need.guide is None else self._roles.get((sample.id, need.guide))
        return self._request(need.extractor, media, guide).key

    def _content(self, extractor: SampleExtractor, sample: Sample) -> Content | Failure | None:
        return attempt(lambda: read_content(extractor, sample, self._notes.get(sample.id, SampleNotes())))

    def _sample_feature(
        self, extractor: SampleExtractor, description: dict[str, object], sample: Sample
    ) -> str | Score:
        content = self._content(extractor, sample)
        if isinstance(content, Failure):
            return Score(Status.ERROR, None, f"{extractor.id}: {content.reason}")
        if content is None:
            return Score.not_applicable(extractor.lacking)
        keys = {}
        for need in extractor.reads_of(sample):
            upstream = self._feature(need, sample)
            if isinstance(upstream, Score):
                return upstream
            keys[need.name] = upstream
        key = sample_key(description, content, keys)
        if key not in self._sample_requests:
            stored = key in self._store
            self._sample_requests[key] = SampleRequest(key, extractor.spec, sample.id, content, keys, stored)
        return key

    def _settle(self, metric: Metric, sample: Sample) -> Score | None:
        missing = metric.card.missing_of(sample, {role for role in Role if (sample.id, role) in self._roles})
        if missing is not None:
            return Score.not_applicable(missing)
        for need in metric.needs():
            extractor, _ = self._extractor(need.extractor)
            # Before the output is looked at: which samples a metric applies to must not depend on it.
            if isinstance(extractor, SampleExtractor) and self._content(extractor, sample) is None:
                return Score.not_applicable(extractor.lacking)
        output = self._outputs[sample.id]
        if Role.CANDIDATE in metric.card.roles:
            if output.path is None:
                return Score(Status.OUTPUT_MISSING, None, "there is no output for this sample")
            if output.info is None:
                return Score.invalid(f"{output.path.name}: {output.reason}")
        return None

    def _clip(self, need: Need, sample: Sample, role: Role) -> ClipSource:
        extractor, _ = self._extractor(need.extractor)
        if role is Role.CANDIDATE and isinstance(extractor, AudioExtractor) and sample.id in self._sounds:
            return self._sounds[sample.id]
        return self._roles[sample.id, role]

    def _missing_stream(self, need: Need, sample: Sample) -> Score | None:
        extractor, _ = self._extractor(need.extractor)
        is_sound = isinstance(extractor, AudioExtractor)
        for role in need.roles:
            clip = self._clip(need, sample, role)
            if (clip.info.audio if is_sound else clip.info.video) is not None:
                continue
            reason = f"{Path(clip.path).name}: there is no {'sound' if is_sound else 'picture'} stream"
            return Score.invalid(reason) if role is Role.CANDIDATE else Score.not_applicable(f"{role.value}: {reason}")
        return None

    def _request(self, spec: ExtractorSpec, media: tuple[str, ...], guide: ClipSource | None = None) -> FeatureRequest:
        extractor, description = self._extractor(spec)
        guides = self._guides(extractor, media, guide)
        upstream = self._upstream(extractor, media, guide)
        # What an extractor requires has a key that follows from its own, unless that is guided in its turn.
        named = {name: below.key for name, below in (guides | upstream).items() if name in guides or below.guides}
        key = feature_key(description, media, named)
        if key not in self._requests:
            # Inserted after what it reads from, so that the order of insertion is an order of work.
            self._requests[key] = FeatureRequest(
                key,
                extractor.spec,
                media,
                {name: below.key for name, below in (guides | upstream).items()},
                stored=key in self._store,
                sound=isinstance(extractor, AudioExtractor),
                guides=frozenset(below.key for below in guides.values()),
            )
        return self._requests[key]

    def _upstream(
        self, extractor: Extractor, media: tuple[str, ...], guide: ClipSource | None
    ) -> dict[str, FeatureRequest]:
        if not isinstance(extractor, PairExtractor):
            return {name: self._request(required, media, guide) for name, required in extractor.requires.items()}
        return {
            side_name(side, name): self._request(required, (sha,), guide)
            for side, sha in enumerate(media)
            for name, required in extractor.requires.items()
        }

    def _guides(
        self, extractor: Extractor, media: tuple[str, ...], guide: ClipSource | None
    ) -> dict[str, FeatureRequest]:
        is_pair = isinstance(extractor, PairExtractor)
        return {
            side_name(side, name) if is_pair else name: self._request(spec, (self._giver(spec, sha, guide),))
            for side, sha in enumerate(media)
            for name, spec in extractor.guides.items()
        }

    def _giver(self, spec: ExtractorSpec, sha: str, guide: ClipSource | None) -> str:
        """Returns the clip whose feature guides how a clip is looked at: the guide's where it serves, else its own."""
        if guide is None or guide.info.video is None:
            return sha
        serves = self._extractor(spec)[0].serves(guide.clip, self._clips[sha].clip)
        return guide.sha256 if serves else sha

    def _extractor(self, spec: ExtractorSpec) -> tuple[Extractor, dict[str, object]]:
        if spec not in self._extractors:
            extractor = self._catalogue.extractor(spec)
            self._extractors[spec] = (extractor, describe_extractor(extractor, self._catalogue))
        return self._extractors[spec]

    def _missing_waves(self) -> list[list[Job]]:
        missing = [request for request in self._requests.values() if not request.stored]
        read_by_missing = {key for request in missing for key in request.upstream.values()}
        needed = [
            request for request in self._requests.values() if not request.stored or request.key in read_by_missing
        ]
        return plan_waves(needed, self._clips)


def needed_roles(metrics: Sequence[Metric]) -> set[Role]:
    """Returns every role that one of the metrics reads, or is guided by."""
    needs = [need for metric in metrics for need in metric.needs()]
    roles = {role for metric in metrics for role in metric.card.roles} | {role for need in needs for role in need.roles}
    return roles | {need.guide for need in needs if need.guide is not None}


def gather_clips(
    benchmark: Benchmark, submission: CheckedSubmission, roles: Container[Role]
) -> dict[tuple[str, Role], ClipSource]:
    """Returns the clip of each sample and role, probed.

    Raises:
        InputError: If a clip of the benchmark cannot be read; all such clips are listed.
    """
    clips: dict[tuple[str, Role], ClipSource] = {}
    problems = set()
    for sample in benchmark:
        output = submission.outputs[sample.id]
        if output.path is not None and output.info is not None:
            clips[sample.id, Role.CANDIDATE] = ClipSource(str(output.path), output.info, stamp=output.stamp)
        for role, relative in benchmark_media(sample).items():
            if role not in roles:
                continue
            path = benchmark.media(relative)
            try:
                stamp = file_stamp(path)
                clips[sample.id, role] = ClipSource(str(path), probe(path), stamp=stamp)
            except MediaError as error:
                problems.add(f"{relative}: {error.reason}")
    if problems:
        raise InputError(str(benchmark.root), sorted(problems), "The benchmark itself is damaged.")
    return clips
