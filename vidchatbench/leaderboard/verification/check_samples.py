"""Checks of ``samples.parquet``: each row by itself, its value and charge, the samples of each metric, and agreement.

Each group of checks is a table of rules: the code of a finding, and the function that returns its message.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from vidchatbench.api.cards import MetricCard
from vidchatbench.api.samples import TASKS, Role, Sample, benchmark_media
from vidchatbench.api.scores import Detail, Status
from vidchatbench.leaderboard.verification.context import Context
from vidchatbench.leaderboard.verification.findings import Finding, error, warning
from vidchatbench.leaderboard.verification.reading import MediaLine
from vidchatbench.leaderboard.verification.strict import check_json
from vidchatbench.results.files import SAMPLES_FILE
from vidchatbench.results.sample_rows import SampleRow
from vidchatbench.results.schema import MetricResult

SLACK = 1e-9
"""Share by which a value may lie outside its range: another processor rounds the last digits otherwise."""

MAX_VALUE = 1e100
"""Largest size of a score: sums of larger ones leave the range of numbers."""

_STATUSES = {status.value for status in Status}
_FAILED = {status.value for status in Status if status.is_failure_of_output}
_NEVER_NULL = ("sample_id", "cluster", "metric", "protocol", "status", "details", "features")
_MAX_NAMED = 3
_AS_WRITTEN = "take the file that the run wrote"
_DETAILS = TypeAdapter(dict[str, Detail])


def check_samples(context: Context) -> list[Finding]:
    """Returns findings on the rows, apart from the numbers that follow from them."""
    facts = _Facts(context)
    cases = [_Case.of(row, facts) for row in context.bundle.rows]
    return [
        *_check_rows(cases),
        *_check_members(cases, facts),
        *(finding for case in cases for finding in _apply(_AGREEMENT, case)[0]),
        *(finding for case in cases for finding in _apply(_BESIDE_OTHERS, case)[0]),
    ]


def _check_rows(cases: Iterable[_Case]) -> Iterator[Finding]:
    charged: dict[str, set[float | None]] = defaultdict(set)
    for case in cases:
        findings, is_sound = _apply(_FORM, case)
        yield from findings
        if is_sound:
            if case.is_failed and case.card is None:
                charged[case.row.metric].add(case.row.counted)
            yield from _apply(_CHARGE, case)[0]
    for metric, values in sorted(charged.items()):
        if len(values) > 1:
            message = "failed samples are charged different values; the worst value of a metric is one"
            yield error("wrong_charge", f"{SAMPLES_FILE}: {metric}", message)


def _check_members(cases: Iterable[_Case], facts: _Facts) -> Iterator[Finding]:
    by_metric: dict[str, list[_Case]] = defaultdict(list)
    for case in cases:
        by_metric[case.row.metric].append(case)
    for metric in facts.context.bundle.results.metrics:
        own = by_metric[metric.id]
        members = _Members(metric.id, Counter(case.row.sample_id for case in own), facts)
        yield from _apply(_MEMBERSHIP, members)[0]
        yield from (finding for case in own for finding in _apply(_IDENTITY, case)[0])


# --- the subjects of the rules ----------------------------------------------------------------------------------------


class _Facts:
    """Everything that the rows are checked against.

    Args:
        context: The bundle.

    Attributes:
        context: The bundle.
        results: The results by metric.
        samples: The benchmark's samples by id, if it is at hand.
        offered: The media that each of them offers, by role.
        candidates: The submitted file of each sample.
        identities: The identity of every sample that must be there.
        source: Where the identities come from, for messages.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        self.results = {metric.id: metric for metric in context.bundle.results.metrics}
        self.samples = {} if context.benchmark is None else {sample.id: sample for sample in context.benchmark}
        self.offered = {name: benchmark_media(sample) for name, sample in self.samples.items()}
        self.candidates = {line.sample_id: line for line in context.bundle.media if line.role is Role.CANDIDATE}
        if context.benchmark is not None:
            self.source = "the benchmark"
            self.identities = {sample.id: sample.cluster for sample in context.benchmark}
        else:
            self.source = "the other metrics"
            # A row without a sample is refused by itself.
            rows = [row for row in reversed(context.bundle.rows) if row.sample_id is not None]
            self.identities = {row.sample_id: row.cluster for row in rows}


@dataclass(frozen=True)
class _Case:
    """A row with its metric and its sample.

    Attributes:
        row: The row.
        facts: Everything that rows are checked against.
        result: The metric's result, if it has one.
        card: The metric's card, if it is installed.
        sample: The sample, if it is in the benchmark at hand.
        candidate: The submitted file, if there is one.
        details: The row's details; ``None`` where they are no JSON object of numbers, truth values and texts.
        missing: Why the metric does not apply to the sample; ``None`` if it does, or if one of the two is not known.
    """

    row: SampleRow
    facts: _Facts
    result: MetricResult | None
    card: MetricCard | None
    sample: Sample | None
    candidate: MediaLine | None
    details: Mapping[str, Detail] | None
    missing: str | None

    @classmethod
    def of(cls, row: SampleRow, facts: _Facts) -> _Case:
        card, sample = facts.context.cards.get(row.metric), facts.samples.get(row.sample_id)
        missing = None
        if card is not None and sample is not None:
            missing = card.missing_of(sample, facts.offered[sample.id])
        return cls(
            row=row,
            facts=facts,
            result=facts.results.get(row.metric),
            card=card,
            sample=sample,
            candidate=facts.candidates.get(row.sample_id),
            details=_details(row),
            missing=missing,
        )

    @property
    def where(self) -> str:
        row = self.row
        return f"{SAMPLES_FILE}: row {row.line}, sample {str(row.sample_id)[:80]}, {str(row.metric)[:80]}"

    @property
    def is_excused(self) -> bool:
        """Whether the status is ``not_applicable`` though the metric reads the candidate and applies to the sample."""
        applies = self.card is not None and self.sample is not None and self.missing is None
        return applies and self.reads_candidate and self.row.status == Status.NOT_APPLICABLE

    @property
    def never_excused(self) -> bool:
        """Whether the metric applies to the sample whatever the reply is like: it reads nothing but the reply."""
        if self.card is None or self.row.metric not in self.facts.context.candidate_only:
            return False
        return set(self.card.tasks) == set(TASKS) if self.sample is None else self.missing is None

    @property
    def is_failed(self) -> bool:
        return self.row.status in _FAILED

    @property
    def is_of_set(self) -> bool:
        return self.result is not None and self.result.aggregation == "set"

    @property
    def reads_candidate(self) -> bool:
        return self.card is None or Role.CANDIDATE in self.card.roles


def _details(row: SampleRow) -> Mapping[str, Detail] | None:
    try:
        details = _DETAILS.validate_json(row.details)
    except (ValidationError, TypeError):
        return None
    try:
        check_json(row.details)
    except ValueError as error:
        if "twice" in str(error):
            return None
    return details


@dataclass(frozen=True)
class _Members:
    """The samples of one metric: how many rows there are of each."""

    metric: str
    counts: Mapping[str, int]
    facts: _Facts

    @property
    def where(self) -> str:
        return f"{SAMPLES_FILE}: {self.metric}"


_Subject = TypeVar("_Subject", _Case, _Members)


@dataclass(frozen=True)
class _Rule(Generic[_Subject]):
    """One rule.

    Attributes:
        code: Kind of the finding.
        broken: Returns the message where the rule is broken, else ``None``.
        is_final: Whether what breaks it is checked no further.
        report: Makes the finding.
    """

    code: str
    broken: Callable[[_Subject], str | None]
    is_final: bool = False
    report: Callable[[str, str, str], Finding] = error


def _apply(rules: Sequence[_Rule[_Subject]], subject: _Subject) -> tuple[list[Finding], bool]:
    """Returns the findings, and whether no final rule is broken."""
    findings = []
    for rule in rules:
        message = rule.broken(subject)
        if message is not None:
            findings.append(rule.report(rule.code, subject.where, message))
            if rule.is_final:
                return findings, False
    return findings, True


# --- a row by itself --------------------------------------------------------------------------------------------------


def _null(case: _Case) -> str | None:
    missing = [name for name in _NEVER_NULL if getattr(case.row, name) is None]
    return f"{', '.join(missing)} must not be null; {_AS_WRITTEN}" if missing else None


def _not_finite(name: str, value: float | None) -> str | None:
    if value is None or math.isfinite(value):
        return None
    return f"{name} is {value!r}; a score is a finite number, or null where there is none; {_AS_WRITTEN}"


def _too_large(name: str, value: float | None) -> str | None:
    if value is None or abs(value) <= MAX_VALUE:
        return None
    return f"{name} is {value!r}; no score is that large; {_AS_WRITTEN}"


def _damaged_details(case: _Case) -> str | None:
    if case.details is not None:
        return None
    return f"details must be a JSON object of numbers, truth values and texts; {_AS_WRITTEN}"


def _detail_not_finite(case: _Case) -> str | None:
    for name, detail in (case.details or {}).items():
        if isinstance(detail, float) and not math.isfinite(detail):
            return f"detail {name[:50]!r} is {detail!r}; numbers are finite; {_AS_WRITTEN}"
    return None


def _unknown_metric(case: _Case) -> str | None:
    return "results.json has no such metric" if case.result is None else None


def _wrong_protocol(case: _Case) -> str | None:
    if case.result is None or case.row.protocol == case.result.protocol:
        return None
    return f"the row is of protocol {case.row.protocol:.80}, results.json says {case.result.protocol:.80}"


def _bad_status(case: _Case) -> str | None:
    if case.row.status in _STATUSES:
        return None
    return f"{case.row.status!r:.40} is none of {', '.join(sorted(_STATUSES))}"


_FORM = (
    _Rule("bad_row", _null, is_final=True),
    _Rule[_Case]("nan", lambda case: _not_finite("value", case.row.value), is_final=True),
    _Rule[_Case]("bad_row", lambda case: _too_large("value", case.row.value), is_final=True),
    _Rule[_Case]("nan", lambda case: _not_finite("counted", case.row.counted), is_final=True),
    _Rule[_Case]("bad_row", lambda case: _too_large("counted", case.row.counted), is_final=True),
    _Rule("bad_row", _damaged_details, is_final=True),
    _Rule("nan", _detail_not_finite, is_final=True),
    _Rule("unknown_metric", _unknown_metric, is_final=True),
    _Rule("wrong_protocol", _wrong_protocol),
    _Rule("bad_status", _bad_status, is_final=True),
)
"""A row breaks one of these before its value and charge mean anything."""


# --- a row's value and charge -----------------------------------------------------------------------------------------


def _status_and_value(case: _Case) -> str | None:
    row = case.row
    if (row.value is not None) == (row.status == Status.OK):
        return None
    return f"status is {row.status!r} and value {row.value!r}; there is a value exactly where the status is 'ok'"


def _wrong_charge(case: _Case) -> str | None:
    row, expected = case.row, _expected_charge(case)
    is_uncharged = case.is_failed and not case.is_of_set and row.counted is None
    if row.counted == expected and not is_uncharged:
        return None
    return (
        f"status {row.status!r} counts {row.counted!r}, it must count {expected!r}: "
        "an 'ok' sample its value, a failed one the metric's worst value, all others nothing"
    )


def _expected_charge(case: _Case) -> float | None:
    if case.is_of_set:
        return None
    if not case.is_failed:
        return case.row.value
    # What a metric that is not installed charges is not known; that it is one value is checked once for all rows.
    return case.row.counted if case.card is None else case.card.worst


def _out_of_range(case: _Case) -> str | None:
    card, value = case.card, case.row.value
    if card is None or value is None or case.is_of_set:
        return None
    low = -math.inf if card.minimum is None else card.minimum - SLACK * max(1.0, abs(card.minimum))
    high = math.inf if card.maximum is None else card.maximum + SLACK * max(1.0, abs(card.maximum))
    if low <= value <= high:
        return None
    return f"the value {value!r} lies outside the metric's range [{card.minimum}, {card.maximum}]"


_CHARGE = (
    _Rule("status_and_value", _status_and_value, is_final=True),
    _Rule("wrong_charge", _wrong_charge),
    _Rule("out_of_range", _out_of_range),
)


# --- the samples of a metric ------------------------------------------------------------------------------------------


def _some(names: list[str]) -> str:
    shown = ", ".join(name[:60] for name in names[:_MAX_NAMED])
    return shown if len(names) <= _MAX_NAMED else f"{shown} (and {len(names) - _MAX_NAMED} more)"


def _twice(members: _Members) -> str | None:
    names = sorted(str(name) for name, count in members.counts.items() if count > 1)
    return f"sample {_some(names)} stands more than once; once is right" if names else None


def _missing_samples(members: _Members) -> str | None:
    names = sorted(name for name in members.facts.identities if name not in members.counts)
    if not names:
        return None
    source = members.facts.source
    return f"sample {_some(names)} of {source} is not there; a lost reply is a row with status output_missing"


def _unknown_samples(members: _Members) -> str | None:
    names = sorted(str(name) for name in members.counts if name not in members.facts.identities)
    return f"sample {_some(names)} is not in {members.facts.source}" if names else None


_MEMBERSHIP = (
    _Rule("sample_twice", _twice),
    _Rule("sample_missing", _missing_samples),
    _Rule("unknown_sample", _unknown_samples),
)


def _wrong_identity(case: _Case) -> str | None:
    identities = case.facts.identities
    if case.row.sample_id not in identities or case.row.cluster == identities[case.row.sample_id]:
        return None
    expected = identities[case.row.sample_id]
    return f"the identity is {case.row.cluster!r:.60}, {case.facts.source} say {expected!r:.60}"


_IDENTITY = (_Rule("wrong_identity", _wrong_identity),)


# --- a row beside the media and the manifest --------------------------------------------------------------------------


def _applied_in_vain(case: _Case) -> str | None:
    if case.missing is None or case.row.status == Status.NOT_APPLICABLE:
        return None
    return f"status is {case.row.status!r}, but {case.missing}; it must be 'not_applicable'"


def _missing_though_found(case: _Case) -> str | None:
    if case.candidate is None or case.row.status != Status.OUTPUT_MISSING:
        return None
    return f"status is 'output_missing', but {case.candidate.file:.80} was found"


def _scored_without_media(case: _Case) -> str | None:
    status = case.row.status
    if case.candidate is not None or not case.reads_candidate or status not in {Status.OK, Status.OUTPUT_INVALID}:
        return None
    return f"status is {status!r}, but media.jsonl has no candidate of this sample"


def _scored_though_unreadable(case: _Case) -> str | None:
    line = case.candidate
    if line is None or line.problem is None or not case.reads_candidate or case.row.status != Status.OK:
        return None
    return f"status is 'ok', but media.jsonl says of {line.file:.60}: {line.problem:.100}"


def _excused_though_unreadable(case: _Case) -> str | None:
    line = case.candidate
    if line is None or line.problem is None or not case.is_excused:
        return None
    return f"media.jsonl says of {line.file:.60} that it is unreadable; the status must be 'output_invalid'"


def _excused_though_missing(case: _Case) -> str | None:
    if case.candidate is not None or not case.is_excused:
        return None
    return "status is 'not_applicable', but there is no candidate; it must be 'output_missing'"


def _excused_without_cause(case: _Case) -> str | None:
    if case.row.status != Status.NOT_APPLICABLE or not case.never_excused:
        return None
    return "status is 'not_applicable', but the metric reads nothing but the reply, so it applies to every sample"


_AGREEMENT = (
    _Rule("status_impossible", _applied_in_vain, is_final=True),
    _Rule("status_impossible", _missing_though_found, is_final=True),
    _Rule("no_media", _scored_without_media, is_final=True),
    _Rule("status_impossible", _scored_though_unreadable, is_final=True),
    _Rule("status_impossible", _excused_though_unreadable, is_final=True),
    _Rule("status_impossible", _excused_though_missing, is_final=True),
    _Rule("status_impossible", _excused_without_cause, is_final=True),
)
"""A sample's status agrees with the media and the manifest in every metric."""


# --- a row beside other bundles ---------------------------------------------------------------------------------------


def _applies_to_others(case: _Case) -> str | None:
    row, context = case.row, case.facts.context
    if row.status != Status.NOT_APPLICABLE:
        return None
    manifest = context.bundle.results.benchmark.manifest_sha256
    other = context.others.scored.get((manifest, row.protocol, row.sample_id))
    if other is None:
        return None
    return f"status is 'not_applicable', but {other} has a score there; look at the reason: {row.reason!r:.120}"


_BESIDE_OTHERS = (_Rule("applies_to_others", _applies_to_others, report=warning),)
