"""Anchors: what a metric gives for the real replies and for replies that are wrong on purpose.

They need no clips of their own. The oracle reads the reference in the candidate's place; the nulls read another
sample's reference there, or another sample's sound under the reference's picture. Only where a metric's card asks for
a practical ceiling are the references encoded anew, into a folder that is gone afterwards. All of it is made of the
same features, so that what an evaluation has extracted already is not extracted again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from vidchatbench.api.metrics import Metric, SetMetric
from vidchatbench.api.plugins import WeightSpec
from vidchatbench.api.samples import Role, Sample
from vidchatbench.benchmark.format import Benchmark
from vidchatbench.core import paths
from vidchatbench.core.pool import worker_pool
from vidchatbench.core.progress import Progress
from vidchatbench.engine.extraction.jobs import ClipSource
from vidchatbench.engine.features.store import FeatureStore
from vidchatbench.engine.pipeline import Pipeline
from vidchatbench.engine.plan import Inputs, gather_clips
from vidchatbench.engine.settings import RunConfig
from vidchatbench.errors import UsageError
from vidchatbench.media.probe import probe
from vidchatbench.media.reencode import reencode
from vidchatbench.plugins.catalogue import Catalogue
from vidchatbench.results.aggregate import Record
from vidchatbench.results.anchors import ORACLE, AnchorEntry, AnchorIdentity, save_anchors
from vidchatbench.results.scale import Scale, hash_ceilings
from vidchatbench.results.schema import MetricResult
from vidchatbench.results.statistics.intervals import cluster_mean_interval
from vidchatbench.submission.check import CheckedSubmission, Output
from vidchatbench.submission.system import SystemDescription

SHORTER_SOUND_SECONDS = 0.2
"""By so much the sound of another sample may be shorter than the picture it is put under: most clips' own is."""

REENCODED = "reencoded_reply"
"""Name of the system whose outputs are the real replies after an ordinary encoding."""


def build_anchors(
    benchmark: Benchmark, metrics: Sequence[Metric], catalogue: Catalogue, config: RunConfig, progress: Progress
) -> tuple[AnchorEntry, ...]:
    """Computes the anchors of the given metrics and keeps them in the cache.

    Metrics of sets have none: their floor is computed with every number.

    Raises:
        UsageError: If the benchmark has no real replies, or no metric has anchors.
        InputError: If a clip of the benchmark cannot be read.
        OSError: If the cache cannot be written.
    """
    chosen = [metric for metric in metrics if not isinstance(metric, SetMetric)]
    samples = [sample for sample in benchmark if sample.responder is not None]
    if not samples or not chosen:
        what = "the benchmark has no real replies" if not samples else "none of these metrics has anchors"
        raise UsageError(f"{what}, so there is nothing to build")
    maker = _Maker(benchmark, samples, catalogue, config, progress)
    real = maker.score(chosen, ORACLE)
    practical = [metric for metric in chosen if metric.card.ceiling == "reencoded_reply"]
    ceilings = {**real, **maker.score(practical, REENCODED)}
    nulls: dict[str, Scored] = {}
    for name in ("shuffled_replies", "shuffled_audio"):
        nulls |= maker.score([metric for metric in chosen if metric.card.null == name], name)
    entries = tuple(
        _entry(metric, ceilings[metric.card.id], nulls.get(metric.card.id), catalogue.weights) for metric in chosen
    )
    save_anchors(benchmark, entries)
    return entries


def partners(samples: Sequence[Sample]) -> dict[str, Sample]:
    """Returns for every sample another one of another identity; the same for the same samples, in any order.

    One rotation serves all where there is one, so that every sample is somebody's partner once. A sample whose
    identity is the only one has no partner.
    """
    ordered = sorted(samples, key=lambda sample: sample.id)
    n = len(ordered)
    for step in range(1, n):
        if all(ordered[i].cluster != ordered[(i + step) % n].cluster for i in range(n)):
            return {sample.id: ordered[(i + step) % n] for i, sample in enumerate(ordered)}
    partner_of = {}
    for i, sample in enumerate(ordered):
        others = (ordered[(i + step) % n] for step in range(1, n))
        other = next((other for other in others if other.cluster != sample.cluster), None)
        if other is not None:
            partner_of[sample.id] = other
    return partner_of


def sound_partners(samples: Sequence[Sample], clips: Mapping[str, ClipSource]) -> dict[str, Sample]:
    """Returns for every sample another one of another identity whose sound lasts as long as the sample's picture.

    Measures of sync are read against chance, and chance depends on how much of a clip they see: under a shorter sound
    a clip counts for less than its length. The partner of :func:`partners` goes first, then the next by id; where none
    is long enough, the one that lacks least.

    Args:
        samples: The samples.
        clips: The real reply of each sample.
    """
    ordered = sorted(samples, key=lambda sample: sample.id)
    chosen = partners(samples)
    for i, sample in enumerate(ordered):
        if sample.id in chosen:
            needed = clips[sample.id].picture_seconds - SHORTER_SOUND_SECONDS
            others = [chosen[sample.id], *ordered[i + 1 :], *ordered[:i]]
            chosen[sample.id] = min(
                (other for other in others if other.cluster != sample.cluster),
                key=lambda other: max(0.0, needed - clips[other.id].sound_seconds),
            )
    return chosen


class Scored(NamedTuple):
    """What one metric gives for one of the known systems."""

    number: MetricResult
    records: tuple[Record, ...]

    @property
    def counted(self) -> dict[str, float]:
        """What every sample counts, by its id."""
        return {record.sample.id: record.counted for record in self.records if record.counted is not None}


class _Maker:
    def __init__(
        self,
        benchmark: Benchmark,
        samples: Sequence[Sample],
        catalogue: Catalogue,
        config: RunConfig,
        progress: Progress,
    ) -> None:
        self._samples = samples
        self._workers = config.effective_workers()
        self._progress = progress
        store = FeatureStore(config.store or paths.feature_root())
        self._pipeline = Pipeline(catalogue, store, replace(config, fallible=False), progress)
        nothing = CheckedSubmission(
            benchmark.root, SystemDescription(name=ORACLE), {sample.id: Output(None, None) for sample in benchmark}
        )
        self._clips = gather_clips(benchmark, nothing, set(Role) - {Role.CANDIDATE})

    def score(self, metrics: Sequence[Metric], name: str) -> dict[str, Scored]:
        """Returns what each metric gives for one of the known systems, by metric id."""
        if name == "shuffled_audio":
            real = {sample.id: self._clips[sample.id, Role.REFERENCE] for sample in self._samples}
            others = sound_partners(self._samples, real)
        else:
            others = partners(self._samples)
        samples = [sample for sample in self._samples if name in {ORACLE, REENCODED} or sample.id in others]
        if not metrics or not samples:
            return {}
        clips, sounds = dict(self._clips), dict[str, ClipSource]()
        for sample in samples:
            giver = others[sample.id] if name == "shuffled_replies" else sample
            clips[sample.id, Role.CANDIDATE] = self._clips[giver.id, Role.REFERENCE]
            if name == "shuffled_audio":
                sounds[sample.id] = self._clips[others[sample.id].id, Role.REFERENCE]
        with self._reencoded(samples if name == REENCODED else ()) as anew:
            clips |= {(sample, Role.CANDIDATE): clip for sample, clip in anew.items()}
            candidates = {sample.id: clips[sample.id, Role.CANDIDATE] for sample in samples}
            outputs = {key: Output(Path(clip.path), clip.info) for key, clip in candidates.items()}
            outcome = self._pipeline.run(Inputs(samples, outputs, clips, sounds), metrics)
        return {
            number.id: Scored(number, tuple(r for r in outcome.records if r.metric.card.id == number.id))
            for number in outcome.numbers
        }

    @contextmanager
    def _reencoded(self, samples: Sequence[Sample]) -> Iterator[dict[str, ClipSource]]:
        """Encodes the real replies anew, into a folder that is there as long as they are scored."""
        if not samples:
            yield {}
            return
        paths.cache_root().mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix="reencoded-", dir=paths.cache_root()) as folder:
            sources = [Path(self._clips[sample.id, Role.REFERENCE].path) for sample in samples]
            targets = [Path(folder) / f"{place}.mp4" for place in range(len(samples))]
            self._progress.begin("encoding the real replies anew", len(samples), "clips")
            if self._workers == 1 or len(samples) == 1:
                for done, (source, target) in enumerate(zip(sources, targets, strict=True), 1):
                    reencode(source, target)
                    self._progress.advance(done)
            else:
                with worker_pool(min(self._workers, len(samples))) as pool:
                    for done, _ in enumerate(pool.map(reencode, sources, targets), 1):
                        self._progress.advance(done)
            self._progress.end()
            yield {
                sample.id: ClipSource(str(target), probe(target))
                for sample, target in zip(samples, targets, strict=True)
            }


def _entry(metric: Metric, best: Scored, null: Scored | None, weights: Mapping[str, WeightSpec]) -> AnchorEntry:
    identity = AnchorIdentity.of(metric, weights)
    ceilings = best.counted if best.number.n_error == 0 else {}
    scale = Scale(metric.card.direction, None, None, ceilings)
    apart: dict[str, float] = {}
    if metric.card.null is not None and null is not None and null.number.n_error == 0 and null.counted:
        cut = {sample: scale.cut(sample, value) for sample, value in null.counted.items()}
        clusters = {record.sample.id: record.sample.cluster for record in (*best.records, *null.records)}
        if surely_apart(metric.card.direction, best.counted, cut, clusters):
            apart[metric.card.null] = _mean(cut)
    return AnchorEntry(
        **identity._asdict(),
        oracle=_mean(ceilings) if ceilings else None,
        nulls=apart,
        n=best.number.n_ok,
        ceiling=metric.card.ceiling,
        samples=ceilings,
        samples_sha256=hash_ceilings(ceilings) if ceilings else None,
    )


def _mean(values: Mapping[str, float]) -> float:
    return math.fsum(values.values()) / len(values)


def surely_apart(
    direction: str, real: Mapping[str, float], wrong: Mapping[str, float], clusters: Mapping[str, str]
) -> bool:
    """Whether the real replies are surely better than the null; a scale between two equal ends would mean nothing.

    Args:
        direction: Which way is better.
        real: What every sample's real reply counts.
        wrong: What every sample's null counts, cut at the real reply's value.
        clusters: Identity of each sample.
    """
    limits, means = [], []
    for values in (real, wrong):
        ids = sorted(values)
        means.append(_mean(values))
        limits.append(cluster_mean_interval([values[i] for i in ids], [clusters[i] for i in ids], seed=0))
    sign = 1 if direction == "higher" else -1
    best, worst = limits
    if best is not None and worst is not None:
        return best.low > worst.high if sign > 0 else best.high < worst.low
    return sign * (means[0] - means[1]) > 0
