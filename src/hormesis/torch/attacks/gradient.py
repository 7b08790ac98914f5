"""FGSM and PGD: worst-case noise along the gradient, at the floor of passes."""

import torch
from torch import Tensor

from hormesis.torch.attacks.ball import Draws
from hormesis.torch.attacks.base import Attack, Epsilon, Loss, Positive, Steps, attack, short_of_the_edge
from hormesis.torch.attacks.problem import Problem, Tried
from hormesis.torch.attacks.space import Norm


@attack
class FGSM(Attack):
    """Move every feature by epsilon in the direction that raises the loss: one pass forward, one backward.

    ``x + epsilon * sign(dloss/dx)`` (for L2 along the gradient). With `random_start` and ``step_size = 1.25 * epsilon`` it
    is the step of fast adversarial training (Wong et al. 2020). Source: Goodfellow et al. (2015).

    Parameters
    ----------
    epsilon : float
        Size, in units of the space's scale.
    norm : ``"linf"``, ``"l2"`` or ``"l1"``
    step_size : float, optional
        None: epsilon.
    random_start : bool
        Start at a random point of the ball.
    restarts : int
        Attempts in `run`; more than one makes sense with a random start.
    loss : str or callable
        ``auto``, ``ce``, ``bce``, ``mse``, ``margin``, ``dlr``, or a function of output and y with one number per row.

    Examples
    --------
    >>> net = torch.nn.Linear(2, 2, bias=False)
    >>> net.weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> FGSM(0.25).perturb(net, torch.tensor([[1.0, 0.0]]), torch.tensor([0]))
    tensor([[0.7500, 0.2500]])
    """

    epsilon: Epsilon = 0.1
    norm: Norm = "linf"
    step_size: Positive | None = None
    random_start: bool = False
    restarts: Steps = 1
    loss: Loss = "auto"

    def search(
        self, problem: Problem, x: Tensor, y: Tensor, epsilon: float, draws: Draws, *, track: bool = False
    ) -> Tried:
        """Take the step."""
        size = epsilon if self.step_size is None else self.step_size
        start = draws if self.random_start else None
        return climb(problem, x, y, epsilon, size, 1, start, track=track)


@attack
class PGD(Attack):
    """Climb the loss in steps, projected back into the ball: k passes forward and k backward for k steps.

    Source: Madry et al. (2018). `run` returns the best iterate, `perturb` the last one, as training wants it.

    Parameters
    ----------
    epsilon : float
        Size, in units of the space's scale.
    steps : int
    norm : ``"linf"``, ``"l2"`` or ``"l1"``
    step_size : float, optional
        None: ``2.5 * epsilon / steps``, so that the steps reach the edge.
    random_start : bool
        Start at a random point of the ball.
    restarts : int
        Attempts in `run`, each from another start, on rows that still stand.
    loss : str or callable
        As in `FGSM`.

    Examples
    --------
    >>> net = torch.nn.Linear(2, 2, bias=False)
    >>> net.weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> x, y = torch.tensor([[1.0, 0.0], [0.2, 0.0]]), torch.tensor([0, 0])
    >>> PGD(steps=5).run(net, x, y, epsilons=[0.05, 0.2])
    PGD(epsilon=0.1, steps=5, norm='linf', step_size=None, random_start=True, restarts=1, loss='auto') on 2 rows, clean accuracy 1.000
      epsilon 0.05: robust accuracy 1.000 [0.158, 1.000]
      epsilon 0.2: robust accuracy 0.500 [0.013, 0.987]
    """

    epsilon: Epsilon = 0.1
    steps: Steps = 10
    norm: Norm = "linf"
    step_size: Positive | None = None
    random_start: bool = True
    restarts: Steps = 1
    loss: Loss = "auto"

    def search(
        self, problem: Problem, x: Tensor, y: Tensor, epsilon: float, draws: Draws, *, track: bool = False
    ) -> Tried:
        """Take all steps."""
        size = 2.5 * epsilon / self.steps if self.step_size is None else self.step_size
        short_of_the_edge(self, epsilon, size, self.steps)
        start = draws if self.random_start else None
        return climb(problem, x, y, epsilon, size, self.steps, start, track=track)


def climb(
    problem: Problem,
    x: Tensor,
    y: Tensor,
    epsilon: float,
    size: float,
    steps: int,
    start: Draws | None,
    *,
    track: bool,
) -> Tried:
    """Step up the loss; with `track`, remember the best of the iterates that were passed on the way."""
    ball = problem.ball(x, epsilon)
    at = x if start is None else ball.start(start)
    best: Tensor | None = None
    top, flat = torch.empty(0), None
    for _ in range(steps):
        here = ball.legal(at)
        gradient, out = problem.slope(here, y)
        if track:
            assert problem.goal is not None
            height = problem.goal.height(out, y)
            if best is None:
                best, top, flat = here, height, problem.flat(gradient)
            else:
                higher = height > top
                best = torch.where(ball.rows(higher), here, best)
                top = torch.where(higher, height, top)
        at = ball.step(at, gradient, size)
    last = ball.legal(at)
    return Tried(last) if best is None else Tried(last, best, top, flat)
