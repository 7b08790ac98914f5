"""Mixed batches in timm's form: inputs, and dense soft targets for its SoftTargetCrossEntropy. timm itself is not needed."""

import torch
from torch import Tensor

from hormesis.torch.batches.mix import cutmix, mixup
from hormesis.torch.batches.targets import MixedTarget, label_smoothing
from hormesis.torch.source import Seed, Source


class Mixup:
    """Mix training batches where timm's `Mixup` stands: called with (x, classes), it returns (mixed x, soft targets).

    A weight per row, any number of rows, a generator of its own; the caller's batch is left as it is.

    Parameters
    ----------
    mixup_alpha, cutmix_alpha : float
        Alpha of Beta(alpha, alpha); of both, one for each batch by chance.
    label_smoothing : float
        Share of certainty given to all classes alike.
    num_classes : int
    generator : int, torch.Generator or None

    Examples
    --------
    >>> x, target = Mixup(0.8, num_classes=3, generator=0)(torch.zeros(5, 1, 4, 4), torch.tensor([0, 1, 2, 0, 1]))
    >>> target.shape, bool(torch.allclose(target.sum(1), torch.ones(5)))
    (torch.Size([5, 3]), True)
    """

    def __init__(
        self,
        mixup_alpha: float = 1.0,
        cutmix_alpha: float = 0.0,
        *,
        num_classes: int,
        label_smoothing: float = 0.0,
        generator: Seed = None,
    ) -> None:
        self.ways = [(way, a) for way, a in ((mixup, mixup_alpha), (cutmix, cutmix_alpha)) if a]
        self.num_classes, self.label_smoothing, self.source = (
            num_classes,
            label_smoothing,
            Source(generator, "timm"),
        )

    def __call__(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mixed inputs and their soft targets (n, num_classes)."""
        target: Tensor | MixedTarget = y
        if self.ways:
            rng = self.source.on("cpu")
            way, alpha = self.ways[int(torch.randint(len(self.ways), (), generator=rng))]
            x, target = way(x, y, alpha, generator=rng)
        return x, soft_targets(target, self.num_classes, self.label_smoothing)


def soft_targets(y: Tensor | MixedTarget, num_classes: int, smoothing: float = 0.0) -> Tensor:
    """Return classes, or mixed ones, as dense targets (n, num_classes).

    >>> soft_targets(torch.tensor([1]), 2, smoothing=0.2)
    tensor([[0.1000, 0.9000]])
    """
    if isinstance(y, MixedTarget):
        return y.soft(num_classes, smoothing)
    return label_smoothing(y, smoothing, num_classes=num_classes)
