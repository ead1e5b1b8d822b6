"""Aggregation is where a lost sample could vanish: every count, charge and bit of it is pinned here."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from pydantic import ValidationError

from vidchatbench.api.cards import MetricCard
from vidchatbench.api.features import Feature, Need, Param
from vidchatbench.api.metrics import Metric
from vidchatbench.api.plugins import WeightSpec
from vidchatbench.api.samples import Sample, Side
from vidchatbench.api.scores import Score, Status
from vidchatbench.engine.journal import JOURNAL_FILE, Journal, read_journal
from vidchatbench.errors import InputError
from vidchatbench.results.aggregate import Record, aggregate
from vidchatbench.results.files import SAMPLES_SCHEMA, samples_parquet, write_run
from vidchatbench.results.schema import (
    UNSEEN,
    Anchors,
    BenchmarkRef,
    Environment,
    MetricResult,
    Policy,
    Results,
    RunInfo,
    SuiteRef,
    load_results,
)
from vidchatbench.submission.system import SystemDescription

SHA = "0" * 64


def card(**changes: object) -> MetricCard:
    content: dict[str, object] = {
        "id": "family/name", "version": 3, "title": "Name", "dimension": "identity", "direction": "higher",
        "unit": "dB", "minimum": 0.0, "maximum": 100.0, "worst": 1.0, "roles": ("candidate",), "aggregation": "mean",
        "protocol": "name/v1", "protocol_text": "p", "description": "d", "code_license": "MIT",
        "commercial_use": True, "citation": "c", "source": "s",
    }  # fmt: skip
    return MetricCard.model_validate({**content, **changes})


class Plain(Metric):
    default_card = card()
    defaults: ClassVar[Mapping[str, Param]] = {"fps": 25.0}

    def needs(self) -> tuple[Need, ...]:
        return ()

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        raise AssertionError


class Weighted(Plain):
    default_card = card(weights=("net",), weights_license="MIT")


METRIC = Plain()
NET = WeightSpec(name="net", file_name="net", sha256="a" * 64, size=1, license="CC0", commercial_use=True, origin="us")


def sample(name: str, speaker: str) -> Sample:
    return Sample(
        id=name, task="dialogue", language="en", initiator=Side(media="a.mp4", sha256=SHA, speaker_id=speaker)
    )


def records(scores: Sequence[Score], *, metric: Metric = METRIC, speakers: int = 5) -> list[Record]:
    return [Record.of(sample(f"s{k:03d}", f"p{k % speakers}"), metric, score) for k, score in enumerate(scores)]


def result(scores: Sequence[Score], **options: Any) -> MetricResult:
    return aggregate(METRIC, records(scores, **options), {}, seed=0)


MISSING = Score(Status.OUTPUT_MISSING, None, "no output")
INVALID = Score.invalid("no face")
ERROR = Score(Status.ERROR, None, "boom")
ABSENT = Score.not_applicable("no reference")


# --- counting and charging ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_every_sample_is_counted_once(seed: int) -> None:
    chance = random.Random(seed)
    scores = [chance.choice([Score.ok(chance.uniform(0, 100)), MISSING, INVALID, ERROR, ABSENT]) for _ in range(97)]
    found = result(scores)
    assert found.n_expected == 97
    assert found.n_ok + found.n_failed + found.n_not_applicable + found.n_error == 97
    assert found.n_ok == sum(score.status is Status.OK for score in scores)
    assert found.n_failed == sum(score in (MISSING, INVALID) for score in scores)
    assert found.n_error == sum(score is ERROR for score in scores)
    assert found.coverage == pytest.approx(found.n_ok / (97 - found.n_not_applicable))


@pytest.mark.parametrize("fault", [MISSING, INVALID])
def test_the_submissions_fault_is_charged_the_worst_value(fault: Score) -> None:
    found = result([Score.ok(9.0), Score.ok(5.0), fault, fault])
    assert found.value == (9.0 + 5.0 + 1.0 + 1.0) / 4
    assert (found.n_ok, found.n_failed, found.coverage) == (2, 2, 0.5)


def test_losing_every_output_scores_the_worst_value() -> None:
    found = result([MISSING] * 6)
    assert found.value == 1.0
    assert found.ci95 is None, "nothing was measured, so there is no spread to state"
    assert (found.n_failed, found.coverage) == (6, 0.0)


def test_dropping_a_bad_reply_never_pays() -> None:
    bad = [Score.ok(2.0)] * 3
    good = [Score.ok(50.0)] * 7
    kept, dropped = result(good + bad), result(good + [MISSING] * 3)
    assert kept.value is not None
    assert dropped.value is not None
    assert dropped.value < kept.value


def test_what_does_not_apply_leaves_the_denominator() -> None:
    found = result([Score.ok(8.0), Score.ok(4.0), ABSENT, ABSENT, ABSENT])
    assert found.value == 6.0
    assert (found.n_not_applicable, found.coverage) == (3, 1.0)


def test_our_own_error_leaves_the_mean_and_is_counted() -> None:
    found = result([Score.ok(8.0), Score.ok(4.0), ERROR])
    assert found.value == 6.0
    assert (found.n_error, found.n_ok) == (1, 2)
    assert found.coverage == pytest.approx(2 / 3)


@pytest.mark.parametrize("scores", [[], [ABSENT] * 4, [ERROR] * 4, [ABSENT, ERROR]], ids=len)
def test_without_a_value_there_is_none(scores: list[Score]) -> None:
    found = result(scores)
    assert found.value is None
    assert found.ci95 is None
    assert found.coverage in (None, 0.0)


def test_the_interval_lies_around_the_value_and_needs_three_speakers() -> None:
    scores = [Score.ok(float(value)) for value in np.random.default_rng(0).uniform(10, 90, 60)]
    found = result(scores)
    assert found.ci95 is not None
    assert found.value is not None
    assert found.ci95[0] < found.value < found.ci95[1]
    assert found.interval_method == UNSEEN
    charged = result([*scores, MISSING])
    assert charged.interval_method == "cluster_bca_bootstrap"
    assert result(scores, speakers=2).ci95 is None
    assert result(scores, speakers=2).interval_method is None
    assert result(scores, speakers=2).value == found.value


def test_the_charge_is_part_of_the_interval() -> None:
    scores = [Score.ok(50.0)] * 10
    charged = result([*scores, *[MISSING] * 3])
    assert charged.ci95 is not None
    assert charged.ci95[0] < charged.ci95[1]


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_samples_does_not_change_a_bit(seed: int) -> None:
    generator = np.random.default_rng(seed)
    scores = [Score.ok(float(v)) for v in generator.uniform(0, 100, 50) ** generator.integers(1, 2, 50)]
    scores[3], scores[7], scores[11] = MISSING, ERROR, ABSENT
    made = records(scores)
    expected = aggregate(METRIC, made, {}, seed=0)
    for _ in range(4):
        shuffled = [made[k] for k in generator.permutation(50)]
        assert aggregate(METRIC, shuffled, {}, seed=0) == expected


def test_the_mean_is_exactly_rounded() -> None:
    values = [0.1] * 10 + [1e2, 1e-9]
    found = result([Score.ok(value) for value in values])
    assert found.value == math.fsum(values) / len(values)


def test_the_result_carries_the_card() -> None:
    found = aggregate(Plain(fps=5.0), [], {}, seed=0)
    assert (found.id, found.version, found.protocol, found.unit) == ("family/name", 3, "name/v1", "dB")
    assert (found.dimension.value, found.direction, found.params) == ("identity", "higher", {"fps": 5.0})
    assert found.weights == ()
    weighted = aggregate(Weighted(), [], {"net": NET}, seed=0)
    assert [(used.name, used.sha256, used.license) for used in weighted.weights] == [("net", "a" * 64, "CC0")]


# --- results.json ---------------------------------------------------------------------------------------------------


def results(**changes: Any) -> Results:
    found = result([Score.ok(0.1), Score.ok(0.2), Score.ok(1 / 3), Score.ok(1e-17), MISSING])
    content: dict[str, Any] = {
        "benchmark": BenchmarkRef(name="b", version="1", manifest_sha256=SHA, n_samples=5),
        "vidchatbench_version": "0.1",
        "suite": SuiteRef(name="lite", version=1),
        "system": SystemDescription(name='Ünïcödé 日本 \u2028 "quoted"', parameters=7_000_000_000),
        "metrics": (found,),
        "unavailable": (),
        "environment": Environment(python="3", platform="x", device="cpu", packages={}, plugins={}, decode_profile="p"),
        "run": RunInfo(
            started=datetime(2026, 1, 1, tzinfo=timezone.utc),
            finished=datetime(2026, 1, 1, 0, 0, 1, 5, tzinfo=timezone.utc),
            seed=0,
            permissive=False,
            policy=Policy(),
            workers=1,
            batch_size=1,
            engine="local",
            seconds={"score": 0.1},
            media_seconds=0.0,
            features_reused=0,
            features_extracted=0,
            decode_passes={},
            peak_memory_bytes=0,
        ),
        "complete": True,
    }
    return Results(**{**content, **changes})


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} in JSON")


def test_results_come_back_to_the_bit(tmp_path: Path) -> None:
    made = results()
    write_run(tmp_path / "run", made, [], [])
    assert load_results(tmp_path / "run") == made
    assert load_results(tmp_path / "run" / "results.json") == made
    assert load_results(str(tmp_path / "run")).to_json() == made.to_json()


def test_json_holds_numbers_and_no_nan() -> None:
    content = json.loads(results().to_json(), parse_constant=_refuse)
    assert content["schema_version"] == 1
    assert isinstance(content["metrics"][0]["value"], float)
    assert content["run"]["started"].endswith("Z"), "times are UTC and say so"
    for policy in ("output_missing", "output_invalid"):
        assert content["run"]["policy"][policy] == "worst"


def test_parameters_keep_their_types(tmp_path: Path) -> None:
    params: dict[str, Param] = {"a": 1, "b": 1.0, "c": True, "d": "1", "e": None, "f": 0.1, "g": "true", "h": False}
    made = results(metrics=(results().metrics[0].model_copy(update={"params": params}),))
    (tmp_path / "results.json").write_text(made.to_json(), encoding="utf-8")
    loaded = load_results(tmp_path).metrics[0].params
    assert loaded == params
    assert {name: type(value) for name, value in loaded.items()} == {name: type(v) for name, v in params.items()}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nan_is_refused_wherever_a_number_stands(bad: float) -> None:
    content = results().metrics[0].model_dump()
    changed: list[dict[str, object]] = [
        {"value": bad},
        {"ci95": (0.0, bad)},
        {"coverage": bad},
        {"anchors": {"oracle": bad}},
        {"anchors": {"nulls": {"shuffled": bad}}},
        {"params": {"fps": bad}},
    ]
    for changes in changed:
        with pytest.raises(ValidationError):
            MetricResult.model_validate({**content, **changes})
    with pytest.raises(ValidationError):
        RunInfo.model_validate({**results().run.model_dump(), "seconds": {"score": bad}})


def test_a_system_cannot_smuggle_nan_into_the_results() -> None:
    # Found out here it costs a line in system.yaml; found out by the writer it costs the whole run.
    with pytest.raises(ValidationError):
        SystemDescription(name="x", generation_settings={"temperature": math.inf})


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", '"0.5"', "true"])
def test_a_file_with_a_value_that_is_no_number_is_refused(tmp_path: Path, literal: str) -> None:
    made = results()
    text = made.to_json().replace(f'"value": {json.dumps(made.metrics[0].value)}', f'"value": {literal}')
    assert literal in text
    (tmp_path / "results.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as raised:
        load_results(tmp_path)
    assert raised.value.subject == str(tmp_path / "results.json")


@pytest.mark.parametrize(
    ("where", "problem"),
    [
        ((), "colour: unknown field"),
        (("metrics", 0), "metrics.0.colour: unknown field"),
        (("run", "policy"), "run.policy.colour: unknown field"),
        (("system",), "system.colour: unknown field"),
        (("benchmark",), "benchmark.colour: unknown field"),
    ],
)
def test_unknown_fields_are_refused_by_name(tmp_path: Path, where: tuple[str | int, ...], problem: str) -> None:
    content = json.loads(results().to_json())
    inner = content
    for step in where:
        inner = inner[step]
    inner["colour"] = "red"
    (tmp_path / "results.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError) as raised:
        load_results(tmp_path)
    assert raised.value.problems == (problem,)


@pytest.mark.parametrize("name", ["benchmark", "metrics", "complete", "run", "suite"])
def test_missing_fields_are_refused_by_name(tmp_path: Path, name: str) -> None:
    content = json.loads(results().to_json())
    del content[name]
    (tmp_path / "results.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match=name):
        load_results(tmp_path)


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_schema_version_is_refused(tmp_path: Path, version: object) -> None:
    content = {**json.loads(results().to_json()), "schema_version": version}
    (tmp_path / "results.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match="schema_version"):
        load_results(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"\x00" * 10])
def test_what_is_no_results_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "results.json").write_bytes(content)
    with pytest.raises(InputError):
        load_results(tmp_path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    for where in (tmp_path, tmp_path / "gone", tmp_path / "gone" / "results.json"):
        with pytest.raises(InputError, match="no such file"):
            load_results(where)


def test_a_metric_is_found_by_its_id() -> None:
    made = results()
    assert made.metric("family/name") is made.metrics[0]
    with pytest.raises(KeyError, match="family/name"):
        made.metric("family/nmae")
    assert made.metrics[0].anchors == Anchors()


# --- the other files ------------------------------------------------------------------------------------------------


def rows(scores: Sequence[Score]) -> list[dict[str, Any]]:
    return _table(samples_parquet(records(scores)))


def _table(content: bytes) -> list[dict[str, Any]]:
    import pyarrow as pa

    found: list[dict[str, Any]] = pq.read_table(pa.BufferReader(content)).to_pylist()
    return found


def test_every_sample_has_a_row_with_its_fate() -> None:
    made = [Score.ok(0.5, faces=3, share=0.25, language="ü", whole=True), MISSING, INVALID, ERROR, ABSENT]
    found = rows(made)
    assert [row["status"] for row in found] == ["ok", "output_missing", "output_invalid", "error", "not_applicable"]
    assert [row["value"] for row in found] == [0.5, None, None, None, None]
    assert [row["counted"] for row in found] == [0.5, 1.0, 1.0, None, None]
    assert [row["reason"] for row in found] == [None, "no output", "no face", "boom", "no reference"]
    assert [row["sample_id"] for row in found] == [f"s{k:03d}" for k in range(5)]
    assert [row["cluster"] for row in found] == [f"p{k}" for k in range(5)]
    assert {row["metric"] for row in found} == {"family/name"}
    assert {row["protocol"] for row in found} == {"name/v1"}
    assert json.loads(found[0]["details"]) == {"faces": 3, "share": 0.25, "language": "ü", "whole": True}
    assert [json.loads(row["details"]) for row in found[1:]] == [{}] * 4


def test_columns_are_those_of_the_schema_even_without_rows() -> None:
    import pyarrow as pa

    expected = [
        "sample_id",
        "cluster",
        "metric",
        "protocol",
        "status",
        "value",
        "counted",
        "reason",
        "details",
        "features",
    ]
    assert SAMPLES_SCHEMA.names == expected
    for scores in ([], [MISSING], [ERROR], [Score.ok(1.0)]):
        schema = pq.read_schema(pa.BufferReader(samples_parquet(records(scores))))
        assert schema.names == expected
        assert schema.equals(SAMPLES_SCHEMA)


def test_equal_records_give_equal_bytes() -> None:
    scores = [Score.ok(0.5, b=1, a=2), MISSING, ERROR]
    again = [Score.ok(0.5, a=2, b=1), MISSING, ERROR]
    assert samples_parquet(records(scores)) == samples_parquet(records(again))
    assert samples_parquet(records(scores)) != samples_parquet(records([Score.ok(0.6, a=2, b=1), MISSING, ERROR]))


def test_values_keep_every_bit() -> None:
    values = [1 / 3, 1e-300, 5e-324, 99.99999999999999, -0.0]
    assert [row["value"] for row in rows([Score.ok(value) for value in values])] == values


def test_a_run_folder_has_its_files_and_nothing_else(tmp_path: Path) -> None:
    made = results()
    media = [{"sample_id": "a", "file": "a\u2028b.mp4"}, {"sample_id": "ü"}]
    for _ in range(2):
        write_run(tmp_path / "run", made, records([Score.ok(1.0)]), media)
        names = sorted(path.name for path in (tmp_path / "run").iterdir())
        assert names == ["media.jsonl", "results.json", "samples.parquet", "system.yaml"]
    lines = (tmp_path / "run" / "media.jsonl").read_text(encoding="utf-8").split("\n")
    assert [json.loads(line) for line in lines if line] == media
    system = yaml.safe_load((tmp_path / "run" / "system.yaml").read_text(encoding="utf-8"))
    assert SystemDescription.model_validate(system) == made.system


def test_results_are_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, order = Path.replace, []

    def watch(self: Path, target: Path) -> Path:
        order.append(target.name)
        return real(self, target)

    monkeypatch.setattr(Path, "replace", watch)
    write_run(tmp_path / "run", results(), [], [])
    assert order[-1] == "results.json"
    assert len(order) == 4


def test_a_failed_write_leaves_the_old_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path / "run", results(), [], [])

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(OSError, match="No space"):
            write_run(tmp_path / "run", results(complete=False), [], [])
    assert load_results(tmp_path / "run").complete


# --- the journal ----------------------------------------------------------------------------------------------------


def test_the_journal_tells_what_happened_in_order(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "run"
    assert read_journal(folder) == []
    first = Journal(folder)
    first.write("planned", jobs=3)
    first.write("extracted", failed={"ü": "no face"})
    Journal(folder).write("planned", jobs=0)
    events = read_journal(folder)
    assert [event["event"] for event in events] == ["planned", "extracted", "planned"]
    assert events[1]["failed"] == {"ü": "no face"}
    assert events[0]["run"] == events[1]["run"] != events[2]["run"]
    assert all(str(event["time"]).endswith("+00:00") for event in events)


@pytest.mark.parametrize("cut", [1, 5, 30, 60])
def test_a_torn_last_line_is_passed_over(tmp_path: Path, cut: int) -> None:
    journal = Journal(tmp_path)
    journal.write("planned", note="ü")
    journal.write("extracted", note="日本" * 10)
    path = tmp_path / JOURNAL_FILE
    path.write_bytes(path.read_bytes()[:-cut] if cut > 1 else path.read_bytes()[:-2])
    assert [event["event"] for event in read_journal(tmp_path)] == ["planned"]


def test_what_is_written_after_a_torn_line_is_not_lost(tmp_path: Path) -> None:
    # A run that was killed is started again in the same folder: its first event must not stick to the torn one.
    Journal(tmp_path).write("planned")
    path = tmp_path / JOURNAL_FILE
    path.write_bytes(path.read_bytes() + b'{"time": "2026-')
    resumed = Journal(tmp_path)
    resumed.write("planned again")
    resumed.write("finished")
    assert [event["event"] for event in read_journal(tmp_path)] == ["planned", "planned again", "finished"]


@pytest.mark.parametrize("odd", ["\u2028", "\u2029", "\x85", "\x0b", "\x1c", "\r"])
def test_an_event_is_one_line_whatever_it_says(tmp_path: Path, odd: str) -> None:
    Journal(tmp_path).write("extracted", failed=f"a{odd}b")
    assert [event["failed"] for event in read_journal(tmp_path)] == [f"a{odd}b"]


def test_events_are_on_disk_at_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.write("planned")
    assert (tmp_path / JOURNAL_FILE).read_text(encoding="utf-8").endswith("}\n")
