"""Square: random search on answers alone, for models without gradients and against gradients that mislead."""

import dataclasses
from typing import Any, Literal

import torch
from torch import Tensor

from hormesis.torch.attacks.attacked import Attacked
from hormesis.torch.attacks.ball import Ball, Draws
from hormesis.torch.attacks.base import Attack, Epsilon, Loss, Steps, attack
from hormesis.torch.attacks.bridge import bridged_perturb, bridged_run
from hormesis.torch.attacks.patches import Blocks, Patches, Windows
from hormesis.torch.attacks.problem import Problem, Tried

HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""Of 10,000 queries, those after which the share of features that change is halved."""


@attack
class Square(Attack):
    """Try random moves to the edge of the ball, ever smaller ones, and keep those that help: no gradient is asked for.

    Images (rows, channels, height, width) change in one square at a time, one sign per channel, beginning with vertical
    stripes. Any other shape changes in a random block of features, one sign per feature, beginning with all of them; a
    block that touches a one-hot group tries a random category. In L2 a move takes length from one square or block and
    gives it to another. In `run` a row that has fallen is asked no more; `queries` of the result counts per row.

    Parameters
    ----------
    epsilon : float
        Size, in units of the space's scale.
    queries : int
        Passes forward, at most.
    norm : ``"linf"`` or ``"l2"``
    share : float
        Share of the pixels or features that changes at first.
    restarts : int
        Attempts in `run`, on rows that still stand.
    loss : str or callable
        What counts in a regression; for classes it is the margin.

    Notes
    -----
    `run` takes any function of the inputs, also one over NumPy arrays such as ``forest.predict_proba``, whole-number inputs
    (which stay whole, within the limits of their dtype) and NumPy arrays. Source: Andriushchenko et al. (2020); the blocks
    for tables are ours.

    Examples
    --------
    >>> net = torch.nn.Linear(2, 2, bias=False)
    >>> net.weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> x, y = torch.tensor([[1.0, 0.0], [0.2, 0.0]]), torch.tensor([0, 0])
    >>> found = Square(0.2, queries=50).run(net, x, y)
    >>> found.robust_accuracy, bool(found.queries[1] < found.queries[0])
    ((0.5,), True)
    """

    epsilon: Epsilon = 0.1
    queries: Steps = 1000
    norm: Literal["linf", "l2"] = "linf"
    share: float = 0.8
    restarts: Steps = 1
    loss: Loss = "auto"
    needs_gradients = False

    def run(self, model: Any, x: Any, y: Any, **settings: Any) -> Attacked:
        """Attack every row, as `Attack.run`; the model may be any function, also over NumPy arrays."""
        return bridged_run(super().run, model, x, y, **settings)

    def perturb(self, model: Any, x: Any, y: Any, **settings: Any) -> Any:
        """Return adversarial inputs for one batch, as `Attack.perturb`."""
        return bridged_perturb(super().perturb, model, x, y, **settings)

    def search(
        self,
        problem: Problem,
        x: Tensor,
        y: Tensor,
        epsilon: float,
        draws: Draws,
        *,
        track: bool = False,
    ) -> Tried:
        """Try one move after the other."""
        ball = problem.ball(x, epsilon)
        windows = (Patches if x.ndim == 4 and not ball.groups else Blocks)(ball)
        hunt = Hunt(problem, y, ball, windows, draws, euclidean=self.norm == "l2")
        return hunt.on(self.queries, self.share, leave=track)


def share_at(i: int, queries: int, first: float) -> float:
    """Return the share of features that change at a query: the schedule of 10,000 queries, stretched to `queries`.

    >>> [share_at(i, 1000, 0.8) for i in (0, 2, 900)]
    [0.8, 0.4, 0.0015625]
    """
    return float(first / 2 ** sum(i * 10_000 / queries > h for h in HALVINGS))


@dataclasses.dataclass(eq=False)
class Hunt:
    """The rows that still stand, with the best input so far; `rows` are their positions in the batch."""

    problem: Problem
    y: Tensor
    ball: Ball
    windows: Windows
    draws: Draws
    euclidean: bool

    def on(self, queries: int, share: float, *, leave: bool) -> Tried:
        """Ask `queries` times at most; with `leave`, rows that have fallen are asked no more."""
        n = len(self.y)
        rows = torch.arange(n, device=self.ball.x.device)
        best = self.ball.legal(self._project(self.windows.start(self.draws, euclidean=self.euclidean)))
        height, lost = self._ask(best)
        tops, fell = height.clone(), lost.clone()
        for i in range(1, queries):
            standing = (~fell[rows]).nonzero().flatten()
            if leave and len(standing) < len(rows):
                rows = rows[standing]
                self._only(standing)
            if not len(rows):
                break
            tried = self._try(best[rows], i, share_at(i, queries, share))
            height, lost = self._ask(tried)
            better = (height > tops[rows]) | (lost & ~fell[rows])
            chosen = rows[better]
            best[chosen], tops[chosen] = tried[better], height[better]
            fell[rows] |= lost
        return Tried(best, height=tops, lost=fell)

    def _ask(self, at: Tensor) -> tuple[Tensor, Tensor]:
        out, goal = self.problem.look(at, self.y)
        return goal.height(out, self.y), goal.wrong(out, self.y)

    def _only(self, rows: Tensor) -> None:
        self.problem, self.y, self.ball = self.problem.of(rows), self.y[rows], self.ball.of(rows)
        self.draws, self.windows = self.draws.of(rows), self.windows.of(self.ball)

    def _try(self, at: Tensor, i: int, share: float) -> Tensor:
        kind = self.windows.shift if self.euclidean else self.windows.flip
        return self.ball.legal(self._project(kind(at, self.draws, i, share)))

    def _project(self, at: Tensor) -> Tensor:
        return self.ball.project(at)
