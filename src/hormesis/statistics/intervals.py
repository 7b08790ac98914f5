"""Intervals for scores and drops, from one influence number per row.

A drop is paired, clean minus noisy row by row, repeats averaged inside the row; two pseudo-rows (+h, -h) stand for
rows that went wrong and were not sampled, so that no change in few rows does not pass for certainty.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
ALPHA = 0.05
Z95 = 1.959963984540054
SKEW = 32.0  # measured: drops of linear models under a shift of every column, skewed like a chi-square (see `drop_of`)
ENOUGH = 10  # units that carry the drop, from which the worst one seen stands for those not seen


@dataclass(frozen=True, eq=False)
class Sample:
    """A score on some rows: its value and the influence of each unit (row, cluster of rows, block of a jackknife)."""

    value: float
    influence: Floats
    rows: int


@dataclass(frozen=True)
class Drop:
    """A drop of score: its value, its standard error and the degrees of freedom of that error.

    `above` is how many times further up than down the interval reaches: under noise that all rows share, drops are
    skewed, and few draws seldom hold the worst.

    >>> Drop(0.02, 0.01, 199).interval()
    (0.00028..., 0.0397...)
    """

    value: float
    se: float
    degrees: float
    above: float = 1.0

    def interval(self, c: float | None = None) -> tuple[float, float]:
        """Return the 95 % interval, or the one of a boundary constant `c` that counts normal standard errors."""
        half = t_quantile(self.degrees) * self.se * (1.0 if c is None else c / Z95)
        return self.value - half, self.value + half * self.above


def t_quantile(degrees: float, alpha: float = ALPHA) -> float:
    """Return the two-sided critical value of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(max(degrees, 1), 1 - alpha / 2))


def drop_of(clean: Sample, noisy: Sequence[Sample], h: float, *, shared: bool = False) -> Drop:
    """Return clean minus noisy, averaged over repeats on the same rows.

    Parameters
    ----------
    clean : Sample
        The score on the rows as they are.
    noisy : list of samples
        The score under each repeat of the noise, in the same units.
    h : float
        Influence of one row like the worst that was not sampled yet.
    shared : bool
        The rows of a repeat share one draw of the noise, a fresh one for each repeat: the variance between draws is added
        to that between rows. One draw alone shows nothing of it, and rows alone are counted.

    Notes
    -----
    Degrees of freedom by Satterthwaite (1946). A shift of every column by a random sign, linear models of 3, 10 and 30
    columns, 300 and 3,000 rows: eight fresh draws cover .93 to .98 for accuracy and .91 to .97 for log loss, rows alone
    .08 to .88, four antithetic pairs .86 to .96 at twice the width (both ends of a pair do the same harm). A shift of the
    one column of a probit model by a normal draw, 1,000 and 10,000 rows (`docs/coverage.md`): eight fresh draws cover .94
    to .96 for accuracy and .92 for log loss, rows alone .05 to .47.

    Examples
    --------
    >>> clean = Sample(0.9, np.zeros(100), 100)
    >>> drop_of(clean, [clean], h=1.0)
    Drop(value=0.0, se=0.0138..., degrees=99.0, above=1.0)
    """
    n, units = clean.rows, clean.influence.size
    values = clean.value - np.array([s.value for s in noisy])
    d = clean.influence - np.mean([s.influence for s in noisy], axis=0)
    h, scale = _reckoned(d, h), units + 2 if units == n else units
    rows = float(d @ d + 2 * h * h) / scale**2
    variance, draws = _between(values) if shared else (0.0, 0)
    se, degrees = _joined(rows, units - 1, variance, draws - 1)
    above = _above(values, rows, variance) if variance else 1.0
    return Drop(float(values.mean()) * n / (n + 2), se, degrees, above)


def _reckoned(d: Floats, h: float) -> float:
    """Return h, at most as bad as the worst unit seen once ten of them or more carry the drop.

    A row (a whole cluster) that goes wrong is what is feared where few have changed; where all have, it is known how far
    they go: log loss, R2 and RMSE covered 1.0 instead of .95 to .98 at small drops of 200 rows (`docs/coverage.md`).
    20, 100 and 1,000 clusters, of 10 rows or of geometric size with mean 10, Gaussian noise (`docs/coverage.md`): .96 to 1.0,
    .95 to .98 and .93 to .97. 12, 40, 150 and 400 clusters of 10 rows, equal and log-normal in size: .94 to 1.0, but .82 to
    .92 for the AUC where 1 to 4 % of very unequal clusters are turned upside down.
    """
    worst, square = float(np.abs(d).max()), d * d
    if worst <= 1e-9 * h:  # nothing but rounding
        return h
    carried = float(square.sum()) ** 2 / float((square * square).sum())
    return min(h, worst * max(1.0, ENOUGH / carried))


def _between(values: Floats) -> tuple[float, int]:
    """Return the variance of the mean of shared draws, and how many draws there are: none to speak of below two."""
    return (float(values.var(ddof=1)) / values.size if values.size > 1 else 0.0), values.size


def _above(values: Floats, rows: float, variance: float) -> float:
    """Return how much further up to reach: as if the farthest draw had been met `SKEW` / draws times more."""
    farthest = float(((values - values.mean()) ** 2).max()) / (values.size * (values.size - 1))
    return float(np.sqrt(1 + SKEW / values.size * farthest / (rows + variance)))


def _joined(rows: float, rows_degrees: float, draws: float, draws_degrees: float) -> tuple[float, float]:
    """Return the standard error of two independent parts and its degrees of freedom (Satterthwaite 1946)."""
    total = rows + draws
    if not draws:
        return float(np.sqrt(total)), float(rows_degrees)
    return float(np.sqrt(total)), total**2 / (rows**2 / max(rows_degrees, 1) + draws**2 / draws_degrees)


def unit_drops(clean: Sample, noisy: Sequence[Sample]) -> Floats:
    """Return one number per unit (row, cluster, block) whose mean is the drop, repeats averaged inside the unit."""
    value = clean.value - float(np.mean([s.value for s in noisy]))
    d: Floats = clean.influence - np.mean([s.influence for s in noisy], axis=0) + value
    return d


def difference(clean: Sample, noisy: Sequence[Sample], h: float) -> tuple[float, float, float]:
    """Return clean minus noisy, with its 95 % interval; `noisy` are repeats on the same rows."""
    drop = drop_of(clean, noisy, h)
    return (drop.value, *drop.interval())


def mean_difference(ours: Sequence[Sample], theirs: Sequence[Sample], h: float) -> tuple[float, float, float]:
    """Return the mean over cells of ours minus theirs, paired by row, with its 95 % interval."""
    rows, units = ours[0].rows, ours[0].influence.size
    mean = [
        Sample(float(np.mean([s.value for s in c])), np.mean([s.influence for s in c], axis=0), rows)
        for c in (ours, theirs)
    ]
    d = mean[0].influence - mean[1].influence
    value = mean[0].value - mean[1].value
    half = t_quantile(units - 1) * np.sqrt(d @ d + 2 * h * h) / units
    return value, float(value - half), float(value + half)


def score_interval(
    samples: Sequence[Sample], *, share: bool, smallest: int, shared: bool = False
) -> tuple[float, float, float]:
    """Return a score with its 95 % interval: Wilson's with the effective number of rows for shares, else Student's.

    `smallest` is the number of rows that a perfect score rests on; `shared` draws count as in `drop_of`.
    In `docs/coverage.md` 20 clusters of 10 rows cover .93 to .96, 20 of geometric size .91 to .94, 100 and more .92 to .95;
    eight shared draws of a shift .96 to .97 for accuracy and .92 for log loss.
    """
    f = np.mean([s.influence for s in samples], axis=0)
    values, rows = np.array([s.value for s in samples]), float(f @ f) / f.size**2
    variance, draws = _between(values) if shared else (0.0, 0)
    se, degrees = _joined(rows, f.size - 1, variance, draws - 1)
    if variance:
        se *= _above(values, rows, variance)
    value = float(values.mean())
    if not share:
        half = t_quantile(degrees) * se
        return value, value - half, value + half
    z = t_quantile(degrees) if variance or f.size != samples[0].rows else Z95
    p = min(max(value, 0.0), 1.0)
    n = p * (1 - p) / se**2 if se > 0 and 0 < p < 1 else smallest
    middle = (p + z * z / 2 / n) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / 4 / n**2)
    return value, float(middle - half), float(middle + half)
