"""Noise on labels: smoothing as a mixture of targets, and the loss that undoes a known confusion of classes."""

import numpy as np
from numpy.typing import ArrayLike

from hormesis.errors import DataError, SettingError
from hormesis.theory.checks import Floats, rate


def smooth_targets(y: ArrayLike, epsilon: float, classes: int) -> Floats:
    """Return the target distributions of label smoothing: 1 - epsilon on the label, epsilon spread over all classes.

    Cross-entropy is linear in its target, so that CE(smoothed) = (1 - epsilon) CE(y) + epsilon CE(uniform): smoothing
    adds a pull of every prediction towards even odds, and is the average over labels replaced at random.

    Parameters
    ----------
    y : shape (n,)
        Classes, 0 to classes - 1.
    epsilon : float
        The smoothing, 0 to below 1.
    classes : int
        How many classes there are.

    Returns
    -------
    shape (n, classes)

    Raises
    ------
    DataError, SettingError
        A label that is no class; epsilon outside its range.

    References
    ----------
    Szegedy et al. (2016), Rethinking the Inception architecture, section 7.

    Examples
    --------
    >>> smooth_targets([1], 0.3, 3).round(3)
    array([[0.1, 0.8, 0.1]])
    """
    code = _codes(y, classes)
    share = rate("epsilon", epsilon)
    return (1 - share) * np.eye(classes)[code] + share / classes


def label_noise_matrix(classes: int, share: float) -> Floats:
    """Return T of label noise that turns a label into each other one alike: T[i, j] = P(seen j | true i).

    Raises
    ------
    SettingError
        A share outside 0 to below 1; fewer than two classes.

    Examples
    --------
    >>> label_noise_matrix(3, 0.2)
    array([[0.8, 0.1, 0.1],
           [0.1, 0.8, 0.1],
           [0.1, 0.1, 0.8]])
    """
    if classes < 2:
        raise SettingError(f"`classes={classes!r}`: label noise needs two classes at least.")
    wrong = rate("share", share) / (classes - 1)
    return np.where(np.eye(classes, dtype=bool), 1 - share, wrong)


def corrected_cross_entropy(proba: ArrayLike, y: ArrayLike, noise: ArrayLike) -> Floats:
    """Return the loss of each row against noisy labels that learns the clean classes: -log (proba @ T)[y].

    The predicted clean probabilities are sent through the known noise before they are compared ("forward correction").
    Where T can be inverted, the expected loss on noisy labels is smallest at the clean class probabilities.

    Parameters
    ----------
    proba : shape (n, classes)
        Predicted probabilities of the clean classes.
    y : shape (n,)
        Noisy labels, 0 to classes - 1.
    noise : shape (classes, classes)
        T[i, j] = P(seen j | true i); rows sum to 1.

    Raises
    ------
    DataError, SettingError
        Labels that are no classes; a matrix that is no noise.

    References
    ----------
    Patrini et al. (2017), Making deep neural networks robust to label noise, arXiv 1609.03683.

    Examples
    --------
    >>> corrected_cross_entropy([[1.0, 0.0]], [1], label_noise_matrix(2, 0.1)).round(4)  # -log 0.1, not infinity
    array([2.3026])
    """
    likely, T = np.asarray(proba, np.float64), np.asarray(noise, np.float64)
    if likely.ndim != 2 or T.shape != (likely.shape[1],) * 2:
        raise SettingError(
            f"`noise` has shape {T.shape} for probabilities of shape {likely.shape}: expected (C, C) for (n, C)."
        )
    if (T < 0).any() or not np.allclose(T.sum(1), 1):
        raise SettingError(
            "`noise`: row i holds the probabilities of each seen label when i is true; each row sums to 1."
        )
    code = _codes(y, len(T))
    if len(code) != len(likely):
        raise DataError(f"y has {len(code)} labels for {len(likely)} rows of probabilities.")
    with np.errstate(divide="ignore"):
        return -np.log(np.take_along_axis(likely @ T, code[:, None], 1)[:, 0])


def _codes(y: ArrayLike, classes: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    labels = np.asarray(y)
    if labels.ndim != 1 or labels.dtype.kind not in "iub":
        raise DataError(
            f"y is {labels.dtype} of shape {labels.shape}: expected a list of classes, 0 to {classes - 1}."
        )
    if labels.size and not (labels.min() >= 0 and labels.max() < classes):
        raise DataError(f"y holds {labels.min()} to {labels.max()}: expected classes 0 to {classes - 1}.")
    return labels.astype(np.int64)
