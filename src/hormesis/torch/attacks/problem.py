"""What an attack searches on: a quiet model, a space and a batch, asked for gradients and margins."""

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hormesis.errors import DataError, ModelError, SettingError, listed, nearest
from hormesis.torch.attacks.attacked import Found
from hormesis.torch.attacks.ball import Ball, Draws
from hormesis.torch.attacks.losses import Goal, PerRow, goal_of, one_logit, saturated
from hormesis.torch.attacks.space import Norm, Space
from hormesis.torch.keyed import normal_like, uniform_like
from hormesis.torch.quiet import Model, check_logit, outputs
from hormesis.torch.source import Source

HALF_SCALE = 1024.0


class NoGradientError(ModelError):
    """The model's answer does not depend on its input by a gradient."""


def part_of(x: Any, part: str | None) -> tuple[str | None, Tensor]:
    """Return the name (None for a plain tensor) and the tensor that an attack moves.

    Raises
    ------
    DataError
        The input cannot be moved: it is no tensor, or holds whole numbers such as token ids.
    SettingError
        Several tensors of a mapping could be meant.
    """
    if isinstance(x, Tensor):
        return None, _movable(x)
    if not isinstance(x, Mapping):
        raise DataError(f"An attack takes a tensor or a mapping of tensors; {type(x).__name__} was given.")
    floating = [k for k, v in x.items() if isinstance(v, Tensor) and v.is_floating_point()]
    if part is None and len(floating) == 1:
        part = floating[0]
    if part is None:
        raise SettingError(
            f"The batch holds {listed(x)}: name the floating tensor to move, as in `part=...`."
        )
    if part not in x:
        raise SettingError(f"`part={part!r}` is not in the batch, which holds {listed(x)}.{nearest(part, x)}")
    return part, _movable(x[part])


def _movable(x: Tensor) -> Tensor:
    if not x.is_floating_point():
        raise DataError(
            f"The input holds {x.dtype}: whole numbers have no gradient. Give floats with `Space(integer=...)` for "
            "whole-number columns, attack the embeddings instead of token ids, or use Square."
        )
    if not bool(torch.isfinite(x).all()):
        raise DataError(
            "The input holds NaN or infinite values: an attack starts from finite ones. Fill them first."
        )
    return x


def batch_of(x: Any) -> Mapping[str, Any] | None:
    """Return the mapping around the moved tensor, None for a plain tensor."""
    return x if isinstance(x, Mapping) else None


def _plain_parts(batch: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the batch with its inference tensors copied: autograd may save the others only."""
    return {k: v.clone() if isinstance(v, Tensor) and v.is_inference() else v for k, v in batch.items()}


class Stream(Draws):
    """Draws from a generator, for training."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def uniform(self, like: Tensor, purpose: str) -> Tensor:  # noqa: ARG002
        """Draw uniforms from -1 to 1."""
        return torch.empty_like(like).uniform_(-1.0, 1.0, generator=self.source.on(like.device))

    def normal(self, like: Tensor, purpose: str) -> Tensor:  # noqa: ARG002
        """Draw standard normals."""
        return torch.empty_like(like).normal_(generator=self.source.on(like.device))

    def of(self, rows: Tensor) -> "Stream":  # noqa: ARG002
        """Return the same stream."""
        return self


@dataclasses.dataclass(frozen=True, eq=False)
class Keyed(Draws):
    """Draws by address, for evaluation: a function of seed, purpose, row id and feature."""

    seed: int
    path: tuple[str | int, ...]
    rows: Tensor

    def uniform(self, like: Tensor, purpose: str) -> Tensor:
        """Draw uniforms from -1 to 1."""
        return uniform_like(like, self.seed, *self.path, purpose, rows=self.rows) * 2 - 1

    def normal(self, like: Tensor, purpose: str) -> Tensor:
        """Draw standard normals."""
        return normal_like(like, self.seed, *self.path, purpose, rows=self.rows)

    def of(self, rows: Tensor) -> "Keyed":
        """Return the draws of some rows."""
        return dataclasses.replace(self, rows=self.rows[rows.to(self.rows.device)])


@dataclasses.dataclass(frozen=True, eq=False)
class Tally:
    """Passes that each row took part in."""

    forward: Tensor
    backward: Tensor
    rows: Tensor

    @classmethod
    def of(cls, x: Tensor) -> "Tally":
        """Return no passes yet for the rows of a batch."""
        rows = torch.arange(len(x), device=x.device)
        return cls(torch.zeros_like(rows), torch.zeros_like(rows), rows)

    def some(self, rows: Tensor) -> "Tally":
        """Return the tally that counts for some rows."""
        return Tally(self.forward, self.backward, self.rows[rows])


class Problem:
    """One batch of one model; `goal` and `first`, the answer to clean inputs, are known after the first pass."""

    def __init__(
        self,
        model: Model,
        space: Space,
        loss: str | PerRow,
        norm: Norm,
        batch: Mapping[str, Any] | None = None,
        part: str | None = None,
        labels: Tensor | None = None,
        tally: Tally | None = None,
    ) -> None:
        self.model, self.space, self.loss, self.norm = model, space, loss, norm
        self.batch, self.part, self.labels, self.tally = batch and _plain_parts(batch), part, labels, tally
        self.size = 0 if part is None or batch is None else len(batch[part])
        self.goal: Goal | None = None
        self.first: Tensor | None = None

    def of(self, rows: Tensor) -> "Problem":
        """Return the problem of some rows."""
        batch = self.batch and {
            k: v[rows.to(v.device)] if isinstance(v, Tensor) and v.ndim and len(v) == self.size else v
            for k, v in self.batch.items()
        }
        some = copy.copy(self)
        some.batch, some.tally, some.size = batch, self.tally and self.tally.some(rows), len(rows)
        some.first = None if self.first is None else self.first[rows]
        return some

    def climbing(self, loss: str | PerRow, y: Tensor) -> "Problem":
        """Return the problem with another loss, once the clean answer is known; `auto` leaves it as it is."""
        if loss in (self.loss, "auto") or self.first is None or self.goal is None:
            return self
        other = copy.copy(self)
        goal = goal_of(loss, self.first, y, self.labels)
        other.loss, other.goal = loss, dataclasses.replace(goal, classes=self.goal.classes)
        return other

    def ball(self, x: Tensor, epsilon: float) -> Ball:
        """Return what lies within epsilon of the clean inputs."""
        return self.space.ball(x, epsilon, self.norm)

    def answer(self, x: Tensor, y: Tensor) -> Tensor:
        """Pass forward once; the goal is settled by the first answer."""
        out = outputs(self.model, x if self.part is None else {**(self.batch or {}), self.part: x})
        if self.goal is None:
            self.goal, self.first = goal_of(self.loss, out.detach(), y, self.labels), out.detach()
        if self.tally is not None:
            self.tally.forward[self.tally.rows] += 1
        return out

    def look(self, x: Tensor, y: Tensor) -> tuple[Tensor, Goal]:
        """Return the model's answer without gradients, and the goal."""
        with torch.no_grad():
            out = self.answer(x, y)
        assert self.goal is not None
        return out, self.goal

    def slope(self, x: Tensor, y: Tensor, loss: PerRow | None = None) -> tuple[Tensor, Tensor]:
        """Return the gradient of the loss at `x` and the answer: one pass forward, one backward, inputs only.

        Raises
        ------
        NoGradientError
            The answer does not depend on the input by a gradient.
        """
        x = x.detach().requires_grad_()
        out = self.answer(x, y)
        if not out.requires_grad:
            raise NoGradientError(
                "The model's answer has no gradient with respect to the input (it rounds, detaches or leaves torch): "
                "use Square or WorstOf, which only look at answers."
            )
        assert self.goal is not None
        said, top = out.detach(), out
        known = None if loss else self.goal.slope(said, y)
        if known is None:
            top = (loss or self.goal.loss)(out, y)
            known = torch.ones_like(top)
        known = known * HALF_SCALE if out.dtype == torch.float16 else known
        (gradient,) = torch.autograd.grad(top, x, known, allow_unused=True)
        if self.tally is not None:
            self.tally.backward[self.tally.rows] += 1
        return (torch.zeros_like(x) if gradient is None else gradient.nan_to_num_(nan=0.0)), said

    def flat(self, gradient: Tensor) -> Tensor:
        """Tell the rows whose gradient is zero everywhere."""
        return ~gradient.flatten(1).any(1)

    def clean(self, x: Tensor, y: Tensor, sizes: int) -> Found:
        """Return what is known before any attack."""
        out, goal = self.look(x, y)
        if goal.classes and one_logit(out):
            check_logit(out)
        lost = goal.wrong(out, y)
        single = goal.classes and (one_logit(out) or y.shape != out.shape)
        flat = saturated(out, y) & ~lost if single else torch.zeros_like(lost)
        found = Found.start(x, lost, goal.height(out, y), flat, sizes, classes=goal.classes)
        if self.tally is not None:
            found.forward, found.backward = self.tally.forward, self.tally.backward
        return found


@dataclasses.dataclass(eq=False)
class Tried:
    """One attempt: its last iterate, and the best of the others with its height.

    Where `lost` is given, the last iterate has been looked at already and `height` is its own.
    """

    last: Tensor
    best: Tensor | None = None
    height: Tensor | None = None
    flat: Tensor | None = None
    lost: Tensor | None = None

    def better(self, problem: Problem, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the better of last and best, its height, and whether the row is lost: one pass forward."""
        if self.lost is not None and self.height is not None:
            return self.last, self.height, self.lost
        out, goal = problem.look(self.last, y)
        height, lost = goal.height(out, y), goal.wrong(out, y)
        if self.best is None or self.height is None:
            return self.last, height, lost
        first = self.height > height
        at = torch.where(first.reshape(-1, *[1] * (self.last.ndim - 1)), self.best, self.last)
        height = torch.where(first, self.height, height)
        return at, height, lost | (goal.classes & first & (self.height > 0))
