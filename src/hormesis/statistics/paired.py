"""Two models under the same noise on the same rows: the difference of their drops, and of where they break.

A sweep keeps of each level one number per block of rows, not one per row: the sum of the influences of the block.
Blocks are the same for both models, so whatever rows share (hard rows, noisy rows) cancels in the difference.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hormesis.statistics.crossing import cross
from hormesis.statistics.intervals import Drop, Floats, Sample, _between, _joined, drop_of
from hormesis.statistics.runs import crossings


@dataclass(frozen=True, eq=False)
class Condensed:
    """One model's drop at one level, with the sums of its influences over blocks of rows.

    `unseen` is the variance of the two pseudo-rows; `draws` are the scores of the repeats where a draw is shared by all
    rows, empty elsewhere.
    """

    drop: Drop
    blocks: Floats
    unseen: float
    draws: Floats

    @property
    def sources(self) -> Floats:
        """Everything that moves the drop, one number per block and per shared draw."""
        k = self.draws.size
        if k < 2:
            return self.blocks
        return np.append(self.blocks, (self.draws.mean() - self.draws) / np.sqrt(k * (k - 1)))


def condense(
    clean: Sample, noisy: Sequence[Sample], h: float, block: NDArray[np.int64], *, shared: bool = False
) -> Condensed:
    """Return a drop with one number per block: all that a later comparison needs of a level.

    Parameters
    ----------
    clean : Sample
        On the clean rows.
    noisy : sequence of Sample
        Repeats on the same rows.
    h : float
        Influence of one row like the worst that was not sampled yet.
    block : array of int, one per unit
        Number of the block of each unit, at random and the same for all models (`groups_of`).
    shared : bool
        The rows of a repeat share one draw of the noise, as in `drop_of`.

    Examples
    --------
    >>> clean, noisy = Sample(0.9, np.zeros(100), 100), Sample(0.8, np.tile([-0.1, 0.1], 50), 100)
    >>> condense(clean, [noisy], 1.0, np.arange(100) % 4).blocks.round(3)
    array([ 0.025, -0.025,  0.025, -0.025])
    """
    units = clean.influence.size
    d = clean.influence - np.mean([s.influence for s in noisy], axis=0)
    scale = units + 2 if units == clean.rows else units
    draws = np.array([s.value for s in noisy] if shared else [])
    drop, blocks = drop_of(clean, noisy, h, shared=shared), np.bincount(block, d - d.mean()) / scale
    unseen = drop.se**2 - _between(draws)[0] - float(d @ d) / scale**2
    return Condensed(drop, blocks, max(unseen, 0.0), draws)


def drop_difference(one: Condensed, other: Condensed) -> Drop:
    """Return how much more one model loses than the other at a level, paired by rows and by draws.

    Source: delete-a-group jackknife, Kott (2001), Journal of Official Statistics 17.
    """
    d, k = one.blocks - other.blocks, one.blocks.size
    rows = float(d @ d) * k / max(k - 1, 1) + max(one.unseen, other.unseen)
    variance, draws = _between(one.draws - other.draws)
    se, degrees = _joined(rows, k - 1, variance, draws - 1)
    return Drop(one.drop.value - other.drop.value, se, degrees)


@dataclass(frozen=True)
class BreakDifference:
    """By how much one model breaks later than the other, in units of the level; None: no such end within the tested range.

    `value` is None where a mean curve does not cross the tolerance between two tested levels.
    """

    value: float | None
    low: float | None
    high: float | None

    def words(self, one: str, other: str) -> str:
        """Say which model breaks later, as far as the interval tells."""
        if self.low is not None and self.low > 0:
            return f"{one} breaks later than {other}, by {_span(self.low, self.high)}"
        if self.high is not None and self.high < 0:
            return f"{other} breaks later than {one}, by {_span(-self.high, None if self.low is None else -self.low)}"
        return f"undecided which of {one} and {other} breaks later"


def _span(low: float, high: float | None) -> str:
    return f"at least {low:.3g}" if high is None else f"{low:.3g} to {high:.3g}"


@dataclass(frozen=True, eq=False)
class _Break:
    low: float
    high: float | None
    value: float | None
    sources: Floats


def break_difference(
    levels: Sequence[float],
    one: Sequence[Condensed | None],
    other: Sequence[Condensed | None],
    tolerance: float,
) -> BreakDifference:
    """Return the difference of two models' continuous break points, one minus other, with its 95 % interval.

    The two intervals of the break points are joined by the square root rule, with the correlation of the two crossings
    over blocks of rows, so that the result keeps their asymmetry and agrees with what is printed for each model. A
    level is None where the model raised. Where a curve crosses outside the tested levels, the ends are subtracted
    instead: a one-sided statement where one of them is missing.

    Source: Zou and Donner (2008), Statistics in Medicine 27, for the rule and its correlated form.

    >>> clean, block = Sample(0.9, np.zeros(1000), 1000), np.arange(1000) % 50
    >>> def curve(*scores):
    ...     return [condense(clean, [Sample(s, np.zeros(1000), 1000)], 1.0, block) for s in scores]
    >>> later = break_difference([0.1, 0.2, 0.3], curve(0.89, 0.87, 0.83), curve(0.88, 0.83, 0.7), 0.05)
    >>> later.words("forest", "linear")
    'forest breaks later than linear, by 0.0795 to 0.096'
    """
    a, b = (_break(np.asarray(levels, float), curve, tolerance) for curve in (one, other))
    if a.value is None or b.value is None:
        return BreakDifference(None, _minus(a.low, b.high), _minus(a.high, b.low))
    spread = np.sqrt((a.sources @ a.sources) * (b.sources @ b.sources))
    tied = float(a.sources @ b.sources / spread) if spread > 0 else 0.0
    value = a.value - b.value
    below = _reach(a.value - a.low, None if b.high is None else b.high - b.value, tied)
    above = _reach(b.value - b.low, None if a.high is None else a.high - a.value, tied)
    return BreakDifference(value, _minus(value, below), None if above is None else value + above)


def _minus(x: float | None, y: float | None) -> float | None:
    return None if x is None or y is None else x - y


def _reach(x: float, y: float | None, tied: float) -> float | None:
    return None if y is None else float(np.sqrt(max(x * x + y * y - 2 * tied * x * y, 0.0)))


def _break(levels: Floats, curve: Sequence[Condensed | None], tolerance: float) -> _Break:
    """Return where a mean curve crosses the tolerance, with its interval and what moves it."""
    inf = float("inf")
    low, high = np.transpose([(inf, inf) if c is None else c.drop.interval() for c in curve])
    v = np.array([inf if c is None else c.drop.value for c in curve])
    a, b = crossings(levels, low, high, tolerance)
    k = int(np.argmax(np.append(v > tolerance, True)))
    before, after = (curve[k - 1], curve[k]) if 0 < k < len(curve) else (None, None)
    if before is None or after is None:
        return _Break(a, b, None, np.zeros(0))
    share = (tolerance - v[k - 1]) / (v[k] - v[k - 1])
    value = cross(np.append(0.0, levels), np.append(0.0, v), k, tolerance)
    if value is not None:
        value = min(max(value, a), value if b is None else b)
    return _Break(a, b, value, -(1 - share) * before.sources - share * after.sources)
