"""skorch nets whose training step runs through a list of techniques, seeded per epoch, silent when they predict."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from skorch import NeuralNetClassifier, NeuralNetRegressor
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset, Subset

from hormesis.torch.layers.cells import seed_noise
from hormesis.torch.nets.techniques import Step, Technique, chain, learn
from hormesis.torch.nets.training import check_losses
from hormesis.torch.source import generator

View = Callable[[int, float], tuple[Tensor, Tensor | None]]
AT_ONCE = 4096  # rows of one pass where nothing is learnt


class Rows(Dataset[Any]):
    """Rows held as tensors, with weights and, for training, a noisy view for each epoch and dose."""

    def __init__(self, X: Any, y: Any = None, weight: Tensor | None = None, view: View | None = None) -> None:
        self.X, self.y = torch.as_tensor(X), None if y is None else torch.as_tensor(y)
        self.weight, self.view = weight, view

    def __len__(self) -> int:
        return len(self.X)

    def __getitem__(self, i: Any) -> tuple[Tensor, Tensor]:
        return self.X[i], torch.tensor(0) if self.y is None else self.y[i]


class Batches:
    """Slices of tensors; where they train, in an order that is a function of seed and epoch. No workers, no row by row.

    Yields (x, y) as skorch takes it; rows with weights or noise have a mapping for y.

    >>> rows = Rows(torch.arange(4.0).reshape(4, 1), torch.arange(4))
    >>> [y.tolist() for _, y in Batches(rows, 3)]
    [[0, 1, 2], [3]]
    """

    def __init__(self, dataset: Any, batch_size: int, device: Any = "cpu", net: Any = None) -> None:
        self.dataset, self.batch_size, self.device, self.net = dataset, batch_size, device, net

    def __len__(self) -> int:
        return math.ceil(len(self.dataset) / self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        rows, chosen = _opened(self.dataset)
        parts = {"x": rows.X, "target": rows.y}
        if self.net is not None:
            parts["weight"] = rows.weight
            epoch = self.net.epoch
            if rows.view is not None:
                parts |= {"clean": rows.X, "labels": rows.y}
                X, y = rows.view(epoch, self.net.dose)
                parts |= {"x": X, "target": rows.y if y is None else y}
            chosen = chosen[torch.randperm(len(chosen), generator=generator(self.net.seed, "order", epoch))]
        here = {name: t.to(self.device) for name, t in parts.items() if t is not None}
        for part in chosen.to(self.device).split(self.batch_size):  # type: ignore[no-untyped-call]
            batch = {name: t[part] for name, t in here.items()}
            x = batch.pop("x")
            yield x, batch if len(batch) > 1 else batch.get("target", part)


def _opened(dataset: Any) -> tuple[Rows, Tensor]:
    if isinstance(dataset, Subset):
        rows, chosen = _opened(dataset.dataset)
        return rows, chosen[torch.as_tensor(np.asarray(dataset.indices))]
    return dataset, torch.arange(len(dataset))


class NoisyStep:
    """Where techniques meet skorch: a mixin that replaces `train_step_single`, and seeds each epoch.

    `seed` addresses the order of rows and all training noise together with the number of the epoch, so a run resumed from a
    checkpoint goes on as if it had never stopped; `max_epochs` counts all epochs of the history. `warmup` is the
    number of epochs over which doses rise to their levels.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        techniques: Sequence[Technique] = (),
        seed: int = 0,
        warmup: int = 0,
        **settings: Any,
    ) -> None:
        self.techniques, self.seed, self.warmup = techniques, seed, warmup
        super().__init__(module, **({"dataset": Rows} | settings))  # type: ignore[call-arg]

    @property
    def epoch(self) -> int:
        """The number of the present epoch, from 0: part of the address of its noise."""
        return len(self.history) - 1  # type: ignore[attr-defined]

    @property
    def dose(self) -> float:
        """The factor of all levels in the present epoch, 0 to 1."""
        return min(1.0, len(self.history) / self.warmup) if self.warmup else 1.0  # type: ignore[attr-defined]

    def fit_loop(self, X: Any, y: Any = None, epochs: int | None = None, **fit_params: Any) -> Any:
        """Train for the epochs that are left of `max_epochs`."""
        net: Any = self
        left = max(0, net.max_epochs - len(net.history)) if epochs is None else epochs
        return super().fit_loop(X, y, epochs=left, **fit_params)  # type: ignore[misc]

    def get_iterator(self, dataset: Any, training: bool = False) -> Any:  # noqa: FBT001, FBT002
        """Return the batches of a set, in another order each epoch where they train."""
        net: Any = self
        return Batches(
            dataset, net.batch_size if training else AT_ONCE, net.device, net if training else None
        )

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Give the epoch its own noise."""
        super().on_epoch_begin(net, **kwargs)  # type: ignore[misc]
        seed_noise(net.module_, self.seed, "layers", self.epoch)
        self.learn_, self.steps_ = chain(self.techniques, learn), 0
        rng = generator(self.seed, "epoch", self.epoch, device=net.device)
        for technique in self.techniques:
            technique.start_epoch(net.module_, self.dose, rng)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Go no further when training has diverged."""
        super().on_epoch_end(net, **kwargs)  # type: ignore[misc]
        check_losses(net.history[-1:], net.lr)

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Let go of what only training needs."""
        super().on_train_end(net, **kwargs)  # type: ignore[misc]
        for technique in self.techniques:
            technique.finish(net.module_)
        vars(self).pop("learn_", None)

    def train_step(self, batch: Any, **fit_params: Any) -> Any:
        """Take one optimiser step, or several where a technique replays the batch."""
        for _ in range(max((t.replays for t in self.techniques), default=1)):
            said = super().train_step(batch, **fit_params)  # type: ignore[misc]
        return said

    def train_step_single(self, batch: Any, **fit_params: Any) -> dict[str, Tensor]:  # noqa: ARG002
        """Compute loss and gradients of one batch, through all techniques."""
        x, y = batch
        net: Any = self
        if not net.module_.training:
            net._set_training(training=True)
        more = y if isinstance(y, dict) else {}
        target = more.get("target", y)
        rows = more.get("clean", x), more.get("labels", target), more.get("weight")
        rng = generator(self.seed, "batches", self.epoch, self.steps_, device=net.device)
        self.steps_ += 1
        step = Step(net.module_, x, target, *rows, rng, self.dose, self.loss_rows)
        loss = self.learn_(step).detach()
        return {"loss": loss, "y_pred": step.output.detach()}

    def loss_rows(self, output: Tensor, y: Tensor) -> Tensor:
        """Return one loss per row for a plain target."""
        raise NotImplementedError


class NoisyClassifier(NoisyStep, NeuralNetClassifier):  # type: ignore[misc]
    """A skorch classifier trained through techniques; its module answers logits."""

    def loss_rows(self, output: Tensor, y: Tensor, reduction: str = "none") -> Tensor:
        """Return the cross-entropy of each row."""
        return F.cross_entropy(output, y, reduction=reduction)


class SquaredError(nn.Module):
    """The squared error in units of the target's spread."""

    def __init__(self, spread: float) -> None:
        super().__init__()
        self.spread = spread

    def forward(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the mean."""
        return ((output - y) / self.spread).square().mean()


class NoisyRegressor(NoisyStep, NeuralNetRegressor):  # type: ignore[misc]
    """A skorch regressor trained through techniques; its module answers numbers (n,) in the target's units."""

    def loss_rows(self, output: Tensor, y: Tensor, reduction: str = "none") -> Tensor:  # noqa: ARG002
        """Return the squared error of each row, in units of the target's spread."""
        each: Tensor = ((output - y) / self.criterion_.spread).square()
        return each

    def check_data(self, X: Any, y: Any) -> None:
        """Take targets of one dimension."""
