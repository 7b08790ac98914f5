"""Noise: the one interface, its units, the catalogue, and `apply`, which goes through the door."""

import dataclasses
import functools
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Annotated, Any, ClassVar, Self, TypeVar, dataclass_transform

import numpy as np
from annotated_types import Ge, Gt, Interval
from numpy.typing import NDArray
from pydantic import ConfigDict, ValidationError
from pydantic.dataclasses import dataclass

from hormesis.columns import Cells, Missing, Table
from hormesis.errors import RowIdError, SettingError, listed, nearest
from hormesis.frames import open_table
from hormesis.key import Draw, Lanes, lane, text_lane
from hormesis.noise.where import Where
from hormesis.profile import ColumnProfile, Kind, Profile


@dataclasses.dataclass(frozen=True)
class Unit:
    """What a level counts; carried by the level's type."""

    name: str
    of: str

    @property
    def rule(self) -> str:
        """The unit and its range, as messages and help say it."""
        if self.name == "fraction":
            return f"a fraction of {self.of}, 0 to 1"
        if self.name == "epsilon":
            return f"a number of {self.of}, 0 or more"
        return "a number of robust standard deviations of the training data, 0 or more"


Fraction = Annotated[float, Interval(ge=0, le=1), Unit("fraction", "cells")]
LabelFraction = Annotated[float, Interval(ge=0, le=1), Unit("fraction", "labels")]
Sigmas = Annotated[float, Ge(0), Unit("sigma", "spread")]
Epsilons = Annotated[float, Ge(0), Unit("epsilon", "spreads of the training data")]
Positive = Annotated[float, Gt(0)]
Columns = str | tuple[str | int, ...]

SELECTORS: dict[str, tuple[Kind, ...]] = {
    "numeric": ("number", "integer"),
    "categorical": ("category", "boolean"),
    "text": ("text",),
    "any": ("number", "integer", "boolean", "category", "text", "datetime", "other"),
}
CATALOGUE: dict[str, type["Noise"]] = {}
T = TypeVar("T", bound="Noise")


class Noise(ABC):
    """One way in which data go bad: a frozen record of settings with one `level`; holds no randomness, no data."""

    level: float
    columns: Columns
    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]
    applies_to: ClassVar[tuple[Kind, ...]]
    changes_labels: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """The class in kebab case; the default name of a step, and part of the key."""
        return re.sub(r"(?<!^)(?=[A-Z])", "-", type(self).__name__).lower()

    @property
    def unit(self) -> str:
        """Unit of the level: ``fraction``, ``sigma`` or ``epsilon``."""
        return unit_of(type(self)).name

    def at(self, level: float) -> Self:
        """Return the same noise at another dose."""
        settings = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return type(self)(**settings | {"level": level})

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
        draw = Draw(row_lanes(table, row_id, allow_duplicate_ids=allow_duplicate_ids), seed).within(self.name)
        self.touch(table, profile or Profile.of(table), draw, row_id=row_id)
        return table.close()

    def touch(
        self,
        table: Table,
        profile: Profile,
        draw: Draw,
        *,
        row_id: str | int | None = None,
        only: NDArray[np.bool_] | None = None,
    ) -> None:
        """Add the noise to an open table, on the rows of `only`."""
        if self.level == 0:
            return
        elsewhere = getattr(table, "touch", None)
        if elsewhere is not None and elsewhere(self, profile, draw, row_id, only):
            return
        driven = self._driven(table, profile)
        for j in self.selected(table, profile):
            name = table.names[j]
            if name != row_id:
                self._touch_column(table, j, profile[name], draw.within(name), driven, only)

    def _driven(self, table: Table, profile: Profile) -> NDArray[np.float64] | None:  # noqa: ARG002
        return None

    @abstractmethod
    def _touch_column(
        self,
        table: Table,
        j: int,
        column: ColumnProfile,
        draw: Draw,
        driven: NDArray[np.float64] | None,
        only: NDArray[np.bool_] | None,
    ) -> None:
        """Change one column of an open table."""

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
            yield from (n for n in names if profile[n].kind in kinds)
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
        fit = [n for n in found if profile[n].kind in self.applies_to]
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

    def _driven(self, table: Table, profile: Profile) -> NDArray[np.float64] | None:
        if self.where.mechanism != "MAR" or self.where.flat:
            return None
        return self.where.by_driver(self.level, table, profile)

    def _touch_column(
        self,
        table: Table,
        j: int,
        column: ColumnProfile,
        draw: Draw,
        driven: NDArray[np.float64] | None,
        only: NDArray[np.bool_] | None,
    ) -> None:
        gone = table.missing(j)
        hit = draw.below(self.level if driven is None else driven, "hit")
        if self.where.mechanism == "MNAR" and not self.where.flat:
            rows = np.arange(table.rows) if gone is None else np.flatnonzero(~gone)
            own = self.where.by_value(self.level, _cells(table, j, rows, column), column)
            hit = np.zeros(table.rows, bool)
            hit[rows] = draw.at(rows).below(own, "hit")
        if gone is not None:
            hit &= ~gone
        if only is not None:
            hit &= only
        rows = np.flatnonzero(hit)
        if rows.size:
            values = _cells(table, j, rows, column) if self.reads else np.empty(0)
            table.put(j, rows, self.cells(values, column, draw.at(rows if self.reads else rows[:0])))

    @abstractmethod
    def cells(self, values: Cells, column: ColumnProfile, draw: Draw) -> Cells | Missing:
        """Return what becomes of the hit cells."""


class ColumnNoise(Noise):
    """A noise that changes every cell of a numeric column, on the scale of the column's spread."""

    def _touch_column(
        self,
        table: Table,
        j: int,
        column: ColumnProfile,
        draw: Draw,
        driven: NDArray[np.float64] | None,  # noqa: ARG002
        only: NDArray[np.bool_] | None,
    ) -> None:
        if column.spread:
            values = table.numbers(j)
            noisy = self.column(values, column, draw)
            table.replace(j, noisy if only is None else np.where(only, noisy, values))

    @abstractmethod
    def column(self, values: NDArray[np.float64], column: ColumnProfile, draw: Draw) -> NDArray[np.float64]:
        """Return the whole column with its noise; NaN stays NaN."""


def _cells(table: Table, j: int, rows: NDArray[np.intp], column: ColumnProfile) -> Cells:
    values = table.pick(j, rows)
    numeric = ("number", "integer", "datetime")
    if (column.kind in numeric) != (values.dtype.kind in "iuf"):
        from hormesis.errors import DataError

        raise DataError(
            f"Column `{column.name}` was {column.kind} in the training data and holds {table.dtype(j)} values here: "
            "give it the same type, or learn the profile anew."
        )
    return values


def row_lanes(table: Table, row_id: str | int | None, *, allow_duplicate_ids: bool = False) -> Lanes:
    """Return the lane of each row of an open table: from its id column, else from its position."""
    if row_id is None:
        return lane(np.arange(table.rows))
    if row_id not in table.names:
        raise RowIdError(
            f"Row id column `{row_id}` does not exist; columns are {listed(table.names)}.{nearest(row_id, table.names)}"
        )
    ids = table.ids(table.names.index(row_id))
    lanes = lane(ids) if isinstance(ids, np.ndarray) and ids.dtype.kind in "iu" else _text_lanes(ids)
    if not allow_duplicate_ids and np.unique(lanes).size < lanes.size:
        raise RowIdError(
            f"Row id column `{row_id}` repeats {lanes.size - np.unique(lanes).size} ids: rows of one id get the same "
            "noise. Use a unique column, or say allow_duplicate_ids=True."
        )
    return lanes


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


def unit_of(kind: type[Noise]) -> Unit:
    """Return the unit of a noise class, read from the type of its level."""
    level: Any = kind.__dataclass_fields__["level"].type
    return next(m for m in level.__metadata__ if isinstance(m, Unit))


class Mistakes(SettingError):  # noqa: N818 (one error, several mistakes)
    """Settings with one mistake or several; `said` holds a sentence for each."""

    def __init__(self, said: list[str]) -> None:
        super().__init__(" ".join(said))
        self.said = said


@dataclass_transform(frozen_default=True)
def noise(kind: type[T]) -> type[T]:
    """Make a class a noise: a frozen record, checked by its types, listed in the catalogue."""
    made: Any = dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))(kind)
    check = made.__init__

    @functools.wraps(check)
    def checked(self: Noise, *level: float, **settings: Any) -> None:
        try:
            if len(level) > 1:
                raise SettingError(
                    f"`{kind.__name__}{level!r}`: only the level is positional; name the other settings."
                )
            check(self, *level, **settings)
        except ValidationError as error:
            mistakes = list(dict.fromkeys(explain(kind, e) for e in error.errors()))
            raise Mistakes(mistakes) from None

    made.__init__ = checked
    CATALOGUE[kind.__name__] = made
    return made  # type: ignore[no-any-return]


_TYPES = {"str", "int", "float", "bool", "function-after"}


def explain(kind: type[Noise], error: Any) -> str:
    """Say one mistake of a noise's settings: what was given, the rule, the mend."""
    path = [p for p in error["loc"] if not (isinstance(p, str) and ("[" in p or p in _TYPES))]
    field = str(path[0]) if path else "settings"
    given = f"`{kind.__name__}({'.'.join(map(str, path))}={error['input']!r})`: "
    if error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        owner = _owner(kind, path)
        known = [f.name for f in dataclasses.fields(owner)]
        return f"{given}no such setting; {owner.__name__} has {listed(known)}.{nearest(path[-1], known)}"
    if field in ("0", "level"):
        value = error["input"]
        given = f"`{kind.__name__}(level={value!r})`: "
        mend = f" Did you mean {value / 100:g}?" if _percent(kind, value) else ""
        return f"{given}level is {unit_of(kind).rule}.{mend}"
    message = str(error["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    return (
        f"{given}{'.'.join(map(str, path)) or 'settings'}: expected {message}."
        if path
        else f"{given}{message}."
    )


def _owner(kind: Any, path: list[Any]) -> Any:
    """Return the record that the last word of a path was meant for."""
    for word in path[:-1]:
        kind = next((f.type for f in dataclasses.fields(kind) if f.name == word), kind)
    return kind


def _percent(kind: type[Noise], value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and unit_of(kind).name == "fraction" and 1 < float(value) <= 100  # type: ignore[arg-type]
