"""Comparing two systems: held against brute force and scipy, and against what a test promises to do by chance."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from vidchatbench.api.features import Array
from vidchatbench.api.metrics import SetItem
from vidchatbench.results.statistics.intervals import cluster_mean_interval
from vidchatbench.results.statistics.paired import (
    adjusted_for_all_pairs,
    compare_paired,
    detectable_among,
    exact_mcnemar,
    holm,
)
from vidchatbench.results.statistics.sets import SetDifference, compare_sets

Floats = NDArray[np.float64]


def column(values: list[float]) -> Floats:
    return np.array(values, dtype=np.float64)[:, None]


def names(n: int) -> list[str]:
    return [f"p{i:04}" for i in range(n)]


# --- p ---------------------------------------------------------------------------------------------------------------


def test_few_identities_are_enumerated_and_equal_scipys_exact_test() -> None:
    values = np.random.default_rng(1).normal(0.4, 1, 9)
    found = compare_paired(values[:, None], names(9), seed=0)
    expected = stats.permutation_test(
        (values, np.zeros(9)), lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=np.inf
    )
    assert found.p[0] == pytest.approx(expected.pvalue, abs=1e-12)
    assert found.exchanges == 2**9


def test_identities_are_exchanged_as_a_whole() -> None:
    values, clusters = [1.0, 2.0, -0.5, 3.0, 0.2], ["a", "a", "b", "c", "c"]
    sums = {"a": 3.0, "b": -0.5, "c": 3.2}
    reached = [
        abs(sum(sign * sums[name] for sign, name in zip(signs, sums, strict=True))) >= 5.7 - 1e-9
        for signs in itertools.product((1, -1), repeat=3)
    ]
    assert compare_paired(column(values), clusters, seed=0).p[0] == np.mean(reached) == 0.5


def test_many_identities_are_drawn_and_agree_with_the_exact_test() -> None:
    values = np.random.default_rng(3).normal(0.35, 1, 40)
    drawn = compare_paired(values[:, None], names(40), seed=0, draws=20_000)
    expected = stats.permutation_test(
        (values, np.zeros(40)),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        permutation_type="samples",
        n_resamples=50_000,
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    assert drawn.p[0] == pytest.approx(expected.pvalue, abs=0.01)
    assert drawn.exchanges == 20_000


def test_p_is_never_zero_and_a_great_difference_reaches_the_least_p() -> None:
    values = np.random.default_rng(4).normal(50, 1, 60)
    assert compare_paired(values[:, None], names(60), seed=0, draws=999).p[0] == 1 / 1000


def test_equal_systems_have_p_of_one() -> None:
    for n in (5, 60):
        found = compare_paired(np.zeros((n, 1)), names(n), seed=0, draws=500)
        assert found.p[0] == 1.0
        assert found.difference[0] == found.low[0] == found.high[0] == 0.0
        assert np.isnan(found.effect[0])


@pytest.mark.parametrize("n", [10, 60])
def test_under_no_difference_a_p_under_5_percent_is_as_rare_as_it_says(n: int) -> None:
    differences = np.random.default_rng(n).laplace(0, 1, (n, 2_000))
    p = compare_paired(differences, names(n), seed=0, draws=1_000).p
    assert (p < 0.05).mean() == pytest.approx(0.05, abs=0.015)


def test_a_swap_of_the_systems_turns_the_sign_and_nothing_else() -> None:
    differences = np.random.default_rng(6).normal(0.2, 1, (50, 3))
    one, two = (compare_paired(d, names(50), seed=0) for d in (differences, -differences))
    assert one.difference == pytest.approx(-two.difference)
    assert one.p == pytest.approx(two.p, abs=0.02)
    assert one.low == pytest.approx(-two.high, abs=0.02)
    assert one.effect == pytest.approx(-two.effect)


# --- intervals, effect, power ----------------------------------------------------------------------------------------


def test_the_interval_is_that_of_one_metric_alone() -> None:
    generator = np.random.default_rng(7)
    clusters = [f"p{i}" for i in generator.integers(0, 30, 80)]
    values = generator.exponential(1.0, 80)
    together = compare_paired(np.column_stack([values, generator.normal(size=80)]), clusters, seed=0)
    alone = cluster_mean_interval(values.tolist(), clusters, seed=1)
    assert alone is not None
    width = alone.high - alone.low
    assert together.low[0] == pytest.approx(alone.low, abs=0.04 * width)
    assert together.high[0] == pytest.approx(alone.high, abs=0.04 * width)


def test_samples_that_one_system_lacks_are_left_out_of_that_comparison_alone() -> None:
    generator = np.random.default_rng(8)
    full = generator.normal(0.3, 1, (40, 2))
    holes = full.copy()
    holes[:10, 1] = np.nan
    found = compare_paired(holes, names(40), seed=0)
    assert found.n.tolist() == [40, 30]
    assert found.clusters.tolist() == [40, 30]
    assert found.difference[1] == pytest.approx(full[10:, 1].mean())
    assert found.difference[0] == pytest.approx(full[:, 0].mean())


def test_nothing_in_common_is_no_difference() -> None:
    found = compare_paired(np.full((5, 1), np.nan), names(5), seed=0)
    assert found.n[0] == 0
    assert found.p[0] == 1.0
    assert np.isnan(found.low[0])
    assert np.isnan(found.detectable[0])


def test_the_effect_is_the_standardised_mean() -> None:
    values = np.random.default_rng(9).normal(0.5, 2, 30)
    found = compare_paired(values[:, None], names(30), seed=0)
    assert found.effect[0] == pytest.approx(values.mean() / values.std(ddof=1))


def test_the_detectable_difference_at_500_samples_is_that_of_the_power_formula() -> None:
    # protocols.md 14.2: 2.8 / sqrt(500) = 0.125 standard deviations.
    values = np.random.default_rng(10).normal(0, 1, 500)
    found = compare_paired(values[:, None], names(500), seed=0, draws=200)
    assert found.detectable[0] / values.std(ddof=1) == pytest.approx(0.125, abs=0.002)


def test_a_difference_of_the_detectable_size_is_found_four_times_in_five() -> None:
    generator = np.random.default_rng(11)
    noise = generator.normal(0, 1, (100, 1_500))
    detectable = compare_paired(noise, names(100), seed=0, draws=200).detectable.mean()
    p = compare_paired(noise + detectable, names(100), seed=0, draws=1_000).p
    assert (p < 0.05).mean() == pytest.approx(0.8, abs=0.04)


@pytest.mark.parametrize("shape", [(3,), (4, 1)])
def test_shapes_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="samples"):
        compare_paired(np.zeros(shape), names(3), seed=0)


def test_order_and_seed() -> None:
    differences = np.random.default_rng(12).normal(0.1, 1, (50, 2))
    clusters = names(50)
    order = np.random.default_rng(0).permutation(50)
    one = compare_paired(differences, clusters, seed=5)
    two = compare_paired(differences[order], [clusters[i] for i in order], seed=5)
    for field in ("difference", "low", "high", "p"):
        assert getattr(one, field) == pytest.approx(getattr(two, field), abs=1e-12)
    assert compare_paired(differences, clusters, seed=6).low[0] != one.low[0]


# --- Holm -------------------------------------------------------------------------------------------------------------


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
    assert holm([0.02]) == [0.02]


def test_holm_keeps_the_family_wise_error() -> None:
    p = np.random.default_rng(13).uniform(size=(2_000, 20))
    assert np.mean([min(holm(row.tolist())) < 0.05 for row in p]) == pytest.approx(0.05, abs=0.015)


# --- sets -------------------------------------------------------------------------------------------------------------


class Means:
    """Squared distance of the means."""

    def __init__(self, candidates: list[Array], references: list[Array]) -> None:
        self._candidates = np.array([rows.mean(axis=0) for rows in candidates])
        self._references = np.array([rows.mean(axis=0) for rows in references])

    def between(self, candidates: NDArray[np.intp], references: NDArray[np.intp]) -> float:
        apart = self._candidates[candidates].mean(axis=0) - self._references[references].mean(axis=0)
        return float((apart**2).sum())


def system(seed: int, shift: float, n: int = 40) -> list[SetItem]:
    real = np.random.default_rng(0).normal(0, 1, (n, 1, 3))
    made = np.random.default_rng(seed).normal(shift, 1, (n, 1, 3))
    return [SetItem(candidate, reference) for candidate, reference in zip(made, real, strict=True)]


def test_a_set_that_is_farther_off_is_found_out() -> None:
    found = compare_sets(system(1, 2.0), system(2, 0.0), names(40), Means, seed=0, draws=199)
    assert found.difference > 5
    assert found.p == 1 / 200
    assert found.interval is not None
    assert found.interval.low > 0


def test_swapped_sets_turn_the_sign() -> None:
    one = compare_sets(system(1, 0.5), system(2, 0.0), names(40), Means, seed=0, draws=50)
    two = compare_sets(system(2, 0.0), system(1, 0.5), names(40), Means, seed=0, draws=50)
    assert one.difference == pytest.approx(-two.difference)
    assert one.p == two.p


def test_a_set_against_itself_is_over_after_ten_exchanges() -> None:
    same = system(1, 0.3)
    found = compare_sets(same, same, names(40), Means, seed=0)
    assert (found.difference, found.p, found.draws) == (0.0, 1.0, 10)


def test_sets_under_no_difference_keep_their_promise() -> None:
    p = [
        compare_sets(system(2 * i + 1, 0), system(2 * i + 2, 0), names(40), Means, seed=i, draws=99).p
        for i in range(400)
    ]
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=0.03)


class Scripted:
    """A distance whose answers are known: those of the first system are given, those of the second are 0."""

    def __init__(self, *answers: float) -> None:
        self._answers = [value for answer in answers for value in (answer, 0.0)][::-1]

    def between(self, candidates: NDArray[np.intp], references: NDArray[np.intp]) -> float:
        del candidates, references
        return self._answers.pop()


def scripted(observed: float, *exchanged: float) -> SetDifference:
    distance = Scripted(observed, *exchanged)
    pair = system(1, 0.0, 2)
    return compare_sets(pair, pair, names(2), lambda *_: distance, seed=0, draws=len(exchanged))


def test_p_counts_the_exchanges_that_reach_the_difference_and_the_systems_as_they_are() -> None:
    found = scripted(2.0, 2.0, -2.0, 1.99, -1.99, 3.0, *[0.0] * 14)
    assert (found.difference, found.p, found.draws) == (2.0, (3 + 1) / (19 + 1), 19)
    assert scripted(-2.0, 2.0, -2.0, 1.0).p == 3 / 4
    assert scripted(2.0, 1.0).p == 1 / 2
    assert found.interval is None, "two identities have no interval"


def test_what_is_short_of_the_difference_by_rounding_alone_reaches_it() -> None:
    assert scripted(2.0, 2.0 * (1 - 1e-13), 2.0 * (1 - 1e-11)).p == 2 / 3


def test_the_tenth_exchange_that_reaches_the_difference_ends_the_test() -> None:
    found = scripted(1.0, *[0.0] * 3, *[1.0] * 12)
    assert (found.p, found.draws) == (10 / 13, 13)
    nine = scripted(1.0, *[0.0] * 3, *[1.0] * 9)
    assert (nine.p, nine.draws) == (10 / 13, 12)


def test_whole_identities_are_exchanged_and_left_out() -> None:
    asked: list[tuple[list[int], list[int]]] = []

    class Recorded(Means):
        def between(self, candidates: NDArray[np.intp], references: NDArray[np.intp]) -> float:
            asked.append((candidates.tolist(), references.tolist()))
            return super().between(candidates, references)

    compare_sets(system(1, 0.5, 8), system(2, 0.0, 8), list("aabbccdd"), Recorded, seed=0, draws=40)
    # As they are, then once without each of four identities, then exchanged; always both systems.
    assert asked[:2] == [([0, 1, 2, 3], [0, 1, 2, 3]), ([4, 5, 6, 7], [0, 1, 2, 3])]
    for one, other in zip(asked[2:10:2], asked[3:10:2], strict=True):
        assert len(one[0]) == 3
        assert one[0] == one[1]
        assert other == ([place + 4 for place in one[0]], one[1])
    assert len({tuple(one[0]) for one in asked[2:10:2]}) == 4
    for one, other in zip(asked[10::2], asked[11::2], strict=True):
        assert sorted([*one[0], *other[0]]) == list(range(8)), "nobody stands on both sides"
        assert sorted(place % 4 for place in one[0]) == [0, 1, 2, 3]
    assert {place for one, _ in asked[10::2] for place in one} == set(range(8))


def test_the_interval_of_a_difference_of_sets_by_hand() -> None:
    first, second = system(1, 0.5, 3), system(2, 0.0, 3)
    distance = Means([item.candidate for item in (*first, *second)], [item.reference for item in first])

    def apart(*kept: int) -> float:
        places = np.array(kept)
        return distance.between(places, places) - distance.between(places + 3, places)

    left = np.array([apart(1, 2), apart(0, 2), apart(0, 1)])
    half = 4.303 * np.sqrt(2 / 3 * np.square(left - left.mean()).sum())
    found = compare_sets(first, second, names(3), Means, seed=0, draws=1)
    assert found.interval is not None
    assert found.difference == pytest.approx(apart(0, 1, 2))
    assert found.interval == pytest.approx((found.difference - half, found.difference + half))


def test_sets_of_different_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="items"):
        compare_sets(system(1, 0.0), system(2, 0.0)[:-1], names(40), Means, seed=0)
    with pytest.raises(ValueError, match="0 and 0 items for 0 samples"):
        compare_sets([], [], [], Means, seed=0)
    with pytest.raises(ValueError, match="40 and 40 items for 39 samples"):
        compare_sets(system(1, 0.0), system(2, 0.0), names(39), Means, seed=0)


# --- speed ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_whole_leaderboard_is_compared_in_half_a_minute() -> None:
    # 500 samples, 30 metrics, 45 pairs of 10 systems, 10 000 draws each of bootstrap and permutation.
    differences = np.random.default_rng(0).normal(0, 1, (500, 30 * 45))
    started = time.perf_counter()
    compare_paired(differences, names(500), seed=0)
    assert time.perf_counter() - started < 30


# --- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "second"), [(5, 1), (3, 3), (7, 0), (1, 0), (0, 0), (12, 4)])
def test_one_sample_an_identity_is_mcnemars_exact_test(first: int, second: int) -> None:
    one = [True] * first + [False] * second + [True] * 2 + [False] * 9
    other = [False] * first + [True] * second + [True] * 2 + [False] * 9
    together = first + second
    expected = stats.binomtest(first, together, 0.5).pvalue if together else 1.0
    assert exact_mcnemar(one, other, names(len(one))) == pytest.approx(expected, abs=1e-12)


def test_an_identity_fails_as_a_whole() -> None:
    # Three identities with 2, 1 and -1 more failures of the first: by hand, |sum| >= 2 in 6 of 8 exchanges.
    one, other = [True, True, True, False], [False, False, False, True]
    sums = [
        abs(sum(s * d for s, d in zip(signs, (2, 1, -1), strict=True)))
        for signs in itertools.product((1, -1), repeat=3)
    ]
    expected = np.mean([total >= 2 for total in sums])
    assert exact_mcnemar(one, other, ["a", "a", "b", "c"]) == expected
    assert expected == 0.75


# --- what many comparisons cost ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("comparisons", "factor"), [(1, 1.0), (12, 1.325), (54, 1.480), (198, 1.605)])
def test_the_detectable_difference_grows_with_the_family(comparisons: int, factor: float) -> None:
    z = stats.norm.ppf(1 - 0.05 / (2 * comparisons))
    assert detectable_among(comparisons) == pytest.approx((z + 0.8416) / 2.8016, abs=1e-3)
    assert detectable_among(comparisons) == pytest.approx(factor, abs=0.01)


def signs_of(identities: int, draws: int = 2_000) -> Floats:
    return np.random.default_rng(1).choice((-1.0, 1.0), size=(draws, identities))


def test_one_pair_needs_no_adjustment() -> None:
    shares = np.random.default_rng(2).normal(0.0, 1.0, (10, 2)) + np.array([0.4, 0.0])
    every = 1.0 - 2.0 * ((np.arange(2**10)[:, None] >> np.arange(10)) & 1)
    apart = shares[:, 0] - shares[:, 1]
    found = adjusted_for_all_pairs(shares, every)
    assert found[0, 1] == found[1, 0] == compare_paired(apart[:, None], names(10), seed=0).p[0]
    assert found[0, 0] == 1.0


def test_all_pairs_by_brute_force() -> None:
    shares = np.random.default_rng(3).normal(0.0, 1.0, (8, 3)) + np.array([1.2, 0.3, 0.0])
    every = 1.0 - 2.0 * ((np.arange(2**8)[:, None] >> np.arange(8)) & 1)
    pairs = [(0, 1), (0, 2), (1, 2)]
    apart = {pair: shares[:, pair[0]] - shares[:, pair[1]] for pair in pairs}
    told = {pair: abs(values.sum()) / np.sqrt((values**2).sum()) for pair, values in apart.items()}
    order = sorted(pairs, key=lambda pair: -told[pair])
    highest = 0.0
    found = adjusted_for_all_pairs(shares, every)
    for place, pair in enumerate(order):
        rest = [np.abs(every @ apart[one]) / np.sqrt((apart[one] ** 2).sum()) for one in order[place:]]
        highest = max(highest, float((np.max(rest, axis=0) >= told[pair] - 1e-9).mean()))
        assert found[pair] == pytest.approx(highest, abs=1e-12)


def test_a_copy_costs_nothing_and_a_third_system_never_helps() -> None:
    generator = np.random.default_rng(5)
    shares = generator.normal(0.0, 1.0, (40, 3)) + np.array([0.5, 0.2, 0.0])
    base = adjusted_for_all_pairs(shares, signs_of(40))
    copied = adjusted_for_all_pairs(shares[:, [0, 1, 2, 2]], signs_of(40))
    assert (copied[:3, :3] == base).all()
    assert copied[2, 3] == 1.0
    more = adjusted_for_all_pairs(np.column_stack([shares, generator.normal(0.3, 1.0, 40)]), signs_of(40))
    assert (more[:3, :3] >= base).all()


@pytest.mark.parametrize("systems", [2, 10])
def test_a_board_of_equal_systems_is_split_once_in_twenty(systems: int) -> None:
    split = 0
    for seed in range(400):
        shares = np.random.default_rng([systems, seed]).normal(0.0, 1.0, (30, systems))
        p = adjusted_for_all_pairs(shares, np.random.default_rng(seed).choice((-1.0, 1.0), size=(400, 30)))
        split += bool((p < 0.05).any())
    assert split / 400 == pytest.approx(0.05, abs=0.03)
