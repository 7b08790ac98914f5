"""Tensors of any shape (rows, ...), opened as tables whose columns are the flattened features."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hormesis.arrays import ArrayTable
from hormesis.columns import Cells, DType, Missing, Rows, Tally
from hormesis.errors import DataError
from hormesis.key import Draw
from hormesis.noise.base import Noise
from hormesis.profile import Profile
from hormesis.torch.keyed import exact


class TensorTable:
    """A tensor; column names are the numbers of its flattened features.

    Noise is made where the tensor is: on an accelerator for the noises of `hormesis.torch.doors.device`, else through NumPy,
    which is lent the memory of a CPU tensor and copies it before it writes.
    """

    def __init__(self, native: Tensor) -> None:
        self._native = _usable(native)
        self._x = native.detach().reshape(len(native), math.prod(native.shape[1:]))
        self._host: ArrayTable | None = None
        self._touched = False
        self.widened: dict[str | int, str] = {}
        self.rows = len(native)
        self.names: list[str | int] = list(range(self._x.shape[1]))

    @property
    def host(self) -> ArrayTable:
        """The same table as a NumPy array; from here on the one that counts."""
        if self._host is None:
            plain = self._x.float() if self._x.dtype == torch.bfloat16 else self._x
            self._host = ArrayTable(plain.cpu().numpy())
            self._touched, fresh = False, self._touched
            self._host._mine = fresh
        return self._host

    @property
    def tensor(self) -> Tensor:
        """The table as a tensor (rows, columns) on its device; from here on the one that counts."""
        if self._host is not None:
            self._touched = self._host._mine
            if self._touched:
                self._x = self._as_tensor(self._host._x)
            self._host = None
        return self._x

    @tensor.setter
    def tensor(self, values: Tensor) -> None:
        self._x, self._host, self._touched = values, None, True

    def _as_tensor(self, values: NDArray[Any]) -> Tensor:
        made = torch.from_numpy(np.ascontiguousarray(values))
        dtype = self._native.dtype if self._native.is_floating_point() else made.dtype
        return made.to(self._native.device, dtype)

    def dtype(self, j: int) -> DType:  # noqa: ARG002, D102
        if self._native.is_floating_point():
            return "number"
        return "boolean" if self._native.dtype == torch.bool else "integer"

    def missing(self, j: int) -> NDArray[np.bool_] | None:  # noqa: D102
        return self.host.missing(j)

    def numbers(self, j: int) -> NDArray[np.float64]:  # noqa: D102
        return self.host.numbers(j)

    def pick(self, j: int, rows: Rows) -> Cells:  # noqa: D102
        return self.host.pick(j, rows)

    def tally(self, j: int) -> Tally:  # noqa: D102
        return self.host.tally(j)

    def put(self, j: int, rows: Rows, values: Cells | Missing) -> None:  # noqa: D102
        self.host.put(j, rows, values)
        self.widened.update(self.host.widened)

    def replace(self, j: int, values: NDArray[np.float64]) -> None:  # noqa: D102
        self.host.replace(j, values)

    def ids(self, j: int) -> Any:  # noqa: D102
        return self.host.ids(j)

    def touch(
        self,
        noise: Noise,
        profile: Profile,
        draw: Draw,
        row_id: str | int | None,
        only: NDArray[np.bool_] | None,
    ) -> bool:
        """Make a noise on the tensor's own device; False where that is not possible."""
        from hormesis.torch.doors.device import made

        there = self._native.device.type != "cpu" and exact(self._native.device)
        return there and made(self, noise, profile, draw, row_id, only)

    def share_changed(self, other: "TensorTable", columns: Sequence[int]) -> float:
        """Return the mean share of changed cells over some columns."""
        a, b = self.tensor, other.tensor
        same = (a == b) | ((a != a) & (b != b))
        some = same if len(columns) == same.shape[1] else same[:, list(columns)]
        return 1.0 - int(some.sum()) / max(some.numel(), 1)

    def close(self) -> Tensor:
        """Return a tensor of the same shape, dtype and device, with what was written."""
        values = self.tensor
        return values.reshape(self._native.shape) if self._touched else self._native.detach().clone()


def _usable(native: Tensor) -> Tensor:
    if native.layout != torch.strided:
        raise DataError("A sparse tensor was given: noise is dense. Use `.to_dense()` first.")
    if not native.ndim or native.is_complex() or native.is_quantized:
        raise DataError(
            f"A tensor of shape {tuple(native.shape)} and {native.dtype} was given; a table has rows of real numbers."
        )
    return native
