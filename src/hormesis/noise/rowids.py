"""Who a row is: the lane and the id of each row of an open table."""

from typing import Any

import numpy as np

from hormesis.columns import Table, present_rows
from hormesis.errors import RowIdError, SettingError, listed, nearest
from hormesis.key import Draw, Lanes, lane, text_lane


def draw_of(
    table: Table,
    seed: int,
    row_id: str | int | None = None,
    *,
    start: int = 0,
    mirror: bool = False,
    allow_duplicate_ids: bool = False,
) -> Draw:
    """Return the random numbers of an open table's rows, by its id column or by position from `start`.

    Raises
    ------
    SettingError
        A seed that is no whole number.
    RowIdError
        No such column; ids that are missing, repeated, or neither integers nor strings.
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise SettingError(f"`seed={seed!r}`: a seed is a whole number.")
    ids = np.arange(start, start + table.rows) if row_id is None else _ids(table, row_id)
    whole = isinstance(ids, np.ndarray) and ids.dtype.kind in "iu"
    lanes = lane(ids) if whole else _text_lanes(ids)
    if row_id is not None and not allow_duplicate_ids:
        _refuse_repeated(lanes, row_id)
    return Draw(lanes, seed, mirror=mirror, ids=ids.astype(np.int64, copy=False) if whole else None)


def value_lanes(table: Table, j: int) -> Lanes:
    """Return a lane for each row that depends on its value in column j alone; missing is a value too.

    Raises
    ------
    RowIdError
        A column of fractions or of things without names; whole numbers may stand as floats, as pandas writes them with gaps.
    """
    rows, dtype = present_rows(table, j), table.dtype(j)
    values = table.pick(j, rows)
    if dtype == "other" or (dtype == "number" and (values != np.rint(values)).any()):
        raise RowIdError(
            f"Column `{table.names[j]}` holds {'fractions' if dtype == 'number' else 'other values'}: "
            "a group is named by text, a whole number, a date or a boolean."
        )
    out = np.zeros(table.rows, np.uint64)
    out[rows] = (
        _text_lanes(list(map(str, values))) if values.dtype.kind == "O" else lane(values.astype(np.int64))
    )
    return out


def _ids(table: Table, row_id: str | int) -> Any:
    if row_id not in table.names:
        raise RowIdError(
            f"Row id column `{row_id}` does not exist; columns are {listed(table.names)}.{nearest(row_id, table.names)}"
        )
    return table.ids(table.names.index(row_id))


def _refuse_repeated(lanes: Lanes, row_id: str | int) -> None:
    repeated = lanes.size - np.unique(lanes).size
    if repeated:
        raise RowIdError(
            f"Row id column `{row_id}` repeats {repeated} ids: rows of one id get the same "
            "noise. Use a unique column, or say allow_duplicate_ids=True."
        )


def _text_lanes(strings: Any) -> Lanes:
    import pyarrow as pa

    array = pa.array(strings) if not isinstance(strings, pa.Array | pa.ChunkedArray) else strings
    whole = array.cast(pa.large_string())
    joined = whole.combine_chunks() if isinstance(whole, pa.ChunkedArray) else whole
    if not len(joined):
        return np.empty(0, np.uint64)
    _, offsets, data = joined.buffers()
    first = np.frombuffer(offsets, np.int64)[joined.offset : joined.offset + len(joined) + 1]
    return text_lane(first, np.frombuffer(data or b"", np.uint8))
