"""From numbers to their ranks in the training distribution and back, without a jump between training values."""

import dataclasses
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hormesis.profile import ColumnProfile

Floats = NDArray[np.float64]


def quantile(points: Floats, share: float) -> float:
    """Return a quantile of sorted points, the i-th of n at rank (i + 1/2) / n, straight lines between them."""
    at = min(max(share * points.size - 0.5, 0.0), points.size - 1.0)
    i = int(at)
    low, high = float(points[i]), float(points[min(i + 1, points.size - 1)])
    between = 2 * (low / 2 + (at - i) * (high / 2 - low / 2))  # halves: no range is too wide
    return min(max(between, low), high)


@dataclasses.dataclass(frozen=True)
class TrainingRanks:
    """The training distribution of a numeric column: its points, the i-th of n at rank (i + 1/2) / n.

    `first` is where the run of equal points begins that a point belongs to; `half` and `gap` are half the points and
    half the way to the next; `whole` says that only points are values of the column.
    """

    points: Floats
    first: NDArray[np.int64]
    half: Floats
    gap: Floats
    whole: bool

    @classmethod
    def of(cls, column: ColumnProfile) -> Self:
        """Read the distribution from a column's profile."""
        points = column.points.astype(np.float64)
        half = points / 2
        few = bool(column.categories) or column.kind == "integer"
        first = np.searchsorted(points, points, "left")
        return cls(points, first, half, np.append(np.diff(half), 0.0), few)

    def of_values(self, x: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """Return the mid-rank of each value, and whether it is a point; 0 and 1 beyond all points."""
        n = self.points.size
        upto = np.searchsorted(self.points, x, "right")
        last = np.maximum(upto - 1, 0)
        seen = self.points[last] == x
        inside = (upto > 0) & (upto < n) & ~seen
        way = np.zeros(x.size)
        np.divide(x / 2 - self.half[last], self.gap[last], out=way, where=inside)
        way += last
        np.copyto(way, (self.first[last] + last) / 2, where=seen)
        way += 0.5
        way /= n
        way[upto == 0] = 0
        way[(upto == n) & ~seen] = 1
        return way, seen

    def values_at(self, ranks: Floats, x: Floats, seen: NDArray[np.bool_], up: NDArray[np.bool_]) -> Floats:
        """Return the values to which `x` moves; where that is no point, it leaves at the next point's rank."""
        n = self.points.size
        at = ranks * n
        new = self._steps(at, seen, up) if self.whole else self._lines(at - 0.5)
        beyond = np.flatnonzero((at < 0.5) & (x < self.points[0]) | (at > n - 0.5) & (x > self.points[-1]))
        if beyond.size:
            share = 2 * np.minimum(at[beyond], n - at[beyond])
            edge = np.clip(x[beyond], self.points[0], self.points[-1])
            line = 2 * (x[beyond] / 2 + share * (edge / 2 - x[beyond] / 2))
            new[beyond] = x[beyond] if self.whole else line
        return new

    def _steps(self, at: Floats, seen: NDArray[np.bool_], up: NDArray[np.bool_]) -> Floats:
        last = self.points.size - 1
        late = np.where(seen, 0.0, 0.5)
        step = np.where(up, np.floor(at - late), np.ceil(at - 1 + late))
        return self.points[np.clip(step, 0, last).astype(np.intp)]

    def _lines(self, at: Floats) -> Floats:
        np.clip(at, 0, self.points.size - 1, out=at)
        i = at.astype(np.intp)
        at -= i
        at *= self.gap[i]
        at += self.half[i]
        at *= 2
        return at
