"""What a batch shows: shares of cells and shifted medians, read off the columns of an open table."""

from collections.abc import Callable
from typing import Any

import numpy as np

from hormesis.columns import Cells, Table, present_rows
from hormesis.errors import DataError
from hormesis.frames import changed
from hormesis.limits import Bound, Quantity
from hormesis.noise import CATALOGUE
from hormesis.profile import ColumnProfile, Profile

_NUMERIC = ("number", "integer")
_AIMS = {"number": "numbers", "integer": "numbers", "datetime": "dates"}
_HERE = {
    "number": "numbers",
    "integer": "numbers",
    "string": "text",
    "category": "categories",
    "boolean": "true and false",
    "datetime": "dates",
}
_STEP_WORDS = ("noise", "name", "probability")
_CLOSE = 1e-6  # of a stand-in; a float32 column keeps it to 6e-8


def reading(quantity: Quantity, step: dict[str, Any], bound: Bound, table: Table) -> float:
    """Return what one column of a batch shows: a share of its cells, or spreads for a shifted median.

    Missing cells count for "missing" alone; the others are shares of the cells that are there. A column without any
    shows 0, and so does a batch without rows.

    Raises
    ------
    DataError
        The table has no such column, or it holds values of another type.
    """
    if bound.column not in table.names:
        return _absence(bound, asked=quantity == "absent")
    j = table.names.index(bound.column)
    present = present_rows(table, j)
    if quantity == "absent" or not table.rows:
        return 0.0
    if quantity == "missing":
        return 1 - present.size / table.rows
    other = bool(present.size) and _other_type(bound, table.dtype(j))
    if quantity == "retyped" or not present.size:
        return float(other)
    if other and quantity not in ("equal", "unknown"):
        raise DataError(_other(bound, table.dtype(j)))
    values = table.pick(j, present)
    return _coarse(step, bound, values) if quantity == "coarse" else _READ[quantity](values, bound)


def _absence(bound: Bound, *, asked: bool) -> float:
    if not asked:
        raise DataError(f"the column `{bound.column}` is not there")
    return 1.0


def _other_type(bound: Bound, dtype: str) -> bool:
    """Tell whether a column of numbers or times holds something else; a number is as good as an integer."""
    if bound.kind in _NUMERIC:
        return dtype not in _NUMERIC
    return bound.kind == "datetime" and dtype != "datetime"


def _other(bound: Bound, dtype: str) -> str:
    aim = _AIMS[bound.kind]
    here = _HERE.get(dtype, "values of another type")
    mend = f"read the file the same way, as {aim}"
    return f"`{bound.column}` held {aim} in training and holds {here} here: {mend}"


def _outside(values: Cells, bound: Bound) -> float:
    return float(((values < bound.smallest) | (values > bound.largest)).mean())


def _unknown(values: Cells, bound: Bound) -> float:
    known = frozenset(bound.known)
    return float(np.mean([v not in known for v in values.tolist()]))


def _equal(values: Cells, bound: Bound) -> float:
    if values.dtype.kind not in "iuf" or isinstance(bound.value, str):
        return float(np.mean([v == bound.value for v in values.tolist()]))
    aim = float(bound.value or 0)
    return float((np.abs(values - aim) <= _CLOSE * abs(aim)).mean())


def _pinned(values: Cells, bound: Bound) -> float:  # noqa: ARG001 (the batch's own ends)
    """Return the share of cells that repeat an end; the first at each end repeats nothing."""
    ends = {values.min(), values.max()}
    return float(sum((values == end).sum() - 1 for end in ends) / values.size)


def _shifted(values: Cells, bound: Bound) -> float:
    assert bound.center is not None
    assert bound.spread is not None
    moved = (float(np.median(values)) - bound.center) / bound.spread
    return {"both": abs(moved), "up": moved, "down": -moved}[bound.side]


_READ: dict[Quantity, Callable[[Cells, Bound], float]] = {
    "outside": _outside,
    "unknown": _unknown,
    "equal": _equal,
    "pinned": _pinned,
    "shifted": _shifted,
}


def _coarse(step: dict[str, Any], bound: Bound, values: Cells) -> float:
    """Return the share of cells that a noise which loses digits would leave as they are."""
    import pandas as pd

    settings = {name: value for name, value in step.items() if name not in (*_STEP_WORDS, "where")}
    noise = CATALOGUE[step["noise"]](**settings | {"level": 1.0, "columns": "numeric"})
    ends = (bound.smallest or 0.0, bound.largest or 0.0)
    column = ColumnProfile(0, "number", 2, 0.0, center=ends[0], spread=1.0, quantiles=ends)
    frame = pd.DataFrame({0: values})
    after = noise.apply(frame, profile=Profile((column,), 2))
    return 1 - float(changed(frame, after).mean())
