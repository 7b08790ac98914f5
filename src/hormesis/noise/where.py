"""Which cells are hit: at random, driven by another column, or by the value itself."""

import dataclasses
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Interval
from numpy.typing import NDArray
from pydantic import model_validator

from hormesis.columns import Table, present_rows
from hormesis.errors import SettingError, listed, nearest
from hormesis.key import Draw, Lanes
from hormesis.noise.rowids import value_lanes
from hormesis.profile import ColumnProfile, Profile
from hormesis.records import record

_DEVIATION = float(np.sqrt(12))  # of a uniform on (0, 1) it is 1 / this


@dataclasses.dataclass(frozen=True)
class Aim:
    """How likely each row of one table is hit, in which rows at all, and which rows share their luck."""

    chance: float | NDArray[np.float64]
    only: NDArray[np.bool_] | None = None
    shared: Lanes | None = None


@record
class Where:
    """Which cells a noise hits, at an expected rate that stays exactly the level.

    MCAR: every present cell alike. MAR: by the rank of another column (`driver`) in its training distribution.
    MNAR: by the rank of the cell's own value. The probability of a cell is logistic, sigmoid(a + strength * z),
    with z = sqrt(12) * (r - 1/2) and r the mid-rank, 0 to 1 (z has mean 0, and deviation 1 where values do not repeat;
    categories rank from common to rare; a missing driver counts as average), and `a` solved so that the mean over the
    training distribution is the level. Strength 0 is
    MCAR; 2 is strong; a negative strength hits low values.

    Cells also go bad together. `burst`: runs of that many consecutive row ids (positions, or an integer id column) are
    hit as one, each column with runs of its own, as by a sensor that fails for a while. `group`: all rows with one value of
    that column are hit as one, in each column, as by a whole site or device. The expected rate stays the level; what is
    obtained in one table scatters more, since there are fewer independent draws.

    Source: Rubin (1976) for the mechanisms.

    Examples
    --------
    >>> Where("MAR", driver="age", strength=2)
    Where(mechanism='MAR', driver='age', strength=2.0, burst=1, group=None)
    """

    mechanism: Literal["MCAR", "MAR", "MNAR"] = "MCAR"
    driver: str | int | None = None
    strength: Annotated[float, Interval(ge=-20, le=20)] = 1.0
    burst: Annotated[int, Ge(1)] = 1
    group: str | int | None = None

    @model_validator(mode="after")
    def _driver_goes_with_mar(self) -> "Where":
        if self.mechanism == "MAR" and self.driver is None:
            raise ValueError(
                "mechanism MAR needs a driver, the column that decides: {mechanism: MAR, driver: age}"
            )
        if self.mechanism != "MAR" and self.driver is not None:
            raise ValueError(f"driver `{self.driver}` goes with mechanism MAR, not {self.mechanism}")
        if self.group is not None and self.burst > 1:
            raise ValueError(
                f"burst {self.burst} and group `{self.group}` exclude each other: give one of them"
            )
        return self

    @property
    def flat(self) -> bool:
        """Whether every cell has the same probability."""
        return self.mechanism == "MCAR" or self.strength == 0

    @property
    def single(self) -> bool:
        """Whether each cell is hit by itself."""
        return self.burst == 1 and self.group is None

    def aim(self, level: float, table: Table, profile: Profile, only: NDArray[np.bool_] | None = None) -> Aim:
        """Return the chance of each row of an open table, and the rows that share it."""
        shared = None if self.group is None else value_lanes(table, _position(table, "group", self.group))
        driven = self.mechanism == "MAR" and not self.flat
        return Aim(self.by_driver(level, table, profile) if driven else level, only, shared)

    def together(self, draw: Draw, aim: Aim) -> Draw:
        """Return the draw in which rows that are hit as one are one."""
        if aim.shared is not None:
            return dataclasses.replace(draw, lanes=aim.shared)
        return draw if self.burst == 1 else draw.bursts(self.burst, "burst")

    def by_driver(self, level: float, table: Table, profile: Profile) -> NDArray[np.float64]:
        """Return each row's probability, given the driver in an open table."""
        j = _position(table, "driver", self.driver)
        column = profile[table.names[j]]
        present = present_rows(table, j)
        z = np.zeros(table.rows)
        z[present] = ranks(column, table.pick(j, present))
        return self._probability(level, z, column, column.missing_rate if column.count else 1.0)

    def by_value(self, level: float, values: NDArray[Any], column: ColumnProfile) -> NDArray[np.float64]:
        """Return each cell's probability, given its own value."""
        if not column.count:
            return np.full(values.size, level)
        return self._probability(level, ranks(column, values), column, 0.0)

    def _probability(
        self, level: float, z: NDArray[np.float64], column: ColumnProfile, missing: float
    ) -> NDArray[np.float64]:
        if level in (0.0, 1.0):
            return np.full(z.size, level)
        grid, weight = _training_ranks(column)
        grid, weight = np.append(grid, 0.0), np.append(weight * (1 - missing), missing)
        bound = 40.0 + 2 * abs(self.strength)
        low, high = -bound, bound
        for _ in range(60):
            middle = (low + high) / 2
            rate = weight @ _sigmoid(middle + self.strength * grid)
            low, high = (middle, high) if rate < level else (low, middle)
        return _sigmoid((low + high) / 2 + self.strength * z)


def _position(table: Table, role: str, name: str | int | None) -> int:
    if name not in table.names:
        raise SettingError(
            f"`where` names the {role} `{name}`, which is not among the columns "
            f"{listed(table.names)}.{nearest(name, table.names)}"
        )
    return table.names.index(name)


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    half: NDArray[np.float64] = np.tanh(x / 2) / 2
    return half + 0.5


def ranks(column: ColumnProfile, values: NDArray[Any]) -> NDArray[np.float64]:
    """Return the standardised mid-rank of each value in the training distribution."""
    if column.kind in ("category", "boolean"):
        middle, _ = _category_ranks(column)
        return (np.append(middle, 1.0)[column.codes(values)] - 0.5) * _DEVIATION
    if column.kind not in ("number", "integer", "datetime"):
        raise SettingError(
            f"Column `{column.name}` is {column.kind}: its values have no order that could decide. Leave it out."
        )
    below, upto = column.span(values)
    return ((below + upto) / 2 / max(column.points.size, 1) - 0.5) * _DEVIATION


def _category_ranks(column: ColumnProfile) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    share = np.asarray(column.counts, float) / max(sum(column.counts), 1)
    return np.cumsum(share) - share / 2, share


def _training_ranks(column: ColumnProfile) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if column.kind in ("category", "boolean"):
        middle, share = _category_ranks(column)
        return (middle - 0.5) * _DEVIATION, share
    points = column.points
    return ranks(column, points), np.full(points.size, 1 / max(points.size, 1))
