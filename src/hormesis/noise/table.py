"""How the cells of a table go bad: numbers and categories."""

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import MinLen
from numpy.typing import NDArray

from hormesis.columns import MISSING, Cells, Missing
from hormesis.key import Draw
from hormesis.noise.base import EVERY, NUMERIC, CellNoise, Columns, Fraction, Positive, Spares, noise
from hormesis.noise.digits import scaled_by
from hormesis.noise.units import Factor
from hormesis.noise.where import Where
from hormesis.profile import ColumnProfile, Kind, Profile


@noise
class MissingValues(CellNoise):
    """Lose cells, as skipped form fields, failed joins and broken sensors do.

    Hit cells become missing in the column's own way; a classic integer or boolean column of pandas becomes nullable.
    Cells that are missing already cannot be lost: the level counts the present ones. Unit of `level`: fraction of
    present cells.

    Source: Rubin (1976), inference and missing data.

    Examples
    --------
    >>> x = np.arange(8.0).reshape(4, 2)
    >>> np.isnan(MissingValues(0.5).apply(x, seed=0)).sum()
    np.int64(3)
    """

    level: Fraction = 0.1
    columns: Columns = "any"
    where: Where = Where()
    applies_to: ClassVar[tuple[Kind, ...]] = EVERY
    reads: ClassVar[bool] = False

    def _column(self, profile: Profile, name: str | int) -> ColumnProfile:
        """Return what is known of a column: nothing, which spares learning it, unless its own values decide."""
        own = self.where.mechanism == "MNAR"
        return profile[name] if own else ColumnProfile(name, "other", 0, 0.0)

    def cells(self, values: Cells, column: ColumnProfile, draw: Draw) -> Missing:  # noqa: ARG002
        return MISSING


@noise
class Masking(CellNoise):
    """Overwrite numbers by one value, as a default written over lost cells does (masking noise in training).

    Hit cells become the column's training mean, zero, or the number given as `fill`. A cell that holds the fill
    already does not change. Unit of `level`: fraction of present cells.

    Source: Vincent et al. (2008), denoising autoencoders.

    Examples
    --------
    >>> Masking(1.0).apply(np.array([[1.0], [2.0], [6.0]])).ravel()
    array([3., 3., 3.])
    """

    level: Fraction = 0.1
    columns: Columns = "numeric"
    fill: Literal["mean", "zero"] | float = "mean"
    where: Where = Where()
    spares: ClassVar[Spares] = "values"
    applies_to: ClassVar[tuple[Kind, ...]] = NUMERIC

    def cells(self, values: Cells, column: ColumnProfile, draw: Draw) -> Cells:  # noqa: ARG002
        fill = {"mean": column.mean, "zero": 0.0}[self.fill] if isinstance(self.fill, str) else self.fill
        return values if fill is None else np.full(values.size, fill, dtype=np.float64)


@noise
class SwapNoise(CellNoise):
    """Redraw cells from their column's training distribution, as values of the wrong row do.

    A hit cell takes a value that other training rows have, by its frequency, never its own value again. Unit of
    `level`: fraction of present cells.

    Source: Jahrer (2017), denoising autoencoders for tables.

    Examples
    --------
    >>> SwapNoise(1.0).apply(np.array([[1], [2], [3], [4]]), seed=1).ravel()
    array([3, 1, 1, 3])
    """

    level: Fraction = 0.1
    columns: Columns = "any"
    where: Where = Where()
    applies_to: ClassVar[tuple[Kind, ...]] = ("number", "integer", "boolean", "category", "text", "datetime")

    def cells(self, values: Cells, column: ColumnProfile, draw: Draw) -> Cells:
        if not column.count:
            return values
        if not column.quantiles:
            return _other_category(values, column, draw)
        points = column.points
        new = points[draw.integers(points.size, "donor")]
        own = np.flatnonzero(new == values)
        if own.size:
            start, stop = column.span(values[own])
            at = _skip(draw.at(own).uniform("again"), start, stop, points.size)
            new[own] = np.where(at < points.size, points.take(at, mode="clip"), values[own])
        return new


def _other_category(values: Cells, column: ColumnProfile, draw: Draw) -> Cells:
    """Redraw categories by their frequency; who draws its own again draws once more among the others."""
    ends, code = np.cumsum(column.counts), column.codes(values)
    donor = np.searchsorted(ends, draw.integers(int(ends[-1]), "donor"), "right")
    own = np.flatnonzero(donor == code)
    if own.size:
        stop = ends[code[own]]
        start = stop - np.asarray(column.counts)[code[own]]
        donor[own] = np.searchsorted(
            ends, _skip(draw.at(own).uniform("again"), start, stop, int(ends[-1])), "right"
        )
    return _choose(column, donor, values)


def _skip(u: NDArray[np.float64], start: NDArray[Any], stop: NDArray[Any], n: int) -> NDArray[np.int64]:
    """Return a position from 0 to n - 1 outside start:stop; n where nothing is left."""
    width = stop - start
    left = n - width
    at: NDArray[np.int64] = np.minimum((u * left).astype(np.int64), np.maximum(left - 1, 0))
    at += width * (at >= start)
    at[left <= 0] = n
    return at


def _choose(column: ColumnProfile, code: NDArray[np.int64], values: Cells) -> Cells:
    """Return the category of each code; a code past the last one leaves the value."""
    known = np.empty(len(column.categories), object)
    known[:] = column.categories
    out = known.take(code, mode="clip").astype(values.dtype, copy=False)
    kept = code >= known.size
    out[kept] = values[kept]
    return out


@noise
class Outliers(CellNoise):
    """Throw cells far out of their column's range, as a glitching sensor or a slipped decimal does.

    A hit cell moves to ``center ± magnitude * spread`` (robust spread of the training data; sign at random). Unit of
    `level`: fraction of present cells.

    Source: Tukey (1960), contaminated normal.

    Examples
    --------
    >>> x = np.array([[1.0], [2.0], [3.0], [4.0]])
    >>> np.abs(Outliers(1.0).apply(x, seed=1) - 2.5).round(2).ravel()
    array([6.67, 6.67, 6.67, 6.67])
    """

    level: Fraction = 0.05
    columns: Columns = "numeric"
    magnitude: Positive = 6.0
    where: Where = Where()
    applies_to: ClassVar[tuple[Kind, ...]] = NUMERIC

    def cells(self, values: Cells, column: ColumnProfile, draw: Draw) -> Cells:
        if not column.spread or column.center is None:
            return values
        sign = np.where(draw.below(0.5, "sign"), 1.0, -1.0)
        return column.center + sign * self.magnitude * column.spread


@noise
class UnitErrors(CellNoise):
    """Multiply cells by a wrong factor, as grams for kilograms and a slipped decimal point do.

    A hit cell is multiplied by one of `factors`, drawn for each cell; zeros cannot change. Unit of `level`: fraction of
    present cells.

    Source: Schelter et al. (2021), Jenga, scaling errors.

    Examples
    --------
    >>> UnitErrors(1.0, factors=(1000,)).apply(np.array([[1.5], [2.0]])).ravel()
    array([1500., 2000.])
    """

    level: Fraction = 0.05
    columns: Columns = "numeric"
    factors: Annotated[tuple[Factor, ...], MinLen(1)] = (10.0, 100.0, 1000.0)
    where: Where = Where()
    spares: ClassVar[Spares] = "values"
    applies_to: ClassVar[tuple[Kind, ...]] = NUMERIC

    def cells(self, values: Cells, column: ColumnProfile, draw: Draw) -> Cells:  # noqa: ARG002
        factors = np.asarray(self.factors, np.float64)
        factor: NDArray[np.float64] = factors[draw.integers(factors.size, "factor")]
        return scaled_by(factor, values)


@noise
class CategorySwap(CellNoise):
    """Replace categories by another one of the same column, as a wrong choice in a list does.

    A hit cell takes any other category of the training data, each alike; booleans flip. Unit of `level`: fraction of
    present cells.

    Source: Schelter et al. (2021), Jenga, categorical shift.

    Examples
    --------
    >>> import pandas as pd
    >>> CategorySwap(1.0).apply(pd.DataFrame({"paid": [True, False, True]})).paid.tolist()
    [False, True, False]
    """

    level: Fraction = 0.1
    columns: Columns = "categorical"
    where: Where = Where()
    applies_to: ClassVar[tuple[Kind, ...]] = ("category", "boolean")

    def cells(self, values: Cells, column: ColumnProfile, draw: Draw) -> Cells:
        if column.kind == "boolean":
            return ~values
        n, code = len(column.categories), column.codes(values)
        start = np.maximum(code, 0)
        return _choose(column, _skip(draw.uniform("other"), start, start + (code >= 0), n), values)
