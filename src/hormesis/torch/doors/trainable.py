"""A bare module, or a skorch net, as a scikit-learn estimator that `harden` can fit again and again."""

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from hormesis.errors import DataError, MissingExtraError
from hormesis.key import key
from hormesis.models import task_of
from hormesis.torch.doors.model import answer, finite, module_in, numbers_of, place, probabilities
from hormesis.torch.nets.training import train


class Scaled(nn.Module):
    """A module whose answer is given in the units of the target."""

    def __init__(self, module: nn.Module, center: float, scale: float) -> None:
        super().__init__()
        self.module, self.center, self.scale = module, center, scale

    def forward(self, x: Tensor) -> Tensor:
        """Return the answer times the scale, plus the center."""
        said: Tensor = self.module(x)
        return said * self.scale + self.center


class Shaped(nn.Module):
    """A module that takes flattened rows and rows of its own shape, and answers (rows,) where it has one output."""

    def __init__(self, module: nn.Module, shape: tuple[int, ...] | None) -> None:
        super().__init__()
        self.module, self.shape = module, shape

    def forward(self, x: Tensor) -> Tensor:
        """Answer rows of either shape."""
        said: Tensor = self.module(x if self.shape is None else x.reshape(len(x), *self.shape))
        return said[:, 0] if said.ndim == 2 and said.shape[1] == 1 else said


class Batches:
    """Shuffled batches of a data set in memory, cut whole: a loader of single rows takes longer than a small net's step."""

    def __init__(self, data: Any, batch_size: int) -> None:
        self.X, self.y, self.batch_size = data.X, torch.as_tensor(data.y), batch_size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(self.X))
        for a in range(0, len(order), self.batch_size):
            rows = order[a : a + self.batch_size]
            if len(rows) > 1 or len(self.X) == 1:  # one row has no batch statistics
                yield self.X[rows], self.y[rows]


class TorchEstimator(BaseEstimator):
    """A module or skorch net as an estimator of tables: every fit starts from the weights it was given with.

    A module is trained by skorch with Adam on cross-entropy (one logit: on its binary form; a regression: on the squared
    error of the standardised target), for the same number of steps whatever the number of rows, so that noisy copies
    bring no longer training. Equal seeds give equal nets on the CPU, and torch's global generator stays where it is.

    Parameters
    ----------
    net : nn.Module or skorch net
        An untrained module, or a skorch net with settings of your own, which are then the ones that count.
    task : {"classification", "regression"}
    shape : tuple of int, optional
        Shape of one row for the module; None: flat.
    steps, batch_size, lr : int, int, float
        Training of a bare module.
    random_state : int
        Seed of batches and of dropout.
    """

    def __init__(
        self,
        net: Any,
        task: str = "classification",
        *,
        shape: tuple[int, ...] | None = None,
        steps: int = 1000,
        batch_size: int = 128,
        lr: float = 2e-3,
        random_state: int = 0,
    ) -> None:
        self.net, self.task, self.shape = net, task, shape
        self.steps, self.batch_size, self.lr, self.random_state = steps, batch_size, lr, random_state

    @classmethod
    def of(cls, model: Any, shape: tuple[int, ...], y: Any, seed: int) -> Self:
        """Return the estimator for a module or net, its task read from the net or from the target."""
        if isinstance(model, nn.Module):
            task = task_of(y)
        else:
            task = (
                "classification" if hasattr(model, "predict_proba") and _classifies(model) else "regression"
            )
        return cls(model, task, shape=shape if len(shape) > 1 else None, random_state=seed)

    @property
    def hormesis_task(self) -> str:
        """The task, as `stress` and `harden` ask for it."""
        return self.task

    def fit(self, X: Any, y: Any) -> Self:
        """Train a copy of the module from its first weights.

        Raises
        ------
        DataError
            Outputs and target do not fit together.
        MissingExtraError
            skorch is not installed.
        ModelError
            Training diverged; nothing is fitted.
        KeyboardInterrupt
            Training was interrupted; the net trained so far stays in `net_`.
        """
        values = np.asarray(y)
        net = copy.deepcopy(self.net)
        bare = isinstance(net, nn.Module)
        with seeded(net, key(self.random_state, "fit")):
            net = self._skorch(net, X, values) if bare else net
            target = (
                self._codes(net, values)
                if self.task == "classification"
                else self._numbers(values, bare=bare)
            )
            self._trained(net, self._rows(net, X), target)
        return self

    def _trained(self, net: Any, X: Tensor, y: NDArray[Any]) -> None:
        self.__dict__.pop("net_", None)
        try:
            train(net, X, X[:4096], y)
        except KeyboardInterrupt:
            self.net_ = net
            raise
        self.net_ = net
        self.net_.module_.eval()

    def _skorch(self, module: nn.Module, X: Any, y: NDArray[Any]) -> Any:
        """Return a skorch net for a bare module."""
        try:
            from skorch import NeuralNet
        except ImportError:
            raise MissingExtraError(
                "Training a module needs skorch: pip install 'hormesis[torch]'."
            ) from None
        shaped = Shaped(module, self.shape)
        outputs = answer(shaped, numbers_of(X)[:2])
        one, classes = outputs.ndim == 1, np.unique(y)
        if self.task == "classification" and (classes.size > 2 if one else classes.size > outputs.shape[1]):
            raise DataError(
                f"The net answers {1 if one else outputs.shape[1]} logits per row, and the target holds "
                f"{classes.size} classes: give it one output for each."
            )
        if self.task == "regression" and not one:
            raise DataError(f"The net answers {outputs.shape[1]} numbers per row; a regression needs one.")
        losses = nn.BCEWithLogitsLoss if one else nn.CrossEntropyLoss
        rounds = max(1, math.ceil(self.steps / math.ceil(len(y) / self.batch_size)))
        return NeuralNet(
            shaped,
            criterion=nn.MSELoss if self.task == "regression" else losses,
            optimizer=torch.optim.Adam,
            lr=self.lr,
            batch_size=self.batch_size,
            max_epochs=rounds,
            iterator_train=Batches,
            train_split=None,
            verbose=0,
            device=str(place(module)[0]),
        )

    def _rows(self, net: Any, X: Any) -> Tensor:
        dtype = place(net.module)[1] if isinstance(net.module, nn.Module) else torch.float32
        x = numbers_of(X)
        x = x.to(dtype) if x.is_floating_point() else x
        return x if self.shape is None else x.reshape(len(x), *self.shape)

    def _codes(self, net: Any, y: NDArray[Any]) -> NDArray[Any]:
        """Return classes as numbers, of the type that the net's loss takes."""
        self.center_, self.scale_ = 0.0, 1.0
        self.classes_, codes = np.unique(y, return_inverse=True)
        binary = "BCE" in getattr(net.criterion, "__name__", type(net.criterion).__name__)
        return codes.astype(np.float32 if binary else np.int64)

    def _numbers(self, y: NDArray[Any], *, bare: bool) -> NDArray[Any]:
        """Return a regression's target: standardised for a bare module, a column for a skorch net."""
        self.center_, self.scale_ = (float(y.mean()), float(y.std()) or 1.0) if bare else (0.0, 1.0)
        standard = ((y - self.center_) / self.scale_).astype(np.float32)
        return standard if bare else standard[:, None]

    @property
    def module(self) -> nn.Module:
        """The fitted module, with answers in the units of the target and rows of either shape."""
        check_is_fitted(self, "net_")
        made = module_in(self.net_)
        if not isinstance(made, Shaped):
            made = Shaped(made, self.shape)
        return Scaled(made, self.center_, self.scale_) if self.scale_ != 1.0 or self.center_ else made

    def predict(self, X: Any) -> NDArray[Any]:
        """Return labels or numbers; no noise."""
        if self.task == "classification":
            said: NDArray[Any] = self.classes_[self.predict_proba(X).argmax(axis=1)]
            return said
        return finite(answer(self.module, X))

    @available_if(lambda self: self.task == "classification")
    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return probabilities (rows, classes)."""
        return probabilities(finite(answer(self.module, X)))

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, RegressorTags

        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.estimator_type = "classifier" if self.task == "classification" else "regressor"
        if self.task == "classification":
            tags.classifier_tags = ClassifierTags()
        else:
            tags.regressor_tags = RegressorTags()
        return tags


def _classifies(net: Any) -> bool:
    from skorch import NeuralNetBinaryClassifier, NeuralNetClassifier

    return isinstance(net, NeuralNetClassifier | NeuralNetBinaryClassifier)


@contextmanager
def seeded(net: Any, seed: int) -> Iterator[None]:
    """Seed torch's global generators inside, and put them back: layers such as dropout know no other."""
    device = (
        torch.device(str(getattr(net, "device", "") or "cpu"))
        if not isinstance(net, nn.Module)
        else place(net)[0]
    )
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(seed >> 1)
        for each in devices:
            with torch.cuda.device(each):
                torch.cuda.manual_seed(seed >> 1)
        yield
