"""Nets for tables and images as scikit-learn estimators, in which every training technique is a setting."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Ge
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, column_or_1d
from torch import Tensor

from hormesis.errors import DataError
from hormesis.torch.attacks.space import Space
from hormesis.torch.nets.base import NetEstimator, Share
from hormesis.torch.nets.modules import ConvModule, Standardise, TabularModule
from hormesis.torch.nets.plan import Units, encoded

_SETTINGS = """
    lr, weight_decay, epochs, batch_size : float, float, int, int
        Training by AdamW. A small table needs more epochs or smaller batches: a few hundred steps at least.
    gaussian_noise : float
        Sigma of noise added to inputs, in {spreads}.
    masking : float
        Share of cells that go missing.
    swap_noise : float
        Share of cells taken from another row of the batch.
    feature_dropout : float
        Share of {features} dropped, the rest rescaled.
    activation_noise : float
        Sigma of noise added to hidden activations.
    dropout : float
        Share of hidden activations dropped, the rest rescaled.
    stochastic_depth : float
        Probability that a layer with a way around it is skipped{ways}.
    label_smoothing : float
        Share of certainty given to all classes alike; classifiers only.
    mixup, manifold_mixup, cutmix : float
        Alpha of Beta(alpha, alpha): rows mixed at the input, at a hidden layer, or by pasting. Of several, one per batch by chance.
{own}    weight_noise : float
        Noise on weights while the gradient is taken, in standard deviations of each tensor.
    gradient_noise : float
        Noise on gradients, in shares of their root mean square.
    adversarial : None, "fgsm", "pgd", "trades", "free" or an attack
        Train on worst-case inputs: FGSM from a random start (stopped by an alarm where it overfits), PGD, TRADES, free
        training (each batch is replayed `attack_steps` times), or any attack such as ``PGD(0.1, norm="l2")``.
    epsilon, attack_steps, trades_beta : float, int, float
        Size of those attacks in {scale}; their steps; weight of robustness in TRADES.
    awp, sam : float
        Adversarial weight perturbation (gamma; 0.005 is usual) and sharpness-aware minimisation (rho; 0.05 is usual).
    recipe : Recipe, Noise or list of them
        Noise of hormesis, made anew for all training rows in every epoch, labels too.
    noise_warmup : int
        Epochs over which all doses rise from small to their level.
    share : float
        Share of each batch's rows that stay clean of noise in inputs and targets.
    early_stopping, validation_fraction, patience : bool, float, int
        Stop when the loss on held-out clean rows has not fallen for `patience` epochs, and keep the best net. None: 0.1 of
        the rows where early stopping is on.
    callbacks : list of skorch callbacks
        For example `RobustnessLog`, or skorch's Checkpoint and LoadInitState: a resumed net equals one that never stopped.
    device, verbose, random_state : str, int, int or None
        Equal seeds give equal nets on the CPU.

    Attributes
    ----------
    module : the trained torch module: raw values in, {answers} out.
    net_ : the skorch net; history_ : its record of every epoch.

    Raises
    ------
    SettingError
        By `fit`: a setting out of its range, or a technique that the task does not have.
    DataError
        By `fit`: {wrong}

    Notes
    -----
    All techniques are off by default and can be combined at will. They act in this order: recipe, swap noise, Gaussian noise,
    {order}masking, label smoothing, mixing, clean share, attack, AWP, SAM, weight noise; gradient noise comes last. None of them
    acts in `predict`.
"""


@dataclasses.dataclass(eq=False, repr=False, kw_only=True)
class _Tabular(NetEstimator):
    hidden: Sequence[Annotated[int, Ge(1)]] = (128, 128)
    standardise: Literal["columns", "whole"] = "columns"
    missing_indicator: bool = True

    def _module(self, X: Tensor, y: NDArray[Any], rng: torch.Generator) -> TabularModule:
        mean, deviation = _moments(X, (0, 1) if self.standardise == "whole" else (0,))
        unseen = self.masking or self.recipe is not None
        gone = torch.ones(X.shape[1], dtype=torch.bool) if unseen else torch.isnan(X).any(0)
        indicators = gone.nonzero().flatten().tolist() if self.missing_indicator else []
        width = X.shape[1]
        front = Standardise(mean.expand(width).clone(), deviation.expand(width).clone(), indicators)
        classes, target = _answers(self, y)
        hidden = tuple(map(int, self.hidden))
        return TabularModule(front, width, hidden, classes, rng=rng, inside=self._inside(), target=target)

    def _units(self, X: Tensor, y: NDArray[Any]) -> Units:
        noised = self.gaussian_noise or self.adversarial is not None
        spread = torch.ones(X.shape[1])
        if noised and self.standardise == "whole":
            spread = _moments(X, (0, 1))[1].expand(X.shape[1]).clone()
        elif noised:
            spread = torch.as_tensor(Space.learn(X).scale, dtype=torch.float32)
        classes, (_, size) = _answers(self, y)
        layers = ["standardise", *(f"body.{i}" for i in range(len(self.hidden)))]
        return Units(spread, spread, classes, size, layers)


@dataclasses.dataclass(eq=False, repr=False, kw_only=True)
class _Convolutional(NetEstimator):
    channels: Sequence[Annotated[int, Ge(1)]] = (16, 32)
    image_shape: Sequence[Annotated[int, Ge(1)]] | None = None
    random_erasing: Share = 0.0
    cutout: Annotated[int, Ge(0)] = 0
    dropblock: Share = 0.0

    _images = True

    def _module(self, X: Tensor, y: NDArray[Any], rng: torch.Generator) -> ConvModule:
        mean, deviation = _moments(X, (0, 2, 3))
        classes, target = _answers(self, y)
        front = Standardise(mean[0], deviation[0])
        channels = tuple(map(int, self.channels))
        return ConvModule(front, X.shape[1], channels, classes, rng=rng, inside=self._inside(), target=target)

    def _units(self, X: Tensor, y: NDArray[Any]) -> Units:
        spread = _moments(X, (0, 1, 2, 3))[1][0]
        known = X[~torch.isnan(X)]
        scale = known.max() - known.min() if known.numel() else torch.ones(())
        classes, (_, size) = _answers(self, y)
        layers = ["standardise", *(f"body.{i}" for i in range(3 * len(self.channels)))]
        return Units(spread, scale, classes, size, layers)

    def _shaped(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        shape = tuple(map(int, values.shape[1:] if self.image_shape is None else self.image_shape))
        shape = (1, *shape) if len(shape) == 2 else shape
        if len(shape) != 3 or np.prod(shape) != np.prod(values.shape[1:]):
            raise DataError(
                f"Inputs of shape {values.shape} with `image_shape={self.image_shape}` are no images: give (n, h, w) or "
                "(n, c, h, w), or flat rows and `image_shape=(h, w)` or `(c, h, w)`."
            )
        return np.ascontiguousarray(values.reshape(len(values), *shape))


class _Classes(ClassifierMixin):  # type: ignore[misc]
    """Labels of any kind in and out."""

    def _target(self, y: Any, rows: int) -> NDArray[Any]:
        labels = column_or_1d(y, warn=True)
        check_classification_targets(labels)
        check_consistent_length(range(rows), labels)
        return np.asarray(labels)

    def _encoded(self, y: NDArray[Any]) -> NDArray[Any]:
        self.classes_ = np.unique(y)
        if self.classes_.size < 2:
            raise DataError(
                f"There is one class, {self.classes_[0]!r}: a classifier needs at least 2 classes."
            )
        return encoded(y, self.classes_)

    def predict_proba(self: Any, X: Any) -> NDArray[np.float64]:
        """Return probabilities (rows, classes); no noise."""
        logits = torch.from_numpy(self._said(X)).double()
        return logits.softmax(1).numpy()

    def predict(self: Any, X: Any) -> NDArray[Any]:
        """Return the most probable class of each row; no noise."""
        said = self._said(X)
        return self.classes_[said.argmax(axis=1)]  # type: ignore[no-any-return]


class _Numbers(RegressorMixin):  # type: ignore[misc]
    """Numbers in and out."""

    def _target(self, y: Any, rows: int) -> NDArray[Any]:
        numbers: NDArray[Any] = column_or_1d(y, warn=True).astype(np.float64)
        check_consistent_length(range(rows), numbers)
        if not np.isfinite(numbers).all():
            raise DataError("The target holds NaN or infinity: leave those rows out.")
        return numbers

    def _encoded(self, y: NDArray[Any]) -> NDArray[Any]:
        return encoded(y, None)

    def predict(self: Any, X: Any) -> NDArray[np.float64]:
        """Return a number for each row, in the target's units; no noise."""
        return self._said(X).astype(np.float64)  # type: ignore[no-any-return]


def _moments(X: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation over axes, without missing values; 0 where there is nothing."""
    wide = X.double()
    keep = X.ndim > 2
    mean = wide.nanmean(axes, keepdim=keep).nan_to_num(0.0)
    centred = (wide - (mean if keep else mean.expand(X.shape[1]))).square()
    deviation = centred.nanmean(axes, keepdim=keep).nan_to_num(0.0).sqrt()
    return mean.float(), torch.where(deviation > 1e-12 * mean.abs(), deviation, 0.0).float()


def _answers(net: Any, y: NDArray[Any]) -> tuple[int | None, tuple[float, float]]:
    if hasattr(net, "classes_"):
        return len(net.classes_), (0.0, 1.0)
    wide = y.astype(np.float64)
    return None, (float(wide.mean()), float(wide.std()) or 1.0)


def _told(**words: str) -> Callable[[type], type]:
    """Put the settings that all nets share into a docstring, where it says `{settings}`."""

    def tell(net: type) -> type:
        doc = net.__doc__ or ""
        net.__doc__ = doc.replace("    {settings}\n", _SETTINGS.format(**words).lstrip("\n"))
        return net

    return tell


_TABLE = {
    "spreads": 'robust spreads of each column (with ``standardise="whole"``: deviations of all cells)',
    "features": "columns",
    "ways": " (equal widths in `hidden`)",
    "own": "",
    "order": "",
    "scale": "the same spreads",
    "wrong": "columns that are not numbers, infinite values, a single class.",
}
_IMAGE = {
    "spreads": "standard deviations of all pixels",
    "features": "hidden maps",
    "ways": "",
    "own": """    random_erasing : float
        Share of images that lose a box of random size.
    cutout : int
        Side of a square that every image loses, in pixels.
    dropblock : float
        Share of hidden maps dropped in blocks.
""",
    "order": "erasing, cutout, ",
    "scale": "shares of the range of pixel values",
    "wrong": "images of unknown shape, infinite values, a single class.",
}


@_told(**_TABLE, answers="logits")
class TabularNetClassifier(_Classes, _Tabular):
    """Classify the rows of a numeric table by a multilayer perceptron, trained with any noise you like.

    Takes arrays and frames of numbers, standardised inside by the training rows; a missing value becomes the column's mean, and an
    indicator says so. Put ``skrub.TableVectorizer()`` in front of tables with words and dates.

    Parameters
    ----------
    hidden : sequence of int
        Widths of hidden layers.
    standardise : {"columns", "whole"}
        Each column by its own mean and deviation, or all by one of each (pixels, spectra).
    missing_indicator : bool
        Tell the net which values are missing, in columns where training can meet that.
    {settings}

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> net = TabularNetClassifier(hidden=(32,), epochs=100, gaussian_noise=0.1, mixup=0.2, random_state=0)
    >>> bool(net.fit(X, y).score(X, y) > 0.9)
    True
    """


@_told(**_TABLE, answers="numbers")
class TabularNetRegressor(_Numbers, _Tabular):
    """Predict a number for each row of a numeric table by a multilayer perceptron, trained with any noise you like.

    As `TabularNetClassifier`; the target is standardised inside, too, and answers are in its own units.

    Parameters
    ----------
    hidden : sequence of int
        Widths of hidden layers.
    standardise : {"columns", "whole"}
        Each column by its own mean and deviation, or all by one of each (spectra).
    missing_indicator : bool
        Tell the net which values are missing, in columns where training can meet that.
    {settings}

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> X, y = make_regression(200, 4, random_state=0)
    >>> net = TabularNetRegressor(hidden=(32, 32), gaussian_noise=0.05, random_state=0)
    >>> bool(net.fit(X, y).score(X, y) > 0.9)
    True
    """


@_told(**_IMAGE, answers="logits")
class ConvNetClassifier(_Classes, _Convolutional):
    """Classify images by a small residual convolutional net, trained with any noise you like.

    Takes (n, h, w), (n, c, h, w) or flat rows with `image_shape`, pixels of any range, standardised inside.

    Parameters
    ----------
    channels : sequence of int
        Maps of each stage; the image is halved after each.
    image_shape : (h, w) or (c, h, w), optional
        Shape of one image where rows are flat.
    {settings}

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(n_class=3, return_X_y=True)
    >>> net = ConvNetClassifier(channels=(8,), image_shape=(8, 8), epochs=5, random_erasing=0.3, random_state=0)
    >>> bool(net.fit(X, y).score(X, y) > 0.8)
    True
    """


@_told(**_IMAGE, answers="numbers")
class ConvNetRegressor(_Numbers, _Convolutional):
    """Predict a number for each image by a small residual convolutional net, trained with any noise you like.

    As `ConvNetClassifier`; the target is standardised inside, too, and answers are in its own units.

    Parameters
    ----------
    channels : sequence of int
        Maps of each stage; the image is halved after each.
    image_shape : (h, w) or (c, h, w), optional
        Shape of one image where rows are flat.
    {settings}

    Examples
    --------
    >>> images = torch.rand(64, 4, 4, generator=torch.Generator().manual_seed(0))
    >>> net = ConvNetRegressor(channels=(4,), epochs=2, random_state=0).fit(images.numpy(), images.mean((1, 2)).numpy())
    >>> net.predict(images.numpy()).shape
    (64,)
    """
