"""Torch modules and skorch nets as models of tables: any table in, NumPy answers out, the module left as it was."""

import math
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hormesis.errors import DataError, ModelError
from hormesis.frames import is_tensor, open_table
from hormesis.models import check_target
from hormesis.torch.quiet import attacking, check_logit, outputs

MOST_VALUES, MOST_ROWS, SOME = 1 << 22, 8192, 256
ALONE = threading.RLock()  # a module's mode is the module's: two threads must not switch it


def place(module: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Return the device and floating dtype of a module's parameters; of one without any, those of the CPU."""
    held = next(iter(module.parameters()), None)
    floats = next((p for p in module.parameters() if p.is_floating_point()), None)
    device = torch.device("cpu") if held is None else held.device
    return device, torch.float32 if floats is None else floats.dtype


def numbers_of(X: Any) -> Tensor:
    """Return a table as a tensor: a tensor as it is, an array or frame of numbers as floats (rows, columns).

    Raises
    ------
    DataError
        A column holds no numbers.
    """
    if is_tensor(X):
        given: Tensor = X.detach()
        return given
    if isinstance(X, np.ndarray) and X.dtype.kind in "fiub":
        floats = X if X.dtype.kind == "f" else X.astype(np.float64)
        return torch.from_numpy(np.require(floats, requirements=["C", "W"]))
    table = open_table(X)
    for j, name in enumerate(table.names):
        if table.dtype(j) not in ("number", "integer", "boolean"):
            raise DataError(
                f"Column `{name}` holds {table.dtype(j)} values, and a net takes numbers: encode it first, or put an "
                "encoder and the net in a scikit-learn Pipeline."
            )
    return torch.from_numpy(np.column_stack([table.numbers(j) for j in range(len(table.names))]))


def inputs(module: nn.Module, X: Any) -> Tensor:
    """Return a table on the device of a module, floats in its dtype; a tensor of whole numbers stays so."""
    device, dtype = place(module)
    x = numbers_of(X)
    return x.to(device, dtype) if x.is_floating_point() else x.to(device)


def answer(module: nn.Module, X: Any) -> NDArray[np.float64]:
    """Return a module's outputs for a table, in batches, in eval mode and without gradients: (rows,) or (rows, outputs).

    Raises
    ------
    ModelError
        The module returns another shape, or no tensor.
    """
    x = inputs(module, X)
    step = max(1, min(MOST_ROWS, MOST_VALUES // max(1, math.prod(x.shape[1:]))))
    with ALONE, attacking(module) as quiet, torch.no_grad():
        parts = [outputs(quiet, x[a : a + step]).cpu().double() for a in range(0, max(len(x), 1), step)]
    said = torch.cat(parts)
    if said.ndim > 2 or len(said) != len(x):
        raise ModelError(
            f"The net answers shape {tuple(said.shape)} for {len(x)} rows: it needs logits (rows, classes), "
            "or one number per row."
        )
    out: NDArray[np.float64] = (said[:, 0] if said.ndim == 2 and said.shape[1] == 1 else said).numpy()
    return out


def finite(said: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return answers; a net that answers NaN, as it does where values are missing, has not answered."""
    bad = ~np.isfinite(said)
    if bad.any():
        rows = int(bad.reshape(len(said), -1).any(axis=1).sum())
        raise ModelError(
            f"the net answers NaN or infinity in {rows} rows: fill missing values first (SimpleImputer in a Pipeline), or "
            "use TabularNetClassifier or -Regressor"
        )
    return said


class TorchModel:
    """A module that answers one number per row, for a regression."""

    hormesis_task = "regression"

    def __init__(self, module: nn.Module) -> None:
        self._module = module

    @property
    def module(self) -> nn.Module:
        """The module itself."""
        return self._module

    def __repr__(self) -> str:
        return f"{type(self).__name__}({type(self._module).__name__})"

    def predict(self, X: Any) -> NDArray[Any]:
        """Return one number per row."""
        return finite(answer(self._module, X))


class TorchClassifier(TorchModel):
    """A module that answers logits (rows, classes), or one logit per row, as a classifier."""

    hormesis_task = "classification"

    def __init__(self, module: nn.Module, classes: NDArray[Any]) -> None:
        super().__init__(module)
        self.classes_ = classes

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the class with the largest logit."""
        said: NDArray[Any] = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return said

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return probabilities (rows, classes): softmax, of one logit the sigmoid."""
        return probabilities(finite(answer(self._module, X)))


def probabilities(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return probabilities (rows, classes) of logits (rows, classes), or of one logit (rows,)."""
    both = np.column_stack([np.zeros(logits.size), logits]) if logits.ndim == 1 else logits
    raised = np.exp(both - both.max(axis=1, keepdims=True))
    out: NDArray[np.float64] = raised / raised.sum(axis=1, keepdims=True)
    return out


class SkorchModel:
    """A fitted skorch net that takes any table of numbers, in the dtype of its module."""

    def __init__(self, net: Any) -> None:
        if not getattr(net, "initialized_", False):
            raise ModelError(f"{type(net).__name__} is not fitted: call `fit` first, or use `harden`.")
        self.net = net
        self.hormesis_task = "classification" if hasattr(net, "classes_") else "regression"
        if hasattr(net, "classes_"):
            self.classes_ = np.asarray(net.classes_)
            self.predict_proba = self._predict_proba

    @property
    def module(self) -> nn.Module:
        """The fitted module."""
        return module_in(self.net)

    def predict(self, X: Any) -> NDArray[Any]:
        """Return labels or numbers."""
        return np.asarray(self.net.predict(inputs(self.net.module_, X)))

    def _predict_proba(self, X: Any) -> NDArray[Any]:
        with ALONE:
            return np.asarray(self.net.predict_proba(inputs(self.net.module_, X)))


class Logarithm(nn.Module):
    """A module whose probabilities are given as logits."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *given: Any, **named: Any) -> Tensor:
        """Return log probabilities."""
        said: Tensor = self.module(*given, **named)
        return said.clamp_min(torch.finfo(said.dtype).tiny).log()


def module_in(net: Any) -> nn.Module:
    """Return the module of a fitted skorch net, as logits where it answers probabilities."""
    module: nn.Module = net.module_
    return Logarithm(module) if isinstance(getattr(net, "criterion_", None), nn.NLLLoss) else module


class Guarded(nn.Module):
    """A module behind a guard: values are held within the training range, as `Guard` does, and have a gradient there."""

    def __init__(self, module: nn.Module, guard: Any, names: Sequence[str | int]) -> None:
        super().__init__()
        self.module, self.missing = module, guard.beyond == "missing"
        limits = [guard.limits_.get(name, (-math.inf, 0.0, math.inf)) for name in names]
        self.low, self.middle, self.high = torch.tensor(limits, dtype=torch.float64).T
        self.margin = guard.width * (self.high - self.low)

    def forward(self, x: Tensor) -> Any:
        """Answer guarded rows."""
        flat = x.reshape(len(x), -1)
        low, high, margin = (t.to(flat) for t in (self.low, self.high, self.margin))
        far = (flat < low - margin) | (flat > high + margin)
        beyond = torch.full_like(low, torch.nan) if self.missing else self.middle.to(flat)
        return self.module(torch.where(far, beyond, torch.clamp(flat, low, high)).reshape(x.shape))


def inner(model: Any) -> tuple[list[Any], Any]:
    """Return the guards in front of a model, first the one that sees a table first, and the model itself."""
    from hormesis.guard import Guard

    steps = getattr(model, "steps", None)
    if isinstance(steps, list) and all(isinstance(step, Guard) for _, step in steps[:-1]):
        guards, found = inner(steps[-1][1])
        return [step for _, step in steps[:-1]] + guards, found
    if hasattr(model, "recipe") and hasattr(model, "estimator"):
        return inner(getattr(model, "estimator_", model.estimator))
    return [], model


def has_module(model: Any) -> bool:
    """Tell a model whose gradients an attack can follow, fitted or not."""
    found = inner(model)[1]
    ours = type(found).__module__.startswith("hormesis.")
    return isinstance(found, nn.Module) or (ours and hasattr(type(found), "module"))


def module_of(model: Any, names: Sequence[str | int]) -> nn.Module:
    """Return the module whose gradients an attack follows, behind the model's guards, for columns of these names."""
    guards, found = inner(model)
    module: nn.Module = found if isinstance(found, nn.Module) else found.module
    for guard in reversed(guards):
        module = Guarded(module, guard, names)
    return module


def model_of(model: Any, X: Any, y: Any) -> Any:
    """Return a module as a classifier or a regressor, by the shape of its answers and by the target.

    Several outputs are classes, in sorted order (whole numbers from 0 are the outputs' own numbers). One output is a
    logit where the target holds two classes, and a number otherwise.

    Raises
    ------
    DataError
        Outputs and target do not fit together.
    ModelError
        The module raises on the first rows, or its one output is a probability there.
    """
    if not isinstance(model, nn.Module):
        return SkorchModel(model)
    said = _first(model, X)
    width = 1 if said.ndim == 1 else said.shape[1]
    target = check_target(y, "regression")
    distinct = np.unique(target)
    whole = target.dtype.kind in "iub" or (target.dtype.kind == "f" and bool((distinct % 1 == 0).all()))
    if width == 1:
        found = _with_one_output(model, distinct, whole=whole)
        if isinstance(found, TorchClassifier):
            check_logit(torch.from_numpy(said))
        return found
    if whole and distinct[0] >= 0 and distinct[-1] < width and target.dtype.kind != "b":
        return TorchClassifier(model, np.arange(width))
    if distinct.size == width:
        return TorchClassifier(model, distinct)
    raise DataError(
        f"The net answers {width} numbers per row, one for each class, and the target holds {distinct.size} "
        f"different values, from {distinct[0]} to {distinct[-1]}: number the classes 0 to {width - 1}."
    )


def _with_one_output(module: nn.Module, distinct: NDArray[Any], *, whole: bool) -> TorchModel:
    if distinct.size == 2 and (whole or distinct.dtype.kind not in "f"):
        return TorchClassifier(module, distinct)
    if distinct.dtype.kind not in "fiu":
        raise DataError(
            f"The net answers one number per row, and the target holds {distinct.size} classes: "
            "a net for classes answers one logit for each."
        )
    return TorchModel(module)


def _first(module: nn.Module, X: Any) -> NDArray[np.float64]:
    from hormesis.frames import take

    try:
        return answer(module, take(X, np.arange(min(SOME, len(X)))))
    except (ModelError, DataError):
        raise
    except Exception as error:
        raise ModelError(
            f"The model raises on the rows as they are, before any noise: {type(error).__name__}: {error}"
        ) from error
