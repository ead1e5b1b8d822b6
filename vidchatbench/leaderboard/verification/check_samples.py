"""Checks of ``samples.parquet``: who is there, what is said of each, and that one row does not contradict another."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from vidchatbench.api.cards import MetricCard
from vidchatbench.api.samples import Role, Sample, benchmark_media
from vidchatbench.api.scores import Status
from vidchatbench.leaderboard.verification.context import Context
from vidchatbench.leaderboard.verification.findings import Finding, error, warning
from vidchatbench.leaderboard.verification.tables import check_row
from vidchatbench.results.files import SAMPLES_FILE
from vidchatbench.results.sample_rows import SampleRow
from vidchatbench.results.schema import MetricResult

SLACK = 1e-9
"""Share by which a value may lie outside its range: another processor rounds the last digits otherwise."""

_STATUSES = {status.value for status in Status}
_FAILED = {status.value for status in Status if status.is_failure_of_output}


def check_samples(context: Context) -> list[Finding]:
    """Returns what is wrong with the rows, apart from the numbers that follow from them."""
    return [*_check_rows(context), *_check_membership(context), *_check_agreement(context), *_check_others(context)]


def _where(row: SampleRow) -> str:
    return f"{SAMPLES_FILE}: row {row.line}, sample {str(row.sample_id)[:80]}, {str(row.metric)[:80]}"


def _check_rows(context: Context) -> Iterator[Finding]:
    results = {metric.id: metric for metric in context.bundle.results.metrics}
    worst: dict[str, set[float | None]] = defaultdict(set)
    for row in context.bundle.rows:
        problem = check_row(row)
        if problem is not None:
            code = "nan" if "finite" in problem else "bad_row"
            yield error(code, _where(row), f"{problem}; take the file that the run wrote")
            continue
        result = results.get(row.metric)
        if result is None:
            yield error("unknown_metric", _where(row), "results.json has no such metric")
            continue
        if row.protocol != result.protocol:
            message = f"the row is of protocol {row.protocol:.80}, results.json says {result.protocol:.80}"
            yield error("wrong_protocol", _where(row), message)
        if row.status not in _STATUSES:
            yield error("bad_status", _where(row), f"{row.status!r:.40} is none of {', '.join(sorted(_STATUSES))}")
            continue
        if row.status in _FAILED:
            worst[row.metric].add(row.counted)
        yield from _check_charge(row, result, context.cards.get(row.metric))
    for metric, charged in sorted(worst.items()):
        if metric not in context.cards and len(charged) > 1:
            message = "failed samples are charged different values; the worst value of a metric is one"
            yield error("wrong_charge", f"{SAMPLES_FILE}: {metric}", message)


def _check_charge(row: SampleRow, result: MetricResult, card: MetricCard | None) -> Iterator[Finding]:
    has_value, is_ok = row.value is not None, row.status == Status.OK.value
    if has_value != is_ok:
        message = f"status is {row.status!r} and value {row.value!r}; there is a value exactly where the status is 'ok'"
        yield error("status_and_value", _where(row), message)
        return
    if result.aggregation == "set":
        expected: float | None = None
    elif row.status in _FAILED:
        expected = row.counted if card is None else card.worst
    else:
        expected = row.value
    if row.counted != expected or (row.status in _FAILED and result.aggregation == "mean" and row.counted is None):
        message = (
            f"status {row.status!r} counts {row.counted!r}, it must count {expected!r}: "
            "an 'ok' sample its value, a failed one the metric's worst value, all others nothing"
        )
        yield error("wrong_charge", _where(row), message)
    if card is None or row.value is None or result.aggregation == "set":
        return
    least = -float("inf") if card.minimum is None else card.minimum - SLACK * max(1.0, abs(card.minimum))
    most = float("inf") if card.maximum is None else card.maximum + SLACK * max(1.0, abs(card.maximum))
    if not least <= row.value <= most:
        message = f"the value {row.value!r} lies outside the metric's range [{card.minimum}, {card.maximum}]"
        yield error("out_of_range", _where(row), message)


def _check_membership(context: Context) -> Iterator[Finding]:
    expected = _expected(context)
    told = "the benchmark" if context.benchmark is not None else "the other metrics"
    for metric in context.bundle.results.metrics:
        where = f"{SAMPLES_FILE}: {metric.id}"
        rows = context.rows.get(metric.id, ())
        counts = Counter(row.sample_id for row in rows)
        twice = sorted(str(name) for name, count in counts.items() if count > 1)
        missing = sorted(name for name in expected if name not in counts)
        strange = sorted(str(name) for name in counts if name not in expected)
        if twice:
            yield error("sample_twice", where, f"sample {_some(twice)} stands more than once; once is right")
        if missing:
            message = (
                f"sample {_some(missing)} of {told} is not there; a lost reply is a row with status output_missing"
            )
            yield error("sample_missing", where, message)
        if strange:
            yield error("unknown_sample", where, f"sample {_some(strange)} is not in {told}")
        for row in rows:
            if row.sample_id in expected and row.cluster != expected[row.sample_id]:
                message = f"the identity is {row.cluster!r:.60}, {told} say {expected[row.sample_id]!r:.60}"
                yield error("wrong_identity", _where(row), message)


def _some(names: list[str]) -> str:
    shown = ", ".join(name[:60] for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} (and {len(names) - 3} more)"  # noqa: PLR2004


def _expected(context: Context) -> Mapping[str, str]:
    if context.benchmark is not None:
        return {sample.id: sample.cluster for sample in context.benchmark}
    return {row.sample_id: row.cluster for row in reversed(context.bundle.rows)}


def _check_agreement(context: Context) -> Iterator[Finding]:
    """What is known of a sample's reply is the same in every metric, and follows from the media and the manifest."""
    candidates = {line.sample_id: line for line in context.bundle.media if line.role is Role.CANDIDATE}
    samples = {} if context.benchmark is None else {sample.id: sample for sample in context.benchmark}
    for row in context.bundle.rows:
        card = context.cards.get(row.metric)
        sample = samples.get(row.sample_id)
        not_applicable = row.status == Status.NOT_APPLICABLE.value
        if card is not None and sample is not None and (lack := _lack(card, sample)) is not None and not not_applicable:
            message = f"status is {row.status!r}, but {lack}; it must be 'not_applicable'"
            yield error("status_impossible", _where(row), message)
            continue
        line = candidates.get(row.sample_id)
        reads_candidate = card is None or Role.CANDIDATE in card.roles
        if line is not None and row.status == Status.OUTPUT_MISSING.value:
            yield error("status_impossible", _where(row), f"status is 'output_missing', but {line.file:.80} was found")
        elif line is None and reads_candidate and row.status in {Status.OK.value, Status.OUTPUT_INVALID.value}:
            message = f"status is {row.status!r}, but media.jsonl has no candidate of this sample"
            yield error("no_media", _where(row), message)
        elif line is not None and line.problem is not None and reads_candidate and row.status == Status.OK.value:
            message = f"status is 'ok', but media.jsonl says of {line.file:.60}: {line.problem:.100}"
            yield error("status_impossible", _where(row), message)
        elif line is not None and line.problem is not None and reads_candidate and not_applicable and card is not None:
            message = f"media.jsonl says of {line.file:.60} that it is unreadable; the status must be 'output_invalid'"
            if sample is not None and _lack(card, sample) is None:
                yield error("status_impossible", _where(row), message)
        elif line is None and reads_candidate and not_applicable and sample is not None and card is not None:
            message = "status is 'not_applicable', but there is no candidate; it must be 'output_missing'"
            if _lack(card, sample) is None:
                yield error("status_impossible", _where(row), message)


def _lack(card: MetricCard, sample: Sample) -> str | None:
    if sample.task not in card.tasks:
        return f"the metric is not for task {sample.task!r}"
    offered = benchmark_media(sample)
    lacking = [role.value for role in card.roles if role is not Role.CANDIDATE and role not in offered]
    return f"the sample has no {lacking[0].replace('_', ' ')}" if lacking else None


def _check_others(context: Context) -> Iterator[Finding]:
    manifest = context.bundle.results.benchmark.manifest_sha256
    for row in context.bundle.rows:
        if row.status != Status.NOT_APPLICABLE.value:
            continue
        other = context.others.scored.get((manifest, row.protocol, row.sample_id))
        if other is not None:
            message = (
                f"status is 'not_applicable', but {other} has a score there; look at the reason: {row.reason!r:.120}"
            )
            yield warning("applies_to_others", _where(row), message)
