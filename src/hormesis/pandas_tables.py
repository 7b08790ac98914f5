"""Frames of pandas, opened natively: their index and extension types stay."""

import functools
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from numpy.typing import NDArray

from hormesis import strings
from hormesis.columns import (
    KINDS,
    Cells,
    DType,
    Missing,
    Rows,
    Tally,
    fit,
    infer,
    infer_complete,
    moved,
    present_rows,
    read,
    replace_present,
    series_dtype,
    tally,
)
from hormesis.errors import DataError
from hormesis.tables import FrameTable


def _nanoseconds(times: Any) -> NDArray[np.int64]:
    """Return an array of pandas times, none missing, as nanoseconds since 1970 in UTC."""
    import pandas as pd

    index = times if hasattr(times, "asi8") else pd.DatetimeIndex(times.astype(object))
    return np.asarray(index.as_unit("ns").asi8)


def _objects(categories: Any) -> NDArray[Any]:
    """Return categories as Python objects."""
    return np.asarray(categories.astype(object))


def _nullable(dtype: np.dtype[Any]) -> str:
    """Return pandas' nullable twin of a classic integer or boolean type."""
    return "boolean" if dtype.kind == "b" else f"{'U' * (dtype.kind == 'u')}Int{8 * dtype.itemsize}"


class PandasTable(FrameTable):
    """A pandas frame, written through its own arrays: index, dtypes and their extension types stay."""

    def __init__(self, frame: Any, native: Any) -> None:
        super().__init__(frame, native)
        self._pandas = frame.to_native()
        self._arrays: dict[int, Any] = {}
        self._complete: set[int] = set()
        self.names = list(self._pandas.columns)

    @functools.cached_property
    def _columns(self) -> list[Any]:
        return [series for _, series in self._pandas.items()]

    def _array(self, j: int) -> Any:
        return self._arrays[j] if j in self._arrays else self._columns[j].array

    def _text(self, j: int) -> Any:
        """Return the column as an Arrow column of strings, None for any other."""
        from pandas.arrays import ArrowExtensionArray

        array = self._array(j)
        arrow = array.__arrow_array__() if isinstance(array, ArrowExtensionArray) else None
        return arrow if arrow is not None and strings.is_text(arrow) else None

    def _numpy(self, j: int) -> NDArray[Any] | None:
        """Return the column's own NumPy array, None for an extension type."""
        from pandas.arrays import NumpyExtensionArray

        array = self._array(j)
        return array.to_numpy() if type(array) is NumpyExtensionArray else None

    def missing(self, j: int) -> NDArray[np.bool_] | None:
        plain = self._numpy(j)
        if plain is not None and (plain.dtype.kind in "iub" or self._has_all(j, plain)):
            return None
        gone = (
            np.isnan(plain)
            if plain is not None and plain.dtype.kind == "f"
            else np.asarray(self._array(j).isna())
        )
        return gone if gone.any() else None

    def _has_all(self, j: int, plain: NDArray[Any]) -> bool:
        """Tell whether a column of objects is known to miss none: its kind shows it, at a third of the price."""
        if plain.dtype.kind == "O":
            self.dtype(j)
        return j in self._complete

    def dtype(self, j: int) -> DType:
        if j not in self._dtypes:
            plain = self._numpy(j)
            if plain is not None and plain.dtype.kind == "O":
                found = infer_complete(plain)
                self._dtypes[j] = found or infer(plain)
                self._complete |= {j} if found else set()
            elif plain is not None and (plain.dtype.kind in "iub" or plain.dtype in (np.float32, np.float64)):
                self._dtypes[j] = KINDS[plain.dtype.kind]
            else:
                self._dtypes[j] = self._extension_dtype(j)
        return self._dtypes[j]

    def _extension_dtype(self, j: int) -> DType:
        if self._text(j) is not None:
            return "string"
        found = series_dtype(self._frame[:, j])
        return "other" if found == "category" and not hasattr(self._array(j), "categories") else found

    def numbers(self, j: int) -> NDArray[np.float64]:
        plain = self._numpy(j)
        if plain is not None and plain.dtype.kind in "fiu":
            return plain.astype(np.float64, copy=False)
        return np.asarray(self._array(j).to_numpy(dtype=np.float64, na_value=np.nan))

    def pick(self, j: int, rows: Rows) -> Cells:
        array, dtype = self._array(j), self.dtype(j)
        some = array if rows.size == self.rows else array[rows]
        if dtype == "datetime":
            return _nanoseconds(some)
        if dtype == "category":
            return np.asarray(_objects(some.categories)[some.codes])
        if dtype == "string" and self._text(j) is not None:
            return strings.read(some.__arrow_array__())
        return read(some.to_numpy(), dtype)

    def tally(self, j: int) -> Tally:
        text = self._text(j)
        if text is not None:
            return strings.tally(text)
        if self.dtype(j) != "category":
            return tally(self.pick(j, present_rows(self, j)))
        array = self._array(j)
        counts = np.bincount(array.codes[array.codes >= 0], minlength=len(array.categories))
        return _objects(array.categories)[counts > 0], counts[counts > 0]

    def put(self, j: int, rows: Rows, values: Cells | Missing) -> None:
        array = self._array(j)
        if hasattr(array, "sp_values"):
            raise DataError(
                f"Column `{self.names[j]}` is sparse and cannot be written: use `.sparse.to_dense()` first."
            )
        if isinstance(values, Missing):
            self._arrays[j] = self._blank(j, rows)
            return
        plain = self._numpy(j)
        if plain is not None:
            new = plain.copy()
            new[rows] = fit(
                values,
                np.dtype(np.int64) if self.dtype(j) == "integer" and plain.dtype.kind == "O" else plain.dtype,
            )
            self._arrays[j] = self._wrap(new)
            return
        if self.dtype(j) == "category":
            array = self._coded(array, rows, values)
        elif (text := self._text(j)) is not None:
            array = array.dtype.__from_arrow__(strings.write(text, rows, values))
        else:
            array = array.copy()
            array[rows] = self._own(j, array, values)
        self._arrays[j] = array

    def _coded(self, array: Any, rows: Rows, values: Cells) -> Any:
        """Return categories with other ones at `rows`, told by their codes, since pandas looks each value up anew."""
        unseen = set(values.tolist()) - set(array.categories)
        array = array.add_categories(sorted(unseen, key=str)) if unseen else array
        code = {value: i for i, value in enumerate(_objects(array.categories).tolist())}
        codes = array.codes.copy()
        codes[rows] = np.fromiter(map(code.__getitem__, values.tolist()), codes.dtype, rows.size)
        return type(array).from_codes(codes, dtype=array.dtype)

    def _own(self, j: int, array: Any, values: Cells) -> Any:
        """Return values in an extension array's own type."""
        import pandas as pd

        if self.dtype(j) == "datetime":
            stamps = pd.DatetimeIndex(values.view("datetime64[ns]"))
            zone = getattr(array, "tz", None) or getattr(
                getattr(array.dtype, "pyarrow_dtype", None), "tz", None
            )
            zoned = stamps.tz_localize("UTC").tz_convert(zone) if zone is not None else stamps
            return (
                zoned.as_unit(array.unit).array
                if hasattr(array, "unit")
                else pd.array(zoned, dtype=array.dtype)
            )
        if array.dtype.kind in "iu":
            return fit(values, np.dtype(getattr(array.dtype, "numpy_dtype", "int64")))
        return values

    def _blank(self, j: int, rows: Rows) -> Any:
        import pandas as pd

        array, plain, text = self._array(j), self._numpy(j), self._text(j)
        if text is not None:
            return array.dtype.__from_arrow__(strings.lose(text, rows))
        if plain is not None and plain.dtype.kind in "iub":
            nullable: Any = _nullable(plain.dtype)
            self.widened[self.names[j]] = f"{plain.dtype} -> {nullable}"
            array = pd.array(plain, dtype=nullable)
        elif plain is not None:
            new = plain.copy()
            new[rows] = np.nan
            self._complete.discard(j)
            return self._wrap(new)
        else:
            array = array.copy()
        array[rows] = pd.NaT if hasattr(array, "asi8") else None if self.dtype(j) == "category" else pd.NA
        return array

    def replace(self, j: int, values: NDArray[np.float64]) -> None:
        plain = self._numpy(j)
        if plain is not None and plain.dtype.kind == "f":
            self._arrays[j] = self._wrap(fit(values, plain.dtype))
        elif plain is not None and plain.dtype.kind in "iu":
            self._arrays[j] = self._wrap(moved(plain, values))
        else:
            replace_present(self, j, values)

    def _wrap(self, values: NDArray[Any]) -> Any:
        from pandas.arrays import NumpyExtensionArray

        return NumpyExtensionArray(values)

    def _series(self, j: int) -> Any:
        import pandas as pd

        if j not in self._arrays:
            return self._frame[:, j]
        return nw.from_native(pd.Series(self._arrays[j], copy=False), series_only=True)

    def close(self) -> Any:
        import pandas as pd

        before_copy_on_write = int(pd.__version__.split(".")[0]) < 3
        if not self._arrays:
            return self._native.copy(deep=before_copy_on_write)
        columns = {j: self._column(j) for j in range(len(self.names))}
        out = pd.DataFrame(columns, index=self._pandas.index, copy=before_copy_on_write)
        out.columns = self._pandas.columns
        out.attrs = dict(self._pandas.attrs)
        if not isinstance(self._native, pd.Series):
            return out
        series = out.iloc[:, 0]
        series.name = self._native.name
        return series

    def _column(self, j: int) -> Any:
        import pandas as pd

        plain = self._numpy(j)
        if j not in self._arrays:
            return self._columns[j]
        if plain is None or plain.dtype.kind != "O":
            return self._arrays[j] if plain is None else plain
        return pd.Series(plain, index=self._pandas.index, dtype=object, copy=False)
