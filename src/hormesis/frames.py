"""The door: any table or array comes in as columns, and the same kind goes out."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import narwhals.stable.v2 as nw
import numpy as np
from numpy.typing import NDArray

from hormesis.columns import DType, Table
from hormesis.errors import DataError


def open_table(data: Any) -> Table:
    """Open a pandas, polars or pyarrow table, a Series, a NumPy array of one or two dimensions, or a tensor."""
    from hormesis.arrays import ArrayTable
    from hormesis.pandas_tables import PandasTable
    from hormesis.tables import FrameTable

    if isinstance(data, np.ndarray):
        if data.ndim not in (1, 2):
            raise DataError(
                f"An array of shape {data.shape} was given; a table has two dimensions, rows by columns."
            )
        return ArrayTable(data)
    if is_tensor(data):
        from hormesis.torch.doors.tensors import TensorTable

        return TensorTable(data)
    frame = _narwhals(data)
    return PandasTable(frame, data) if frame.implementation.is_pandas() else FrameTable(frame, data)


def _narwhals(data: Any) -> Any:
    if type(data).__module__.split(".")[0] in ("pandas", "pyarrow"):
        _check_names(list(getattr(data, "column_names", getattr(data, "columns", []))))
    try:
        opened = nw.from_native(data, eager_only=True, allow_series=True)
    except TypeError:
        lazy = hasattr(data, "collect")
        mend = " Call `.collect()` first." if lazy else ""
        raise DataError(
            f"A table is a pandas or polars DataFrame, a pyarrow Table, a 2-D NumPy array or a tensor; "
            f"{type(data).__module__}.{type(data).__qualname__} was given.{mend}"
        ) from None
    if isinstance(opened, nw.Series):
        return (opened if isinstance(opened.name, str | int) else opened.alias("")).to_frame()
    return opened


def _check_names(names: list[Any]) -> None:
    odd = [name for name in names if not isinstance(name, str | int)]
    if odd:
        raise DataError(
            f"Column name {odd[0]!r} is not text or a whole number: noise is addressed by name. "
            "Rename the columns, as in `df.columns = [str(name) for name in df.columns]`."
        )
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise DataError(
            f"Column `{repeated}` appears {names.count(repeated)} times: column names must be unique, "
            "since noise is addressed by name. Rename one of them."
        )


def library_of(data: Any) -> Literal["pandas", "polars", "pyarrow"]:
    """Return the library whose frames a user of this table works with; pandas for arrays and tensors."""
    root = type(data).__module__.split(".")[0]
    return "polars" if root == "polars" else "pyarrow" if root == "pyarrow" else "pandas"


def is_tensor(data: Any) -> bool:
    """Tell a torch tensor; torch is asked only where it is loaded."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(data, torch.Tensor)


def as_array(values: Any) -> NDArray[Any]:
    """Return a target, of any library and on any device, as a NumPy array."""
    return np.asarray(values.detach().cpu() if is_tensor(values) else values)


def as_table(data: Any) -> tuple[Any, tuple[int, ...]]:
    """Return a tensor or an array of any shape (rows, ...) as a flat array, with the shape of a row; others as they are."""
    array = as_array(data) if is_tensor(data) else data
    if not isinstance(array, np.ndarray) or array.ndim < 2:
        return array, ()
    return array.reshape(len(array), -1) if len(array) else array, array.shape[1:]


def is_frame(data: Any) -> bool:
    """Tell a data frame (columns with names and dtypes) from an array or a list."""
    try:
        nw.from_native(data, eager_only=True)
    except TypeError:
        return False
    return True


def for_models(data: Any, widened: Mapping[str | int, str]) -> Any:
    """Return a noisy table as models take it: pandas integers and booleans that lost cells as floats with NaN.

    That is how pandas itself reads such a file, and several models refuse its nullable types.
    """
    if isinstance(data, np.ndarray) or not widened or is_tensor(data):
        return data
    return data.astype(dict.fromkeys(widened, np.float64))


def for_folds(data: Any) -> Any:
    """Return a table as scikit-learn cuts it into folds: tensors as arrays, Arrow tables as pandas.

    Versions of it before 1.7 cannot index Arrow.
    """
    if is_tensor(data):
        return as_array(data)
    return data.to_pandas() if type(data).__module__.split(".")[0] == "pyarrow" else data


def take(data: Any, rows: Any) -> Any:
    """Return some rows (positions) of a table or array, in its own kind."""
    if isinstance(data, np.ndarray):
        return data[rows]
    if is_tensor(data):
        return data[np.asarray(rows)]
    frame = nw.from_native(data, eager_only=True, allow_series=True)
    return frame[np.asarray(rows)].to_native() if len(rows) else frame.head(0).to_native()


def part(data: Any, start: int, stop: int) -> Any:
    """Return the rows from `start` to before `stop`, without a copy where its library can."""
    if isinstance(data, np.ndarray) or is_tensor(data):
        return data[start:stop]
    frame = nw.from_native(data, eager_only=True, allow_series=True)
    return (frame[start:stop] if stop > start else frame.head(0)).to_native()


def repeated(data: Any) -> int:
    """Return how many rows of a table repeat an earlier row."""
    import pandas as pd

    frame = nw.from_native(pd.DataFrame(data) if isinstance(data, np.ndarray) else data, eager_only=True)
    return len(frame) - len(frame.unique())


def stack(parts: Sequence[Any]) -> Any:
    """Put tables or arrays of one kind on top of each other; dtypes and categories are widened to fit all."""
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    if is_tensor(parts[0]):
        return sys.modules["torch"].cat(list(parts))
    if hasattr(parts[0], "tocsr"):
        from scipy.sparse import vstack

        return vstack(parts).tocsr()
    if isinstance(parts[0], list | tuple):
        return [row for part in parts for row in part]
    opened = [nw.from_native(p, eager_only=True, allow_series=True) for p in parts]
    if isinstance(opened[0], nw.Series):
        return nw.concat([s.to_frame() for s in _same_categories_series(opened)])[:, 0].to_native()
    kinds = [list(f.schema.values()) for f in opened]
    for j in range(len(kinds[0])):
        if any(own[j] in (nw.Categorical, nw.Enum) for own in kinds):
            fitted = _same_categories_series([f[:, j] for f in opened])
            opened = [f.with_columns(c) for f, c in zip(opened, fitted, strict=True)]
    return nw.concat(opened).to_native()


def known_categories(part: Any, like: Any) -> Any:
    """Return a frame whose categorical columns hold only the categories of `like`; others become missing.

    That is what models make of a category they have not learnt.
    """
    if not is_frame(part):
        return part
    frame, model = nw.from_native(part, eager_only=True), nw.from_native(like, eager_only=True)
    for j in range(len(frame.columns)):
        column, learnt = frame[:, j], model[:, j]
        if _categories(column) and _categories(learnt):
            known = learnt.cat.get_categories().to_list()
            if column.implementation.is_pandas():
                held = nw.from_native(column.to_native().cat.set_categories(known), series_only=True)
            else:
                learnt_too = nw.when(column.cast(nw.String).is_in(known)).then(nw.col(column.name))
                held = frame.select(learnt_too)[:, 0]
                held = held.cast(nw.String).cast(learnt.dtype) if learnt.dtype == nw.Enum else held
            frame = frame.with_columns(held.alias(column.name))
    return frame.to_native()


def _categories(series: Any) -> bool:
    return series.dtype in (nw.Categorical, nw.Enum)


def _same_categories_series(columns: list[Any]) -> list[Any]:
    if not all(_categories(c) for c in columns):
        return columns
    union = list(dict.fromkeys(v for c in columns for v in c.cat.get_categories().to_list()))
    if columns[0].implementation.is_pandas():
        return [nw.from_native(c.to_native().cat.set_categories(union), series_only=True) for c in columns]
    if columns[0].dtype == nw.Enum:
        return [c.cast(nw.String).cast(nw.Enum(union)) for c in columns]
    return columns


def changed(before: Any, after: Any) -> NDArray[np.bool_]:
    """Return the mask of cells that really changed, shape (rows, columns); missing equals missing.

    Columns are found by name, those of arrays by place: a moved column did not change, and all cells of a column did
    that is gone or renamed.

    >>> changed(np.array([[1.0, np.nan]]), np.array([[2.0, np.nan]]))
    array([[ True, False]])
    """
    a, b = open_table(before), open_table(after)
    if a.rows != b.rows and b.names:
        raise DataError("The two tables differ in rows: compare a table with its noisy version.")
    mask = np.zeros((a.rows, len(a.names)), bool)
    for j in range(len(a.names)):
        mask[:, j] = column_changed(a, b, j)
    return mask


def share_changed(before: Any, after: Any, columns: Sequence[int]) -> float:
    """Return the mean share of really changed cells over some columns."""
    if not columns:
        return 0.0
    a, b = open_table(before), open_table(after)
    if is_tensor(before) and is_tensor(after) and a.names == b.names:
        return float(a.share_changed(b, columns))  # type: ignore[attr-defined]
    return float(np.mean([column_changed(a, b, j).mean() for j in columns]))


def share_by_column(before: Any, after: Any, columns: Sequence[int]) -> dict[str | int, float]:
    """Return the share of really changed cells of some columns, by name."""
    a, b = open_table(before), open_table(after)
    return {a.names[j]: float(np.mean(column_changed(a, b, j))) if a.rows else 0.0 for j in columns}


def column_changed(a: Table, b: Table, j: int) -> NDArray[np.bool_]:
    """Return the mask of really changed cells of column j of an open table in another one, found there by name.

    Where the other table lacks the column every cell changed; where it holds text instead of numbers, or numbers
    instead of text, every present one.
    """
    same = j < len(b.names) and b.names[j] == a.names[j]
    if not same and a.names[j] not in b.names:
        return np.ones(a.rows, bool)
    k = j if same else b.names.index(a.names[j])
    none = np.zeros(a.rows, bool)
    gone, new = a.missing(j), b.missing(k)
    gone, new = none if gone is None else gone, none if new is None else new
    out: NDArray[np.bool_] = gone != new
    both = np.flatnonzero(~gone & ~new)
    out[both] = a.pick(j, both) != b.pick(k, both) if comparable(a.dtype(j), b.dtype(k)) else True
    return out


def comparable(one: DType, other: DType) -> bool:
    """Tell whether values of two kinds can be equal: text is never equal to a number or a time."""
    text, plain = {"string", "category"}, {"number", "integer", "boolean", "datetime"}
    return not ({one, other} & text and {one, other} & plain)
