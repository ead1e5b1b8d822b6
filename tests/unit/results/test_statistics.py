"""An interval that is wrong looks like one that is right: it is held against scipy, and against its own promise."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from vidchatbench.results.statistics.intervals import (
    Interval,
    bca_limits,
    cluster_mean_interval,
    lower_limit_is_positive,
    unseen_failure_rate,
    widen_for_unseen_failures,
)


def interval(
    values: Sequence[float],
    clusters: Sequence[str] | None = None,
    *,
    seed: int = 0,
    level: float = 0.95,
    expand: bool = True,
) -> Interval:
    names = [f"c{k}" for k in range(len(values))] if clusters is None else clusters
    found = cluster_mean_interval(values, names, seed=seed, level=level, expand=expand)
    assert found is not None
    return found


DATA = {
    "normal": lambda g, n: g.normal(0.7, 0.1, n),
    "skewed": lambda g, n: g.exponential(2.0, n),
    "skewed the other way": lambda g, n: 1 - g.exponential(2.0, n),
    "few levels": lambda g, n: g.choice([0.2, 0.4, 0.6, 0.8, 1.0], n),
    "one outlier": lambda g, n: np.concatenate([g.normal(10, 1, n - 1), [60.0]]),
}


@pytest.mark.parametrize("level", [0.95, 0.8])
@pytest.mark.parametrize("n", [8, 30, 200])
@pytest.mark.parametrize("kind", DATA)
def test_single_samples_give_the_interval_of_scipy(kind: str, n: int, level: float) -> None:
    values = DATA[kind](np.random.default_rng(n), n)
    found = interval(values.tolist(), level=level, expand=False)
    reference = stats.bootstrap(
        (values,), np.mean, method="BCa", confidence_level=level, n_resamples=9999, rng=np.random.default_rng(1)
    ).confidence_interval
    tolerance = 0.025 * (reference.high - reference.low)
    assert found.low == pytest.approx(reference.low, abs=tolerance)
    assert found.high == pytest.approx(reference.high, abs=tolerance)


def test_equal_clusters_are_one_value_each() -> None:
    # Clusters of one size, constant within: the same as their values alone.
    values = np.random.default_rng(3).normal(size=20)
    clusters = [f"c{k:02d}" for k in range(20)]
    single = interval(values.tolist(), clusters)
    tripled = interval(np.repeat(values, 3).tolist(), list(np.repeat(clusters, 3)))
    assert tripled.low == pytest.approx(single.low, rel=1e-9)
    assert tripled.high == pytest.approx(single.high, rel=1e-9)


def test_samples_of_one_speaker_are_not_counted_as_independent() -> None:
    generator = np.random.default_rng(4)
    speakers = generator.normal(size=15)
    values = (speakers[:, None] + generator.normal(scale=0.1, size=(15, 20))).ravel()
    clusters = list(np.repeat([f"s{k}" for k in range(15)], 20))
    clustered, naive = interval(values.tolist(), clusters), interval(values.tolist())
    assert clustered.high - clustered.low > 3 * (naive.high - naive.low)


def test_a_large_cluster_weighs_as_much_as_it_has_samples() -> None:
    # The estimate is the mean of all samples, so the interval must lie around that and not around the mean of means.
    values = [1.0] * 90 + [0.0] * 5 + [0.5] * 5
    clusters = ["a"] * 30 + ["b"] * 30 + ["c"] * 30 + ["d"] * 5 + ["e"] * 5
    found = interval(values, clusters)
    assert found.low <= np.mean(values) <= found.high


@pytest.mark.parametrize("seed", range(4))
def test_order_does_not_change_a_bit(seed: int) -> None:
    generator = np.random.default_rng(seed)
    values = generator.normal(scale=10.0 ** generator.integers(-6, 6, 60))
    clusters = [f"speaker {k}" for k in generator.integers(0, 12, 60)]
    expected = interval(values.tolist(), clusters)
    for _ in range(5):
        order = generator.permutation(60)
        assert interval([float(values[k]) for k in order], [clusters[k] for k in order]) == expected


def test_names_of_clusters_do_not_matter_beyond_telling_them_apart() -> None:
    values = np.random.default_rng(5).normal(size=30).tolist()
    clusters = [f"c{k % 10}" for k in range(30)]
    renamed = [f"日本 {name} ü" for name in clusters]
    assert interval(values, renamed) == interval(values, clusters)


def test_names_that_are_alike_are_told_apart() -> None:
    # 1, 10 and "01" sort differently as text and as numbers; one prefix of another must not merge with it.
    names = ["1", "10", "01", "a", "a ", "A", "é", "e", "", "ab"]
    values = [float(k) for k in range(len(names))]
    shuffled = sorted(names)
    expected = interval([values[names.index(name)] for name in shuffled], shuffled)
    assert interval(values, names) == expected
    by_value = interval(values, [f"c{k}" for k in range(len(names))])
    assert by_value.high - by_value.low == pytest.approx(expected.high - expected.low, rel=0.2)


@pytest.mark.parametrize("clusters", [[], ["a"], ["a"] * 9, ["a", "b"], ["a", "b"] * 9])
def test_fewer_than_three_clusters_give_no_interval(clusters: list[str]) -> None:
    values = np.random.default_rng(0).normal(size=len(clusters)).tolist()
    assert cluster_mean_interval(values, clusters, seed=0) is None


def test_three_clusters_give_one() -> None:
    found = interval([1.0, 2.0, 4.0], ["a", "b", "c"])
    assert 1.0 <= found.low < found.high <= 4.0


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, -7.7, 1e-300, 1e100, 100.0])
@pytest.mark.parametrize("sizes", [(1, 1, 1), (3, 3, 3, 3), (1, 2, 5, 11)])
def test_constant_values_give_the_constant(value: float, sizes: tuple[int, ...]) -> None:
    clusters = list(itertools.chain.from_iterable([f"c{k}"] * size for k, size in enumerate(sizes)))
    found = interval([value] * len(clusters), clusters)
    assert found.low == pytest.approx(value, rel=1e-12)
    assert found.high == pytest.approx(value, rel=1e-12)


def test_the_seed_decides_and_nothing_else() -> None:
    values = np.random.default_rng(6).normal(size=40).tolist()
    np.random.seed(1)  # the state of others must not matter
    first = interval(values, seed=3)
    np.random.seed(2)
    assert interval(values, seed=3) == first
    other = interval(values, seed=4)
    assert other != first
    assert other.low == pytest.approx(first.low, abs=0.05)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_values_are_finite(bad: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        cluster_mean_interval([1.0, bad, 2.0], ["a", "b", "c"], seed=0)


def test_lengths_agree() -> None:
    with pytest.raises(ValueError, match="2 values but 3 clusters"):
        cluster_mean_interval([1.0, 2.0], ["a", "b", "c"], seed=0)


@pytest.mark.parametrize(
    "values",
    [
        [0.0] * 39 + [1.0],
        [0.0] * 399 + [1e6],
        [1.0] * 39 + [0.0],
        [0.0, 0.0, 1.0],
        [1e-12, 2e-12, 3e-12],
        [1e12, 1e12 + 1, 1e12 + 2],
        [100.0] * 499 + [0.0],
    ],
    ids=lambda values: f"{len(values)} values, last {values[-1]}",
)
@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.99, 0.999])
def test_extreme_data_give_ordered_limits_within_the_data(values: list[float], level: float) -> None:
    found = interval(values, level=level)
    assert math.isfinite(found.low)
    assert math.isfinite(found.high)
    assert found.low <= found.high
    span = max(values) - min(values)
    assert min(values) - 1e-9 * span <= found.low
    assert found.high <= max(values) + 1e-9 * span


def test_a_higher_level_gives_a_wider_interval() -> None:
    values = np.random.default_rng(7).normal(size=50).tolist()
    widths = [found.high - found.low for found in (interval(values, level=level) for level in (0.5, 0.8, 0.95, 0.99))]
    assert widths == sorted(widths)


def test_types_are_plain() -> None:
    found = interval([1.0, 2.0, 3.0, 5.0])
    assert type(found.low) is float
    assert type(found.high) is float


@pytest.mark.slow
def test_the_interval_covers_what_it_promises() -> None:
    # 2000 simulations tell the share to half a percent; with 300 the verdict would be a matter of the seed.
    generator = np.random.default_rng(8)
    simulations, hits = 2000, 0
    for seed in range(simulations):
        sizes = generator.integers(1, 6, 40)
        clusters = [f"c{k:02d}" for k, size in enumerate(sizes) for _ in range(size)]
        speakers = np.repeat(generator.normal(5.0, 1.0, 40), sizes)
        values = speakers + generator.normal(0.0, 1.0, len(speakers))
        found = cluster_mean_interval(values.tolist(), clusters, seed=seed, draws=2000)
        assert found is not None
        hits += found.low <= 5.0 <= found.high
    assert 0.92 <= hits / simulations <= 0.98


# --- failures that did not occur ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "rate"), [(10, 0.25887), (30, 0.09503), (100, 0.02951), (500, 0.00597)])
def test_the_failure_rate_that_so_many_trials_do_not_exclude(n: int, rate: float) -> None:
    assert unseen_failure_rate(n) == pytest.approx(rate, abs=1e-5)
    # Clopper and Pearson at zero events: n trials without one have a chance of 5 % at that rate.
    assert (1 - unseen_failure_rate(n)) ** n == pytest.approx(0.05)


def test_the_room_lies_on_the_side_of_the_worst_value() -> None:
    room = unseen_failure_rate(30) * 20
    assert widen_for_unseen_failures(Interval(19.0, 21.0), 20.0, 0.0, 30) == pytest.approx((19.0 - room, 21.0))
    assert widen_for_unseen_failures(Interval(19.0, 21.0), 20.0, 40.0, 30) == pytest.approx((19.0, 21.0 + room))


def test_the_room_ends_at_the_worst_value() -> None:
    assert widen_for_unseen_failures(Interval(1.0, 21.0), 20.0, 0.0, 3) == (0.0, 21.0)
    assert widen_for_unseen_failures(Interval(-1.0, 21.0), 20.0, 0.0, 3) == (-1.0, 21.0), "an interval never shrinks"
    assert widen_for_unseen_failures(Interval(19.0, 39.0), 20.0, 40.0, 3) == (19.0, 40.0)


def test_a_constant_is_no_certainty_unless_it_is_the_worst_value() -> None:
    assert widen_for_unseen_failures(Interval(1.0, 1.0), 1.0, 0.0, 100) == pytest.approx((0.97049, 1.0), abs=1e-5)
    assert widen_for_unseen_failures(Interval(0.0, 0.0), 0.0, 0.0, 100) == (0.0, 0.0)


@pytest.mark.parametrize("n", [10, 30, 100])
def test_a_system_that_fails_now_and_then_lies_in_its_interval(n: int) -> None:
    # validity.md 5: the bootstrap alone covers 20, 45 and 83 %.
    hits = 0
    for seed in range(300):
        generator = np.random.default_rng([seed, n])
        fails = generator.uniform(size=n) < 0.02
        values = np.where(fails, 0.0, 1.0 + generator.normal(0, 1e-3, n))
        interval = cluster_mean_interval(values.tolist(), [f"p{k}" for k in range(n)], seed=seed, draws=500)
        assert interval is not None
        if not fails.any():
            interval = widen_for_unseen_failures(interval, float(values.mean()), 0.0, n)
        hits += interval.low <= 0.98 <= interval.high
    assert hits / 300 >= 0.9


def test_whether_a_lower_limit_is_positive_is_told_without_sorting() -> None:
    generator = np.random.default_rng(4)
    clusters, k = 25, 60
    values = generator.exponential(1.0, (clusters, k)) + np.linspace(-1.6, 0.2, k)
    weights = generator.multinomial(clusters, np.full(clusters, 1 / clusters), size=2_000) / clusters
    draws, estimates = weights @ values, values.mean(axis=0)
    jackknife = (values.sum(axis=0) - values) / (clusters - 1)
    low, _ = bca_limits(draws, estimates, jackknife, 0.95)
    found = lower_limit_is_positive(draws, estimates, jackknife)
    sure = np.abs(low) > 0.01
    assert sure.sum() > k / 2
    assert (found == (low > 0))[sure].all()
    assert 0 < found.sum() < k
