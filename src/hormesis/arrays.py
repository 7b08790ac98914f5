"""NumPy arrays, opened as tables whose columns have numbers for names."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hormesis.columns import (
    KINDS,
    Cells,
    DType,
    Missing,
    Rows,
    Tally,
    fit,
    infer,
    present_rows,
    read,
    replace_present,
    tally,
)
from hormesis.errors import DataError, RowIdError


class ArrayTable:
    """A NumPy array; column names are integers."""

    def __init__(self, native: NDArray[Any]) -> None:
        self._native = native
        self._x = native[:, None] if native.ndim == 1 else native
        self._mine = False
        self._dtypes: dict[int, DType] = {}
        self.rows = len(self._x)
        self.names: list[str | int] = list(range(self._x.shape[1]))
        self.widened: dict[str | int, str] = {}

    def dtype(self, j: int) -> DType:
        if j not in self._dtypes:
            kind = self._native.dtype.kind
            self._dtypes[j] = infer(self._x[:, j]) if kind == "O" else KINDS.get(kind, "other")
        return self._dtypes[j]

    def missing(self, j: int) -> NDArray[np.bool_] | None:
        column = self._x[:, j]
        if column.dtype.kind in "iubUSV":
            return None
        if column.dtype.kind == "O":
            from pandas import isna

            gone = np.asarray(isna(column))
        else:
            gone = np.isnat(column) if column.dtype.kind in "Mm" else np.isnan(column)
        return gone if gone.any() else None

    def numbers(self, j: int) -> NDArray[np.float64]:
        return self._x[:, j].astype(np.float64)

    def pick(self, j: int, rows: Rows) -> Cells:
        return read(self._x[:, j].copy() if rows.size == self.rows else self._x[rows, j], self.dtype(j))

    def tally(self, j: int) -> Tally:
        return tally(self.pick(j, present_rows(self, j)))

    def _write(self, dtype: Any = None) -> NDArray[Any]:
        if not self._mine or (dtype is not None and dtype != self._x.dtype):
            self._x = self._x.astype(dtype or self._x.dtype, copy=True)
            self._mine = True
        return self._x

    def put(self, j: int, rows: Rows, values: Cells | Missing) -> None:
        kind = self._x.dtype.kind
        if isinstance(values, Missing):
            self._blank(j, rows)
        elif kind == "U":
            text = values.astype(str)
            self._write(np.result_type(self._x.dtype, text.dtype))[rows, j] = text
        elif kind == "M":
            self._write()[rows, j] = values.view("datetime64[ns]").astype(self._x.dtype)
        elif kind == "O":
            whole = self.dtype(j) == "integer" and values.dtype.kind == "f"
            self._write()[rows, j] = (fit(values, np.dtype(np.int64)) if whole else values).tolist()
        else:
            self._write()[rows, j] = fit(values, self._native.dtype)

    def _blank(self, j: int, rows: Rows) -> None:
        kind = self._x.dtype.kind
        wider = np.float64 if kind in "iub" else object if kind in "USV" else None
        if kind in "iu" and (self._x.astype(np.float64).astype(self._x.dtype) != self._x).any():
            raise DataError(
                "A NumPy array of integers needs floats to hold missing values, and some of its integers are too "
                "large to be floats. Use a data frame, whose integer columns can miss values."
            )
        if wider is not None:
            self.widened[self.names[j]] = f"{self._x.dtype} -> {np.dtype(wider)}"
        self._write(wider)[rows, j] = np.array("NaT", self._x.dtype) if kind in "Mm" else np.nan

    def replace(self, j: int, values: NDArray[np.float64]) -> None:
        if self._native.dtype.kind == "f":
            self._write()[:, j] = fit(values, self._native.dtype)
        else:
            replace_present(self, j, values)

    def ids(self, j: int) -> Any:
        if self.dtype(j) not in ("integer", "string"):
            raise RowIdError(f"Row id column {j} holds {self._x.dtype}: ids are integers or strings.")
        if self.missing(j) is not None:
            raise RowIdError(f"Row id column {j} has missing values: ids name rows.")
        return self.pick(j, np.arange(self.rows))

    def close(self) -> Any:
        if not self._mine:
            return self._native.copy()
        return self._x[:, 0] if self._native.ndim == 1 else self._x
