"""How single readings go bad: lost digits, lost bits, lost signs, stand-ins for lost values, and stuck sensors."""

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Interval
from numpy.typing import NDArray

from hormesis.columns import Cells, Table
from hormesis.key import CHUNK, Draw, Lanes
from hormesis.noise.base import NUMERIC, CellNoise, Columns, Fraction, Noise, Spares, noise
from hormesis.noise.digits import bfloat16, float16, int8, round_decimals, round_digits
from hormesis.noise.where import Aim, Where
from hormesis.profile import ColumnProfile, Kind


@noise
class Rounding(CellNoise):
    """Round numbers to fewer digits, as people who estimate and exports that save digits do.

    A hit cell keeps its first `digits` significant digits; where `decimals` is given, it keeps that many digits behind the
    point instead (below zero: 10, 100 ... for -1, -2 ...). Halves go to the even digit. A number that has no
    more digits cannot change, and integers stop at the limits of their type. Unit of `level`: fraction of present cells.

    Source: Heitjan and Rubin (1991), ignorability and coarse data.

    Examples
    --------
    >>> Rounding(1.0).apply(np.array([0.012345, 67.89, 1234.5, 20.0]))
    array([1.2e-02, 6.8e+01, 1.2e+03, 2.0e+01])
    >>> Rounding(1.0, decimals=-1).apply(np.array([17, 43, 50]))
    array([20, 40, 50])
    """

    level: Fraction = 0.1
    columns: Columns = "numeric"
    digits: Annotated[int, Interval(ge=1, le=15)] = 2
    decimals: Annotated[int, Interval(ge=-15, le=15)] | None = None
    where: Where = Where()
    applies_to: ClassVar[tuple[Kind, ...]] = NUMERIC
    spares: ClassVar[Spares] = "values"

    def cells(self, values: Cells, column: ColumnProfile, draw: Draw) -> Cells:  # noqa: ARG002
        if self.decimals is None:
            return _chunked(lambda x: round_digits(x, self.digits), values)
        return round_decimals(values, self.decimals)


@noise
class LowPrecision(CellNoise):
    """Squeeze numbers through a format of few bits, as caches, feature stores and devices that save memory do.

    A hit cell goes to the nearest number of the format and back, halves to the even one. "float16" keeps 11
    significant bits and "bfloat16" 8; both hold what is too large at their largest finite number (65,504 for float16).
    "int8" keeps 256 evenly spaced values from the smallest to the largest training quantile and holds what lies
    beyond. A number that the format has cannot change. Unit of `level`: fraction of present cells.

    Source: IEEE 754 (2019) for float16; Kalamkar et al. (2019) for bfloat16; Jacob et al. (2018) for int8.

    Examples
    --------
    >>> x = np.array([0.1, 1.0, 2049.0, 1e6])
    >>> LowPrecision(1.0).apply(x).tolist()
    [0.0999755859375, 1.0, 2048.0, 65504.0]
    """

    level: Fraction = 0.1
    columns: Columns = "numeric"
    format: Literal["float16", "bfloat16", "int8"] = "float16"
    where: Where = Where()
    applies_to: ClassVar[tuple[Kind, ...]] = NUMERIC
    spares: ClassVar[Spares] = "values"

    def cells(self, values: Cells, column: ColumnProfile, draw: Draw) -> Cells:  # noqa: ARG002
        numbers = values.astype(np.float64, copy=False)
        if self.format == "bfloat16":
            return _chunked(bfloat16, numbers)
        if self.format == "float16":
            return _chunked(float16, numbers)
        if not column.quantiles:
            return values
        low, high = float(column.points[0]), float(column.points[-1])
        return _chunked(lambda x: int8(x, low, high), numbers)


@noise
class SignErrors(CellNoise):
    """Turn the sign of numbers, as a refund booked as a payment and a sensor mounted the wrong way round do.

    A hit cell x becomes -x; zeros cannot change. Integers stop at the limits of their type, so that an unsigned
    column holds 0 there. Unit of `level`: fraction of present cells.

    Source: Scholtus (2011), algorithms for correcting sign errors and rounding errors in business survey data.

    Examples
    --------
    >>> SignErrors(1.0).apply(np.array([[1.5], [-2.0], [0.0]])).ravel()
    array([-1.5,  2. ,  0. ])
    """

    level: Fraction = 0.05
    columns: Columns = "numeric"
    where: Where = Where()
    applies_to: ClassVar[tuple[Kind, ...]] = NUMERIC
    spares: ClassVar[Spares] = "values"

    def cells(self, values: Cells, column: ColumnProfile, draw: Draw) -> Cells:  # noqa: ARG002
        if values.dtype.kind == "u":
            return np.zeros_like(values)
        if values.dtype.kind == "i":
            return -np.maximum(values.astype(np.int64), -np.iinfo(np.int64).max)
        return 0.0 - values


@noise
class Placeholders(CellNoise):
    """Write a stand-in where a value is lost, as old systems that know no missing value do.

    A hit cell becomes `number` in numeric columns (held within the limits of an integer type), `text` in categories
    and texts, midnight (UTC) of `date` in columns of times. Unlike `MissingValues`, nothing tells the model that the
    value is gone. A new category extends the categories; a cell that holds the stand-in cannot change;
    booleans have no room for one and are left alone. Unit of `level`: fraction of present cells.

    Source: Pearson (2006), the problem of disguised missing data.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"age": [31, 45], "city": ["Bern", "Genf"]})
    >>> Placeholders(1.0, text="?").apply(frame).values.tolist()
    [[-999, '?'], [-999, '?']]
    """

    level: Fraction = 0.1
    columns: Columns = "any"
    number: float = -999.0
    text: str = "N/A"
    date: Literal["1900-01-01", "1970-01-01"] = "1900-01-01"
    where: Where = Where()
    applies_to: ClassVar[tuple[Kind, ...]] = ("number", "integer", "category", "text", "datetime")
    spares: ClassVar[Spares] = "values"

    def cells(self, values: Cells, column: ColumnProfile, draw: Draw) -> Cells:  # noqa: ARG002
        if column.kind == "datetime":
            return np.full(values.size, np.datetime64(self.date, "ns").astype(np.int64))
        if values.dtype.kind in "iuf":
            return np.full(values.size, self.number)
        if set(map(type, values)) == {str}:
            return np.full(values.size, self.text, object)
        return np.fromiter(map(self._like, values), object, values.size)

    def _like(self, value: object) -> object:
        """Return the stand-in for a category that need not be text."""
        if isinstance(value, str):
            return self.text
        kinds: tuple[type[int] | type[float], ...] = (int, float)
        return next((kind(self.number) for kind in kinds if type(value) is kind), value)


@noise
class StuckColumn(Noise):
    """Repeat the last value over a run of rows, as a sensor that hangs and a feed that went stale do.

    Runs of `length` consecutive row ids (positions, or an integer id column; where runs begin is random) are hit as
    one, each column with runs of its own. All present cells of a hit run take the value of the row just before it; where
    that row is not in the table or holds no value, they take the run's own first value. Rows are ordered by their ids,
    wherever they stand. A cell that holds the value already cannot change. Unit of `level`: fraction of present cells.

    Source: Ni et al. (2009), sensor network data fault types.

    Examples
    --------
    >>> StuckColumn(0.5, length=3).apply(np.arange(10.0), seed=1)
    array([0., 0., 1., 1., 1., 5., 6., 7., 8., 9.])
    """

    level: Fraction = 0.1
    columns: Columns = "numeric"
    length: Annotated[int, Interval(ge=1, le=1_000_000)] = 20
    applies_to: ClassVar[tuple[Kind, ...]] = ("number", "integer", "boolean", "category", "text", "datetime")
    spares: ClassVar[Spares] = "values"

    @property
    def history(self) -> int:
        return self.length

    def _touch_column(self, table: Table, j: int, column: ColumnProfile, draw: Draw, aim: Aim) -> None:  # noqa: ARG002
        runs, gone = draw.bursts(self.length, "run"), table.missing(j)
        free = np.ones(table.rows, bool) if gone is None else ~gone
        ids = np.asarray(draw.ids)
        order = np.argsort(ids, kind="stable")
        first, size = _runs(runs.lanes[order])
        hit = runs.at(order[first]).below(self.level, "hit")
        first, size = first[hit], size[hit]
        rows = order[_stretches(first, size)]
        touched = free[rows] if aim.only is None else (free & aim.only)[rows]
        if touched.any():
            count = np.add.reduceat(touched, np.cumsum(size) - size, dtype=np.intp)
            shown = order[_shown(ids, order, free, first)][count > 0]
            read, which = np.unique(shown, return_inverse=True)
            values = np.repeat(table.pick(j, read)[which], count[count > 0])
            rising = np.argsort(rows[touched], kind="stable")
            table.put(j, rows[touched][rising], values[rising])


def _runs(lanes: Lanes) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return where runs of equal lanes begin and how long they are."""
    first = np.flatnonzero(np.append(True, lanes[1:] != lanes[:-1])[: lanes.size])
    return first, np.diff(first, append=lanes.size)


def _shown(
    ids: NDArray[np.int64], order: NDArray[np.intp], free: NDArray[np.bool_], first: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Return the place, in the order of ids, of the value that a stuck run shows: before it, else its own first."""
    before = np.maximum(first - 1, 0)
    follows = free[order[before]] & (ids[order[before]] == ids[order[first]] - 1)
    alone = np.flatnonzero(~follows)
    if alone.size:
        present = np.flatnonzero(free[order])
        before[alone] = (
            present.take(np.searchsorted(present, first[alone]), mode="clip") if present.size else 0
        )
    return before


def _stretches(first: NDArray[np.intp], size: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the positions of stretches of some size, one after the other."""
    whole: NDArray[np.intp] = np.arange(size.sum()) + np.repeat(first - np.cumsum(size) + size, size)
    return whole


def _chunked(change: Any, values: Cells) -> Cells:
    """Change values in pieces that fit the cache."""
    if values.size <= CHUNK:
        changed: Cells = change(values)
        return changed
    return np.concatenate([change(values[a : a + CHUNK]) for a in range(0, values.size, CHUNK)])
