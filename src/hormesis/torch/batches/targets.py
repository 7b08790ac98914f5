"""Targets of mixed rows: one loss for classes and numbers, and soft labels."""

import copy
import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hormesis.errors import DataError, ModelError, SettingError

Criterion = Callable[..., Tensor]


@dataclass(frozen=True, eq=False)
class MixedTarget:
    """Two targets per row and the weight of the first: what `mixup`, `cutmix` and `manifold_mixup` return.

    Parameters
    ----------
    first, second : Tensor
        Targets of the row and of its partner: classes, or numbers.
    weight : Tensor
        Share of the first in each row, as it was applied (n,).
    partner : Tensor
        Which row each one was mixed with (n,).

    Examples
    --------
    >>> y = MixedTarget(torch.tensor([0, 1]), torch.tensor([1, 1]), torch.tensor([0.75, 0.5]), torch.tensor([1, 1]))
    >>> y.soft(2)
    tensor([[0.7500, 0.2500],
            [0.0000, 1.0000]])
    >>> y.loss(nn.CrossEntropyLoss(), torch.zeros(2, 2))
    tensor(0.6931)
    """

    first: Tensor
    second: Tensor
    weight: Tensor
    partner: Tensor

    def mix(self, x: Tensor) -> Tensor:
        """Return rows mixed with the same partners and weights: activations, or a second input."""
        return mixed_rows(x, self.partner, self.weight)

    @property
    def blended(self) -> Tensor:
        """The targets as numbers: ``weight * first + (1 - weight) * second``."""
        dtype = self.first.dtype if self.first.is_floating_point() else self.weight.dtype
        return torch.lerp(self.second.to(dtype), self.first.to(dtype), _along(self.weight, self.first, dtype))

    def loss(self, criterion: Criterion, output: Tensor) -> Tensor:
        """Return the loss of an output, reduced as the criterion does.

        Classes: ``weight * l(output, first) + (1 - weight) * l(output, second)`` per row; numbers, and outputs of the
        shape of the targets (one logit, multi-label): ``l(output, blended)``.

        Parameters
        ----------
        criterion : nn.Module or function
            Any with `reduction`, or one that returns a loss per row.
        output : Tensor
            Of the model.

        Raises
        ------
        ModelError
            The criterion returns one number and has no `reduction`.
        """
        if self._blends(output):
            return self.losses(criterion, output)
        per_row, reduction = _unreduced(criterion)
        losses = self.losses(per_row, output)
        if losses.ndim == 0:
            raise ModelError(
                f"`loss({criterion!r})` returns one number for {len(output)} rows, and rows have weights of their own: "
                "give a criterion with `reduction`, or one that returns a loss per row; or use `soft`."
            )
        if reduction != "mean":
            return losses.sum() if reduction == "sum" else losses
        a, b = (_counted(criterion, y, losses) for y in (self.first, self.second))
        return losses.sum() / torch.lerp(b, a, _along(self.weight, a, a.dtype)).sum()

    def losses(self, per_row: Criterion, output: Tensor) -> Tensor:
        """Return the loss of each row, as in `loss`, from a function that returns a loss per row."""
        if self._blends(output):
            output = output.squeeze(-1) if output.shape == (*self.first.shape, 1) else output
            return per_row(output, self.blended.to(output.dtype))
        a, b = per_row(output, self.first), per_row(output, self.second)
        return torch.lerp(b, a, _along(self.weight, a, a.dtype)) if a.ndim else a

    def _blends(self, output: Tensor) -> bool:
        shape = self.first.shape
        return self.first.is_floating_point() or output.shape in (shape, (*shape, 1))

    def soft(self, num_classes: int, smoothing: float = 0.0) -> Tensor:
        """Return dense targets (n, num_classes), as timm's losses take them.

        Raises
        ------
        DataError
            A class is not below `num_classes`, or the targets are numbers, which would silently become classes.
        """
        if self.first.is_floating_point() and self.first.shape[1:2] == (num_classes,):
            return self.blended * (1 - smoothing) + smoothing / num_classes
        _check_smoothing(self.first, smoothing, num_classes)
        size = (len(self.first), num_classes, *self.first.shape[1:])
        dense = self.weight.new_zeros(size)
        share = _along(self.weight, self.first, self.weight.dtype).expand(self.first.shape).unsqueeze(1)
        for y, weight in ((self.first, share), (self.second, 1 - share)):
            dense.scatter_add_(1, y.long().unsqueeze(1), weight * (1 - smoothing))
        return dense.add_(smoothing / num_classes)


def label_smoothing(y: Tensor, level: float = 0.1, *, num_classes: int | None = None) -> Tensor:
    """Give every class a share of the certainty, as labels that may be wrong deserve.

    Classes (n,) become (n, num_classes): ``(1 - level) * onehot + level / num_classes``. Without `num_classes`, numbers
    from 0 to 1 (one logit, multi-label, one-hot) of any shape become ``(1 - level) * y + level / 2``.

    Raises
    ------
    SettingError
        The level is not a fraction.
    DataError
        A class is not below `num_classes`, or a number is not from 0 to 1.

    Notes
    -----
    Source: Szegedy et al. (2016), Rethinking the Inception architecture.

    Examples
    --------
    >>> label_smoothing(torch.tensor([2]), 0.3, num_classes=3)
    tensor([[0.1000, 0.1000, 0.8000]])
    """
    _check_smoothing(y, level, num_classes)
    if num_classes is None:
        return (y if y.is_floating_point() else y.to(torch.get_default_dtype())) * (1 - level) + level / 2
    dense = F.one_hot(y.long(), num_classes).movedim(-1, 1 if y.ndim else 0)
    return dense.to(torch.get_default_dtype()) * (1 - level) + level / num_classes


def _check_smoothing(y: Tensor, level: float, num_classes: int | None) -> None:
    if not 0 <= level <= 1:
        raise SettingError(f"`label_smoothing(level={level!r})`: level is a fraction of certainty, 0 to 1.")
    if num_classes is not None and y.is_floating_point():
        raise DataError(f"Targets are numbers ({y.dtype}), not classes: dense labels need integers.")
    most = 1 if num_classes is None else num_classes - 1
    if y.numel() and not 0 <= (ends := torch.stack(y.aminmax()))[0] <= ends[1] <= most:
        found = f"{ends[0].item()} to {ends[1].item()}"
        raise DataError(
            f"Targets run from {found}, and dense labels need 0 to {most}: give the right `num_classes`."
        )


def mixed_rows(x: Tensor, partner: Tensor, weight: Tensor) -> Tensor:
    """Return ``weight * x + (1 - weight) * x[partner]``, row by row, as a new tensor."""
    return x.index_select(0, partner.to(x.device)).lerp_(x, _along(weight, x, x.dtype))


def _along(weight: Tensor, x: Tensor, dtype: torch.dtype) -> Tensor:
    return weight.to(x.device, dtype).view(-1, *[1] * (x.ndim - 1))


def _unreduced(criterion: Criterion) -> tuple[Criterion, str]:
    if isinstance(criterion, nn.Module) and hasattr(criterion, "reduction"):
        twin: Any = copy.copy(criterion)
        twin.reduction = "none"
        return twin, str(criterion.reduction)
    try:
        known = inspect.signature(criterion).parameters
    except ValueError:
        return criterion, "mean"
    if "reduction" not in known:
        return criterion, "mean"
    return functools.partial(criterion, reduction="none"), str(known["reduction"].default)


def _counted(criterion: Criterion, y: Tensor, like: Tensor) -> Tensor:
    """Return what torch's mean divides by: class weights, without ignored targets."""
    ignored = getattr(criterion, "ignore_index", None)
    if ignored is None or y.shape != like.shape:
        return torch.ones_like(like)
    weight = getattr(criterion, "weight", None)
    counted: Tensor = (y != ignored).to(like.dtype)
    if isinstance(weight, Tensor):
        counted = counted * weight[y.where(y != ignored, 0)]
    return counted
