"""Discovery of metric packages through entry points; a broken one is listed with its reason and stops nothing."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

from vidchatbench.api.extractors import Extractor
from vidchatbench.api.features import ExtractorSpec, Param
from vidchatbench.api.frame_metrics import FrameCount
from vidchatbench.api.metrics import Metric
from vidchatbench.api.plugins import Plugin, Suite, WeightSpec
from vidchatbench.core.suggest import did_you_mean
from vidchatbench.errors import UsageError
from vidchatbench.plugins.registry import Registry

GROUP = "vidchatbench.metrics"
T = TypeVar("T")


@dataclass(frozen=True)
class BrokenPlugin:
    """A plugin, or one metric of it, that could not be loaded."""

    name: str
    reason: str
    traceback: str


@dataclass
class Catalogue:
    """Everything that the installed metric packages offer.

    Attributes:
        metrics: Metric classes by id.
        extractors: Extractor classes by id.
        weights: Weights table by name.
        suites: Suites by name.
        packages: Distribution and version of each loaded plugin, by entry point name.
        broken: What could not be loaded, and why.
    """

    metrics: Registry[Metric] = field(default_factory=lambda: Registry("metric", Metric))  # type: ignore[type-abstract]
    extractors: Registry[Extractor] = field(default_factory=lambda: Registry("extractor", Extractor))
    weights: dict[str, WeightSpec] = field(default_factory=dict)
    suites: dict[str, Suite] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)
    broken: list[BrokenPlugin] = field(default_factory=list)

    def metric(self, metric_id: str, /, **params: Param) -> Metric:
        """Builds a metric.

        Raises:
            UsageError: If the id or a parameter is unknown, or the metric's package is broken.
        """
        return _build(self.metrics, metric_id, params)

    def extractor(self, spec: ExtractorSpec) -> Extractor:
        """Builds an extractor.

        Raises:
            UsageError: If the id or a parameter is unknown, or its package is broken.
        """
        return _build(self.extractors, spec.id, dict(spec.params))

    def suite(self, name: str) -> Suite:
        """Returns a suite by name.

        Raises:
            UsageError: If there is no such suite.
        """
        if name not in self.suites:
            guess = did_you_mean(name, self.suites) or f"; known: {', '.join(sorted(self.suites)) or 'none'}"
            raise UsageError(f"there is no suite {name!r}{guess}")
        return self.suites[name]


@functools.cache
def load_catalogue() -> Catalogue:
    """Discovers the installed metric packages once per process."""
    return build_catalogue(entry_points(group=GROUP))


def build_catalogue(points: Iterable[EntryPoint]) -> Catalogue:
    """Loads the given entry points; the first isolation boundary of the library.

    A plugin that fails to import, offers something else than a :class:`Plugin`, or claims a name that is taken, is
    put on the list of broken ones with its reason; the others are unaffected.
    """
    catalogue = Catalogue()
    # Paired frame metrics of any package read it.
    catalogue.extractors.register(FrameCount.id, f"{FrameCount.__module__}:FrameCount", origin="vidchatbench")
    # The built-ins first, so that a plugin can never take one of their names by sorting before them.
    for point in sorted(points, key=lambda p: (not _is_built_in(p), p.name, p.value)):
        try:
            _admit(catalogue, point)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a broken plugin must not stop the rest
            reason = f"{type(error).__name__}: {error}"
            catalogue.broken.append(BrokenPlugin(point.name, reason, traceback.format_exc()))
    catalogue.metrics.freeze()
    catalogue.extractors.freeze()
    return catalogue


def _admit(catalogue: Catalogue, point: EntryPoint) -> None:
    plugin = point.load()
    if not isinstance(plugin, Plugin):
        raise TypeError(f"entry point {point.value!r} is a {type(plugin).__name__}, not a vidchatbench.api.Plugin")
    _refuse_collisions(catalogue, plugin)
    distribution = point.dist.name if point.dist else point.value
    origin = point.name if point.name not in catalogue.packages else f"{point.name} ({distribution})"
    for name, target in plugin.metrics.items():
        catalogue.metrics.register(name, target, origin=origin)
    for name, target in plugin.extractors.items():
        catalogue.extractors.register(name, target, origin=origin)
    catalogue.weights.update({spec.name: spec for spec in plugin.weights})
    catalogue.suites.update({suite.name: suite for suite in plugin.suites})
    catalogue.packages[origin] = f"{distribution} {point.dist.version if point.dist else 'unknown'}"


def _is_built_in(point: EntryPoint) -> bool:
    return point.dist is not None and point.dist.name == "vidchatbench"


def _build(registry: Registry[T], name: str, params: Mapping[str, Param]) -> T:
    try:
        return registry.get(name)(**params)
    except UsageError:
        raise
    except ValueError as error:
        raise UsageError(str(error)) from error
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UsageError(f"{name!r}, brought by {registry.origin(name)!r}, cannot be loaded: {reason}") from error


def _refuse_collisions(catalogue: Catalogue, plugin: Plugin) -> None:
    # Checked before anything is registered, so that a refused plugin leaves no half of itself behind.
    for kind, given in (("weight", plugin.weights), ("suite", plugin.suites)):
        names = [item.name for item in given]
        if len(set(names)) != len(names):
            raise ValueError(f"a {kind} is named twice: {', '.join(sorted(names))}")
    taken = {
        "metric": [name for name in plugin.metrics if name in catalogue.metrics],
        "extractor": [name for name in plugin.extractors if name in catalogue.extractors],
        "weight": [spec.name for spec in plugin.weights if spec.name in catalogue.weights],
        "suite": [suite.name for suite in plugin.suites if suite.name in catalogue.suites],
    }
    for kind, names in taken.items():
        if names:
            raise ValueError(f"{kind} {', '.join(map(repr, names))} is already registered by another package")
