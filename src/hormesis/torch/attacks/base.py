"""The one interface of attacks: `perturb` one batch at the floor of passes, or `run` a whole evaluation."""

import dataclasses
import functools
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, TypeVar, dataclass_transform

import torch
from annotated_types import Ge, Gt
from pydantic import ConfigDict, ValidationError
from pydantic.dataclasses import dataclass
from torch import Tensor

from hormesis.errors import DataError, SettingError, listed, nearest
from hormesis.progress import track
from hormesis.torch.attacks.attacked import Attacked, Found
from hormesis.torch.attacks.ball import Draws
from hormesis.torch.attacks.losses import PerRow
from hormesis.torch.attacks.problem import Keyed, Problem, Stream, Tally, Tried, batch_of, part_of
from hormesis.torch.attacks.space import Norm, Space
from hormesis.torch.quiet import Model, attacking
from hormesis.torch.source import Seed, Source

Epsilon = Annotated[float, Ge(0)]
Steps = Annotated[int, Ge(1)]
Positive = Annotated[float, Gt(0)]
A = TypeVar("A", bound="Attack")
Loss = str | Callable[..., Any]


class Attack(ABC):
    """A search for the worst input within `epsilon`: a frozen record of settings, holding no model and no randomness."""

    epsilon: float
    norm: Norm
    loss: Loss
    restarts: int
    needs_gradients: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """The class in lower case."""
        return type(self).__name__.lower()

    def as_noise(self, space: Space | None = None) -> Any:
        """Return the attack as a noise that `stress` takes; its level is epsilon, in the units of `space` where given."""
        from hormesis.torch.attacks.worst import Adversarial

        return Adversarial(self.epsilon, attack=self, space=space)

    def perturb(
        self,
        model: Model,
        x: Any,
        y: Tensor,
        *,
        space: Space | None = None,
        generator: Seed = None,
        part: str | None = None,
        mode: str = "eval",
    ) -> Any:
        """Return adversarial inputs for one batch, for a training loop: no pass more than the attack's own.

        Parameters
        ----------
        model : module or callable
            Logits (rows, classes), one logit (rows,) or (rows, 1), or numbers; left exactly as it was.
        x : tensor (rows, ...), or mapping of names to tensors
            Clean inputs; never mutated.
        y : tensor or array (rows,)
            Labels, or numbers for a regression; (rows, labels) of 0 and 1 for several labels per row; (rows, height, width)
            for a segmentation, whose row is lost where any pixel is wrong.
        space : Space, optional
            Where inputs may go. None: anywhere, epsilon in the input's own units.
        generator : int or torch.Generator, optional
            Where random starts come from; None draws a new seed.
        part : str, optional
            Which tensor of a mapping is moved; None takes the only floating one.
        mode : ``"eval"`` or ``"keep"``
            Whether the model is attacked in eval mode or in the mode it is in.

        Returns
        -------
        The inputs, detached, of the same kind, shape, dtype and device.

        Raises
        ------
        DataError, SettingError, ModelError
            Each with one sentence: what was given, the rule, the mend.
        """
        name, moved = part_of(x, part)
        adversarial = moved.detach().clone()
        if self.epsilon and len(moved):
            with attacking(model, mode=mode) as quiet:
                problem = Problem(quiet, space or Space(), self.loss, self.norm, batch_of(x), name)
                draws = Stream(Source(generator, "attack", self.name))
                clean, labels = moved.detach().clone(), _plain(y, moved)
                adversarial = self.search(problem, clean, labels, self.epsilon, draws).last
        return adversarial if name is None else {**x, name: adversarial}

    def run(
        self,
        model: Model,
        x: Any,
        y: Tensor,
        *,
        space: Space | None = None,
        epsilons: Sequence[float] | float | None = None,
        seed: int = 0,
        row_ids: Tensor | None = None,
        batch_size: int = 512,
        part: str | None = None,
        progress: bool | None = None,
    ) -> Attacked:
        """Attack every row at each epsilon and say what it took: rows that fall at a small epsilon count at every larger one.

        Only rows that still stand are attacked again (restarts, larger epsilons); an answer of NaN is wrong. Random starts are a function of
        `seed` and the row's id, so the answer does not depend on batch size or row order.

        Parameters
        ----------
        model, x, y, space, part
            As in `perturb`.
        epsilons : float or sequence of float, optional
            Several sizes in one call; None: the attack's own. The result has each once, from small to large.
        seed : int
            Seed of random starts.
        row_ids : integer tensor (rows,), optional
            Who the rows are; None: their positions.
        batch_size : int
            Rows per pass.
        progress : bool, optional
            Show progress; None shows it on a terminal.
        """
        name, moved = part_of(x, part)
        sizes, n, labels = _sizes(self, epsilons), len(moved), _plain(y, moved)
        ids = torch.arange(n) if row_ids is None else row_ids
        _check_rows(n, len(labels), len(ids), batch_size)
        found: list[Found] = []
        starts = range(0, n, batch_size)
        with attacking(model) as quiet, track(self.name, len(starts), show=progress) as advance:
            for a in starts:
                rows = slice(a, a + batch_size)
                clean = moved[rows].detach().clone()
                where = quiet, space or Space(), self.loss, self.norm, _cut(x, rows, n), name
                problem = Problem(*where, labels, Tally.of(clean))
                found.append(self._batch(problem, clean, labels[rows], sizes, seed, ids[rows]))
                advance()
        return Attacked.joined(repr(self), sizes, found, moved.detach())

    def _batch(
        self, problem: Problem, x: Tensor, y: Tensor, sizes: Sequence[float], seed: int, ids: Tensor
    ) -> Found:
        """Attack one batch at each size, smallest first, standing rows only."""
        found = problem.clean(x, y, len(sizes))
        found.saturated &= self.needs_gradients
        for k, epsilon in enumerate(sizes):
            found.carry(k)
            for attempt in self.attempts(problem) if epsilon else ():
                rows = found.standing(k)
                if not len(rows):
                    break
                draws = Keyed(seed, ("attack", attempt.name, attempt.number), ids[rows.to(ids.device)])
                attempt.make(found, k, rows, problem, x, y, epsilon, draws)
        return found

    def attempts(self, problem: Problem) -> Iterator["Attempt"]:  # noqa: ARG002
        """Yield the attempts of an evaluation, each made on the rows that the ones before left standing."""
        for restart in range(self.restarts):
            yield Attempt(self.name, restart, self.search, self.loss)

    @abstractmethod
    def search(
        self, problem: Problem, x: Tensor, y: Tensor, epsilon: float, draws: Draws, *, track: bool = False
    ) -> Tried:
        """Return the `Tried` of one attempt; with `track`, the best iterate beside the last one."""


@dataclasses.dataclass(frozen=True)
class Attempt:
    """One search of an evaluation: name and number are the address of its draws, the label is for the record."""

    name: str
    number: int
    search: Callable[..., Tried]
    loss: Loss
    label: str = ""

    def make(
        self,
        found: Found,
        k: int,
        rows: Tensor,
        problem: Problem,
        x: Tensor,
        y: Tensor,
        epsilon: float,
        draws: Draws,
    ) -> None:
        """Search on some rows, and keep what is worse for the model."""
        some = problem.of(rows).climbing(self.loss, y[rows])
        tried = self.search(some, x[rows], y[rows], epsilon, draws, track=True)
        found.keep(k, rows, tried.better(some, y[rows]), tried.flat, self.label or self.name)


def _plain(y: Any, x: Tensor) -> Tensor:
    """Return labels as a tensor beside the inputs, one that autograd may save."""
    labels = torch.as_tensor(y, device=x.device).detach()
    return labels.clone() if labels.is_inference() else labels


def _cut(x: Any, rows: slice, n: int) -> Mapping[str, Any] | None:
    """Return some rows of a mapping; what has no rows, such as a flag, stays as it is."""
    if not isinstance(x, Mapping):
        return None
    return {k: v[rows] if isinstance(v, Tensor) and v.ndim and len(v) == n else v for k, v in x.items()}


def _check_rows(inputs: int, labels: int, ids: int, batch_size: int) -> None:
    if not inputs:
        raise DataError("There are no rows: there is nothing to attack.")
    if labels != inputs or ids != inputs:
        what = f"{labels} labels" if labels != inputs else f"{ids} row ids"
        raise DataError(f"There are {inputs} inputs and {what}: give one for each row.")
    if batch_size < 1:
        raise SettingError(f"`batch_size={batch_size}`: a pass takes 1 row or more.")


def _sizes(attack: Attack, epsilons: Sequence[float] | float | None) -> tuple[float, ...]:
    asked = attack.epsilon if epsilons is None else epsilons
    sizes = tuple(sorted({float(e) for e in ([asked] if isinstance(asked, int | float) else asked)}))
    if not sizes or not all(0 <= size < float("inf") for size in sizes):
        raise SettingError(
            f"`epsilons={epsilons}`: give at least one size, all of them finite and 0 or more."
        )
    return sizes


def short_of_the_edge(attack: Any, epsilon: float, size: float, steps: int) -> None:
    """Warn where all steps together cannot reach the edge of the ball."""
    if size * steps < epsilon * (1 - 1e-9):
        warnings.warn(
            f"{type(attack).__name__}: {steps} steps of {size:g} reach {size * steps:g} of epsilon {epsilon:g}: the model "
            "looks more robust than it is. Use step_size=None, larger steps or more of them.",
            stacklevel=4,
        )


@dataclass_transform(frozen_default=True)
def attack(kind: type[A]) -> type[A]:
    """Make a class an attack: a frozen record, checked by its types, `epsilon` first."""
    config = ConfigDict(extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=True)
    made: Any = dataclass(frozen=True, config=config)(kind)
    check = made.__init__

    @functools.wraps(check)
    def checked(self: Attack, *epsilon: float, **settings: Any) -> None:
        if len(epsilon) > 1:
            raise SettingError(
                f"`{kind.__name__}{epsilon!r}`: only epsilon is positional; name the other settings."
            )
        try:
            check(self, *epsilon, **settings)
        except ValidationError as error:
            said = [_explain(kind, made, e) for e in error.errors()]
            raise SettingError(" ".join(dict.fromkeys(said))) from None

    made.__init__ = checked
    return made  # type: ignore[no-any-return]


def _explain(kind: type, made: Any, error: Any) -> str:
    known = list(made.__dataclass_fields__)
    field = next((str(p) for p in error["loc"] if str(p) in known), str(error["loc"][0]))
    field = "epsilon" if field == "0" else field
    given = f"`{kind.__name__}({field}={error['input']!r})`: "
    if error["type"] == "unexpected_keyword_argument":
        return f"{given}no such setting; {kind.__name__} has {listed(known, 12)}.{nearest(field, known)}"
    return f"{given}expected {str(error['msg']).removeprefix('Input should be ')}."


__all__ = ["Attack", "Attacked", "PerRow", "attack"]
