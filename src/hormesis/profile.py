"""What training data look like, column by column: the scale of every noise comes from here."""

import functools
import heapq
import itertools
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass

from hormesis.columns import Table
from hormesis.errors import DataError, listed, nearest
from hormesis.frames import open_table

Kind = Literal["number", "integer", "boolean", "category", "text", "datetime", "other"]
POINTS = 1024
MOST_CATEGORIES = 1000
MOST_NUMBERS = 100


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class ColumnProfile:
    """One column of the training data.

    `center` is the median. `spread` estimates one standard deviation robustly: the interquartile range / 1.349;
    where that is 0, the range from the 5th to the 95th percentile / 3.29; where that is 0 too, the standard
    deviation; 0 for a constant column, which has no scale and is left alone by noise in spreads. `quantiles` are
    up to 1,024 values that were really observed, at equal steps of probability (datetimes in nanoseconds).
    `categories` are the distinct values with their `counts`, most frequent first, where there are few enough.
    """

    name: str | int
    kind: Kind
    count: int
    missing_rate: float
    center: float | None = None
    spread: float | None = None
    mean: float | None = None
    quantiles: tuple[int | float, ...] = ()
    categories: tuple[bool | int | float | str, ...] = ()
    counts: tuple[int, ...] = ()

    @functools.cached_property
    def points(self) -> NDArray[Any]:
        """The quantiles as a sorted array."""
        if self.kind == "number":
            return np.asarray(self.quantiles, np.float64)
        beyond = bool(self.quantiles) and self.quantiles[-1] > np.iinfo(np.int64).max
        return np.asarray(self.quantiles, np.uint64 if beyond else np.int64)

    def span(self, values: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return how many points lie below each value, and how many are not above it."""
        points = self.points
        if {points.dtype, values.dtype} == {np.dtype(np.int64), np.dtype(np.uint64)}:
            values = np.clip(values, 0, np.iinfo(np.int64).max).astype(points.dtype)
        return np.searchsorted(points, values, "left"), np.searchsorted(points, values, "right")

    @functools.cached_property
    def index(self) -> dict[Any, int]:
        """Position of each category."""
        return {c: i for i, c in enumerate(self.categories)}

    def codes(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """Position of each value among the categories; -1 for a value never seen."""
        found = map(self.index.get, values.tolist(), itertools.repeat(-1))
        return np.fromiter(found, np.int64, values.size)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Profile:
    """What was learnt from training data: kind, spread, quantiles, categories and missing rate per column.

    Examples
    --------
    >>> import pandas as pd
    >>> p = Profile.learn(pd.DataFrame({"age": [20, 30, 40, 50], "city": ["Bern", "Genf", "Bern", None]}))
    >>> p["age"].kind, p["age"].center, p["city"].categories, p["city"].missing_rate
    ('integer', 35.0, ('Bern', 'Genf'), 0.25)
    """

    columns: tuple[ColumnProfile, ...]
    rows: int
    schema_version: int = 1

    @functools.cached_property
    def _by_name(self) -> dict[str | int, ColumnProfile]:
        return {c.name: c for c in self.columns}

    def __getitem__(self, name: str | int) -> ColumnProfile:
        if name not in self._by_name:
            raise DataError(
                f"Column `{name}` is not in the profile, which knows {listed(self._by_name)}.{nearest(name, self._by_name)}"
            )
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    @classmethod
    def learn(cls, data: Any) -> Self:
        """Learn the profile of a table; give it the training data only, never what is to be tested.

        Raises
        ------
        DataError
            Not a table, no rows or columns, repeated column names, or infinite values.
        """
        table = open_table(data)
        if not table.rows or not table.names:
            raise DataError(
                f"A table of {table.rows} rows and {len(table.names)} columns teaches nothing: "
                "learn the profile from training data."
            )
        return cls.of(table)

    @classmethod
    def of(cls, table: Table) -> Self:
        """Learn the profile of an open table."""
        return cls(tuple(_learn(table, j) for j in range(len(table.names))), table.rows)

    def to_json(self, path: str | Path | None = None) -> str:
        """Return the profile as JSON; with `path`, write it there too."""
        text = TypeAdapter(Profile).dump_json(self).decode()
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        profile: Self = TypeAdapter(cls).validate_json(text)
        return profile


def _learn(table: Table, j: int) -> ColumnProfile:
    dtype, gone = table.dtype(j), table.missing(j)
    rows = np.arange(table.rows) if gone is None else np.flatnonzero(~gone)
    rate = (table.rows - rows.size) / max(table.rows, 1)
    name = table.names[j]
    if dtype == "other" or not rows.size:
        kind: Kind = "other" if dtype == "string" or dtype == "category" else dtype
        return ColumnProfile(name, kind, rows.size, rate)
    values = table.pick(j, rows)
    if dtype == "string" or dtype == "category" or dtype == "boolean":
        return _learn_words(name, dtype, values, rate)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise DataError(
            f"Column `{name}` holds {int((~np.isfinite(values)).sum())} infinite values: "
            "numbers must be finite. Replace them by missing values or drop those rows."
        )
    return _learn_numbers(name, dtype, values, rate)


def _learn_words(name: str | int, dtype: str, values: NDArray[Any], rate: float) -> ColumnProfile:
    from collections import Counter

    found = Counter(values.tolist())
    if not all(isinstance(value, bool | int | float | str) for value in found):
        return ColumnProfile(name, "other", values.size, rate)
    few = len(found) <= 20 or (len(found) <= MOST_CATEGORIES and len(found) * 10 <= values.size)
    kind: Kind = "boolean" if dtype == "boolean" else "category" if few or dtype == "category" else "text"
    top = heapq.nsmallest(MOST_CATEGORIES, found.items(), key=lambda item: (-item[1], str(item[0])))
    return ColumnProfile(
        name, kind, values.size, rate, categories=tuple(c for c, _ in top), counts=tuple(n for _, n in top)
    )


def _learn_numbers(name: str | int, kind: Kind, values: NDArray[Any], rate: float) -> ColumnProfile:
    ordered = np.sort(values)
    n = ordered.size
    at = np.arange(n) if n <= POINTS else ((np.arange(POINTS) + 0.5) / POINTS * n).astype(int)
    points = ordered[at]
    distinct, counts = np.unique(ordered, return_counts=True) if n else (ordered, ordered)
    few = distinct.size <= MOST_NUMBERS and kind != "datetime"
    order = np.argsort(-counts, kind="stable") if few else np.arange(0)
    return ColumnProfile(
        name,
        kind,
        n,
        rate,
        center=float(np.median(ordered)) if kind != "datetime" else float(ordered[n // 2]),
        spread=_spread(ordered.astype(np.float64)),
        mean=float(ordered.mean(dtype=np.float64)),
        quantiles=tuple(points.tolist()),
        categories=tuple(distinct[order].tolist()),
        counts=tuple(counts[order].tolist()),
    )


def _spread(values: NDArray[np.float64]) -> float:
    """Return a robust standard deviation; the rule where it is 0 is told in `ColumnProfile`."""
    if values.size and values[0] == values[-1]:
        return 0.0
    q5, q25, q75, q95 = np.quantile(values, [0.05, 0.25, 0.75, 0.95])
    return float((q75 - q25) / 1.349) or float((q95 - q5) / 3.29) or float(values.std())
