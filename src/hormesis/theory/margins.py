"""Linear models have a ruler: exact accuracy under Gaussian noise, in the worst case, and the radius that certificates aim at."""

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hormesis.errors import DataError, ModelError, SettingError, nearest
from hormesis.theory.checks import Floats, level, levels, rate, table, targets

Norm = Literal["l2", "linf", "l1"]
DUAL: dict[str, float] = {"l2": 2, "linf": 1, "l1": np.inf}


def linear_radius(
    model: Any, X: ArrayLike, y: ArrayLike, norm: Norm = "l2", *, scale: ArrayLike = 1.0
) -> Floats:
    """Return how far each row can be moved before a linear model gets it wrong; below 0 where it already is.

    The margin over the dual norm of the weights: min over other classes k of (s_y - s_k)(x) / ||w_y - w_k||*, where
    the dual of linf is l1, of l2 is l2, of l1 is linf.

    Parameters
    ----------
    model : fitted linear classifier
        Anything with coef_, intercept_ and classes_: LogisticRegression, LinearSVC, RidgeClassifier ...
    X : shape (n, d)
        Features, as the model sees them.
    y : shape (n,)
        The true classes.
    norm : "l2", "linf" or "l1"
        How a move is measured.
    scale : float or shape (d,)
        Moves are measured in units of it, feature by feature; 0 is a feature that cannot be moved.

    Raises
    ------
    ModelError, DataError, SettingError
        A model that is not linear; a class it does not know; an unknown norm.

    References
    ----------
    Mangasarian (1999), Arbitrary-norm separating plane; Hein and Andriushchenko (2017).

    Examples
    --------
    >>> from sklearn.svm import LinearSVC
    >>> model = LinearSVC().fit([[-1.0], [1.0]], [0, 1])
    >>> linear_radius(model, [[3.0], [-2.0]], [1, 1]).round(6)
    array([ 3., -2.])
    """
    if norm not in DUAL:
        raise SettingError(f"`norm={norm!r}`: expected l2, linf or l1.{nearest(norm, DUAL)}")
    values = table(X)
    weights, offset, code = _planes(model, values, y)
    sizes = levels("scale", scale, values.shape[1])
    scores = values @ weights.T + offset
    nearest_other = np.full(len(values), np.inf)
    for own in np.unique(code):
        rows = code == own
        for other in range(len(weights)):
            if other != own:
                span = float(np.linalg.norm((weights[own] - weights[other]) * sizes, DUAL[norm]))
                margin = scores[rows, own] - scores[rows, other]
                away = margin / span if span else np.where(margin > 0, np.inf, -np.inf)
                nearest_other[rows] = np.minimum(nearest_other[rows], away)
    return nearest_other


def robust_accuracy(
    model: Any, X: ArrayLike, y: ArrayLike, epsilon: float, norm: Norm = "linf", *, scale: ArrayLike = 1.0
) -> float:
    """Return the exact accuracy of a linear model when every row is moved by at most epsilon in its worst direction.

    The share of rows with margin > epsilon ||w||*. One gradient step (FGSM) reaches it; an attack that leaves more is
    too weak, one that leaves less has left the ball.

    Raises
    ------
    ModelError, DataError, SettingError
        As `linear_radius`; a negative epsilon.

    References
    ----------
    Goodfellow, Shlens and Szegedy (2015), Explaining and harnessing adversarial examples, section 5.

    Examples
    --------
    >>> from sklearn.svm import LinearSVC
    >>> model = LinearSVC().fit([[-1.0], [1.0]], [0, 1])
    >>> robust_accuracy(model, [[3.0], [1.0], [-2.0]], [1, 1, 0], 1.5)
    0.6666666666666666
    """
    radius = linear_radius(model, X, y, norm, scale=scale)
    return float((radius > level("epsilon", epsilon)).mean())


def accuracy_under_noise(model: Any, X: ArrayLike, y: ArrayLike, sigma: ArrayLike) -> float:
    """Return the exact accuracy of a linear model of two classes under Gaussian noise on its inputs.

    A row survives with probability Phi(margin / ||sigma w||): the mean over rows is the whole curve of accuracy against
    noise, with no sampling.

    Parameters
    ----------
    model : fitted linear classifier of two classes
        As in `linear_radius`.
    X : shape (n, d)
        Features, as the model sees them.
    y : shape (n,)
        The true classes.
    sigma : float or shape (d,)
        Standard deviation of the noise, in the features' own units.

    Raises
    ------
    ModelError, DataError, SettingError
        As `linear_radius`; more than two classes, where no closed form is known.

    References
    ----------
    Fawzi, Moosavi-Dezfooli and Frossard (2016), Robustness of classifiers: from adversarial to random noise.

    Examples
    --------
    >>> from sklearn.svm import LinearSVC
    >>> model = LinearSVC().fit([[-1.0], [1.0]], [0, 1])
    >>> round(accuracy_under_noise(model, [[1.0], [-1.0]], [1, 0], 1.0), 4)  # Phi(1)
    0.8413
    """
    from scipy.special import ndtr

    values = table(X)
    if len(_planes(model, values, y)[0]) > 2:
        raise ModelError(
            f"`{type(model).__name__}` has {len(model.classes_)} classes: this closed form is for two. "
            "Measure the curve with `hormesis.stress` instead."
        )
    sizes = levels("sigma", sigma, values.shape[1])
    return float(ndtr(linear_radius(model, values, y, scale=sizes)).mean())


def _planes(model: Any, X: Floats, y: ArrayLike) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Return one row of weights and one offset per class, and the number of each row's class."""
    if not all(hasattr(model, name) for name in ("coef_", "intercept_", "classes_")):
        raise ModelError(
            f"`{type(model).__name__}` has no coef_, intercept_ and classes_: the closed form is for fitted linear "
            "classifiers. Of a pipeline give the last step, and X as that step sees it."
        )
    weights = np.atleast_2d(np.asarray(model.coef_, np.float64))
    offset = np.broadcast_to(np.asarray(model.intercept_, np.float64).ravel(), (len(weights),))
    if weights.shape[1] != X.shape[1]:
        raise DataError(f"X has {X.shape[1]} features: the model was fitted on {weights.shape[1]}.")
    if len(weights) == 1:
        weights, offset = np.concatenate([-weights, weights]) / 2, np.concatenate([-offset, offset]) / 2
    labels = targets(y, len(X))
    equal = labels[:, None] == np.asarray(model.classes_)[None, :]
    if not equal.any(1).all():
        unknown = labels[~equal.any(1)][0]
        raise DataError(f"y holds {unknown!r}: the model knows the classes {list(model.classes_)}.")
    return weights, offset, equal.argmax(1)


def proportion_bound(hits: int, draws: int, alpha: float = 0.001) -> float:
    """Return the one-sided lower bound of a probability after so many hits in so many draws, wrong at most alpha of the time.

    References
    ----------
    Clopper and Pearson (1934).

    Examples
    --------
    >>> round(proportion_bound(1000, 1000, 0.001), 6)  # alpha^(1/n)
    0.993116
    """
    from scipy.special import betaincinv

    if not 0 <= hits <= draws or draws < 1:
        raise SettingError(
            f"`hits={hits!r}, draws={draws!r}`: expected 0 <= hits <= draws and a draw at least."
        )
    risk = _risk(alpha)
    return float(betaincinv(hits, draws - hits + 1, risk)) if hits else 0.0


def certified_radius(p_lower: float, sigma: float, p_upper: float | None = None) -> float:
    """Return the l2 radius within which a classifier smoothed by Gaussian noise cannot change its answer.

    sigma / 2 (Phi^-1(p_lower) - Phi^-1(p_upper)), where p_lower bounds the probability of the winning class from below
    and p_upper that of the runner-up from above (default 1 - p_lower: sigma Phi^-1(p_lower)). 0 where nothing is certified.

    Raises
    ------
    SettingError
        A probability outside 0 to 1, a negative sigma.

    References
    ----------
    Cohen, Rosenfeld and Kolter (2019), Certified adversarial robustness via randomized smoothing, arXiv 1902.02918.

    Examples
    --------
    >>> round(certified_radius(0.99, 0.5), 4), certified_radius(0.4, 0.5)
    (1.1632, 0.0)
    """
    from scipy.special import ndtri

    other = 1 - p_lower if p_upper is None else p_upper
    for name, value in (("p_lower", p_lower), ("p_upper", other)):
        if not 0 <= value <= 1:
            raise SettingError(f"`{name}={value!r}`: a probability, 0 to 1.")
    if p_lower <= other:
        return 0.0
    return float(level("sigma", sigma) / 2 * (ndtri(p_lower) - ndtri(other)))


def radius_cap(sigma: float, draws: int, alpha: float = 0.001) -> float:
    """Return the largest radius that so many draws can certify, when the answer never changes: sigma Phi^-1(alpha^(1/n)).

    References
    ----------
    Cohen, Rosenfeld and Kolter (2019), section 3.2.2.

    Examples
    --------
    >>> round(radius_cap(1.0, 100_000), 4), round(radius_cap(0.25, 100_000), 4)
    (3.8115, 0.9529)
    """
    return certified_radius(proportion_bound(draws, draws, alpha), sigma)


def _risk(alpha: float) -> float:
    if rate("alpha", alpha) == 0:
        raise SettingError("`alpha=0`: no number of draws is certain; 0.001 is the usual risk.")
    return float(alpha)
