"""Signs that an attack cannot be trusted: a model that is random, changes itself, minds its neighbours or hides its logits."""

from collections.abc import Iterator

from torch import Tensor, nn

from hormesis.torch.attacks.attacked import Attacked
from hormesis.torch.attacks.bridge import probabilities
from hormesis.torch.attacks.problem import Problem

APART = 1e-3
WORTH_SAYING = 0.01


def suspicions(problem: Problem, x: Tensor, y: Tensor) -> Iterator[str]:
    """Yield what is wrong with the model of an evaluation, after its first pass: two passes over half of the rows at most."""
    if problem.first is None:
        return
    if problem.goal and problem.goal.classes and probabilities(problem.first):
        yield "the model answers probabilities: gradients vanish in its softmax; give logits instead"
    half = problem.of(_first(x, (len(x) + 1) // 2))
    half.tally = None
    versions = _versions(problem.model)
    alone, _ = half.look(x[: len(half.first)], y[: len(half.first)])  # type: ignore[arg-type]
    if versions != _versions(problem.model):
        yield "the model changes its own parameters or buffers when asked: it may defend itself during the attack"
    if not _apart(alone, half.first):
        return
    again, _ = half.look(x[: len(alone)], y[: len(alone)])
    if _apart(again, alone):
        yield "the model is random: the same input twice gives two answers; one pass may fail where another succeeds"
    else:
        yield "the model's answer to a row depends on the other rows of its batch"


def _first(x: Tensor, n: int) -> Tensor:
    return x.new_ones(n).nonzero().flatten()


def _versions(model: object) -> list[int]:
    if not isinstance(model, nn.Module):
        return []
    return [t._version for t in (*model.parameters(), *model.buffers()) if not t.is_inference()]


def _apart(a: Tensor, b: Tensor | None) -> bool:
    if b is None:
        return False
    scale = float(b.double().abs().max()) if b.numel() else 0.0
    return bool(((a.double() - b.double()).abs() > APART * scale).any())


def ledger(found: Attacked) -> Iterator[str]:
    """Yield how many rows each attack felled, and whether answers alone found what gradients did not."""
    n = found.success.shape[1]
    for k, epsilon in enumerate(found.epsilons if found.classes else ()):
        felled = ", ".join(f"{name} felled {rows}" for name, rows in found.took[k].items())
        if felled:
            yield f"at epsilon {epsilon:g}: {felled}; {int((~found.success[k]).sum())} of {n} rows stand"
    square = max((_by_square(took) for took in found.took), default=0) if found.classes else 0
    if square > WORTH_SAYING * n:
        yield f"Square felled {square} rows that gradients had left: gradients mislead on this model"


def _by_square(took: dict[str, int]) -> int:
    """Return the rows that Square felled after an attack by gradients."""
    after = [name for name in took if not name.startswith("square")]
    return sum(rows for name, rows in took.items() if name.startswith("square")) if after else 0
