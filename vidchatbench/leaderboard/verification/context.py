"""The shared input of all checks: the bundle, its installed metrics, the benchmark, and the other bundles."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from vidchatbench.api.cards import MetricCard
from vidchatbench.api.features import Need, Param
from vidchatbench.api.metrics import Metric
from vidchatbench.api.plugins import SuiteEntry, WeightSpec
from vidchatbench.api.sample_extractors import SampleExtractor
from vidchatbench.api.samples import Role
from vidchatbench.api.scores import Status
from vidchatbench.benchmark.format import Benchmark
from vidchatbench.errors import UsageError
from vidchatbench.leaderboard.verification.reading import Bundle
from vidchatbench.plugins.catalogue import Catalogue
from vidchatbench.results.anchors import AnchorEntry
from vidchatbench.results.sample_rows import SampleRow
from vidchatbench.results.schema import MetricResult


@dataclass(frozen=True)
class Others:
    """Files, scores and weights of other bundles, to compare a new one with.

    Attributes:
        candidates: Bundle and sample of every submitted file, by its hash.
        scored: Bundles that have a score, by benchmark, protocol and sample.
        weights: The first bundle that used a weights file, by its name and hash.
    """

    candidates: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    scored: Mapping[tuple[str, str, str], str] = field(default_factory=dict)
    weights: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, bundles: Iterable[tuple[str, Bundle]]) -> Others:
        """Gathers it from bundles, each with its id."""
        candidates: dict[str, list[tuple[str, str]]] = defaultdict(list)
        scored: dict[tuple[str, str, str], str] = {}
        weights: dict[str, dict[str, str]] = defaultdict(dict)
        for name, bundle in bundles:
            for line in bundle.media:
                if line.role is Role.CANDIDATE and line.sha256 is not None:
                    candidates[line.sha256].append((name, line.sample_id))
            manifest = bundle.results.benchmark.manifest_sha256
            for row in bundle.rows:
                if row.status == Status.OK.value:
                    scored.setdefault((manifest, row.protocol, row.sample_id), name)
            for metric in bundle.results.metrics:
                for use in metric.weights:
                    weights[use.name].setdefault(use.sha256, name)
        return cls({sha: tuple(places) for sha, places in candidates.items()}, scored, dict(weights))


@dataclass(frozen=True)
class Context:
    """One bundle under verification.

    Attributes:
        name: Its id, by which it is left out of the others.
        bundle: The bundle.
        cards: Cards of the metrics as installed here, with the parameters of the bundle's suite; those that are not
            installed are absent.
        suite: The suite's entries by metric; ``None`` for a list given by hand or a suite that is not installed.
        weights: The weights table.
        benchmark: The benchmark, if at hand.
        anchors: Its published anchors, by metric; ``None`` where there are none.
        others: Files, scores and weights of other bundles.
        rows: The bundle's rows by metric.
        params: Parameters of the installed metrics.
        candidate_only: Metrics that read nothing but the reply's own clip.
    """

    name: str
    bundle: Bundle
    cards: Mapping[str, MetricCard]
    suite: Mapping[str, SuiteEntry] | None
    weights: Mapping[str, WeightSpec]
    benchmark: Benchmark | None
    anchors: Mapping[str, tuple[AnchorEntry, ...]] | None
    others: Others
    rows: Mapping[str, tuple[SampleRow, ...]]
    params: Mapping[str, Mapping[str, Param]] = field(default_factory=dict)
    candidate_only: frozenset[str] = frozenset()

    def result(self, metric_id: str) -> MetricResult:
        """Returns the result of a metric."""
        return self.bundle.results.metric(metric_id)


def make_context(
    name: str,
    bundle: Bundle,
    catalogue: Catalogue,
    *,
    benchmark: Benchmark | None,
    anchors: Mapping[str, tuple[AnchorEntry, ...]] | None,
    others: Others,
) -> Context:
    """Builds the context of one bundle."""
    results = bundle.results
    suite = None
    if results.suite.version and results.suite.name in catalogue.suites:
        suite = {entry.metric: entry for entry in catalogue.suites[results.suite.name].metrics}
    metrics: dict[str, Metric] = {}
    for result in results.metrics:
        params = result.params if suite is None or result.id not in suite else suite[result.id].params
        try:
            metrics[result.id] = catalogue.metric(result.id, **params)
        except UsageError:
            continue
    rows: dict[str, list[SampleRow]] = defaultdict(list)
    for row in bundle.rows:
        rows[row.metric].append(row)
    return Context(
        name=name,
        bundle=bundle,
        cards={name: metric.card for name, metric in metrics.items()},
        suite=suite,
        weights=catalogue.weights,
        benchmark=benchmark,
        anchors=anchors,
        others=others,
        rows={metric: tuple(own) for metric, own in rows.items()},
        params={name: metric.params for name, metric in metrics.items()},
        candidate_only=frozenset(name for name, metric in metrics.items() if _reads_candidate_alone(metric, catalogue)),
    )


def _reads_candidate_alone(metric: Metric, catalogue: Catalogue) -> bool:
    def reads_words(need: Need) -> bool:
        try:
            return isinstance(catalogue.extractor(need.extractor), SampleExtractor)
        except UsageError:
            return True  # what it reads is not known

    needs = metric.needs()
    roles = {*metric.card.roles, *(role for need in needs for role in need.roles)}
    return roles == {Role.CANDIDATE} and not any(map(reads_words, needs))
