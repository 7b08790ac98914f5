"""Noise: the one interface of all noises, and `apply`, which goes through the door."""

import dataclasses
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from hormesis.columns import Cells, Missing, Table, present_rows
from hormesis.errors import DataError, SettingError, listed, nearest
from hormesis.frames import open_table, share_by_column
from hormesis.key import Draw
from hormesis.noise.record import CATALOGUE, Mistakes, noise
from hormesis.noise.rowids import draw_of
from hormesis.noise.units import (
    ColumnFraction,
    Columns,
    Epsilons,
    Fraction,
    LabelFraction,
    Positive,
    Ranks,
    Relative,
    RowFraction,
    Sigmas,
    unit_of,
)
from hormesis.noise.where import Aim, Where
from hormesis.profile import ColumnProfile, Kind, LazyProfile, Profile
from hormesis.reshape import take_rows

SELECTORS: dict[str, tuple[Kind, ...]] = {
    "numeric": ("number", "integer"),
    "categorical": ("category", "boolean"),
    "text": ("text",),
    "any": ("number", "integer", "boolean", "category", "text", "datetime", "other"),
}
NUMERIC, EVERY = SELECTORS["numeric"], SELECTORS["any"]
_ORDERED = (*NUMERIC, "datetime")
__all__ = [
    "CATALOGUE",
    "EVERY",
    "NUMERIC",
    "SELECTORS",
    "Aim",
    "CellNoise",
    "Changes",
    "ColumnFraction",
    "ColumnNoise",
    "Columns",
    "Epsilons",
    "Fraction",
    "LabelFraction",
    "Mistakes",
    "Noise",
    "Only",
    "Opened",
    "Positive",
    "Ranks",
    "Relative",
    "RowFraction",
    "RowId",
    "RowNoise",
    "SchemaNoise",
    "Sigmas",
    "Spares",
    "draw_of",
    "noise",
    "numbers_of",
    "profile_for",
    "unit_of",
]

Changes = Literal["cells", "labels", "rows", "schema"]
Spares = Literal["none", "values", "chance"]
Opened = tuple[Table, Draw]
RowId = str | int | None
Only = NDArray[np.bool_] | None  # the rows that may change


class Noise(ABC):
    """One way in which data go bad: a frozen record of settings with one `level`; holds no randomness, no data."""

    level: float
    columns: Columns
    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]
    applies_to: ClassVar[tuple[Kind, ...]]
    changes: ClassVar[Changes] = "cells"
    spares: ClassVar[Spares] = (
        "none"  # hit cells that stay: none, those of unchangeable values, or some by chance
    )
    random: ClassVar[bool] = True  # whether another seed is other noise
    least: ClassVar[int] = 1  # columns without which it changes nothing
    whole: ClassVar[bool] = False  # whether a row's noise needs all other rows
    shared: ClassVar[bool] = False  # whether one draw decides for all rows of a column

    @property
    def history(self) -> int:
        """Rows before its own that a row's noise needs."""
        return 0

    @property
    def name(self) -> str:
        """The class in kebab case; the default name of a step, and part of the key."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", type(self).__name__).lower()

    @property
    def unit(self) -> str:
        """Unit of the level: ``fraction``, ``sigma``, ``relative``, ``rank`` or ``epsilon``."""
        return unit_of(type(self)).name

    @property
    def by_columns(self) -> bool:
        """Whether it hits a column whole or not at all: below level 1 one coin per column decides."""
        return unit_of(type(self)).of == "columns"

    def at(self, level: float) -> Self:
        """Return the same noise at another dose."""
        return self._with(level=level)

    def on(self, columns: Columns) -> Self:
        """Return the same noise on other columns."""
        return self._with(columns=columns)

    def _with(self, **others: Any) -> Self:
        settings = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return type(self)(**settings | others)

    def apply(
        self,
        data: Any,
        *,
        seed: int = 0,
        profile: Profile | None = None,
        row_id: str | int | None = None,
        allow_duplicate_ids: bool = False,
    ) -> Any:
        """Return a noisy copy of a table in its own kind, dtypes, index and column order.

        Parameters
        ----------
        data : pandas or polars DataFrame, pyarrow Table, NumPy array, torch tensor
            The table; never mutated.
        seed : int
            Same seed, same noise, for any batch, order or library.
        profile : Profile, optional
            What the training data look like. None learns it from `data`, which is right only for training data.
        row_id : column name, optional
            The column that says who a row is (integers or strings, unique); it is left alone. None: positions.
        allow_duplicate_ids : bool
            Rows of one id get the same noise; False makes them an error.
        """
        table = open_table(data)
        draw = draw_of(table, seed, row_id, allow_duplicate_ids=allow_duplicate_ids).within(self.name)
        return self.touch(table, profile_for(data, profile), draw, row_id=row_id)[0].close()

    def reach(self, data: Any, *, profile: Profile | None = None) -> dict[str | int, float]:
        """Return the share of the cells of each chosen column that the noise can change at all."""
        table = open_table(data)
        profile = profile_for(data, profile)
        after = self.at(1.0).apply(data, profile=profile)
        return share_by_column(data, after, self.selected(table, profile))

    def touch(
        self,
        table: Table,
        profile: Profile,
        draw: Draw,
        *,
        row_id: str | int | None = None,
        only: NDArray[np.bool_] | None = None,
    ) -> Opened:
        """Add the noise to an open table, on the rows of `only`; return the table and its rows' randomness."""
        return self._touch(table, profile, draw, row_id, only) if self.level else (table, draw)

    def _touch(self, table: Table, profile: Profile, draw: Draw, row_id: RowId, only: Only) -> Opened:
        elsewhere = getattr(table, "touch", None)
        if elsewhere is not None and elsewhere(self, profile, draw, row_id, only):
            return table, draw
        aim = self._aim(table, profile, only)
        for j in self.selected(table, profile):
            name = table.names[j]
            if name != row_id:
                self._touch_column(table, j, self._column(profile, name), draw.within(name), aim)
        return table, draw

    def _aim(self, table: Table, profile: Profile, only: NDArray[np.bool_] | None) -> Aim:  # noqa: ARG002
        return Aim(self.level, only)

    def _column(self, profile: Profile, name: str | int) -> ColumnProfile:
        """Return what is known of a column."""
        return profile[name]

    def _touch_column(self, table: Table, j: int, column: ColumnProfile, draw: Draw, aim: Aim) -> None:
        """Change one column of an open table."""
        raise NotImplementedError

    def targets(self, profile: Profile) -> list[str | int]:
        """Names of the columns of the training data that this noise changes."""
        return list(self._chosen([c.name for c in profile.columns], profile))

    def selected(self, table: Table, profile: Profile) -> list[int]:
        """Positions of the columns that this noise changes."""
        names = [n for n in table.names if n in profile]
        chosen = set(self._chosen(names, profile))
        return [j for j, n in enumerate(table.names) if n in chosen]

    def _chosen(self, names: list[str | int], profile: Profile) -> Iterator[str | int]:
        if isinstance(self.columns, str) and self.columns in SELECTORS:
            kinds = set(SELECTORS[self.columns]) & set(self.applies_to)
            yield from names if kinds == set(EVERY) else (n for n in names if profile.kind(n) in kinds)
            return
        wanted = (self.columns,) if isinstance(self.columns, str) else self.columns
        for want in wanted:
            found = [n for n in names if n == want or (isinstance(want, str) and fnmatchcase(str(n), want))]
            if not found:
                raise SettingError(
                    f"`{type(self).__name__}(columns={want!r})`: no such column; columns are {listed(names)}, "
                    f"or one of {listed(SELECTORS)}.{nearest(want, [*map(str, names), *SELECTORS])}"
                )
            yield from self._fitting(found, want, profile)

    def _fitting(self, found: list[str | int], want: str | int, profile: Profile) -> list[str | int]:
        fit = [n for n in found if profile.kind(n) in self.applies_to]
        if not fit and profile[found[0]].count:
            raise SettingError(
                f"`{type(self).__name__}(columns={want!r})`: column `{found[0]}` is {profile[found[0]].kind}; "
                f"{type(self).__name__} changes {' and '.join(self.applies_to)} columns."
            )
        return fit


class CellNoise(Noise):
    """A noise that hits a fraction of the present cells and leaves the others alone."""

    where: Where
    reads: ClassVar[bool] = True  # whether the new value of a cell may depend on its old one

    def _aim(self, table: Table, profile: Profile, only: NDArray[np.bool_] | None) -> Aim:
        return self.where.aim(self.level, table, profile, only)

    def _touch_column(self, table: Table, j: int, column: ColumnProfile, draw: Draw, aim: Aim) -> None:
        rows = self.hits(table, j, column, draw, aim)
        if rows.size:
            values = _cells(table, j, rows, column) if self.reads else np.empty(0)
            table.put(j, rows, self.cells(values, column, draw.at(rows if self.reads else rows[:0])))

    def hits(self, table: Table, j: int, column: ColumnProfile, draw: Draw, aim: Aim) -> NDArray[np.intp]:
        """Return the rows of one column that are hit."""
        gone, together = table.missing(j), self.where.together(draw, aim)
        if self.where.mechanism == "MNAR" and not self.where.flat:
            rows = present_rows(table, j)
            own = self.where.by_value(self.level, _cells(table, j, rows, column), column)
            hit = np.zeros(table.rows, bool)
            hit[rows] = together.at(rows).below(own, "hit")
        else:
            hit = together.below(aim.chance, "hit")
        if gone is not None:
            hit &= ~gone
        if aim.only is not None:
            hit &= aim.only
        return np.flatnonzero(hit)

    @abstractmethod
    def cells(self, values: Cells, column: ColumnProfile, draw: Draw) -> Cells | Missing:
        """Return what becomes of the hit cells."""


class ColumnNoise(Noise):
    """A noise that changes every cell of a numeric column, on the scale of the training data."""

    def _touch_column(self, table: Table, j: int, column: ColumnProfile, draw: Draw, aim: Aim) -> None:
        if column.spread:
            values = numbers_of(table, j, column)
            noisy = self.column(values, column, draw)
            table.replace(j, noisy if aim.only is None else np.where(aim.only, noisy, values))

    @abstractmethod
    def column(self, values: NDArray[np.float64], column: ColumnProfile, draw: Draw) -> NDArray[np.float64]:
        """Return the whole column with its noise; NaN stays NaN."""


class RowNoise(Noise):
    """A noise that changes which rows there are; each row decides for itself how often it is there."""

    changes: ClassVar[Changes] = "rows"

    def _touch(self, table: Table, profile: Profile, draw: Draw, row_id: RowId, only: Only) -> Opened:
        counts = self.counts(table, profile, draw)
        if not table.names:  # polars and Arrow know no rows without columns
            return table, draw
        counts = counts if only is None else np.where(only, counts, 1)
        rows = np.repeat(np.arange(table.rows), counts)
        copy = np.arange(rows.size) - np.repeat(np.cumsum(counts) - counts, counts)
        opened = take_rows(table, rows), draw.taken(rows, copy)
        self.rework(*opened, profile, np.flatnonzero(copy), row_id)
        return opened

    def reach(self, data: Any, *, profile: Profile | None = None) -> dict[str | int, float]:
        table = open_table(data)
        profile = profile_for(data, profile)
        other = self.at(1.0).counts(table, profile, draw_of(table, 0).within(self.name)) != 1
        share = float(other.mean()) if table.rows else 0.0
        return {table.names[j]: share for j in self.selected(table, profile)}

    @abstractmethod
    def counts(self, table: Table, profile: Profile, draw: Draw) -> NDArray[np.int64]:
        """Return how often each row is there: 0 drops it, 2 adds a copy after it."""

    def rework(
        self, table: Table, draw: Draw, profile: Profile, copies: NDArray[np.intp], row_id: str | int | None
    ) -> None:
        """Change the copies, where copies are not exact."""


class SchemaNoise(Noise):
    """A noise that changes whole columns, their names, order or types; each chosen column decides for itself."""

    changes: ClassVar[Changes] = "schema"
    shared: ClassVar[bool] = True

    def _touch(self, table: Table, profile: Profile, draw: Draw, row_id: RowId, only: Only) -> Opened:
        if only is not None:
            raise SettingError(
                f"`{type(self).__name__}` changes whole columns: a step's probability, the share of rows it touches, "
                "does not go with it. Leave it out; the level says how many columns are hit."
            )
        chosen = [j for j in self.selected(table, profile) if table.names[j] != row_id]
        hit = [j for j in chosen if draw.within(table.names[j]).coin("hit") < self.level]
        return (self.alter(table, chosen, hit, profile, draw) if hit else table), draw

    @abstractmethod
    def alter(self, table: Table, chosen: list[int], hit: list[int], profile: Profile, draw: Draw) -> Table:
        """Return the table with the hit ones of the chosen columns (positions) altered."""


def profile_for(data: Any, given: Profile | None) -> Profile:
    """Return the profile that scales noise on a table: the one given, else that of the table itself as it is now.

    Raises
    ------
    SettingError
        Something that is no profile.
    DataError
        A profile of training data that share no column with the table.
    """
    table = open_table(data)
    if given is None:
        return LazyProfile(table)
    if not isinstance(given, Profile):
        raise SettingError(
            f"`profile` is what `Profile.learn(training_data)` returns; {type(given).__name__} was given."
        )
    if table.names and not any(name in given for name in table.names):
        raise DataError(
            f"The table has the columns {listed(table.names)} and shares none with the training data, which have "
            f"{listed(c.name for c in given.columns)}: nothing says how its columns would go bad."
        )
    return given


def numbers_of(table: Table, j: int, column: ColumnProfile) -> NDArray[np.float64]:
    """Return a column as floats, NaN where missing.

    Raises
    ------
    DataError
        The column holds other things than numbers here.
    """
    if table.dtype(j) not in _ORDERED and present_rows(table, j).size:
        raise _other_type(table, j, column)
    return table.numbers(j)


def _cells(table: Table, j: int, rows: NDArray[np.intp], column: ColumnProfile) -> Cells:
    values = table.pick(j, rows)
    if (column.kind in _ORDERED) != (values.dtype.kind in "iuf"):
        raise _other_type(table, j, column)
    return values


def _other_type(table: Table, j: int, column: ColumnProfile) -> DataError:
    return DataError(
        f"Column `{column.name}` was {column.kind} in the training data and holds {table.dtype(j)} values here: "
        "give it the same type, or learn the profile anew."
    )
