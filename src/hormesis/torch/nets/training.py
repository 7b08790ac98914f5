"""A skorch net's training as a caller needs it: Ctrl-C reaches the caller, and a diverged net is an error."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from hormesis.errors import ModelError


class Stop(KeyboardInterrupt):
    """A callback of ours ends training as it should: skorch takes any KeyboardInterrupt for that."""


def train(net: Any, X: Any, sample: Any, y: Any = None) -> None:
    """Fit a skorch net; unlike skorch's own `fit`, an interruption is raised again once the net has been put in order.

    `sample` are some of the training rows: the net's answers to them must be finite after its last step, too.
    Training that ends by skorch's `EarlyStopping`, or by `Stop`, has ended well.

    Raises
    ------
    KeyboardInterrupt
        Training was interrupted; the net holds what it had learnt.
    ModelError
        Training diverged.
    """
    vars(net)["fit_loop"] = loop = _Loop(net)
    try:
        net.fit(X, y)
    finally:
        vars(net).pop("fit_loop", None)
    if loop.interruption is not None:
        raise loop.interruption
    check_losses(net.history, getattr(net, "lr", None))
    said = net.forward(sample)
    if isinstance(said, torch.Tensor) and not bool(torch.isfinite(said).all()):
        raise _diverged("the answers to training rows are not finite", net.lr)


class _Loop:
    """A net's `fit_loop` that remembers what interrupted it; a class of the module, so that checkpoints can pickle the net."""

    def __init__(self, net: Any) -> None:
        self.net, self.interruption = net, None

    def __call__(self, *args: Any, **settings: Any) -> Any:
        try:
            return type(self.net).fit_loop(self.net, *args, **settings)
        except KeyboardInterrupt as error:
            self.interruption = None if _meant(error) else error  # type: ignore[assignment]
            raise

    def __getstate__(self) -> dict[str, Any]:
        return {"net": self.net, "interruption": None}


def _meant(error: KeyboardInterrupt) -> bool:
    """Tell whether training was ended by a callback whose work that is."""
    from skorch.callbacks import EarlyStopping

    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    raiser = None if trace is None else trace.tb_frame.f_locals.get("self")
    return isinstance(error, Stop) or isinstance(raiser, EarlyStopping)


def check_losses(history: Iterable[Any], lr: Any = None) -> None:
    """Refuse a history with a loss that is not finite.

    >>> check_losses([{"epoch": 1, "batches": [{"train_loss": 0.5}]}])

    Raises
    ------
    ModelError
        Training diverged.
    """
    for epoch in history:
        losses = [batch["train_loss"] for batch in epoch.get("batches", ()) if "train_loss" in batch]
        if not np.isfinite(losses).all():
            raise _diverged(f"in epoch {epoch['epoch']} the loss is not finite", lr)


def _diverged(what: str, lr: Any) -> ModelError:
    return ModelError(f"Training diverged: {what}; lower lr={lr:g}." if lr else f"Training diverged: {what}.")
