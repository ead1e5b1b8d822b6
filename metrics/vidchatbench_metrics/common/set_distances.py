"""Distances between two sets of feature rows: Fréchet, and the maximum mean discrepancy of two kernels.

Each class fulfils :class:`vidchatbench.api.SetDistance`. Intervals, floors and tests ask for many selections of the
same identities, so what the selections share is computed once: sums of outer products for the Fréchet distance, sums of
the kernel over every pair of identities for the others. All arithmetic is in float64. A distance does not depend on the
order in which the positions of a selection are given.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api import Array

Positions = NDArray[np.intp]
Matrix = NDArray[np.float64]

BLOCK_ROWS = 1024
"""Rows of one side whose kernel values with all rows of the other are in memory at once."""

WELL_CONDITIONED = 1e-10
"""Least ratio of the smallest to the largest eigenvalue for their roots to be exact to eight digits together."""


class _Rows:
    """The rows of all samples of one side, one below the other.

    Args:
        samples: Rows of each sample, each of shape (n, d), n >= 1.
    """

    def __init__(self, samples: Sequence[Array]) -> None:
        if not samples:
            raise ValueError("a set needs at least one sample")
        for sample in samples:
            if sample.ndim != 2 or len(sample) == 0:  # noqa: PLR2004 - rows and columns
                raise ValueError(f"a sample must have the shape (n, d) with n >= 1, not {sample.shape}")
        self.values: Matrix = np.concatenate([np.asarray(sample, np.float64) for sample in samples])
        if not np.isfinite(self.values).all():
            raise ValueError("a row holds a NaN or an infinity")
        self.counts: Positions = np.array([len(sample) for sample in samples], np.intp)
        self.starts: Positions = np.cumsum(self.counts) - self.counts

    def __len__(self) -> int:
        return len(self.counts)

    def equal(self, other: _Rows) -> bool:
        """Whether all samples of both sides have the same rows."""
        return np.array_equal(self.counts, other.counts) and np.array_equal(self.values, other.values)

    def positions(self, selected: Positions) -> Positions:
        """Returns the selected positions in ascending order, on which no distance depends.

        Raises:
            ValueError: If none is selected, one twice, or one that does not exist.
        """
        ordered = np.sort(np.asarray(selected, np.intp))
        if len(ordered) == 0:
            raise ValueError("a distance needs at least one sample on each side")
        if ordered[0] < 0 or ordered[-1] >= len(self) or (np.diff(ordered) == 0).any():
            raise ValueError(f"positions must be different and lie in 0..{len(self) - 1}")
        return ordered

    def of(self, ordered: Positions) -> Matrix:
        """Returns the rows of the samples at the given positions."""
        chosen = np.zeros(len(self), np.bool_)
        chosen[ordered] = True
        return self.values[np.repeat(chosen, self.counts)]

    def others(self, ordered: Positions) -> Positions:
        """Returns all other positions, in ascending order."""
        rest = np.ones(len(self), np.bool_)
        rest[ordered] = False
        return np.flatnonzero(rest)


class _Moments:
    """Mean (d,) and covariance of a selection, with a matrix F (d, r) so that F F' is the covariance.

    Args:
        mean: The mean.
        covariance: The covariance, where there are more rows than columns.
        factor: F, where there are not; else it is computed when it is asked for.
    """

    def __init__(self, mean: Matrix, covariance: Matrix | None, factor: Matrix | None = None) -> None:
        self.mean = mean
        self.covariance = covariance
        self._factor = factor

    @property
    def trace(self) -> float:
        """Trace of the covariance."""
        if self.covariance is not None:
            return float(np.trace(self.covariance))
        return float(np.square(self.factor).sum())

    @property
    def factor(self) -> Matrix:
        """The matrix F."""
        if self._factor is None:
            if self.covariance is None:
                raise ValueError("neither a covariance nor a factor of it is given")
            self._factor = _root(self.covariance)
        return self._factor


class _Side:
    """Means and covariances of selections of one side.

    Args:
        rows: The rows, from which a common centre has been subtracted so that sums do not cancel.
        ddof: What is subtracted from the number of rows to divide by.
    """

    def __init__(self, rows: _Rows, ddof: int) -> None:
        self._rows = rows
        self._ddof = ddof
        self._last: tuple[bytes, _Moments] | None = None

    @cached_property
    def _total(self) -> tuple[Matrix, Matrix]:
        values = self._rows.values
        return values.sum(axis=0), values.T @ values

    def moments(self, selected: Positions) -> _Moments:
        """Returns the moments of a selection; those of the last one are remembered."""
        ordered = self._rows.positions(selected)
        key = ordered.tobytes()
        if self._last is None or self._last[0] != key:
            self._last = (key, self._moments(ordered))
        return self._last[1]

    def _moments(self, ordered: Positions) -> _Moments:
        count = int(self._rows.counts[ordered].sum())
        divisor = count - self._ddof
        if divisor < 1:
            raise ValueError(
                f"a covariance with ddof {self._ddof} needs {self._ddof + 1} rows, the selection has {count}"
            )
        if count <= self._rows.values.shape[1]:
            values = self._rows.of(ordered)
            mean = values.mean(axis=0)
            deviations = (values - mean) / np.sqrt(divisor)
            return _Moments(mean, None, deviations.T)
        total, products = self._sums(ordered)
        mean = total / count
        covariance = (products - count * np.outer(mean, mean)) / divisor
        return _Moments(mean, covariance)

    def _sums(self, ordered: Positions) -> tuple[Matrix, Matrix]:
        removed = self._rows.others(ordered)
        if self._rows.counts[removed].sum() >= self._rows.counts[ordered].sum():
            values = self._rows.of(ordered)
            return values.sum(axis=0), values.T @ values
        total, products = self._total
        if len(removed) == 0:
            return total, products
        values = self._rows.of(removed)
        return total - values.sum(axis=0), products - values.T @ values


class FrechetDistance:
    """Fréchet distance of two Gaussians, ``|m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2)``, 0 or more.

    Dowson and Landau 1982, "The Fréchet distance between multivariate normal distributions". With ``S = F F'`` the last
    trace is the sum of the singular values of ``F1' F2``, because their squares are the eigenvalues of ``S1 S2``; no
    root of a matrix is taken, nothing complex arises, and a singular covariance needs no correction. With fewer rows
    than columns F is made of the centred rows, so that the cost is that of the rows; else of the covariance.

    Args:
        candidates: Rows of each sample's candidate, each of shape (n, d), n >= 1.
        references: Rows of each sample's reference, each of shape (m, d), m >= 1.
        ddof: 1 for sample covariances, 0 for population covariances.

    Raises:
        ValueError: If a side has no samples, or rows have different widths or are not finite.
    """

    def __init__(self, candidates: Sequence[Array], references: Sequence[Array], ddof: int = 1) -> None:
        first, second = _same_width(_Rows(candidates), _Rows(references))
        centre = (first.values.sum(axis=0) + second.values.sum(axis=0)) / (len(first.values) + len(second.values))
        first.values -= centre
        second.values -= centre
        self._candidates, self._references = _Side(first, ddof), _Side(second, ddof)

    def between(self, candidates: Positions, references: Positions) -> float:
        """Returns the distance of the selected samples, in squared units of the features.

        Args:
            candidates: Positions of the selected candidates, none twice.
            references: Positions of the selected references, none twice.

        Raises:
            ValueError: If a selection is empty, names a sample twice or one that does not exist, or has too few rows
                for a covariance.
        """
        one, two = self._candidates.moments(candidates), self._references.moments(references)
        cross = _trace_of_root(one, two)
        apart = float(np.square(one.mean - two.mean).sum())
        return max(0.0, apart + one.trace + two.trace - 2 * cross)


def _trace_of_root(one: _Moments, two: _Moments) -> float:
    """Returns ``tr (S1 S2)^(1/2)``."""
    if one.covariance is not None and two.covariance is not None:
        # Half the work of the singular values, and the root of the second side serves many first ones. Eigenvalues are
        # exact to a rounding of the largest, so it is trusted only where the smallest are far above that.
        values = np.linalg.eigvalsh(two.factor.T @ one.covariance @ two.factor)
        if values[0] > WELL_CONDITIONED * values[-1]:
            return float(np.sqrt(values).sum())
    return float(np.linalg.svd(one.factor.T @ two.factor, compute_uv=False).sum())


class _KernelDistance(ABC):
    """Sums of a kernel over every pair of identities; subclasses say which kernel and which estimator.

    Args:
        candidates: Rows of each identity's candidates, each of shape (n, d), n >= 1.
        references: Rows of each identity's references, each of shape (m, d), m >= 1.
    """

    def __init__(self, candidates: Sequence[Array], references: Sequence[Array]) -> None:
        self._candidates, self._references = _same_width(_Rows(candidates), _Rows(references))
        self._within_references = self._block_sums(self._references, self._references)
        if self._candidates.equal(self._references):
            # A product of equal matrices need not be equal to the last bit, and real replies are exactly 0 from
            # themselves.
            self._within_candidates = self._across = self._within_references
        else:
            self._within_candidates = self._block_sums(self._candidates, self._candidates)
            self._across = self._block_sums(self._candidates, self._references)

    @abstractmethod
    def _kernel(self, first: Matrix, second: Matrix) -> Matrix:
        """Kernel of each row of one matrix with each row of another: (n, d), (m, d) -> (n, m)."""

    def _block_sums(self, first: _Rows, second: _Rows) -> Matrix:
        # One entry per pair of identities. Within one side the matrix is symmetric: half of it is copied.
        same = first is second
        sums = np.empty((len(first), len(second)))
        at = 0
        while at < len(first):
            after = max(at + 1, int(np.searchsorted(first.starts, first.starts[at] + BLOCK_ROWS)))
            block = slice(first.starts[at], first.starts[after - 1] + first.counts[after - 1])
            begin = at if same else 0
            values = self._kernel(first.values[block], second.values[second.starts[begin] :])
            by_column = np.add.reduceat(values, second.starts[begin:] - second.starts[begin], axis=1)
            sums[at:after, begin:] = np.add.reduceat(by_column, first.starts[at:after] - first.starts[at], axis=0)
            if same:
                sums[after:, at:after] = sums[at:after, after:].T
            at = after
        return sums


class PolynomialMmd(_KernelDistance):
    """Squared maximum mean discrepancy with the kernel ``(gamma x.y + coef0)^degree``: KID's and KVD's distance.

    Binkowski et al. 2018, "Demystifying MMD GANs", in the unbiased estimate for paired sets of Gretton et al. 2012,
    "A Kernel Two-Sample Test" (JMLR 13), Lemma 6. A candidate and its reference share person and room, and so do the
    rows of one clip: only pairs of rows of different identities count, within a side and across. With n identities of
    one row each that is the mean over ``i != j`` of ``k(x_i, x_j) + k(y_i, y_j) - k(x_i, y_j) - k(x_j, y_i)``. All
    rows count, not random subsets: exact, without a seed, and of less variance. It is 0 where both sides are the same
    rows, and can be slightly below 0 where the sets are alike. Selections without a common identity give the estimate
    for two independent sets.

    Args:
        candidates: Rows of each identity's candidates, each of shape (n, d), n >= 1; candidate ``i`` belongs to
            reference ``i % len(references)``, so that several systems can lie one below the other.
        references: Rows of each identity's references, each of shape (m, d), m >= 1.
        degree: Power, 1 or more.
        gamma: Factor of the scalar product; ``None`` for ``1 / d``.
        coef0: What is added to it.

    Raises:
        ValueError: If a side has no samples, rows have different widths or are not finite, or the candidates are no
            multiple of the references.
    """

    def __init__(
        self,
        candidates: Sequence[Array],
        references: Sequence[Array],
        degree: int = 3,
        gamma: float | None = None,
        coef0: float = 1.0,
    ) -> None:
        if degree < 1:
            raise ValueError(f"the degree must be 1 or more, not {degree}")
        self._degree, self._gamma, self._coef0 = degree, gamma, coef0
        super().__init__(candidates, references)
        identities = np.arange(len(self._references))
        self._owner: Positions = np.arange(len(self._candidates)) % len(identities)
        if len(self._owner) % len(identities):
            raise ValueError(f"{len(self._owner)} candidates cannot belong to {len(identities)} references")
        self._within_candidates[self._owner[:, None] == self._owner] = 0.0
        self._within_references[identities[:, None] == identities] = 0.0
        self._across[self._owner[:, None] == identities] = 0.0

    def between(self, candidates: Positions, references: Positions) -> float:
        """Returns the squared discrepancy of the selected identities.

        Args:
            candidates: Positions of the selected candidates, none twice.
            references: Positions of the selected references, none twice.

        Raises:
            ValueError: If a selection is empty, names an identity twice or one that does not exist, or has no pair of
                different identities.
        """
        first, second = self._candidates.positions(candidates), self._references.positions(references)
        rows, reference_rows = np.zeros((2, len(self._references)))
        np.add.at(rows, self._owner[first], self._candidates.counts[first])
        reference_rows[second] = self._references.counts[second]
        within = _mean(self._within_candidates[np.ix_(first, first)], rows, rows)
        within += _mean(self._within_references[np.ix_(second, second)], reference_rows, reference_rows)
        return within - 2 * _mean(self._across[np.ix_(first, second)], rows, reference_rows)

    def _scale_of(self, width: int) -> float:
        return 1 / width if self._gamma is None else self._gamma

    def _kernel(self, first: Matrix, second: Matrix) -> Matrix:
        values: Matrix = first @ second.T
        values *= self._scale_of(first.shape[1])
        values += self._coef0
        return self._power(values)

    def _power(self, base: Matrix) -> Matrix:
        # Repeated multiplication: numpy's general power takes some twenty times as long.
        power = base.copy()
        for _ in range(self._degree - 1):
            power *= base
        return power


class GaussianMmd(_KernelDistance):
    """Squared maximum mean discrepancy with the kernel ``exp(-|x - y|^2 / (2 sigma^2))``, times ``scale``: CMMD's.

    Jayasumana et al. 2024, "Rethinking FID: Towards a Better Evaluation Metric for Image Generation": the estimate of
    least variance. It counts every pair of rows, each with itself and each with its own reference, and is therefore 0
    or more, exactly 0 where both sides are the same rows, with a small bias upwards elsewhere.

    Args:
        candidates: Rows of each identity's candidates, each of shape (n, d), n >= 1.
        references: Rows of each identity's references, each of shape (m, d), m >= 1.
        sigma: Width of the kernel, in units of the features.
        scale: Factor of the result.

    Raises:
        ValueError: If a side has no samples, rows have different widths or are not finite, or sigma is not positive.
    """

    def __init__(
        self, candidates: Sequence[Array], references: Sequence[Array], sigma: float = 10.0, scale: float = 1000.0
    ) -> None:
        if sigma <= 0:
            raise ValueError(f"sigma must be positive, not {sigma}")
        self._sigma, self._scale = sigma, scale
        super().__init__(candidates, references)

    def between(self, candidates: Positions, references: Positions) -> float:
        """Returns ``scale`` times the squared discrepancy of the selected samples, 0 or more.

        Args:
            candidates: Positions of the selected candidates, none twice.
            references: Positions of the selected references, none twice.

        Raises:
            ValueError: If a selection is empty, names a sample twice or one that does not exist.
        """
        first, second = self._candidates.positions(candidates), self._references.positions(references)
        n, m = int(self._candidates.counts[first].sum()), int(self._references.counts[second].sum())
        within = float(self._within_candidates[np.ix_(first, first)].sum()) / n**2
        within += float(self._within_references[np.ix_(second, second)].sum()) / m**2
        across = float(self._across[np.ix_(first, second)].sum()) / (n * m)
        return max(0.0, self._scale * (within - 2 * across))

    def _kernel(self, first: Matrix, second: Matrix) -> Matrix:
        # |x - y|^2 = |x|^2 + |y|^2 - 2 x.y, all of it in one matrix
        values: Matrix = first @ second.T
        values *= -2
        values += np.einsum("ij,ij->i", first, first)[:, None]
        values += np.einsum("ij,ij->i", second, second)
        np.maximum(values, 0.0, out=values)
        values /= -2 * self._sigma**2
        return np.exp(values, out=values)


def _mean(sums: Matrix, rows: Matrix, others: Matrix) -> float:
    """Returns the mean kernel over pairs of rows of different identities, of which each side has so many rows."""
    pairs = rows.sum() * others.sum() - rows @ others
    if pairs == 0:
        raise ValueError("the unbiased estimate needs a pair of different identities: select more of them")
    return float(sums.sum() / pairs)


def _same_width(first: _Rows, second: _Rows) -> tuple[_Rows, _Rows]:
    widths = first.values.shape[1], second.values.shape[1]
    if widths[0] != widths[1]:
        raise ValueError(f"candidates have {widths[0]} columns, references {widths[1]}")
    return first, second


def _root(covariance: Matrix) -> Matrix:
    try:
        root: Matrix = np.linalg.cholesky(covariance).astype(np.float64, copy=False)
    except np.linalg.LinAlgError:
        # A singular one, as with a feature that never changes, has a root all the same.
        values, vectors = np.linalg.eigh(covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
    return root
