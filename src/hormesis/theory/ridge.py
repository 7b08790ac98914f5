"""Noise as a ridge: the penalty on linear weights that input noise, dropout and weight noise amount to."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hormesis.errors import SettingError, nearest
from hormesis.theory.checks import Floats, level, levels, rate, table, targets

Complexes = NDArray[np.complex128]


@dataclass(frozen=True, eq=False)
class Line:
    """A linear model: one weight per feature and an intercept.

    >>> Line(np.array([1.0, 2.0]), 0.5).predict([[1, 1]])
    array([3.5])
    """

    coef: Floats
    intercept: float

    def predict(self, X: ArrayLike) -> Floats:
        """Return X @ coef + intercept."""
        return np.asarray(X, np.float64) @ self.coef + self.intercept


def noise_as_ridge(X: ArrayLike, y: ArrayLike, sigma: ArrayLike) -> Line:
    """Return what least squares learns from endless copies of X, each with fresh Gaussian noise on the features.

    Noise that averages zero adds nothing to the fit and sigma^2 to each feature's variance, so that the limit is
    ridge regression: minimise ||y - b0 - X b||^2 + n sum_j sigma_j^2 b_j^2, that is alpha = n sigma^2.

    Parameters
    ----------
    X : shape (n, d)
        Features.
    y : shape (n,)
        Numbers to predict.
    sigma : float or shape (d,)
        Standard deviation of the noise, in the features' own units.

    Raises
    ------
    DataError, SettingError
        A table that is not finite; a negative sigma.

    References
    ----------
    Bishop (1995), Training with noise is equivalent to Tikhonov regularization.

    Examples
    --------
    >>> X, y = np.array([[-1.0], [0.0], [1.0]]), np.array([-2.0, 0.0, 2.0])
    >>> noise_as_ridge(X, y, 0).coef, noise_as_ridge(X, y, 1).coef  # 4 / 2, then 4 / (2 + 3)
    (array([2.]), array([0.8]))
    """
    values = table(X)
    return _ridge(values, y, len(values) * levels("sigma", sigma, values.shape[1]) ** 2)


def dropout_as_ridge(X: ArrayLike, y: ArrayLike, p: float) -> Line:
    """Return what least squares learns with dropout on its inputs, averaged over all masks.

    A feature is lost with probability p and otherwise divided by 1 - p: its mean stays and its variance grows by
    p / (1 - p) x^2. The limit is a ridge of its own size for each feature: minimise
    ||y - b0 - X b||^2 + p / (1 - p) sum_j (X'X)_jj b_j^2. The intercept is never dropped.

    Raises
    ------
    DataError, SettingError
        A table that is not finite; p outside 0 to below 1.

    References
    ----------
    Srivastava et al. (2014), Dropout, section 9; Wager, Wang and Liang (2013).

    Examples
    --------
    >>> X, y = np.array([[-1.0], [0.0], [1.0]]), np.array([-2.0, 0.0, 2.0])
    >>> dropout_as_ridge(X, y, 0.5).coef  # 4 / (2 + 2)
    array([1.])
    """
    values = table(X)
    lost = rate("p", p)
    return _ridge(values, y, lost / (1 - lost) * (values**2).sum(0))


def _ridge(X: Floats, y: ArrayLike, penalty: Floats) -> Line:
    answer = np.asarray(targets(y, len(X)), np.float64)
    middle, mean = X.mean(0), answer.mean()
    centred = X - middle
    # rows of sqrt(penalty) keep the conditioning of X, which X'X would square
    tall = np.concatenate([centred, np.diag(np.sqrt(penalty))])
    wanted = np.concatenate([answer - mean, np.zeros(X.shape[1])])
    coef = np.linalg.lstsq(tall, wanted, rcond=None)[0]
    return Line(coef, float(mean - middle @ coef))


def weight_noise_penalty(X: ArrayLike, sigma: float, *, intercept: bool = False) -> float:
    """Return how much noise on the weights of a linear model adds to half its sum of squares, on average.

    The same algebra as input noise with the roles exchanged: 1/2 sigma^2 sum_i ||x_i||^2, whatever the weights and
    targets are. It cannot be trained away: a linear model has no flatter place to go, a deep net has.

    Parameters
    ----------
    X : shape (n, d)
        Features.
    sigma : float
        Standard deviation of the noise on each weight.
    intercept : bool
        Whether the intercept gets the noise too (a feature that is always 1).

    References
    ----------
    An (1996), The effects of adding noise during backpropagation training.

    Examples
    --------
    >>> weight_noise_penalty([[3.0, 4.0]], 0.5)
    3.125
    """
    values = table(X)
    total = float((values**2).sum()) + (len(values) if intercept else 0)
    return 0.5 * level("sigma", sigma) ** 2 * total


def logistic_dropout_penalty(
    X: ArrayLike,
    coef: ArrayLike,
    p: float,
    *,
    intercept: float = 0.0,
    method: Literal["exact", "quadratic"] = "exact",
) -> float:
    """Return how much dropout on the inputs adds to the sum of losses of a logistic regression, on average.

    The labels cancel: the penalty is sum_i E[A(x~_i b)] - A(x_i b) with A(s) = log(1 + e^s). "quadratic" is the
    second-order form 1/2 p / (1 - p) sum_i p_i (1 - p_i) sum_j x_ij^2 b_j^2: a ridge that leaves alone the rare feature
    which makes its rows certain, and the limit of small contributions x_ij b_j (not of small p). "exact" sums over all
    2^d masks at once, see `expected_softplus`.

    Raises
    ------
    DataError, SettingError
        A table that is not finite; p outside 0 to below 1; an unknown method.

    References
    ----------
    Wager, Wang and Liang (2013), Dropout training as adaptive regularization, arXiv 1307.1493.

    Examples
    --------
    >>> X, b = np.array([[1.0, -2.0], [0.5, 1.0]]), np.array([1.0, 0.5])
    >>> [round(logistic_dropout_penalty(X, b, 0.2, method=m), 4) for m in ("exact", "quadratic")]
    [0.0717, 0.0748]
    """
    values, lost = table(X), rate("p", p)
    parts = values * _weights(coef, values.shape[1])
    sums = parts.sum(1) + float(intercept)
    if method == "quadratic":
        likely = 1 / (1 + np.exp(-sums))
        return float(0.5 * lost / (1 - lost) * (likely * (1 - likely) * (parts**2).sum(1)).sum())
    if method != "exact":
        raise SettingError(f"`method={method!r}`: expected `exact` or `quadratic`.{nearest(method, METHODS)}")
    if lost == 0:
        return 0.0
    kept = parts / (1 - lost)
    reach = np.abs(kept).sum(1).max() + abs(float(intercept))

    def wave(t: float) -> Complexes:
        turned: Complexes = np.prod(lost + (1 - lost) * np.exp(1j * t * kept), axis=1)
        turned *= np.exp(1j * t * float(intercept))
        return turned

    return float((expected_softplus(wave, sums, float(reach)) - np.logaddexp(0, sums)).sum())


METHODS = ("exact", "quadratic")


def _weights(coef: ArrayLike, width: int) -> Floats:
    """Return the weights of a linear model, one per feature."""
    weights = np.asarray(coef, np.float64).ravel()
    if weights.size != width:
        raise SettingError(f"`coef` has {weights.size} weights: X has {width} features.")
    return weights


def expected_softplus(wave: Callable[[float], Complexes], mean: ArrayLike, reach: float) -> Floats:
    """Return E[log(1 + e^S)] exactly, from the characteristic function of the sum S.

    A sum over 2^d dropout masks has a product of d factors as its characteristic function, and
    log(1 + e^s) = log 2 + s / 2 + integral over t > 0 of (1 - cos(t s)) / (t sinh(pi t)). The integrand is analytic and dies
    as e^(-pi t), so the midpoint rule gives all digits.

    Parameters
    ----------
    wave : callable
        t to E[exp(i t S)], shape (n,).
    mean : shape (n,)
        E[S].
    reach : float
        A bound on |S|; it sets the step.

    Examples
    --------
    >>> expected_softplus(lambda t: np.exp(1j * t * np.array([3.0])), [3.0], 3.0) - np.log1p(np.exp(3.0)) < 1e-12
    array([ True])
    """
    centre = np.asarray(mean, np.float64)
    step = 2 * np.pi / (level("reach", reach) + 40)
    total = np.zeros_like(centre)
    for t in np.arange(step / 2, 13.0, step):
        total += (1 - wave(float(t)).real) / (t * np.sinh(np.pi * t))
    return np.asarray(np.log(2) + centre / 2 + step * total, np.float64)
