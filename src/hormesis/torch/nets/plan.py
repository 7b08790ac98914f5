"""From settings to a training plan: the list of techniques, outermost first, and the noisy view of each epoch."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hormesis.errors import DataError, SettingError, nearest
from hormesis.frames import open_table
from hormesis.profile import Profile
from hormesis.recipe import Recipe
from hormesis.torch.attacks.base import Attack
from hormesis.torch.attacks.gradient import FGSM, PGD
from hormesis.torch.batches.erase import cutout, random_erasing
from hormesis.torch.nets.techniques import (
    Erase,
    GaussianInput,
    KeepClean,
    Layers,
    MissingInput,
    Mix,
    PerturbGradients,
    PerturbWeights,
    Sharpness,
    SmoothLabels,
    SwapInput,
    Technique,
    WorstWeights,
)
from hormesis.torch.nets.worst_batches import FreeReplays, Trades, WorstInputs

ADVERSARIAL = ("fgsm", "pgd", "trades", "free")
MIXES = ("mixup", "cutmix", "manifold_mixup")


@dataclasses.dataclass(frozen=True)
class Units:
    """What doses mean for a data set: the spread of each feature for Gaussian noise, the scale of epsilon."""

    spread: Tensor
    scale: Tensor
    classes: int | None
    target_spread: float
    layers: Sequence[str]


def techniques_of(net: Any, units: Units) -> list[Technique]:
    """Return the techniques that the settings of a net ask for, in the order in which they act."""
    asked: list[tuple[Any, Any]] = [
        (True, lambda _: Layers()),
        (net.gradient_noise, PerturbGradients),
        (net.swap_noise, SwapInput),
        (net.gaussian_noise, lambda level: GaussianInput(level, units.spread)),
        (getattr(net, "random_erasing", 0), lambda p: Erase(p, random_erasing, {"mode": "mean"})),
        (getattr(net, "cutout", 0), lambda size: Erase(size, cutout, {"mode": "mean"})),
        (net.masking, MissingInput),
        (net.label_smoothing, lambda level: _smoothing(net, level, units)),
        (any(getattr(net, m) for m in MIXES), lambda _: _mixing(net, units)),
        (net.share, KeepClean),
        (net.adversarial is not None, lambda _: _adversarial(net, units)),
        (net.awp, WorstWeights),
        (net.sam, Sharpness),
        (net.weight_noise, PerturbWeights),
    ]
    return [make(setting) for setting, make in asked if setting]


def _smoothing(net: Any, level: float, units: Units) -> Technique:
    if units.classes is None:
        raise SettingError(
            f"`{type(net).__name__}(label_smoothing={level:g})`: label smoothing shares certainty among classes, and a "
            "regression has none: leave it 0, and use mixup to smooth numbers."
        )
    return SmoothLabels(level)


def _mixing(net: Any, units: Units) -> Technique:
    alphas = {name: getattr(net, name) for name in MIXES if getattr(net, name)}
    return Mix(alphas, units.layers)


def _adversarial(net: Any, units: Units) -> Technique:
    given, scale, loss = net.adversarial, units.scale, "auto" if units.classes else "mse"
    if isinstance(given, Attack):
        plain = units.classes or given.loss != "auto"
        return WorstInputs(given if plain else dataclasses.replace(given, loss="mse"), scale)  # type: ignore[type-var]
    if given not in ADVERSARIAL:
        raise SettingError(
            f"`{type(net).__name__}(adversarial={given!r})`: it is None, {', '.join(map(repr, ADVERSARIAL))}, or an attack "
            f"such as PGD(0.1).{nearest(given, ADVERSARIAL)}"
        )
    if given == "free":
        return FreeReplays(epsilon=net.epsilon, replays=net.attack_steps, scale=scale)
    if given == "fgsm":
        return WorstInputs(fast(net.epsilon, loss), scale)
    pgd = PGD(net.epsilon, steps=net.attack_steps, loss=loss)
    if given == "trades":
        return Trades(pgd, scale, net.trades_beta, bool(units.classes), units.target_spread)
    return WorstInputs(pgd, scale)


def fast(epsilon: float, loss: Any = "auto") -> FGSM:
    """Return the step of fast adversarial training (Wong et al. 2020): FGSM from a random start, a quarter too long.

    >>> fast(0.1).step_size
    0.125
    """
    return FGSM(epsilon, random_start=True, step_size=1.25 * epsilon or None, loss=loss)


@dataclasses.dataclass(eq=False)
class EpochView:
    """Training rows as a recipe makes them anew for each epoch.

    `table` and `labels` are the rows as they were given; the recipe's label noises fall on `labels`.
    """

    recipe: Recipe
    seed: int
    table: Any
    labels: Any
    classes: NDArray[Any] | None
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        for step in self.recipe.steps:
            if step.noise.changes in ("rows", "schema"):
                raise SettingError(
                    f"`{type(step.noise).__name__}` changes which rows or columns there are, and every epoch has those of "
                    "the training table: apply it to the table before `fit`."
                )
        self.profile = Profile.learn(self.table)
        self.truth = Profile.learn(self.labels) if self.recipe.labels.steps else None

    def __call__(self, epoch: int, dose: float) -> tuple[Tensor, Tensor | None]:
        """Return an epoch's inputs and, where labels are noisy too, targets."""
        weaker = Recipe([s.at(s.noise.level * dose) for s in self.recipe.steps], self.recipe.seed)
        noisy = weaker.features.training_copy(self.table, copy=epoch, profile=self.profile, seed=self.seed)
        X = torch.from_numpy(as_rows(noisy, self.shape))
        if self.truth is None:
            return X, None
        said = weaker.labels.training_copy(self.labels, copy=epoch, profile=self.truth, seed=self.seed)
        return X, torch.from_numpy(encoded(np.asarray(said), self.classes))


def as_rows(table: Any, shape: tuple[int, ...] | None = None) -> NDArray[np.float32]:
    """Return a table of numbers as float32 rows (n, *shape), missing values as NaN.

    Raises
    ------
    DataError
        A column holds no numbers.
    """
    most = float(np.finfo(np.float32).max)
    rows: NDArray[np.float32] = np.clip(as_numbers(table), -most, most).astype(np.float32)
    return rows if shape is None else rows.reshape(len(rows), *shape)


def as_numbers(table: Any) -> NDArray[np.float64]:
    """Return a table of numbers as an array (n, columns), missing values as NaN.

    Raises
    ------
    DataError
        A column holds no numbers.
    """
    if isinstance(table, np.ndarray):
        values: NDArray[np.float64] = table.astype(np.float64, copy=False)
    else:
        opened = open_table(table)
        words = [
            n for j, n in enumerate(opened.names) if opened.dtype(j) not in ("number", "integer", "boolean")
        ]
        if words:
            raise DataError(
                f"Column `{words[0]}` holds no numbers, and a net takes numbers alone: put skrub's TableVectorizer in front, "
                "as in `make_pipeline(TableVectorizer(), net)`."
            )
        values = np.column_stack([opened.numbers(j) for j in range(len(opened.names))]).astype(np.float64)
    return values


def encoded(y: NDArray[Any], classes: NDArray[Any] | None) -> NDArray[Any]:
    """Return labels as positions among the classes, numbers as float32."""
    return y.astype(np.float32) if classes is None else np.searchsorted(classes, y).astype(np.int64)
