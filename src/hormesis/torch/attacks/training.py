"""Training against worst-case noise in any loop: TRADES, free training, and the alarm that fast training needs."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from hormesis.errors import SettingError
from hormesis.torch.attacks.ball import Ball
from hormesis.torch.attacks.base import Attack
from hormesis.torch.attacks.gradient import PGD
from hormesis.torch.attacks.losses import one_logit
from hormesis.torch.attacks.space import Norm, Space
from hormesis.torch.quiet import Model, outputs
from hormesis.torch.source import Seed, Source


def trades_loss(
    model: Model,
    x: Any,
    y: Tensor,
    *,
    attack: Attack | None = None,
    beta: float = 6.0,
    space: Space | None = None,
    generator: Seed = None,
) -> Tensor:
    """Return the TRADES loss of a batch: the clean loss plus `beta` times how far the worst input moves the answer.

    ``loss(f(x), y) + beta * KL(f(x) || f(x'))`` with x' found by `attack` on the divergence itself; squared errors in a
    regression. The clean answer is computed once, so k steps take k + 2 passes forward and, with the caller's
    ``backward()``, k + 1 backward; clean and adversarial rows go through separate passes, each with its own batch
    statistics. Source: Zhang et al. (2019).

    Raises
    ------
    SettingError
        A negative `beta`, or an attack that starts at the clean input, where the divergence is flat.

    Parameters
    ----------
    model : module
        In train mode; the search itself sees it in eval mode.
    x, y : tensors
        A batch; labels of classes, or floats for a regression.
    attack : Attack, optional
        None: ``PGD(0.1)``. Its loss is replaced by the divergence.
    beta : float
        Weight of robustness; 1 to 10 are common.
    space, generator
        As in `Attack.perturb`.

    Examples
    --------
    >>> net = torch.nn.Linear(2, 3)
    >>> loss = trades_loss(net, torch.zeros(4, 2), torch.tensor([0, 1, 2, 0]), generator=0)
    >>> loss.requires_grad, loss.shape
    (True, torch.Size([]))
    """
    if not beta >= 0:
        raise SettingError(f"`trades_loss(beta={beta})`: the weight of robustness is 0 or more.")
    if getattr(attack, "random_start", True) is False:
        raise SettingError(
            "`trades_loss(attack=...)` climbs a divergence that is flat at the clean input: use random_start=True."
        )
    clean = outputs(model, x)
    target = clean.detach()
    search = dataclasses.replace(attack or PGD(0.1), loss=_far_from(y))  # type: ignore[type-var]
    moved = search.perturb(model, x, target, space=space, generator=generator)
    return fit_loss(clean, y) + beta * _far_from(y)(outputs(model, moved), clean).mean()


def fit_loss(output: Tensor, y: Tensor) -> Tensor:
    """Return the ordinary loss: cross-entropy of classes, binary cross-entropy of 0 and 1, squared error of other numbers."""
    if one_logit(output) and bool(((y == 0) | (y == 1)).all()):
        return F.binary_cross_entropy_with_logits(output, y.reshape(output.shape).to(output))
    if y.is_floating_point() and (one_logit(output) or y.shape == output.shape):
        return F.mse_loss(output, y.reshape(output.shape).to(output))
    return F.cross_entropy(output, y)


def _far_from(y: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the divergence between two answers, one number per row: KL for classes, squared error for numbers."""

    def divergence(output: Tensor, clean: Tensor) -> Tensor:
        numbers = y.is_floating_point() and not bool(((y == 0) | (y == 1)).all())
        if numbers:
            return (output - clean).square().reshape(len(output), -1).mean(1)
        if one_logit(output):
            output, clean = (torch.stack([-z.reshape(-1), z.reshape(-1)], 1) / 2 for z in (output, clean))
        log_p, log_q = clean.log_softmax(1), output.log_softmax(1)
        return (log_p.exp() * (log_p - log_q)).sum(1).reshape(len(output), -1).mean(1)

    return divergence


class FreeTraining:
    """Adversarial training at the price of ordinary training: each batch is replayed, and one backward pass serves both.

    The perturbation is moved by the gradient that the optimiser's own backward pass leaves on the input, and is carried
    on to the next batch. Train for ``epochs / replays``. Source: Shafahi et al. (2019).

    Parameters
    ----------
    epsilon : float
        Size, in units of the space's scale.
    replays : int
        Steps on each batch.
    norm, space, generator
        As in `PGD` and `Attack.perturb`.

    Examples
    --------
    >>> net = torch.nn.Linear(2, 2)
    >>> optimizer, free = torch.optim.SGD(net.parameters(), 0.1), FreeTraining(0.1, replays=2)
    >>> for loss in free.losses(net, torch.zeros(4, 2), torch.tensor([0, 1, 0, 1])):
    ...     optimizer.zero_grad()
    ...     loss.backward()
    ...     optimizer.step()
    """

    def __init__(
        self,
        epsilon: float,
        *,
        replays: int = 4,
        norm: Norm = "linf",
        space: Space | None = None,
        generator: Seed = None,
    ) -> None:
        if not epsilon >= 0 or replays < 1:
            raise SettingError(
                f"`FreeTraining({epsilon}, replays={replays})`: epsilon is 0 or more, replays 1 or more."
            )
        self.epsilon, self.replays, self.norm = epsilon, replays, norm
        self.space, self.source = space or Space(), Source(generator, "free")
        self.moves: Tensor | None = None

    def losses(
        self,
        model: Model,
        x: Tensor,
        y: Tensor,
        criterion: Callable[[Tensor, Tensor], Tensor] = fit_loss,
    ) -> Iterator[Tensor]:
        """Yield the loss of each replay; the caller calls ``backward()`` and steps before asking for the next.

        Raises
        ------
        SettingError
            The caller did not call ``backward()``.
        """
        clean = x.detach()
        ball = self.space.ball(clean, self.epsilon, self.norm)
        at = self._start(ball)
        for _ in range(self.replays):
            leaf = at.detach().requires_grad_()
            yield criterion(outputs(model, leaf), y)
            if leaf.grad is None:
                raise SettingError("FreeTraining needs `loss.backward()` before the next replay.")
            at = ball.step(at, leaf.grad, float(self.epsilon))
        self.moves = (at - clean).detach()

    def _start(self, ball: Ball) -> Tensor:
        """Return the last batch's perturbation on this batch, as far as it is as long; random ones at first."""
        x = ball.x
        if self.moves is None or self.moves.shape[1:] != x.shape[1:] or len(self.moves) < len(x):
            move = torch.empty_like(x).uniform_(-1.0, 1.0, generator=self.source.on(x.device))
            return ball.project(x + move * self.epsilon * ball.scale)
        return ball.project(x + self.moves[: len(x)])


class OverfittingAlarm:
    """Tell when one-step adversarial training has collapsed: robust accuracy on training rows suddenly falls.

    Fast training can, within an epoch, learn to fool its own single step; accuracy under several steps then drops to
    0 while everything else looks better than ever. Check a training batch now and then. Source: Wong et al. (2020).

    Parameters
    ----------
    attack : Attack
        What fast training must stand; ``PGD`` with 10 steps at the training's epsilon.
    drop : float
        Fall of robust accuracy below the best so far that rings the alarm.
    space : Space, optional

    Attributes
    ----------
    history : list of robust accuracies.

    Examples
    --------
    >>> alarm = OverfittingAlarm(PGD(0.1))
    >>> alarm.heard(0.61), alarm.heard(0.66), alarm.heard(0.05)
    (False, False, True)
    """

    def __init__(self, attack: Attack, *, drop: float = 0.2, space: Space | None = None) -> None:
        if not 0 < drop <= 1:
            raise SettingError(f"`OverfittingAlarm(drop={drop})`: the fall is a share of rows, above 0 to 1.")
        self.attack, self.drop, self.space = attack, drop, space
        self.history: list[float] = []

    def check(self, model: Model, x: Any, y: Tensor) -> bool:
        """Attack a batch of training rows; return whether the alarm rings."""
        found = self.attack.run(model, x, y, space=self.space, progress=False)
        return self.heard(found.robust_accuracy[0])

    def heard(self, robust_accuracy: float) -> bool:
        """Take note of a robust accuracy; return whether it fell too far."""
        self.history.append(robust_accuracy)
        return max(self.history) - robust_accuracy > self.drop
