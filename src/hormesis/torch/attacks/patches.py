"""Where a random search moves inputs: squares of images, blocks of features."""

from abc import ABC, abstractmethod
from typing import Self

import torch
from torch import Tensor

from hormesis.torch.attacks.ball import Ball, Draws

FEW = 1e-12


class Windows(ABC):
    """Random moves of the rows of a ball."""

    def __init__(self, ball: Ball) -> None:
        self.ball = ball

    def of(self, ball: Ball) -> Self:
        """Return the windows of another ball of the same kind of rows."""
        return type(self)(ball)

    @abstractmethod
    def start(self, draws: Draws, *, euclidean: bool) -> Tensor:
        """Return where the search begins."""

    @abstractmethod
    def flip(self, at: Tensor, draws: Draws, i: int, share: float) -> Tensor:
        """Return the points with one window moved to the edge, by random signs."""

    @abstractmethod
    def shift(self, at: Tensor, draws: Draws, i: int, share: float) -> Tensor:
        """Return the points with length moved from elsewhere into one window: for L2."""


class Patches(Windows):
    """Squares of images (rows, channels, height, width)."""

    def __init__(self, ball: Ball) -> None:
        super().__init__(ball)
        self.channels, self.height, self.width = ball.x.shape[1:]

    def start(self, draws: Draws, *, euclidean: bool) -> Tensor:
        """Return vertical stripes; in L2 a grid of bumps of random sign."""
        x = self.ball.x
        if not euclidean:
            stripes = signs(draws.uniform(x[:, :, :1], "start"))
            return x + stripes * self.ball.scale * self.ball.epsilon
        side = max(3, min(self.height, self.width) // 5)
        tall, wide = -(-self.height // side), -(-self.width // side)
        sign = signs(draws.uniform(x.new_empty(len(x), self.channels, tall, wide), "start"))
        move = torch.kron(sign, bump(side, x).reshape(1, 1, side, side))[..., : self.height, : self.width]
        far = self.ball.epsilon / move.flatten(1).norm(dim=1).clamp(min=FEW)
        return x + move * self.ball.rows(far) * self.ball.scale

    def flip(self, at: Tensor, draws: Draws, i: int, share: float) -> Tensor:
        """Move one square, each channel by its own sign."""
        drawn = draws.uniform(at.new_empty(len(at), 2 + self.channels), f"query-{i}")
        window = self._square(drawn[:, :2], self._side(share))
        sign = signs(drawn[:, 2:])[:, :, None, None]
        return torch.where(window, self.ball.x + sign * self.ball.scale * self.ball.epsilon, at)

    def shift(self, at: Tensor, draws: Draws, i: int, share: float) -> Tensor:
        """Give the length of one square, and all length not yet used, to a bump in another, channel by channel."""
        ball = self.ball
        move = ball.units(at).reshape(len(at), self.channels, -1)
        way, other = self._pair(draws, i, share)
        window = way != 0
        unused = (ball.epsilon**2 - move.square().sum((1, 2), keepdim=True)).clamp(min=0) / self.channels
        have = (move.square() * (window | other)).sum(2, keepdim=True) + unused
        inside = move * window
        inside = inside / inside.norm(dim=2, keepdim=True).clamp(min=FEW) + way
        inside = inside / inside.norm(dim=2, keepdim=True).clamp(min=FEW) * have.sqrt()
        moved = torch.where(window, inside, torch.where(other, 0.0, move))
        return ball.x + moved.reshape(at.shape) * ball.scale

    def _pair(self, draws: Draws, i: int, share: float) -> tuple[Tensor, Tensor]:
        """Return bumps in one square and the mask of another."""
        x = self.ball.x
        drawn = draws.uniform(x.new_empty(len(x), 5 + self.channels), f"query-{i}")
        side = max(3, self._side(share)) if min(self.height, self.width) >= 3 else 1
        shape = bump(side, x)
        shape = torch.where((drawn[:, 4] > 0)[:, None, None], shape, shape.T)
        top, left = self._corner(drawn[:, :2], side)
        down, right = (torch.arange(m, device=x.device) for m in (self.height, self.width))
        r, c = down - top[:, None], right - left[:, None]
        inside = ((r >= 0) & (r < side))[:, :, None] & ((c >= 0) & (c < side))[:, None, :]
        rows = torch.arange(len(x), device=x.device)[:, None, None]
        value = shape[rows, r.clamp(0, side - 1)[:, :, None], c.clamp(0, side - 1)[:, None, :]] * inside
        way = value[:, None] * signs(drawn[:, 5:])[:, :, None, None]
        other = self._square(drawn[:, 2:4], side).expand(-1, self.channels, -1, -1)
        return way.flatten(2), other.flatten(2)

    def _side(self, share: float) -> int:
        side = int((share * self.height * self.width) ** 0.5 + 0.5)
        return max(1, min(side, int(self.height), int(self.width)))

    def _corner(self, drawn: Tensor, side: int) -> tuple[Tensor, Tensor]:
        room = drawn.new_tensor([self.height - side + 1, self.width - side + 1])
        corner = torch.minimum(((drawn + 1) / 2 * room).floor(), room - 1).long()
        return corner[:, 0], corner[:, 1]

    def _square(self, drawn: Tensor, side: int) -> Tensor:
        top, left = self._corner(drawn, side)
        down, right = (torch.arange(m, device=drawn.device) for m in (self.height, self.width))
        tall = (down >= top[:, None]) & (down < top[:, None] + side)
        wide = (right >= left[:, None]) & (right < left[:, None] + side)
        return tall[:, None, :, None] & wide[:, None, None, :]


class Blocks(Windows):
    """Random features of rows of any shape; only those that may move are chosen."""

    def __init__(self, ball: Ball) -> None:
        super().__init__(ball)
        still = (ball.scale == 0).expand(ball.x.shape[1:]).reshape(-1)
        self.still, self.free = still, max(1, int((~still).sum()))

    def start(self, draws: Draws, *, euclidean: bool) -> Tensor:
        """Return every feature moved by a random sign."""
        x = self.ball.x
        far = self.ball.epsilon / (self.free**0.5 if euclidean else 1.0)
        return x + signs(draws.uniform(x, "start")) * self.ball.scale * far

    def flip(self, at: Tensor, draws: Draws, i: int, share: float) -> Tensor:
        """Move a block, each feature by its own sign; a one-hot group in it tries a random category."""
        window = self._block(draws, f"block-{i}", share).reshape(at.shape)
        edge = self.ball.x + signs(draws.uniform(at, f"query-{i}")) * self.ball.scale * self.ball.epsilon
        moved = torch.where(window, edge, at)
        for n, group in enumerate(self.ball.groups):
            drawn = draws.uniform(at[:, group], f"group-{n}-{i}")
            touched = window[:, group].any(1, keepdim=True)
            moved[:, group] = torch.where(touched, drawn, at[:, group])
        return moved

    def shift(self, at: Tensor, draws: Draws, i: int, share: float) -> Tensor:
        """Turn the whole move towards a random direction in a block, less and less."""
        ball = self.ball
        move = ball.units(at) / ball.epsilon
        way = draws.normal(ball.x, f"query-{i}").flatten(1) * self._block(draws, f"block-{i}", share)
        turned = move + way / way.norm(dim=1, keepdim=True).clamp(min=FEW) * share**0.5
        turned = turned / turned.norm(dim=1, keepdim=True).clamp(min=FEW) * ball.epsilon
        moved: Tensor = ball.x + turned.reshape(at.shape) * ball.scale
        return moved

    def _block(self, draws: Draws, purpose: str, share: float) -> Tensor:
        drawn = draws.uniform(self.ball.x, purpose).flatten(1).masked_fill(self.still, 2.0)
        most = max(1, min(int(share * self.free + 0.5), self.free))
        chosen = drawn.topk(most, dim=1, largest=False).indices
        return torch.zeros_like(drawn, dtype=torch.bool).scatter_(1, chosen, value=True)


def signs(drawn: Tensor) -> Tensor:
    """Return -1 or 1 for uniforms from -1 to 1."""
    return torch.where(drawn < 0, -1.0, 1.0).to(drawn)


def bump(side: int, like: Tensor) -> Tensor:
    """Return two hills of opposite sign side by side, of length 1, shape (side, side): steep at their tops."""
    half = side // 2
    hills = torch.zeros(side, side, dtype=torch.float64)
    hills[:, :half], hills[:, half:] = _hill(side, half), -_hill(side, side - half)
    shaped: Tensor = hills / hills.norm().clamp(min=FEW)
    return shaped.to(like)


def _hill(tall: int, wide: int) -> Tensor:
    """Return rings that rise towards the middle, ring m adding ``1 / (rings + 1 - m)^2``."""
    down, right = torch.arange(tall), torch.arange(wide)
    ring = torch.minimum(down, tall - 1 - down)[:, None].minimum(torch.minimum(right, wide - 1 - right)[None])
    rings = max(1, (max(tall, wide) + 1) // 2)
    heights = torch.tensor([1.0 / (rings - m) ** 2 for m in range(rings)], dtype=torch.float64).cumsum(0)
    return heights[ring]
