"""A guard in front of a model: numbers far outside what training saw are brought back or taken as missing."""

from typing import Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from hormesis.columns import MISSING
from hormesis.frames import for_models, is_frame, is_tensor, open_table


class Guard(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Hold numeric columns within the range of the training rows.

    A value up to `width` of the training range beyond its end is clipped to that end; one further out cannot be
    trusted and becomes missing, or the training median. Linear models, neighbours and nets need it most: one cell a
    thousand times too large moves their answer anywhere. Other columns pass untouched.

    Parameters
    ----------
    width : float
        Share of the training range that is still clipped.
    beyond : {"missing", "median"}
        What becomes of values further out; models that refuse missing values need "median".

    Examples
    --------
    >>> Guard().fit(np.array([[0.0], [10.0]])).transform(np.array([[5.0], [11.0], [1000.0]])).ravel()
    array([ 5., 10., nan])
    """

    def __init__(self, width: float = 0.2, beyond: Literal["missing", "median"] = "missing") -> None:
        self.width = width
        self.beyond = beyond

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: ARG002
        """Learn each numeric column's range."""
        X = self._checked(X, reset=True)
        table = open_table(X)
        self.limits_ = {}
        for j, name in enumerate(table.names):
            if table.dtype(j) in ("number", "integer"):
                values = table.numbers(j)
                values = values[np.isfinite(values)]
                if values.size:
                    self.limits_[name] = (float(values.min()), float(np.median(values)), float(values.max()))
        return self

    def transform(self, X: Any) -> Any:
        """Return the guarded table, in its own kind."""
        check_is_fitted(self)
        X = self._checked(X, reset=False)
        table = open_table(X)
        for j, name in enumerate(table.names):
            if name in self.limits_ and table.dtype(j) in ("number", "integer"):
                self._guard(table, j, *self.limits_[name])
        return for_models(table.close(), table.widened)

    def _guard(self, table: Any, j: int, low: float, middle: float, high: float) -> None:
        values, margin = table.numbers(j), self.width * (high - low)
        far = np.flatnonzero((values < low - margin) | (values > high + margin))
        near = np.flatnonzero(
            ((values < low) | (values > high)) & (values >= low - margin) & (values <= high + margin)
        )
        if near.size:
            table.put(j, near, np.clip(values[near], low, high))
        if far.size:
            table.put(j, far, MISSING if self.beyond == "missing" else np.full(far.size, middle))

    def _checked(self, X: Any, *, reset: bool) -> Any:
        if is_tensor(X):
            return X
        if is_frame(X):
            validate_data(self, X, reset=reset, skip_check_array=True)
            return X
        return validate_data(self, X, reset=reset, dtype=None, ensure_all_finite="allow-nan")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        return tags
