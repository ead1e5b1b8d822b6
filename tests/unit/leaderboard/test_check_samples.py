"""The rules of ``samples.parquet``, one by one: what breaks each, what does not, and which of several is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from leaderboard_bundles import Plan, make_benchmark, make_run

from vidchatbench.api.samples import Role
from vidchatbench.benchmark.format import Benchmark
from vidchatbench.leaderboard.verification.check_samples import MAX_VALUE, SLACK, check_samples
from vidchatbench.leaderboard.verification.context import Context, Others, make_context
from vidchatbench.leaderboard.verification.findings import Finding
from vidchatbench.leaderboard.verification.reading import Bundle, MediaLine, read_run
from vidchatbench.plugins.catalogue import load_catalogue
from vidchatbench.results.sample_rows import SampleRow

PSNR, SPEECH, FACES, SET = (
    "video_quality/psnr", "voice/dnsmos_ovr", "video_quality/face_presence", "emotion/expression_fd_tddfa",
)  # fmt: skip
FINITE = "a score is a finite number, or null where there is none"
AS_WRITTEN = "; take the file that the run wrote"
NAN, INFINITE = float("nan"), float("inf")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Benchmark, Bundle]:
    """Twelve samples, of which the last has no reference, 3 no output and 4 an unusable one."""
    root = tmp_path_factory.mktemp("world")
    benchmark = make_benchmark(root / "benchmark", anchors=False)
    bundle, refused = read_run(make_run(root / "run", benchmark, Plan(missing=(3,), invalid=(4,))))
    assert bundle is not None
    assert not refused
    return benchmark, bundle


class Case:
    """A bundle to spoil, and what is found in it."""

    def __init__(self, benchmark: Benchmark, bundle: Bundle) -> None:
        self.benchmark: Benchmark | None = benchmark
        self.bundle = bundle
        self.others = Others()
        self.cards: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict

    def row(self, k: int, metric: str = PSNR) -> SampleRow:
        return next(r for r in self.bundle.rows if r.metric == metric and r.sample_id == f"sample {k:02d}")

    def change(self, k: int, metric: str = PSNR, /, **changes: object) -> Case:
        old = self.row(k, metric)
        rows = tuple(replace(r, **changes) if r is old else r for r in self.bundle.rows)  # type: ignore[arg-type]
        self.bundle = replace(self.bundle, rows=rows)
        return self

    def media(self, change: Callable[[MediaLine], MediaLine | None]) -> Case:
        lines = tuple(line for old in self.bundle.media if (line := change(old)) is not None)
        self.bundle = replace(self.bundle, media=lines)
        return self

    def findings(self) -> list[Finding]:
        context: Context = make_context(
            "ours@v1", self.bundle, load_catalogue(), benchmark=self.benchmark, anchors=None, others=self.others
        )
        return check_samples(replace(context, cards=self.cards(context.cards)))

    def told(self) -> list[tuple[str, str]]:
        return [(finding.code, finding.message) for finding in self.findings()]


@pytest.fixture
def case(world: tuple[Benchmark, Bundle]) -> Case:
    return Case(*world)


def without(*metrics: str) -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
    return lambda cards: {name: card for name, card in cards.items() if name not in metrics}


def candidate(k: int, **changes: object) -> Callable[[MediaLine], MediaLine | None]:
    """Changes the line of a candidate; without changes, drops it."""

    def change(line: MediaLine) -> MediaLine | None:
        if line.role.value != "candidate" or line.sample_id != f"sample {k:02d}":
            return line
        return line.model_copy(update=changes) if changes else None

    return change


def test_an_honest_run_keeps_every_rule(case: Case) -> None:
    assert case.told() == []
    case.benchmark = None
    assert case.told() == []
    case.cards = lambda cards: {}
    assert case.told() == []


# --- a row by itself --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"cluster": None, "details": None}, "bad_row", "cluster, details must not be null"),
        ({"protocol": None, "features": None}, "bad_row", "protocol, features must not be null"),
        ({"value": NAN}, "nan", f"value is nan; {FINITE}"),
        ({"value": -INFINITE}, "nan", f"value is -inf; {FINITE}"),
        ({"counted": INFINITE}, "nan", f"counted is inf; {FINITE}"),
        ({"value": 2 * MAX_VALUE}, "bad_row", "value is 2e+100; no score is that large"),
        ({"counted": -2 * MAX_VALUE}, "bad_row", "counted is -2e+100; no score is that large"),
        ({"value": 2 * MAX_VALUE, "counted": NAN}, "bad_row", "value is 2e+100; no score is that large"),
        ({"counted": NAN, "details": "["}, "nan", f"counted is nan; {FINITE}"),
        ({"details": "["}, "bad_row", "details must be a JSON object of numbers, truth values and texts"),
        ({"details": "[]"}, "bad_row", "details must be a JSON object of numbers, truth values and texts"),
        ({"details": '{"a": [1]}'}, "bad_row", "details must be a JSON object of numbers, truth values and texts"),
        ({"details": '{"a": 1, "b": NaN}'}, "nan", "detail 'b' is nan; numbers are finite"),
        ({"details": '{"' + "x" * 60 + '": Infinity}'}, "nan", f"detail '{'x' * 50}' is inf; numbers are finite"),
    ],
)  # fmt: skip
def test_a_damaged_row_is_told_once(case: Case, changes: dict[str, object], code: str, message: str) -> None:
    case.benchmark = None
    line = case.row(0).line
    (first, *others) = case.change(0, **{"protocol": "other/v1", **changes}).findings()
    assert (first.severity, first.code, first.message) == ("error", code, message + AS_WRITTEN)
    assert first.where == f"samples.parquet: row {line}, sample sample 00, {PSNR}"
    assert {finding.code for finding in others} <= {"wrong_identity"}


def test_the_largest_score_is_no_damage(case: Case) -> None:
    case.cards = without(PSNR)
    assert case.change(0, value=MAX_VALUE, counted=MAX_VALUE).told() == []


@pytest.mark.parametrize("details", ["{}", '{"a": 1.5, "b": "NaN", "c": true, "d": 3}'])
def test_details_are_numbers_truth_values_and_texts(case: Case, details: str) -> None:
    assert case.change(0, details=details).told() == []


def test_a_row_of_no_metric_is_checked_no_further(case: Case) -> None:
    found = case.change(0, metric="no/such", protocol="p/v1", status="great").told()
    assert found[0] == ("unknown_metric", "results.json has no such metric")
    assert [code for code, _ in found] == ["unknown_metric", "sample_missing"]


def test_a_wrong_protocol_does_not_hide_a_bad_status(case: Case) -> None:
    protocol = case.row(1).protocol
    found = case.change(0, protocol="x" * 100, status="great", value=None).told()
    assert found == [
        ("wrong_protocol", f"the row is of protocol {'x' * 80}, results.json says {protocol}"),
        ("bad_status", "'great' is none of error, judge_failed, not_applicable, ok, output_invalid, output_missing"),
    ]


# --- value and charge -------------------------------------------------------------------------------------------------

CHARGES = "an 'ok' sample its value, a failed one the metric's worst value, all others nothing"


@pytest.mark.parametrize(
    ("status", "value"), [("ok", None), ("output_invalid", 5.0), ("error", 5.0), ("not_applicable", 5.0)]
)
def test_there_is_a_value_exactly_where_the_status_is_ok(case: Case, status: str, value: float | None) -> None:
    (first, *_) = case.change(0, status=status, value=value, counted=77.0).told()
    told = "there is a value exactly where the status is 'ok'"
    assert first == ("status_and_value", f"status is {status!r} and value {value!r}; {told}")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"status": "ok", "value": 5.0, "counted": 6.0}, 5.0),
        ({"status": "ok", "value": 5.0, "counted": None}, 5.0),
        ({"status": "output_invalid", "value": None, "counted": 6.0}, 0.0),
        ({"status": "output_invalid", "value": None, "counted": None}, 0.0),
        ({"status": "error", "value": None, "counted": 0.0}, None),
    ],
)
def test_a_sample_counts_what_it_must(case: Case, changes: dict[str, Any], expected: float | None) -> None:
    message = f"status {changes['status']!r} counts {changes['counted']!r}, it must count {expected!r}: {CHARGES}"
    assert case.change(0, **changes).told() == [("wrong_charge", message)]


def test_a_metric_of_sets_charges_nothing(case: Case) -> None:
    message = f"status 'ok' counts 1.0, it must count None: {CHARGES}"
    assert case.change(0, SET, counted=1.0).told() == [("wrong_charge", message)]
    case.change(0, SET, counted=None, value=-1e6)
    assert case.told() == [], "its samples have no range"
    case.cards = without(SET)
    assert case.told() == []


def test_failures_of_a_metric_that_is_not_installed_are_charged_one_value(case: Case) -> None:
    case.cards = without(PSNR)
    case.change(3, counted=7.0)
    message = "failed samples are charged different values; the worst value of a metric is one"
    (found,) = case.findings()
    assert (found.code, found.where, found.message) == ("wrong_charge", f"samples.parquet: {PSNR}", message)
    assert case.change(4, counted=7.0).told() == []


def test_failures_of_a_metric_that_is_not_installed_are_charged_something(case: Case) -> None:
    case.cards = without(PSNR)
    message = f"status 'output_missing' counts None, it must count None: {CHARGES}"
    assert case.change(3, counted=None).change(4, counted=None).told()[0] == ("wrong_charge", message)


def test_only_sound_failures_say_what_is_charged(case: Case) -> None:
    case.cards = without(PSNR)
    found = case.change(3, counted=7.0, details="[").told()
    assert [code for code, _ in found] == ["bad_row"]
    assert case.change(3, counted=7.0, details="{}", status="lost").told()[0][0] == "bad_status"
    assert "wrong_charge" not in {code for code, _ in case.told()}


@pytest.mark.parametrize(
    ("value", "is_inside"),
    [(0.0, True), (100.0, True), (-0.5 * SLACK, True), (-2 * SLACK, False), (100 + 50 * SLACK, True),
     (100 + 200 * SLACK, False)],
)  # fmt: skip
def test_a_value_lies_in_the_range_of_its_metric(case: Case, value: float, is_inside: bool) -> None:
    told = [] if is_inside else [("out_of_range", f"the value {value!r} lies outside the metric's range [0.0, 100.0]")]
    assert case.change(0, value=value, counted=value).told() == told


@pytest.mark.parametrize(("limits", "value"), [({"minimum": None}, -1e9), ({"maximum": None}, 1e9)])
def test_a_range_may_be_open(case: Case, limits: dict[str, None], value: float) -> None:
    case.cards = lambda cards: {**cards, PSNR: cards[PSNR].model_copy(update=limits)}
    assert case.change(0, value=value, counted=value).told() == []
    assert [code for code, _ in case.change(0, value=-value, counted=-value).told()] == ["out_of_range"]


# --- the samples of a metric ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("at_hand", "source"), [(True, "the benchmark"), (False, "the other metrics")])
def test_every_sample_is_there_once(case: Case, at_hand: bool, source: str) -> None:
    case.benchmark = case.benchmark if at_hand else None
    cluster = case.row(0).cluster
    found = case.change(1, sample_id="sample 00", cluster=cluster).findings()
    membership = [finding for finding in found if finding.where == f"samples.parquet: {PSNR}"]
    assert [(finding.code, finding.message) for finding in membership] == [
        ("sample_twice", "sample sample 00 stands more than once; once is right"),
        (
            "sample_missing",
            f"sample sample 01 of {source} is not there; a lost reply is a row with status output_missing",
        ),
    ]


def test_a_sample_that_nobody_knows_is_named(case: Case) -> None:
    found = case.change(0, sample_id="x" * 90).told()
    assert ("unknown_sample", f"sample {'x' * 60} is not in the benchmark") in found
    case.benchmark = None
    assert "unknown_sample" not in {code for code, _ in case.told()}, "without a benchmark, nobody knows better"


@pytest.mark.parametrize(
    ("n", "shown"),
    [
        (1, "sample 00"),
        (3, "sample 00, sample 01, sample 02"),
        (4, "sample 00, sample 01, sample 02 (and 1 more)"),
        (6, "sample 00, sample 01, sample 02 (and 3 more)"),
    ],
)
def test_of_many_samples_the_first_three_are_named(case: Case, n: int, shown: str) -> None:
    gone = {f"sample {k:02d}" for k in range(n)}
    rows = tuple(r for r in case.bundle.rows if r.metric != PSNR or r.sample_id not in gone)
    case.bundle = replace(case.bundle, rows=rows)
    told = f"sample {shown} of the benchmark is not there; a lost reply is a row with status output_missing"
    assert case.told() == [("sample_missing", told)]


@pytest.mark.parametrize(("at_hand", "source"), [(True, "the benchmark"), (False, "the other metrics")])
def test_a_sample_has_one_identity(case: Case, at_hand: bool, source: str) -> None:
    case.benchmark = case.benchmark if at_hand else None
    last = case.bundle.rows[-1].metric
    where = case.row(0, last).line
    (found,) = case.change(0, last, cluster="y" * 70).findings()
    assert found.code == "wrong_identity"
    assert found.where == f"samples.parquet: row {where}, sample sample 00, {last}"
    assert found.message == f"the identity is {repr('y' * 70)[:60]}, {source} say 'speaker 0'"


# --- media and manifest -----------------------------------------------------------------------------------------------


def excused(case: Case, k: int, metric: str = PSNR) -> Case:
    return case.change(k, metric, status="not_applicable", value=None, counted=None)


def test_a_metric_that_cannot_apply_has_no_score(case: Case) -> None:
    found = case.change(11, status="ok", value=5.0, counted=5.0).told()
    assert found == [
        ("status_impossible", "status is 'ok', but the sample has no reference; it must be 'not_applicable'")
    ]


def test_a_metric_is_not_for_every_task(case: Case) -> None:
    assert case.benchmark is not None
    first, *others = case.benchmark
    monologue = first.model_copy(update={"task": "single"})
    case.benchmark = replace(case.benchmark, samples=(monologue, *others))
    only_dialogue = {"tasks": ("dialogue",)}
    case.cards = lambda cards: {**cards, PSNR: cards[PSNR].model_copy(update=only_dialogue)}
    told = "status is 'ok', but the metric does not apply to task 'single'; it must be 'not_applicable'"
    assert case.told() == [("status_impossible", told)]
    assert excused(case, 0).told() == []


def test_what_cannot_apply_is_told_before_all_else(case: Case) -> None:
    case.change(11, status="output_missing", counted=0.0)
    told = "status is 'output_missing', but the sample has no reference; it must be 'not_applicable'"
    assert case.told() == [("status_impossible", told)]


@pytest.mark.parametrize("metric", [PSNR, SPEECH])
@pytest.mark.parametrize("installed", [True, False])
def test_an_output_that_is_there_is_not_missing(case: Case, metric: str, installed: bool) -> None:
    case.cards = dict if installed else without(metric)
    worst = case.row(3, metric).counted
    case.change(0, metric, status="output_missing", value=None, counted=worst)
    assert case.told() == [("status_impossible", "status is 'output_missing', but sample 00.mp4 was found")]


@pytest.mark.parametrize("installed", [True, False])
@pytest.mark.parametrize("status", ["ok", "output_invalid"])
def test_without_an_output_nothing_is_scored(case: Case, status: str, installed: bool) -> None:
    case.cards = dict if installed else without(PSNR)
    value = 5.0 if status == "ok" else None
    case.change(3, status=status, value=value, counted=5.0 if status == "ok" else 0.0)
    told = f"status is {status!r}, but media.jsonl has no candidate of this sample"
    assert case.told() == [("no_media", told)]


def test_a_metric_that_reads_no_candidate_needs_none(case: Case) -> None:
    case.cards = lambda cards: {**cards, PSNR: cards[PSNR].model_copy(update={"roles": (Role.REFERENCE,)})}
    assert case.change(3, status="ok", value=5.0, counted=5.0).told() == []
    assert excused(case, 3).told() == []
    case.media(candidate(4, problem="no moov atom"))
    assert excused(case, 4).told() == []
    assert case.change(4, status="ok", value=5.0, counted=5.0).told() == []


@pytest.mark.parametrize("installed", [True, False])
def test_an_unreadable_output_has_no_score(case: Case, installed: bool) -> None:
    case.cards = dict if installed else (lambda cards: {})
    case.media(candidate(0, problem="e" * 200))
    found = case.told()
    assert found
    assert set(found) == {("status_impossible", f"status is 'ok', but media.jsonl says of sample 00.mp4: {'e' * 100}")}


def test_an_unreadable_output_is_the_submissions_fault(case: Case) -> None:
    case.media(candidate(4, problem="no moov atom"))
    assert case.told() == []
    told = "media.jsonl says of sample 04.mp4 that it is unreadable; the status must be 'output_invalid'"
    assert excused(case, 4).told() == [("status_impossible", told)]
    case.benchmark = None
    assert case.told() == [], "the sample may lack something"


def test_a_missing_output_is_the_submissions_fault(case: Case) -> None:
    told = "status is 'not_applicable', but there is no candidate; it must be 'output_missing'"
    assert excused(case, 3).told() == [("status_impossible", told)]
    case.cards = without(PSNR)
    assert case.told() == [], "the metric may not apply"
    case.cards, case.benchmark = dict, None
    assert case.told() == []


def test_a_readable_output_may_be_beside_the_point(case: Case) -> None:
    assert excused(case, 0).told() == [], "an extractor may say that a metric does not apply"


def test_media_of_another_role_are_no_output(case: Case) -> None:
    roles: Sequence[str] = [line.role.value for line in case.bundle.media if line.sample_id == "sample 03"]
    assert "reference" in roles
    assert "candidate" not in roles
    assert case.told() == []


# --- other bundles ----------------------------------------------------------------------------------------------------


def test_what_applies_to_others_is_worth_a_look(case: Case) -> None:
    manifest = case.bundle.results.benchmark.manifest_sha256
    protocol = case.row(0).protocol
    case.others = Others(scored={(manifest, protocol, "sample 00"): "theirs@v1"})
    assert case.told() == [], "a score of one's own is no contradiction"
    excused(case, 0).change(0, reason="r" * 200)
    excused(case, 1)
    where = case.row(0).line
    (found,) = case.findings()
    assert (found.severity, found.code) == ("warning", "applies_to_others")
    assert found.where == f"samples.parquet: row {where}, sample sample 00, {PSNR}"
    told = "status is 'not_applicable', but theirs@v1 has a score there; look at the reason: "
    assert found.message == told + repr("r" * 200)[:120]


def test_the_findings_stand_in_the_order_of_the_checks(case: Case, tmp_path: Path) -> None:
    manifest = case.bundle.results.benchmark.manifest_sha256
    case.others = Others(scored={(manifest, case.row(5).protocol, "sample 05"): "theirs@v1"})
    excused(case, 5)
    case.change(0, status="output_missing", value=None, counted=0.0).change(1, cluster="somebody")
    case.change(2, FACES, counted=-1.0)
    assert [code for code, _ in case.told()] == [
        "wrong_charge",
        "wrong_identity",
        "status_impossible",
        "applies_to_others",
    ]
