"""Whether a metric can run on this computer; if not, what is missing and how to get it."""

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
class Missing:
    """What keeps a metric from running here.

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
        missing: What each of the others needs first.
    """

    runnable: tuple[Metric, ...]
    missing: Mapping[Metric, Missing]

    @classmethod
    def of(
        cls, metrics: Iterable[Metric], catalogue: Catalogue, resolver: WeightResolver, *, permissive: bool = False
    ) -> Availability:
        """Looks up what is missing for each metric; both parts keep the order of ``metrics``.

        Args:
            metrics: The metrics.
            catalogue: Where their extractors and weights are described.
            resolver: Finds weights on this computer.
            permissive: Whether weights that are not for commercial use are to be left out.
        """
        answers = {
            metric: (_left_out(metric) if permissive else None) or find_missing(metric, catalogue, resolver)
            for metric in metrics
        }
        missing = {metric: answer for metric, answer in answers.items() if answer is not None}
        return cls(tuple(metric for metric in answers if metric not in missing), missing)

    def require_any(self) -> None:
        """Makes sure that there is something to run.

        Raises:
            UsageError: If there is not; the message names what is missing for each metric, and the fix.
        """
        if not self.runnable:
            message = "; ".join(
                f"{metric.card.id}: {missing.reason}, to fix: {missing.fix}" for metric, missing in self.missing.items()
            )
            raise UsageError(f"no metric that was asked for can run here ({message})")


def _left_out(metric: Metric) -> Missing | None:
    if metric.card.commercial_use:
        return None
    license_text = metric.card.weights_license or "licence unknown"
    reason = f"left out by --permissive, its weights are not for commercial use: {license_text}"
    return Missing(reason, "run without --permissive")


def find_missing(metric: Metric, catalogue: Catalogue, resolver: WeightResolver) -> Missing | None:
    """Returns what keeps a metric from running here, or ``None`` if nothing does.

    A missing package is named alone; of missing weights all are.
    """
    # Properties of a foreign plugin may raise anything when they are read.
    asked = attempt(lambda: _ask(metric, catalogue, resolver))
    if isinstance(asked, Failure):
        reason = asked.reason.removeprefix(f"{UsageError.__name__}: ")
        return Missing(reason, "install the package that brings this extractor, or fix it (vidchatbench metrics)")
    extractors, weights = asked
    for extractor in extractors:
        if (lack := extractor.lack()) is not None:
            return Missing(*lack)
        for module in extractor.packages:
            if importlib.util.find_spec(module) is None:
                return Missing(f"package {module!r} is not installed", f"pip install {module.replace('_', '-')}")
    absent = []
    for name in weights:
        try:
            if resolver.find(name) is None:
                absent.append(name)
        except WeightsError as error:
            return Missing(str(error), resolver.fix(name))
    if not absent:
        return None
    which = f"weight {absent[0]!r} is" if len(absent) == 1 else f"weights {', '.join(absent)} are"
    return Missing(f"{which} not on this computer", resolver.fix(*absent))


def weights_of(metric: Metric, catalogue: Catalogue) -> list[str]:
    """Returns the names of all weights that a metric and its extractors need.

    Raises:
        UsageError: If an extractor or a weight is not in the catalogue.
    """
    extractors = [each for need in metric.needs() for each in _with_upstream(need.extractor, catalogue, ())]
    return list(
        dict.fromkeys([*metric.card.weights, *(name for extractor in extractors for name in extractor.weights)])
    )


def _ask(metric: Metric, catalogue: Catalogue, resolver: WeightResolver) -> tuple[list[Extractor], list[str]]:
    for need in metric.needs():
        if strange := set(need.roles) - set(metric.card.roles):
            names = ", ".join(sorted(role.value for role in strange))
            raise UsageError(f"{metric.card.id!r} reads {names}, which its card does not name")
    extractors = [each for need in metric.needs() for each in _with_upstream(need.extractor, catalogue, ())]
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
    for required in (*extractor.requires.values(), *extractor.guides.values(), *read):
        yield from _with_upstream(required, catalogue, (*below, spec))
