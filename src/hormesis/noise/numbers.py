"""How every number of a column goes bad: noise added, multiplied or made of ranks, shifts, saturation, other units."""

from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hormesis.columns import Table
from hormesis.key import CHUNK, Draw
from hormesis.noise.base import (
    NUMERIC,
    Aim,
    ColumnFraction,
    ColumnNoise,
    Columns,
    Ranks,
    Relative,
    Sigmas,
    Spares,
    noise,
    numbers_of,
)
from hormesis.noise.digits import MOST, scaled_by
from hormesis.noise.ranks import TrainingRanks, quantile
from hormesis.noise.units import Factor
from hormesis.profile import ColumnProfile, Kind

_LEAST = np.finfo(np.float64).tiny


@noise
class GaussianNoise(ColumnNoise):
    """Add zero-mean Gaussian noise to numeric columns, as measurement error does.

    ``x + level * spread * z`` with z standard normal, one draw per cell, the same z at every level; integers are
    rounded. Unit of `level`: robust standard deviations of the training data.

    Source: Bishop (1995), training with noise is Tikhonov regularization.

    Examples
    --------
    >>> x = np.arange(6.0).reshape(3, 2)
    >>> GaussianNoise(0.1).apply(x, seed=1).round(2)
    array([[-0.13,  0.84],
           [ 2.03,  2.77],
           [ 3.93,  5.13]])
    """

    level: Sigmas = 0.1
    columns: Columns = "numeric"
    applies_to: ClassVar[tuple[Kind, ...]] = NUMERIC

    def column(self, values: NDArray[np.float64], column: ColumnProfile, draw: Draw) -> NDArray[np.float64]:
        z = draw.normal("z")
        z *= self.level * float(column.spread or 0)
        z += values
        return z


@noise
class UniformNoise(ColumnNoise):
    """Add zero-mean uniform noise to numeric columns, as readings on a coarse scale and dithering do.

    ``x + level * spread * sqrt(3) * (2 u - 1)`` with u uniform on (0, 1), one draw per cell, the same u at every level:
    the level is the standard deviation, as in `GaussianNoise`, but no cell moves further than 1.73 of them. Integers
    are rounded. Unit of `level`: robust standard deviations of the training data.

    Source: Widrow and Kollar (2008), quantization noise is close to uniform.

    Examples
    --------
    >>> UniformNoise(0.1).apply(np.arange(4.0), seed=1).round(2)
    array([0.05, 1.1 , 2.17, 3.1 ])
    """

    level: Sigmas = 0.1
    columns: Columns = "numeric"
    applies_to: ClassVar[tuple[Kind, ...]] = NUMERIC

    def column(self, values: NDArray[np.float64], column: ColumnProfile, draw: Draw) -> NDArray[np.float64]:
        u = draw.uniform("u")
        u -= 0.5
        u *= 12**0.5 * self.level * float(column.spread or 0)
        u += values
        return u


@noise
class MultiplicativeNoise(ColumnNoise):
    """Multiply numbers by a random factor around one, as instruments with an error in percent do.

    ``x * (1 + level * z)`` with z standard normal, one draw per cell, the same z at every level; integers are rounded.
    Zeros cannot change, a constant column stays, and what would pass the largest float is held there. Unit of
    `level`: relative standard deviations, 0.1 for an error of 10 percent.

    Source: Fuller (1987), measurement error models.

    Examples
    --------
    >>> MultiplicativeNoise(0.1).apply(np.array([0.0, 1.0, 10.0, 100.0]), seed=1).round(2)
    array([ 0.  ,  0.97,  9.99, 94.68])
    """

    level: Relative = 0.1
    columns: Columns = "numeric"
    applies_to: ClassVar[tuple[Kind, ...]] = NUMERIC
    spares: ClassVar[Spares] = "values"

    def column(self, values: NDArray[np.float64], column: ColumnProfile, draw: Draw) -> NDArray[np.float64]:  # noqa: ARG002
        out = draw.normal("z")
        with np.errstate(over="ignore", invalid="ignore"):
            for a in range(0, out.size, CHUNK):
                x, z = values[a : a + CHUNK], out[a : a + CHUNK]
                z *= x
                z *= self.level
                z += x
                if not np.isfinite(z).all():
                    over = ~np.isfinite(z) & ~np.isnan(x)
                    z[over] = np.where(np.isinf(x[over]), x[over], np.copysign(MOST, z[over]))
        return out


@noise
class QuantileNoise(ColumnNoise):
    """Move numbers to neighbouring ranks of the training data, which suits skewed and discrete columns.

    A value of rank r (mid-rank in the training distribution, 0 to 1) goes to the training value of rank
    ``r + d * room / sqrt(room**2 + d**2)`` with ``d = level * z``, z standard normal, one draw per cell, and room the
    ranks left on that side (1 - r upwards, r downwards). So it moves by d where there is room, further at a higher
    level, always to the same side, and never past the observed range. Reflection at the ends would turn it back at some higher
    level; stopping there would pile values up on the extremes (8 % of all cells at level 0.1, where this rule has 2 %).
    Numbers move between the training values; integers and columns of at most 100 distinct values only onto one of
    them. A value beyond all of them has rank 0 or 1. Unit of `level`: standard deviations in ranks, 0 to 1.

    Source: Sudjianto et al. (2023), PiML toolbox, perturbation in quantile space.

    Examples
    --------
    >>> income = np.array([10.0, 20.0, 20.0, 30.0, 1000.0])
    >>> QuantileNoise(0.3).apply(income, seed=1)
    array([20., 10., 30., 20., 30.])
    """

    level: Ranks = 0.1
    columns: Columns = "numeric"
    applies_to: ClassVar[tuple[Kind, ...]] = NUMERIC
    spares: ClassVar[Spares] = "chance"

    def column(self, values: NDArray[np.float64], column: ColumnProfile, draw: Draw) -> NDArray[np.float64]:
        ranks = TrainingRanks.of(column)
        out = draw.normal("z")
        for a in range(0, out.size, CHUNK):
            chunk = slice(a, a + CHUNK)
            out[chunk] = self._moved(values[chunk], out[chunk], ranks)
        return out

    def _moved(
        self, values: NDArray[np.float64], z: NDArray[np.float64], ranks: TrainingRanks
    ) -> NDArray[np.float64]:
        gone = np.isnan(values)
        x = np.where(gone, ranks.points[0], values)
        rank, seen = ranks.of_values(x)
        up = z > 0
        room = np.where(up, 1 - rank, rank)
        z *= self.level
        far = np.sqrt(room * room + z * z)
        z *= room
        z /= np.maximum(far, _LEAST, out=far)
        z += rank
        new = ranks.values_at(z, x, seen, up)
        np.maximum(new, x, out=new, where=up)
        np.minimum(new, x, out=new, where=~up)
        new[gone] = np.nan
        return new


@noise
class Shift(ColumnNoise):
    """Move whole numeric columns, as a new population, a recalibrated sensor or another season does.

    ``x + level * spread`` in every cell, upwards or downwards; "random" draws one sign per column. Covariate shift:
    the features move, the labels stay. With "random" all rows of a column share one sign, so that another seed is another
    shift: intervals speak of new rows under this one. Unit of `level`: robust standard deviations of the training data.

    Source: Shimodaira (2000), covariate shift.

    Examples
    --------
    >>> Shift(1.0, direction="up").apply(np.array([[0.0], [1.0], [2.0], [3.0]])).round(2).ravel()
    array([1.11, 2.11, 3.11, 4.11])
    """

    level: Sigmas = 0.5
    columns: Columns = "numeric"
    direction: Literal["random", "up", "down"] = "random"
    applies_to: ClassVar[tuple[Kind, ...]] = NUMERIC
    shared: ClassVar[bool] = True

    def column(self, values: NDArray[np.float64], column: ColumnProfile, draw: Draw) -> NDArray[np.float64]:
        up = self.direction == "up" or (self.direction == "random" and draw.coin("direction") < 0.5)
        return values + (1 if up else -1) * self.level * float(column.spread or 0)


@noise
class Clipping(ColumnNoise):
    """Hold numbers at a limit that they would pass, as a saturated sensor and a capped field do.

    Values below the training quantile ``level / 2`` are held there, values above the quantile ``1 - level / 2`` there;
    with `side` "low" or "high" one end loses the whole level. The same for every seed. Quantiles come from the profile, which
    knows steps of 1/1,024: the smallest dose holds what lies beyond its first and last training value. Unit of
    `level`: share of the training distribution that is lost, 0 to 1.

    Source: Tukey (1962), winsorizing.

    Examples
    --------
    >>> Clipping(0.5).apply(np.arange(8.0))
    array([1.5, 1.5, 2. , 3. , 4. , 5. , 5.5, 5.5])
    >>> Clipping(0.5, side="high").apply(np.arange(8.0))
    array([0. , 1. , 2. , 3. , 3.5, 3.5, 3.5, 3.5])
    """

    level: Ranks = 0.05
    columns: Columns = "numeric"
    side: Literal["both", "low", "high"] = "both"
    applies_to: ClassVar[tuple[Kind, ...]] = NUMERIC
    spares: ClassVar[Spares] = "values"
    random: ClassVar[bool] = False

    def column(self, values: NDArray[np.float64], column: ColumnProfile, draw: Draw) -> NDArray[np.float64]:  # noqa: ARG002
        low, high = self.limits(column)
        return np.clip(values, low, high)

    def limits(self, column: ColumnProfile) -> tuple[float, float]:
        """Return the values at which a column is held."""
        lost = self.level / 2 if self.side == "both" else self.level
        points: NDArray[Any] = column.points.astype(np.float64)
        low = -np.inf if self.side == "high" else quantile(points, lost)
        high = np.inf if self.side == "low" else quantile(points, 1 - lost)
        return low, max(low, high)


@noise
class UnitChange(ColumnNoise):
    """Multiply whole columns by a constant, as a feed that went from inches to centimetres or to thousands does.

    All cells of a hit column become `factor` times their value; names and types stay, integers are rounded and held within
    their range. Unit of `level`: fraction of columns.

    Source: Kim et al. (2003), a taxonomy of dirty data, measurement units.

    Examples
    --------
    >>> UnitChange(1.0, factor=2.54).apply(np.array([[10.0], [20.0]])).ravel()
    array([25.4, 50.8])
    """

    level: ColumnFraction = 0.1
    columns: Columns = "numeric"
    factor: Factor = 2.54
    applies_to: ClassVar[tuple[Kind, ...]] = NUMERIC
    shared: ClassVar[bool] = True

    def _touch_column(self, table: Table, j: int, column: ColumnProfile, draw: Draw, aim: Aim) -> None:
        if draw.coin("hit") < self.level:
            values = numbers_of(table, j, column)
            scaled = self.column(values, column, draw)
            table.replace(j, scaled if aim.only is None else np.where(aim.only, scaled, values))

    def column(self, values: NDArray[np.float64], column: ColumnProfile, draw: Draw) -> NDArray[np.float64]:  # noqa: ARG002
        return scaled_by(self.factor, values)
