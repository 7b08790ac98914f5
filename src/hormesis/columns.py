"""Columns as noises see them, whatever kind of table holds them."""

from collections import Counter
from typing import Any, Final, Literal, Protocol

import narwhals.stable.v2 as nw
import numpy as np
from numpy.typing import NDArray

Cells = NDArray[Any]
Rows = NDArray[np.intp]
Tally = tuple[Cells, NDArray[np.int64]]
DType = Literal["number", "integer", "boolean", "string", "category", "datetime", "other"]


class Missing:
    """What a noise returns for cells that lose their value."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()


class Table(Protocol):
    """An open table: columns are read as arrays and written back cell by cell or whole.

    Numbers are read as float64 (NaN where missing), integers and datetimes (nanoseconds) as int64, booleans as
    bool, strings and categories as objects.
    """

    names: list[str | int]
    rows: int
    widened: dict[str | int, str]

    def dtype(self, j: int) -> DType:
        """Kind of the values that column j holds."""

    def missing(self, j: int) -> NDArray[np.bool_] | None:
        """Mask of missing cells; None where none is missing."""

    def numbers(self, j: int) -> NDArray[np.float64]:
        """Column j as float64, NaN where missing."""

    def pick(self, j: int, rows: Rows) -> Cells:
        """Return the cells of column j at `rows`, none of them missing."""

    def tally(self, j: int) -> Tally:
        """Return the distinct values of a column of strings, categories or booleans, and how often each is there."""

    def put(self, j: int, rows: Rows, values: Cells | Missing) -> None:
        """Write cells of column j, in the column's own dtype."""

    def replace(self, j: int, values: NDArray[np.float64]) -> None:
        """Write the whole of a numeric column; missing cells stay missing."""

    def ids(self, j: int) -> Any:
        """Return column j as row ids: int64, or an Arrow array of strings."""

    def close(self) -> Any:
        """Return the table in its own kind, with what was written."""


KINDS: dict[str, DType] = {
    "f": "number",
    "i": "integer",
    "u": "integer",
    "b": "boolean",
    "U": "string",
    "M": "datetime",
}
_CHUNK = 16384
_INFERRED: dict[str, DType] = {
    "string": "string",
    "empty": "string",
    "boolean": "boolean",
    "integer": "integer",
    "floating": "number",
    "mixed-integer-float": "number",
}


def infer(values: Any) -> DType:
    """Return the kind of values held as Python objects."""
    from pandas.api.types import infer_dtype

    return _INFERRED.get(infer_dtype(values, skipna=True), "other")


def infer_complete(values: Any) -> DType | None:
    """Return the kind of values held as Python objects if all are of one kind, which none missing is; None otherwise."""
    from pandas.api.types import infer_dtype

    found = infer_dtype(values, skipna=False)
    return _INFERRED[found] if found in ("string", "boolean", "integer") else None


def series_dtype(series: Any) -> DType:
    """Return the kind of values of a narwhals Series."""
    kind = series.dtype
    if kind.is_float():
        return "number"
    if kind.is_integer():
        return "integer"
    if kind == nw.Datetime or kind == nw.Date:
        return "datetime" if _in_nanoseconds(series) else "other"
    known: dict[Any, DType] = {nw.Boolean: "boolean", nw.String: "string"}
    known |= {nw.Categorical: "category", nw.Enum: "category"}
    return next((name for dtype, name in known.items() if kind == dtype), "other")


def _in_nanoseconds(series: Any) -> bool:
    """Tell whether all instants can be told in nanoseconds since 1970, which only the years 1678 to 2261 can."""
    if getattr(series.dtype, "time_unit", None) == "ns" or series.null_count() == len(series):
        return True
    return bool(series.min().year >= 1678 and series.max().year <= 2261)


def present_rows(table: Table, j: int) -> Rows:
    """Return the rows in which column j holds a value."""
    gone = table.missing(j)
    return np.arange(table.rows) if gone is None else np.flatnonzero(~gone)


def tally(values: Cells) -> Tally:
    """Return distinct values, and how often each is there."""
    if values.dtype == bool:
        counts = np.bincount(values, minlength=2)
        return np.flatnonzero(counts).astype(bool), counts[counts > 0]
    found = Counter(values.tolist())
    return np.fromiter(found, object, len(found)), np.fromiter(found.values(), np.int64, len(found))


def read(values: Any, dtype: DType) -> Cells:
    """Cells as noises see them, from a NumPy array with none missing."""
    if dtype in ("string", "category", "other"):
        return np.asarray(values, dtype=object)
    if dtype == "datetime":
        return np.asarray(values).astype("datetime64[ns]").astype(np.int64)
    if dtype == "integer":
        whole = np.asarray(values)
        return whole if whole.dtype.kind in "iu" else whole.astype(np.int64)
    return np.asarray(values, dtype=bool if dtype == "boolean" else np.float64)


def fit(values: Cells, dtype: np.dtype[Any]) -> Cells:
    """Cast noisy values once, rounded for an integer type and held within the range of their type."""
    if dtype.kind == "f" and values.dtype.kind == "f" and dtype.itemsize < values.dtype.itemsize:
        return np.clip(values, -np.finfo(dtype).max, np.finfo(dtype).max).astype(dtype)
    if dtype.kind not in "iu" or values.dtype == dtype:
        return values.astype(dtype, copy=False)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    if values.dtype.kind in "iu":
        own = np.iinfo(values.dtype)
        return np.clip(values, max(low, own.min), min(high, own.max)).astype(dtype)
    rounded = np.maximum(np.rint(values), float(low))
    over = rounded >= float(high)
    out = np.where(over, 0, rounded).astype(dtype)
    out[over] = high
    return out


def moved(old: NDArray[Any], values: NDArray[np.float64]) -> NDArray[Any]:
    """Return an integer column with the cells that move by a whole step; in chunks, which spares memory."""
    out = np.empty_like(old)
    for a in range(0, old.size, _CHUNK):
        s = slice(a, a + _CHUNK)
        out[s] = np.where(np.rint(values[s]) != old[s], fit(values[s], old.dtype), old[s])
    return out


def replace_present(table: Table, j: int, values: NDArray[np.float64]) -> None:
    """Write the present cells of a column, of an integer column only those that move by a whole step."""
    rows = present_rows(table, j)
    if table.dtype(j) == "integer":
        rows = rows[np.rint(values[rows]) != table.numbers(j)[rows]]
    if rows.size:
        table.put(j, rows, values[rows])
