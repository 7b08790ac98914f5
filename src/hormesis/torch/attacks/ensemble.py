"""Ensemble: several attacks in turn, each on the rows that the ones before left standing."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from torch import Tensor, nn

from hormesis.errors import SettingError
from hormesis.torch.attacks.apgd import APGD
from hormesis.torch.attacks.attacked import Attacked, Found, noted
from hormesis.torch.attacks.ball import Draws
from hormesis.torch.attacks.base import Attack, Attempt, Epsilon, Loss, Steps, attack
from hormesis.torch.attacks.bridge import bridged_perturb, bridged_run
from hormesis.torch.attacks.checks import ledger, suspicions
from hormesis.torch.attacks.problem import NoGradientError, Problem, Tried, part_of
from hormesis.torch.attacks.space import Norm
from hormesis.torch.attacks.square import Square
from hormesis.torch.quiet import Model, unwrapped

MANY = 10_000
T = TypeVar("T")


@attack
class Ensemble(Attack):
    """Attack with APGD on cross-entropy, APGD on each wrong class, then Square: the evaluation to quote.

    In the manner of AutoAttack. A row counts as robust only if it withstands every attack; each attack sees survivors
    only, so the cost falls with every row that is lost. A model without gradients, such as ``forest.predict_proba``, meets
    the attacks that only look at answers. The notes of the result say how many rows each attack felled,
    and warn where the number may be wrong: gradients that are zero or mislead, a model that is random, changes itself,
    answers probabilities, or looks at other rows. Source: Croce and Hein (2020).

    Parameters
    ----------
    epsilon : float
        Size, in units of the space's scale.
    attacks : sequence of attacks, optional
        None: ``APGD(steps=50)``, ``APGD(steps=50, targets=9)`` and ``Square(queries=500)``; in L1 twice the steps and no
        Square. Their own epsilon is ignored.
    norm : ``"linf"``, ``"l2"`` or ``"l1"``
    restarts : int
        How often the whole list is gone through.
    loss : str or callable
        What `APGD` climbs first, as in `FGSM`.

    Examples
    --------
    >>> import torch
    >>> net = torch.nn.Linear(2, 2, bias=False)
    >>> net.weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> x, y = torch.tensor([[1.0, 0.0], [0.2, 0.0]]), torch.tensor([0, 0])
    >>> print(*Ensemble(0.2).run(net, x, y).notes)
    at epsilon 0.2: apgd felled 1, apgd-targeted felled 0, square felled 0; 1 of 2 rows stand
    """

    epsilon: Epsilon = 0.1
    attacks: Sequence[Attack] | None = None
    norm: Norm = "linf"
    restarts: Steps = 1
    loss: Loss = "auto"

    def members(self) -> tuple[Attack, ...]:
        """Return the attacks, cheapest first.

        Raises
        ------
        SettingError
            An attack measures in another norm.
        """
        if self.attacks is None:
            steps = 100 if self.norm == "l1" else 50
            climbs = (
                APGD(norm=self.norm, steps=steps, loss=self.loss),
                APGD(norm=self.norm, steps=steps, targets=9),
            )
            return climbs if self.norm == "l1" else (*climbs, Square(norm=self.norm, queries=500))
        for each in self.attacks:
            if each.norm != self.norm:
                raise SettingError(
                    f"`Ensemble(norm={self.norm!r})` holds {type(each).__name__} with norm {each.norm!r}: "
                    "all attacks measure in one norm."
                )
        return tuple(self.attacks)

    def attempts(self, problem: Problem) -> Iterator[Attempt]:
        """Yield the attempts of all attacks."""
        seen: Counter[str] = Counter()
        for member in self.members() * self.restarts:
            made = list(member.attempts(problem))
            kind = made[0].name
            label = kind if not seen[kind] else f"{kind} {seen[kind] + 1}"
            for one in made:
                number = one.number + MANY * seen[kind]
                yield Attempt(kind, number, one.search, one.loss, label)
            seen[kind] += 1

    def run(self, model: Model, x: Any, y: Any, **settings: Any) -> Attacked:
        """Attack every row with each attack in turn, as `Attack.run`."""
        if isinstance(x, Tensor):
            part_of(x, None)
        found = bridged_run(super().run, model, x, y, **settings)
        return noted(found, ledger(found))

    def perturb(self, model: Model, x: Any, y: Any, *, mode: str = "eval", **settings: Any) -> Any:
        """Return adversarial inputs for one batch, as `Attack.perturb`.

        Raises
        ------
        SettingError
            The model would be attacked in train mode and minds the other rows of its batch.
        """
        if mode == "keep" and _minds_its_batch(model):
            raise SettingError(
                "`mode='keep'`: an Ensemble looks at survivors only, and a batch norm in train mode answers by the whole "
                "batch: use mode='eval', or PGD or APGD, which move all rows together."
            )
        if isinstance(x, Tensor):
            part_of(x, None)
        return bridged_perturb(super().perturb, model, x, y, mode=mode, **settings)

    def _batch(
        self, problem: Problem, x: Tensor, y: Tensor, sizes: Sequence[float], seed: int, ids: Tensor
    ) -> Found:
        found, notes = self._able(lambda able: Attack._batch(able, problem, x, y, sizes, seed, ids))
        found.notes = (*suspicions(problem, x, y), *notes)
        return found

    def _able(self, made: Callable[["Ensemble"], T]) -> tuple[T, tuple[str, ...]]:
        """Return what the ensemble makes; where the model has no gradient, what its attacks that need none make."""
        try:
            return made(self), ()
        except NoGradientError:
            left = [each for each in self.members() if not each.needs_gradients]
            if not left:
                raise
            blind = dataclasses.replace(self, attacks=left)
            return made(blind), ("the model has no gradient: only attacks on its answers were made",)

    def search(
        self,
        problem: Problem,
        x: Tensor,
        y: Tensor,
        epsilon: float,
        draws: Draws,
        *,
        track: bool = False,  # noqa: ARG002
    ) -> Tried:
        """Make all attempts, each on the rows that still stand."""
        return self._able(lambda able: able._all(problem, x, y, epsilon, draws))[0]

    def _all(self, problem: Problem, x: Tensor, y: Tensor, epsilon: float, draws: Draws) -> Tried:
        found = problem.clean(x, y, 1)
        for attempt in self.attempts(problem):
            rows = found.standing(0)
            if not len(rows):
                break
            attempt.make(found, 0, rows, problem, x, y, epsilon, draws.of(rows))
        return Tried(found.at[0], height=found.height[0], lost=found.lost[0])


def _minds_its_batch(model: Model) -> bool:
    inner = unwrapped(model)
    kinds = nn.modules.batchnorm._BatchNorm
    return isinstance(inner, nn.Module) and any(isinstance(m, kinds) and m.training for m in inner.modules())
