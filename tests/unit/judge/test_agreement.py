"""Agreement and length against published values, scipy and hand-made cases."""

from __future__ import annotations

import numpy as np
import pytest

from vidchatbench.judge.agreement import kendall_tau, krippendorff_alpha, length_effect

NAN = float("nan")

# Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section D: four observers, twelve units.
PUBLISHED = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
    [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
]


def test_alpha_of_the_published_example() -> None:
    assert krippendorff_alpha(PUBLISHED) == pytest.approx(0.849, abs=5e-4)


def test_alpha_at_its_ends() -> None:
    assert krippendorff_alpha([[1, 2, 3], [1, 2, 3]]) == 1.0
    assert krippendorff_alpha([[1, 2], [2, 1]]) == pytest.approx(-0.5)
    assert krippendorff_alpha([[3, 3], [3, 3]]) is None
    assert krippendorff_alpha([[1, 2], [NAN, NAN]]) is None
    noise = np.random.default_rng(0).integers(1, 6, (2, 4000))
    assert krippendorff_alpha(noise) == pytest.approx(0, abs=0.05)


def test_tau_is_scipys() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    for _ in range(50):
        a, b = rng.integers(1, 6, (2, 7))
        expected = stats.kendalltau(a, b).statistic
        assert kendall_tau(a, b) == pytest.approx(0.0 if np.isnan(expected) else expected)


def test_tau_at_its_ends() -> None:
    assert kendall_tau([1, 2, 3], [2, 4, 9]) == 1.0
    assert kendall_tau([1, 2, 3], [3, 2, 1]) == -1.0
    assert kendall_tau([1, 2, 3], [2, 2, 2]) == 0.0


def test_length_by_hand() -> None:
    effect = length_effect([1, 2, 3, 4], [2, 4, 8, 16], [8, 8])
    assert effect is not None
    assert effect.per_doubling == pytest.approx(1.0)
    assert effect.rank_correlation == pytest.approx(1.0)
    assert effect.adjusted_mean == pytest.approx(3.0)
    assert effect.reference_words == pytest.approx(8.0)


def test_without_real_replies_the_mean_stays() -> None:
    effect = length_effect([1, 5, 3, 4], [2, 4, 8, 16], [])
    assert effect is not None
    assert effect.adjusted_mean == pytest.approx(3.25)


def test_what_cannot_be_measured() -> None:
    assert length_effect([1, 2], [1, 2], []) is None
    assert length_effect([1, 2, 3], [4, 4, 4], []) is None
    assert length_effect([3, 3, 3], [1, 2, 3], []) is None


def test_ranks_with_ties_are_scipys() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(1)
    scores, words = rng.integers(1, 6, 40), rng.integers(1, 9, 40)
    effect = length_effect(scores, words, [])
    assert effect is not None
    assert effect.rank_correlation == pytest.approx(stats.spearmanr(scores, words).statistic)
