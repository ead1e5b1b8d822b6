"""Whether a metric can run on this computer, and if not, what would change that."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from vidchatbench.api.extractors import Extractor
from vidchatbench.api.features import ExtractorSpec
from vidchatbench.api.metrics import Metric
from vidchatbench.api.sample_extractors import SampleExtractor
from vidchatbench.core.isolation import Failure, attempt
from vidchatbench.errors import UsageError, WeightsError
from vidchatbench.plugins.catalogue import Catalogue
from vidchatbench.weights.resolver import WeightResolver


@dataclass(frozen=True)
class Lack:
    """What a metric lacks.

    Attributes:
        reason: What is missing.
        fix: The command that would bring it.
    """

    reason: str
    fix: str


@dataclass(frozen=True)
class Availability:
    """Which of some metrics can run here.

    Attributes:
        runnable: Those that can.
        lacks: What each of the others lacks.
    """

    runnable: tuple[Metric, ...]
    lacks: Mapping[Metric, Lack]

    @classmethod
    def of(
        cls, metrics: Iterable[Metric], catalogue: Catalogue, resolver: WeightResolver, *, permissive: bool = False
    ) -> Availability:
        """Looks what each metric lacks; both parts keep the order of ``metrics``.

        Args:
            metrics: The metrics.
            catalogue: Where their extractors and weights are described.
            resolver: Finds weights on this computer.
            permissive: Whether weights that are not for commercial use are to be left out.
        """
        found = {
            metric: (_left_out(metric) if permissive else None) or find_lack(metric, catalogue, resolver)
            for metric in metrics
        }
        lacks = {metric: lack for metric, lack in found.items() if lack is not None}
        return cls(tuple(metric for metric in found if metric not in lacks), lacks)

    def require_any(self) -> None:
        """Makes sure that there is something to run.

        Raises:
            UsageError: If there is not, with what every metric lacks and how to bring it.
        """
        if not self.runnable:
            told = "; ".join(f"{one.card.id}: {lack.reason}, to fix: {lack.fix}" for one, lack in self.lacks.items())
            raise UsageError(f"no metric that was asked for can run here ({told})")


def _left_out(metric: Metric) -> Lack | None:
    if metric.card.commercial_use:
        return None
    license_text = metric.card.weights_license or "licence unknown"
    reason = f"left out by --permissive, its weights are not for commercial use: {license_text}"
    return Lack(reason, "run without --permissive")


def find_lack(metric: Metric, catalogue: Catalogue, resolver: WeightResolver) -> Lack | None:
    """Returns the first thing that keeps a metric from running here, or ``None`` if nothing does."""
    # A stranger's properties may do anything when they are read.
    asked = attempt(lambda: _ask(metric, catalogue, resolver))
    if isinstance(asked, Failure):
        reason = asked.reason.removeprefix(f"{UsageError.__name__}: ")
        return Lack(reason, "install the package that brings this extractor, or fix it (vidchatbench metrics)")
    extractors, weights = asked
    for extractor in extractors:
        if (told := extractor.lack()) is not None:
            return Lack(*told)
        for module in extractor.packages:
            if importlib.util.find_spec(module) is None:
                return Lack(f"package {module!r} is not installed", f"pip install {module.replace('_', '-')}")
    for name in weights:
        try:
            if resolver.find(name) is None:
                return Lack(f"weight {name!r} is not on this computer", resolver.fix(name))
        except WeightsError as error:
            return Lack(str(error), resolver.fix(name))
    return None


def weights_of(metric: Metric, catalogue: Catalogue) -> list[str]:
    """Returns the names of all weights that a metric and its extractors need.

    Raises:
        UsageError: If an extractor or a weight is not in the catalogue.
    """
    extractors = [found for need in metric.needs() for found in _with_upstream(need.extractor, catalogue, ())]
    return list(
        dict.fromkeys([*metric.card.weights, *(name for extractor in extractors for name in extractor.weights)])
    )


def _ask(metric: Metric, catalogue: Catalogue, resolver: WeightResolver) -> tuple[list[Extractor], list[str]]:
    for need in metric.needs():
        if strange := set(need.roles) - set(metric.card.roles):
            names = ", ".join(sorted(role.value for role in strange))
            raise UsageError(f"{metric.card.id!r} reads {names}, which its card does not name")
    extractors = [found for need in metric.needs() for found in _with_upstream(need.extractor, catalogue, ())]
    weights = weights_of(metric, catalogue)
    for name in weights:
        resolver.spec(name)
    return extractors, weights


def _with_upstream(spec: ExtractorSpec, catalogue: Catalogue, below: tuple[ExtractorSpec, ...]) -> Iterator[Extractor]:
    if spec in below:
        raise UsageError(f"extractor {spec.id!r} requires itself")
    extractor = catalogue.extractor(spec)
    yield extractor
    read = tuple(need.extractor for need in extractor.reads()) if isinstance(extractor, SampleExtractor) else ()
    for required in (*extractor.requires.values(), *read):
        yield from _with_upstream(required, catalogue, (*below, spec))
