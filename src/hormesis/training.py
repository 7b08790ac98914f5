"""NoisyTraining: a scikit-learn meta-estimator that adds noise when it fits, and never when it predicts."""

import dataclasses
import inspect
import secrets
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone, is_classifier
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import _num_samples, check_consistent_length, check_is_fitted, validate_data

from hormesis.errors import SettingError
from hormesis.frames import is_frame, known_categories, open_table, stack, take
from hormesis.noise import LabelSmoothing, Noise, PriorShift, RegressionLabelNoise, Where
from hormesis.noise.classes import check_classes
from hormesis.noise.labels import NO_CLASSES
from hormesis.profile import Profile
from hormesis.recipe import Recipe


def _has(method: str) -> Any:
    def check(self: "NoisyTraining") -> bool:
        getattr(getattr(self, "estimator_", self.estimator), method)
        return True

    return available_if(check)


class NoisyTraining(MetaEstimatorMixin, BaseEstimator):
    """Fit a model on its clean rows and noisy copies of them.

    The noise is scaled by the training data, fresh in every copy, and gone after `fit`: predictions never see it.
    In a Pipeline the transformers are fitted on the clean rows alone (an imputer or encoder that learnt from noise
    would hide it or carry it on), and only the last step sees the noisy copies.

    Parameters
    ----------
    estimator : estimator
        The model; a clone of it is fitted. Its own early stopping should be off: validation rows taken from the
        training rows would be copies of rows it learns from.
    recipe : Recipe, Noise or list of them
        The noise. Label noises, and `PriorShift` with its default columns, go by `y`, all others by `X`. Rows that a noise
        repeats or drops keep their label and weight; an emptied copy is left out. Schema noises are refused.
    copies : int
        Noisy copies beside the clean rows: 3 makes the training set four times as long.
    random_state : int, RandomState or None
        Seed of the noise; None draws a new one for every fit.

    Attributes
    ----------
    estimator_ : the fitted model.
    profile_ : what the training data look like.

    Notes
    -----
    `sample_weight` and every other fit parameter with one entry per row follows the rows of the copies. Weights act on
    the model, not on the noise: weight 2 is not the same as giving a row twice, as two rows get different noise.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from hormesis.noise import GaussianNoise
    >>> X, y = load_iris(return_X_y=True)
    >>> model = NoisyTraining(LogisticRegression(max_iter=1000), GaussianNoise(0.1), random_state=0)
    >>> bool(model.fit(X, y).score(X, y) > 0.9)
    True
    """

    def __init__(self, estimator: Any, recipe: Any, *, copies: int = 3, random_state: Any = None) -> None:
        self.estimator = estimator
        self.recipe = recipe
        self.copies = copies
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None, **fit_params: Any) -> Self:
        """Fit a clone of the model on the clean rows and the noisy copies.

        Raises
        ------
        SettingError
            `copies` is not a whole number of at least 0; the recipe changes whole columns; it smooths labels and the
            model takes no `sample_weight`; it moves the classes of a classifier as numbers.
        """
        if isinstance(self.copies, bool) or not isinstance(self.copies, int | np.integer) or self.copies < 0:
            raise SettingError(
                f"`NoisyTraining(copies={self.copies!r})`: copies is a whole number, 0 or more."
            )
        X, y = self._checked(X, y)
        if sample_weight is not None:
            fit_params["sample_weight"] = sample_weight
        copies = self._copies(X, y)
        params = {k: _follow(v, _num_samples(X), copies) for k, v in fit_params.items()}
        params = self._weighted(params, _num_samples(X), copies)
        params = process_routing(self, "fit", **params).estimator.fit if _routing() and params else params
        noisy = [c.X for c in copies]
        y_all = None if y is None else stack([y, *(c.y for c in copies)])
        self.estimator_ = _fit(self.estimator, X, y, noisy, y_all, params)
        if hasattr(self.estimator_, "classes_"):
            self.classes_ = self.estimator_.classes_
        return self

    def _checked(self, X: Any, y: Any) -> tuple[Any, Any]:
        if is_frame(X):
            validate_data(self, X, skip_check_array=True)
            if y is not None:
                check_consistent_length(X, y)
                y = y if is_frame(y) or hasattr(y, "iloc") else np.asarray(y)
            return X, y
        settings = {"dtype": None, "ensure_all_finite": "allow-nan", "accept_sparse": False}
        if y is None:
            required = get_tags(self.estimator).target_tags.required
            return validate_data(self, X, **({"y": None} if required else {}), **settings), None
        X, y = validate_data(self, X, y, multi_output=True, **settings)
        return X, y

    def _copies(self, X: Any, y: Any) -> list["Copy"]:
        plan, seed = Plan.of(Recipe(self.recipe), labelled=y is not None), self._seed()
        self.profile_ = Profile.learn(X)
        if any(isinstance(s.noise, RegressionLabelNoise) for s in plan.labels.steps):
            _check_regresses(self.estimator, y)
        truth = Profile.learn(y) if plan.reads_labels else None
        made = [plan.copy(X, y, c, seed, self.profile_, truth) for c in range(self.copies)]
        return [copy for copy in made if copy.rows.size]

    def _weighted(self, params: dict[str, Any], n: int, copies: list["Copy"]) -> dict[str, Any]:
        """Return the fit parameters with the weights of smoothed labels, where there are any."""
        if not any(c.weight is not None for c in copies):
            return params
        _check_weighs(self.estimator)
        own = np.concatenate([np.ones(n), *(c.weight for c in copies)])
        said = next((k for k in params if k.split("__")[-1] == "sample_weight"), "sample_weight")
        given = params.get(said)
        return params | {said: own if given is None else own * np.asarray(given)}

    def _seed(self) -> int:
        if self.random_state is None:
            return secrets.randbits(63)
        if isinstance(self.random_state, int | np.integer):
            return int(self.random_state)
        return int(self.random_state.randint(2**31 - 1))

    @_has("predict")
    def predict(self, X: Any) -> Any:
        """Predict with the fitted model; no noise."""
        check_is_fitted(self)
        return self.estimator_.predict(X)

    @_has("predict_proba")
    def predict_proba(self, X: Any) -> Any:
        """Predict probabilities with the fitted model; no noise."""
        check_is_fitted(self)
        return self.estimator_.predict_proba(X)

    @_has("predict_log_proba")
    def predict_log_proba(self, X: Any) -> Any:
        """Predict log probabilities with the fitted model; no noise."""
        check_is_fitted(self)
        return self.estimator_.predict_log_proba(X)

    @_has("decision_function")
    def decision_function(self, X: Any) -> Any:
        """Return the fitted model's decision function; no noise."""
        check_is_fitted(self)
        return self.estimator_.decision_function(X)

    @_has("score")
    def score(self, X: Any, y: Any, **params: Any) -> float:
        """Return the fitted model's own score; no noise."""
        check_is_fitted(self)
        score: float = self.estimator_.score(X, y, **params)
        return score

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.estimator_type = inner.estimator_type
        tags.classifier_tags, tags.regressor_tags = inner.classifier_tags, inner.regressor_tags
        tags.target_tags, tags.input_tags = inner.target_tags, inner.input_tags
        tags.input_tags.sparse = False
        tags.non_deterministic = inner.non_deterministic or self.random_state is None
        return tags

    def get_metadata_routing(self) -> MetadataRouter:
        """Route fit parameters to the model."""
        mapping = MethodMapping().add(caller="fit", callee="fit")
        return MetadataRouter(owner=self).add(estimator=self.estimator, method_mapping=mapping)


@dataclasses.dataclass(frozen=True)
class Copy:
    """One noisy copy of the training rows: where each of its rows comes from, and its weight where labels are smoothed."""

    X: Any
    y: Any
    rows: NDArray[np.intp]
    weight: NDArray[np.float64] | None = None


@dataclasses.dataclass(frozen=True)
class Plan:
    """A recipe by what its steps fall on: features and rows, labels, the balance of labels, their certainty."""

    features: Recipe
    labels: Recipe
    balance: Recipe
    smoothing: float

    @classmethod
    def of(cls, recipe: Recipe, *, labelled: bool) -> Self:
        """Sort the steps of a recipe; without labels those about labels are left out."""
        for step in recipe.steps:
            _check_trains(step.noise)
        by_label = [s for s in recipe.steps if isinstance(s.noise, PriorShift) and s.noise.columns == "any"]
        by_label = by_label if labelled else []
        features = [s for s in recipe.features.steps if s not in by_label]
        labels = recipe.labels.steps if labelled else ()
        smooth = [s for s in labels if isinstance(s.noise, LabelSmoothing)]
        sure = float(np.prod([1 - s.noise.level * s.probability for s in smooth]))
        return cls(
            Recipe(features, recipe.seed, recipe.rules),
            Recipe([s for s in labels if s not in smooth], recipe.seed),
            Recipe([dataclasses.replace(s, rules=()) for s in by_label], recipe.seed),
            smoothing=1 - sure,
        )

    @property
    def reads_labels(self) -> bool:
        """Whether labels decide anything."""
        return bool(self.labels.steps or self.balance.steps or self.smoothing)

    def copy(self, X: Any, y: Any, number: int, seed: int, profile: Profile, truth: Profile | None) -> Copy:
        """Return one noisy copy; noise falls on labels before rows are repeated or dropped, so that they follow."""
        noisy, rows = self.features.training_rows(X, copy=number, profile=profile, seed=seed)
        if self.labels.steps:
            y = self.labels.training_copy(y, copy=number, profile=truth, seed=seed)
        if self.balance.steps:
            _, kept = self.balance.training_rows(y, copy=number, profile=truth, seed=seed)
            here = np.flatnonzero(np.isin(rows, kept))
            noisy, rows = take(noisy, here), rows[here]
        if y is not None and (rows.size != _num_samples(y) or (rows != np.arange(rows.size)).any()):
            y = take(y, rows)
        made = Copy(noisy, y, rows)
        return _smoothed(made, self.smoothing, truth) if self.smoothing and truth and rows.size else made


def _smoothed(copy: Copy, level: float, truth: Profile) -> Copy:
    """Return a copy with one row per class for each of its rows, weighted by its smoothed label."""
    LabelSmoothing(level).selected(open_table(copy.y), truth)
    column, n = truth.columns[0], copy.rows.size
    check_classes("LabelSmoothing", column, NO_CLASSES)
    k = len(column.categories)
    every = np.tile(np.arange(n), k)
    table = open_table(take(copy.y, every))
    code = column.codes(table.pick(0, every[:n]))
    for i, category in enumerate(column.categories):
        named = np.full(n, category, dtype=table.pick(0, np.arange(n)).dtype)
        table.put(0, np.arange(i * n, (i + 1) * n), named)
    weight = level / k + (1 - level) * (code == np.arange(k)[:, None])
    return Copy(take(copy.X, every), table.close(), copy.rows[every], weight.ravel())


def _follow(value: Any, rows: int, copies: list[Copy]) -> Any:
    """Return a fit parameter with one entry per row as the copies need it; any other as it is."""
    array = hasattr(value, "__array__") or isinstance(value, list)
    if not array or _num_samples(value) != rows:
        return value
    value = value if hasattr(value, "iloc") else np.asarray(value)
    return stack([value, *(take(value, c.rows) for c in copies)])


def _check_trains(noise: Noise) -> None:
    """Refuse noises that training cannot use."""
    name, where = type(noise).__name__, getattr(noise, "where", Where())
    if noise.changes == "schema":
        raise SettingError(
            f"`{name}` changes whole columns, and a model learns from the columns that it will predict from: "
            "leave it out of training, and use it in tests."
        )
    if noise.changes == "labels" and not (where.driver is where.group is None):
        raise SettingError(
            f"`{name}` is driven by `{where.group if where.driver is None else where.driver}`, and in training labels "
            "stand alone: flip the label column of the table before `fit`."
        )


def _check_regresses(model: Any, y: Any) -> None:
    """Refuse a classifier of classes, which errors in numbers would turn into others."""
    if is_classifier(model) and not type_of_target(y).startswith("continuous"):
        raise SettingError(
            f"`RegressionLabelNoise` moves numbers, and `{type(model).__name__}` learns classes: "
            "use LabelFlips or LabelSmoothing."
        )


def _check_weighs(model: Any) -> None:
    """Refuse a model without `sample_weight`."""
    while isinstance(model, Pipeline):
        model = model.steps[-1][1]
    known = inspect.signature(model.fit).parameters.values()
    if not any(p.name == "sample_weight" or p.kind is p.VAR_KEYWORD for p in known):
        raise SettingError(
            f"`LabelSmoothing` trains on weighted rows, and `{type(model).__name__}.fit` takes no `sample_weight`: "
            "use LabelFlips, or a model that takes weights."
        )


def _routing() -> bool:
    from sklearn import get_config

    return bool(get_config()["enable_metadata_routing"])


def _fit(model: Any, X: Any, y: Any, noisy: list[Any], y_all: Any, params: dict[str, Any]) -> Any:
    """Fit a clone on clean rows and copies; a Pipeline's transformers on the clean rows alone."""
    if not isinstance(model, Pipeline) or len(model.steps) < 2:
        whole = stack([X, *(known_categories(part, X) for part in noisy)])
        return clone(model).fit(whole, **({} if y is None else {"y": y_all}), **params)
    made = clone(model)
    done = []
    for name, step in made.steps[:-1]:
        if step is None or step == "passthrough":
            done.append((name, step))
            continue
        X = step.fit_transform(X, y)
        noisy = [step.transform(part) for part in noisy]
        done.append((name, step))
    last, final = made.steps[-1]
    own = {k.removeprefix(f"{last}__"): v for k, v in params.items()}
    done.append((last, _fit(final, X, y, noisy, y_all, own)))
    made.steps = done
    return made
