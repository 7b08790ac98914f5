"""Blocks: data frames of floats alone, worked on as one array, so that small tables do not pay for every column."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hormesis.arrays import ArrayTable
from hormesis.frames import stack, take


@dataclass(frozen=True, eq=False)
class Block:
    """A pandas frame of one float type: its values, columns after each other, and its labels."""

    values: NDArray[np.floating[Any]]
    columns: Any
    index: Any

    @classmethod
    def of(cls, frame: Any) -> "Block | None":
        """Return a frame as a block; None for any other table."""
        if type(frame).__module__.split(".")[0] != "pandas" or not hasattr(frame, "columns"):
            return None
        kinds = set(frame.dtypes)
        if len(kinds) != 1 or not frame.shape[1] or next(iter(kinds)) not in (np.float32, np.float64):
            return None
        return cls(np.asfortranarray(frame.to_numpy()), frame.columns, frame.index)

    def part(self, start: int, stop: int) -> "Block":
        """Return consecutive rows, without a copy."""
        return Block(self.values[start:stop], self.columns, self.index[start:stop])

    def open(self) -> ArrayTable:
        """Open it as a table under its own column names."""
        table = ArrayTable(self.values)
        table.names = list(self.columns)
        return table

    def frame(self) -> Any:
        """Return it as the data frame that it stands for."""
        import pandas as pd

        return pd.DataFrame(self.values, self.index, self.columns, copy=False)


Rowed = Any  # a table of any library, or a block


def rows_of(table: Rowed, rows: NDArray[np.intp]) -> Rowed:
    """Return some rows of a table or a block."""
    if not isinstance(table, Block):
        return take(table, rows)
    return Block(table.values.T.take(rows, axis=1).T, table.columns, table.index.take(rows))


def stacked(tables: Sequence[Rowed]) -> Any:
    """Return tables of one kind on top of each other, as a model takes them."""
    first = tables[0]
    if not isinstance(first, Block):
        return stack(tables) if len(tables) > 1 else first
    if len(tables) == 1:
        return first.frame()
    index = first.index.append([t.index for t in tables[1:]])
    return Block(np.concatenate([t.values for t in tables]), first.columns, index).frame()


def other_cells(clean: NDArray[Any], noisy: NDArray[Any]) -> NDArray[np.bool_]:
    """Return the mask of cells of float arrays that differ; missing equals missing.

    >>> other_cells(np.array([[1.0, np.nan]]), np.array([[2.0, np.nan]]))
    array([[ True, False]])
    """
    differ: NDArray[np.bool_] = clean != noisy
    if differ.any():
        gone = clean != clean
        if gone.any():
            differ &= ~gone | (noisy == noisy)
    return differ
