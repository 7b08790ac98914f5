"""Frames of any eager library, opened through narwhals."""

from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from numpy.typing import NDArray

from hormesis import strings
from hormesis.columns import (
    Cells,
    DType,
    Missing,
    Rows,
    Tally,
    fit,
    moved,
    present_rows,
    read,
    replace_present,
    series_dtype,
    tally,
)
from hormesis.errors import RowIdError


def _rewritten(column: Any, rows: Rows, new: Any) -> Any:
    """Return an Arrow column with the cells of `new` at `rows`.

    Taken from both: `replace_with_mask` makes malformed booleans (seen in Arrow 16 to 21) and knows no half floats.
    """
    import pyarrow as pa

    at = np.arange(len(column))
    at[rows] = len(column) + np.arange(rows.size)
    both = [*column.chunks, *new.cast(column.type).chunks]
    return pa.chunked_array(both, column.type).take(pa.array(at))


def _lost(column: Any, rows: Rows) -> Any:
    """Return an Arrow column without the cells at `rows`, of any type."""
    import pyarrow as pa

    if strings.is_text(column):
        return strings.lose(column, rows)
    gone = np.zeros(len(column), bool)
    gone[rows] = True
    return column.take(pa.array(np.arange(len(column)), mask=gone))


class FrameTable:
    """A frame of any eager library that narwhals knows."""

    def __init__(self, frame: Any, native: Any) -> None:
        self._frame, self._native = frame, native
        self._new: dict[int, Any] = {}
        self.names: list[str | int] = list(frame.columns)
        self.rows = len(frame)
        self.widened: dict[str | int, str] = {}
        self._dtypes: dict[int, DType] = {}

    def _series(self, j: int) -> Any:
        return self._new[j] if j in self._new else self._frame[:, j]

    def dtype(self, j: int) -> DType:
        if j not in self._dtypes:
            self._dtypes[j] = series_dtype(self._series(j))
        return self._dtypes[j]

    def missing(self, j: int) -> NDArray[np.bool_] | None:
        series = self._series(j)
        gone = series.is_null() if series.null_count() else None
        if series.dtype.is_float():
            nan = series.is_nan().fill_null(True)  # noqa: FBT003 (narwhals takes the value by position)
            gone = nan if gone is None else gone | nan
        return gone.to_numpy() if gone is not None and gone.any() else None

    def numbers(self, j: int) -> NDArray[np.float64]:
        return np.asarray(self._series(j).to_numpy(), dtype=np.float64)

    def pick(self, j: int, rows: Rows) -> Cells:
        series, dtype = self._series(j), self.dtype(j)
        some = series if rows.size == self.rows else series[rows]
        if dtype == "datetime":
            return np.asarray(some.cast(nw.Datetime("ns")).dt.timestamp("ns").to_numpy())
        if dtype == "string":
            return strings.read(some.to_arrow())
        if dtype in ("category", "other"):
            return np.fromiter(some.to_list(), object, rows.size)
        return read(some.to_numpy(), dtype)

    def tally(self, j: int) -> Tally:
        if self.dtype(j) == "boolean":
            return tally(self.pick(j, present_rows(self, j)))
        return strings.tally(self._series(j).to_arrow())

    def put(self, j: int, rows: Rows, values: Cells | Missing) -> None:
        series = self._series(j)
        if isinstance(values, Missing) and series.implementation.is_pyarrow():
            self._new[j] = nw.from_native(_lost(series.to_native(), rows), series_only=True)
        elif isinstance(values, Missing):
            keep = np.ones(self.rows, bool)
            keep[rows] = False
            mask = nw.new_series("", keep, nw.Boolean, backend=series.implementation)
            self._new[j] = series.to_frame().select(nw.when(mask).then(nw.col(series.name)))[:, 0]
        elif self.dtype(j) == "category":
            self._new[j] = self._encode(series, self._scatter(self._decode(series), rows, values))
        else:
            self._new[j] = self._scatter(series, rows, values)

    def _decode(self, series: Any) -> Any:
        """Return a column of categories as a column of their values."""
        native = series.to_native()
        if series.implementation.is_pyarrow():
            return nw.from_native(native.cast(native.type.value_type), series_only=True)
        return series.cast(nw.String)

    def _encode(self, series: Any, plain: Any) -> Any:
        """Return values as categories of the old type; only an Enum has to be told of new ones."""
        if series.dtype == nw.Enum:
            known = series.cat.get_categories().to_list()
            return plain.cast(
                nw.Enum(known + sorted(set(plain.unique().drop_nulls().to_list()) - set(known)))
            )
        old, new = series.to_native(), plain.to_native()
        if series.implementation.is_pyarrow():
            return nw.from_native(strings.encoded(new, old.type), series_only=True)
        return nw.from_native(new.cast(old.dtype), series_only=True)

    def _scatter(self, series: Any, rows: Rows, values: Cells) -> Any:
        arrow = series.to_native() if series.implementation.is_pyarrow() else None
        if arrow is not None and strings.is_text(arrow):
            return nw.from_native(strings.write(arrow, rows, values), series_only=True)
        if series.dtype in (nw.Datetime, nw.Date):
            new = self._times(series, values)
        else:
            if series.dtype.is_integer() and values.dtype.kind != "O":
                values = fit(values, np.dtype(str(series.dtype).lower()))
            cells = values if values.dtype.kind in "iufb" else values.tolist()
            new = nw.new_series("", cells, series.dtype, backend=series.implementation)
        if arrow is not None:
            return nw.from_native(_rewritten(arrow, rows, new.to_native()), series_only=True)
        return series.scatter(rows, new)

    def _times(self, series: Any, values: Cells) -> Any:
        whole = nw.new_series("", values.tolist(), nw.Int64, backend=series.implementation)
        zone = getattr(series.dtype, "time_zone", None)
        stamps = whole.cast(nw.Datetime("ns"))
        if zone:
            stamps = stamps.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
        return stamps.cast(series.dtype)

    def replace(self, j: int, values: NDArray[np.float64]) -> None:
        series = self._series(j)
        if series.null_count() or not series.dtype.is_numeric():
            replace_present(self, j, values)
            return
        old = series.to_numpy()
        new = moved(old, values) if series.dtype.is_integer() else fit(values, old.dtype)
        self._new[j] = nw.new_series(series.name, new, series.dtype, backend=series.implementation)

    def ids(self, j: int) -> Any:
        series = self._series(j)
        if series.null_count():
            raise RowIdError(
                f"Row id column `{self.names[j]}` has {series.null_count()} missing values: ids name rows."
            )
        dtype = self.dtype(j)
        if dtype in ("string", "category"):
            return series.cast(nw.String).to_arrow()
        if dtype not in ("integer", "datetime"):
            raise RowIdError(
                f"Row id column `{self.names[j]}` holds {series.dtype}: ids are integers or strings."
            )
        return self.pick(j, np.arange(self.rows))

    def close(self) -> Any:
        if not self._new:
            return self._native.clone() if hasattr(self._native, "clone") else self._native
        frame = self._frame.with_columns([s.alias(self.names[j]) for j, s in self._new.items()])
        single = not hasattr(self._native, "columns") and not hasattr(self._native, "column_names")
        return frame[:, 0].to_native() if single else frame.to_native()
