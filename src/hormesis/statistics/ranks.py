"""Which features are fragile: drops of one column at a time with simultaneous intervals of drops and of ranks.

A rank alone is noise: 1,000 rows do not rank 30 features. Every statement here holds for all features together at 95 %.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hormesis.errors import DataError
from hormesis.key import key, lane, normal
from hormesis.statistics.intervals import ALPHA, Z95, Floats, t_quantile

DRAWS = 2000
MANY = 50
CHUNK = 8192
TINY = 1e-300  # where nothing varies and h is 0


@dataclass(frozen=True, eq=False)
class Ranking:
    """Drops of features at one level, each an array with one entry per feature.

    `low` and `high` hold for all features together, `low_alone` and `high_alone` for one feature named beforehand. `p` is
    one-sided (the drop is not above 0), `adjusted` is p after `rule` (Holm, or Benjamini-Hochberg), `matters` says that it
    is at most 5 %. `rank_low` to `rank_high` holds the feature's true rank, 1 for the most fragile.
    """

    drop: Floats
    se: Floats
    low: Floats
    high: Floats
    low_alone: Floats
    high_alone: Floats
    p: Floats
    adjusted: Floats
    matters: NDArray[np.bool_]
    rank_low: NDArray[np.int64]
    rank_high: NDArray[np.int64]
    rule: str


@dataclass(frozen=True, eq=False)
class Interactions:
    """What pairs of features cost jointly beyond the sum of both alone, each an array with one entry per pair.

    Above 0 the pair is worse than its parts; `p` is two-sided, `adjusted` after Holm over the pairs tested, `low` and `high`
    hold for all pairs together.
    """

    excess: Floats
    se: Floats
    low: Floats
    high: Floats
    low_alone: Floats
    high_alone: Floats
    p: Floats
    adjusted: Floats
    surely: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class _Moments:
    """Means and cross products of the columns of row drops, with two pseudo-rows of size h."""

    rows: int
    h: float
    mean: Floats  # shrunk by the pseudo-rows
    cross: Floats  # sum over rows of products of deviations
    vectors: Floats
    spread: Floats

    @property
    def se(self) -> Floats:
        return self.error(np.diag(self.cross))

    def error(self, squares: Floats) -> Floats:
        """Return the standard error of a mean from the sum of squares of its rows."""
        return np.asarray(np.sqrt(np.maximum(squares + 2 * self.h**2, TINY)) / (self.rows + 2))

    @property
    def quantile(self) -> float:
        return t_quantile(self.rows - 1)

    def draws(self, seed: int, pseudo: float) -> Floats:
        """Draw errors of the means: (columns, draws), with `pseudo` times h squared of independent variance each."""
        p = self.mean.size
        z = normal(lane(np.arange(p * DRAWS)), key(seed, "ranks")).reshape(p, DRAWS)
        scale = np.sqrt(self.spread + pseudo * self.h**2) / (self.rows + 2)
        return np.asarray((self.vectors * scale) @ z)

    def critical(self, largest: Floats) -> float:
        """Return the 95 % quantile of the largest ratios, at Student's scale and never below one ratio's."""
        found = float(np.quantile(largest, 1 - ALPHA)) * self.quantile / Z95
        return max(found, self.quantile)

    def intervals(self, seed: int) -> tuple[Floats, Floats, Floats, Floats, Floats, Floats]:
        """Return means, standard errors, intervals for all means together, and intervals for each alone."""
        errors = np.abs(self.draws(seed, 2.0)) / self.se[:, None]
        band, alone = self.critical(errors.max(axis=0)) * self.se, self.quantile * self.se
        m = self.mean
        return m, self.se, m - band, m + band, m - alone, m + alone


def _moments(drops: NDArray[Any], h: float) -> _Moments:
    """Return the moments of row drops, from blocks of rows: no second copy of the matrix."""
    n, p = drops.shape
    if n < 2 or not p:
        raise DataError(
            f"{n} rows of {p} columns of drops cannot be compared: at least 2 rows and a column are needed."
        )
    mean = drops.mean(axis=0, dtype=np.float64)
    if not np.isfinite(mean).all():
        raise DataError(
            f"{int((~np.isfinite(mean)).sum())} of {p} drops are not numbers: leave these columns out."
        )
    cross = np.zeros((p, p))
    for a in range(0, n, CHUNK):
        part = drops[a : a + CHUNK] - mean
        cross += part.T @ part
    spread, vectors = np.linalg.eigh(cross)
    return _Moments(n, h, mean * n / (n + 2), cross, vectors, spread.clip(0.0))


def rank(drops: NDArray[Any], h: float, *, seed: int = 0) -> Ranking:
    """Rank features by what noise in them alone costs.

    With row drops D (n, p), drop ``m = sum(D) / (n + 2)``; for each pair the difference ``m_j - m_k`` and its standard error,
    critical value the 95 % quantile of the largest ``abs(G_j - G_k) / se_jk`` over all pairs, G normal with the covariance of
    the drops. A feature's ranks go from 1 + the number of surely more fragile features to p - the number of surely less
    fragile ones. "Matters" is Holm's rule, from 50 features on that of Benjamini and Hochberg (at most 5 % of those named are
    expected to be harmless). A feature none of whose rows changed has drop 0 and p = .5.

    Parameters
    ----------
    drops : array (rows, features)
        Paired row drops: clean minus noisy influence plus the drop, so that a column's mean is its drop; a row is the mean over
        repeats, and a cluster's where rows come in clusters.
    h : float
        Influence of one row like the worst that was not sampled yet.
    seed : int
        Of the draws behind the critical values.

    Raises
    ------
    DataError
        Fewer than two rows, no columns, or drops that are not numbers.

    References
    ----------
    Holm (1979); Benjamini and Hochberg (1995); Mogstad, Romano, Shaikh, Wilhelm (2024), Inference for ranks; Bonett and
    Price (2012) for the pseudo-rows.

    Examples
    --------
    >>> drops = np.zeros((400, 3))
    >>> drops[:100, 0] = drops[:6, 1] = 1.0
    >>> found = rank(drops, 1.0)
    >>> found.drop.round(3).tolist(), found.matters.tolist()
    ([0.249, 0.015, 0.0], [True, True, False])
    >>> found.rank_low.tolist(), found.rank_high.tolist()
    ([1, 2, 2], [1, 3, 3])
    """
    m = _moments(drops, h)
    p = _upper_tail(m.mean / m.se, m.rows - 1)
    rule, adjust = ("Holm", holm) if p.size < MANY else ("Benjamini-Hochberg", benjamini_hochberg)
    adjusted = adjust(p)
    return Ranking(*m.intervals(seed), p, adjusted, adjusted <= ALPHA, *_rank_intervals(m, seed), rule)


def interactions(
    joint: NDArray[Any], one: NDArray[Any], other: NDArray[Any], h: float, *, seed: int = 0
) -> Interactions:
    """Return what pairs of features cost jointly beyond the sum of both alone: ``joint - one - other``, paired by row.

    The three noises of a pair are to share their draws (the same cells get the same noise alone and jointly): then the errors
    of the parts cancel, and pairs chosen for the large drops of their parts are not made to look harmless by that choice.

    Parameters
    ----------
    joint, one, other : arrays (rows, pairs)
        Row drops with both columns noisy, with the first alone, with the second alone.
    h : float
        Influence of one row like the worst that was not sampled yet.
    seed : int
        Of the draws behind the critical value.

    Raises
    ------
    DataError
        Shapes differ, fewer than two rows, no pairs, or drops that are not numbers.

    References
    ----------
    Holm (1979); Bonett and Price (2012) for the pseudo-rows.

    Examples
    --------
    Either column has a spare in the other; without both, half of the rows go wrong.

    >>> both = (np.arange(400) % 2 == 0).astype(float)[:, None]
    >>> found = interactions(both, np.zeros((400, 1)), np.zeros((400, 1)), 1.0)
    >>> found.excess.round(2).tolist(), found.surely.tolist()
    ([0.5], [True])
    """
    if not joint.shape == one.shape == other.shape or joint.ndim != 2:
        raise DataError(
            f"Row drops of pairs have shapes {joint.shape}, {one.shape} and {other.shape}: all three are (rows, pairs)."
        )
    m = _moments(joint - one - other, h)
    p = 2 * _upper_tail(np.abs(m.mean) / m.se, m.rows - 1)
    adjusted = holm(p)
    return Interactions(*m.intervals(seed), p, adjusted, adjusted <= ALPHA)


def holm(p: Floats) -> Floats:
    """Return p values adjusted so that no false one is at most alpha, but with probability alpha (Holm 1979).

    >>> holm(np.array([0.01, 0.04, 0.03])).tolist()
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    return _restored(stepped, order)


def benjamini_hochberg(p: Floats) -> Floats:
    """Return p values adjusted so that among those at most alpha the expected share of false ones is alpha.

    >>> benjamini_hochberg(np.array([0.01, 0.04, 0.03])).round(3).tolist()
    [0.03, 0.04, 0.04]
    """
    order = np.argsort(p, kind="stable")
    scaled = p[order] * p.size / np.arange(1, p.size + 1)
    return _restored(np.minimum.accumulate(scaled[::-1])[::-1], order)


def _restored(ordered: Floats, order: NDArray[np.intp]) -> Floats:
    out = np.empty_like(ordered)
    out[order] = np.minimum(ordered, 1.0)
    return out


def _upper_tail(t: Floats, degrees: int) -> Floats:
    from scipy.special import stdtr

    return np.asarray(stdtr(degrees, -t))


def _rank_intervals(m: _Moments, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the lowest and the highest rank of each feature, one feature against all others at a time."""
    p = m.mean.size
    errors = m.draws(seed, 1.0)
    own = np.diag(m.cross)
    se = m.error(own[:, None] + own - 2 * m.cross)
    largest = np.zeros(DRAWS)
    for j in range(p - 1):
        ratio = (errors[j] - errors[j + 1 :]) / se[j, j + 1 :, None]
        np.maximum(largest, np.abs(ratio, out=ratio).max(axis=0), out=largest)
    above = m.mean[:, None] - m.mean > m.critical(largest) * se
    return 1 + above.sum(axis=0), p - above.sum(axis=1)
