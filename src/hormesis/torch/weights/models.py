"""What many noisy versions of one model answer: all in one mapped pass, or one after another."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hormesis.errors import DataError
from hormesis.torch.quiet import outputs
from hormesis.torch.weights.kept import kept, write
from hormesis.torch.weights.noise import WeightDraw, added
from hormesis.torch.weights.selection import Weight

STACK = 1 << 27  # bytes of noisy weights held at a time
MOST = 64
SMALL = 1 << 21
Said = NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """The rows of a model's input with their labels; a batch goes to the model's device and dtype."""

    x: Tensor | dict[str, Tensor]
    y: NDArray[Any]
    like: Tensor

    @classmethod
    def of(cls, X: Any, y: Any, like: Tensor) -> "Rows":
        """Open arrays, tensors and mappings.

        Raises
        ------
        DataError
            Another number of labels than rows.
        """
        x = {k: torch.as_tensor(v) for k, v in X.items()} if isinstance(X, Mapping) else torch.as_tensor(X)
        truth = torch.as_tensor(y).detach().cpu().numpy()
        sizes = {len(v) for v in (x.values() if isinstance(x, dict) else [x])} | {truth.size}
        if len(sizes) > 1 or truth.ndim != 1:
            raise DataError(
                f"X has {max(sizes)} rows and y has shape {truth.shape}: one label per row is needed."
            )
        return cls(x, truth, like)

    def part(self, rows: slice) -> Any:
        """Return some rows as the model takes them."""
        if isinstance(self.x, dict):
            return {k: self._moved(v[rows]) for k, v in self.x.items()}
        return self._moved(self.x[rows])

    def _moved(self, x: Tensor) -> Tensor:
        return x.to(device=self.like.device, dtype=self.like.dtype if x.is_floating_point() else x.dtype)

    def asked(self, model: Callable[[Any], Tensor], step: int) -> Said:
        """Return a model's outputs of shape (draws, rows, ...), `step` rows at a time."""
        parts = [model(self.part(slice(a, a + step))) for a in range(0, self.y.size, step)]
        return torch.cat([p.to("cpu", torch.float64) for p in parts], dim=1).numpy()


@dataclass(frozen=True)
class NoisyModels:
    """One model in eval mode with `repeats` draws of noise at each level; scales are what a level of 1 means."""

    model: nn.Module
    weights: Sequence[tuple[Weight, float]]
    levels: tuple[float, ...]
    repeats: int
    kind: str
    seed: int

    def answers(self, rows: Rows, method: str, batch_size: int) -> tuple[Iterator[Said], str]:
        """Return the outputs for all rows, draw by draw and level by level, and how they are made."""
        if method == "vmap" or (method == "auto" and self._can_map(rows)):
            return self._mapped(rows, batch_size), "vmap"
        return self._one_by_one(rows, batch_size), "loop"

    def _noisy(self) -> Iterator[list[Tensor]]:
        for repeat in range(self.repeats):
            draw = WeightDraw(self.kind, self.seed, ("repeat", repeat), by_key=True)
            units = [draw.unit(w.name, w.tensor) for w, _ in self.weights]
            for level in self.levels:
                each = zip(self.weights, units, strict=True)
                yield [added(w.tensor, unit.clone(), level * scale) for (w, scale), unit in each]

    def _one_by_one(self, rows: Rows, batch_size: int) -> Iterator[Said]:
        tensors = [w.tensor for w, _ in self.weights]
        for noisy in self._noisy():
            with kept(tensors, "`weight_curve`"):
                write(zip(tensors, noisy, strict=True))
                said = rows.asked(lambda x: outputs(self.model, x)[None], batch_size)
            yield said[0]

    @property
    def _width(self) -> int:
        size = sum(w.tensor.numel() * w.tensor.element_size() for w, _ in self.weights)
        return min(MOST, STACK // max(size, 1))

    def _pays(self, rows: Rows) -> bool:
        """On a CPU only the cost of calls is saved: batched filters, and products that fill the CPU, are slower there."""
        if rows.like.device.type != "cpu":
            return True
        filters = any(w.tensor.ndim > 2 for w, _ in self.weights)
        return not filters and rows.y.size * sum(w.tensor.numel() for w, _ in self.weights) <= SMALL

    def _can_map(self, rows: Rows) -> bool:
        """Tell whether mapping this model pays, fits into memory and works: tried on two rows."""
        if self._width < 2 or not self._pays(rows):
            return False
        few = {k: v[:2] for k, v in rows.x.items()} if isinstance(rows.x, dict) else rows.x[:2]
        trial = replace(self, levels=self.levels[:1], repeats=2)
        try:
            return len(list(trial._mapped(Rows(few, rows.y[:2], rows.like), 4))) == 2
        except (RuntimeError, TypeError, ValueError, KeyError, NotImplementedError, UserWarning):
            return False

    def _mapped(self, rows: Rows, batch_size: int) -> Iterator[Said]:
        stack: list[list[Tensor]] = []
        left = self.repeats * len(self.levels)
        for noisy in self._noisy():
            stack.append(noisy)
            left -= 1
            if len(stack) >= self._width or not left:
                yield from rows.asked(self._stacked(stack), max(1, batch_size // len(stack)))
                stack = []

    def _stacked(self, stack: list[list[Tensor]]) -> Callable[[Any], Tensor]:
        tensors = [torch.stack(one) for one in zip(*stack, strict=True)]
        named = {name: t for t, (w, _) in zip(tensors, self.weights, strict=True) for name in w.names}
        mapped = torch.vmap(lambda weights, x: outputs(_Called(self.model, weights), x), in_dims=(0, None))
        return lambda x: mapped(named, x)


@dataclass(frozen=True)
class _Called:
    """A model with other weights."""

    model: nn.Module
    weights: dict[str, Tensor]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return torch.func.functional_call(self.model, self.weights, args, kwargs)
