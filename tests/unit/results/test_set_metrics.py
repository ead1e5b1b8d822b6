"""Metrics of sets: what enters them, what leaves them, their interval and floor, and what may not be ranked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from vidchatbench.api.cards import MetricCard
from vidchatbench.api.features import Array, Feature, Need, Param
from vidchatbench.api.metrics import Metric, SetDistance, SetItem, SetMetric
from vidchatbench.api.plugins import WeightSpec
from vidchatbench.api.samples import Sample, Side
from vidchatbench.api.scores import Score, Status
from vidchatbench.engine.features.lookup import FeatureLookup
from vidchatbench.engine.features.memory import MemoryStore
from vidchatbench.engine.plan import Cell
from vidchatbench.engine.scoring import score_cells
from vidchatbench.results.aggregate import Record, aggregate, aggregate_all
from vidchatbench.results.schema import Anchors
from vidchatbench.results.statistics.sets import FLOOR_SPLITS, MAX_GROUPS, estimate_set
from vidchatbench_metrics.common.set_distances import PolynomialMmd

SHA = "0" * 64
CARD: dict[str, object] = {
    "id": "family/distance", "version": 1, "title": "Distance", "dimension": "identity", "direction": "lower",
    "unit": "", "minimum": 0.0, "roles": ("candidate", "reference"), "aggregation": "set", "protocol": "distance/v1",
    "protocol_text": "p", "description": "d", "code_license": "MIT", "commercial_use": True, "citation": "c",
    "source": "s",
}  # fmt: skip


class Means:
    """Squared distance of the means, and a record of what was asked."""

    def __init__(self, candidates: Sequence[Array], references: Sequence[Array]) -> None:
        self._candidates, self._references = candidates, references
        self.asked: list[tuple[list[int], list[int]]] = []

    def between(self, candidates: NDArray[np.intp], references: NDArray[np.intp]) -> float:
        self.asked.append((candidates.tolist(), references.tolist()))
        one = np.concatenate([self._candidates[i] for i in candidates]).mean(axis=0)
        two = np.concatenate([self._references[i] for i in references]).mean(axis=0)
        return float(((one - two) ** 2).sum())


class SetOfMeans(SetMetric):
    default_card = MetricCard.model_validate(CARD)
    defaults: ClassVar[Mapping[str, Param]] = {}

    def needs(self) -> tuple[Need, ...]:
        return ()

    def item(self, features: Mapping[str, Feature]) -> SetItem | Score:
        answer = features["answer"].meta.get("say")
        if answer == "invalid":
            return Score.invalid("no face")
        if answer == "ok":
            return Score.ok(1.0)
        return SetItem(features["answer"]["candidate"], features["answer"]["reference"], {"rows": 2})

    def distance(self, candidates: Sequence[Array], references: Sequence[Array]) -> SetDistance:
        return Means(candidates, references)


def sample(name: str, speaker: str | None = None) -> Sample:
    side = Side(media="m.mp4", sha256=SHA, speaker_id=speaker or name)
    return Sample(id=name, task="dialogue", language="en", initiator=side, responder=side)


def items(n: int, seed: int = 0, shift: float = 1.0) -> list[SetItem]:
    generator = np.random.default_rng(seed)
    return [SetItem(generator.normal(shift, 1, (2, 3)), generator.normal(0, 1, (2, 3))) for _ in range(n)]


def records(metric: SetMetric, found: Sequence[SetItem], failed: int = 0) -> list[Record]:
    good = [Record.of_item(sample(f"s{i:03}"), metric, item, {}) for i, item in enumerate(found)]
    bad = [Record.of(sample(f"x{i:03}"), metric, Score.invalid("no face")) for i in range(failed)]
    return [*good, *bad]


# --- the estimate ---------------------------------------------------------------------------------------------------


def test_the_jackknife_leaves_every_identity_out_once_and_never_draws_twice() -> None:
    asked: list[Means] = []

    def prepare(candidates: Sequence[Array], references: Sequence[Array]) -> Means:
        asked.append(Means(candidates, references))
        return asked[-1]

    estimate_set(items(6), ["a", "a", "b", "c", "d", "d"], prepare, seed=3)
    main, real = asked
    whole, *left = main.asked[: 1 + 4]
    assert whole == (list(range(4)), list(range(4))), "positions are identities"
    missing = [sorted(set(range(4)) - set(candidates)) for candidates, _ in left]
    assert sorted(missing) == [[0], [1], [2], [3]]
    assert all(candidates == references for candidates, references in left)
    for candidates, references in [*main.asked[5:], *real.asked]:
        assert not set(candidates) & set(references), "the two halves share an identity"
        assert sorted([*candidates, *references]) == list(range(4))
        assert len(candidates) == 2
    assert main.asked[5:] == real.asked
    assert len(real.asked) == FLOOR_SPLITS


def test_the_samples_of_an_identity_are_pooled_on_both_sides() -> None:
    seen: list[tuple[Sequence[Array], Sequence[Array]]] = []

    def prepare(candidates: Sequence[Array], references: Sequence[Array]) -> Means:
        seen.append((candidates, references))
        return Means(candidates, references)

    found = items(5)
    estimate = estimate_set(found, ["b", "a", "b", "c", "a"], prepare, seed=3)
    (candidates, references), (real, same) = seen
    for rows, side in ((candidates, "candidate"), (references, "reference"), (real, "reference"), (same, "reference")):
        expected = [np.concatenate([getattr(found[i], side) for i in of]) for of in ([1, 4], [0, 2], [3])]
        assert all(np.array_equal(one, two) for one, two in zip(rows, expected, strict=True))
    assert estimate.floor is not None
    assert estimate.floor.n in {1, 2}, "samples are counted, not identities: two of a or b, one of c"
    even = estimate_set(items(8), list("aabbccdd"), Means, seed=0).floor
    assert even is not None
    assert even.n == 4


def test_many_identities_are_left_out_in_groups() -> None:
    asked: list[Means] = []

    def prepare(candidates: Sequence[Array], references: Sequence[Array]) -> Means:
        asked.append(Means(candidates, references))
        return asked[-1]

    estimate_set(items(101), [f"p{i}" for i in range(101)], prepare, seed=0)
    left = asked[0].asked[1 : 1 + MAX_GROUPS]
    sizes = [101 - len(candidates) for candidates, _ in left]
    assert sum(sizes) == 101
    assert max(sizes) - min(sizes) <= 1


def test_the_interval_is_that_of_the_formula() -> None:
    found = items(3)
    estimate = estimate_set(found, ["a", "b", "c"], Means, seed=0)
    distance = Means([i.candidate for i in found], [i.reference for i in found])
    left = [distance.between(np.array(keep), np.array(keep)) for keep in ([1, 2], [0, 2], [0, 1])]
    error = np.sqrt(2 / 3 * np.sum((np.array(left) - np.mean(left)) ** 2))
    assert estimate.interval is not None
    assert estimate.interval.high - estimate.value == pytest.approx(4.303 * error, rel=1e-12)
    assert estimate.value - estimate.interval.low == pytest.approx(4.303 * error, rel=1e-12)


def test_of_many_identities_twenty_groups_make_the_interval() -> None:
    class Recorded(Means):
        answers: ClassVar[list[float]] = []

        def between(self, candidates: NDArray[np.intp], references: NDArray[np.intp]) -> float:
            self.answers.append(super().between(candidates, references))
            return self.answers[-1]

    estimate = estimate_set(items(50), [f"p{i}" for i in range(50)], Recorded, seed=0)
    left = np.array(Recorded.answers[1:21])
    assert estimate.value == Recorded.answers[0]
    half = 2.093 * np.sqrt(19 / 20 * np.square(left - left.mean()).sum())
    assert estimate.interval is not None
    assert estimate.interval == pytest.approx((estimate.value - half, estimate.value + half), rel=1e-12)


def test_the_interval_covers_as_often_as_it_says() -> None:
    # A linear statistic, for which the truth and the spread are known: the mean over 40 identities of two clips each.
    class Linear:
        def __init__(self, candidates: Sequence[Array], references: Sequence[Array]) -> None:
            self._values = np.array([rows.mean() for rows in candidates])

        def between(self, candidates: NDArray[np.intp], references: NDArray[np.intp]) -> float:
            return float(self._values[candidates].mean())

    clusters = [f"p{i // 2}" for i in range(80)]
    hits = 0
    for seed in range(400):
        generator = np.random.default_rng(seed)
        person = np.repeat(generator.normal(0, 1, 40), 2) + generator.normal(0, 0.5, 80)
        found = [SetItem(np.full((1, 1), value), np.zeros((1, 1))) for value in person]
        interval = estimate_set(found, clusters, Linear, seed=seed).interval
        assert interval is not None
        hits += interval.low <= 0.0 <= interval.high
    assert 0.92 <= hits / 400 <= 0.98


def test_the_floor_compares_equal_numbers_of_other_identities() -> None:
    generator = np.random.default_rng(5)
    same = [SetItem(generator.normal(0, 1, (4, 3)), generator.normal(0, 1, (4, 3))) for _ in range(60)]
    far = [SetItem(item.candidate + 3, item.reference) for item in same]
    clusters = [f"p{i}" for i in range(60)]
    near_floor, far_floor = (estimate_set(found, clusters, Means, seed=0).floor for found in (same, far))
    assert near_floor is not None
    assert far_floor is not None
    assert near_floor.n == far_floor.n == 30
    assert near_floor.value == far_floor.value, "the floor knows nothing of the candidates"
    assert near_floor.candidate < 3 * near_floor.value + 0.1
    assert far_floor.candidate > 20 * far_floor.value


@pytest.mark.parametrize(
    ("identities", "has_interval", "has_floor"), [(1, False, False), (2, False, True), (3, True, True)]
)
def test_few_identities_say_little(identities: int, has_interval: bool, has_floor: bool) -> None:
    estimate = estimate_set(items(6), [f"p{i % identities}" for i in range(6)], Means, seed=0)
    assert (estimate.interval is not None) == has_interval
    assert (estimate.floor is not None) == has_floor


def test_parts_that_are_too_small_cost_interval_and_floor_but_not_the_value() -> None:
    class NeedsSix(Means):
        def between(self, candidates: NDArray[np.intp], references: NDArray[np.intp]) -> float:
            if len(candidates) < 6:  # identities
                raise ValueError("too few rows")
            return super().between(candidates, references)

    estimate = estimate_set(items(6), [f"p{i}" for i in range(6)], NeedsSix, seed=0)
    assert estimate.value > 0
    assert estimate.interval is None
    assert estimate.floor is None


def test_a_distance_that_is_not_finite_is_refused() -> None:
    class Broken(Means):
        def between(self, candidates: NDArray[np.intp], references: NDArray[np.intp]) -> float:
            return float("nan")

    with pytest.raises(ValueError, match="finite"):
        estimate_set(items(4), list("abcd"), Broken, seed=0)
    with pytest.raises(ValueError, match="0 items"):
        estimate_set([], [], Means, seed=0)


# --- the result -----------------------------------------------------------------------------------------------------


def test_failed_samples_leave_the_set_and_below_95_percent_the_ranking() -> None:
    metric = SetOfMeans()
    found = items(40)
    whole = aggregate(metric, records(metric, found), {}, seed=0)
    few = aggregate(metric, records(metric, found, failed=2), {}, seed=0)
    many = aggregate(metric, records(metric, found, failed=3), {}, seed=0)
    assert whole.value == few.value == many.value, "a failed sample has no worst value here"
    assert (few.n_ok, few.n_failed, few.n_expected) == (40, 2, 42)
    assert whole.unranked is None
    assert few.unranked is None
    assert many.unranked is not None
    assert "93%" in many.unranked
    assert whole.interval_method == "delete_group_jackknife"
    assert whole.aggregation == "set"


def test_the_order_of_the_records_changes_no_bit() -> None:
    metric = SetOfMeans()
    forward = records(metric, items(30, seed=8), failed=1)
    one, two = (aggregate(metric, order, {}, seed=0) for order in (forward, forward[::-1]))
    assert one == two


def test_the_interval_stays_within_the_range() -> None:
    metric = SetOfMeans()
    result = aggregate(metric, records(metric, items(5, shift=0.0)), {}, seed=0)
    assert result.ci95 is not None
    assert result.ci95[0] == 0.0


def test_exactly_95_percent_are_enough() -> None:
    metric = SetOfMeans()
    assert aggregate(metric, records(metric, items(19), failed=1), {}, seed=0).unranked is None
    few = aggregate(metric, records(metric, items(18), failed=1), {}, seed=0)
    assert few.unranked == "the set covers 95% of the samples; 95% is needed", "18 of 19, rounded"
    away = Record.of(sample("away"), metric, Score.not_applicable("no reference"))
    assert aggregate(metric, [*records(metric, items(19), failed=1), away], {}, seed=0).coverage == 0.95


def test_value_interval_and_floor_are_those_of_the_estimate() -> None:
    metric = SetOfMeans()
    chosen = items(12, shift=4.0)
    result = aggregate(metric, records(metric, chosen), {}, seed=5)
    estimate = estimate_set(chosen, [f"s{i:03}" for i in range(12)], Means, seed=5)
    assert estimate.interval is not None
    assert estimate.floor is not None
    assert (result.value, result.ci95) == (estimate.value, tuple(estimate.interval))
    assert result.floor is not None
    assert result.floor.model_dump() == estimate.floor._asdict()


def test_of_one_identity_there_is_a_value_and_no_more() -> None:
    metric = SetOfMeans()
    same = [Record.of_item(sample(f"s{i}", "p"), metric, item, {}) for i, item in enumerate(items(4))]
    result = aggregate(metric, same, {}, seed=0)
    assert result.value is not None
    assert (result.ci95, result.interval_method, result.floor) == (None, None, None)


def test_without_a_minimum_the_interval_may_go_below_zero() -> None:
    class Unbounded(SetOfMeans):
        default_card = MetricCard.model_validate({**CARD, "minimum": None})

    metric = Unbounded()
    result = aggregate(metric, records(metric, items(5, shift=0.0)), {}, seed=0)
    assert result.ci95 is not None
    assert result.ci95[0] < 0


def test_a_sample_without_an_item_leaves_the_order_of_the_others() -> None:
    metric = SetOfMeans()
    good, bad = records(metric, items(8), failed=3)[:8], records(metric, [], failed=3)
    mixed = [*bad[:1], *good[:4], *bad[1:], *good[4:]]
    assert aggregate(metric, mixed, {}, seed=0) == aggregate(metric, [*good, *bad], {}, seed=0)


def test_where_nothing_is_left_there_is_no_number() -> None:
    metric = SetOfMeans()
    result = aggregate(metric, records(metric, [], failed=4), {}, seed=0)
    assert (result.value, result.ci95, result.floor, result.coverage) == (None, None, None, 0.0)
    assert result.unranked is not None


def test_a_distance_that_breaks_is_said_and_takes_nothing_with_it() -> None:
    class Breaks(SetOfMeans):
        def distance(self, candidates: Sequence[Array], references: Sequence[Array]) -> SetDistance:
            raise RuntimeError("out of luck")

    metric = Breaks()
    result = aggregate(metric, records(metric, items(4)), {}, seed=0)
    assert result.value is None
    assert result.unranked == "RuntimeError: out of luck"


# --- ranking by weights, anchors -------------------------------------------------------------------------------------


class Weighted(Metric):
    defaults: ClassVar[Mapping[str, Param]] = {"network": "official"}
    default_card = MetricCard.model_validate(
        {
            **CARD,
            "aggregation": "mean",
            "worst": 9.0,
            "null": "shuffled_audio",
            "weights": ("net",),
            "weights_license": "MIT",
        }
    )

    def make_card(self) -> MetricCard:
        if self.params == self.defaults:
            return self.default_card
        return self.default_card.vary(protocol="distance/other-v1", weights=(str(self.params["network"]),))

    def needs(self) -> tuple[Need, ...]:
        return ()

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        return Score.ok(1.0)


def weighted(metric: Weighted, *values: float, anchors: Anchors | None = None) -> object:
    spec = WeightSpec(name="net", file_name="n", sha256=SHA, size=1, license="MIT", commercial_use=True, origin="us")
    rows = [Record.of(sample(f"s{i}"), metric, Score.ok(value)) for i, value in enumerate(values)]
    return aggregate(metric, rows, {"net": spec}, seed=0, anchors=anchors)


def test_a_network_that_is_not_the_pinned_one_cannot_be_ranked() -> None:
    official = weighted(Weighted(), 1.0, 2.0)
    seeded = weighted(Weighted(network=f"sha256:{'1' * 64}"), 1.0, 2.0)
    assert official.unranked is None  # type: ignore[attr-defined]
    assert official.weights[0].pin.value == "published"  # type: ignore[attr-defined]
    assert "not the pinned" in seeded.unranked  # type: ignore[attr-defined]
    assert seeded.weights[0].pin.value == "named"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("anchors", "expected"),
    [
        (Anchors(oracle=1.0, nulls={"shuffled_audio": 5.0}), 50.0),
        (Anchors(oracle=5.0, nulls={"shuffled_audio": 1.0}), None),  # lower is better: this scale runs backwards
        (Anchors(oracle=3.0, nulls={"shuffled_audio": 5.0}), 100.0),
        (Anchors(oracle=4.0, nulls={"shuffled_audio": 4.0}), None),
        (Anchors(oracle=4.0, nulls={"shuffled_replies": 1.0}), None),
        (Anchors(nulls={"shuffled_audio": 1.0}), None),
        (None, None),
    ],
)
def test_the_anchored_scale(anchors: Anchors | None, expected: float | None) -> None:
    assert weighted(Weighted(), 2.0, 4.0, anchors=anchors).anchored == expected  # type: ignore[attr-defined]


class Turned(Weighted):
    default_card = Weighted.default_card.model_copy(update={"direction": "higher"})


@pytest.mark.parametrize(
    ("oracle", "null", "expected"), [(5.0, 1.0, 50.0), (3.0, 1.0, 100.0), (4.0, 4.0, None), (1.0, 5.0, None)]
)
def test_the_anchored_scale_of_what_is_better_when_higher(oracle: float, null: float, expected: float | None) -> None:
    anchors = Anchors(oracle=oracle, nulls={"shuffled_audio": null})
    result = weighted(Turned(), 2.0, 4.0, anchors=anchors)
    assert result.anchored == expected  # type: ignore[attr-defined]
    assert result.anchors == anchors  # type: ignore[attr-defined]


def test_a_metric_without_a_null_or_a_value_is_on_no_scale() -> None:
    class Plain(Weighted):
        default_card = Weighted.default_card.model_copy(update={"null": None})

    anchors = Anchors(oracle=1.0, nulls={"shuffled_audio": 5.0})
    assert weighted(Plain(), 2.0, anchors=anchors).anchored is None  # type: ignore[attr-defined]
    assert weighted(Weighted(), anchors=anchors).anchored is None  # type: ignore[attr-defined]


def test_weights_of_unknown_content_cannot_have_taken_part() -> None:
    spec = WeightSpec(
        name="net", file_name="n", sha256=None, size=None, license="MIT", commercial_use=True, origin="us"
    )
    with pytest.raises(ValueError, match="weight 'net' took part, but nothing is known of its content"):
        aggregate(Weighted(), [], {"net": spec}, seed=0)


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        ([Score.ok(1.0), Score(Status.ERROR, None, "x"), Score(Status.ERROR, None, "y")],
         "2 samples failed through our own error"),
        ([Score.ok(1.0), Score(Status.JUDGE_FAILED, None, "x"), Score(Status.ERROR, None, "y")],
         "1 samples failed through our own error; the judge gave no usable answer for 1 sample"),
        ([Score(Status.JUDGE_FAILED, None, "x")] * 2, "the judge gave no usable answer for 2 samples"),
        ([Score.not_applicable("no reference")], "the metric applies to no sample"),
        ([], "the metric applies to no sample"),
        ([Score.ok(1.0), *[Score.invalid("no face")] * 9], None),
        ([Score.invalid("no face")], None),
    ],
)  # fmt: skip
def test_why_a_mean_cannot_be_ranked(scores: list[Score], reason: str | None) -> None:
    spec = WeightSpec(name="net", file_name="n", sha256=SHA, size=1, license="MIT", commercial_use=True, origin="us")
    metric = Weighted()
    rows = [Record.of(sample(f"s{i}"), metric, score) for i, score in enumerate(scores)]
    assert aggregate(metric, rows, {"net": spec}, seed=0).unranked == reason


def test_unpinned_weights_are_told_before_our_own_errors() -> None:
    metric = Weighted(network=f"sha256:{'1' * 64}")
    rows = [Record.of(sample("s"), metric, Score(Status.ERROR, None, "x"))]
    result = aggregate(metric, rows, {}, seed=0)
    assert result.unranked == f"the weights sha256-{'1' * 64} are not the pinned ones"


def test_every_metric_gets_its_own_records_and_anchors() -> None:
    spec = WeightSpec(name="net", file_name="n", sha256=SHA, size=1, license="MIT", commercial_use=True, origin="us")

    class Other(Weighted):
        default_card = Weighted.default_card.model_copy(update={"id": "family/other"})

    one, two, idle = Weighted(), Other(), Other()
    rows = [Record.of(sample(f"s{i}"), (one, two)[i % 2], Score.ok(float(i))) for i in range(6)]
    anchors = {"family/other": Anchors(oracle=1.0, nulls={"shuffled_audio": 5.0})}
    results = aggregate_all([two, one, idle], rows, {"net": spec}, seed=0, anchors=anchors)
    assert [result.id for result in results] == ["family/other", "family/distance", "family/other"]
    assert [result.value for result in results] == [3.0, 2.0, None]
    assert [result.n_expected for result in results] == [3, 3, 0]
    assert [result.anchored for result in results] == [50.0, None, None]
    assert [r.anchored for r in aggregate_all([two], rows[1::2], {"net": spec}, seed=0)] == [None]


# --- scoring --------------------------------------------------------------------------------------------------------


def scored(**arrays: NDArray[np.float64]) -> Record:
    return cell({}, **arrays)


def cell(meta: Mapping[str, Param], **arrays: NDArray[np.float64]) -> Record:
    metric = SetOfMeans()
    one = Cell(metric, sample("s"), None, {"answer": "key"})
    features = FeatureLookup(MemoryStore())
    features.put({"key": Feature(arrays, meta)})
    (record,) = score_cells([one], {}, features).records
    return record


def test_an_item_is_kept_with_how_far_it_is_off() -> None:
    record = scored(candidate=np.array([[0.0, 3.0], [0.0, 5.0]]), reference=np.array([[3.0, 0.0]]))
    assert record.item is not None
    assert record.counted is None
    assert record.score.value == 5.0
    assert record.score.details == {"rows": 2}


@pytest.mark.parametrize(
    "candidate", [np.zeros((0, 2)), np.zeros(2), np.array([[0.0, np.nan]]), np.array([[0.0, np.inf]])]
)
def test_rows_that_are_none_are_our_error(candidate: NDArray[np.float64]) -> None:
    record = scored(candidate=candidate, reference=np.zeros((1, 2)))
    assert record.score.status is Status.ERROR
    assert record.item is None


def test_a_failure_is_passed_on_and_a_mere_score_is_refused() -> None:
    rows = {"candidate": np.zeros((1, 2)), "reference": np.zeros((1, 2))}
    assert cell({"say": "invalid"}, **rows).score.status is Status.OUTPUT_INVALID
    refused = cell({"say": "ok"}, **rows)
    assert refused.score.status is Status.ERROR
    assert "SetItem" in str(refused.score.reason)


def test_a_card_of_sets_has_no_worst_value_and_one_of_means_must() -> None:
    with pytest.raises(ValueError, match="worst"):
        MetricCard.model_validate({**CARD, "worst": 1.0})
    with pytest.raises(ValueError, match="worst"):
        MetricCard.model_validate({**CARD, "aggregation": "mean"})


# --- paired sets ----------------------------------------------------------------------------------------------------


def people(n: int, shift: float, seed: int) -> list[SetItem]:
    """Replies of people whose real replies share nearly everything with them but the shift."""
    generator = np.random.default_rng([seed, n])
    person = generator.normal(0, 0.92, (n, 1, 32))
    made, real = (person + generator.normal(0, 0.39, (n, 1, 32)) for _ in range(2))
    return [SetItem(one, other) for one, other in zip(made + shift, real, strict=True)]


@pytest.mark.parametrize(("shift", "truth"), [(0.0, 0.0), (0.3, 0.306)])
def test_kid_of_paired_sets_is_unbiased_and_its_interval_holds_the_truth(shift: float, truth: float) -> None:
    clusters = [f"p{i:02}" for i in range(30)]
    estimates = [estimate_set(people(30, shift, seed), clusters, PolynomialMmd, seed=seed) for seed in range(60)]
    values = np.array([estimate.value for estimate in estimates])
    intervals = [estimate.interval for estimate in estimates if estimate.interval is not None]
    assert abs(values.mean() - truth) < 4 * values.std() / np.sqrt(60)
    assert np.mean([low <= truth <= high for low, high in intervals]) >= 0.88
    floors = [estimate.floor.value for estimate in estimates if estimate.floor is not None]
    assert abs(np.mean(floors)) < 4 * np.std(floors) / np.sqrt(60), "real against real of other people is at 0"


def test_real_replies_are_at_zero_without_any_spread() -> None:
    real = [SetItem(item.reference, item.reference) for item in people(30, 0.0, 1)]
    estimate = estimate_set(real, [f"p{i % 12}" for i in range(30)], PolynomialMmd, seed=0)
    assert estimate.value == 0.0
    assert estimate.interval == (0.0, 0.0)
