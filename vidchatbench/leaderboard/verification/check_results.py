"""Checks of ``results.json`` against the installed metrics, the suite, the weights table and the benchmark."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from vidchatbench._version import __version__
from vidchatbench.leaderboard.schema import has_credentials
from vidchatbench.leaderboard.verification.context import Context
from vidchatbench.leaderboard.verification.findings import Finding, error, note, warning
from vidchatbench.results.anchors import AnchorEntry, AnchorIdentity
from vidchatbench.results.schema import RESULTS_FILE, MetricResult
from vidchatbench.submission.system import SYSTEM_FILE
from vidchatbench.weights.table import weight_spec

MAX_TEXT_LENGTH = 300


def check_results(context: Context) -> list[Finding]:
    """Returns findings on the results apart from their numbers."""
    return [
        *_check_benchmark(context),
        *_check_run(context),
        *_check_suite(context),
        *(finding for result in context.bundle.results.metrics for finding in _check_metric(context, result)),
        *(finding for result in context.bundle.results.metrics for finding in _check_anchors(context, result)),
        *_check_weights(context),
    ]


def _check_benchmark(context: Context) -> list[Finding]:
    claimed, benchmark = context.bundle.results.benchmark, context.benchmark
    if benchmark is None:
        message = "the benchmark is not at hand, so sample ids and identities were not compared; give --benchmark"
        return [note("benchmark_not_checked", RESULTS_FILE, message)]
    header = benchmark.header
    pairs = (
        ("name", claimed.name, header.name),
        ("version", claimed.version, header.version),
        ("manifest_sha256", claimed.manifest_sha256[:12], header.manifest_sha256[:12]),
        ("n_samples", claimed.n_samples, len(benchmark)),
        ("n_listed", claimed.n_listed, header.n_listed),
    )
    return [
        error(
            "other_benchmark",
            f"{RESULTS_FILE}: benchmark.{name}",
            f"the run says {actual!r:.80}, the board's benchmark has {wanted!r}; evaluate the outputs on "
            f"{header.name} {header.version}",
        )
        for name, actual, wanted in pairs
        if actual != wanted
    ]


def _check_run(context: Context) -> list[Finding]:
    results, findings = context.bundle.results, []
    times = (results.run.started, results.run.finished)
    if any(time.tzinfo is None for time in times):
        findings.append(error("bad_time", f"{RESULTS_FILE}: run", "a time has no zone; runs write times in UTC"))
    elif times[0] > times[1]:
        findings.append(error("bad_time", f"{RESULTS_FILE}: run", "the run finished before it started"))
    if context.bundle.system != results.system:
        message = f"{SYSTEM_FILE} and the system in {RESULTS_FILE} differ; `vidchatbench submit` writes both alike"
        findings.append(error("systems_differ", SYSTEM_FILE, message))
    if _release(results.vidchatbench_version) > _release(__version__):
        message = f"written by vidchatbench {results.vidchatbench_version:.30}, verified by {__version__}: update it"
        findings.append(warning("newer_version", RESULTS_FILE, message))
    for name in ("paper", "code", "weights"):
        if has_credentials(getattr(results.system, name) or ""):
            message = "the link names a user or a password, and would be published with it; give the plain address"
            findings.append(error("bad_link", f"{SYSTEM_FILE}: {name}", message))
    whole = not results.unavailable and all(
        metric.n_error == 0 and (metric.value is not None or metric.n_ok == 0) for metric in results.metrics
    )
    if results.complete != whole:
        message = f"'complete' is {results.complete}, but the metrics say {whole}"
        findings.append(error("complete_differs", f"{RESULTS_FILE}: complete", message))
    if not whole:
        message = "the run is incomplete, so it is listed and not ranked; evaluate again where every metric can run"
        findings.append(warning("incomplete", RESULTS_FILE, message))
    if not results.system.training_data or not results.system.training_overlap:
        message = "training_data and training_overlap are not stated; `vidchatbench submit` asks for them"
        findings.append(warning("no_declaration", SYSTEM_FILE, message))
    return findings


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part[:9]) for part in version.partition("+")[0].split(".")[:3] if part.isdecimal())


def _check_suite(context: Context) -> list[Finding]:
    results, where = context.bundle.results, f"{RESULTS_FILE}: suite"
    metrics = [metric.id for metric in results.metrics] + [metric.id for metric in results.unavailable]
    findings = [
        error("metric_twice", f"{RESULTS_FILE}: {name}", f"the metric stands {count} times; once is right")
        for name, count in sorted(Counter(metrics).items())
        if count > 1
    ]
    if not results.suite.version:
        message = "the metrics were chosen by hand; only a whole suite is ranked: evaluate with --suite"
        return [*findings, warning("custom_suite", where, message)]
    if context.suite is None:
        message = f"there is no suite {results.suite.name!r:.60} here; install the package that brings it"
        return [*findings, error("unknown_suite", where, message)]
    missing = [name for name in context.suite if name not in metrics]
    strange = [name for name in metrics if name not in context.suite]
    suite = f"suite {results.suite.name} v{results.suite.version}"
    if missing:
        message = f"{suite} has {', '.join(missing[:5])}, the run does not; evaluate the whole suite"
        findings.append(error("metric_missing", where, message))
    if strange:
        message = f"{suite} as installed here has no {', '.join(strange[:5])}; another version of the library?"
        findings.append(error("metric_not_in_suite", where, message))
    return findings


def _check_metric(context: Context, result: MetricResult) -> list[Finding]:
    where, card, findings = f"{RESULTS_FILE}: {result.id}", context.cards.get(result.id), []
    if card is None:
        message = "the metric is not installed here, so its protocol, range and worst value were not checked"
        findings.append(warning("metric_not_installed", where, message))
    else:
        pairs = (
            ("protocol", result.protocol, card.protocol),
            ("version", result.version, card.version),
            ("direction", result.direction, card.direction),
            ("aggregation", result.aggregation, card.aggregation),
            ("dimension", result.dimension, card.dimension),
            ("unit", result.unit, card.unit),
            ("title", result.title, card.title),
            ("worst", result.worst, None if result.worst is None else card.worst),
            ("params", dict(result.params), dict(context.params.get(result.id, result.params))),
        )
        findings += [
            error(
                "wrong_protocol" if name in {"protocol", "version"} else "card_differs",
                f"{where}: {name}",
                f"the run says {str(getattr(claimed, 'value', claimed))!r:.80}, the metric's card says "
                f"{str(getattr(expected, 'value', expected))!r}; numbers are compared only under one protocol: "
                "evaluate again with this version of the library and its suite",
            )
            for name, claimed, expected in pairs
            if claimed != expected
        ]
    texts = {"id": result.id, "title": result.title, "protocol": result.protocol, "unit": result.unit}
    findings += [
        error(
            "text_too_long", f"{where[:120]}: {name}", f"the text has {len(text):,} characters, at most 300 are shown"
        )
        for name, text in texts.items()
        if len(text) > MAX_TEXT_LENGTH
    ]
    counts = result.n_ok + result.n_failed + result.n_not_applicable + result.n_error
    if counts != result.n_expected or min(result.n_ok, result.n_failed, result.n_not_applicable, result.n_error) < 0:
        message = f"n_expected is {result.n_expected}, the four counts sum to {counts}"
        findings.append(error("counts_differ", where, message))
    if result.n_expected != context.bundle.results.benchmark.n_samples:
        message = f"n_expected is {result.n_expected}, the benchmark has {context.bundle.results.benchmark.n_samples}"
        findings.append(error("counts_differ", where, message))
    return findings


def _check_anchors(context: Context, result: MetricResult) -> list[Finding]:
    if context.anchors is None or result.anchors.oracle is None:
        return []
    where = f"{RESULTS_FILE}: {result.id}: anchors"
    entry = _find_anchors(context.anchors, result)
    if entry is None:
        message = "the benchmark publishes no anchors for this protocol and these weights; the board shows none"
        return [warning("anchors_unknown", where, message)]
    if entry.anchors == result.anchors:
        return []
    message = "other anchors than the benchmark's; the board uses the benchmark's"
    return [warning("anchors_differ", where, message)]


def _find_anchors(anchors: Mapping[str, tuple[AnchorEntry, ...]], result: MetricResult) -> AnchorEntry | None:
    hashes = tuple(sorted(use.sha256 for use in result.weights))
    identity = AnchorIdentity(result.id, result.version, result.protocol, hashes)
    return next((entry for entry in anchors.get(result.id, ()) if entry.identity == identity), None)


def _check_weights(context: Context) -> list[Finding]:
    findings = []
    for result in context.bundle.results.metrics:
        where, card = f"{RESULTS_FILE}: {result.id}: weights", context.cards.get(result.id)
        named = [use.name for use in result.weights]
        wanted = None if card is None else [weight_spec(context.weights, name).name for name in card.weights]
        if wanted is not None and named != wanted:
            message = f"the run names {', '.join(named) or 'none'}, the metric uses {', '.join(wanted) or 'none'}"
            findings.append(error("weights_differ", where, message))
        for use in result.weights:
            if not use.pin.is_official:
                message = f"{use.name} is pinned as {use.pin.value!r}, not by the table, so the metric is not ranked"
                findings.append(warning("weights_unofficial", where, message))
                if result.unranked is None:
                    message = f"{use.name} is no official weight, but the metric does not say that it is unranked"
                    findings.append(error("ranking_claimed", where, message))
                continue
            spec = context.weights.get(use.name)
            known = None if spec is None else spec.sha256
            before = dict(context.others.weights.get(use.name, {}))
            if known is not None and known != use.sha256:
                message = (
                    f"{use.name} has sha256 {use.sha256[:12]}..., the table says {known[:12]}...; "
                    "`vidchatbench weights verify` shows what lies on the computer that ran it"
                )
                findings.append(error("weights_differ", where, message))
            elif known is None and before and use.sha256 not in before:
                message = f"{use.name} is another file than {', '.join(sorted(before.values())[:3])} used"
                findings.append(error("weights_differ", where, message))
            elif known is None and not before:
                message = f"nobody has published the hash of {use.name}; this is the first bundle that uses it"
                findings.append(note("weights_unknown", where, message))
    return findings
