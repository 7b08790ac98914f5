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

from hormesis.columns import Cells, Table, present_rows
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

    def kind(self, name: str | int) -> Kind:
        """Return the kind of a column."""
        return self[name].kind

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


class LazyProfile(Profile):
    """The profile of an open table that nobody writes to; a column is learnt when it is asked for.

    For one call of `apply` without a profile: a noise of three columns learns three columns.
    """

    _table: Table
    _place: dict[object, int]
    _learnt: dict[str | int, ColumnProfile]

    def __init__(self, table: Table) -> None:
        place = {name: j for j, name in enumerate(table.names)}
        vars(self).update(rows=table.rows, _table=table, _place=place, _learnt={})

    @functools.cached_property
    def columns(self) -> tuple[ColumnProfile, ...]:
        """All columns."""
        return tuple(map(self.__getitem__, self._table.names))

    def __getitem__(self, name: str | int) -> ColumnProfile:
        if name not in self:
            return super().__getitem__(name)  # which says what columns there are
        if name not in self._learnt:
            self._learnt[name] = _learn(self._table, self._place[name])
        return self._learnt[name]

    def __contains__(self, name: object) -> bool:
        return name in self._place

    def kind(self, name: str | int) -> Kind:
        """Return the kind of a column; only strings and categories have to be learnt for it."""
        if name not in self:
            return super().kind(name)
        dtype = self._table.dtype(self._place[name])
        return self[name].kind if dtype == "string" or dtype == "category" else dtype


def _learn(table: Table, j: int) -> ColumnProfile:
    name, dtype, rows = table.names[j], table.dtype(j), present_rows(table, j)
    rate = (table.rows - rows.size) / max(table.rows, 1)
    if dtype == "other" or not rows.size:
        kind: Kind = "other" if dtype == "string" or dtype == "category" else dtype
        return ColumnProfile(name, kind, rows.size, rate)
    if dtype == "string" or dtype == "category" or dtype == "boolean":
        return _learn_words(name, dtype, *table.tally(j), rate)
    values = table.pick(j, rows)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise DataError(
            f"Column `{name}` holds {int((~np.isfinite(values)).sum())} infinite values: "
            "numbers must be finite. Replace them by missing values or drop those rows."
        )
    return _learn_numbers(name, dtype, values, rate)


def _learn_words(
    name: str | int, dtype: str, words: Cells, counts: NDArray[np.int64], rate: float
) -> ColumnProfile:
    n, known = int(counts.sum()), words.size
    if not all(isinstance(word, bool | int | float | str) for word in words.tolist()):
        return ColumnProfile(name, "other", n, rate)
    few = known <= 20 or (known <= MOST_CATEGORIES and known * 10 <= n)
    kind: Kind = "boolean" if dtype == "boolean" else "category" if few or dtype == "category" else "text"
    top = _most_frequent(words, counts)
    return ColumnProfile(
        name, kind, n, rate, categories=tuple(words[top].tolist()), counts=tuple(counts[top].tolist())
    )


def _most_frequent(words: Cells, counts: NDArray[np.int64]) -> list[int]:
    """Return the positions of the most frequent words, equally frequent ones in the order of their text."""
    rows = np.arange(counts.size)
    if counts.size > MOST_CATEGORIES:
        least = np.partition(counts, -MOST_CATEGORIES)[-MOST_CATEGORIES]
        more, same = np.flatnonzero(counts > least), np.flatnonzero(counts == least)
        first = heapq.nsmallest(
            MOST_CATEGORIES - more.size, zip(map(str, words[same]), same.tolist(), strict=True)
        )
        rows = np.append(more, [row for _, row in first]).astype(np.intp)
    return sorted(rows.tolist(), key=lambda row: (-counts[row], str(words[row])))


def _learn_numbers(name: str | int, kind: Kind, values: NDArray[Any], rate: float) -> ColumnProfile:
    ordered = _ordered(values)
    n = ordered.size
    at = np.arange(n) if n <= POINTS else ((np.arange(POINTS) + 0.5) / POINTS * n).astype(int)
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    few = starts.size <= MOST_NUMBERS and kind != "datetime"
    counts = np.diff(starts, append=n)
    order = np.argsort(-counts, kind="stable") if few else np.arange(0)
    middle = ordered[n // 2] if kind == "datetime" else np.median(ordered[(n - 1) // 2 : n // 2 + 1])
    return ColumnProfile(
        name,
        kind,
        n,
        rate,
        center=float(middle),
        spread=_spread(ordered),
        mean=float(ordered.mean(dtype=np.float64)),
        quantiles=tuple(ordered[at].tolist()),
        categories=tuple(ordered[starts[order]].tolist()),
        counts=tuple(counts[order].tolist()),
    )


def _ordered(values: NDArray[Any]) -> NDArray[Any]:
    """Return sorted values; whole numbers that lie close together are counted, which is quicker."""
    if values.dtype.kind in "iu":
        low = values.min()
        span = int(values.max()) - int(low)
        if span < values.size:
            counts = np.bincount(values.astype(np.int64) - low.astype(np.int64))
            return np.repeat(np.arange(span + 1).astype(values.dtype) + low, counts)
    return np.sort(values)


def _spread(ordered: NDArray[Any]) -> float:
    """Return a robust standard deviation; the rule where it is 0 is told in `ColumnProfile`."""
    if ordered[0] == ordered[-1]:
        return 0.0
    q5, q25, q75, q95 = (_quantile(ordered, p) for p in (0.05, 0.25, 0.75, 0.95))
    return (q75 - q25) / 1.349 or (q95 - q5) / 3.29 or float(ordered.astype(np.float64).std())


def _quantile(ordered: NDArray[Any], p: float) -> float:
    """Return a quantile as NumPy does, between the two nearest of values that are sorted already."""
    at = p * (ordered.size - 1)
    low, high = map(float, ordered[[int(at), min(int(at) + 1, ordered.size - 1)]])
    part = at - int(at)
    return high - (high - low) * (1 - part) if part >= 0.5 else low + (high - low) * part
