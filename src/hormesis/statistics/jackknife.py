"""Influences of any score whatever: leave out blocks of rows, or of whole clusters, one block at a time."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hormesis.key import bits, key, lane
from hormesis.statistics.intervals import Sample

BLOCKS = 50


def groups_of(rows: int, seed: int) -> NDArray[np.int64]:
    """Return the fixed jackknife block of each row, at random."""
    order = np.argsort(bits(lane(np.arange(rows)), key(seed, "jackknife")), kind="stable")
    group = np.empty(rows, np.int64)
    group[order] = np.arange(rows) % min(BLOCKS, rows)
    return group


def jackknife(score: Callable[[NDArray[np.intp]], float], block: NDArray[np.int64]) -> Sample:
    """Return any score with one influence per block: pseudo-values of leaving each block out.

    Blocks may differ in size: the influence of a block is the sum over its rows, on the scale of a block of mean size.
    """
    rows = np.arange(block.size)
    whole, k, n = score(rows), int(block.max()) + 1, block.size
    without = np.array([score(rows[block != b]) for b in range(k)])
    influence = (whole - without) * (n - np.bincount(block, minlength=k)) * (k / n)
    return Sample(whole, influence - influence.mean(), n)


def unseen_row(clean: Sample) -> float:
    """Return h of one row from the scatter of the blocks alone: about as far as the worst row of a block."""
    size = max(clean.rows / clean.influence.size, 1.0)
    return float(np.abs(clean.influence).max()) * size**0.5 or abs(clean.value)
