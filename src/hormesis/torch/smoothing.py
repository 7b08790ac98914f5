"""Certificates by randomised smoothing: a radius within which no change of the input can change the answer."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hormesis.errors import DataError, ModelError, RowIdError, SettingError
from hormesis.progress import track
from hormesis.theory.checks import level
from hormesis.theory.draws import is_tensor, normals
from hormesis.theory.jacobians import still
from hormesis.theory.margins import certified_radius, proportion_bound, radius_cap
from hormesis.torch.certificates import Certificates

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


class Smoothed:
    """A classifier made smooth: its answer is the one that wins most often when Gaussian noise is added to the input.

    What the noise cannot change often, no small move can change at all: the l2 radius is sigma Phi^-1(p), with p the
    probability of the winning class under noise, bounded from below by counting.

    Parameters
    ----------
    model : torch module, estimator, or function
        A module or function of a tensor gives logits (n, C), or one logit. An estimator (its `predict` is used) or a
        function of a table gives class labels, or scores (n, C). Answers for a row must not depend on other rows.
    sigma : float above 0
        Standard deviation of the noise. Train the model with the same noise: otherwise it abstains.
    classes : int or sequence
        Number of classes, answered as 0 to C - 1, or the class labels in the order of the scores.
    scale : float or array like one row
        The noise of a feature has standard deviation sigma x scale, and radii are in units of scale: moves d with
        ||d / scale|| below the radius. A feature of scale 0 gets no noise: it must not be moved at all.

    Raises
    ------
    SettingError
        A sigma that is not above 0, a negative scale, fewer than two classes.

    References
    ----------
    Cohen, Rosenfeld and Kolter (2019), Certified adversarial robustness via randomized smoothing, arXiv 1902.02918.

    Examples
    --------
    >>> smooth = Smoothed(lambda X: (X[:, 0] > 0).astype(int), 0.5, classes=2)
    >>> found = smooth.certify(np.array([[-1.0], [0.0], [2.0]]), n=1000)
    >>> found.labels, found.radius.round(2), round(found.cap, 2)  # the true radii are 1, 0 and 2
    (array([ 0, -1,  1]), array([0.89, 0.  , 1.23]), 1.23)
    """

    def __init__(
        self, model: Any, sigma: float, *, classes: int | Sequence[Any], scale: ArrayLike = 1.0
    ) -> None:
        self.model = model
        self.sigma = level("sigma", sigma, zero=False)
        self.classes = np.arange(classes) if isinstance(classes, int | np.integer) else np.asarray(classes)
        self.scale = np.asarray(scale, np.float64)
        if (
            self.classes.ndim != 1
            or len(np.unique(self.classes)) != self.classes.size
            or self.classes.size < 2
        ):
            raise SettingError(
                f"`classes={classes!r}`: expected a number of classes or their labels, two at least."
            )
        if not np.isfinite(self.scale).all() or (self.scale < 0).any() or not self.scale.any():
            raise SettingError(f"`scale={scale!r}`: scale is finite and 0 or more, and not 0 everywhere.")

    def __repr__(self) -> str:
        name = getattr(self.model, "__name__", type(self.model).__name__)
        return f"Smoothed({name}, sigma={self.sigma:g}, classes={self.classes.size})"

    def predict(
        self,
        X: Any,
        n: int = 1000,
        alpha: float = 0.001,
        *,
        rows: ArrayLike | None = None,
        batch_size: int = 1000,
        seed: int = 0,
    ) -> NDArray[Any]:
        """Return the smoothed answer of each row, or no answer (-1; None for labels that are no integers).

        Abstains where the two leading classes are too close: each answer differs from the one of endless draws with
        probability alpha at most.

        Parameters
        ----------
        X : tensor, table or frame of numbers, one row a sample
            Inputs.
        n : int
            Draws of noise per row.
        alpha : float
            The risk of a wrong answer.
        rows : integers, one per row, optional
            Row ids, so that a subset gets the same noise; None counts the rows from 0.
        batch_size : int
            Noisy copies per call of the model: the most that are ever in memory; the answer does not depend on it.
        seed : int
            The noise is a pure function of seed, row id, draw and feature.

        References
        ----------
        Cohen, Rosenfeld and Kolter (2019), PREDICT; Hung and Fithian (2019) for the test.
        """
        from scipy.special import bdtrc

        _whole(n=n, batch_size=batch_size)
        certain = _risk(alpha)
        codes = np.full(len(X), -1)
        with _quiet(self.model, X):
            _check_logits(self.model, X)
            for at, row, one in _rows(X, rows):
                counts = self._count(one, n, batch_size, seed, "predict", row)
                second, first = np.sort(counts)[-2:]
                if min(1.0, 2 * float(bdtrc(first - 1, first + second, 0.5))) <= certain:
                    codes[at] = counts.argmax()
        return Certificates.named(self.classes, codes)

    def certify(
        self,
        X: Any,
        n0: int = 100,
        n: int = 10_000,
        alpha: float = 0.001,
        *,
        rows: ArrayLike | None = None,
        batch_size: int = 1000,
        seed: int = 0,
        progress: bool | None = None,
    ) -> Certificates:
        """Return the class and the certified radius of each row, or an abstention.

        n0 draws choose the class, n fresh draws bound its probability from below (Clopper-Pearson). Each certificate is
        wrong with probability alpha at most. Copies are made and counted batch by batch: memory does not grow with n.

        Parameters
        ----------
        X : tensor, table or frame of numbers, one row a sample
            Inputs.
        n0, n : int
            Draws that choose, draws that prove. n caps the radius: sigma Phi^-1(alpha^(1/n)).
        alpha : float
            The risk of a wrong certificate, for each row.
        rows : integers, one per row, optional
            Row ids, so that a subset gets the same noise; None counts the rows from 0.
        batch_size : int
            Noisy copies per call of the model: the most that are ever in memory; the answer does not depend on it.
        seed : int
            The noise is a pure function of seed, row id, draw and feature.
        progress : bool, optional
            None shows a bar on a terminal.

        Raises
        ------
        SettingError, DataError, ModelError
            Numbers of draws below 1; inputs that are no numbers; answers that are no known class.

        References
        ----------
        Cohen, Rosenfeld and Kolter (2019), CERTIFY; Clopper and Pearson (1934).
        """
        _whole(n0=n0, n=n, batch_size=batch_size)
        cap = radius_cap(self.sigma, n, _risk(alpha))
        codes, lower, radius = np.full(len(X), -1), np.zeros(len(X)), np.zeros(len(X))
        with _quiet(self.model, X), track("certify", len(X), show=progress) as advance:
            _check_logits(self.model, X)
            for at, row, one in _rows(X, rows):
                chosen = int(self._count(one, n0, batch_size, seed, "choose", row).argmax())
                hits = int(self._count(one, n, batch_size, seed, "prove", row)[chosen])
                lower[at] = proportion_bound(hits, n, alpha)
                if lower[at] > 0.5:
                    codes[at], radius[at] = chosen, certified_radius(lower[at], self.sigma)
                advance()
        return Certificates(codes, radius, lower, cap, self.classes, self.sigma, n, alpha)

    def _count(self, one: Any, draws: int, size: int, seed: int, purpose: str, row: int) -> Counts:
        """Return how often each class wins on noisy copies of one row, shape (1, ...)."""
        counts = np.zeros(self.classes.size, np.int64)
        for a in range(0, draws, size):
            copies = self._copies(one, np.arange(a, min(a + size, draws)), seed, purpose, row)
            counts += np.bincount(self._codes(copies), minlength=self.classes.size)
        return counts

    def _copies(self, one: Any, draws: NDArray[np.int64], seed: int, purpose: str, row: int) -> Any:
        path = ("smoothing", purpose, row)
        if is_tensor(one):
            import torch

            from hormesis.torch.keyed import normal_like

            scale = torch.from_numpy(self.scale).to(one)
            empty = one.new_empty((1, *one.shape[1:])).expand(len(draws), *one.shape[1:])
            return one + normal_like(empty, seed, *path, rows=torch.from_numpy(draws)) * (self.sigma * scale)
        values = np.asarray(one, np.float64)
        noise = normals(draws, values[0].size, seed, *path).reshape(-1, *values.shape[1:])
        noisy = values + noise * (self.sigma * self.scale)
        return type(one)(noisy, columns=one.columns) if hasattr(one, "columns") else noisy

    def _codes(self, copies: Any) -> NDArray[np.int64]:
        """Return the number of the winning class of each copy."""
        out = _answer(self.model, copies)
        if out.ndim == 2 and out.shape[1] == 1:
            out = out[:, 0]
        if len(out) != len(copies):
            raise ModelError(f"The model gave {len(out)} answers for {len(copies)} rows: expected one a row.")
        if out.dtype.kind == "f" and not np.isfinite(out).all():
            raise ModelError("The model answers NaN or infinity on noisy copies: nothing can be certified.")
        if out.ndim == 2:
            if out.shape[1] != self.classes.size:
                raise ModelError(
                    f"The model gives {out.shape[1]} scores: `classes` names {self.classes.size} classes."
                )
            return np.asarray(out.argmax(1))
        if is_tensor(copies) and out.dtype.kind == "f":
            if self.classes.size != 2:
                raise ModelError(
                    f"The model gives one logit, which tells two classes: `classes` names {self.classes.size}."
                )
            return (out > 0).astype(np.int64)
        equal = out[:, None] == self.classes[None, :]
        if not equal.any(1).all():
            strange = out[~equal.any(1)][0]
            raise ModelError(f"The model answers {strange!r}: `classes` knows {self.classes.tolist()}.")
        return np.asarray(equal.argmax(1))


def _answer(model: Any, copies: Any) -> NDArray[Any]:
    predict: Callable[[Any], Any] = model.predict if hasattr(model, "predict") else model
    if not is_tensor(copies):
        if hasattr(model, "modules") and predict is model:
            raise ModelError(
                "The model is a torch module and X is a table: give X as a tensor on the module's device."
            )
        return np.asarray(predict(copies))
    import torch

    with torch.no_grad():
        out = model(copies)
    return np.asarray(out.float().cpu().numpy() if out.is_floating_point() else out.cpu().numpy())


def _check_logits(model: Any, X: Any) -> None:
    """Refuse a net whose one output is a probability, by its answers to the clean rows."""
    if not is_tensor(X) or not X.is_floating_point() or X.ndim < 2:
        return
    import torch

    from hormesis.torch.quiet import check_logit

    out = _answer(model, X[:1000])
    if out.dtype.kind == "f" and (out.ndim == 1 or out.shape[1] == 1):
        check_logit(torch.from_numpy(out))


def _rows(X: Any, rows: ArrayLike | None) -> Iterator[tuple[int, int, Any]]:
    """Yield position and id of each row, and the row as a batch of one in its own kind."""
    if is_tensor(X):
        if not X.is_floating_point() or X.ndim < 2:
            raise DataError(
                f"X is a tensor of {X.dtype}, shape {tuple(X.shape)}: expected floats, one row a sample."
            )
        if not bool(X.isfinite().all()):
            raise DataError(
                "X holds NaN or infinite values: nothing can be certified there; impute what is missing."
            )
    else:
        try:
            values = np.asarray(X, np.float64)
        except (TypeError, ValueError):
            raise DataError(
                "X holds values that are no numbers: Gaussian noise certifies numbers only."
            ) from None
        if values.ndim < 2 or not np.isfinite(values).all():
            raise DataError(
                f"X has shape {values.shape}: expected rows of finite numbers; impute what is missing."
            )
    ids = np.arange(len(X)) if rows is None else np.asarray(rows)
    if ids.shape != (len(X),) or ids.dtype.kind not in "iu":
        raise RowIdError(
            f"`rows` is {ids.dtype} of shape {ids.shape}: expected one integer for each of {len(X)} rows."
        )
    for at in range(len(X)):
        yield at, int(ids[at]), X.iloc[at : at + 1] if hasattr(X, "iloc") else X[at : at + 1]


def _quiet(model: Any, X: Any) -> AbstractContextManager[None]:
    return still(model) if is_tensor(X) else nullcontext()


def _whole(**counts: int) -> None:
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise SettingError(f"`{name}={value!r}`: {name} is a whole number, 1 or more.")


def _risk(alpha: float) -> float:
    if not 0 < alpha < 0.5:
        raise SettingError(
            f"`alpha={alpha!r}`: the risk of a wrong certificate, above 0 and below 0.5; 0.001 is usual."
        )
    return float(alpha)
