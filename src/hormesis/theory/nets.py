"""What Gaussian input noise adds to a loss: the penalty it implies by theory and the increase that is really there."""

from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from hormesis.errors import DataError, SettingError, nearest
from hormesis.results import Estimate
from hormesis.statistics import t_quantile
from hormesis.theory.checks import Floats, levels, table
from hormesis.theory.draws import is_tensor, normals
from hormesis.theory.jacobians import Way, curvatures, penalties, still, torch_module

Loss = Literal["auto", "squared", "cross_entropy"]
Method = Literal["auto", "reverse", "forward", "hutchinson"]
LOSSES, METHODS = ("squared", "cross_entropy"), ("auto", "reverse", "forward", "hutchinson")
STEP = 1e-3


def gaussian_penalty(
    net: Any,
    X: Any,
    sigma: ArrayLike,
    y: Any = None,
    *,
    loss: Loss = "auto",
    residuals: bool = False,
    method: Method = "auto",
    probes: int = 64,
    seed: int = 0,
) -> Estimate:
    """Return the penalty that Gaussian noise on the inputs amounts to, per row, in units of the loss.

    With J the Jacobian of the outputs: sigma^2/2 E||J||_F^2 for half the squared error, and the Gauss-Newton term
    sigma^2/2 E tr(J'HJ) with H = diag(p) - pp' for cross-entropy. Training on noisy inputs is training with this penalty
    as long as sigma is small, the net is smooth and its residuals average zero; `equivalence` finds where that ends.

    Parameters
    ----------
    net : torch module, or function of a NumPy table
        Outputs numbers (squared) or logits (cross_entropy; one column is a single logit). A NumPy function gives
        probabilities for cross_entropy, and its derivatives are taken by central differences: it must be smooth.
    X : tensor of shape (n, ...), or table
        Inputs, one row a sample; other rows do not change its outputs.
    sigma : float or one per feature
        Standard deviation of the noise, in the features' own units.
    y : shape (n,), optional
        Chooses the loss (floats are squared, anything else is cross_entropy); needed by `residuals`.
    loss : "auto", "squared" or "cross_entropy"
        "auto" asks y.
    residuals : bool
        Add the other half of the second order: the net's curvature weighted by its residuals, which is 0 for a net
        that predicts the mean of y and has no sign. The sum is sigma^2/2 times the trace of the loss's Hessian.
    method : "auto", "reverse", "forward" or "hutchinson"
        Exact with one backward pass per output or one forward derivative per feature; "hutchinson" estimates it from
        random signs. "auto" is exact up to 256 passes. With `residuals` "reverse" takes one pass per feature.
    probes : int
        Random sign vectors of "hutchinson"; its 95 % interval is over them.
    seed : int
        The signs are a pure function of seed, probe, row and output.

    Raises
    ------
    SettingError, DataError, MissingExtraError
        A loss that cannot be told; inputs that are no floats; torch is not installed.

    References
    ----------
    Bishop (1995), Training with noise is equivalent to Tikhonov regularization; Martens (2020) for Gauss-Newton;
    Hutchinson (1989) for the estimate of a trace.

    Examples
    --------
    >>> gaussian_penalty(lambda X: 3.0 * X[:, 0] + 4.0 * X[:, 1], np.zeros((5, 2)), 0.2, loss="squared").value.__round__(9)
    0.5
    """
    kind = loss_of(loss, y)
    if method not in METHODS:
        raise SettingError(
            f"`method={method!r}`: expected one of {', '.join(METHODS)}.{nearest(method, METHODS)}"
        )
    if probes < 2:
        raise SettingError(f"`probes={probes!r}`: an interval needs two random probes at least.")
    if residuals and y is None:
        raise SettingError("`residuals=True` needs y: residuals are targets minus predictions.")
    if is_tensor(X):
        way = Way(kind, method, probes, seed)
        parts, exact = curvatures(net, X, y, sigma, way) if residuals else penalties(net, X, sigma, way)
        return _sure(float(parts.sum())) if exact else mean_interval(parts)
    values = table(X)
    sizes = levels("sigma", sigma, values.shape[1])
    if residuals:
        return _sure(_second_differences(_row_losses(net, values, np.asarray(y), kind), len(values), sizes))
    return _sure(_differences(net, values, sizes, kind))


def _sure(value: float) -> Estimate:
    return Estimate(value, value, value)


def measured_increase(
    net: Any,
    X: Any,
    y: Any,
    sigma: ArrayLike,
    *,
    loss: Loss = "auto",
    pairs: int = 32,
    batch_size: int = 4096,
    seed: int = 0,
) -> Estimate:
    """Return how much Gaussian noise on the inputs really adds to the mean loss of these rows, with a 95 % interval.

    The noise comes in antithetic pairs, (loss(x + e) + loss(x - e)) / 2 - loss(x): what is odd in the noise cancels,
    so that few draws show a small increase. The interval is over draws of noise; the rows are given.

    Parameters
    ----------
    net, X, sigma, loss
        As in `gaussian_penalty`; trees and other functions with steps are welcome here.
    y : shape (n,), or (n, outputs) for several numbers
        Numbers, or classes 0 to C - 1.
    pairs : int
        Pairs of draws.
    batch_size : int
        Rows per call of the net; the answer does not depend on it.
    seed : int
        The noise is a pure function of seed, draw, row and feature.

    Raises
    ------
    SettingError, DataError
        Fewer than two pairs; targets that do not fit the outputs.

    References
    ----------
    Hammersley and Morton (1956), antithetic variates.

    Examples
    --------
    >>> X = np.zeros((200, 1))
    >>> found = measured_increase(lambda X: X[:, 0], X, np.zeros(200), 0.1)
    >>> found.low < 0.1**2 / 2 < found.high
    True
    """
    kind = loss_of(loss, y)
    if pairs < 2 or batch_size < 1:
        raise SettingError(
            f"`pairs={pairs!r}, batch_size={batch_size!r}`: at least 2 pairs and batches of 1 row."
        )
    inputs = X if is_tensor(X) else table(X)
    answer = y.detach().cpu().numpy() if is_tensor(y) else np.asarray(y)
    if len(answer) != len(inputs):
        raise DataError(f"y has {len(answer)} rows: X has {len(inputs)}.")
    width = int(np.prod(inputs.shape[1:]))
    total = np.zeros(pairs)
    with still(net):
        for at in _batches(len(inputs), batch_size):
            risk = _row_losses(net, inputs[at], answer[at], kind)
            clean = risk(np.zeros((at.stop - at.start, width)))
            for k in range(pairs):
                z = normals(np.arange(at.start, at.stop), width, seed, "input-noise", k) * levels(
                    "sigma", sigma, width
                )
                total[k] += float(((risk(z) + risk(-z)) / 2 - clean).sum())
    return mean_interval(total / len(inputs))


def loss_of(loss: str, y: Any) -> Literal["squared", "cross_entropy"]:
    """Return the loss: the one named, or for "auto" squared for float targets and cross-entropy for classes."""
    if loss == "auto":
        if y is None:
            raise SettingError(
                "`loss='auto'` needs y to tell numbers from classes: name `squared` or `cross_entropy`."
            )
        floats = y.is_floating_point() if is_tensor(y) else np.asarray(y).dtype.kind == "f"
        return "squared" if floats else "cross_entropy"
    if loss not in LOSSES:
        raise SettingError(f"`loss={loss!r}`: expected squared or cross_entropy.{nearest(loss, LOSSES)}")
    return loss  # type: ignore[return-value]


def mean_interval(draws: Floats) -> Estimate:
    """Return the mean of independent draws with its 95 % interval (Student)."""
    mean = float(draws.mean())
    half = t_quantile(draws.size - 1) * float(draws.std(ddof=1)) / np.sqrt(draws.size)
    return Estimate(mean, float(mean - half), float(mean + half))


def _batches(rows: int, size: int) -> Iterator[slice]:
    for a in range(0, rows, size):
        yield slice(a, min(a + size, rows))


def _row_losses(net: Any, X: Any, y: Any, loss: str) -> Callable[[Floats], Floats]:
    """Return a function from a move of the inputs, shape (n, width), to the loss of each row."""

    def risk(move: Floats) -> Floats:
        if is_tensor(X):
            torch = torch_module()
            with torch.no_grad():
                moved = X + torch.from_numpy(move).to(X).reshape(X.shape)
                return row_loss(net(moved).detach().double().cpu().numpy(), y, loss)
        given = _columns(net(X + move))
        return row_loss(_log(given) if loss == "cross_entropy" else given, y, loss)

    return risk


def _columns(outputs: ArrayLike) -> Floats:
    values = np.asarray(outputs, np.float64)
    return values.reshape(len(values), -1)


def _log(proba: Floats) -> Floats:
    whole = np.concatenate([1 - proba, proba], axis=1) if proba.shape[1] == 1 else proba
    logs: Floats = np.log(np.clip(whole, 1e-12, 1.0))
    return logs


def row_loss(outputs: ArrayLike, y: Any, loss: str) -> Floats:
    """Return half the squared error, or the cross-entropy of logits (or log probabilities), of each row."""
    given = _columns(outputs)
    if loss == "squared":
        wanted = _columns(y)
        if wanted.shape != given.shape:
            raise DataError(f"y has shape {wanted.shape}: the net gives {given.shape}.")
        return np.asarray(0.5 * ((given - wanted) ** 2).sum(1), np.float64)
    if given.shape[1] == 1:
        given = np.concatenate([np.zeros_like(given), given], axis=1)
    code = np.asarray(y).reshape(-1).astype(np.int64)
    if len(code) != len(given) or code.min() < 0 or code.max() >= given.shape[1]:
        raise DataError(
            f"y holds classes {code.min()} to {code.max()}: the net knows 0 to {given.shape[1] - 1}."
        )
    top = given.max(1, keepdims=True)
    total = top[:, 0] + np.log(np.exp(given - top).sum(1))
    return np.asarray(total - given[np.arange(len(code)), code], np.float64)


def _differences(predict: Callable[[Floats], ArrayLike], X: Floats, sizes: Floats, loss: str) -> float:
    """Return the penalty of a NumPy function; for probabilities tr(J'HJ) is the sum of (dp_k)^2 / p_k."""
    start = _columns(predict(X))
    whole = np.exp(_log(start)) if loss == "cross_entropy" else np.ones_like(start)
    total = 0.0
    for step in STEP * np.diag(sizes)[sizes > 0]:
        slope = (_columns(predict(X + step)) - _columns(predict(X - step))) / (2 * STEP)
        if loss == "cross_entropy" and start.shape[1] == 1:
            slope = np.concatenate([-slope, slope], axis=1)
        total += float((slope**2 / whole).sum(1).mean())
    return total / 2


def _second_differences(risk: Callable[[Floats], Floats], rows: int, sizes: Floats) -> float:
    """Return half the trace of the Hessian of the mean loss, on the scale of the noise."""
    clean, total = risk(np.zeros((rows, sizes.size))).mean(), 0.0
    for step in STEP * np.diag(sizes)[sizes > 0]:
        moves = np.broadcast_to(step, (rows, sizes.size))
        total += float(risk(moves).mean() - 2 * clean + risk(-moves).mean()) / STEP**2
    return total / 2
