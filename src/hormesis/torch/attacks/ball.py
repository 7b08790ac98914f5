"""What lies within epsilon of clean inputs: steps, projections and starts for three norms."""

import copy
from collections.abc import Sequence
from typing import ClassVar, Protocol, Self

import torch
from torch import Tensor

JUST = 1 + 1e-6
FEW = 1e-12
TINY = 1e-6


class Draws(Protocol):
    """Random numbers for an attack, by purpose."""

    def uniform(self, like: Tensor, purpose: str) -> Tensor:
        """Draw uniforms from -1 to 1."""

    def normal(self, like: Tensor, purpose: str) -> Tensor:
        """Draw standard normals."""

    def of(self, rows: Tensor) -> Self:
        """Return the draws of some rows."""


class Ball:
    """The legal inputs within epsilon of `x`; distances are in units of `scale`, a scale of 0 keeps a feature still."""

    reach: ClassVar[str]

    def __init__(
        self,
        x: Tensor,
        epsilon: float,
        *,
        low: Tensor,
        high: Tensor,
        scale: Tensor,
        integer: Tensor | None,
        groups: Sequence[Tensor],
    ) -> None:
        self.x, self.epsilon, self.scale, self.integer, self.groups = x, epsilon, scale, integer, groups
        if integer is not None:
            low, high = torch.where(integer, low.ceil(), low), torch.where(integer, high.floor(), high)
        far = scale * epsilon
        self.low, self.high = torch.maximum(x - far, low), torch.minimum(x + far, high)
        self.relaxed = integer is not None or bool(groups)

    def of(self, rows: Tensor) -> Self:
        """Return the ball of some rows."""
        some = copy.copy(self)
        some.x, some.low, some.high = self.x[rows], self.low[rows], self.high[rows]
        return some

    def rows(self, values: Tensor) -> Tensor:
        """Return one number per row in a shape that broadcasts against the input."""
        return values.reshape(-1, *[1] * (self.x.ndim - 1))

    def boxed(self, at: Tensor) -> Tensor:
        """Hold each feature to its own bounds."""
        return torch.clamp(at, self.low, self.high)

    def start(self, draws: Draws) -> Tensor:
        """Return random points of the ball."""
        raise NotImplementedError

    def step(self, at: Tensor, gradient: Tensor, size: float | Tensor) -> Tensor:
        """Move by `size` (in units of scale) up the gradient, and back into the ball."""
        raise NotImplementedError

    def project(self, at: Tensor) -> Tensor:
        """Return the points moved into the ball."""
        raise NotImplementedError

    def units(self, at: Tensor) -> Tensor:
        """Return the move from the clean input in units of scale, shape (rows, features)."""
        move = torch.where(self.scale > 0, (at - self.x) / self.scale, torch.zeros_like(at))
        return move.flatten(1)

    def distance(self, at: Tensor) -> Tensor:
        """Return how far each row is from its clean input."""
        raise NotImplementedError

    def legal(self, at: Tensor) -> Tensor:
        """Return the points with whole numbers and categories where the space asks for them."""
        if not self.relaxed:
            return at
        if self.integer is not None:
            move = at - self.x
            whole = torch.sign(move) * torch.floor(move.abs() * JUST)
            at = torch.where(self.integer, self.boxed(self.x + whole), at)
        for group in self.groups:
            at = self._one_hot(at, group)
        return at

    def _one_hot(self, at: Tensor, group: Tensor) -> Tensor:
        """Make one column of the group 1; rows for which that is too far keep their category."""
        own = self.x[:, group]
        chosen = torch.zeros_like(own).scatter_(1, at[:, group].argmax(1, keepdim=True), 1.0)
        moved = at.index_copy(1, group, chosen)
        inside = ((moved >= self.low - TINY) & (moved <= self.high + TINY))[:, group].all(1)
        near = inside & (self.distance(moved) <= self.epsilon * JUST)
        return torch.where(self.rows(near), moved, at.index_copy(1, group, own))


class Linf(Ball):
    """No feature moves by more than epsilon."""

    def start(self, draws: Draws) -> Tensor:
        """Return uniform points of the ball."""
        return self.boxed(self.x + draws.uniform(self.x, "start") * (self.scale * self.epsilon))

    def step(self, at: Tensor, gradient: Tensor, size: float | Tensor) -> Tensor:
        """Move every feature by its step in the gradient's direction."""
        way = gradient.sign()
        far = (
            at.addcmul(way, self.scale, value=size)
            if isinstance(size, float)
            else at + way * (self.scale * size)
        )
        return far.clamp_(self.low, self.high)

    def project(self, at: Tensor) -> Tensor:
        """Hold every feature to its interval."""
        return self.boxed(at)

    def distance(self, at: Tensor) -> Tensor:
        """Return the largest move of a feature."""
        return self.units(at).abs().amax(1)


class L2(Ball):
    """The root of the sum of squared moves is at most epsilon."""

    def start(self, draws: Draws) -> Tensor:
        """Return points in a random direction, at a uniform share of epsilon."""
        way = draws.normal(self.x, "start") * (self.scale > 0)
        share = (draws.uniform(self.x.flatten(1)[:, :1], "radius").flatten() + 1) / 2
        far = self.rows(share * self.epsilon / _size(way, 2))
        return self.project(self.x + way * far * self.scale)

    def step(self, at: Tensor, gradient: Tensor, size: float | Tensor) -> Tensor:
        """Move by the step along the gradient."""
        way = gradient * self.scale
        return self.project(at + way / self.rows(_size(way, 2)) * (self.scale * size))

    def project(self, at: Tensor) -> Tensor:
        """Shorten moves that are too long."""
        share = (self.epsilon / above_zero(self.distance(at))).clamp(max=1.0)
        return self.boxed(self.x + (at - self.x) * self.rows(share))

    def distance(self, at: Tensor) -> Tensor:
        """Return the Euclidean length of the move."""
        return _length(self.units(at), 2)


class L1(Ball):
    """The sum of absolute moves is at most epsilon."""

    share = 0.05

    def start(self, draws: Draws) -> Tensor:
        """Return points in a random direction, at a uniform share of epsilon."""
        uniform = draws.uniform(self.x, "start")
        below_one = uniform.abs().clamp(max=1 - torch.finfo(uniform.dtype).eps)
        way = -torch.log1p(-below_one) * uniform.sign() * (self.scale > 0)
        share = (draws.uniform(self.x.flatten(1)[:, :1], "radius").flatten() + 1) / 2
        return self.project(self.x + way * self.rows(share * self.epsilon / _size(way, 1)) * self.scale)

    def step(self, at: Tensor, gradient: Tensor, size: float | Tensor) -> Tensor:
        """Move the few features whose gradient is largest and that have room left (Maini et al. 2020)."""
        most = max(1, round(self.share * gradient[0].numel()))
        return self.sparse(at, gradient, size, torch.full((len(at),), most, device=at.device))

    def sparse(self, at: Tensor, gradient: Tensor, size: float | Tensor, most: Tensor) -> Tensor:
        """Move the `most` features of each row whose gradient is largest and that have room left."""
        room = torch.where(gradient > 0, at < self.high, at > self.low)
        way = (gradient * self.scale * room).flatten(1)
        order = way.abs().sort(dim=1, descending=True).values
        limit = order.gather(1, most.unsqueeze(1) - 1)
        few = torch.where((way.abs() >= limit) & (way != 0), way.sign(), torch.zeros_like(way))
        few = few / few.abs().sum(1, keepdim=True).clamp(min=1.0)
        return self.project(at + few.reshape(at.shape) * (self.scale * size))

    def project(self, at: Tensor) -> Tensor:
        """Shrink all moves alike, inside their bounds, until their sum fits (Croce and Hein 2021)."""
        move = self.units(at)
        size = move.abs()
        room = torch.where(move > 0, self.units(self.high), -self.units(self.low))
        shrunk = torch.minimum((size - _cut(size, room, self.epsilon).to(size)).clamp(min=0), room)
        shrunk = shrunk * (self.epsilon / above_zero(shrunk.sum(1, keepdim=True))).clamp(max=1.0)
        return self.boxed(self.x + (move.sign() * shrunk).reshape(at.shape) * self.scale)

    def distance(self, at: Tensor) -> Tensor:
        """Return the sum of absolute moves."""
        return self.units(at).abs().sum(1)


def _cut(size: Tensor, room: Tensor, total: float) -> Tensor:
    """Return the least cut c of each row, 0 or more, with sum(min(max(size - c, 0), room)) <= total."""
    size, room = size.double(), room.double()
    ends, order = torch.cat([size - room, size], 1).sort(dim=1)
    active = torch.where(order < size.shape[1], 1.0, -1.0).cumsum(1)
    fall = (active[:, :-1] * ends.diff(dim=1)).cumsum(1)
    left = room.sum(1, keepdim=True) - torch.cat([torch.zeros_like(fall[:, :1]), fall], 1)
    k = (left > total).sum(1, keepdim=True).clamp(1, left.shape[1] - 1) - 1
    rate = active.gather(1, k).clamp(min=1.0)
    cut = ends.gather(1, k) + (left.gather(1, k) - total) / rate
    return torch.where(left[:, :1] > total, cut, 0.0).clamp(min=0)


def _size(way: Tensor, p: int) -> Tensor:
    return above_zero(_length(way, p))


def above_zero(size: Tensor) -> Tensor:
    """Return lengths to divide by, at least the least that their dtype can divide by."""
    return size.clamp(min=max(FEW, torch.finfo(size.dtype).tiny))


def _length(way: Tensor, p: int) -> Tensor:
    size: Tensor = torch.linalg.vector_norm(way.flatten(1), p, dim=1)
    return size


BALLS: dict[str, type[Ball]] = {"linf": Linf, "l2": L2, "l1": L1}
