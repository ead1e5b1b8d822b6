"""Tampered bundles: every change of a submission is found, and the finding says what, where, and what to do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import Any

import leaderboard_bundles as made
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from leaderboard_bundles import Plan, make_benchmark, make_bundle, make_run, seal

from vidchatbench.benchmark.format import Benchmark
from vidchatbench.leaderboard.verification import tables
from vidchatbench.leaderboard.verification.bundle import bundle_path, find_bundles, is_safe_name, row_id, safe_name
from vidchatbench.leaderboard.verification.check_copies import MAX_MEDIANS
from vidchatbench.leaderboard.verification.context import Others
from vidchatbench.leaderboard.verification.findings import MAX_ALIKE, Finding, error, has_errors, shorten
from vidchatbench.leaderboard.verification.reading import read_bundle
from vidchatbench.leaderboard.verification.verify import verify_bundle, verify_run
from vidchatbench.results.files import SAMPLES_SCHEMA
from vidchatbench.submission.system import SystemDescription
from vidchatbench.weights.lock import Pin

PSNR = "video_quality/psnr"
Edit = Callable[[Any], Any]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Benchmark, Path]:
    """A benchmark and a run with a missing and an unusable output."""
    root = tmp_path_factory.mktemp("original")
    benchmark = make_benchmark(root / "benchmark")
    return benchmark, make_run(root / "run", benchmark, Plan(missing=(3,), invalid=(4,)))


@pytest.fixture
def benchmark(original: tuple[Benchmark, Path]) -> Benchmark:
    return original[0]


@pytest.fixture
def bundle(original: tuple[Benchmark, Path], tmp_path: Path) -> Path:
    return make_bundle(tmp_path, original[1])


def errors(folder: Path, benchmark: Benchmark | None = None, **options: Any) -> list[Finding]:
    return [f for f in verify_bundle(folder, benchmark=benchmark, **options) if f.severity == "error"]


def refused(found: list[Finding], code: str, *parts: str) -> None:
    """Checks that a finding of this kind names all parts, where or what."""
    assert code in {finding.code for finding in found}, found
    told = [f"{finding.where}: {finding.message}" for finding in found if finding.code == code]
    assert any(all(part in text for part in parts) for text in told), told


def edit_results(folder: Path, edit: Edit, *, sealed: bool = True) -> None:
    path = folder / "results.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    edit(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    if sealed:
        seal(folder)


def edit_rows(folder: Path, edit: Edit) -> None:
    path = folder / "samples.parquet"
    rows = pq.read_table(path).to_pylist()
    rows = edit(rows) or rows
    columns = {field.name: [row[field.name] for row in rows] for field in SAMPLES_SCHEMA}
    nullable = pa.schema([field.with_nullable(True) for field in SAMPLES_SCHEMA])
    pq.write_table(pa.table(columns, schema=nullable), path)
    seal(folder)


def edit_media(folder: Path, edit: Edit) -> None:
    path = folder / "media.jsonl"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    lines = edit(lines) or lines
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    seal(folder)


def row(rows: list[dict[str, Any]], k: int, metric: str = PSNR) -> dict[str, Any]:
    return next(r for r in rows if r["metric"] == metric and r["sample_id"] == f"sample {k:02d}")


def candidates(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if line["role"] == "candidate"]


# --- what is whole passes ---------------------------------------------------------------------------------------------


def test_an_honest_bundle_passes(bundle: Path, benchmark: Benchmark) -> None:
    found = verify_bundle(bundle, benchmark=benchmark)
    assert not has_errors(found), found
    assert [f.severity for f in found] == ["note"] * len(found)


def test_an_honest_run_passes_before_it_is_a_bundle(original: tuple[Benchmark, Path]) -> None:
    benchmark, run = original
    assert not has_errors(verify_run(run, benchmark=benchmark))


def test_what_was_not_checked_is_said(bundle: Path) -> None:
    codes = {finding.code for finding in verify_bundle(bundle)}
    assert "benchmark_not_checked" in codes
    sets = [card.id for card in made.cards().values() if card.aggregation == "set"]
    told = [f.message for f in verify_bundle(bundle) if f.code == "not_recomputed"]
    assert bool(told) == bool(sets)
    assert all("not recomputed (a distance of sets): needs the media" in message for message in told)


def test_a_run_is_no_bundle_among_the_submissions(bundle: Path) -> None:
    (bundle / "bundle.sha256").unlink()
    refused(errors(bundle), "missing_file", "bundle.sha256")


# --- numbers ----------------------------------------------------------------------------------------------------------


def test_one_changed_sample(bundle: Path, benchmark: Benchmark) -> None:
    def better(rows):
        changed = row(rows, 0)
        changed["value"] = changed["counted"] = changed["value"] + 1e-6

    edit_rows(bundle, better)
    refused(errors(bundle, benchmark), "value_differs", f"results.json: {PSNR}: value", "the rows give")


def test_the_last_bit_of_a_value_counts(bundle: Path) -> None:
    import math

    def nudge(content):
        content["metrics"][0]["value"] = math.nextafter(content["metrics"][0]["value"], math.inf)

    edit_results(bundle, nudge)
    refused(errors(bundle), "value_differs", PSNR)


@pytest.mark.parametrize(("by", "found"), [(1e-12, False), (1e-6, True)])
def test_an_interval_may_differ_by_rounding_and_no_more(bundle: Path, by: float, found: bool) -> None:
    def move(content):
        content["metrics"][0]["ci95"][1] *= 1 + by

    edit_results(bundle, move)
    assert ("interval_differs" in {f.code for f in errors(bundle)}) is found


def test_an_anchored_value_that_does_not_follow(bundle: Path) -> None:
    def raise_it(content):
        metric = next(m for m in content["metrics"] if m["anchored"] is not None and m["aggregation"] == "mean")
        metric["anchored"] += 5

    edit_results(bundle, raise_it)
    refused(errors(bundle), "value_differs", "anchored")


def test_replies_too_near_to_the_real_ones_are_flagged(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = pq.read_table(bundle / "samples.parquet").to_pylist()
    middle = median(row["value"] for row in rows if row["metric"] == "video_quality/psnr" and row["status"] == "ok")
    for limit, flagged in ((40.0, False), (middle, False), (middle - 1e-6, True)):
        monkeypatch.setitem(MAX_MEDIANS, "psnr", limit)
        told = [f for f in verify_bundle(bundle) if f.code == "copy_of_reference"]
        assert [f.severity for f in told] == (["warning"] if flagged else [])
    assert "the replies look like copies of the real ones" in told[0].message
    assert (MAX_MEDIANS["ssim"], errors(bundle)) == (0.97, [])


def test_what_a_score_was_cut_at_is_checked_where_the_benchmark_says_it(bundle: Path, benchmark: Benchmark) -> None:
    def cut(content):
        metric = next(m for m in content["metrics"] if m["id"] == "video_quality/psnr")
        metric["anchors"]["samples_sha256"] = "0" * 64
        metric["anchored"] += 5

    edit_results(bundle, cut)
    found = verify_bundle(bundle, benchmark=benchmark)
    assert "anchors_differ" in {f.code for f in found}, "these are not the benchmark's"
    assert "value_differs" not in {f.code for f in found}


def test_a_sample_dropped_with_its_counts(bundle: Path, benchmark: Benchmark) -> None:
    edit_rows(bundle, lambda rows: [r for r in rows if not (r["metric"] == PSNR and r["sample_id"] == "sample 00")])
    refused(errors(bundle, benchmark), "wrong_rows", "samples.parquet", "results announce")


def test_a_sample_dropped_from_every_metric_and_the_results(bundle: Path, benchmark: Benchmark) -> None:
    def forget(content):
        content["benchmark"]["n_samples"] -= 1
        for metric in content["metrics"]:
            metric["n_expected"] -= 1

    edit_results(bundle, forget, sealed=False)
    edit_rows(bundle, lambda rows: [r for r in rows if r["sample_id"] != "sample 03"])
    found = errors(bundle, benchmark)
    refused(found, "other_benchmark", "n_samples")
    refused(found, "sample_missing", "sample 03", "output_missing")


def test_a_sample_replaced_by_a_copy_of_a_better_one(bundle: Path, benchmark: Benchmark) -> None:
    def replace(rows):
        row(rows, 3)["sample_id"] = "sample 00"

    edit_rows(bundle, replace)
    found = errors(bundle, benchmark)
    refused(found, "sample_twice", PSNR, "sample 00")
    refused(found, "sample_missing", PSNR, "sample 03")


def test_another_identity(bundle: Path, benchmark: Benchmark) -> None:
    def move(rows):
        row(rows, 0)["cluster"] = "speaker 1"

    edit_rows(bundle, move)
    refused(errors(bundle, benchmark), "wrong_identity", "sample 00", "speaker 1")


# --- statuses ---------------------------------------------------------------------------------------------------------


def flip(status: str, **changes: object) -> Edit:
    def edit(rows):
        row(rows, 3).update({"status": status, **changes})

    return edit


def test_a_failure_flipped_to_not_applicable(bundle: Path, benchmark: Benchmark) -> None:
    edit_rows(bundle, flip("not_applicable", counted=None))
    refused(errors(bundle, benchmark), "status_impossible", "row ", "sample 03", "output_missing")


def test_a_failure_flipped_and_the_counts_with_it(bundle: Path) -> None:
    edit_rows(bundle, flip("not_applicable", counted=None))
    found = errors(bundle)
    refused(found, "counts_differ", PSNR, "n_failed is 2, the rows give 1")


def test_a_failure_flipped_to_ok(bundle: Path, benchmark: Benchmark) -> None:
    edit_rows(bundle, flip("ok", value=50.0, counted=50.0))
    refused(errors(bundle, benchmark), "no_media", "sample 03", "media.jsonl has no candidate")


def test_a_failure_that_is_not_charged(bundle: Path) -> None:
    edit_rows(bundle, flip("output_missing", counted=40.0))
    refused(errors(bundle), "wrong_charge", "sample 03", "counts 40.0, it must count 0.0")


def test_an_ok_without_value(bundle: Path) -> None:
    edit_rows(bundle, flip("ok"))
    refused(errors(bundle), "status_and_value", "sample 03")


def test_a_status_that_there_is_not(bundle: Path) -> None:
    edit_rows(bundle, flip("excellent"))
    refused(errors(bundle), "bad_status", "excellent")


def test_missing_though_it_was_found(bundle: Path) -> None:
    def lose(rows):
        row(rows, 0).update({"status": "output_missing", "value": None, "counted": 0.0})

    edit_rows(bundle, lose)
    refused(errors(bundle), "status_impossible", "sample 00", "sample 00.mp4 was found")


def test_a_score_where_the_metric_does_not_apply(bundle: Path, benchmark: Benchmark) -> None:
    def score(rows):
        row(rows, 11).update({"status": "ok", "value": 50.0, "counted": 50.0})

    edit_rows(bundle, score)
    refused(errors(bundle, benchmark), "status_impossible", "sample 11", "the sample has no reference")


def test_not_applicable_where_another_system_has_a_score(bundle: Path, benchmark: Benchmark, tmp_path: Path) -> None:
    other = make_run(tmp_path / "other", benchmark, Plan(name="Other"))
    other_bundle, _ = read_bundle(make_bundle(tmp_path / "board", other))
    assert other_bundle is not None
    edit_rows(bundle, flip("not_applicable", counted=None))
    found = verify_bundle(bundle, others=Others.of([("other@v1", other_bundle)]))
    assert any(f.code == "applies_to_others" and "sample 03" in f.where and f.severity == "warning" for f in found)


# --- NaN, ranges, protocols, versions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_no_nan_among_the_samples(bundle: Path, value: float) -> None:
    def spoil(rows):
        row(rows, 0).update({"value": value, "counted": value})

    edit_rows(bundle, spoil)
    refused(errors(bundle), "nan", "sample 00", "finite")


def test_no_nan_in_a_detail(bundle: Path) -> None:
    def spoil(rows):
        row(rows, 0)["details"] = '{"seconds": NaN}'

    edit_rows(bundle, spoil)
    refused(errors(bundle), "nan", "sample 00", "seconds")


def test_no_nan_in_the_results(bundle: Path) -> None:
    def spoil(content):
        content["metrics"][0]["value"] = float("nan")

    edit_results(bundle, spoil)
    refused(errors(bundle), "nan", "results.json", "metrics.0.value", "finite")


def test_no_nan_in_the_media(bundle: Path) -> None:
    def spoil(lines):
        lines[0]["bytes"] = float("nan")

    edit_media(bundle, spoil)
    refused(errors(bundle), "bad_media", "media.jsonl:1")


def test_a_value_out_of_range(bundle: Path) -> None:
    def boost(rows):
        row(rows, 0).update({"value": 1000.0, "counted": 1000.0})

    edit_rows(bundle, boost)
    refused(errors(bundle), "out_of_range", "sample 00", "1000.0", "[0.0, 100.0]")


def test_another_protocol_in_the_results(bundle: Path) -> None:
    def change(content):
        content["metrics"][0]["protocol"] = "psnr/mine-v1"

    edit_results(bundle, change)
    refused(errors(bundle), "wrong_protocol", PSNR, "psnr/mine-v1", "evaluate again")


def test_another_protocol_in_one_row(bundle: Path) -> None:
    def change(rows):
        row(rows, 5)["protocol"] = "psnr/mine-v1"

    edit_rows(bundle, change)
    refused(errors(bundle), "wrong_protocol", "samples.parquet: row 6", "psnr/mine-v1")


@pytest.mark.parametrize(("name", "value"), [("version", "0.9.0"), ("manifest_sha256", "f" * 64), ("name", "another")])
def test_another_benchmark(bundle: Path, benchmark: Benchmark, name: str, value: str) -> None:
    edit_results(bundle, lambda content: content["benchmark"].update({name: value}))
    refused(
        errors(bundle, benchmark), "other_benchmark", f"benchmark.{name}", value[:12], "evaluate the outputs on tiny"
    )


def test_another_suite_and_a_metric_less(bundle: Path) -> None:
    edit_results(bundle, lambda content: content["suite"].update({"name": "best_of"}))
    refused(errors(bundle), "unknown_suite", "best_of")


def test_a_metric_left_out(bundle: Path) -> None:
    edit_results(bundle, lambda content: content["metrics"].pop(0))
    edit_rows(bundle, lambda rows: [r for r in rows if r["metric"] != PSNR])
    refused(errors(bundle), "metric_missing", PSNR)


def test_a_results_file_of_the_future(bundle: Path) -> None:
    edit_results(bundle, lambda content: content.update(schema_version=99))
    refused(errors(bundle), "bad_version", "results.json", "Update vidchatbench")


def test_complete_is_worked_out(bundle: Path) -> None:
    edit_results(bundle, lambda content: content.update(complete=False))
    refused(errors(bundle), "complete_differs", "complete")


# --- weights ----------------------------------------------------------------------------------------------------------


def weighted() -> str:
    return next(card.id for card in made.cards().values() if card.weights and card.aggregation == "mean")


def test_a_hash_that_is_not_the_tables(bundle: Path) -> None:
    def swap(content):
        next(m for m in content["metrics"] if m["id"] == weighted())["weights"][0]["sha256"] = "f" * 64

    edit_results(bundle, swap)
    refused(errors(bundle), "weights_differ", weighted(), "ffffffffffff", "the table says")


def test_weights_of_ones_own_are_listed_and_not_ranked(benchmark: Benchmark, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", benchmark, Plan(pin=Pin.NAMED))
    folder = make_bundle(tmp_path, run)
    found = verify_bundle(folder, benchmark=benchmark)
    assert not has_errors(found)
    assert "weights_unofficial" in {f.code for f in found}

    def claim(content):
        for metric in content["metrics"]:
            metric["unranked"] = None

    edit_results(folder, claim)
    refused(errors(folder), "ranking_claimed", weighted())


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_file_changed_after_the_hashes(bundle: Path) -> None:
    edit_results(bundle, lambda content: content["metrics"][0].update(title="Better PSNR"), sealed=False)
    refused(errors(bundle), "hash_mismatch", "results.json", "bundle.sha256 says")


@pytest.mark.parametrize("line", ["{sha}  ../../secret", "{sha}  /etc/passwd", "no hash at all", "{sha} results.json"])
def test_a_hash_line_that_leads_elsewhere(bundle: Path, line: str) -> None:
    path = bundle / "bundle.sha256"
    path.write_text(path.read_text() + line.format(sha="0" * 64) + "\n")
    refused(errors(bundle), "bad_hash_line", "bundle.sha256:5")


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "..", "a\\b.mp4", "C:/x.mp4"])
def test_a_media_path_that_escapes(bundle: Path, name: str) -> None:
    edit_media(bundle, lambda lines: candidates(lines)[0].update(file=name))
    refused(errors(bundle), "bad_media", "media.jsonl:1", "must be relative and stay inside")


def test_a_candidate_from_another_folder(bundle: Path) -> None:
    edit_media(bundle, lambda lines: candidates(lines)[0].update(file="elsewhere/x.mp4"))
    refused(errors(bundle), "path_escape", "elsewhere/x.mp4")


def test_a_link_instead_of_a_file(bundle: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.yaml"
    secret.write_text("name: Ours\n")
    (bundle / "system.yaml").unlink()
    (bundle / "system.yaml").symlink_to(secret)
    refused(errors(bundle), "not_a_file", "system.yaml", "symbolic link")


def test_a_link_instead_of_a_folder(bundle: Path, tmp_path: Path) -> None:
    link = tmp_path / "submissions" / "ours" / "v2"
    link.symlink_to(bundle, target_is_directory=True)
    refused(errors(link), "not_a_folder", "v2")


def test_a_system_folder_that_is_a_link_is_not_entered(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "submissions" / "theirs").symlink_to(bundle.parent, target_is_directory=True)
    assert list(find_bundles(tmp_path)) == [bundle]


def test_a_file_that_does_not_belong(bundle: Path) -> None:
    (bundle / "run.sh").write_text("true")
    refused(errors(bundle), "unexpected_file", "run.sh")


def test_a_bundle_in_somebody_elses_place(bundle: Path, tmp_path: Path) -> None:
    place = tmp_path / "submissions" / "theirs" / "v1"
    shutil.copytree(bundle, place)
    refused(errors(place), "wrong_place", "theirs/v1", "ours/v1")


@pytest.mark.parametrize("name", ["results.json", "samples.parquet", "media.jsonl", "system.yaml", "bundle.sha256"])
def test_a_file_of_any_size_is_not_read(bundle: Path, name: str) -> None:
    with (bundle / name).open("r+b") as file:
        file.truncate(200_000_000)  # sparse: nothing is written
    refused(errors(bundle), "file_too_large", name, "200,000,000 bytes")


@pytest.mark.parametrize("name", ["results.json", "samples.parquet", "media.jsonl", "system.yaml"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe", b"[" * 20_000, b'{"a": ' * 9_000, b"PAR1PAR1"])
def test_rubbish_is_refused_and_not_raised(bundle: Path, name: str, content: bytes) -> None:
    (bundle / name).write_bytes(content)
    seal(bundle)
    assert errors(bundle)


def test_yaml_that_grows_by_aliases(bundle: Path) -> None:
    lines = ["a0: &a0 lol"] + [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]" for k in range(1, 12)]
    (bundle / "system.yaml").write_text("\n".join(lines))
    seal(bundle)
    refused(errors(bundle), "bad_system", "anchors and aliases")


def test_a_system_file_that_says_something_else(bundle: Path) -> None:
    path = bundle / "system.yaml"
    path.write_text(path.read_text().replace("license: MIT", "license: Apache-2.0"))
    seal(bundle)
    refused(errors(bundle), "systems_differ", "system.yaml")


# --- the table --------------------------------------------------------------------------------------------------------


def write_table(folder: Path, rows: int, text: str = "{}", **options: Any) -> None:
    def column(field: pa.Field) -> pa.Array:
        if field.type == pa.float64():
            return pa.array([1.0] * rows)
        return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([text]))

    table = pa.table({field.name: column(field) for field in SAMPLES_SCHEMA})
    pq.write_table(table, folder / "samples.parquet", store_schema=False, **options)
    seal(folder)


def test_ten_thousand_rows(bundle: Path, benchmark: Benchmark) -> None:
    write_table(bundle, 10_000)
    refused(errors(bundle, benchmark), "wrong_rows", "samples.parquet", "10,000 rows", "(metrics × samples)")


def test_ten_thousand_rows_that_the_results_announce(bundle: Path, benchmark: Benchmark) -> None:
    def announce(content):
        content["metrics"] = content["metrics"][:1]
        content["benchmark"]["n_samples"] = 10_000

    edit_results(bundle, announce)
    write_table(bundle, 10_000)
    refused(errors(bundle, benchmark), "other_benchmark", "10000")


def test_more_rows_than_anybody_needs(bundle: Path) -> None:
    write_table(bundle, tables.MAX_ROWS + 1)
    with pytest.raises(Exception, match="at most 200,000 are read"):
        tables.read_samples((bundle / "samples.parquet").read_bytes())


@pytest.mark.parametrize("codec", ["zstd", "gzip", "brotli"])
def test_a_codec_without_a_limit(bundle: Path, codec: str) -> None:
    write_table(bundle, 10, compression=codec)
    content = (bundle / "samples.parquet").read_bytes()
    with pytest.raises(Exception, match=f"compressed with {codec.upper()}; only SNAPPY"):
        tables.read_samples(content, 10)


def test_a_bomb_of_one_text_drawn_many_times(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # 100,000 rows × 60 kB × 8 columns would be 48 GB; the file has a few kilobytes.
    write_table(bundle, 100_000, "x" * 60_000)
    content = (bundle / "samples.parquet").read_bytes()
    assert len(content) < 100_000
    pa.default_memory_pool().release_unused()
    before = pa.total_allocated_bytes()
    with pytest.raises(Exception, match=r"would expand to [\d,]+ bytes or more, at most 256,000,000"):
        tables.read_samples(content, 100_000)
    assert pa.total_allocated_bytes() - before < 50_000_000


def test_a_bomb_of_repeated_prefixes() -> None:
    buffer = BytesIO()
    texts = pa.array(["x" * 60_000 + str(k) for k in range(3_000)])
    numbers = pa.array([1.0] * 3_000)
    table = pa.table({f.name: numbers if f.type == pa.float64() else texts for f in SAMPLES_SCHEMA})
    names = [f.name for f in SAMPLES_SCHEMA if f.type == pa.string()]
    pq.write_table(
        table,
        buffer,
        use_dictionary=False,
        column_encoding=dict.fromkeys(names, "DELTA_BYTE_ARRAY"),
        store_schema=False,
    )
    assert len(buffer.getvalue()) < 2_000_000
    with pytest.raises(Exception, match=r"would expand to|no readable Parquet file"):
        tables.read_samples(buffer.getvalue(), 3_000)


def test_a_text_longer_than_any_reason(bundle: Path) -> None:
    write_table(bundle, 10, "x" * 70_000)
    with pytest.raises(Exception, match="a text of more than 65,536 bytes"):
        tables.read_samples((bundle / "samples.parquet").read_bytes(), 10)


def test_other_columns(bundle: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), bundle / "samples.parquet")
    seal(bundle)
    refused(errors(bundle), "wrong_columns", "samples.parquet", "the columns are a int64")


def test_a_null_where_none_may_be(bundle: Path) -> None:
    def spoil(rows):
        row(rows, 0)["status"] = None

    edit_rows(bundle, spoil)
    refused(errors(bundle), "bad_row", "status must not be null")


@pytest.mark.parametrize("name", ["sample_id", "cluster", "metric", "protocol", "status", "details", "features"])
@pytest.mark.parametrize("with_benchmark", [True, False])
def test_a_null_anywhere_is_refused_and_not_raised(
    bundle: Path, benchmark: Benchmark, name: str, with_benchmark: bool
) -> None:
    edit_rows(bundle, lambda rows: row(rows, 0).update({name: None}))
    found = errors(bundle, benchmark if with_benchmark else None)
    refused(found, "bad_row", "samples.parquet: row 1, ", f"{name} must not be null")


# --- copies -----------------------------------------------------------------------------------------------------------


def test_one_file_for_two_samples(bundle: Path) -> None:
    edit_media(bundle, lambda lines: candidates(lines)[1].update(sha256=candidates(lines)[0]["sha256"]))
    refused(errors(bundle), "same_file", "sample 00", "sample 01")


@pytest.mark.parametrize(("side", "told"), [("responder", "the reference"), ("initiator", "the initiator")])
def test_a_copy_of_the_benchmark(bundle: Path, benchmark: Benchmark, side: str, told: str) -> None:
    edit_media(bundle, lambda lines: candidates(lines)[0].update(sha256=made.sha(side, 7)))
    refused(errors(bundle), "copy_of_benchmark", "sample 00", f"a copy of {told} of sample sample 07")
    edit_media(bundle, lambda lines: [line for line in lines if line["role"] == "candidate"])
    refused(errors(bundle, benchmark), "copy_of_benchmark", f"a copy of {told} of sample sample 07")


def test_a_copy_of_another_submission(bundle: Path, benchmark: Benchmark, tmp_path: Path) -> None:
    content, _ = read_bundle(bundle)
    assert content is not None
    others = Others.of([(row_id(content.system), content)])
    assert not has_errors(verify_bundle(bundle, others=others)), "nothing is a copy of itself"
    thief = make_run(tmp_path / "thief", benchmark, Plan(name="Thief", content="Ours"))
    stolen = make_bundle(tmp_path / "board", thief)
    edit_media(stolen, lambda lines: candidates(lines)[2].update(sha256=candidate_sha(content, 2)))
    refused(errors(stolen, others=others), "copy_of_submission", "sample 02", "a copy of that of ours@v1")


def candidate_sha(bundle: Any, k: int) -> str:
    return next(
        line.sha256 for line in bundle.media if line.role.value == "candidate" and line.sample_id.endswith(f"{k:02d}")
    )


def test_a_further_revision_of_ones_own_system(bundle: Path, benchmark: Benchmark, tmp_path: Path) -> None:
    content, _ = read_bundle(bundle)
    assert content is not None
    run = make_run(tmp_path / "again", benchmark, Plan(revision="v2"))
    second = make_bundle(tmp_path, run)
    edit_media(second, lambda lines: candidates(lines)[2].update(sha256=candidate_sha(content, 2)))
    found = verify_bundle(second, others=Others.of([("ours@v1", content)]))
    assert not has_errors(found)
    assert "same_as_other_revision" in {f.code for f in found}


def test_references_of_another_benchmark(bundle: Path, benchmark: Benchmark) -> None:
    def swap(lines):
        next(line for line in lines if line["role"] == "reference").update(sha256="f" * 64)

    edit_media(bundle, swap)
    refused(errors(bundle, benchmark), "other_media", "ffffffffffff", "the manifest says")


def test_the_outputs_are_hashed_again_where_they_are_at_hand(bundle: Path, tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    (outputs / "sample 00.mp4").write_bytes(b"another clip")
    found = errors(bundle, outputs=outputs)
    refused(found, "media_differs", "sample 00")
    refused(found, "media_missing", "sample 01")


# --- names and findings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["../../etc", "..", "", "   ", "Ünïcode Système", "数字人", "a/b\\c", "<script>", "x" * 200, "-rf"]
)
def test_a_name_becomes_a_safe_folder(text: str) -> None:
    name = safe_name(text)
    assert is_safe_name(name), name
    assert bundle_path(SystemDescription(name=text[:100] or "x")).count("/") == 1


def test_two_names_without_latin_letters_stay_apart() -> None:
    assert safe_name("数字人") != safe_name("虚拟人")


def test_many_findings_of_a_kind_are_counted() -> None:
    found = shorten([error("a", str(k), "wrong") for k in range(50)] + [error("b", "x", "bad")])
    assert [f.code for f in found].count("a") == MAX_ALIKE + 1
    assert any("45 more" in f.message for f in found)
    assert "b" in {f.code for f in found}


@pytest.mark.parametrize("text", ["/{0}/someone/clip.mp4 is broken", "see C:\\{0}\\x: bad"])
def test_a_folder_of_somebodys_computer_is_pointed_at(bundle: Path, text: str) -> None:
    def leak(rows):
        row(rows, 4)["reason"] = text.format("Us" + "ers")

    edit_rows(bundle, leak)
    assert "private_path" in {f.code for f in verify_bundle(bundle)}
