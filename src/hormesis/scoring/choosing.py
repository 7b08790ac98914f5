"""From a user's words to scorers: which are asked for, whether they fit the task and the model, and which rows belong together."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hormesis.errors import DataError, ModelError, SettingError, nearest
from hormesis.frames import as_array
from hormesis.models import Task
from hormesis.scoring.scorer import Scorer
from hormesis.statistics import METRICS, Metric

Scoring = str | Callable[..., float] | Sequence[str] | Mapping[str, Any] | None


def scorers(
    scoring: Scoring,
    model: Any,
    y: NDArray[Any],
    classes: NDArray[Any],
    task: Task,
    seed: int,
    groups: Any = None,
) -> list[Scorer]:
    """Return the scorers asked for: a name, a callable, several of them, or None for the default of the task.

    `groups` says which rows belong together, such as the patient or the shop of each row: any labels, one per row.

    Raises
    ------
    SettingError, ModelError, DataError
        A word that is no scorer, a scorer that does not fit the task or the model, groups that cannot be used.
    """
    asked = _asked(scoring, model, classes, task)
    group = None if groups is None else clusters(groups, y.size)
    return [_scorer(name, call, model, y, classes, task, seed, group) for name, call in asked.items()]


def clusters(groups: Any, rows: int) -> NDArray[np.int64] | None:
    """Return groups of rows as codes 0, 1, ...; None where each row is a group of its own.

    Raises
    ------
    DataError
        Not one label per row, a missing label, or fewer than two groups.
    """
    import pandas as pd

    labels = as_array(groups)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.size != rows:
        raise DataError(f"`groups` has shape {labels.shape}; it needs one label for each of the {rows} rows.")
    codes = pd.factorize(labels)[0].astype(np.int64)
    gone = int((codes < 0).sum())
    if gone:
        raise DataError(
            f"`groups` is missing in {gone} of {rows} rows: say for each row which group it is of."
        )
    count = int(codes.max(initial=-1)) + 1
    if count < 2:
        raise DataError(
            f"`groups` holds {count} group only: an interval over groups needs several. Leave `groups` out where rows "
            "are independent."
        )
    return None if count == rows else codes


def _asked(scoring: Scoring, model: Any, classes: NDArray[Any], task: Task) -> dict[str, Any]:
    if scoring is None:
        ranks = hasattr(model, "predict_proba") or hasattr(model, "decision_function")
        binary = "roc_auc" if classes.size == 2 and ranks else "accuracy"
        return dict.fromkeys(["r2" if task == "regression" else binary])
    if isinstance(scoring, str):
        return {scoring: None}
    if isinstance(scoring, Mapping):
        return dict(scoring)
    if callable(scoring):
        return {getattr(getattr(scoring, "_score_func", scoring), "__name__", "score"): scoring}
    if not scoring:
        raise SettingError("`scoring=[]`: name at least one scorer, or None for the default of the task.")
    if not isinstance(scoring, Iterable):
        raise SettingError(
            f"`scoring={scoring!r}`: give the name of a scorer, a callable, a list or a dict of them."
        )
    return dict.fromkeys(scoring)


def _scorer(
    name: str,
    call: Any,
    model: Any,
    y: NDArray[Any],
    classes: NDArray[Any],
    task: Task,
    seed: int,
    group: NDArray[np.int64] | None,
) -> Scorer:
    from sklearn.metrics import get_scorer, get_scorer_names

    word = name if call is None else call
    if isinstance(word, str):
        if word not in get_scorer_names():
            raise SettingError(
                f"`{word}` is not a scorer of scikit-learn.{nearest(word, get_scorer_names())} "
                "Common ones: roc_auc, accuracy, f1, r2, neg_mean_absolute_error."
            )
        _fits_task(word, task)
        call = get_scorer(word)
    if not callable(call):
        raise SettingError(
            f"The scorer `{name}` is a {type(call).__name__}: give the name of a scorer of scikit-learn, or a callable "
            "of (model, X, y)."
        )
    metric = METRICS.get(word) if isinstance(word, str) else None
    if metric is not None and metric.asks in ("positive", "score") and classes.size != 2:
        instead = f"{word}_ovr" if word == "roc_auc" else f"{word}_macro"
        raise SettingError(f"`{word}` compares two classes; the target has {classes.size}. Use {instead}.")
    fits_model(name, metric, call, model)
    return Scorer(name, metric, call, y, classes, task, seed, group)


def fits_model(name: str, metric: Metric | None, call: Any, model: Any) -> None:
    """Refuse a scorer that needs what a model cannot answer.

    Raises
    ------
    ModelError
        With the name of the scorer, the method that is missing, and scorers that do without.
    """
    if not hasattr(model, "predict"):
        return
    needs = {"score": ("decision_function", "predict_proba"), "proba": "predict_proba"}
    wanted = needs.get(metric.asks, "predict") if metric else getattr(call, "_response_method", "predict")
    methods = ("predict",) if wanted == "default" else (wanted,) if isinstance(wanted, str) else tuple(wanted)
    if not any(hasattr(model, m) for m in methods):
        raise ModelError(
            f"`{name}` needs probabilities or ranks, and {type(model).__name__} has no {' and no '.join(methods[::-1])}: "
            "choose a scorer of labels, such as accuracy."
        )


_NUMBERS = (
    "r2",
    "explained_variance",
    "max_error",
    "d2_absolute",
    "neg_mean",
    "neg_median",
    "neg_root",
    "neg_max",
)
_CLASSES = (
    "roc_auc",
    "f1",
    "precision",
    "recall",
    "jaccard",
    "average_precision",
    "top_k",
    "matthews",
    "neg_log",
)


def _fits_task(word: str, task: Task) -> None:
    numbers = word.startswith(_NUMBERS)
    if numbers and task == "classification":
        raise SettingError(f"`{word}` scores numbers; this is a classification. Use roc_auc or accuracy.")
    if not numbers and task == "regression" and (word in METRICS or word.startswith(_CLASSES)):
        raise SettingError(
            f"`{word}` scores classes; this is a regression. Use r2 or neg_mean_absolute_error."
        )
