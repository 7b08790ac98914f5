"""APGD: gradient ascent that chooses its own step size, so that nothing is left to tune."""

import dataclasses
import functools
import math
from collections.abc import Iterator
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor

from hormesis.torch.attacks.ball import L1, Ball, Draws
from hormesis.torch.attacks.base import Attack, Attempt, Epsilon, Loss, Steps, attack
from hormesis.torch.attacks.losses import PerRow, one_logit
from hormesis.torch.attacks.problem import Problem, Tried
from hormesis.torch.attacks.space import Norm

MOMENTUM = 0.75
RISING = 0.75


@attack
class APGD(Attack):
    """Climb with momentum; at checkpoints, rows that no longer rise halve their step and go back to their best point.

    ``z = P(x + eta * sign(g))``, ``x' = P(x + 0.75 (z - x) + 0.25 (x - x_before))``, with eta from ``2 * epsilon``
    downwards (in L2 along the gradient). In L1 the step moves few features, their number following the sparsity of the
    best point. In `run`, rows that have fallen leave at once, so easy rows cost few passes; `perturb` returns the best
    point of exactly `steps` passes forward and backward. Source: Croce and Hein (2020); for L1, Croce and Hein (2021).

    Parameters
    ----------
    epsilon : float
        Size, in units of the space's scale.
    steps : int
    norm : ``"linf"``, ``"l2"`` or ``"l1"``
    loss : str or callable
        As in `FGSM`. With `targets` it is ignored.
    targets : int, optional
        Climb the margin of one wrong class at a time, the k most probable ones in turn, on rows that still stand (with
        one logit or two classes: the margin). `perturb` takes the most probable one only.
    restarts : int
        Attempts in `run`, each from another start, on rows that still stand.

    Examples
    --------
    >>> net = torch.nn.Linear(2, 3, bias=False)
    >>> net.weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    >>> x, y = torch.tensor([[1.0, 0.0], [0.2, 0.0]]), torch.tensor([0, 0])
    >>> APGD(steps=20, targets=2).run(net, x, y, epsilons=[0.05, 0.2]).robust_accuracy
    (1.0, 0.5)
    """

    epsilon: Epsilon = 0.1
    steps: Annotated[int, Ge(2)] = 100
    norm: Norm = "linf"
    loss: Loss = "auto"
    targets: Steps | None = None
    restarts: Steps = 1

    def attempts(self, problem: Problem) -> Iterator[Attempt]:
        """Yield a search for each restart and each target."""
        ranks = range(self._ranks(problem.first)) if self.targets else (None,)
        loss = "margin" if self.targets and problem.goal and problem.goal.classes else self.loss
        for restart in range(self.restarts):
            for rank in ranks:
                number = restart * len(ranks) + (rank or 0)
                yield Attempt(self._label(), number, functools.partial(self.search, rank=rank), loss)

    def _ranks(self, first: Tensor | None) -> int:
        several = first is not None and first.ndim == 2 and first.shape[1] > 2
        return min(self.targets or 1, first.shape[1] - 1) if several and first is not None else 1

    def _label(self) -> str:
        return f"{self.name}-targeted" if self.targets else self.name

    def search(
        self,
        problem: Problem,
        x: Tensor,
        y: Tensor,
        epsilon: float,
        draws: Draws,
        *,
        track: bool = False,
        rank: int | None = None,
    ) -> Tried:
        """Climb from a random point."""
        if self.targets and not track:
            _, goal = problem.look(x, y)
            problem, rank = (problem.climbing("margin", y), 0) if goal.classes else (problem, None)
        target = None if rank is None else _target(problem.first, y, rank)
        ball = problem.ball(x, epsilon)
        at = ball.start(draws)
        pace = Sparse(ball, at, self.steps) if isinstance(ball, L1) else Halving(ball, at, self.steps)
        rows = torch.arange(len(x), device=x.device)
        ascent = Ascent(problem, y, target, ball, pace, rows, at, Best.empty(x), leave=track)
        return ascent.climb(self.steps)


def _target(first: Tensor | None, y: Tensor, rank: int) -> Tensor | None:
    """Return the wrong class of each row that is the `rank`-th most probable, None where there is no choice."""
    if first is None or one_logit(first) or first.ndim != 2 or first.shape[1] < 3 or y.ndim != 1:
        return None
    others = first.scatter(1, y.long().unsqueeze(1), -torch.inf)
    return others.topk(rank + 1, dim=1).indices[:, rank]


@dataclasses.dataclass(eq=False)
class Best:
    """The worst input seen for each row of the batch, by height; rows that have fallen are settled."""

    at: Tensor
    height: Tensor
    lost: Tensor
    flat: Tensor

    @classmethod
    def empty(cls, x: Tensor) -> "Best":
        """Return the clean inputs, at no height."""
        still = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        height = torch.full((len(x),), -torch.inf, device=x.device, dtype=x.dtype)
        return cls(x.clone(), height, still, still.clone())

    def see(self, rows: Tensor, at: Tensor, height: Tensor, lost: Tensor) -> None:
        """Keep what is higher than anything before."""
        won = ((height > self.height[rows]) | lost) & ~self.lost[rows]
        chosen = rows[won]
        self.at[chosen], self.height[chosen] = at[won], height[won].to(self.height.dtype)
        self.lost[rows] |= lost


@dataclasses.dataclass(eq=False)
class Ascent:
    """Rows on their way up; `rows` are their positions in the batch."""

    problem: Problem
    y: Tensor
    target: Tensor | None
    ball: Ball
    pace: "Halving | Sparse"
    rows: Tensor
    at: Tensor
    best: Best
    leave: bool

    def climb(self, steps: int) -> Tried:
        """Take all steps, and one pass more to look at the last where rows may leave."""
        for i in range(steps):
            here = self.ball.legal(self.at)
            gradient, out = self.problem.slope(here, self.y, self._loss())
            self._see(here, out)
            if i == 0:
                self.best.flat = self.problem.flat(gradient)
            self.at = self.pace.step(i, self.ball, self.at, gradient, self._value(out))
            if self.leave and not self._part():
                break
        if self.leave and len(self.rows):
            last = self.ball.legal(self.at)
            self._see(last, self.problem.look(last, self.y)[0])
        best = self.best
        return Tried(best.at, height=best.height, flat=best.flat, lost=best.lost)

    def _loss(self) -> PerRow | None:
        if self.target is None:
            return None
        target, truth = self.target.unsqueeze(1), self.y.long().unsqueeze(1)
        return lambda out, _: (out.gather(1, target) - out.gather(1, truth)).squeeze(1)

    def _value(self, out: Tensor) -> Tensor:
        goal = self.problem.goal
        assert goal is not None
        value = (self._loss() or goal.loss)(out, self.y)
        return value.to(self.at.dtype).nan_to_num(nan=-torch.inf)

    def _see(self, at: Tensor, out: Tensor) -> None:
        goal = self.problem.goal
        assert goal is not None
        height, lost = goal.height(out, self.y), goal.wrong(out, self.y)
        if not self.leave:
            height, lost = self._value(out), torch.zeros_like(lost)
        self.best.see(self.rows, at, height, lost)

    def _part(self) -> bool:
        """Let fallen rows go, once a tenth has fallen; tell whether any are left."""
        standing = (~self.best.lost[self.rows]).nonzero().flatten()
        if len(standing) > 0.9 * len(self.rows):
            return True
        self.rows, self.y, self.at = self.rows[standing], self.y[standing], self.at[standing]
        self.target = None if self.target is None else self.target[standing]
        self.problem, self.ball = self.problem.of(standing), self.ball.of(standing)
        self.pace.keep(standing)
        return len(standing) > 0


class Pace:
    """The step of each row, and the best point it may go back to, by the value of the loss."""

    def __init__(self, at: Tensor, size: float) -> None:
        self.size = torch.full((len(at),), size, device=at.device, dtype=at.dtype)
        self.top = torch.full_like(self.size, -torch.inf)
        self.best, self.slope = at.clone(), torch.zeros_like(at)

    def higher(self, ball: Ball, at: Tensor, gradient: Tensor, value: Tensor) -> None:
        """Remember the points that are the best so far."""
        up = value > self.top
        self.top = torch.where(up, value, self.top)
        self.best = torch.where(ball.rows(up), at, self.best)
        self.slope = torch.where(ball.rows(up), gradient, self.slope)

    def keep(self, rows: Tensor) -> None:
        """Forget all other rows."""
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(self, name, value[rows])


class Halving(Pace):
    """Steps from twice epsilon downwards, halved at checkpoints where the loss rises too seldom or not at all."""

    def __init__(self, ball: Ball, at: Tensor, steps: int) -> None:
        super().__init__(at, 2 * ball.epsilon)
        self.checks = checkpoints(steps)
        self.last, self.before = torch.full_like(self.top, torch.inf), at
        self.rises, self.top_then = torch.zeros_like(self.top), self.top.clone()
        self.halved = torch.zeros_like(self.top, dtype=torch.bool)
        self.since = 0

    def step(self, i: int, ball: Ball, at: Tensor, gradient: Tensor, value: Tensor) -> Tensor:
        """Return the next points."""
        self.higher(ball, at, gradient, value)
        self.rises += value > self.last
        self.last = value
        self.since += 1
        if i in self.checks:
            back = self._check()
            at, gradient = torch.where(back, self.best, at), torch.where(back, self.slope, gradient)
        z = ball.step(at, gradient, ball.rows(self.size))
        ahead = z if i == 0 else ball.project(at + MOMENTUM * (z - at) + (1 - MOMENTUM) * (at - self.before))
        self.before = at
        return ahead

    def _check(self) -> Tensor:
        """Halve where it is time; return which rows go back, in the shape of the input."""
        seldom = self.rises < RISING * self.since
        stuck = ~self.halved & (self.top == self.top_then)
        self.halved = seldom | stuck
        self.size = torch.where(self.halved, self.size / 2, self.size)
        self.rises, self.top_then, self.since = torch.zeros_like(self.rises), self.top.clone(), 0
        self.last = torch.where(self.halved, self.top, self.last)
        return self.halved.reshape(-1, *[1] * (self.best.ndim - 1))


class Sparse(Pace):
    """L1 steps on few features: their number follows the best point, the step shrinks while that number is steady.

    Where nothing was gained since the last check, steps become sparser still: with bounds, equal steps on many features
    can undo each other in the projection for ever.
    """

    def __init__(self, ball: Ball, at: Tensor, steps: int) -> None:
        super().__init__(at, ball.epsilon)
        self.full, self.every = ball.epsilon, max(1, math.ceil(0.04 * steps))
        features = at[0].numel()
        self.most = torch.full((len(at),), max(1, features // 5), device=at.device)
        self.moved, self.top_then = torch.full_like(self.size, features), self.top.clone()

    def step(self, i: int, ball: Ball, at: Tensor, gradient: Tensor, value: Tensor) -> Tensor:
        """Return the next points."""
        self.higher(ball, at, gradient, value)
        if i and i % self.every == 0:
            back = ball.rows(self._check(ball))
            at, gradient = torch.where(back, self.best, at), torch.where(back, self.slope, gradient)
        assert isinstance(ball, L1)
        return ball.sparse(at, gradient, ball.rows(self.size), self.most)

    def _check(self, ball: Ball) -> Tensor:
        moved = (ball.units(self.best) != 0).sum(1).to(self.size)
        steady = moved >= 0.95 * self.moved
        stalled = self.top == self.top_then
        self.moved, self.top_then = moved, self.top.clone()
        self.most = (torch.where(stalled, self.most.to(moved), moved) / 1.5).long().clamp(min=1)
        shrunk = (self.size / 1.5).clamp(min=self.full / 10)
        self.size = torch.where(steady, shrunk, torch.full_like(shrunk, self.full))
        return stalled | ~steady


def checkpoints(steps: int) -> set[int]:
    """Return the steps at which sizes are checked: ever closer together, at least 6 % of all steps apart.

    >>> sorted(checkpoints(100))
    [22, 41, 57, 70, 80, 87, 93, 99]
    """
    before, now, found = 0.0, 0.22, set()
    while now <= 1:
        found.add(math.ceil(round(now * steps, 6)))
        before, now = now, now + max(now - before - 0.03, 0.06)
    return found
