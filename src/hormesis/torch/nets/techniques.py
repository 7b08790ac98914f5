"""Each training technique as a small object: it changes a step's inputs, targets, weights or gradients, then lets the next one go on."""

# ruff: noqa: D102 (a technique's call is told once, in `Technique`)

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hormesis.torch.batches.mix import cutmix, manifold_mixup, mixup
from hormesis.torch.batches.targets import MixedTarget
from hormesis.torch.dice import normals
from hormesis.torch.layers.base import NoiseLayer
from hormesis.torch.layers.cells import SwapNoise
from hormesis.torch.weights.gradients import add_gradient_noise
from hormesis.torch.weights.noise import weight_noise
from hormesis.torch.weights.sharpness import AWP, SAM

Next = Callable[["Step"], Tensor]
PerRow = Callable[[Tensor, Tensor], Tensor]


@dataclasses.dataclass(eq=False)
class Step:
    """One batch on its way through the techniques.

    `x` and `target` are what the loss will see; `clean` and `labels` are the rows as they were collected. `loss` gives one
    number per row for an output and a plain target.
    """

    model: nn.Module
    x: Tensor
    target: Any
    clean: Tensor
    labels: Tensor
    weight: Tensor | None
    rng: torch.Generator
    dose: float
    loss: PerRow
    kept: Tensor | None = None
    hidden: tuple[float, Sequence[str]] | None = None
    penalties: list[Callable[[Tensor], Tensor]] = dataclasses.field(default_factory=list)
    output: Tensor = dataclasses.field(init=False)

    def forward(self) -> Tensor:
        """Run the model and return the weighted mean loss, penalties included."""
        with self._mixing() as target:
            self.output = self.model(self.x)
        mixed = isinstance(target, MixedTarget)
        rows = target.losses(self.loss, self.output) if mixed else self.loss(self.output, target)
        loss = self.mean(rows)
        return functools.reduce(lambda total, penalty: total + penalty(self.output), self.penalties, loss)

    def mean(self, rows: Tensor) -> Tensor:
        """Return the mean of numbers per row, each with its row's weight."""
        return (rows if self.weight is None else rows * self.weight).mean()

    @property
    def hard(self) -> Tensor:
        """The plain target with the larger share in each row: what an attack works against."""
        if not isinstance(self.target, MixedTarget):
            plain: Tensor = self.target
            return plain
        if self.target.first.is_floating_point():
            return self.target.blended
        return torch.where(self.target.weight >= 0.5, self.target.first, self.target.second)

    @contextlib.contextmanager
    def _mixing(self) -> Iterator[Any]:
        if self.hidden is None:
            yield self.target
            return
        alpha, layers = self.hidden
        with manifold_mixup(self.model, layers, self.hard, alpha, generator=self.rng) as target:
            if self.kept is not None:
                target.weight.masked_fill_(self.kept, 1.0)
            yield target


class Technique:
    """One setting of a net, as what it does to a training step."""

    replays = 1

    def __call__(self, step: Step, then: Next) -> Tensor:
        """Do the technique's part and call `then`, once or more; return the loss."""
        raise NotImplementedError

    def start_epoch(self, model: nn.Module, dose: float, rng: torch.Generator) -> None:
        """Get ready for an epoch."""

    def finish(self, model: nn.Module) -> None:
        """Let go of what only training needs."""


def chain(techniques: Sequence[Technique], last: Next) -> Next:
    """Return the techniques as one function of a step, the first one outermost.

    >>> class Twice(Technique):
    ...     def __call__(self, step, then):
    ...         return 2 * then(step)
    >>> chain([Twice(), Twice()], lambda step: 1)(None)
    4
    """
    for technique in reversed(techniques):
        last = functools.partial(technique, then=last)
    return last


def learn(step: Step) -> Tensor:
    """End the chain: forward, loss, backward."""
    loss = step.forward()
    loss.backward()  # type: ignore[no-untyped-call]
    return loss


@dataclasses.dataclass(eq=False)
class Layers(Technique):
    """The doses of noise layers inside the model, which do their work by themselves."""

    levels: dict[str, float] = dataclasses.field(default_factory=dict)

    def __call__(self, step: Step, then: Next) -> Tensor:
        return then(step)

    def start_epoch(self, model: nn.Module, dose: float, rng: torch.Generator) -> None:  # noqa: ARG002
        """Set each layer to its level times the dose."""
        layers = {name: m for name, m in model.named_modules() if isinstance(m, NoiseLayer)}
        for name, layer in layers.items():
            layer.level = self.levels.setdefault(name, layer.level) * dose

    def finish(self, model: nn.Module) -> None:
        """Set each layer back to its level."""
        for name, level in self.levels.items():
            module: Any = model.get_submodule(name)
            module.level = level


@dataclasses.dataclass(eq=False)
class GaussianInput(Technique):
    """Add Gaussian noise of `level` spreads of the training data."""

    level: float
    spread: Tensor

    def __call__(self, step: Step, then: Next) -> Tensor:
        noise = normals(step.x.shape, step.rng, step.x.dtype)
        step.x = torch.addcmul(step.x, noise, self.spread.to(step.x), value=self.level * step.dose)
        return then(step)


@dataclasses.dataclass(eq=False)
class MissingInput(Technique):
    """Make a share of cells missing: the net meets them as it meets missing values."""

    level: float

    def __call__(self, step: Step, then: Next) -> Tensor:
        draws = torch.rand(step.x.shape, generator=step.rng, device=step.x.device)
        step.x = step.x.masked_fill(draws < self.level * step.dose, torch.nan)
        return then(step)


@dataclasses.dataclass(eq=False)
class SwapInput(Technique):
    """Replace a share of cells by the same feature of another row of the batch."""

    level: float

    def __post_init__(self) -> None:
        self.layer = SwapNoise(self.level)

    def __call__(self, step: Step, then: Next) -> Tensor:
        self.layer.level = self.level * step.dose
        step.x = self.layer.disturb(step.x, step.rng)
        return then(step)


@dataclasses.dataclass(eq=False)
class Erase(Technique):
    """Change the inputs by a batch function of (x, level, generator)."""

    level: float
    erase: Callable[..., Tensor]
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __call__(self, step: Step, then: Next) -> Tensor:
        level = type(self.level)(round(self.level * step.dose, 9))
        step.x = self.erase(step.x, level, generator=step.rng, **self.settings)
        return then(step)


@dataclasses.dataclass(eq=False)
class Mix(Technique):
    """Mix rows and their targets; of several ways, one for each batch by chance."""

    alphas: dict[str, float]
    layers: Sequence[str]

    def __call__(self, step: Step, then: Next) -> Tensor:
        which = int(torch.randint(len(self.alphas), (), generator=step.rng, device=step.rng.device))
        name, alpha = list(self.alphas.items())[which]
        if name == "manifold_mixup":
            step.hidden = (alpha * step.dose, self.layers)
        else:
            way = {"mixup": mixup, "cutmix": cutmix}[name]
            step.x, step.target = way(step.x, step.target, alpha * step.dose, generator=step.rng)
        return then(step)


@dataclasses.dataclass(eq=False)
class KeepClean(Technique):
    """Put back a share of the batch's rows, inputs and targets, so that the net also sees data as they are."""

    share: float

    def __call__(self, step: Step, then: Next) -> Tensor:
        x, y = step.x, step.target
        step.kept = torch.rand(len(x), generator=step.rng, device=x.device) < self.share
        step.x = torch.where(step.kept.reshape(-1, *[1] * (x.ndim - 1)), step.clean, x)
        if isinstance(y, MixedTarget):
            first, weight = torch.where(step.kept, step.labels, y.first), y.weight.masked_fill(step.kept, 1.0)
            step.target = MixedTarget(first, y.second, weight, y.partner)
        else:
            step.target = torch.where(step.kept, step.labels, y)
        return then(step)


@dataclasses.dataclass(eq=False)
class SmoothLabels(Technique):
    """Give every class a share of the certainty."""

    level: float

    def __call__(self, step: Step, then: Next) -> Tensor:
        smooth = self.level * step.dose
        step.loss = functools.partial(F.cross_entropy, label_smoothing=smooth, reduction="none")
        return then(step)


@dataclasses.dataclass(eq=False)
class PerturbWeights(Technique):
    """Take the gradient at weights with random noise."""

    level: float

    def __call__(self, step: Step, then: Next) -> Tensor:
        with weight_noise(step.model, self.level * step.dose, generator=step.rng):
            return then(step)


@dataclasses.dataclass(eq=False)
class PerturbGradients(Technique):
    """Add noise to gradients, in shares of each gradient's root mean square."""

    level: float

    def __call__(self, step: Step, then: Next) -> Tensor:
        loss = then(step)
        add_gradient_noise(step.model, self.level * step.dose, relative=True, generator=step.rng)
        return loss


@dataclasses.dataclass(eq=False)
class Sharpness(Technique):
    """Take the gradient where the loss nearby is highest (SAM)."""

    rho: float

    def __call__(self, step: Step, then: Next) -> Tensor:
        loss = then(step)
        with SAM(step.model, rho=self.rho * step.dose).ascended():
            then(step)
        return loss


@dataclasses.dataclass(eq=False)
class WorstWeights(Technique):
    """Take the gradient at weights moved against the loss (AWP)."""

    gamma: float

    def __call__(self, step: Step, then: Next) -> Tensor:
        with AWP(step.model, gamma=self.gamma * step.dose).ascended(step.forward()):
            return then(step)
