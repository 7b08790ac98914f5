"""Tables by name: a CSV or Parquet file, or a data set that scikit-learn bundles."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hormesis.errors import DataError, listed, nearest

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
    path = Path(source)
    if not path.is_file():
        raise DataError(
            f"`{source}` is not a file. Give a .csv or .parquet file, or sklearn:NAME, such as sklearn:breast_cancer."
        )
    if path.stat().st_size == 0:
        raise DataError(f"`{source}` is empty: a table needs a header and at least one row.")
    frame, notes = _read_parquet(path) if ".parquet" in path.suffixes else _read_csv(path)
    if not len(frame):
        raise DataError(f"`{source}` has a header and no rows: there is nothing to learn from.")
    return frame, None, notes


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
    import pyarrow as pa

    try:
        return pd.read_parquet(path), []
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"`{path}` is not a readable Parquet file: {_first_line(error)}") from None


def _read_csv(path: Path) -> tuple[Any, list[str]]:
    import pandas as pd

    try:
        line = _header(path)
        separator = max(",;\t|", key=line.count)
        header = next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
        frame, notes = _parsed(path, separator)
    except (
        pd.errors.ParserError,
        pd.errors.EmptyDataError,
        UnicodeDecodeError,
        OSError,
        ValueError,
    ) as error:
        raise DataError(f"`{path}` is not a readable CSV file: {_first_line(error)}") from None
    names = [h for h in header if h]
    repeated = sorted({h for h in names if names.count(h) > 1})
    if repeated:
        raise DataError(
            f"`{path}` names {listed(repeated)} more than once: column names must be unique. Rename them."
        )
    if header and not header[0] and frame.iloc[:, 0].tolist() == list(range(len(frame))):
        return frame.iloc[:, 1:], [*notes, "the unnamed first column holds row numbers and was left out"]
    return frame, notes


def _parsed(path: Path, separator: str) -> tuple[Any, list[str]]:
    """Read the rows; a decimal comma is tried where semicolons separate, and taken where it makes more numbers."""
    import pandas as pd

    def read(decimal: str) -> Any:
        return pd.read_csv(path, sep=separator, skipinitialspace=True, low_memory=False, decimal=decimal)

    frame = read(".")
    if separator == ";":
        comma = read(",")
        if comma.select_dtypes("number").shape[1] > frame.select_dtypes("number").shape[1]:
            return comma, ["numbers are read with a decimal comma"]
    return frame, []


def _header(path: Path) -> str:
    import gzip

    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8-sig") as file:
        return str(file.readline())


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0].rstrip(".") + "."


def write_table(frame: Any, path: Path) -> None:
    """Write a table as CSV or Parquet, by its suffix, whole or not at all."""
    import io

    from hormesis.files import write_aside

    if path.suffix not in (".csv", ".parquet"):
        raise DataError(f"`{path}`: a table is written as .csv or .parquet.")
    buffer = io.BytesIO()
    if path.suffix == ".csv":
        frame.to_csv(buffer, index=False)
    else:
        frame.to_parquet(buffer, index=False)
    write_aside(path, buffer.getvalue())
