"""Anchors: what a metric gives for the real replies and for replies that are wrong on purpose.

They need no clips of their own. The oracle reads the reference in the candidate's place; the nulls read another
sample's reference there, or another sample's sound under the reference's picture. All of it is made of the same
features, so that what an evaluation has extracted already is not extracted again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from vidchatbench import paths
from vidchatbench.atomic import write_atomically
from vidchatbench.benchmark.load import Benchmark, describe_validation
from vidchatbench.contract.cards import NullAnchor
from vidchatbench.contract.metrics import Metric, SetMetric
from vidchatbench.contract.plugins import WeightSpec
from vidchatbench.contract.samples import Role, Sample, Sha256
from vidchatbench.engine.extraction import extract
from vidchatbench.engine.jobs import ClipSource
from vidchatbench.engine.plan import Planner, gather_clips
from vidchatbench.engine.progress import Progress
from vidchatbench.engine.sample_pass import run_sample_tasks
from vidchatbench.engine.scoring import score_cells
from vidchatbench.engine.settings import RunConfig
from vidchatbench.errors import InputError, UsageError
from vidchatbench.features.store import FeatureStore
from vidchatbench.plugins import Catalogue
from vidchatbench.results.aggregate import aggregate
from vidchatbench.results.schema import Anchors, Finite, MetricResult
from vidchatbench.submission.check import CheckedSubmission, Output
from vidchatbench.submission.system import SystemDescription
from vidchatbench.weights.table import weight_spec

ANCHORS_FILE = "anchors.json"
ORACLE = "oracle"


class AnchorEntry(BaseModel):
    """The anchors of one metric.

    Attributes:
        metric: The metric's id.
        version: Its version.
        protocol: Its protocol id.
        weights: sha256 of the weights that took part, sorted.
        oracle: What the real replies score.
        nulls: What replies that are wrong on purpose score.
        n: Samples that the numbers rest on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    metric: str
    version: int
    protocol: str
    weights: tuple[Sha256, ...]
    oracle: Finite | None
    nulls: dict[str, Finite]
    n: int


class AnchorTable(BaseModel):
    """``anchors.json``: the anchors of a benchmark, beside it or in the cache."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    manifest_sha256: Sha256
    anchors: tuple[AnchorEntry, ...]


def anchors_file(benchmark: Benchmark) -> Path:
    """Where anchors that were built on this computer are kept."""
    return paths.cache_root() / "anchors" / f"{benchmark.header.manifest_sha256}.json"


def known_anchors(
    benchmark: Benchmark, metrics: Sequence[Metric], weights: Mapping[str, WeightSpec]
) -> dict[str, Anchors]:
    """Returns the anchors that are known for a benchmark, by metric id.

    Those that lie in the benchmark's folder go before those that were built on this computer. Anchors of another
    version, protocol or weights file are not this metric's.

    Raises:
        InputError: If a file of anchors is damaged or belongs to another benchmark.
    """
    found: dict[str, Anchors] = {}
    for path in (anchors_file(benchmark), benchmark.root / ANCHORS_FILE):
        entries = {_identity(entry): entry for entry in _read(path, benchmark)}
        for metric in metrics:
            entry = entries.get(_identity_of(metric, weights))
            if entry is not None:
                found[metric.card.id] = Anchors(oracle=entry.oracle, nulls=dict(entry.nulls))
    return found


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
    _keep(benchmark, entries)
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
    found = {}
    for i, sample in enumerate(ordered):
        others = (ordered[(i + step) % n] for step in range(1, n))
        other = next((other for other in others if other.cluster != sample.cluster), None)
        if other is not None:
            found[sample.id] = other
    return found


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
        self._catalogue = catalogue
        self._config = config
        self._progress = progress
        self._store = FeatureStore(config.store or paths.feature_root())
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
        planner = Planner(samples, outputs, clips, self._catalogue, self._store, sounds)
        plan = planner.build(metrics)
        known = extract(plan, self._config, self._progress).known
        run_sample_tasks(plan.samples, known, self._catalogue, self._store, self._config, self._progress)
        records = score_cells(plan.cells, outputs, known, self._store.load)
        return {
            metric.card.id: aggregate(
                metric,
                [record for record in records if record.metric is metric],
                self._catalogue.weights,
                seed=self._config.seed,
            )
            for metric in metrics
        }


def _entry(
    metric: Metric,
    oracle: Mapping[str, MetricResult],
    nulls: Mapping[str, Mapping[str, MetricResult]],
    weights: Mapping[str, WeightSpec],
) -> AnchorEntry:
    name = metric.card.id
    real = oracle[name]
    found: dict[str, float] = {}
    null: NullAnchor
    for null in ("shuffled_replies", "shuffled_audio"):
        result = nulls[null].get(name)
        if result is not None and result.value is not None and result.n_error == 0 and _apart(real, result):
            found[null] = result.value
    _, version, protocol, hashes = _identity_of(metric, weights)
    value = real.value if real.n_error == 0 else None
    return AnchorEntry(
        metric=name, version=version, protocol=protocol, weights=hashes, oracle=value, nulls=found, n=real.n_ok
    )


def _apart(real: MetricResult, null: MetricResult) -> bool:
    """Whether the real replies are surely better than the null; a scale between two equal ends would mean nothing."""
    higher = real.direction == "higher"
    if real.ci95 is not None and null.ci95 is not None:
        return real.ci95[0] > null.ci95[1] if higher else real.ci95[1] < null.ci95[0]
    if real.value is None or null.value is None:
        return False
    return real.value > null.value if higher else real.value < null.value


_Identity = tuple[str, int, str, tuple[str, ...]]


def _identity(entry: AnchorEntry) -> _Identity:
    return (entry.metric, entry.version, entry.protocol, entry.weights)


def _identity_of(metric: Metric, weights: Mapping[str, WeightSpec]) -> _Identity:
    hashes = tuple(sorted(weight_spec(weights, name).sha256 or "" for name in metric.card.weights))
    return (metric.card.id, metric.card.version, metric.card.protocol, hashes)


def _read(path: Path, benchmark: Benchmark) -> tuple[AnchorEntry, ...]:
    if not path.is_file():
        return ()
    try:
        table = AnchorTable.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise InputError(str(path), describe_validation(error), "Delete it and build the anchors again.") from error
    if table.manifest_sha256 != benchmark.header.manifest_sha256:
        raise InputError(str(path), ["these anchors belong to another manifest"], "Delete it and build them again.")
    return table.anchors


def _keep(benchmark: Benchmark, entries: Sequence[AnchorEntry]) -> None:
    path = anchors_file(benchmark)
    merged = {_identity(entry): entry for entry in (*_read(path, benchmark), *entries)}
    table = AnchorTable(
        manifest_sha256=benchmark.header.manifest_sha256,
        anchors=tuple(merged[key] for key in sorted(merged)),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(table.model_dump(mode="json"), indent=2) + "\n").encode())
