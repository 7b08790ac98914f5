"""Techniques that train on worst-case inputs: adversarial rows, TRADES, free replays."""

# ruff: noqa: D102 (a technique's call is told once, in `Technique`)

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn

from hormesis.torch.attacks.base import Attack
from hormesis.torch.attacks.space import Space
from hormesis.torch.attacks.training import FreeTraining
from hormesis.torch.nets.techniques import Next, Step, Technique


@dataclasses.dataclass(eq=False)
class WorstInputs(Technique):
    """Replace inputs by the worst that an attack finds near them; missing values stay missing."""

    attack: Attack
    scale: Tensor

    def __call__(self, step: Step, then: Next) -> Tensor:
        moved = self.found(step, self.attack, step.hard)
        step.x = moved if step.kept is None else torch.where(_along(step.kept, moved), step.x, moved)
        return then(step)

    def found(self, step: Step, attack: Attack, y: Tensor) -> Tensor:
        """Return adversarial inputs for a step."""
        here: Any = dataclasses.replace(attack, epsilon=attack.epsilon * step.dose)  # type: ignore[type-var]
        x, gone = filled(step.model, step.x)
        moved: Tensor = here.perturb(step.model, x, y, space=Space(scale=self.scale), generator=step.rng)
        return torch.where(gone, step.x, moved)


@dataclasses.dataclass(eq=False)
class Trades(WorstInputs):
    """Add `beta` times how far the worst input moves the answer (Zhang et al. 2019)."""

    beta: float
    classes: bool
    spread: float = 1.0

    def __call__(self, step: Step, then: Next) -> Tensor:
        step.penalties.append(lambda output: self.penalty(step, output))
        return then(step)

    def penalty(self, step: Step, clean: Tensor) -> Tensor:
        """Return the weighted divergence between the clean answer and the one at the worst input."""
        attack: Any = dataclasses.replace(self.attack, loss=self.divergence)  # type: ignore[type-var]
        moved = self.found(step, attack, clean.detach())
        rows = self.divergence(step.model(moved), clean)
        return self.beta * step.mean(rows if step.kept is None else rows.masked_fill(step.kept, 0.0))

    def divergence(self, output: Tensor, clean: Tensor) -> Tensor:
        """Return the divergence of each row: KL for classes, squared error for numbers."""
        if not self.classes:
            return ((output - clean) / self.spread).square()
        p, q = clean.log_softmax(1), output.log_softmax(1)
        return (p.exp() * (p - q)).sum(1)


@dataclasses.dataclass(eq=False, kw_only=True)
class FreeReplays(Technique):
    """Replay each batch; one backward pass moves both the weights and the inputs (Shafahi et al. 2019)."""

    epsilon: float
    replays: int
    scale: Tensor
    running: Any = None

    def start_epoch(self, model: nn.Module, dose: float, rng: torch.Generator) -> None:  # noqa: ARG002
        """Start without moves."""
        space = Space(scale=self.scale)
        self.free = FreeTraining(self.epsilon * dose, replays=self.replays, space=space, generator=rng)
        self.running = None

    def __call__(self, step: Step, then: Next) -> Tensor:
        if self.running is None:
            x, gone = filled(step.model, step.x)
            leaves = self.free.losses(_same, x, step.hard, criterion=_first)
            self.running, self.left = (leaves, gone, step.target, step.hidden), self.replays
        leaves, gone, step.target, step.hidden = self.running
        leaf = next(leaves)
        moved = torch.where(gone, torch.nan, leaf.detach())
        moved = moved if step.kept is None else torch.where(_along(step.kept, moved), step.x, moved)
        step.x = moved.requires_grad_()
        loss = then(step)
        leaf.grad = step.x.grad
        self.left -= 1
        if not self.left:
            next(leaves, None)
            self.running = None
        return loss

    def finish(self, model: nn.Module) -> None:  # noqa: ARG002
        """Forget the moves."""
        self.running = None
        vars(self).pop("free", None)


def filled(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return inputs with missing values as the model fills them, and where they were."""
    gone = torch.isnan(x)
    if not bool(gone.any()):
        return x, gone
    mean = getattr(getattr(model, "standardise", None), "mean", torch.zeros((), device=x.device))
    return torch.where(gone, mean, x), gone


def _along(rows: Tensor, x: Tensor) -> Tensor:
    return rows.reshape(-1, *[1] * (x.ndim - 1))


def _same(x: Tensor) -> Tensor:
    return x


def _first(x: Tensor, y: Tensor) -> Tensor:  # noqa: ARG001
    return x
