"""Tables by name: a CSV or Parquet file, or a data set that scikit-learn bundles; whole or in pieces."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hormesis.errors import DataError, listed, nearest
from hormesis.files.csv import CsvTable, read_csv, readable
from hormesis.files.parquet import ParquetTable

BUNDLED = ("breast_cancer", "diabetes", "digits", "iris", "wine")


@dataclass(frozen=True)
class Source:
    """A table with its target set apart, and what was done to it in words."""

    name: str
    X: Any
    y: Any
    target: str
    notes: tuple[str, ...] = ()


def read_table(source: str) -> tuple[Any, str | None, list[str]]:
    """Return a pandas DataFrame, the name of its target where that is known, and notes.

    Raises
    ------
    DataError
        No such file, an unreadable or empty one, repeated column names.
    """
    if source.startswith("sklearn:"):
        return _bundled(source.removeprefix("sklearn:"))
    path = _file(source)
    frame, notes = _read_parquet(path) if ".parquet" in path.suffixes else read_csv(path)
    if not len(frame):
        raise DataError(f"`{source}` has a header and no rows: there is nothing to learn from.")
    return frame, None, notes


class Pieces(Protocol):
    """A table that is read in pieces of rows, in order, as often as needed."""

    @property
    def name(self) -> str:
        """What the table is called in messages."""

    @property
    def rows(self) -> int:
        """How many rows there are."""

    @property
    def names(self) -> list[str]:
        """The columns, without those that are held."""

    @property
    def held(self) -> tuple[str, ...]:
        """Columns that are carried along untouched, as an index is."""

    @property
    def notes(self) -> list[str]:
        """What was done to the table, in words."""

    def pieces(self, rows: int) -> Iterator[Any]:
        """Yield pieces of at most `rows` rows: pandas DataFrames or Arrow tables."""


def open_pieces(source: str, rows: int | None = None, *, show: bool | None = None) -> Pieces:
    """Open a table to be read in pieces; of a CSV file the types are found first, `rows` rows at a time.

    Raises
    ------
    DataError
        As `read_table`.
    """
    if source.startswith("sklearn:"):
        return MemoryTable(source, _bundled(source.removeprefix("sklearn:"))[0])
    path = _file(source)
    return ParquetTable(path) if ".parquet" in path.suffixes else CsvTable(path, rows, show=show)


class MemoryTable:
    """A pandas DataFrame in pieces."""

    held: tuple[str, ...] = ()

    def __init__(self, name: str, frame: Any) -> None:
        self.name, self.notes = name, list[str]()
        self.rows, self.names = len(frame), list(frame.columns)
        self._frame = frame

    def pieces(self, rows: int) -> Iterator[Any]:
        """Yield DataFrames of at most `rows` rows, in order."""
        for start in range(0, self.rows, rows):
            yield self._frame.iloc[start : start + rows].reset_index(drop=True)


def _file(source: str) -> Path:
    path = Path(source)
    if not path.is_file():
        raise DataError(
            f"`{source}` is not a file. Give a .csv or .parquet file, or sklearn:NAME, such as sklearn:breast_cancer."
        )
    if path.stat().st_size == 0:
        raise DataError(f"`{source}` is empty: a table needs a header and at least one row.")
    return path


def read(source: str, target: str | None) -> Source:
    """Read a table and set its target apart; rows without a target are left out, and that is said.

    Raises
    ------
    DataError
        As `read_table`, and a target that is not named or does not exist.
    """
    frame, known, notes = read_table(source)
    target = target or known
    if target is None:
        raise DataError(
            f"Which column is the target? Say --target NAME; columns are {listed(frame.columns, 20)}."
        )
    if target not in frame.columns:
        raise DataError(
            f"Target `{target}` is not a column of `{source}`.{nearest(target, frame.columns)} Columns are {listed(frame.columns, 20)}."
        )
    y = frame[target]
    gone = int(y.isna().sum())
    if gone == len(y):
        raise DataError(f"Target `{target}` has no value in any row.")
    if gone:
        frame, y = frame[y.notna()], y[y.notna()]
        notes.append(f"{gone:,} rows without a target were left out")
    X = frame.drop(columns=target).reset_index(drop=True)
    if not X.shape[1]:
        raise DataError(
            f"`{source}` holds nothing but the target `{target}`: there is nothing to learn from."
        )
    return Source(source.split("/")[-1], X, y.reset_index(drop=True), target, tuple(notes))


def _bundled(name: str) -> tuple[Any, str, list[str]]:
    if name not in BUNDLED:
        raise DataError(
            f"scikit-learn bundles no `{name}`.{nearest(name, BUNDLED)} Choose from {listed(BUNDLED)}."
        )
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")(as_frame=True)
    frame = bunch.frame.copy()
    if "target_names" in bunch and len(bunch.target_names) == frame["target"].nunique():
        frame["target"] = [str(bunch.target_names[int(t)]) for t in frame["target"]]
    return frame, "target", []


def _read_parquet(path: Path) -> tuple[Any, list[str]]:
    import pandas as pd

    with readable(path, "Parquet"):
        return pd.read_parquet(path), []
