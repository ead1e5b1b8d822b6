"""Anchors: what a metric gives for the real replies and for replies that are wrong on purpose.

They need no clips of their own. The oracle reads the reference in the candidate's place; the nulls read another
sample's reference there, or another sample's sound under the reference's picture. All of it is made of the same
features, so that what an evaluation has extracted already is not extracted again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from vidchatbench.api.cards import NullAnchor
from vidchatbench.api.metrics import Metric, SetMetric
from vidchatbench.api.plugins import WeightSpec
from vidchatbench.api.samples import Role, Sample
from vidchatbench.benchmark.format import Benchmark
from vidchatbench.core import paths
from vidchatbench.core.progress import Progress
from vidchatbench.engine.extraction.jobs import ClipSource
from vidchatbench.engine.features.store import FeatureStore
from vidchatbench.engine.pipeline import Pipeline
from vidchatbench.engine.plan import Inputs, gather_clips
from vidchatbench.engine.settings import RunConfig
from vidchatbench.errors import UsageError
from vidchatbench.plugins.catalogue import Catalogue
from vidchatbench.results.anchors import ORACLE, AnchorEntry, AnchorIdentity, save_anchors
from vidchatbench.results.schema import MetricResult
from vidchatbench.submission.check import CheckedSubmission, Output
from vidchatbench.submission.system import SystemDescription


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
    oracle = maker.score(chosen, ORACLE)
    nulls: dict[str, dict[str, MetricResult]] = {}
    for name in ("shuffled_replies", "shuffled_audio"):
        nulls[name] = maker.score([metric for metric in chosen if metric.card.null == name], name)
    entries = tuple(_entry(metric, oracle, nulls, catalogue.weights) for metric in chosen)
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
        store = FeatureStore(config.store or paths.feature_root())
        self._pipeline = Pipeline(catalogue, store, replace(config, fallible=False), progress)
        nothing = CheckedSubmission(
            benchmark.root, SystemDescription(name=ORACLE), {sample.id: Output(None, None) for sample in benchmark}
        )
        self._clips = gather_clips(benchmark, nothing, set(Role) - {Role.CANDIDATE})

    def score(self, metrics: Sequence[Metric], name: str) -> dict[str, MetricResult]:
        """Returns what each metric gives for one of the known systems, by metric id."""
        clips, sounds = dict(self._clips), dict[str, ClipSource]()
        others = partners(self._samples)
        samples = [sample for sample in self._samples if name == ORACLE or sample.id in others]
        if not metrics or not samples:
            return {}
        for sample in samples:
            giver = others[sample.id] if name == "shuffled_replies" else sample
            clips[sample.id, Role.CANDIDATE] = self._clips[giver.id, Role.REFERENCE]
            if name == "shuffled_audio":
                sounds[sample.id] = self._clips[others[sample.id].id, Role.REFERENCE]
        candidates = {sample.id: clips[sample.id, Role.CANDIDATE] for sample in samples}
        outputs = {key: Output(Path(clip.path), clip.info) for key, clip in candidates.items()}
        numbers = self._pipeline.run(Inputs(samples, outputs, clips, sounds), metrics).numbers
        return {number.id: number for number in numbers}


def _entry(
    metric: Metric,
    oracle: Mapping[str, MetricResult],
    nulls: Mapping[str, Mapping[str, MetricResult]],
    weights: Mapping[str, WeightSpec],
) -> AnchorEntry:
    name = metric.card.id
    real = oracle[name]
    apart: dict[str, float] = {}
    null: NullAnchor
    for null in ("shuffled_replies", "shuffled_audio"):
        result = nulls[null].get(name)
        if result is not None and result.value is not None and result.n_error == 0 and _apart(real, result):
            apart[null] = result.value
    value = real.value if real.n_error == 0 else None
    identity = AnchorIdentity.of(metric, weights)
    return AnchorEntry(**identity._asdict(), oracle=value, nulls=apart, n=real.n_ok)


def _apart(real: MetricResult, null: MetricResult) -> bool:
    """Whether the real replies are surely better than the null; a scale between two equal ends would mean nothing."""
    higher = real.direction == "higher"
    if real.ci95 is not None and null.ci95 is not None:
        return real.ci95[0] > null.ci95[1] if higher else real.ci95[1] < null.ci95[0]
    if real.value is None or null.value is None:
        return False
    return real.value > null.value if higher else real.value < null.value
