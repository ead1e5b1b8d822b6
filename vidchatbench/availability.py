"""Whether a metric can run on this computer, and if not, what would change that."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass

from vidchatbench.contract.extractors import Extractor
from vidchatbench.contract.metrics import Metric
from vidchatbench.errors import UsageError, WeightsError
from vidchatbench.plugins import Catalogue
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


def find_lack(metric: Metric, catalogue: Catalogue, resolver: WeightResolver) -> Lack | None:
    """Returns the first thing that keeps a metric from running here, or ``None`` if nothing does."""
    try:
        extractors = list(_extractors(metric, catalogue))
        named = [name for extractor in extractors for name in extractor.weights]
        weights = {name: resolver.spec(name) for name in (*metric.card.weights, *named)}
    except UsageError as error:
        return Lack(str(error), "install the package that brings this extractor, or fix it (vidchatbench metrics)")
    for extractor in extractors:
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


def _extractors(metric: Metric, catalogue: Catalogue) -> Iterator[Extractor]:
    waiting = [need.extractor for need in metric.needs()]
    while waiting:
        extractor = catalogue.extractor(waiting.pop(0))
        yield extractor
        waiting += extractor.requires.values()
