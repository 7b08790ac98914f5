"""Anything with predictions in: estimators, callables, model files, or none, which means a sound default."""

import functools
import sys
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.utils.metaestimators import available_if

from hormesis.errors import DataError, ModelError

Task = Literal["classification", "regression"]
SMALL = 100_000


def task_of(y: Any) -> Task:
    """Guess the task from the target: words, booleans and up to 20 whole numbers are classes."""
    values = np.asarray(y)
    if values.dtype.kind in "fiu":
        distinct = np.unique(values[~np.isnan(values)] if values.dtype.kind == "f" else values)
        return (
            "regression" if distinct.size > 20 or (distinct != np.rint(distinct)).any() else "classification"
        )
    return "classification"


def default_model(task: Task) -> Any:
    """Return skrub's tabular pipeline with gradient-boosted trees: it takes raw tables.

    Early stopping is off: its validation rows would be copies of training rows as soon as noise is added. Text columns
    with another value in every row, such as ids, are dropped: there is nothing in them to learn.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.pipeline import Pipeline
    from skrub import DropCols, selectors, tabular_pipeline

    kind = HistGradientBoostingClassifier if task == "classification" else HistGradientBoostingRegressor
    pipeline = tabular_pipeline(kind(early_stopping=False, random_state=0))
    pipeline.set_params(tablevectorizer__high_cardinality__random_state=0)
    ids = selectors.string() & selectors.filter(names_rows)
    return Pipeline([("dropids", DropCols(ids)), *pipeline.steps])


def names_rows(column: Any) -> bool:
    """Tell a text column with another value in every row, such as an id."""
    import narwhals.stable.v2 as nw

    values = nw.from_native(column, series_only=True)
    return bool(values.n_unique() == len(values))


def without_early_stopping(model: Any) -> tuple[Any, list[str]]:
    """Return an unfitted copy without early stopping, and the names of the settings that were turned off."""
    from sklearn.base import clone

    copy = clone(model)
    found = [
        k
        for k, v in copy.get_params().items()
        if k.split("__")[-1] == "early_stopping" and v in ("auto", True)
    ]
    return copy.set_params(**dict.fromkeys(found, False)), found


class Answers:
    """What a model says of a table, each question asked at most once."""

    def __init__(self, model: Any, X: Any, classes: Any, task: Task) -> None:
        self.model, self.X, self.classes, self.task = model, X, classes, task

    @functools.cached_property
    def labels(self) -> Any:
        """Predicted labels or numbers, shape (rows,)."""
        if hasattr(self.model, "predict"):
            said = _finite(self.model.predict(self.X))
            return said[:, 0] if said.ndim == 2 and said.shape[1] == 1 else said
        said = self._called
        if self.task == "regression" or (said.ndim == 1 and said.dtype.kind not in "f"):
            return said
        return self.classes[self.proba.argmax(axis=1)]

    @property
    def probable(self) -> bool:
        """Whether there are probabilities to ask for."""
        if hasattr(self.model, "predict"):
            return hasattr(self.model, "predict_proba")
        return bool(self._called.dtype.kind == "f")

    @functools.cached_property
    def proba(self) -> Any:
        """Probabilities, shape (rows, classes), classes in sorted order."""
        if hasattr(self.model, "predict_proba"):
            said = _finite(self.model.predict_proba(self.X))
            return said[:, np.argsort(getattr(self.model, "classes_", self.classes), kind="stable")]
        if hasattr(self.model, "predict"):
            raise ModelError(
                f"{type(self.model).__name__} has no predict_proba: choose a scorer of labels, such as accuracy."
            )
        said = self._called
        return np.column_stack([1 - said, said]) if said.ndim == 1 else said

    @functools.cached_property
    def score(self) -> Any:
        """One number per row that ranks the second class higher, shape (rows,)."""
        if hasattr(self.model, "predict_proba") or not hasattr(self.model, "decision_function"):
            return self.proba[:, 1]
        first, second = getattr(self.model, "classes_", self.classes)
        return self.decision if first < second else -self.decision

    @functools.cached_property
    def decision(self) -> Any:
        """The model's own decision function, shape (rows,) or (rows, classes)."""
        return _finite(self.model.decision_function(self.X))

    @functools.cached_property
    def _called(self) -> Any:
        said = _finite(self.model(self.X))
        rows = (
            self.X.shape[0] if self.X is not None else said.shape[0]
        )  # None: answers that are there already
        if said.shape[:1] != (rows,):
            raise ModelError(
                f"the callable returns an answer of shape {said.shape} for {rows} rows: return one per row"
            )
        return said[:, 0] if said.ndim == 2 and said.shape[1] == 1 else said


def _finite(said: Any) -> Any:
    """Return answers as an array; a model that answers NaN has not answered."""
    values = np.asarray(said)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ModelError(f"the model answers NaN or infinity in {int((~np.isfinite(values)).sum())} places")
    return values


class NoSkill(Answers):
    """The answers of one who knows the labels' distribution and not the rows: the commonest class, the mean."""

    def __init__(self, y: Any, classes: Any, task: Task) -> None:
        super().__init__(None, None, classes, task)
        self.y = y

    @functools.cached_property
    def labels(self) -> Any:
        """The commonest label, or the mean, for every row."""
        if self.task == "regression":
            return np.full(self.y.size, self.y.mean())
        return np.full(self.y.size, self.classes[self.proba[0].argmax()])

    @functools.cached_property
    def proba(self) -> Any:
        """The classes' frequencies for every row."""
        return np.tile([np.mean(self.y == c) for c in self.classes], (self.y.size, 1))


class Part(Answers):
    """The answers to some rows of a larger table."""

    def __init__(self, whole: Answers, rows: slice) -> None:
        super().__init__(whole.model, None, whole.classes, whole.task)
        self.whole, self.rows = whole, rows

    @functools.cached_property
    def labels(self) -> Any:
        """Predicted labels or numbers, shape (rows,)."""
        return self.whole.labels[self.rows]

    @functools.cached_property
    def proba(self) -> Any:
        """Probabilities, shape (rows, classes)."""
        return self.whole.proba[self.rows]

    @functools.cached_property
    def score(self) -> Any:
        """One number per row that ranks the second class higher, shape (rows,)."""
        return self.whole.score[self.rows]

    @functools.cached_property
    def decision(self) -> Any:
        """The model's own decision function, shape (rows,) or (rows, classes)."""
        return self.whole.decision[self.rows]


class Answered(BaseEstimator):
    """A stand-in that repeats known answers for some rows, so that any scorer can be asked without predicting again."""

    def __init__(self, answers: Answers, rows: Any) -> None:
        self.answers, self.rows = answers, rows
        self.classes_ = answers.classes

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, RegressorTags

        tags = super().__sklearn_tags__()
        tags.estimator_type = "classifier" if self.answers.task == "classification" else "regressor"
        if tags.estimator_type == "classifier":
            tags.classifier_tags = ClassifierTags()
        else:
            tags.regressor_tags = RegressorTags()
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict(self, X: Any) -> Any:  # noqa: ARG002
        """Return the known labels."""
        return self.answers.labels[self.rows]

    def predict_proba(self, X: Any) -> Any:  # noqa: ARG002
        """Return the known probabilities, classes in sorted order."""
        return self.answers.proba[self.rows]

    @available_if(lambda self: hasattr(self.answers.model, "decision_function"))
    def decision_function(self, X: Any) -> Any:  # noqa: ARG002
        """Return the known decision function."""
        return self.answers.decision[self.rows]


def single_thread(rows: int = 0) -> Any:
    """Hold OpenMP to one thread for small work, where waiting threads cost more than they bring (15x on a busy machine)."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1 if rows <= SMALL else None, user_api="openmp")


def check_model(model: Any) -> None:
    """Refuse what cannot predict."""
    if isinstance(model, type):
        raise ModelError(f"The class {model.__name__} was given; give an instance, {model.__name__}().")
    if not hasattr(model, "predict") and not callable(model):
        raise ModelError(
            f"A model has `predict` or is a callable of a table; {type(model).__name__} was given."
        )


def model_task(model: Any, y: Any) -> Task:
    """Return what a model does, by its own word, else by the target."""
    said = getattr(model, "hormesis_task", None)
    if said is not None:
        task: Task = said
        return task
    if hasattr(model, "predict") and isinstance(model, BaseEstimator):
        if is_classifier(model):
            return "classification"
        if is_regressor(model):
            return "regression"
    return "classification" if hasattr(model, "predict_proba") or hasattr(model, "classes_") else task_of(y)


def task_to_train(model: Any, y: Any, verb: str) -> Task:
    """Return what a model will learn to do, None being the default model.

    Raises
    ------
    ModelError
        The model cannot be fitted, which `verb` does.
    """
    if model is None:
        return task_of(y)
    check_model(model)
    if not hasattr(model, "fit"):
        raise ModelError(
            f"{type(model).__name__} cannot be fitted: `{verb}` trains the model. To test it, use `stress`."
        )
    return model_task(model, y)


def as_model(model: Any, X: Any, y: Any) -> Any:
    """Return torch modules and skorch nets as models that take tables, any other model as it is."""
    if not _of_torch(model):
        return model
    from hormesis.torch.doors.model import model_of

    return model_of(model, X, y)


def as_input(X: Any, models: Iterable[Any]) -> Any:
    """Return an array of more than two dimensions as a tensor where a net is to take it, anything else as it is."""
    if isinstance(X, np.ndarray) and X.ndim > 2 and any(map(_of_torch, models)):
        return sys.modules["torch"].from_numpy(np.require(X, requirements=["C", "W"]))
    return X


def as_estimator(model: Any, shape: tuple[int, ...], y: Any, seed: int) -> Any:
    """Return torch modules and skorch nets as estimators that fit on tables, any other model as it is."""
    if not _of_torch(model):
        return model
    from hormesis.torch.doors.trainable import TorchEstimator

    return TorchEstimator.of(model, shape, y, seed)


def _of_torch(model: Any) -> bool:
    """Tell a torch module or a skorch net; torch and skorch are asked only where they are loaded."""
    torch, skorch = sys.modules.get("torch"), sys.modules.get("skorch")
    ours = type(model).__module__.startswith("hormesis.")
    return (torch is not None and isinstance(model, torch.nn.Module)) or (
        skorch is not None and isinstance(model, skorch.NeuralNet) and not ours
    )


def check_target(y: Any, task: Task, name: object = "the target") -> Any:
    """Return the target as an array, or say why nothing can be learnt from it."""
    import pandas as pd

    values, who = np.asarray(y), "The target" if name == "the target" else f"Target `{name}`"
    gone = int(pd.isna(values).sum())
    if gone:
        raise DataError(f"{who} is missing in {gone} of {values.size} rows: drop those rows first.")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise DataError(f"{who} holds infinite values: drop or mend those rows first.")
    if values.dtype.kind == "O":
        values = values.astype(str) if any(isinstance(v, str) for v in values) else np.array(values.tolist())
    distinct = np.unique(values)
    if distinct.size < 2:
        what = "one class" if task == "classification" else "one value"
        raise DataError(
            f"{who} holds {what} only ({distinct[0] if distinct.size else 'none'}): there is nothing to learn or to tell apart. "
            "Give rows of two or more."
        )
    return values
