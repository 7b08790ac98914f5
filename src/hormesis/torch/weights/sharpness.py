"""Weights moved uphill for a second pass, and back before the step: SAM and AWP, in any training loop."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hormesis.errors import ModelError, SettingError
from hormesis.torch.weights.kept import Kept, kept, write
from hormesis.torch.weights.on_the_fly import current
from hormesis.torch.weights.selection import plain

Moves = Iterator[tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False)
class Ascent(ABC):
    """A step uphill in the space of weights; holds settings and the model, and no state between steps."""

    model: nn.Module

    @abstractmethod
    def moves(self, weights: Sequence[Tensor], grads: Sequence[Tensor]) -> Moves:
        """Yield weights with what is added to them; nothing where a gradient is not finite."""

    @property
    def updates_statistics(self) -> bool:
        """Whether the second pass too writes running statistics."""
        return False

    @contextmanager
    def ascended(self, loss: Tensor | None = None) -> Iterator[None]:
        """Hold the weights uphill inside a block: run the second pass there, `backward` included.

        Afterwards every weight has the bits it had before, whatever was used in the second pass and whatever was raised. The
        optimizer steps after the block, on the second pass's gradients alone.

        Parameters
        ----------
        loss : Tensor, optional
            Where the direction comes from. None takes `.grad`, left by the first pass over one or many batches, and clears it.
            A loss is differentiated apart and `.grad` stays: second passes of several batches then add up.

        Raises
        ------
        ModelError
            No weight has a gradient; `optimizer.step()` was called inside the block.
        """
        asked = [p for p in plain(self.model).parameters() if p.requires_grad]
        before = [p.grad for p in asked]
        grads = before if loss is None else torch.autograd.grad(loss, asked, allow_unused=True)
        pairs = [(p, g) for p, g in zip(asked, grads, strict=True) if g is not None]
        if not pairs:
            raise ModelError(
                "No weight has a gradient: run the first pass and `loss.backward()` before `ascended()`."
            )
        weights = [p for p, _ in pairs]
        with kept(weights, "`ascended()`") as held, self._statistics():
            with torch.no_grad(), torch._C.DisableTorchFunction():
                moves = self.moves(weights, [_dense(g) for _, g in pairs])
                write((weight, weight + move) for weight, move in moves)
            held.seal()
            try:
                if loss is None:
                    _set_grads(asked, [None] * len(asked))
                yield
            except BaseException:
                _set_grads(asked, before)
                raise

    def step(self, closure: Callable[[], Any], optimizer: torch.optim.Optimizer, scaler: Any = None) -> Any:
        """Make one training step of two passes, and return the first pass's loss.

        Parameters
        ----------
        closure : function
            Computes the loss of the whole step, calls `backward` on it (on ``scaler.scale(loss)`` with a scaler; on each
            part, where gradients are accumulated) and returns it. It is called twice.
        optimizer : torch.optim.Optimizer
            Any optimizer; its gradients are cleared first.
        scaler : torch.amp.GradScaler, optional
            Steps the optimizer, and skips it where gradients overflow; call ``scaler.update()`` after.
        """
        optimizer.zero_grad()
        with torch.enable_grad():
            loss = closure()
            with self.ascended():
                closure()
        if scaler is None:
            optimizer.step()
        else:
            scaler.step(optimizer)
        return loss

    @contextmanager
    def _statistics(self) -> Iterator[None]:
        """Put running statistics back, as the first pass has written them already."""
        modules = () if self.updates_statistics else plain(self.model).modules()
        tracking = [m for m in modules if m.training and m._buffers.get("running_mean") is not None]
        held = Kept([b for m in tracking for b in m._buffers.values() if b is not None])
        try:
            yield
        finally:
            held.restore()


def _set_grads(weights: Sequence[Tensor], grads: Sequence[Tensor | None]) -> None:
    for weight, grad in zip(weights, grads, strict=True):
        weight.grad = grad


def _dense(grad: Tensor) -> Tensor:
    return grad.to_dense() if grad.is_sparse else grad


def _length(tensor: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(tensor, dtype=torch.promote_types(tensor.dtype, torch.float32))
    return length


@dataclass(frozen=True, eq=False)
class SAM(Ascent):
    """Sharpness-aware minimisation: take the gradient where the loss nearby is highest, step from where you are.

    Finds flat minima, which noise in the weights hurts less. With g the gradient of all weights together, the second pass is at
    w + rho * g / ||g||; `adaptive` measures the ball in units of each weight: w + rho * T^2 g / ||T g|| with T = |w| + 0.01
    for matrices and filters, 1 for biases and scales. Costs one more pass per step. The direction does not depend on a
    loss scale, so gradients need no unscaling before `ascended` (and must not be unscaled twice in one step); where
    they overflow, the weights stay and the scaler skips the step as always.

    Parameters
    ----------
    model : torch.nn.Module
    rho : float
        Radius: 0.05 is usual, 0.5 to 2 with `adaptive`.
    adaptive : bool
        ASAM: the same sharpness however the weights are scaled.
    update_statistics : bool
        Whether the second pass too writes running statistics of normalisation layers.

    Raises
    ------
    SettingError
        `rho` is negative or not finite.

    Notes
    -----
    Sources: Foret et al. (2021), Sharpness-aware minimization; Kwon et al. (2021), ASAM.

    Examples
    --------
    >>> net = nn.Linear(2, 1)
    >>> sgd, x = torch.optim.SGD(net.parameters(), lr=0.1), torch.ones(4, 2)
    >>> net(x).square().mean().backward()
    >>> with SAM(net, rho=0.05).ascended():
    ...     net(x).square().mean().backward()
    >>> sgd.step()
    """

    rho: float = 0.05
    adaptive: bool = False
    update_statistics: bool = False

    def __post_init__(self) -> None:
        _check("rho", self.rho)

    @property
    def updates_statistics(self) -> bool:
        """Whether the second pass too writes running statistics."""
        return self.update_statistics

    def moves(self, weights: Sequence[Tensor], grads: Sequence[Tensor]) -> Moves:
        """Yield weights with what is added to them; nothing where a gradient is not finite."""
        lengths = [_length(g if s is None else s * g) for g, s in self._scaled(weights, grads)]
        whole = float(torch.stack([n.to(lengths[0].device) for n in lengths]).norm())
        if whole == 0 or whole != whole or whole == float("inf"):
            return
        for w, (g, s) in zip(weights, self._scaled(weights, grads), strict=True):
            wide = g.to(torch.promote_types(g.dtype, torch.float32))
            yield w, (wide if s is None else wide * s * s) * (self.rho / whole)

    def _scaled(
        self, weights: Sequence[Tensor], grads: Sequence[Tensor]
    ) -> Iterator[tuple[Tensor, Tensor | None]]:
        for w, g in zip(weights, grads, strict=True):
            yield g, current(w).abs() + 0.01 if self.adaptive and w.ndim > 1 else None


@dataclass(frozen=True, eq=False)
class AWP(Ascent):
    """Adversarial weight perturbation: in adversarial training, move the weights against the loss too.

    Each matrix or filter w with gradient g of the adversarial loss moves by gamma * ||w|| * g / ||g||; biases and scales stay. It
    narrows the gap between robust accuracy in training and in test. Use it as `SAM`, with the adversarial batch
    in both passes; start it after some epochs.

    Parameters
    ----------
    model : torch.nn.Module
    gamma : float
        Size of the move as a share of each weight tensor's own length: 0.005 to 0.01 is usual.
    update_statistics : bool
        Whether the second pass too writes running statistics of normalisation layers.

    Raises
    ------
    SettingError
        `gamma` is negative or not finite.

    Notes
    -----
    Source: Wu, Xia and Wang (2020), Adversarial weight perturbation helps robust generalization.

    Examples
    --------
    >>> net = nn.Linear(2, 1)
    >>> x_adv = torch.ones(4, 2)
    >>> with AWP(net, gamma=0.01).ascended(net(x_adv).square().mean()):
    ...     net(x_adv).square().mean().backward()
    """

    gamma: float = 0.005
    update_statistics: bool = False

    def __post_init__(self) -> None:
        _check("gamma", self.gamma)

    @property
    def updates_statistics(self) -> bool:
        """Whether the second pass too writes running statistics."""
        return self.update_statistics

    def moves(self, weights: Sequence[Tensor], grads: Sequence[Tensor]) -> Moves:
        """Yield weights with what is added to them; nothing where a gradient is not finite."""
        layers = [(w, g) for w, g in zip(weights, grads, strict=True) if w.ndim > 1]
        lengths = [_length(g) for _, g in layers]
        if not layers or not bool(torch.stack([n.isfinite().to(lengths[0].device) for n in lengths]).all()):
            return
        for (w, g), n in zip(layers, lengths, strict=True):
            yield w, g.to(n.dtype) * torch.where(n > 0, self.gamma * _length(current(w)) / n, 0.0)


def _check(name: str, value: float) -> None:
    if not (isinstance(value, int | float) and 0 <= value < float("inf")):
        raise SettingError(f"`{name}={value!r}`: it is a length, 0 or more.")
