"""How far scores agree and what they go with: Krippendorff's alpha, Kendall's tau, and the pull of a reply's length."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

_MIN_ITEMS = 3


def krippendorff_alpha(ratings: ArrayLike) -> float | None:
    """Krippendorff's alpha for interval data: 1 is perfect agreement, 0 what chance would give.

    alpha = 1 - D_o / D_e, with squared differences, observed within items and expected over all ratings (Krippendorff
    2011, "Computing Krippendorff's Alpha-Reliability").

    Args:
        ratings: Shape (raters, items); NaN where a rater has not rated.

    Returns:
        Alpha; ``None`` where no item has two ratings, or all ratings are the same.
    """
    values = np.asarray(ratings, np.float64)
    count = np.sum(~np.isnan(values), axis=0)
    values, count = values[:, count > 1], count[count > 1]
    n = int(count.sum())
    if n == 0:
        return None
    observed = float(np.sum(_squares(values, 0) / (count - 1))) / n
    expected = float(_squares(values[~np.isnan(values)], 0)) / (n * (n - 1))
    return 1.0 - observed / expected if expected > 0 else None


def _squares(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Sum of the squared differences over all ordered pairs."""
    n = np.sum(~np.isnan(values), axis=axis)
    centred = values - np.nanmean(values, axis=axis)
    return np.asarray(2.0 * n * np.nansum(centred**2, axis=axis))


def kendall_tau(first: ArrayLike, second: ArrayLike) -> float:
    """Kendall's tau-b of two rankings, which allows for ties; 0 where one of them has only ties."""
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    above = np.triu_indices(len(a), 1)
    da, db = np.sign(a[:, None] - a[None, :])[above], np.sign(b[:, None] - b[None, :])[above]
    scale = float(np.sqrt(np.sum(da != 0) * np.sum(db != 0)))
    return float(np.sum(da * db)) / scale if scale > 0 else 0.0


@dataclass(frozen=True)
class LengthEffect:
    """How the scores go with the length of the replies.

    Attributes:
        rank_correlation: Spearman's, of score and number of words, in -1..1.
        per_doubling: Slope of the score on log2(words): points per doubling of the length.
        adjusted_mean: The mean score that the slope gives at the length of the real replies.
        reference_words: That length: the mean of log2, as a number of words.
    """

    rank_correlation: float
    per_doubling: float
    adjusted_mean: float
    reference_words: float


def length_effect(scores: ArrayLike, words: ArrayLike, reference_words: ArrayLike) -> LengthEffect | None:
    """Measures how scores go with length, and what they would be at the length of the real replies.

    A linear model with the log of the length as its covariate, read at a common length, after the length-controlled
    AlpacaEval (Dubois et al. 2024, arXiv 2404.04475).

    Args:
        scores: One per reply.
        words: Number of words of each reply.
        reference_words: Numbers of words of the real replies; without any, the replies' own lengths.

    Returns:
        ``None`` for under three replies, or if all scores or all lengths are the same.
    """
    y, x = np.asarray(scores, np.float64), np.log2(np.maximum(np.asarray(words, np.float64), 1.0))
    if len(y) < _MIN_ITEMS or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    at = np.log2(np.maximum(np.asarray(reference_words, np.float64), 1.0))
    where = float(at.mean()) if at.size else float(x.mean())
    slope = float(np.cov(x, y, bias=True)[0, 1] / x.var())
    rank = float(np.corrcoef(_ranks(x), _ranks(y))[0, 1])
    return LengthEffect(rank, slope, float(y.mean() + slope * (where - x.mean())), float(2.0**where))


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]
