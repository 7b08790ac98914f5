"""How the rows of a table go bad: repeated, lost, of another mix, or joined to the wrong features."""

import dataclasses
from typing import Annotated, Any, ClassVar, Literal

import narwhals.stable.v2 as nw
import numpy as np
from annotated_types import Interval
from numpy.typing import NDArray
from pydantic import Field, field_validator

from hormesis.columns import Cells, Table, present_rows
from hormesis.errors import SettingError, listed
from hormesis.frames import is_tensor, open_table, take
from hormesis.key import Draw
from hormesis.noise.base import (
    EVERY,
    NUMERIC,
    Columns,
    Noise,
    Only,
    Opened,
    Positive,
    RowFraction,
    RowId,
    RowNoise,
    Sigmas,
    Spares,
    noise,
)
from hormesis.noise.classes import Label, Rate, check_classes, class_of, per_class
from hormesis.noise.edits import misspell
from hormesis.noise.units import Unit
from hormesis.noise.where import Where
from hormesis.profile import ColumnProfile, Kind, Profile

SLIP = 0.1  # spreads by which a number of a near copy is off
Way = Annotated[float, Interval(ge=0, le=1), Unit("fraction", "the way to the shares of the target")]


def _of_rows(where: Where) -> Where:
    if where.mechanism == "MNAR":
        raise ValueError(
            "mechanism is MCAR or MAR here: rows have no value of their own, so name a driver column"
        )
    return where


def _hit(level: float, where: Where, table: Table, profile: Profile, draw: Draw) -> NDArray[np.bool_]:
    aim = where.aim(level, table, profile)
    return where.together(draw, aim).below(aim.chance, "hit")


@noise
class DuplicateRows(RowNoise):
    """Repeat rows, as double submissions, retried writes and merged sources do.

    A hit row gets `copies` copies right after it, index and row id included. With `near` above 0 they are near
    duplicates: that share of the cells of a copy, in the chosen `columns`, gets an edit in a word or an error of about 0.1
    robust standard deviations in a number; booleans, dates and others are copied as they are. `where` chooses rows by
    another column, in runs or in groups. Unit of `level`: fraction of rows.

    Source: Hernández and Stolfo (1995), the merge/purge problem for large databases.

    Examples
    --------
    >>> DuplicateRows(0.5).apply(np.array([[1], [2], [3], [4]]), seed=1).ravel()
    array([1, 2, 3, 3, 4])
    """

    level: RowFraction = 0.1
    columns: Columns = "any"
    copies: Annotated[int, Interval(ge=1, le=100)] = 1
    near: Rate = 0.0
    where: Where = Where()
    applies_to: ClassVar[tuple[Kind, ...]] = ("number", "integer", "category", "text")

    _check_where = field_validator("where")(_of_rows)

    def counts(self, table: Table, profile: Profile, draw: Draw) -> NDArray[np.int64]:
        return 1 + self.copies * _hit(self.level, self.where, table, profile, draw).astype(np.int64)

    def rework(
        self, table: Table, draw: Draw, profile: Profile, copies: NDArray[np.intp], row_id: str | int | None
    ) -> None:
        for j in self.selected(table, profile) if self.near and copies.size else ():
            name, gone = table.names[j], table.missing(j)
            here = draw.within(name)
            rows = copies[here.at(copies).below(self.near, "near")]
            rows = rows if gone is None else rows[~gone[rows]]
            if rows.size and name != row_id:
                table.put(j, rows, _nearly(table.pick(j, rows), profile[name], here.at(rows)))


def _nearly(values: Cells, column: ColumnProfile, draw: Draw) -> Cells:
    """Return values as a second person would have written them down."""
    if values.dtype.kind in "iuf":
        slip = SLIP * float(column.spread or 0) * draw.normal("slip")
        return values + slip if values.dtype.kind == "f" else _stepped(values, slip)
    out = values.copy()
    words = np.fromiter((isinstance(value, str) for value in values), bool, values.size)
    out[words] = misspell(values[words], draw.at(words))
    return out


def _stepped(values: Cells, slip: NDArray[np.float64]) -> Cells:
    """Return whole numbers moved by at least one, back from the ends of their type."""
    ends = np.iinfo(values.dtype)
    step = np.clip(np.rint(np.abs(slip)), 1, ends.max // 4).astype(values.dtype)
    down = ((slip < 0) & (values >= ends.min + step)) | (values > ends.max - step)
    moved: Cells = np.where(down, values - step, values + step)
    return moved


@noise
class DropRows(RowNoise):
    """Lose whole rows, as failed loads, filters and refused answers do.

    `where` chooses which: by another column (sample selection, as where the old do not answer), in runs of consecutive
    rows (a lost batch) or in groups (a lost site). Unit of `level`: fraction of rows.

    Source: Heckman (1979), sample selection bias as a specification error.

    Examples
    --------
    >>> DropRows(0.5).apply(np.array([[1], [2], [3], [4]]), seed=2).ravel()
    array([2, 4])
    """

    level: RowFraction = 0.1
    columns: Columns = "any"
    where: Where = Where()
    applies_to: ClassVar[tuple[Kind, ...]] = EVERY

    _check_where = field_validator("where")(_of_rows)

    def counts(self, table: Table, profile: Profile, draw: Draw) -> NDArray[np.int64]:
        return 1 - _hit(self.level, self.where, table, profile, draw).astype(np.int64)


class Thinning(RowNoise):
    """A noise that drops rows by their value in one column, so that its distribution becomes another."""

    def counts(self, table: Table, profile: Profile, draw: Draw) -> NDArray[np.int64]:
        j = self._one(table, profile)
        column, rows = profile[table.names[j]], present_rows(table, j)
        drop = np.full(table.rows, 0.0)
        if column.count:
            present, absent = self.dropping(table.pick(j, rows), column)
            drop[:] = absent
            drop[rows] = present
        return 1 - draw.within(table.names[j]).below(drop, "drop").astype(np.int64)

    def dropping(self, values: Cells, column: ColumnProfile) -> tuple[NDArray[np.float64], float]:
        """Return how likely each present value costs its row, and a missing one."""
        raise NotImplementedError

    def _one(self, table: Table, profile: Profile) -> int:
        chosen = self.selected(table, profile)
        name = type(self).__name__
        if not chosen:
            raise SettingError(
                f"`{name}` goes by one column of {' or '.join(self.applies_to)} values; `columns` "
                f"{self.columns!r} chooses none of this table."
            )
        if len(chosen) > 1:
            one = table.names[chosen[-1]]
            raise SettingError(
                f"`{name}` goes by one column, and `columns` {self.columns!r} chooses {len(chosen)} of "
                f"{listed(table.names)}: name it, as in {name}({self.level:g}, columns=[{one!r}])."
            )
        return chosen[0]


@noise
class PriorShift(Thinning):
    """Change the balance of the classes, as a rare disease in an epidemic does.

    Rows are dropped so that the expected shares of the classes move from those of the training data towards a target:
    ``share = (1 - level) * own + level * target``. `toward` is the target: one class (None: the rarest one), or the
    weights of several classes, such as ``{"yes": 1, "no": 1}`` for balance. Within a class rows go at random; rows whose
    label is missing or unseen stay. In `NoisyTraining` the default columns, "any", mean the label vector; elsewhere
    `columns` names one column. Unit of `level`: fraction of the way to the shares of the target.

    Source: Saerens et al. (2002), adjusting a classifier to new a priori probabilities.

    Examples
    --------
    >>> y = np.array(["no"] * 90 + ["yes"] * 10)
    >>> out = PriorShift(0.4).apply(y, seed=1)
    >>> (out == "no").sum(), (out == "yes").sum()
    (np.int64(13), np.int64(10))
    """

    level: Way = 0.2
    columns: Columns = "any"
    toward: Annotated[dict[Label, Positive] | Label | None, Field(union_mode="left_to_right")] = None
    applies_to: ClassVar[tuple[Kind, ...]] = ("category", "boolean", "integer", "number", "text")

    def dropping(self, values: Cells, column: ColumnProfile) -> tuple[NDArray[np.float64], float]:
        check_classes("PriorShift", column, "For a column of numbers, use CovariateShift.")
        own = np.asarray(column.counts, float) / sum(column.counts)
        ratio = 1 - self.level + self.level * self._target(column) / own
        return np.append(1 - ratio / ratio.max(), 0.0)[column.codes(values)], 0.0

    def _target(self, column: ColumnProfile) -> NDArray[np.float64]:
        if isinstance(self.toward, dict):
            target = per_class("PriorShift", self.toward, column, 0.0)
            target /= target.sum()
        else:
            target = np.zeros(len(column.categories))
            target[-1 if self.toward is None else class_of("PriorShift", self.toward, column)] = 1.0
        return target


@noise
class CovariateShift(Thinning):
    """Change the distribution of a number by dropping rows, as another season or another crowd does.

    Rows are kept with probability ``exp(theta * x) / max``, the maximum over the training values: exponential tilting, with
    theta such that the expected mean moves by `level`. Features and labels of the rows left stay as they were. A row
    whose value is missing is kept with the mean probability. Unit of `level`: robust standard deviations of the training
    data. A selection of rows cannot move the mean beyond the training values: asking for more is an error that says
    how far it can go, and towards that end hardly any row is left.

    Source: Esscher (1932), exponential tilting; Shimodaira (2000), covariate shift.

    Examples
    --------
    >>> x = np.arange(1000.0)
    >>> x.mean(), CovariateShift(0.5).apply(x, seed=1).mean().round()
    (np.float64(499.5), np.float64(674.0))
    """

    level: Sigmas = 0.5
    columns: Columns = "numeric"
    direction: Literal["up", "down"] = "up"
    applies_to: ClassVar[tuple[Kind, ...]] = NUMERIC

    def dropping(self, values: Cells, column: ColumnProfile) -> tuple[NDArray[np.float64], float]:
        if not column.spread:
            return np.zeros(values.size), 0.0
        sign = (1 if self.direction == "up" else -1) / column.spread
        points = np.sort(sign * column.points.astype(np.float64))
        theta = self._theta(points - points[-1], column)
        keep = np.exp(theta * np.minimum(sign * values.astype(np.float64) - points[-1], 0))
        return 1 - keep, float(1 - np.exp(theta * (points - points[-1])).mean())

    def _theta(self, below: NDArray[np.float64], column: ColumnProfile) -> float:
        """Return the tilt at which the weighted mean of the training values is `level` above the plain one."""
        from scipy.optimize import brentq

        if self.level >= -below.mean():
            raise SettingError(
                f"`CovariateShift(level={self.level:g})`: dropping rows moves the mean of `{column.name}` "
                f"{self.direction} by less than {-below.mean():.4g} robust standard deviations, to the last of its "
                "training values. Choose a lower level."
            )

        def missed(theta: float) -> float:
            weights = np.exp(theta * below)
            return float(weights @ below / weights.sum() - below.mean()) - self.level

        high = 1.0
        while missed(high) < 0:
            high *= 2
        return float(brentq(missed, 0.0, high, xtol=1e-12))


@noise
class ShuffledRows(Noise):
    """Join rows to the features of another row, as a merge on the wrong key or a slipped sort does.

    A hit row takes its cells in the chosen columns from its partner, the next row in a random order of the whole table
    (the last one's is the first): all from one row, missing cells included. So at level 1 every row of features is there
    once, with the labels of another. Leave labels and keys out of `columns`. A table of one row stays.
    Unit of `level`: fraction of rows.

    Source: Neter et al. (1965), the effect of mismatching on the measurement of response errors.

    Examples
    --------
    >>> ShuffledRows(1.0, columns=(0, 1)).apply(np.array([[1, 10, 0], [2, 20, 1], [3, 30, 0]]), seed=1)
    array([[ 3, 30,  0],
           [ 1, 10,  1],
           [ 2, 20,  0]])
    """

    level: RowFraction = 0.1
    columns: Columns = "any"
    applies_to: ClassVar[tuple[Kind, ...]] = EVERY
    spares: ClassVar[Spares] = "chance"
    whole: ClassVar[bool] = True

    def _touch(self, table: Table, profile: Profile, draw: Draw, row_id: RowId, only: Only) -> Opened:
        if table.rows < 2:
            return table, draw
        order = np.argsort(dataclasses.replace(draw, mirror=False).uniform("order"), kind="stable")
        rows = np.arange(table.rows)
        partner = np.empty_like(rows)
        partner[order] = np.roll(order, -1)
        hit = draw.below(self.level, "hit")
        source = np.where(hit if only is None else hit & only, partner, rows)
        chosen = [j for j in self.selected(table, profile) if table.names[j] != row_id]
        made = open_table(_moved(table.close(), chosen, source))
        made.widened |= table.widened
        return made, draw


def _moved(data: Any, columns: list[int], source: NDArray[np.intp]) -> Any:
    """Return a table whose cells in some columns (positions) come from other rows; its index stays."""
    if isinstance(data, np.ndarray) or is_tensor(data):
        flat = data.reshape(len(data), -1)
        flat[:, columns] = take(flat, source)[:, columns]
        return flat.reshape(data.shape)
    moved = take(data, source)
    if hasattr(data, "iloc"):
        moved.index, moved.attrs = data.index, data.attrs
    if not hasattr(data, "columns"):
        return moved if columns else data
    old, new = (nw.from_native(frame, eager_only=True) for frame in (data, moved))
    return old.with_columns([new[:, j] for j in columns]).to_native() if columns else data
