"""Noises made where a tensor is: the values of the NumPy noises, bit for bit, without a trip through the CPU."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hormesis.key import Draw, key
from hormesis.noise import (
    GaussianNoise,
    Masking,
    MissingValues,
    Noise,
    Outliers,
    Shift,
    SwapNoise,
    UnitErrors,
)
from hormesis.noise.base import CellNoise, ColumnNoise
from hormesis.profile import ColumnProfile, Profile
from hormesis.torch import keyed

if TYPE_CHECKING:
    from hormesis.torch.doors.tensors import TensorTable


class Block:
    """Some rows of the columns that a noise changes, with their addresses."""

    def __init__(self, columns: Sequence[ColumnProfile], draw: Draw, device: torch.device) -> None:
        self.columns, self.draw, self.device = columns, draw, device
        self.lanes = torch.from_numpy(draw.lanes.view(np.int64)).to(device)
        self._keys: dict[str, Tensor] = {}

    def keys(self, purpose: str) -> Tensor:
        """Return the key of each column for a purpose."""
        if purpose not in self._keys:
            path = self.draw.path
            words = [key(self.draw.seed, *path, c.name, purpose) for c in self.columns]
            self._keys[purpose] = keyed.keys(words, self.device)
        return self._keys[purpose]

    def whole(self, name: str, purpose: str, rows: slice, *more: float) -> Tensor:
        """Draw for every cell of some rows."""
        draw: Any = getattr(keyed, name)
        drawn: Tensor = draw(self.lanes[rows, None], self.keys(purpose), *more, mirror=self.draw.mirror)
        return drawn

    def cells(self, purpose: str, at: tuple[Tensor, Tensor]) -> Tensor:
        """Draw a uniform for some cells, given their rows and columns."""
        return keyed.uniform(self.lanes[at[0]], self.keys(purpose)[at[1]], mirror=self.draw.mirror)

    def each(self, values: Sequence[float]) -> Tensor:
        """Return one float64 per column."""
        return torch.tensor(values, dtype=torch.float64, device=self.device)


Maker = Callable[[Any, Block, Tensor, slice], Tensor]


def made(
    table: "TensorTable",
    noise: Noise,
    profile: Profile,
    draw: Draw,
    row_id: str | int | None,
    only: NDArray[np.bool_] | None,
) -> bool:
    """Add a noise to a table of floats on its own device; False where only the CPU can make it."""
    chosen = [j for j in noise.selected(table, profile) if table.names[j] != row_id]
    if isinstance(noise, ColumnNoise):
        chosen = [j for j in chosen if profile[table.names[j]].spread]
    columns = [profile[table.names[j]] for j in chosen]
    make = _MAKERS.get(type(noise))
    if make is None or not table.tensor.is_floating_point() or not _fits(noise, columns):
        return False
    x, some = table.tensor.clone(), None if only is None else torch.from_numpy(only).to(table.tensor.device)
    block = Block(columns, draw, x.device)
    at = torch.tensor(chosen, dtype=torch.int64, device=x.device)
    for rows in keyed.spans(table.rows, len(chosen), x.device):
        before = x[rows].index_select(1, at)
        after = make(noise, block, before, rows)
        if some is not None:
            after = torch.where(some[rows, None], after, before)
        x[rows] = x[rows].index_copy(1, at, after)
    table.tensor = x
    return True


def _fits(noise: Noise, columns: Sequence[ColumnProfile]) -> bool:
    if isinstance(noise, CellNoise) and not (noise.where.flat and noise.where.single):
        return False
    return all(c.kind == "number" or (c.kind == "integer" and type(noise) is not SwapNoise) for c in columns)


def _gaussian(noise: GaussianNoise, block: Block, x: Tensor, rows: slice) -> Tensor:
    scale = block.each([noise.level * float(c.spread or 0) for c in block.columns])
    return block.whole("normal", "z", rows).mul_(scale).add_(x).to(x.dtype)


def _shift(noise: Shift, block: Block, x: Tensor, rows: slice) -> Tensor:  # noqa: ARG001
    steps = []
    for c in block.columns:
        coin = block.draw.within(c.name).coin("direction") if noise.direction == "random" else 1.0
        up = noise.direction == "up" or coin < 0.5
        steps.append((1 if up else -1) * noise.level * float(c.spread or 0))
    return (x.double() + block.each(steps)).to(x.dtype)


def _hit(noise: Any, block: Block, x: Tensor, rows: slice) -> Tensor:
    return block.whole("below", "hit", rows, noise.level) & ~x.isnan()


def _missing(noise: MissingValues, block: Block, x: Tensor, rows: slice) -> Tensor:
    return x.masked_fill(_hit(noise, block, x, rows), torch.nan)


def _masking(noise: Masking, block: Block, x: Tensor, rows: slice) -> Tensor:
    given = 0.0 if noise.fill == "zero" else noise.fill
    fills = [c.mean if isinstance(given, str) else given for c in block.columns]
    known = torch.tensor([f is not None for f in fills], device=x.device)
    fill = block.each([f or 0.0 for f in fills]).to(x.dtype)
    return torch.where(_hit(noise, block, x, rows) & known, fill, x)


def _outliers(noise: Outliers, block: Block, x: Tensor, rows: slice) -> Tensor:
    spread = block.each([noise.magnitude * (c.spread or 0.0) for c in block.columns])
    center = block.each([c.center or 0.0 for c in block.columns])
    sign = torch.where(block.whole("below", "sign", rows, 0.5), 1.0, -1.0).double()
    return torch.where(_hit(noise, block, x, rows) & (spread > 0), (sign * spread + center).to(x.dtype), x)


def _unit_errors(noise: UnitErrors, block: Block, x: Tensor, rows: slice) -> Tensor:
    factors, n = block.each(noise.factors), len(noise.factors)
    drawn = block.whole("uniform", "factor", rows).mul_(n).long().clamp_(max=n - 1)
    return torch.where(_hit(noise, block, x, rows), (x.double() * factors[drawn]).to(x.dtype), x)


def _swap(noise: SwapNoise, block: Block, x: Tensor, rows: slice) -> Tensor:
    sizes = [c.points.size for c in block.columns]
    size = torch.tensor(sizes, device=x.device)
    base = torch.from_numpy(np.concatenate([[0], np.cumsum(sizes)[:-1]])).to(x.device)
    points = torch.from_numpy(np.concatenate([c.points for c in block.columns])).to(x.device)
    row, column = (_hit(noise, block, x, rows) & (size > 0)).nonzero(as_tuple=True)
    n, first, old = size[column], base[column], x[row, column].double()
    at = (row + rows.start, column)
    new = points[first + torch.minimum((block.cells("donor", at) * n).long(), n - 1)]
    own = (new == old).nonzero().flatten()
    old, n, first = old[own], n[own], first[own]
    start, stop = (_found(points, first, n, old, right=right) for right in (False, True))
    again = block.cells("again", (at[0][own], at[1][own]))
    other = _skip(again, start, stop, n)
    new[own] = torch.where(other < n, points[first + torch.minimum(other, n - 1)], old)
    return x.index_put((row, column), new.to(x.dtype))


def _found(points: Tensor, first: Tensor, n: Tensor, values: Tensor, *, right: bool) -> Tensor:
    """Search each value in its own sorted stretch of `points`."""
    low, high = torch.zeros_like(n), n.clone()
    for _ in range(int(n.max()).bit_length() if n.numel() else 0):
        middle = (low + high) // 2
        there = points[first + torch.minimum(middle, n - 1)]
        beyond = ((there <= values) if right else (there < values)) & (low < high)
        low, high = (
            torch.where(beyond, middle + 1, low),
            torch.where(beyond, high, torch.maximum(middle, low)),
        )
    return low


def _skip(u: Tensor, start: Tensor, stop: Tensor, n: Tensor) -> Tensor:
    """Return a position from 0 to n - 1 outside start:stop; n where nothing is left."""
    width = stop - start
    left = n - width
    at = torch.minimum((u * left).long(), (left - 1).clamp_(min=0))
    at += width * (at >= start)
    return torch.where(left <= 0, n, at)


_MAKERS: dict[type[Noise], Maker] = {
    GaussianNoise: _gaussian,
    Shift: _shift,
    MissingValues: _missing,
    Masking: _masking,
    Outliers: _outliers,
    UnitErrors: _unit_errors,
    SwapNoise: _swap,
}
