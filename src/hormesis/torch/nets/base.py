"""What all our scikit-learn nets share: settings checked, data made tensors, a skorch net trained, answers as arrays."""

import dataclasses
import functools
import secrets
from typing import Annotated, Any, ClassVar, Self, get_type_hints

import numpy as np
import torch
from annotated_types import Ge, Gt, Interval
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
from torch import Tensor, nn

from hormesis.errors import DataError, MissingExtraError, ModelError, SettingError
from hormesis.frames import is_frame, take
from hormesis.key import key
from hormesis.recipe import Recipe
from hormesis.torch.nets.callbacks import OverfittingStop
from hormesis.torch.nets.modules import Inside
from hormesis.torch.nets.plan import EpochView, Units, as_numbers, as_rows, techniques_of
from hormesis.torch.nets.training import train
from hormesis.torch.source import generator

try:
    from skorch.callbacks import EarlyStopping
    from skorch.helper import predefined_split

    from hormesis.torch.nets.skorch_nets import AT_ONCE, NoisyClassifier, NoisyRegressor, Rows
except ImportError as error:
    raise MissingExtraError(
        "The nets of hormesis.torch need skorch: pip install 'hormesis[torch]'."
    ) from error

Dose = Annotated[float, Ge(0)]
Share = Annotated[float, Interval(ge=0, lt=1)]
Positive = Annotated[float, Gt(0)]
Count = Annotated[int, Ge(0)]
Whole = Annotated[int, Ge(1)]


@dataclasses.dataclass(eq=False, repr=False, kw_only=True)
class NetEstimator(BaseEstimator):  # type: ignore[misc]
    """Settings and steps that all nets share; the nets' own docstrings tell what each setting means."""

    lr: Positive = 2e-3
    weight_decay: Dose = 0.0
    epochs: Count = 50
    batch_size: Whole = 64
    gaussian_noise: Dose = 0.0
    masking: Share = 0.0
    swap_noise: Share = 0.0
    feature_dropout: Share = 0.0
    activation_noise: Dose = 0.0
    dropout: Share = 0.0
    stochastic_depth: Share = 0.0
    label_smoothing: Share = 0.0
    mixup: Dose = 0.0
    manifold_mixup: Dose = 0.0
    cutmix: Dose = 0.0
    weight_noise: Dose = 0.0
    gradient_noise: Dose = 0.0
    adversarial: Any = None
    epsilon: Dose = 0.1
    attack_steps: Whole = 7
    trades_beta: Dose = 6.0
    awp: Dose = 0.0
    sam: Dose = 0.0
    recipe: Any = None
    noise_warmup: Count = 0
    share: Share = 0.0
    early_stopping: bool = False
    validation_fraction: Share | None = None
    patience: Whole = 10
    callbacks: Any = None
    device: Any = "cpu"
    verbose: Count = 0
    random_state: Any = None

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train the net; noise is fresh in every epoch and gone afterwards.

        Raises
        ------
        SettingError
            A setting out of its range, or a technique that this task does not have.
        DataError
            Columns that are not numbers, infinite values, images of unknown shape, a single class, or negative weights.
        ModelError
            Training diverged; nothing is fitted.
        KeyboardInterrupt
            Training was interrupted; the net trained so far stays, as after fewer epochs.
        """
        if y is None:
            raise DataError(f"{type(self).__name__} requires y to be passed, but the target y is None.")
        check_settings(self)
        seed = _seed(self.random_state)
        rows, y = self._checked(X, y)
        target = self._encoded(y)
        weight = None if sample_weight is None else _weights(sample_weight, rows)
        rows_in, valid = self._split(target, seed)
        learnt = torch.from_numpy(rows[rows_in])
        module = self._module(learnt, target[rows_in], generator(seed, "weights"))
        weights = (
            None if weight is None else torch.from_numpy(weight[rows_in] / weight[rows_in].mean()).float()
        )
        data = Rows(learnt, torch.from_numpy(target[rows_in]), weights, self._view(X, rows, y, rows_in, seed))
        held = None if valid is None else Rows(rows[valid], target[valid])
        self.net_ = self._net(module, self._units(learnt, target[rows_in]), seed, held)
        try:
            train(self.net_, data, learnt[:AT_ONCE])
        except KeyboardInterrupt:
            self._settle()
            raise
        except ModelError:
            for name in [name for name in vars(self) if name.endswith("_")]:
                delattr(self, name)
            raise
        self._settle()
        return self

    def _settle(self) -> None:
        if not self.net_.initialized_:
            return
        self.net_.train_split = None
        self.net_.module_.eval()
        self.n_iter_ = len(self.net_.history)

    @property
    def module(self) -> nn.Module:
        """The trained torch module, in eval mode: raw values in, logits or numbers out."""
        check_is_fitted(self, "net_")
        trained: nn.Module = self.net_.module_
        return trained

    @property
    def history_(self) -> Any:
        """Skorch's record of every epoch."""
        check_is_fitted(self, "net_")
        return self.net_.history

    _images: ClassVar[bool] = False

    def _module(self, X: Tensor, y: NDArray[Any], rng: torch.Generator) -> nn.Module:
        raise NotImplementedError

    def _units(self, X: Tensor, y: NDArray[Any]) -> Units:
        raise NotImplementedError

    def _encoded(self, y: NDArray[Any]) -> NDArray[Any]:
        raise NotImplementedError

    @property
    def _classes(self) -> NDArray[Any] | None:
        return getattr(self, "classes_", None)

    def _inside(self) -> Inside:
        names = [f.name for f in dataclasses.fields(Inside)]
        return Inside(**{name: getattr(self, name) for name in names if hasattr(self, name)})

    def _net(self, module: nn.Module, units: Units, seed: int, valid: Rows | None) -> Any:
        kind = NoisyRegressor if self._classes is None else NoisyClassifier
        task = {"criterion": nn.CrossEntropyLoss} if self._classes is not None else _squared(units)
        return kind(
            module,
            techniques=techniques_of(self, units),
            seed=seed,
            warmup=self.noise_warmup,
            lr=self.lr,
            optimizer=torch.optim.AdamW,
            optimizer__weight_decay=self.weight_decay,
            optimizer__fused=torch.device(self.device).type in ("cpu", "cuda"),
            max_epochs=self.epochs,
            batch_size=self.batch_size,
            callbacks=self._callbacks(units),
            train_split=None if valid is None else predefined_split(valid),
            device=self.device,
            verbose=self.verbose,
            **task,
        )

    def _callbacks(self, units: Units) -> list[Any]:
        made: list[Any] = list(self.callbacks or [])
        if self.adversarial == "fgsm" and units.classes:
            made.append(("overfitting_stop", OverfittingStop(self.epsilon, scale=units.scale)))
        if self.early_stopping:
            stop = EarlyStopping(monitor="valid_loss", patience=self.patience, load_best=True, sink=_silent)
            made.append(("early_stopping", stop))
        return made

    def _split(self, target: NDArray[Any], seed: int) -> tuple[NDArray[Any], NDArray[Any] | None]:
        rows, fraction = np.arange(len(target)), self.validation_fraction
        fraction = 0.1 * self.early_stopping if fraction is None else fraction
        if not fraction:
            return rows, None
        train, valid = train_test_split(
            rows,
            test_size=fraction,
            random_state=key(seed, "validation") % 2**32,
            stratify=None if self._classes is None else target,
        )
        return np.sort(train), np.sort(valid)

    def _view(self, X: Any, rows: NDArray[Any], y: Any, train: NDArray[Any], seed: int) -> EpochView | None:
        if self.recipe is None:
            return None
        table = take(X, train) if is_frame(X) else rows[train].reshape(len(train), -1)
        return EpochView(Recipe(self.recipe), seed, table, y[train], self._classes, rows.shape[1:])

    def _checked(self, X: Any, y: Any = None) -> tuple[NDArray[np.float32], Any]:
        """Return inputs as float32 rows of the net's shape, and the target as an array."""
        fitting = y is not None
        given = {"X": X} if not fitting else {"X": X, "y": y}
        if is_frame(X):
            validate_data(self, X, reset=fitting, skip_check_array=True)
            wide = as_numbers(X)
            if np.isinf(wide).any() or not len(wide):
                raise DataError(
                    "The table holds infinity, or no rows: a net takes finite numbers and missing values."
                )
            values = as_rows(wide)
            y = self._target(y, len(values)) if fitting else None
            return self._shaped(values), y
        shape = np.shape(X)[1:] if self._images and np.ndim(X) > 2 else None
        given["X"] = X if shape is None else np.reshape(X, (len(X), -1))
        checked: Any = validate_data(
            self, **given, reset=fitting, dtype=np.float64, ensure_all_finite="allow-nan"
        )
        values, y = checked if fitting else (checked, None)
        rows = self._shaped(as_rows(values, shape))
        return rows, self._target(y, len(values)) if fitting else None

    def _target(self, y: Any, rows: int) -> NDArray[Any]:
        raise NotImplementedError

    def _shaped(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        return values

    def _said(self, X: Any) -> NDArray[Any]:
        check_is_fitted(self, "net_")
        said: NDArray[Any] = self.net_.forward(torch.from_numpy(self._checked(X)[0])).numpy()
        return said

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def check_settings(net: Any) -> None:
    """Refuse settings out of their range, all at once; the ranges are the types of the fields.

    Raises
    ------
    SettingError
        One sentence for each.
    """
    wrong = []
    for name, kind in _types(type(net)).items():  # type: ignore[arg-type]
        value = getattr(net, name)
        if said := _mistake(kind, value.item() if isinstance(value, np.generic) else value):
            wrong.append(f"`{type(net).__name__}({name}={value!r})`: expected {said}")
    if wrong:
        raise SettingError(" ".join(wrong))


def _mistake(kind: TypeAdapter[Any], value: Any) -> str:
    """Return what was expected instead of a value, or nothing; what only reads as a number is none."""
    try:
        read = kind.validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        percent = first["type"] == "less_than" and isinstance(value, int | float) and 1 < value < 100
        hint = f"; did you mean {value / 100:g}?" if percent else "."
        return first["msg"].removeprefix("Input should be ") + hint
    if isinstance(value, str) and not isinstance(read, str):
        return f"the {type(read).__name__} {read!r}, not a string."
    if isinstance(value, float) and isinstance(read, int):
        return f"the whole number {read!r}."
    return ""


@functools.cache
def _types(kind: Any) -> dict[str, TypeAdapter[Any]]:
    hints = get_type_hints(kind, include_extras=True)
    return {f.name: TypeAdapter(hints[f.name]) for f in dataclasses.fields(kind)}


def _seed(random_state: Any) -> int:
    if random_state is None:
        return secrets.randbits(63)
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(random_state.randint(2**31 - 1))


def _weights(sample_weight: Any, rows: NDArray[Any]) -> NDArray[np.float64]:
    weight: NDArray[np.float64] = _check_sample_weight(sample_weight, rows, dtype=np.float64)
    if (weight < 0).any():
        raise DataError(
            f"`sample_weight` goes down to {weight.min():g}: weights are 0 or more; leave out rows that should not count."
        )
    return weight


def _squared(units: Units) -> dict[str, Any]:
    from hormesis.torch.nets.skorch_nets import SquaredError

    return {"criterion": SquaredError, "criterion__spread": units.target_spread}


def _silent(*said: Any) -> None:
    """Take what skorch would print."""
