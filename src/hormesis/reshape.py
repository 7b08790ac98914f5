"""Tables of other rows, columns or types: closed, rebuilt by their own library, and opened again."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from numpy.typing import NDArray

from hormesis.columns import Table
from hormesis.errors import DataError
from hormesis.frames import is_tensor, open_table, take
from hormesis.tables import FrameTable

Names = Sequence[str | int]


def take_rows(table: Table, rows: NDArray[np.intp]) -> Table:
    """Return an open table made of some rows (positions, repeated or not) of another."""
    return _again(take(table.close(), rows), table.widened)


def arranged(table: Table, order: Sequence[int], names: Names | None = None) -> Table:
    """Return an open table of these columns (positions) under these names; None: the names that they have.

    Columns of arrays and tensors have places for names, so `names` is for frames.

    Raises
    ------
    DataError
        A Series, or a tensor of more than two dimensions, whose number of columns would change.
    """
    old = [table.names[j] for j in order]
    new = old if names is None else list(names)
    native = table.close()
    if has_names(table):
        made = _on_frame(native, lambda frame: _columns_of_frame(frame, list(order), new))
    else:
        made, new = _columns_of_array(native, list(order)), list(range(len(old)))
    return _again(made, {new[old.index(n)]: how for n, how in table.widened.items() if n in old})


def with_texts(table: Table, texts: Mapping[int, NDArray[Any]]) -> Table:
    """Return an open table with whole columns of text, None where missing, at these positions.

    Raises
    ------
    DataError
        A tensor, which holds no text.
    """
    native, widened = table.close(), dict(table.widened)
    if is_tensor(native):
        raise DataError("A tensor holds numbers alone, no text: give the table as a data frame or an array.")
    for j in texts:
        widened.pop(table.names[j], None)
    if isinstance(native, np.ndarray):
        if native.dtype != object:
            widened |= {table.names[j]: f"{native.dtype} -> object" for j in texts}
        return _again(_texts_of_array(native, texts), widened)
    return _again(_on_frame(native, lambda frame: _texts_of_frame(frame, texts)), widened)


def has_names(table: Table) -> bool:
    """Tell whether columns have names of their own, which those of arrays and tensors do not."""
    return isinstance(table, FrameTable)


def native_types(table: Table) -> list[Any]:
    """Return the type of each column: NumPy's for arrays, torch's for tensors, narwhals' for frames."""
    native = table.close()
    if not has_names(table):
        return [native.dtype] * len(table.names)
    frame = nw.from_native(native, eager_only=True, allow_series=True)
    return [frame.dtype] if isinstance(frame, nw.Series) else list(frame.schema.values())


def _again(native: Any, widened: Mapping[str | int, str]) -> Table:
    made = open_table(native)
    made.widened |= widened
    return made


def _on_frame(native: Any, change: Any) -> Any:
    """Change a frame, or a Series as the frame of one column that it is."""
    import pandas as pd

    if isinstance(native, pd.Series):
        return _single(change(native.to_frame())).iloc[:, 0]
    opened = nw.from_native(native, eager_only=True, allow_series=True)
    if isinstance(opened, nw.Series):
        name = opened.name if isinstance(opened.name, str) else ""
        return _single(change(opened.alias(name).to_frame().to_native()))[:, 0].to_native()
    return change(native)


def _single(frame: Any) -> Any:
    if frame.shape[1] != 1:
        raise DataError("A Series is one column and cannot lose it: give the table as a data frame.")
    return frame if hasattr(frame, "iloc") else nw.from_native(frame, eager_only=True)


def _columns_of_array(native: Any, order: list[int]) -> Any:
    if native.ndim == 2:
        return native[:, order]
    width = math.prod(native.shape[1:])
    if len(order) != width:
        raise DataError(
            f"Values of shape {tuple(native.shape)} have no columns to lose: give a table of two dimensions, "
            "rows by columns."
        )
    return native.reshape(len(native), width)[:, order].reshape(native.shape)


def _columns_of_frame(native: Any, order: list[int], names: list[str | int]) -> Any:
    import pandas as pd

    if isinstance(native, pd.DataFrame):
        out = native.iloc[:, order].copy()
        if list(out.columns) != names:
            same = all(isinstance(n, str) for n in [*names, *native.columns])
            out.columns = pd.Index(
                names, name=native.columns.name, dtype=native.columns.dtype if same else None
            )
        out.attrs = dict(native.attrs)
        return out
    frame = nw.from_native(native, eager_only=True)
    old = [frame.columns[j] for j in order]
    return frame.select(old).rename(dict(zip(old, map(str, names), strict=True))).to_native()


def _texts_of_array(native: NDArray[Any], texts: Mapping[int, NDArray[Any]]) -> NDArray[Any]:
    flat = native[:, None] if native.ndim == 1 else native
    out = np.empty(flat.shape, object)
    for j in range(flat.shape[1]):
        if j in texts:
            out[:, j] = texts[j]
            out[_absent(texts[j]), j] = np.nan
        elif flat.dtype.kind in "Mm":
            out[:, j] = list(flat[:, j])
        else:
            out[:, j] = flat[:, j].tolist()
    return out[:, 0] if native.ndim == 1 else out


def _texts_of_frame(native: Any, texts: Mapping[int, NDArray[Any]]) -> Any:
    import pandas as pd

    if isinstance(native, pd.DataFrame):
        out = native.copy()
        for j, values in texts.items():
            out.isetitem(j, _pandas_text(values, native.index))
        return out
    frame = nw.from_native(native, eager_only=True)
    made = (
        nw.new_series(frame.columns[j], values.tolist(), nw.String, backend=frame.implementation)
        for j, values in texts.items()
    )
    return frame.with_columns(*made).to_native()


def _pandas_text(values: NDArray[Any], index: Any) -> Any:
    """Return text as pandas itself reads it from a file: its string type, objects before pandas 3."""
    import pandas as pd

    if int(pd.__version__.split(".")[0]) >= 3:
        return pd.Series(values, index=index, dtype="str")
    return pd.Series(np.where(_absent(values), np.nan, values), index=index, dtype=object)


def _absent(texts: NDArray[Any]) -> NDArray[np.bool_]:
    return np.fromiter((text is None for text in texts), bool, texts.size)
