"""``results.json``: the public, versioned description of what a run found."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from vidchatbench.api.cards import Ceiling, Dimension, MetricCard
from vidchatbench.api.features import Param
from vidchatbench.api.samples import Sha256
from vidchatbench.benchmark.format import Benchmark
from vidchatbench.core.models import FrozenModel
from vidchatbench.core.validation import describe_validation
from vidchatbench.errors import InputError
from vidchatbench.judge.schema import JudgeReport
from vidchatbench.results.migrations import upgrade
from vidchatbench.submission.system import SystemDescription
from vidchatbench.weights.lock import Pin

SCHEMA_VERSION: Literal[1] = 1
RESULTS_FILE = "results.json"

Finite = Annotated[float, Field(allow_inf_nan=False, strict=True)]


class BenchmarkRef(FrozenModel):
    """Which samples the numbers rest on.

    ``n_listed`` is the number of samples of the published list where clips of some could not be had when the benchmark
    was prepared; ``n_samples`` of them are there.
    """

    name: str
    version: str
    manifest_sha256: Sha256
    n_samples: int
    n_listed: int | None = None

    @classmethod
    def of(cls, benchmark: Benchmark) -> BenchmarkRef:
        """Returns the reference to a benchmark."""
        header = benchmark.header
        return cls(
            name=header.name,
            version=header.version,
            manifest_sha256=header.manifest_sha256,
            n_samples=len(benchmark),
            n_listed=header.n_listed,
        )

    @property
    def extent(self) -> str:
        """The number of samples in words, and of how many where that is less than the list has."""
        if self.n_listed is None or self.n_listed == self.n_samples:
            return f"{self.n_samples} sample{'s' if self.n_samples != 1 else ''}"
        return f"{self.n_samples} of {self.n_listed} listed samples"


class SuiteRef(FrozenModel):
    """Which list of metrics was run; version 0 is a list given by hand."""

    name: str
    version: int


class WeightUse(FrozenModel):
    """A weights file that took part, and on whose word it is the right one."""

    name: str
    sha256: Sha256
    license: str
    pin: Pin


class Anchors(FrozenModel):
    """What the metric gives for known systems; filled where anchors have been computed.

    ``oracle`` is what the real replies score, or, where ``ceiling`` says so, the real replies after an ordinary
    encoding; per sample, nothing counts above it. ``samples_sha256`` is the hash of these values by sample, which the
    file of anchors holds; without it nothing was cut. ``nulls`` are what wrong replies score, cut like every score.
    """

    oracle: Finite | None = None
    nulls: dict[str, Finite] = Field(default_factory=dict)
    ceiling: Ceiling = "reply"
    samples_sha256: Sha256 | None = None


class Floor(FrozenModel):
    """For distances between sets: what real clips score against other real clips, at the same number of samples.

    ``value`` is the mean distance between two disjoint halves of the references, ``candidate`` that of the candidates
    of one half to the references of the other, with ``n`` samples on each side. Only these two may be compared: the
    bias of a Fréchet distance depends on the number of samples.
    """

    value: Finite
    candidate: Finite
    n: int


IntervalMethod = Literal["cluster_bca_bootstrap", "cluster_bca_bootstrap_unseen_failures", "delete_group_jackknife"]

UNSEEN: IntervalMethod = "cluster_bca_bootstrap_unseen_failures"
"""The method of an interval that has room for failures that did not occur."""


class MetricRef(FrozenModel):
    """Which metric a number is of, in every file that holds numbers."""

    id: str
    version: int
    title: str
    protocol: str
    dimension: Dimension
    direction: Literal["higher", "lower"]
    unit: str
    aggregation: Literal["mean", "set"]

    @staticmethod
    def fields_of(metric: MetricCard | MetricRef) -> dict[str, Any]:
        """Returns these fields of a card or of another file's entry, to build an entry with."""
        return {name: getattr(metric, name) for name in MetricRef.model_fields}


class MetricResult(MetricRef):
    """One metric over the benchmark.

    ``n_expected`` is the number of samples of the benchmark and the sum of the other four counts. ``n_failed`` counts
    the submission's faults. Where samples are averaged they are charged the card's worst value and are part of
    ``value``; a distance between sets is computed without them, and ranked only if few are missing. ``anchored`` is
    the value on the scale on which the null is 0 and the oracle 100, with every sample cut at the oracle's own value,
    and ``anchored_ci95`` its interval. ``unranked`` says why the number cannot be ranked.
    ``worst`` is what a failed sample is charged. Where none failed, ``ci95`` has room for failures that did not occur,
    and ``interval_method`` says so; see :func:`vidchatbench.results.statistics.intervals.widen_for_unseen_failures`.
    ``summary`` holds what the metric says of all samples besides: a margin, a chance level, a p-value.
    """

    value: Finite | None
    ci95: tuple[Finite, Finite] | None
    interval_method: IntervalMethod | None
    floor: Floor | None
    n_expected: int
    n_ok: int
    n_failed: int
    n_not_applicable: int
    n_error: int
    coverage: Annotated[float, Field(ge=0, le=1)] | None
    anchors: Anchors
    anchored: Finite | None
    anchored_ci95: tuple[Finite, Finite] | None = None
    unranked: str | None
    worst: Finite | None = None
    params: dict[str, Param]
    weights: tuple[WeightUse, ...]
    summary: dict[str, Finite] = Field(default_factory=dict)


class UnavailableMetric(FrozenModel):
    """A metric that was asked for and could not be run here."""

    id: str
    protocol: str
    reason: str
    fix: str


class Environment(FrozenModel):
    """What the numbers were computed with."""

    python: str
    platform: str
    device: str
    packages: dict[str, str]
    plugins: dict[str, str]
    decode_profile: str


class Policy(FrozenModel):
    """How failures were treated; stated with the numbers because it changes them."""

    output_missing: Literal["worst"] = "worst"
    output_invalid: Literal["worst"] = "worst"
    failed_in_sets: Literal["left_out"] = "left_out"
    error: Literal["incomplete"] = "incomplete"


class RunInfo(FrozenModel):
    """When and how the run went; nothing here changes a number except the seed."""

    started: datetime
    finished: datetime
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    permissive: bool
    policy: Policy
    workers: int
    batch_size: int
    engine: Literal["local", "ray"]
    seconds: dict[str, Finite]
    media_seconds: Finite
    features_reused: int
    features_extracted: int
    decode_passes: dict[str, int]
    peak_memory_bytes: int


class Results(FrozenModel):
    """Everything a run found, as ``results.json`` holds it."""

    schema_version: Literal[1] = SCHEMA_VERSION
    benchmark: BenchmarkRef
    vidchatbench_version: str
    suite: SuiteRef
    system: SystemDescription
    metrics: tuple[MetricResult, ...]
    unavailable: tuple[UnavailableMetric, ...]
    judge: JudgeReport | None = None
    environment: Environment
    run: RunInfo
    complete: bool

    def metric(self, metric_id: str) -> MetricResult:
        """Returns one metric's result.

        Raises:
            KeyError: If the run has no such metric.
        """
        for metric in self.metrics:
            if metric.id == metric_id:
                return metric
        raise KeyError(f"the run has no metric {metric_id!r}; it has {', '.join(m.id for m in self.metrics)}")

    def to_json(self) -> str:
        """Returns the text of ``results.json``; NaN and Infinity cannot occur in it."""
        return json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def load_results(where: str | Path) -> Results:
    """Reads the results of a run.

    Args:
        where: A run folder, or its ``results.json``.

    Raises:
        InputError: If there is no such file or it is not a valid results file.
    """
    path = Path(where)
    path = path / RESULTS_FILE if path.is_dir() else path
    if not path.is_file():
        raise InputError(str(path), ["there is no such file"], "Give the folder that `vidchatbench evaluate` wrote.")
    try:
        return Results.model_validate_json(upgrade(path.read_bytes(), subject=str(path), to=SCHEMA_VERSION))
    except ValidationError as error:
        raise InputError(str(path), describe_validation(error)) from error
