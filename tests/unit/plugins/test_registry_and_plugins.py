"""Metric packages are strangers' code: a broken one must cost its own metrics and nothing else, and must be listed."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest

from vidchatbench.api import ExtractorSpec, Metric
from vidchatbench.errors import UsageError
from vidchatbench.plugins.availability import find_missing
from vidchatbench.plugins.catalogue import GROUP, Catalogue, build_catalogue, load_catalogue
from vidchatbench.plugins.registry import Registry
from vidchatbench.weights.resolver import WeightResolver

MODULE = """
from vidchatbench.api import ExtractorSpec, FrameExtractor, Metric, MetricCard, Need, Plugin, Role, Score

CARD = MetricCard(
    id="{family}/metric", version=1, title="T", dimension="identity", direction="higher", unit="", worst=0.0,
    roles=("candidate",), aggregation="mean", protocol="metric/v1", protocol_text="p", description="d",
    code_license="MIT", commercial_use=True, citation="c", source="s", {card}
)


class TheExtractor(FrameExtractor):
    id = "{family}/extractor"
    defaults = {{"fps": 25.0}}
    fps = 25.0

    def begin(self, clip, upstream):
        raise AssertionError


class TheMetric(Metric):
    default_card = CARD
    defaults = {{"fps": 25.0}}

    def needs(self):
        return (Need("x", ExtractorSpec.of("{family}/extractor"), (Role.CANDIDATE,)),)

    def score(self, sample, features):
        return Score.ok(1.0)


plugin = Plugin(
    metrics={{"{family}/metric": "{module}:TheMetric"}},
    extractors={{"{family}/extractor": "{module}:TheExtractor"}},
)
"""

Install = Callable[..., EntryPoint]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a distribution with one module and one entry point, found through the import path like any other."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)

    def put(name: str, source: str, *, target: str | None = None, point: str | None = None) -> EntryPoint:
        (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
        info = tmp_path / f"{name}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n", encoding="utf-8")
        line = f"{point or name} = {target or f'{name}:plugin'}"
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{line}\n", encoding="utf-8")
        importlib.invalidate_caches()
        (found,) = [p for p in entry_points(group=GROUP) if p.dist is not None and p.dist.name == name]
        return found

    yield put
    for module in set(sys.modules) - before:
        if module.startswith("vcbtest_"):
            del sys.modules[module]


def module(name: str, *, family: str | None = None, card: str = "") -> str:
    return MODULE.format(module=name, family=family or name, card=card)


def discovered() -> Catalogue:
    return build_catalogue(entry_points(group=GROUP))


def reasons(catalogue: Catalogue) -> dict[str, str]:
    return {broken.name: broken.reason for broken in catalogue.broken}


# --- the registry ---------------------------------------------------------------------------------------------------


def registry(*names: str) -> Registry[Metric]:
    made: Registry[Metric] = Registry("metric", Metric)  # type: ignore[type-abstract]
    for name in names:
        made.register(name, f"vcbtest_nowhere:{name.title()}", origin="me")
    return made


def test_a_name_is_taken_once() -> None:
    made = registry("a/one")
    with pytest.raises(ValueError, match=r"'a/one' of 'you' is already registered by 'me'"):
        made.register("a/one", "elsewhere:One", origin="you")
    assert made.origin("a/one") == "me"
    assert len(made) == 1


def test_a_frozen_registry_takes_nothing() -> None:
    made = registry("a/one")
    made.freeze()
    with pytest.raises(ValueError, match="frozen"):
        made.register("a/two", "elsewhere:Two", origin="me")
    assert list(made) == ["a/one"]


def test_names_come_sorted() -> None:
    assert list(registry("b/x", "a/y", "a/x")) == ["a/x", "a/y", "b/x"]
    assert "a/x" in registry("a/x")
    assert "a/z" not in registry("a/x")


def test_a_typo_is_answered_with_the_nearest_name() -> None:
    made = registry("video_quality/psnr", "video_quality/ssim", "voice/similarity")
    with pytest.raises(UsageError, match="did you mean 'video_quality/psnr'"):
        made.get("video_quality/pnsr")
    with pytest.raises(UsageError, match="did you mean 'video_quality/ssim'"):
        made.origin("video_qualty/ssim")


def test_a_name_far_from_all_is_answered_with_all() -> None:
    with pytest.raises(UsageError, match="known: a/one"):
        registry("a/one").get("qqqqqqqqqqqq")
    with pytest.raises(UsageError, match="known: none"):
        registry().get("x/y")


def test_nothing_is_imported_before_it_is_asked_for(install: Install) -> None:
    name = "vcbtest_lazy"
    install(name, module(name))
    made: Registry[Metric] = Registry("metric", Metric)  # type: ignore[type-abstract]
    made.register("x/y", f"{name}:TheMetric", origin="me")
    assert name not in sys.modules
    assert made.get("x/y") is made.get("x/y")
    assert name in sys.modules


@pytest.mark.parametrize("attribute", ["CARD", "TheExtractor", "Plugin"])
def test_a_target_of_another_kind_is_refused(install: Install, attribute: str) -> None:
    name = "vcbtest_wrong"
    install(name, module(name))
    made: Registry[Metric] = Registry("metric", Metric)  # type: ignore[type-abstract]
    made.register("x/y", f"{name}:{attribute}", origin="me")
    with pytest.raises(TypeError, match="is no Metric"):
        made.get("x/y")


# --- discovery ------------------------------------------------------------------------------------------------------


def test_a_strangers_package_is_found_and_works(install: Install) -> None:
    name = "vcbtest_good"
    install(name, module(name))
    catalogue = discovered()
    assert reasons(catalogue) == {}
    assert catalogue.packages[name] == f"{name} 1.2"
    assert catalogue.metrics.origin(f"{name}/metric") == name
    assert catalogue.metric(f"{name}/metric", fps=5.0).params == {"fps": 5.0}
    assert catalogue.extractor(ExtractorSpec.of(f"{name}/extractor")).id == f"{name}/extractor"


def test_the_built_in_metrics_come_the_same_way() -> None:
    catalogue = load_catalogue()
    assert reasons(catalogue) == {}
    assert catalogue.packages["core"].startswith("vidchatbench ")
    for name in catalogue.metrics:
        assert catalogue.metric(name).card.id == name
    for name in catalogue.extractors:
        assert catalogue.extractors.get(name).id == name


def test_every_suite_names_metrics_that_exist_with_parameters_that_they_take() -> None:
    catalogue = load_catalogue()
    assert "lite" in catalogue.suites
    for suite in catalogue.suites.values():
        for entry in suite.metrics:
            catalogue.metric(entry.metric, **entry.params)


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        ("raise RuntimeError('no luck today')", None, "RuntimeError: no luck today"),
        ("import vcbtest_not_installed_anywhere", None, "ModuleNotFoundError"),
        ("plugin = {'metrics': {}}", None, "is a dict, not a vidchatbench.api.Plugin"),
        ("plugin = None", None, "is a NoneType, not a vidchatbench.api.Plugin"),
        ("", None, "AttributeError"),
        ("def plugin(: pass", None, "SyntaxError"),
        ("from vidchatbench.api import Plugin\nplugin = Plugin", None, "not a vidchatbench.api.Plugin"),
        ("from vidchatbench.api import Plugin\nplugin = Plugin(metrics={'bad': 'x'})", None, "ValidationError"),
        ("plugin = 1", "vcbtest_elsewhere:plugin", "ModuleNotFoundError"),
        ("import sys\nsys.exit('this package needs a GPU')", None, "SystemExit: this package needs a GPU"),
    ],
    ids=["raises", "lacks", "dict", "none", "nothing", "syntax", "class", "invalid", "nowhere", "exits"],
)
def test_a_broken_package_is_listed_and_stops_nothing(
    install: Install, source: str, target: str | None, reason: str
) -> None:
    install("vcbtest_bad", source, target=target)
    install("vcbtest_good", module("vcbtest_good"))
    catalogue = discovered()
    assert list(reasons(catalogue)) == ["vcbtest_bad"]
    assert reason in reasons(catalogue)["vcbtest_bad"]
    assert "Traceback" in catalogue.broken[0].traceback
    assert "vcbtest_bad" not in catalogue.packages
    assert "vcbtest_good/metric" in catalogue.metrics
    assert set(load_catalogue().metrics) <= set(catalogue.metrics)


def test_a_package_that_claims_a_built_in_name_leaves_nothing_behind(install: Install) -> None:
    taken = next(iter(load_catalogue().metrics))
    name = "vcbtest_thief"
    # It sorts before "core", brings names of its own beside the stolen one, and a weight and a suite as well.
    source = f"""
from vidchatbench.api import Plugin, Suite, WeightSpec
plugin = Plugin(
    metrics={{"aaa/own": "{name}:Own", {taken!r}: "{name}:Stolen"}},
    extractors={{"aaa/own": "{name}:OwnExtractor"}},
    weights=(WeightSpec(name="aaa", file_name="aaa", sha256="0" * 64, size=1, license="MIT", commercial_use=True,
             origin="me"),),
    suites=(Suite(name="aaa", version=1, description="d", metrics=()),),
)
"""
    install(name, source, point="aaa_thief")
    catalogue = discovered()
    assert list(reasons(catalogue)) == ["aaa_thief"]
    assert taken in reasons(catalogue)["aaa_thief"]
    assert catalogue.metrics.origin(taken) == "core"
    assert set(catalogue.metrics) == set(load_catalogue().metrics)
    assert set(catalogue.extractors) == set(load_catalogue().extractors)
    assert set(catalogue.weights) == set(load_catalogue().weights)
    assert set(catalogue.suites) == set(load_catalogue().suites)
    assert "aaa_thief" not in catalogue.packages


@pytest.mark.parametrize("kind", ["extractors", "weights", "suites"])
def test_other_names_cannot_be_taken_either(install: Install, kind: str) -> None:
    core = load_catalogue()
    content = {
        "extractors": f"{{{next(iter(core.extractors))!r}: 'vcbtest_thief:X'}}",
        "weights": f"(WeightSpec(name={next(iter(core.weights))!r}, file_name='x', sha256='0' * 64, size=1, "
        "license='MIT', commercial_use=True, origin='me'),)",
        "suites": "(Suite(name='lite', version=9, description='mine', metrics=()),)",
    }[kind]
    install("vcbtest_thief", f"from vidchatbench.api import *\nplugin = Plugin({kind}={content})")
    catalogue = discovered()
    assert list(reasons(catalogue)) == ["vcbtest_thief"]
    assert catalogue.weights == core.weights
    assert catalogue.suites == core.suites


def test_the_name_of_the_entry_point_gives_no_right_to_the_built_in_names(install: Install) -> None:
    taken = next(iter(load_catalogue().metrics))
    name = "vcbtest_pretender"
    source = f"from vidchatbench.api import Plugin\nplugin = Plugin(metrics={{{taken!r}: '{name}:Stolen'}})"
    pretender = install(name, source, point="core")
    (real,) = [p for p in entry_points(group=GROUP) if p.value.startswith("vidchatbench_metrics")]
    for order in ([pretender, real], [real, pretender]):
        catalogue = build_catalogue(order)
        assert set(catalogue.metrics) == set(load_catalogue().metrics)
        assert catalogue.metrics.get(taken).__module__.startswith("vidchatbench_metrics")
        assert len(catalogue.broken) == 1


def test_two_packages_under_one_entry_point_name_are_both_recorded(install: Install) -> None:
    # Results name the packages that the numbers came from; none may vanish from that list.
    first = install("vcbtest_one", module("vcbtest_one"), point="mine")
    second = install("vcbtest_two", module("vcbtest_two"), point="mine")
    catalogue = build_catalogue([first, second])
    assert set(catalogue.metrics) == {"vcbtest_one/metric", "vcbtest_two/metric"}
    assert {text.split()[0] for text in catalogue.packages.values()} == {"vcbtest_one", "vcbtest_two"}


def test_the_second_of_two_strangers_with_one_name_is_refused(install: Install) -> None:
    first = install("vcbtest_one", module("vcbtest_one", family="shared"))
    second = install("vcbtest_two", module("vcbtest_two", family="shared"))
    for order in ([first, second], [second, first]):
        catalogue = build_catalogue(order)
        assert list(reasons(catalogue)) == ["vcbtest_two"]
        assert catalogue.metrics.origin("shared/metric") == "vcbtest_one"


def test_a_package_that_contradicts_itself_is_refused(install: Install) -> None:
    source = """
from vidchatbench.api import Plugin, WeightSpec
def weight(digit):
    return WeightSpec(name="net", file_name="net", sha256=digit * 64, size=1, license="MIT", commercial_use=True,
                      origin="me")
plugin = Plugin(weights=(weight("0"), weight("1")))
"""
    catalogue = build_catalogue([install("vcbtest_twice", source)])
    assert list(reasons(catalogue)) == ["vcbtest_twice"]
    assert "net" not in catalogue.weights


def test_discovery_closes_the_registries() -> None:
    catalogue = build_catalogue([])
    for one in (catalogue.metrics, catalogue.extractors):
        with pytest.raises(ValueError, match="frozen"):
            one.register("a/b", "c:d", origin="e")


def test_no_plugin_at_all_is_no_error() -> None:
    catalogue = build_catalogue([])
    with pytest.raises(UsageError, match="no suite 'lite'; known: none"):
        catalogue.suite("lite")
    with pytest.raises(UsageError, match="known: none"):
        catalogue.metric("a/b")


# --- what a catalogue hands out -------------------------------------------------------------------------------------


def test_an_unknown_parameter_is_wrong_usage(install: Install) -> None:
    name = "vcbtest_good"
    catalogue = build_catalogue([install(name, module(name))])
    with pytest.raises(UsageError, match="no parameter fsp"):
        catalogue.metric(f"{name}/metric", fsp=1)
    with pytest.raises(UsageError, match="no parameter fsp"):
        catalogue.extractor(ExtractorSpec.of(f"{name}/extractor", fsp=1))


@pytest.mark.parametrize(
    "source",
    ["raise RuntimeError('no luck')", "import vcbtest_not_installed_anywhere", "", "TheMetric = TheExtractor = 3"],
)
def test_a_module_that_breaks_when_it_is_needed_is_told_as_the_packages_fault(install: Install, source: str) -> None:
    # The entry point loads, the metric's own module does not: the promise of Catalogue.metric is a UsageError.
    install("vcbtest_inner", source)
    outer = """
from vidchatbench.api import Plugin
plugin = Plugin(metrics={"x/y": "vcbtest_inner:TheMetric"}, extractors={"x/z": "vcbtest_inner:TheExtractor"})
"""
    catalogue = build_catalogue([install("vcbtest_outer", outer)])
    assert reasons(catalogue) == {}
    with pytest.raises(UsageError, match="x/y"):
        catalogue.metric("x/y")
    with pytest.raises(UsageError, match="x/z"):
        catalogue.extractor(ExtractorSpec.of("x/z"))


def test_what_a_metric_lacks_is_told_before_anything_runs(install: Install, private_cache: Path) -> None:
    one = "vcbtest_weights"
    # The card prints a weight that no table has: the run would find out when it aggregates, after hours of work.
    card = 'weights=("net",), weights_license="MIT"'
    catalogue = build_catalogue([install(one, module(one, card=card))])
    missing = find_missing(catalogue.metric(f"{one}/metric"), catalogue, WeightResolver(catalogue.weights))
    assert missing is not None
    assert "net" in missing.reason
    assert not private_cache.exists()


def test_a_metric_whose_extractor_nobody_brings_is_unavailable(install: Install, private_cache: Path) -> None:
    name = "vcbtest_good"
    point = install(name, module(name) + "\nplugin = plugin.model_copy(update={'extractors': {}})\n")
    catalogue = build_catalogue([point])
    missing = find_missing(catalogue.metric(f"{name}/metric"), catalogue, WeightResolver({}, cache=private_cache))
    assert missing is not None
    assert f"{name}/extractor" in missing.reason


@pytest.mark.parametrize(
    ("line", "broken"),
    [
        ("    def needs(self):\n", "    def needs(self):\n        raise KeyError('needs')\n"),
        ("    fps = 25.0\n", "    fps = 25.0\n    requires = property(lambda self: {}['requires'])\n"),
        ("    fps = 25.0\n", "    fps = 25.0\n    weights = property(lambda self: {}['weights'])\n"),
    ],
    ids=["needs", "requires", "weights"],
)
def test_a_metric_that_breaks_when_it_is_asked_what_it_needs_is_unavailable(
    install: Install, private_cache: Path, line: str, broken: str
) -> None:
    name = "vcbtest_needs"
    catalogue = build_catalogue([install(name, module(name).replace(line, broken))])
    missing = find_missing(catalogue.metric(f"{name}/metric"), catalogue, WeightResolver({}, cache=private_cache))
    assert missing is not None
    assert "KeyError" in missing.reason


@pytest.mark.timeout(20)
def test_extractors_that_require_each_other_in_a_circle_are_found_out(install: Install, private_cache: Path) -> None:
    name = "vcbtest_circle"
    circle = f'    requires = {{"again": ExtractorSpec.of("{name}/extractor")}}\n'
    catalogue = build_catalogue([install(name, module(name).replace("    fps = 25.0\n", f"    fps = 25.0\n{circle}"))])
    missing = find_missing(catalogue.metric(f"{name}/metric"), catalogue, WeightResolver({}, cache=private_cache))
    assert missing is not None
    assert f"{name}/extractor" in missing.reason


def test_a_metric_that_lacks_nothing_can_run(install: Install, private_cache: Path) -> None:
    name = "vcbtest_good"
    catalogue = build_catalogue([install(name, module(name))])
    assert find_missing(catalogue.metric(f"{name}/metric"), catalogue, WeightResolver({}, cache=private_cache)) is None


def test_an_optional_package_is_named_with_the_command_that_brings_it(install: Install, private_cache: Path) -> None:
    name = "vcbtest_optional"
    source = module(name).replace("    fps = 25.0\n", '    fps = 25.0\n    packages = ("vcbtest_not_installed",)\n')
    catalogue = build_catalogue([install(name, source)])
    missing = find_missing(catalogue.metric(f"{name}/metric"), catalogue, WeightResolver({}, cache=private_cache))
    assert missing is not None
    assert missing.fix == "pip install vcbtest-not-installed"
