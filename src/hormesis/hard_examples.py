"""Hardness: how unsure a reference model is of each label that it did not learn from."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hormesis.errors import ModelError
from hormesis.frames import as_array, for_folds
from hormesis.models import default_model


def hardness(model: Any, X: Any, y: Any, *, cv: Any = 5) -> NDArray[np.float64]:
    """Return how hard each labelled row is: one minus the out-of-fold probability of its own class.

    Each row is judged by a clone of the model that was fitted on the other folds. Near 0: easy; near 1: the model is sure
    of another class, as with rare cases and wrong labels. As a column of the table it drives label noise towards hard
    examples, where annotators really err, at an expected rate that stays exactly the level.

    Parameters
    ----------
    model : classifier or None
        With `predict_proba`; None takes the default model.
    X : table
        Features, as the model takes them.
    y : array, Series or tensor
        Labels.
    cv : int or scikit-learn splitter
        Folds; stratified where it is a number.

    Raises
    ------
    ModelError
        The model has no `predict_proba`.

    Notes
    -----
    Source: Northcutt et al. (2021), confident learning, where one minus this is called self-confidence.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from hormesis.noise import LabelFlips, Where
    >>> frame = load_iris(as_frame=True).frame
    >>> X, y = frame.drop(columns="target"), frame["target"]
    >>> frame["hardness"] = hardness(LogisticRegression(max_iter=1000), X, y)
    >>> by_hardness = Where("MAR", driver="hardness", strength=4)
    >>> noisy = LabelFlips(0.2, columns=("target",), where=by_hardness).apply(frame)
    >>> flipped = noisy["target"] != y
    >>> bool(frame["hardness"][flipped].mean() > 4 * frame["hardness"][~flipped].mean())
    True
    """
    from sklearn.model_selection import cross_val_predict

    model = default_model("classification") if model is None else model
    if not hasattr(model, "predict_proba"):
        raise ModelError(
            f"`hardness` asks for probabilities, and `{type(model).__name__}` has no `predict_proba`: give a classifier "
            "that has, or put it in scikit-learn's CalibratedClassifierCV."
        )
    labels = as_array(y)
    said = cross_val_predict(model, for_folds(X), labels, cv=cv, method="predict_proba")
    own = np.unique(labels, return_inverse=True)[1]
    sure: NDArray[np.float64] = np.asarray(said, np.float64)[np.arange(own.size), own]
    return 1 - sure
