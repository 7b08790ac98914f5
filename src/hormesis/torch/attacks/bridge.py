"""Anything that predicts, as a model over float tensors: NumPy models, whole-number inputs, probabilities."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hormesis.errors import ModelError
from hormesis.torch.attacks.attacked import Attacked
from hormesis.torch.attacks.space import Space
from hormesis.torch.quiet import Model, unwrapped

LEAST = 1e-12


class Bridge(nn.Module):
    """Floats on this side; on the other a model that sees the dtype and the library it was made for."""

    def __init__(self, model: Model, dtype: torch.dtype, *, numpy: bool) -> None:
        super().__init__()
        self.model, self.dtype, self.numpy = unwrapped(model), dtype, numpy

    def forward(self, *given: Tensor, **named: Any) -> Any:
        """Ask the model."""
        return logits(self.model(*(self._own(x) for x in given), **named))

    def _own(self, x: Tensor) -> Any:
        x = x if self.dtype.is_floating_point else x.round().to(self.dtype)
        return x.detach().cpu().numpy() if self.numpy else x

    def space(self, space: Space) -> Space:
        """Return the space, for whole numbers within the limits of their dtype."""
        if self.dtype.is_floating_point:
            return space
        low, high = _limits(self.dtype)
        lower = torch.as_tensor(space.low, dtype=torch.float64).clamp(min=low)
        upper = torch.as_tensor(space.high, dtype=torch.float64).clamp(max=high)
        return dataclasses.replace(space, low=lower, high=upper, integer=True)

    def back(self, found: Attacked) -> Attacked:
        """Return the result with its inputs in their own dtype."""
        if self.dtype.is_floating_point:
            return found
        own = tuple(at.round().to(self.dtype) for at in found.adversarial)
        return dataclasses.replace(found, adversarial=own)


def bridged(model: Any, x: Any) -> tuple[Bridge, Any]:
    """Return the model and its input as attacks take them.

    NumPy inputs go to the model as NumPy, and so does everything to a method of a scikit-learn estimator.

    Raises
    ------
    ModelError
        The model is no function.
    """
    if not callable(model):
        raise ModelError(
            f"{type(model).__name__} is no function: give one of the inputs, as in `model.predict_proba`."
        )
    numpy = isinstance(x, np.ndarray)
    x = torch.from_numpy(x.copy()) if numpy else x
    dtype = x.dtype if isinstance(x, Tensor) else torch.float32
    owner = getattr(model, "__self__", None)
    bridge = Bridge(model, dtype, numpy=numpy or hasattr(owner, "get_params"))
    return bridge, x.double() if isinstance(x, Tensor) and not dtype.is_floating_point else x


def bridged_run(
    run: Callable[..., Attacked], model: Any, x: Any, y: Any, *, space: Space | None = None, **settings: Any
) -> Attacked:
    """Return the result of an attack on anything that predicts."""
    bridge, own = bridged(model, x)
    return bridge.back(run(bridge, own, y, space=bridge.space(space or Space()), **settings))


def bridged_perturb(
    perturb: Callable[..., Any], model: Any, x: Any, y: Any, *, space: Space | None = None, **settings: Any
) -> Any:
    """Return adversarial inputs of one batch, in the dtype that came in."""
    bridge, own = bridged(model, x)
    found = perturb(bridge, own, y, space=bridge.space(space or Space()), **settings)
    whole = isinstance(found, Tensor) and not bridge.dtype.is_floating_point
    return found.round().to(bridge.dtype) if whole else found


def _limits(dtype: torch.dtype) -> tuple[float, float]:
    if dtype == torch.bool:
        return 0.0, 1.0
    least, most = torch.iinfo(dtype).min, torch.iinfo(dtype).max
    return max(float(least), -(2.0**53)), min(float(most), 2.0**53)


def logits(said: Any) -> Any:
    """Return a NumPy answer as a tensor, probabilities as their logarithms; anything else as it is.

    Raises
    ------
    ModelError
        The answer is made of class names, which tell no margin.

    Examples
    --------
    >>> logits(np.array([[0.75, 0.25]])).softmax(1)
    tensor([[0.7500, 0.2500]], dtype=torch.float64)
    """
    if not isinstance(said, np.ndarray):
        return said
    if said.dtype.kind != "f":
        raise ModelError(
            f"The model answers {said.dtype}, which tells no margin: give `predict_proba` or `decision_function`."
        )
    answer = torch.from_numpy(said.copy())
    return answer.clamp(min=LEAST).log() if probabilities(answer) else answer


def probabilities(output: Tensor) -> bool:
    """Tell rows of numbers from 0 up that sum to 1."""
    if output.ndim != 2 or output.shape[1] < 2 or not bool((output >= 0).all()):
        return False
    return bool(((output.sum(1) - 1).abs() < 1e-3).all())
