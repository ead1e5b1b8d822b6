"""Distances between sets: closed forms, plain formulas, selections against doing it anew, and what must not matter."""

from __future__ import annotations

import numpy as np
import pytest

from vidchatbench_metrics.common import set_distances
from vidchatbench_metrics.common.set_distances import FrechetDistance, GaussianMmd, PolynomialMmd

WIDTH = 12
ALL = {
    "frechet": FrechetDistance,
    "frechet_population": lambda c, r: FrechetDistance(c, r, ddof=0),
    "polynomial": PolynomialMmd,
    "gaussian": GaussianMmd,
}
every_distance = pytest.mark.parametrize("make", ALL.values(), ids=ALL.keys())


def samples(n: int, seed: int, *, width: int = WIDTH, rows: int | None = None, shift: float = 0.0) -> list[np.ndarray]:
    """Correlated rows, one to four per sample unless their number is given."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(width, width))
    return [rng.normal(shift, 1, (rows or int(rng.integers(1, 5)), width)) @ mixing for _ in range(n)]


def every(items: list[np.ndarray]) -> np.ndarray:
    return np.arange(len(items))


def whole(make, candidates: list[np.ndarray], references: list[np.ndarray]) -> float:
    return make(candidates, references).between(every(candidates), every(references))


def frechet_by_eigenvalues(x: np.ndarray, y: np.ndarray, ddof: int = 1) -> float:
    first, second = (np.cov(rows, rowvar=False, ddof=ddof) for rows in (x, y))
    roots = np.sqrt(np.linalg.eigvals(first @ second).astype(complex)).real.sum()
    apart = x.mean(axis=0) - y.mean(axis=0)
    return float(apart @ apart + np.trace(first) + np.trace(second) - 2 * roots)


class TestFrechet:
    def test_diagonal_gaussians_have_a_closed_form(self):
        deviations = np.array([[3.0, 1.0, 0.2, 5.0], [1.0, 1.0, 0.7, 0.1]])
        mean = np.array([0.5, -2.0, 0.0, 1.0])
        # Pairs of opposite rows on the axes: mean zero, diagonal covariance 2 a^2 / (n - 1).
        sides = [[row for axis in np.diag(a * np.sqrt(7 / 2)) for row in (axis, -axis)] for a in deviations]
        candidates = [row[None] + mean for row in sides[0]]
        references = [row[None] for row in sides[1]]
        expected = mean @ mean + np.square(deviations[0] - deviations[1]).sum()
        assert whole(FrechetDistance, candidates, references) == pytest.approx(expected, rel=1e-12)

    @pytest.mark.parametrize("ddof", [0, 1])
    @pytest.mark.parametrize("width", [3, WIDTH])
    def test_equals_the_eigenvalues_of_the_product(self, width, ddof):
        x, y = samples(60, 1, width=width), samples(50, 2, width=width, shift=0.3)
        expected = frechet_by_eigenvalues(np.concatenate(x), np.concatenate(y), ddof)
        assert whole(lambda c, r: FrechetDistance(c, r, ddof=ddof), x, y) == pytest.approx(expected, rel=1e-8)

    def test_fewer_rows_than_columns(self):
        # Rows that span few dimensions, turned into many: the same distance by the other way of computing it.
        turn = np.linalg.qr(np.random.default_rng(5).normal(size=(300, WIDTH)))[0]
        x, y = samples(40, 1), samples(45, 2, shift=0.3)
        expected = whole(FrechetDistance, x, y)
        turned = whole(FrechetDistance, [rows @ turn.T for rows in x], [rows @ turn.T for rows in y])
        assert sum(map(len, x)) < 300
        assert turned == pytest.approx(expected, rel=1e-9)

    def test_fewer_rows_on_one_side_only(self):
        x, y = samples(4, 1, rows=2), samples(45, 2, shift=0.3)
        expected = frechet_by_eigenvalues(np.concatenate(x), np.concatenate(y))
        # The eigenvalues of a singular product carry the square root of the rounding error.
        assert whole(FrechetDistance, x, y) == pytest.approx(expected, rel=1e-6)

    def test_a_feature_that_never_changes(self):
        x, y = samples(60, 1), samples(50, 2, shift=0.3)
        expected = whole(FrechetDistance, x, y)
        wider = [[np.hstack([rows, np.full((len(rows), 3), 0.1)]) for rows in side] for side in (x, y)]
        assert whole(FrechetDistance, *wider) == pytest.approx(expected, rel=1e-9)

    def test_a_common_offset_does_not_cost_precision(self):
        x, y = samples(60, 1), samples(50, 2, shift=0.3)
        x_far, y_far = ([rows + 1e5 for rows in side] for side in (x, y))
        kept = np.arange(3, 60)
        near = FrechetDistance(x, y).between(kept, every(y))
        assert FrechetDistance(x_far, y_far).between(kept, every(y)) == pytest.approx(near, rel=1e-8)

    def test_one_sample_of_several_rows(self):
        x, y = samples(1, 1, rows=4), samples(1, 2, rows=5)
        expected = frechet_by_eigenvalues(x[0], y[0])
        assert whole(FrechetDistance, x, y) == pytest.approx(expected, rel=1e-6)

    def test_a_single_row_has_no_sample_covariance(self):
        x, y = samples(1, 1, rows=1), samples(9, 2)
        with pytest.raises(ValueError, match="ddof 1 needs 2 rows, the selection has 1"):
            whole(FrechetDistance, x, y)
        spread = np.concatenate(y)
        apart = x[0][0] - spread.mean(axis=0)
        expected = apart @ apart + np.trace(np.cov(spread, rowvar=False, ddof=0))
        assert whole(ALL["frechet_population"], x, y) == pytest.approx(expected, rel=1e-12)


def polynomial_plainly(x: list[np.ndarray], y: list[np.ndarray], first: np.ndarray, second: np.ndarray) -> float:
    """Mean over pairs of rows of different identities, one by one; several systems lie one below the other in x."""

    def mean(one: list[tuple[int, np.ndarray]], two: list[tuple[int, np.ndarray]]) -> float:
        pairs = [(a @ b / len(a) + 1) ** 3 for i, a in one for j, b in two if i != j]
        return float(np.mean(pairs))

    rows = [(i % len(y), row) for i in first for row in x[i]]
    others = [(i, row) for i in second for row in y[i]]
    return mean(rows, rows) + mean(others, others) - 2 * mean(rows, others)


class TestPolynomial:
    def test_two_identities_by_hand(self):
        # With (x y + 1)^3 in one dimension: 2 k(1, 2) + 2 k(0, 1) - 2 k(1, 1) - 2 k(2, 0) over 2 pairs.
        x, y = ([np.array([[value]]) for value in side] for side in ((1.0, 2.0), (0.0, 1.0)))
        assert whole(PolynomialMmd, x, y) == pytest.approx(27 + 1 - 8 - 1, abs=1e-12)

    def test_equals_lemma_6_of_gretton_et_al(self):
        x, y = (np.concatenate(samples(9, seed, rows=1)) for seed in (1, 2))

        def k(a: np.ndarray, b: np.ndarray) -> float:
            return float((a @ b / WIDTH + 1) ** 3)

        h = [
            k(x[i], x[j]) + k(y[i], y[j]) - k(x[i], y[j]) - k(x[j], y[i]) for i in range(9) for j in range(9) if i != j
        ]
        expected = np.sum(h) / (9 * 8)
        assert whole(PolynomialMmd, list(x[:, None]), list(y[:, None])) == pytest.approx(expected, rel=1e-12)

    @pytest.mark.parametrize(
        ("first", "second"),
        [(range(9), range(9)), (range(4), range(4, 9)), ([0, 3, 5], [3, 4]), ([1], [2, 3]), (range(9, 18), range(9))],
    )
    def test_equals_the_plain_sums_over_any_selection(self, first, second):
        x, y = samples(18, 1), samples(9, 2, shift=0.3)
        chosen = np.array(first), np.array(second)
        if len(chosen[0]) == 1:
            with pytest.raises(ValueError, match="a pair of different identities"):
                PolynomialMmd(x, y).between(*chosen)
            return
        expected = polynomial_plainly(x, y, *chosen)
        assert PolynomialMmd(x, y).between(*chosen) == pytest.approx(expected, rel=1e-12)

    def test_other_constants(self):
        x, y = samples(6, 1, rows=1), samples(6, 2, rows=1)
        found = whole(lambda c, r: PolynomialMmd(c, r, degree=1, gamma=2.0, coef0=5.0), x, y)
        # A linear kernel sees the means only, here of different identities; what is added to it cancels.
        rows, others = np.concatenate(x), np.concatenate(y)
        apart = rows - others
        expected = 2.0 * (apart.sum(axis=0) @ apart.sum(axis=0) - np.square(apart).sum()) / 30
        assert found == pytest.approx(expected, rel=1e-10)

    def test_what_is_added_to_the_product_counts_in_higher_powers(self):
        x, y = ([np.array([[value]]) for value in side] for side in ((1.0, 2.0), (0.0, 1.0)))
        found = whole(lambda c, r: PolynomialMmd(c, r, degree=2, gamma=3.0, coef0=0.5), x, y)
        assert found == pytest.approx(6.5**2 + 0.5**2 - 3.5**2 - 0.5**2, rel=1e-12)

    @pytest.mark.parametrize("shift", [0.0, 0.5])
    def test_unbiased_though_candidate_and_reference_share_the_person(self, shift):
        rng = np.random.default_rng(3)
        width, persons = 4, 10

        def clips(person: np.ndarray, moved: float = 0.0) -> list[np.ndarray]:
            return [one + moved + 0.3 * rng.normal(size=(3, width)) for one in person]

        paired, apart = [], []
        for _ in range(400):
            first, second = rng.normal(size=(2, persons, 1, width))
            mine, theirs = clips(first, shift), clips(first)
            paired.append(whole(PolynomialMmd, mine, theirs))
            # The same persons on both sides, in selections without a common one.
            pooled = PolynomialMmd([*mine, *clips(second, shift)], [*theirs, *clips(second)])
            apart.append(pooled.between(np.arange(persons), np.arange(persons, 2 * persons)))
        error = np.hypot(np.std(paired), np.std(apart)) / np.sqrt(len(paired))
        assert abs(np.mean(paired) - np.mean(apart)) < 3 * error
        assert np.std(paired) < 0.7 * np.std(apart), "what both sides share cancels"
        if shift == 0.0:
            assert abs(np.mean(paired)) < 3 * error

    def test_real_replies_are_exactly_at_zero_from_themselves(self):
        x = samples(60, 1)
        prepared = PolynomialMmd(x, [rows.copy() for rows in x])
        for kept in (every(x), np.arange(1, 60), np.array([3, 8])):
            assert prepared.between(kept, kept) == 0.0
        other = PolynomialMmd(x, [*x[:-1], x[-1] + 1e-3])
        assert other.between(every(x), every(x)) != 0.0

    def test_real_replies_in_each_others_places_fall_below_zero(self):
        # The cards say so: a reply that is another identity's real one is compared with itself.
        real = samples(12, 1, rows=2)
        rows = np.concatenate(real)
        kernel = (rows @ rows.T / WIDTH + 1) ** 3
        own = np.add.reduceat(np.add.reduceat(kernel, np.arange(0, 24, 2), axis=0), np.arange(0, 24, 2), axis=1)
        apart = own.sum() - np.trace(own)
        swapped = apart + np.trace(own) - np.sum([own[(i + 1) % 12, i] for i in range(12)])
        expected = 2 * (apart - swapped) / (12 * 11 * 4)
        assert expected < 0
        assert whole(PolynomialMmd, real[1:] + real[:1], real) == pytest.approx(expected, rel=1e-9)

    def test_of_two_systems_one_can_be_the_real_replies(self):
        x, real = samples(12, 1, shift=0.3), samples(12, 2)
        pooled = PolynomialMmd([*x, *real], real)
        assert pooled.between(np.arange(12, 24), np.arange(12)) == pytest.approx(0.0, abs=1e-10)
        assert pooled.between(np.arange(12), np.arange(12)) == pytest.approx(whole(PolynomialMmd, x, real), rel=1e-9)

    def test_one_identity_has_no_pair(self):
        with pytest.raises(ValueError, match="a pair of different identities"):
            whole(PolynomialMmd, samples(1, 1, rows=3), samples(1, 2, rows=3))
        assert np.isfinite(whole(PolynomialMmd, samples(2, 1, rows=1), samples(2, 2, rows=1)))

    @pytest.mark.parametrize("n", [1, 4, 7])
    def test_candidates_that_belong_to_nobody_are_refused(self, n):
        with pytest.raises(ValueError, match=f"{n} candidates cannot belong to 3 references"):
            PolynomialMmd(samples(n, 1), samples(3, 2))

    def test_a_power_below_one_is_refused(self):
        with pytest.raises(ValueError, match="degree"):
            PolynomialMmd(samples(2, 1), samples(2, 2), degree=0)


class TestGaussian:
    def test_equals_the_plain_means(self):
        x, y = samples(9, 1), samples(7, 2, shift=0.3)

        def mean(first: np.ndarray, second: np.ndarray) -> float:
            squares = np.square(first[:, None] - second[None]).sum(axis=2)
            return float(np.exp(-squares / (2 * 3.0**2)).mean())

        rows, others = np.concatenate(x), np.concatenate(y)
        expected = 7 * (mean(rows, rows) + mean(others, others) - 2 * mean(rows, others))
        assert whole(lambda c, r: GaussianMmd(c, r, sigma=3.0, scale=7.0), x, y) == pytest.approx(expected, rel=1e-11)

    def test_two_rows_by_hand(self):
        # Pairs at distance 0 and sqrt(2), sigma 1: each side (2 + 2 e^-1) / 4, across (2 e^-0.5 + 2 e^-0.5) / 4.
        x, y = ([np.array([row]) for row in side] for side in (([1.0, 0.0], [0.0, 1.0]), ([0.0, 0.0], [1.0, 1.0])))
        found = GaussianMmd(x, y, sigma=1.0).between(np.arange(2), np.arange(2))
        assert found == pytest.approx(1000 * (1 + np.exp(-1) - 2 * np.exp(-0.5)), rel=1e-12)

    def test_each_side_is_divided_by_its_own_rows(self):
        x, y = [np.zeros((3, 1))], [np.ones((1, 1)), np.full((1, 1), 2.0)]
        k = {apart: np.exp(-(apart**2) / 2) for apart in (1, 2)}
        expected = 1 + (2 + 2 * k[1]) / 4 - 2 * (3 * k[1] + 3 * k[2]) / 6
        assert GaussianMmd(x, y, sigma=1.0, scale=1.0).between(np.arange(1), np.arange(2)) == pytest.approx(expected)

    def test_real_replies_are_exactly_at_zero_from_themselves(self):
        x = samples(60, 1)
        prepared = GaussianMmd(x, [rows.copy() for rows in x])
        for kept in (every(x), np.arange(1, 60)):
            assert prepared.between(kept, kept) == 0.0

    def test_a_width_of_zero_is_refused(self):
        with pytest.raises(ValueError, match="sigma"):
            GaussianMmd(samples(2, 1), samples(2, 2), sigma=0.0)


class TestEveryDistance:
    @every_distance
    def test_a_selection_is_worth_the_same_as_starting_anew(self, make):
        x, y = samples(30, 1), samples(30, 2, shift=0.3)
        prepared = make(x, y)
        rng = np.random.default_rng(4)
        for n in (30, 28, 15, 3, 2):
            kept = rng.permutation(30)[:n]
            anew = whole(make, [x[i] for i in kept], [y[i] for i in kept])
            assert prepared.between(kept, kept) == pytest.approx(anew, rel=1e-9, abs=1e-10)

    @every_distance
    def test_a_selection_of_others_on_each_side(self, make):
        # Where nobody stands on both sides, it does not matter who belongs to whom.
        x, y = samples(30, 1), samples(30, 2, shift=0.3)
        first, second = np.arange(12), np.arange(12, 24)
        expected = make(x, y).between(first, second)
        others = make(x[:12] + x[15:27], y[3:15] + y[12:24])
        assert others.between(first, second) == pytest.approx(expected, rel=1e-9, abs=1e-10)

    @every_distance
    def test_the_order_of_positions_changes_no_bit(self, make):
        x, y = samples(30, 1), samples(30, 2, shift=0.3)
        rng = np.random.default_rng(4)
        first, second = rng.permutation(30)[:20], rng.permutation(30)[:25]
        expected = make(x, y).between(first, second)
        prepared = make(x, y)
        prepared.between(every(x), every(y))
        assert prepared.between(np.sort(first), second[::-1]) == expected

    @every_distance
    def test_the_order_of_samples_does_not_matter(self, make):
        x, y = samples(30, 1), samples(30, 2, shift=0.3)
        assert whole(make, x[::-1], y[::-1]) == pytest.approx(whole(make, x, y), rel=1e-10)

    @every_distance
    def test_is_symmetric(self, make):
        x, y = samples(30, 1), samples(30, 2, shift=0.3)
        assert whole(make, x, y) == pytest.approx(whole(make, y, x), rel=1e-10)

    @every_distance
    def test_sets_apart_are_farther_than_sets_alike(self, make):
        x, near, far = samples(30, 1), samples(30, 2), samples(30, 3, shift=1.0)
        assert whole(make, x, far) > 3 * abs(whole(make, x, near))

    @pytest.mark.parametrize("make", [FrechetDistance, ALL["frechet_population"], ALL["gaussian"]])
    @pytest.mark.parametrize("n", [3, 60])
    def test_equal_sets_are_at_zero(self, make, n):
        x = samples(n, 1)
        spread = float(np.concatenate(x).var(axis=0).sum())
        prepared = make(x, [rows.copy() for rows in x])
        for kept in (every(x), np.arange(1, n)):
            assert 0 <= prepared.between(kept, kept) <= 1e-10 * spread

    @every_distance
    def test_two_systems_can_exchange_their_samples(self, make):
        one, two, real = samples(12, 1), samples(12, 2, shift=0.5), samples(12, 3)
        pooled = make([*one, *two], real)
        swap = np.random.default_rng(7).random(12) < 0.5
        first = np.where(swap, np.arange(12) + 12, np.arange(12))
        expected = whole(make, [two[i] if swap[i] else one[i] for i in range(12)], real)
        assert pooled.between(first, np.arange(12)) == pytest.approx(expected, rel=1e-9)
        assert pooled.between(np.arange(12), np.arange(12)) == pytest.approx(whole(make, one, real), rel=1e-9)

    @every_distance
    def test_float32_rows_are_computed_in_float64(self, make):
        x, y = ([rows.astype(np.float32) for rows in samples(20, seed)] for seed in (1, 2))
        wide = whole(make, *([rows.astype(np.float64) for rows in side] for side in (x, y)))
        assert whole(make, x, y) == wide

    @pytest.mark.parametrize("name", ["polynomial", "gaussian"])
    def test_blocks_do_not_change_the_sums(self, name, monkeypatch):
        x, y = samples(30, 1), samples(30, 2, shift=0.3)
        expected = whole(ALL[name], x, y)
        for rows in (1, 5, 40):
            monkeypatch.setattr(set_distances, "BLOCK_ROWS", rows)
            assert whole(ALL[name], x, y) == pytest.approx(expected, rel=1e-12)

    @every_distance
    @pytest.mark.parametrize(
        ("selected", "complaint"), [([], "at least one sample"), ([1, 1], "different"), ([5], "0..4"), ([-1], "0..4")]
    )
    def test_impossible_selections_are_refused(self, make, selected, complaint):
        x = samples(5, 1)
        with pytest.raises(ValueError, match=complaint):
            make(x, x).between(np.array(selected, np.intp), every(x))

    @every_distance
    def test_impossible_rows_are_refused(self, make):
        x = samples(3, 1)
        for bad, complaint in (
            ([], "at least one sample"),
            ([np.zeros((0, WIDTH))], "shape"),
            ([np.zeros(WIDTH)], "shape"),
            ([np.full((2, WIDTH), np.nan)], "NaN"),
            ([np.zeros((2, WIDTH + 1))], "columns"),
        ):
            with pytest.raises(ValueError, match=complaint):
                make(bad, x)
