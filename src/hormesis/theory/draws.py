"""Normals by address for tables of noise: a pure function of (seed, path, row id, feature)."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hormesis.key import fold, key, lane, normal


def normals(rows: ArrayLike, width: int, seed: int, *path: str | int) -> NDArray[np.float64]:
    """Return standard normals, shape (rows, width): the same for any split or order of the rows.

    >>> whole = normals([0, 1, 2], 4, 0, "input")
    >>> bool((normals([2], 4, 0, "input") == whole[2:]).all())
    True
    """
    features = fold(key(seed, *path), np.arange(width))
    lanes = lane(rows)[:, None] ^ features[None, :]
    return normal(lanes.ravel(), 0).reshape(lanes.shape)


def is_tensor(x: Any) -> bool:
    """Return whether a value is a torch tensor, without importing torch."""
    return any(kind.__module__ == "torch" and kind.__name__ == "Tensor" for kind in type(x).__mro__)
