"""How labels go bad: for training data only, since a test needs true labels."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Interval
from numpy.typing import NDArray
from pydantic import ValidationInfo, field_validator

from hormesis.columns import Cells, Table, present_rows
from hormesis.errors import SettingError
from hormesis.key import CHUNK, Draw
from hormesis.noise.base import (
    Aim,
    Changes,
    ColumnNoise,
    Columns,
    LabelFraction,
    Noise,
    Positive,
    Sigmas,
    Spares,
    noise,
)
from hormesis.noise.classes import Label, Rate, check_classes, class_of, in_order, per_class
from hormesis.noise.units import Unit
from hormesis.noise.where import Where
from hormesis.profile import ColumnProfile, Kind, Profile

CLASSES: tuple[Kind, ...] = ("category", "boolean", "integer", "number", "text")
NO_CLASSES = "For regression, use RegressionLabelNoise."
Matrix = dict[Label, dict[Label, Rate]]
LabelWeight = Annotated[float, Interval(ge=0, le=1), Unit("fraction", "the label's weight")]


class LabelNoise(Noise):
    """A noise for a label vector, or for the columns of a table that are named as labels."""

    changes: ClassVar[Changes] = "labels"

    def selected(self, table: Table, profile: Profile) -> list[int]:
        if self.columns == "any" and len(table.names) > 1:
            name = type(self).__name__
            raise SettingError(
                f"`{name}` was given a whole table: give it the label vector, or name the label column, "
                f"as in {name}({self.level:g}, columns=['label'])."
            )
        return super().selected(table, profile)


@noise
class LabelFlips(LabelNoise):
    """Replace labels by another class, as tired or careless annotators do.

    Symmetric by default: a hit label becomes any other class, each alike. `by_class` scales the level for some classes
    (0: never hit; 1, the default: hit at the level). `transition` says where the labels of a class go, as weights
    of the other classes; "pairs" takes each class to the next one in order, the last to the first. `matrix` is a noise
    matrix T instead of both: ``matrix[c][d]`` is the share of the labels c that become d at `level` 1, rows sum to one,
    and classes without a row stay.

    `where` chooses labels by another column: with out-of-fold hardness as driver (see `hormesis.hardness`), hard
    examples flip more often. It decides within the rates of the classes, which are exact at strength 0.

    Apply it to a label vector, or to a table with `columns` naming the label. Unit of `level`: fraction of labels.

    Source: Natarajan et al. (2013), learning with noisy labels; Han et al. (2018), co-teaching, for pairs.

    Examples
    --------
    >>> y = np.array(["no", "yes", "no", "no"])
    >>> LabelFlips(1.0, by_class={"yes": 0.0}).apply(y)
    array(['yes', 'yes', 'yes', 'yes'], dtype='<U3')
    >>> LabelFlips(1.0, transition="pairs").apply(np.array([0, 1, 2]))
    array([1, 2, 0])
    """

    level: LabelFraction = 0.1
    columns: Columns = "any"
    by_class: dict[Label, Rate] | None = None
    transition: Literal["pairs"] | dict[Label, dict[Label, Positive]] | None = None
    matrix: Matrix | None = None
    where: Where = Where()
    applies_to: ClassVar[tuple[Kind, ...]] = CLASSES

    @field_validator("matrix")
    @classmethod
    def _is_stochastic(cls, matrix: Matrix | None, info: ValidationInfo) -> Matrix | None:
        for c, row in (matrix or {}).items():
            if abs(sum(row.values()) - 1) > 1e-6:
                raise ValueError(f"rows that sum to one; the row of `{c}` sums to {sum(row.values()):g}")
        given = [n for n in ("by_class", "transition") if info.data.get(n) is not None]
        if matrix is not None and given:
            raise ValueError(f"either matrix or {given[0]}: a matrix says both how often and where to")
        return matrix

    def _aim(self, table: Table, profile: Profile, only: NDArray[np.bool_] | None) -> Aim:
        return self.where.aim(self.level, table, profile, only)

    def _touch_column(self, table: Table, j: int, column: ColumnProfile, draw: Draw, aim: Aim) -> None:
        if not column.count:
            return
        check_classes("LabelFlips", column, NO_CLASSES)
        rows, values = _present(table, j)
        code = column.codes(values)
        rate = self._rates(column)[code] * self._chance(values, rows, column, aim)
        hit = self.where.together(draw, aim).at(rows).below(rate, "hit")
        if aim.only is not None:
            hit &= aim.only[rows]
        rows, code = rows[hit], code[hit]
        if rows.size:
            table.put(j, rows, self._flip(values[hit], code, column, draw.at(rows)))

    def _chance(
        self, values: Cells, rows: NDArray[np.intp], column: ColumnProfile, aim: Aim
    ) -> float | NDArray[np.float64]:
        if self.where.mechanism == "MNAR" and not self.where.flat:
            return self.where.by_value(self.level, values, column)
        return aim.chance[rows] if isinstance(aim.chance, np.ndarray) else aim.chance

    def _rates(self, column: ColumnProfile) -> NDArray[np.float64]:
        """Return the share of each class that flips at level 1, and last that of classes never seen."""
        if self.matrix is None:
            return np.append(per_class("LabelFlips", self.by_class or {}, column, 1.0), 1.0)
        rates = np.zeros(len(column.categories) + 1)
        for c, row in self.matrix.items():
            own = class_of("LabelFlips", c, column)
            rates[own] = 1 - per_class("LabelFlips", row, column, 0.0)[own]
        return rates

    def _flip(self, values: Cells, code: NDArray[np.int64], column: ColumnProfile, draw: Draw) -> Cells:
        ends, u = np.cumsum(self._weights(column), axis=1), draw.uniform("other")
        new = np.empty(u.size, np.intp)
        for a in range(0, u.size, CHUNK):  # a row of weights for each label takes room
            part, some = slice(a, a + CHUNK), ends[code[a : a + CHUNK]]
            new[part] = (some <= (u[part] * some[:, -1])[:, None]).sum(axis=1)
        known = _names(column)[np.minimum(new, len(column.categories) - 1)]
        return np.where(ends[code, -1] > 0, known, values).astype(values.dtype)

    def _weights(self, column: ColumnProfile) -> NDArray[np.float64]:
        """Return where the labels of each class go, and in the last row those of classes never seen."""
        n = len(column.categories)
        weights = np.ones((n + 1, n))
        for c, row in self._towards(column).items():
            weights[class_of("LabelFlips", c, column)] = per_class("LabelFlips", row, column, 0.0)
        np.fill_diagonal(weights[:n], 0.0)
        return weights

    def _towards(self, column: ColumnProfile) -> Mapping[str, Mapping[str, float]]:
        if self.transition != "pairs":
            return self.transition or self.matrix or {}
        names = [str(column.categories[i]) for i in in_order(column)]
        return {c: {d: 1.0} for c, d in zip(names, names[1:] + names[:1], strict=True)}


@noise
class LabelSmoothing(LabelNoise):
    """Share the certainty of labels among all classes, so that models grow less sure of them.

    A label of one of K classes becomes the distribution ``(1 - level) * own + level / K``. `NoisyTraining` trains on
    exactly that: each noisy row becomes K rows, one per class, with these weights, which takes a model with
    `sample_weight`. A column of labels can hold one class only: `apply` draws each label from its distribution, so
    that ``level * (K - 1) / K`` of them change. For nets, their own setting `label_smoothing` is cheaper.

    Unit of `level`: fraction of the label's weight.

    Source: Szegedy et al. (2016), rethinking the Inception architecture.

    Examples
    --------
    >>> LabelSmoothing(1.0).apply(np.array([0, 0, 1, 1, 2, 2]), seed=2)
    array([0, 2, 1, 2, 2, 1])
    """

    level: LabelWeight = 0.1
    columns: Columns = "any"
    applies_to: ClassVar[tuple[Kind, ...]] = CLASSES
    spares: ClassVar[Spares] = "chance"

    def _touch_column(self, table: Table, j: int, column: ColumnProfile, draw: Draw, aim: Aim) -> None:
        if not column.count:
            return
        check_classes("LabelSmoothing", column, NO_CLASSES)
        rows, values = _present(table, j)
        hit = draw.at(rows).below(self.level, "hit")
        if aim.only is not None:
            hit &= aim.only[rows]
        if hit.any():
            some = draw.at(rows[hit]).integers(len(column.categories), "class")
            table.put(j, rows[hit], _names(column)[some].astype(values.dtype))


@noise
class RegressionLabelNoise(LabelNoise, ColumnNoise):
    """Add errors to the numbers of a regression target, as measured or estimated targets have.

    ``y + level * spread * z`` with z standard normal, the same z at every level; integers are rounded. A share
    `heavy_tails` of the labels gets errors ten times as wide, as gross mistakes have. Apply it to a target vector, or to a
    table with `columns` naming the target. Unit of `level`: robust standard deviations of the training data.

    Source: Tukey (1960), contaminated normal; Fuller (1987), measurement error models.

    Examples
    --------
    >>> RegressionLabelNoise(0.1).apply(np.array([1.0, 2.0, 3.0, 4.0]), seed=1).round(2)
    array([1.11, 1.87, 2.93, 3.98])
    """

    level: Sigmas = 0.1
    columns: Columns = "any"
    heavy_tails: Rate = 0.0
    applies_to: ClassVar[tuple[Kind, ...]] = ("number", "integer")

    def column(self, values: NDArray[np.float64], column: ColumnProfile, draw: Draw) -> NDArray[np.float64]:
        wide = np.where(draw.below(self.heavy_tails, "tail"), 10.0, 1.0)
        return values + self.level * float(column.spread or 0) * wide * draw.normal("z")


def _present(table: Table, j: int) -> tuple[NDArray[np.intp], Cells]:
    rows = present_rows(table, j)
    return rows, table.pick(j, rows)


def _names(column: ColumnProfile) -> NDArray[Any]:
    known = np.empty(len(column.categories), object)
    known[:] = column.categories
    return known
