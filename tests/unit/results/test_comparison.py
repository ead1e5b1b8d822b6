"""Comparing runs: what is refused, what is paired, and what the verdict says."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from windows import WHOLE

from vidchatbench.api.features import Feature
from vidchatbench.errors import InputError, UsageError
from vidchatbench.plugins.catalogue import load_catalogue
from vidchatbench.results.comparison import Comparison, Family, compare_runs
from vidchatbench.results.files import SAMPLES_SCHEMA
from vidchatbench.results.schema import Results
from vidchatbench.results.statistics.paired import PairedDifferences, compare_paired, detectable_among

PSNR, FID = "video_quality/psnr", "video_quality/fid"
SHA = "a" * 64
Values = Sequence[float | None]
WriteRun = Callable[..., Path]


def metric_result(metric_id: str, value: float | None, n: int, **changes: object) -> dict[str, Any]:
    card = load_catalogue().metric(metric_id).card
    made: dict[str, Any] = {
        "id": card.id, "version": card.version, "title": card.title, "protocol": card.protocol,
        "dimension": card.dimension.value, "direction": card.direction, "unit": card.unit,
        "aggregation": card.aggregation, "value": value, "ci95": None, "interval_method": None, "floor": None,
        "n_expected": n, "n_ok": n, "n_failed": 0, "n_not_applicable": 0, "n_error": 0, "coverage": 1.0,
        "anchors": {"oracle": None, "nulls": {}}, "anchored": None, "unranked": None,
        "params": dict(load_catalogue().metric(metric_id).params), "weights": [],
    }  # fmt: skip
    return {**made, **changes}


@pytest.fixture
def write_run(tmp_path: Path) -> WriteRun:
    def write(name: str, metrics: dict[str, Values], *, results: dict[str, Any] | None = None, **changes: Any) -> Path:
        folder = tmp_path / f"run {len(list(tmp_path.iterdir()))} {name}"
        folder.mkdir()
        rows = []
        listed = []
        for metric_id, values in metrics.items():
            card = load_catalogue().metric(metric_id).card
            there = [value for value in values if value is not None]
            listed.append(metric_result(metric_id, float(np.mean(there)) if there else None, len(values), **changes))
            for i, value in enumerate(values):
                is_set = card.aggregation == "set"
                rows.append({
                    "sample_id": f"s{i:03}", "cluster": f"p{i:03}", "metric": metric_id, "protocol": card.protocol,
                    "status": "ok" if value is not None else "not_applicable", "value": value,
                    "counted": None if is_set else value, "reason": None, "details": "{}",
                    "features": json.dumps({"candidate": f"{name}-{i}", "reference": f"real-{i}"}) if is_set else "{}",
                })  # fmt: skip
        pq.write_table(pa.Table.from_pylist(rows, schema=SAMPLES_SCHEMA), folder / "samples.parquet")
        content: dict[str, Any] = {
            "benchmark": {"name": "b", "version": "1", "manifest_sha256": SHA, "n_samples": 3},
            "vidchatbench_version": "0", "suite": {"name": "lite", "version": 1}, "system": {"name": name},
            "metrics": listed, "unavailable": [],
            "environment": {
                "python": "3", "platform": "p", "device": "cpu", "packages": {}, "plugins": {}, "decode_profile": "d",
            },
            "run": {
                "started": "2026-01-01T00:00:00Z", "finished": "2026-01-01T00:00:01Z", "seed": 0, "permissive": False,
                "policy": {}, "workers": 1, "batch_size": 1, "engine": "local", "seconds": {}, "media_seconds": 0.0,
                "features_reused": 0, "features_extracted": 0, "decode_passes": {}, "peak_memory_bytes": 0,
            },
            "complete": True,
        }  # fmt: skip
        content.update(results or {})
        (folder / "results.json").write_text(Results.model_validate_json(json.dumps(content)).to_json())
        return folder

    return write


def compare(*folders: Path, load: Callable[[str], Feature | None] = lambda key: None, **options: Any) -> Comparison:
    return compare_runs(folders, catalogue=load_catalogue(), load=load, **options)


def noise(seed: int, mean: float, n: int = 60) -> list[float]:
    return np.random.default_rng(seed).normal(mean, 2.0, n).tolist()


def test_a_better_system_is_named(write_run: WriteRun) -> None:
    found = compare(write_run("ours", {PSNR: noise(1, 25)}), write_run("theirs", {PSNR: noise(2, 20)}))
    (pair,) = found.metrics[0].pairs
    assert pair.difference == pytest.approx(5, abs=1)
    assert pair.ci95 is not None
    assert pair.ci95[0] < pair.difference < pair.ci95[1]
    assert (pair.better, pair.verdict, pair.n, pair.clusters) == ("ours", "ours is better", 60, 60)
    assert found.metrics[0].values[0].value == pytest.approx(np.mean(noise(1, 25)))


def test_lower_is_better_where_it_is(write_run: WriteRun) -> None:
    name = "video_quality/lpips"
    found = compare(write_run("a", {name: noise(1, 25)}), write_run("b", {name: noise(2, 20)}))
    assert found.metrics[0].pairs[0].better == "b"


def test_no_difference_says_what_could_have_gone_unnoticed(write_run: WriteRun) -> None:
    found = compare(write_run("a", {PSNR: noise(1, 20)}), write_run("b", {PSNR: noise(2, 20)}))
    (pair,) = found.metrics[0].pairs
    assert pair.better is None
    assert pair.detectable is not None
    assert f"{pair.detectable:.3g} dB could have gone unnoticed" in pair.verdict


def test_too_few_identities_decide_nothing_however_far_apart(write_run: WriteRun) -> None:
    found = compare(write_run("a", {PSNR: noise(1, 90, 4)}), write_run("b", {PSNR: noise(2, 10, 4)}))
    (pair,) = found.metrics[0].pairs
    assert pair.better is None
    assert pair.p == 2 / 16
    assert "undecided: 4 identities are too few" in pair.verdict


def test_every_pair_of_three_is_compared_and_holm_counts_them_all(write_run: WriteRun) -> None:
    runs = [
        write_run(name, {PSNR: noise(i, 20 + i), "video_quality/ssim": noise(9 + i, 0)}) for i, name in enumerate("abc")
    ]
    found = compare(*runs)
    pairs = [pair for metric in found.metrics for pair in metric.pairs]
    assert [(pair.first, pair.second) for pair in pairs[:3]] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert len(pairs) == 6
    least = min(pairs, key=lambda pair: pair.p)
    assert least.p_holm == pytest.approx(min(1.0, 6 * least.p))
    assert all(pair.p_holm >= pair.p for pair in pairs)


def test_only_samples_that_both_have_are_paired(write_run: WriteRun) -> None:
    first, second = noise(1, 20, 30), noise(2, 20, 30)
    found = compare(write_run("a", {PSNR: [*first[:20], *[None] * 10]}), write_run("b", {PSNR: second}))
    (pair,) = found.metrics[0].pairs
    assert pair.n == 20
    assert pair.difference == pytest.approx(np.mean(np.array(first[:20]) - np.array(second[:20])))


def test_systems_of_one_name_are_told_apart(write_run: WriteRun) -> None:
    runs = [write_run("same", {PSNR: noise(i, 20)}) for i in range(2)]
    assert compare(*runs).systems == ("same (1)", "same (2)")
    revised = [
        write_run("same", {PSNR: noise(i, 20)}, results={"system": {"name": "same", "revision": r}})
        for i, r in enumerate("xy")
    ]
    assert compare(*revised).systems == ("same x", "same y")


@pytest.mark.parametrize(
    ("results", "part"),
    [
        ({"benchmark": {"name": "b", "version": "2", "manifest_sha256": "b" * 64, "n_samples": 3}}, "another manifest"),
        ({"suite": {"name": "lite", "version": 2}}, "lite v2"),
        ({"suite": {"name": "official", "version": 1}}, "official v1"),
    ],
)
def test_other_samples_or_suites_are_refused(write_run: WriteRun, results: dict[str, Any], part: str) -> None:
    with pytest.raises(InputError, match=part):
        compare(write_run("a", {PSNR: noise(1, 20)}), write_run("b", {PSNR: noise(2, 20)}, results=results))


@pytest.mark.parametrize(
    "changes",
    [
        {"protocol": "psnr/other-v1"},
        {"version": 7},
        {"weights": [{"name": "n", "sha256": SHA, "license": "MIT", "pin": "named"}]},
    ],
)
def test_other_protocols_versions_or_weights_are_refused(write_run: WriteRun, changes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=PSNR):
        compare(write_run("a", {PSNR: noise(1, 20)}), write_run("b", {PSNR: noise(2, 20)}, **changes))


def test_all_reasons_are_listed_at_once(write_run: WriteRun) -> None:
    other = {"suite": {"name": "lite", "version": 2}}
    with pytest.raises(InputError) as raised:
        compare(
            write_run("a", {PSNR: noise(1, 20)}),
            write_run("b", {PSNR: noise(2, 20)}, results=other, version=7),
        )
    assert len(raised.value.problems) == 2


def test_a_metric_that_only_one_run_has_is_listed(write_run: WriteRun) -> None:
    found = compare(
        write_run("a", {PSNR: noise(1, 20), "video_quality/ssim": noise(2, 0)}), write_run("b", {PSNR: noise(3, 20)})
    )
    assert [item.id for item in found.left_out] == ["video_quality/ssim"]
    assert found.left_out[0].reason == "not part of b"
    assert [metric.id for metric in found.metrics] == [PSNR]


def test_one_run_is_no_comparison(write_run: WriteRun) -> None:
    with pytest.raises(UsageError, match="two runs"):
        compare(write_run("a", {PSNR: noise(1, 20)}))


def test_a_run_without_its_samples_is_refused(write_run: WriteRun) -> None:
    one, two = (write_run(name, {PSNR: noise(1, 20)}) for name in "ab")
    (two / "samples.parquet").unlink()
    with pytest.raises(InputError, match=r"samples\.parquet"):
        compare(one, two)
    (two / "samples.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(InputError, match="Parquet"):
        compare(one, two)


# --- sets -------------------------------------------------------------------------------------------------------------


def stored(key: str) -> Feature:
    """Rows of a made-up system: those of ``far`` lie elsewhere than the real ones."""
    name, _, number = key.partition("-")
    generator = np.random.default_rng([len(name), int(number)])
    rows = generator.normal(0, 1, (16, 8)) + (3.0 if name == "far" else 0.0)
    return Feature({"embedding": rows.astype(np.float32)}, {"frames": 100, **WHOLE})


def test_sets_are_compared_from_the_stored_features(write_run: WriteRun) -> None:
    runs = [write_run(name, {FID: [1.0] * 20}) for name in ("far", "close")]
    found = compare(*runs, load=stored, set_draws=99)
    (pair,) = found.metrics[0].pairs
    assert pair.difference > 50
    assert pair.better == "close"
    assert (pair.n, pair.draws, pair.p) == (20, 99, 0.01)
    assert pair.ci95 is not None
    assert pair.ci95[0] > 0


def test_sets_whose_features_are_gone_are_left_out_with_the_way_out(write_run: WriteRun) -> None:
    runs = [write_run(name, {FID: [1.0] * 20, PSNR: noise(1, 20, 20)}) for name in ("far", "close")]
    found = compare(*runs)
    assert [metric.id for metric in found.metrics] == [PSNR]
    assert found.left_out[0].id == FID
    assert found.left_out[0].reason == "its features are not in this computer's store; evaluate the system here again"


def test_the_comparison_is_the_same_twice(write_run: WriteRun) -> None:
    runs = [write_run(name, {PSNR: noise(i, 20), FID: [1.0] * 60}) for i, name in enumerate(("far", "close"))]
    one, two = (compare(*runs, load=stored, set_draws=20) for _ in range(2))
    assert one == two
    assert compare(*runs, load=stored, set_draws=20, seed=1) != one


SSIM, LPIPS = "video_quality/ssim", "video_quality/lpips"


def p_values(comparison: Comparison) -> dict[str, tuple[float, float]]:
    return {metric.id: (metric.pairs[0].p, metric.pairs[0].p_holm) for metric in comparison.metrics}


@pytest.fixture
def two_runs(write_run: WriteRun) -> tuple[Path, Path]:
    """PSNR and LPIPS differ a little, SSIM does not."""
    steps = np.random.default_rng(5).normal(0.6, 2.0, 60)
    first = {PSNR: noise(1, 20), SSIM: noise(2, 20), LPIPS: noise(3, 20)}
    second = {
        PSNR: (np.array(first[PSNR]) - steps).tolist(),
        SSIM: (np.array(first[SSIM]) + np.random.default_rng(6).normal(0.0, 2.0, 60)).tolist(),
        LPIPS: (np.array(first[LPIPS]) - steps * 1.2).tolist(),
    }
    return write_run("a", first), write_run("b", second)


def test_the_family_is_what_is_shown(two_runs: tuple[Path, Path]) -> None:
    whole = p_values(compare(*two_runs))
    for chosen in ([PSNR], [LPIPS, SSIM], [SSIM], [SSIM, LPIPS, PSNR]):
        part = p_values(compare(*two_runs, family=Family(tuple(chosen))))
        assert set(part) == set(chosen)
        raw = {name: part[name][0] for name in chosen}
        assert raw == {name: pytest.approx(whole[name][0], abs=0.02) for name in chosen}, "what is raw stays"
        # Holm by hand: the k-th smallest of m times m - k, never falling.
        most = 0.0
        for place, name in enumerate(sorted(chosen, key=lambda name: raw[name])):
            most = max(most, min(1.0, (len(chosen) - place) * raw[name]))
            assert part[name][1] == pytest.approx(most)
    alone = p_values(compare(*two_runs, family=Family((PSNR,))))[PSNR]
    assert alone[0] == alone[1], "one test needs no adjustment"
    assert whole[PSNR][1] > whole[PSNR][0]


@pytest.mark.parametrize("primary", [PSNR, SSIM, LPIPS])
def test_a_primary_metric_is_adjusted_for_itself_alone_and_the_others_wait_for_it(
    two_runs: tuple[Path, Path], primary: str
) -> None:
    found = compare(*two_runs, family=Family(None, primary))
    assert found.primary == primary
    told = p_values(found)
    assert told[primary][0] == told[primary][1]
    others = sorted(set(told) - {primary}, key=lambda name: told[name][0])
    low, high = (told[name][0] for name in others)
    adjusted = [min(1.0, 2 * low), max(min(1.0, 2 * low), high)]
    assert [told[name][1] for name in others] == pytest.approx([max(told[primary][1], value) for value in adjusted])
    if told[primary][1] >= 0.05:
        assert [pair.better for metric in found.metrics for pair in metric.pairs] == [None] * 3


def test_a_primary_metric_that_cannot_be_tested_lets_nothing_pass(write_run: WriteRun) -> None:
    # The features of a metric of sets are not in the store, so that it is left out.
    far = {PSNR: noise(1, 90), FID: [1.0] * 60}, {PSNR: noise(2, 10), FID: [1.0] * 60}
    runs = [write_run(name, values) for name, values in zip("ab", far, strict=True)]
    assert compare(*runs).metrics[0].pairs[0].better == "a"
    found = compare(*runs, family=Family(None, FID))
    assert [item.id for item in found.left_out] == [FID]
    assert (found.metrics[0].pairs[0].p_holm, found.metrics[0].pairs[0].better) == (1.0, None)


@pytest.mark.parametrize(
    ("family", "parts"),
    [
        (Family(("psnr",)), ("no metric 'psnr'", "did you mean 'video_quality/psnr'?")),
        (Family((PSNR, PSNR)), ("named twice",)),
        (Family(()), ("no metric is named",)),
        (Family(None, "ssmi"), ("no metric 'ssmi'", "video_quality/ssim")),
        (Family((PSNR,), SSIM), ("primary metric 'video_quality/ssim' is not among",)),
    ],
)
def test_a_family_that_means_nothing_is_refused(
    two_runs: tuple[Path, Path], family: Family, parts: tuple[str, ...]
) -> None:
    with pytest.raises(UsageError) as raised:
        compare(*two_runs, family=family)
    assert all(part in str(raised.value) for part in parts)


def test_what_is_named_and_not_in_all_runs_is_left_out_with_its_reason(write_run: WriteRun) -> None:
    runs = write_run("a", {PSNR: noise(1, 20), SSIM: noise(2, 20)}), write_run("b", {PSNR: noise(3, 20)})
    found = compare(*runs, family=Family((PSNR, SSIM)))
    assert [(item.id, item.reason) for item in found.left_out] == [(SSIM, "not part of b")]
    assert compare(*runs, family=Family((PSNR,))).left_out == ()


# --- failures ---------------------------------------------------------------------------------------------------------


def test_a_system_that_fails_for_all_it_gains_is_not_better(write_run: WriteRun) -> None:
    # Better in 59 of 60 replies; the one that it lost costs what the others gain.
    base = noise(1, 25)
    ahead = [value + 0.2 + 0.002 * place for place, value in enumerate(base)]
    ours, theirs = write_run("ours", {PSNR: [*ahead[:59], base[59] - 13.0]}), write_run("theirs", {PSNR: base})
    (pair,) = compare(ours, theirs).metrics[0].pairs
    assert pair.ci95 is not None
    assert pair.ci95[0] < 0 < pair.ci95[1]
    assert pair.better is None
    without = write_run("ours", {PSNR: [*ahead[:59], None]})
    assert compare(without, theirs).metrics[0].pairs[0].better == "ours"


@pytest.mark.parametrize(
    ("p_holm", "limits", "better"), [(0.049, 0.01, True), (0.051, 0.01, False), (0.049, 0.0, False)]
)
def test_better_needs_both(
    monkeypatch: pytest.MonkeyPatch, write_run: WriteRun, p_holm: float, limits: float, better: bool
) -> None:
    def told(differences: Any, clusters: Sequence[str], **options: Any) -> PairedDifferences:
        found = compare_paired(differences, clusters, **options)
        return replace(found, low=np.full(1, limits), p=np.full(1, p_holm))

    monkeypatch.setattr("vidchatbench.results.comparison.compare_paired", told)
    (pair,) = compare(write_run("a", {PSNR: noise(1, 21)}), write_run("b", {PSNR: noise(2, 20)})).metrics[0].pairs
    assert (pair.better == "a") is better
    if not better and p_holm < 0.05:
        assert pair.verdict == "undecided: they differ, but the mean may do so either way"


def test_a_small_gain_without_a_failure_says_what_would_undo_it(write_run: WriteRun) -> None:
    base = noise(1, 25)
    for gain, reserved in ((1.0, True), (2.0, False)):  # 60 identities do not exclude 4.87 % of about 25 dB: 1.2 dB
        ours = write_run("ours", {PSNR: [value + gain for value in base]}, worst=0.0)
        (pair,) = compare(ours, write_run("theirs", {PSNR: base}, worst=0.0)).metrics[0].pairs
        assert pair.better == "ours"
        assert (pair.undone_by is not None) is reserved
    assert "undo" not in pair.verdict
    ours = write_run("ours", {PSNR: [value + 1.0 for value in base]}, worst=0.0)
    (pair,) = compare(ours, write_run("theirs", {PSNR: base}, worst=0.0)).metrics[0].pairs
    assert pair.undone_by == pytest.approx(1.0 / (np.mean(base) + 1.0))
    assert pair.verdict.startswith("ours is better where it does not fail; failures in 3.")
    assert pair.verdict.endswith("would undo it, up to 4.9% could have gone unseen")


def test_the_detectable_difference_is_that_of_the_family(two_runs: tuple[Path, Path]) -> None:
    three = {m.id: m.pairs[0].detectable for m in compare(*two_runs).metrics}
    (alone,) = compare(*two_runs, family=Family((PSNR,))).metrics
    assert alone.pairs[0].detectable is not None
    assert three[PSNR] == pytest.approx(alone.pairs[0].detectable * detectable_among(3))


def test_failures_stand_beside_the_difference(write_run: WriteRun) -> None:
    ours, theirs = write_run("ours", {PSNR: noise(1, 25)}), write_run("theirs", {PSNR: noise(2, 25)})
    table = pq.read_table(ours / "samples.parquet").to_pylist()
    for row in table[:6]:
        row.update(status="output_missing", value=None, counted=0.0)
    table[6].update(status="not_applicable", value=None, counted=None)
    pq.write_table(pa.Table.from_pylist(table, schema=SAMPLES_SCHEMA), ours / "samples.parquet")
    (pair,) = compare(ours, theirs).metrics[0].pairs
    assert pair.failures is not None
    assert (pair.failures.n, pair.failures.first, pair.failures.second) == (59, 6, 0)
    assert pair.failures.difference == pytest.approx(6 / 59)
    assert pair.failures.p == pytest.approx(2 * 0.5**6)
