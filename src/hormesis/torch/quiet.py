"""A model under attack, left exactly as it was: modes, buffers, gradients and hooks, also after an exception."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from hormesis.errors import ModelError

Model = Callable[..., Any]
FEW = 10


@contextmanager
def attacking(model: Model, *, mode: str = "eval") -> Iterator[Model]:
    """Put a model into the state in which it is attacked, and back.

    Inside, every module is in eval mode (with ``mode="keep"`` as it was) and gradients are on, even where the caller is
    under `torch.no_grad` or `torch.inference_mode`. Parameters are not touched: an attack asks autograd for the
    gradient of the input alone, so `.grad` and `requires_grad` stay as they are, also for compiled models. Buffers
    that a forward pass writes to (running statistics, counters) are put back. A model wrapped for data parallelism is
    attacked unwrapped: no gradients are exchanged.

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).train()
    >>> with attacking(net) as quiet:
    ...     _ = quiet(torch.zeros(4, 2)), net[1].training
    >>> net[1].training, net[1].num_batches_tracked
    (True, tensor(0))
    """
    inner = unwrapped(model)
    if not isinstance(inner, nn.Module):
        with torch.inference_mode(mode=False), torch.enable_grad():
            yield inner
        return
    modes = [(module, module.training) for module in inner.modules()]
    held = [(m, name, b, b.clone()) for m in inner.modules() for name, b in m.named_buffers(recurse=False)]
    try:
        if mode == "eval":
            inner.eval()
        with torch.inference_mode(mode=False), torch.enable_grad():
            yield inner
    finally:
        for module, training in modes:
            module.training = training
        for module, name, buffer, value in held:
            _put_back(module, name, buffer, value)


def _put_back(module: nn.Module, name: str, buffer: Tensor, value: Tensor) -> None:
    if module._buffers.get(name) is not buffer:
        module._buffers[name] = buffer
    if not bool(((buffer == value) | ((buffer != buffer) & (value != value))).all()):
        with torch.no_grad():
            buffer.copy_(value)


def unwrapped(model: Model) -> Model:
    """Return the module inside a data-parallel wrapper, anything else as it is."""
    if isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel):
        inner: Model = model.module
        return inner
    return model


def check_logit(answers: Tensor) -> None:
    """Refuse a net of one output that answers probabilities: read as logits they would all say the second class.

    To be asked of a whole evaluation's clean rows only: a few rows, or an untrained net, may have such logits by chance.

    Raises
    ------
    ModelError
        Every one of at least `FEW` answers lies from 0 to 1, on both sides of 0.5.
    """
    said = answers.detach()
    if said.numel() < FEW:
        return
    least, most = float(said.min()), float(said.max())
    if 0 <= least < 0.5 < most <= 1:
        raise ModelError(
            "Every answer of the model's one output lies from 0 to 1: it seems to end in a Sigmoid, and one output is "
            "read as a logit. Leave the Sigmoid out (BCEWithLogitsLoss trains such a net)."
        )


def outputs(model: Model, x: Any) -> Tensor:
    """Return a model's output tensor for a batch; a mapping is passed by name, `.logits` and tuples are opened.

    Raises
    ------
    ModelError
        The model returns something without a tensor.
    """
    said = model(**x) if isinstance(x, Mapping) else model(x)
    said = getattr(said, "logits", said)
    if isinstance(said, tuple | list) and said:
        said = said[0]
    if not isinstance(said, Tensor):
        raise ModelError(
            f"The model returns {type(said).__name__}; an attack needs a tensor of logits or numbers: "
            "wrap the model in a function that returns it."
        )
    return said
