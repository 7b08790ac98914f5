"""Which cells are hit: at random, driven by another column, or by the value itself."""

from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Interval
from numpy.typing import NDArray
from pydantic import ConfigDict, model_validator
from pydantic.dataclasses import dataclass

from hormesis.columns import Table
from hormesis.errors import SettingError
from hormesis.profile import ColumnProfile, Profile

_DEVIATION = float(np.sqrt(12))  # of a uniform on (0, 1) it is 1 / this


@dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Where:
    """Which cells a noise hits, at an expected rate that stays exactly the level.

    MCAR: every present cell alike. MAR: by the rank of another column (`driver`) in its training distribution.
    MNAR: by the rank of the cell's own value. The probability of a cell is logistic, sigmoid(a + strength * z),
    with z the standardised rank (mean 0, deviation 1; categories rank from common to rare; a missing driver
    counts as average) and `a` solved so that the mean over the training distribution is the level. Strength 0 is
    MCAR; 2 is strong; a negative strength hits low values.

    Source: Rubin (1976) for the mechanisms.

    Examples
    --------
    >>> Where("MAR", driver="age", strength=2)
    Where(mechanism='MAR', driver='age', strength=2.0)
    """

    mechanism: Literal["MCAR", "MAR", "MNAR"] = "MCAR"
    driver: str | int | None = None
    strength: Annotated[float, Interval(ge=-20, le=20)] = 1.0

    @model_validator(mode="after")
    def _driver_goes_with_mar(self) -> "Where":
        if self.mechanism == "MAR" and self.driver is None:
            raise ValueError(
                "mechanism MAR needs a driver, the column that decides: {mechanism: MAR, driver: age}"
            )
        if self.mechanism != "MAR" and self.driver is not None:
            raise ValueError(f"driver `{self.driver}` goes with mechanism MAR, not {self.mechanism}")
        return self

    @property
    def flat(self) -> bool:
        """Whether every cell has the same probability."""
        return self.mechanism == "MCAR" or self.strength == 0

    def by_driver(self, level: float, table: Table, profile: Profile) -> NDArray[np.float64]:
        """Return each row's probability, given the driver in an open table."""
        if self.driver not in table.names:
            from hormesis.errors import listed, nearest

            raise SettingError(
                f"`where` names the driver `{self.driver}`, which is not among the columns "
                f"{listed(table.names)}.{nearest(self.driver, table.names)}"
            )
        j = table.names.index(self.driver)
        column = profile[self.driver]
        gone = table.missing(j)
        present = np.arange(table.rows) if gone is None else np.flatnonzero(~gone)
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
