"""How labels go bad: for training data only, since a test needs true labels."""

from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Interval
from numpy.typing import NDArray
from pydantic import BeforeValidator

from hormesis.columns import Cells, Table
from hormesis.errors import DataError, SettingError, listed, nearest
from hormesis.key import Draw
from hormesis.noise.base import Columns, LabelFraction, Noise, Positive, noise
from hormesis.profile import ColumnProfile, Kind, Profile

Rate = Annotated[float, Interval(ge=0, le=1)]
Label = Annotated[str, BeforeValidator(str)]  # JSON knows no other kind of name


@noise
class LabelFlips(Noise):
    """Replace labels by another class, as tired or careless annotators do.

    Symmetric by default: a hit label becomes any other class, each alike. `by_class` scales the level for some classes
    (0: never hit; 1, the default: hit at the level). `transition` says where the labels of a class go, as weights
    of the other classes. A full noise matrix T is `level` 1, ``by_class[c] = 1 - T[c][c]`` and its off-diagonal rows.
    Apply it to a label vector, or to a table with `columns` naming the label. Unit of `level`: fraction of labels.

    Source: Natarajan et al. (2013), learning with noisy labels.

    Examples
    --------
    >>> y = np.array(["no", "yes", "no", "no"])
    >>> LabelFlips(1.0, by_class={"yes": 0.0}).apply(y)
    array(['yes', 'yes', 'yes', 'yes'], dtype='<U3')
    """

    level: LabelFraction = 0.1
    columns: Columns = "any"
    by_class: dict[Label, Rate] | None = None
    transition: dict[Label, dict[Label, Positive]] | None = None
    applies_to: ClassVar[tuple[Kind, ...]] = ("category", "boolean", "integer", "number", "text")
    changes_labels: ClassVar[bool] = True

    def selected(self, table: Table, profile: Profile) -> list[int]:
        if self.columns == "any" and len(table.names) > 1:
            raise SettingError(
                "`LabelFlips` was given a whole table: give it the label vector, or name the label column, "
                "as in LabelFlips(0.1, columns=['label'])."
            )
        return super().selected(table, profile)

    def _touch_column(
        self,
        table: Table,
        j: int,
        column: ColumnProfile,
        draw: Draw,
        driven: NDArray[np.float64] | None,  # noqa: ARG002
        only: NDArray[np.bool_] | None,
    ) -> None:
        if not column.count:
            return
        if not all(_names_class(c) for c in column.categories or (0.5,)):
            raise DataError(
                f"`LabelFlips` needs classes; `{column.name}` holds {column.kind} values that are not whole or too "
                "many to be classes. For regression, add GaussianNoise to the target."
            )
        gone = table.missing(j)
        rows = np.arange(table.rows) if gone is None else np.flatnonzero(~gone)
        values = table.pick(j, rows)
        code = column.codes(values)
        rate = np.append(self._rates(column), 1.0)[code] * self.level
        hit = draw.at(rows).below(rate, "hit")
        if only is not None:
            hit &= only[rows]
        rows, code = rows[hit], code[hit]
        if rows.size:
            table.put(j, rows, self._flip(values[hit], code, column, draw.at(rows)))

    def _rates(self, column: ColumnProfile) -> NDArray[np.float64]:
        given = {_class(c, column): r for c, r in (self.by_class or {}).items()}
        return np.array([given.get(i, 1.0) for i in range(len(column.categories))])

    def _flip(self, values: Cells, code: NDArray[np.int64], column: ColumnProfile, draw: Draw) -> Cells:
        n, u = len(column.categories), draw.uniform("other")
        weights = np.ones((n + 1, n))
        for c, row in (self.transition or {}).items():
            weights[_class(c, column)] = 0.0
            for d, w in row.items():
                weights[_class(c, column), _class(d, column)] = w
        np.fill_diagonal(weights[:n], 0.0)
        ends = np.cumsum(weights, axis=1)[code]
        new = (ends <= (u * ends[:, -1])[:, None]).sum(axis=1)
        known = np.empty(n, object)
        known[:] = column.categories
        out = np.where(ends[:, -1] > 0, known[np.minimum(new, n - 1)], values)
        return out.astype(values.dtype)


def _names_class(category: bool | int | float | str) -> bool:  # noqa: FBT001 (labels may be booleans)
    return not isinstance(category, float) or category.is_integer()


def _class(label: str, column: ColumnProfile) -> int:
    """Return the position of a class; `1` and `1.0` name the same one."""
    for i, known in enumerate(column.categories):
        if label == str(known) or (isinstance(known, float) and label == f"{known:.0f}"):
            return i
    raise SettingError(
        f"`LabelFlips` names the class `{label}`; the labels are {listed(column.categories)}."
        f"{nearest(label, column.categories)}"
    )
