"""Noise on the structure of a net: blocks of a feature map or whole residual branches are left out."""

import math

import torch
from torch import Tensor

from hormesis.errors import DataError, SettingError
from hormesis.torch.dice import coins
from hormesis.torch.layers.base import Mode, NoiseLayer, known_mode
from hormesis.torch.layers.cells import kept
from hormesis.torch.source import Seed


class DropBlock(NoiseLayer):
    """Drop square blocks of a feature map (or stretches of a series), as an occluded object or a lost signal.

    Every cell, at the border too, is dropped with probability exactly `level`: it is covered by b^k possible blocks
    (k axes; blocks may begin outside of the map), each present with probability ``1 - (1 - level)^(1 / b^k)``. The
    rest is divided by ``1 - level``: the expectation is the input, and rows do not depend on each other.

    Parameters
    ----------
    level : float
        Fraction of cells.
    block_size : int
        Side b of a block, cut to the size of the map.

    Raises
    ------
    DataError
        The input is not (n, c, t), (n, c, h, w) or (n, c, d, h, w).

    Notes
    -----
    Source: Ghiasi, Lin & Le (2018), DropBlock; their rate is an approximation and lower at the border.

    Examples
    --------
    >>> drop = DropBlock(0.2, block_size=3, generator=0)
    >>> drop(torch.ones(1, 3, 6, 6)).unique()
    tensor([0.0000, 1.2500])
    """

    rule = "a fraction of cells, 0 to 1"

    def __init__(
        self, level: float, *, block_size: int = 7, generator: Seed = None, always: bool = False
    ) -> None:
        super().__init__(level, generator=generator, always=always)
        if block_size < 1 or block_size != int(block_size):
            raise SettingError(
                f"`DropBlock(block_size={block_size!r})`: block_size is a whole number of cells, 1 or more."
            )
        self.block_size = int(block_size)

    def disturb(self, x: Tensor, source: torch.Generator) -> Tensor:
        """Return the feature map without some of its blocks."""
        if not 3 <= x.ndim <= 5:
            raise DataError(
                f"DropBlock got a batch of shape {tuple(x.shape)}: it needs (n, c, t), (n, c, h, w) or "
                "(n, c, d, h, w). For tables use Masking or FeatureDropout."
            )
        sides = [min(self.block_size, size) for size in x.shape[2:]]
        share = -math.expm1(math.log1p(-self.level) / math.prod(sides)) if self.level < 1 else 1.0
        shape = (*x.shape[:2], *(size + b - 1 for size, b in zip(x.shape[2:], sides, strict=True)))
        lost = coins(shape, share, source, torch.uint8)
        for axis, side in enumerate(sides, start=2):
            lost = _widened(lost, axis, side)
        return x * (1 - lost).to(x.dtype).div_(1 - self.level if self.level < 1 else 1)

    def extra_repr(self) -> str:
        """Show the settings in the representation of the model."""
        return f"{super().extra_repr()}, block_size={self.block_size}"


class StochasticDepth(NoiseLayer):
    """Skip residual branches at random, so that a net does not rely on any one of them.

    Use as ``x + drop(branch(x))``. A branch is 0 with probability `level`, else divided by ``1 - level``: the
    expectation is the branch, and nothing is rescaled in evaluation.

    Parameters
    ----------
    level : float
        Probability that a branch is skipped.
    mode : {"row", "batch"}
        Each row of the batch skips on its own, or all rows together.

    Notes
    -----
    Source: Huang et al. (2016), Deep networks with stochastic depth; per row: Larsson et al. (2017), FractalNet.

    Examples
    --------
    >>> drop = StochasticDepth(0.5, generator=1)
    >>> drop(torch.ones(4, 2)).unique(dim=0).tolist()
    [[0.0, 0.0], [2.0, 2.0]]
    """

    rule = "the probability of a skip, 0 to 1"

    def __init__(
        self, level: float, *, mode: Mode = "row", generator: Seed = None, always: bool = False
    ) -> None:
        super().__init__(level, generator=generator, always=always)
        self.mode = known_mode(self, mode)

    def disturb(self, x: Tensor, source: torch.Generator) -> Tensor:
        """Return the branch, zero for the rows that skip it."""
        rows = len(x) if self.mode == "row" else 1
        return x * kept((rows, *[1] * (x.ndim - 1)), self.level, source, x.dtype)

    def extra_repr(self) -> str:
        """Show the settings in the representation of the model."""
        return f"{super().extra_repr()}, mode={self.mode!r}"


def _widened(seeds: Tensor, axis: int, side: int) -> Tensor:
    """Let each seed cover `side` cells of an axis, which gets shorter by ``side - 1``."""
    done = 1
    while done < side:
        step = min(done, side - done)
        length = seeds.shape[axis] - step
        seeds = seeds.narrow(axis, 0, length) | seeds.narrow(axis, step, length)
        done += step
    return seeds


def linear_depth(depth: int, level: float) -> list[float]:
    """Return a level for each of the branches of a net, rising in a line to `level` at the last one.

    Branch i of L gets ``i / L * level``. Source: Huang et al. (2016), section 3.

    >>> linear_depth(4, 0.2)
    [0.05, 0.1, 0.15, 0.2]
    """
    return [round(level * i / depth, 12) for i in range(1, depth + 1)]
