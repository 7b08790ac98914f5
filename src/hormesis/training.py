"""NoisyTraining: a scikit-learn meta-estimator that adds noise when it fits, and never when it predicts."""

import secrets
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _num_samples, check_consistent_length, check_is_fitted, validate_data

from hormesis.errors import SettingError
from hormesis.frames import is_frame, known_categories, stack
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
        The noise. Label noises apply to `y`, all others to `X`.
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
    `sample_weight` and every other fit parameter with one entry per row is repeated for the copies. Weights act on
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
            `copies` is not a whole number of at least 0.
        """
        if isinstance(self.copies, bool) or not isinstance(self.copies, int | np.integer) or self.copies < 0:
            raise SettingError(
                f"`NoisyTraining(copies={self.copies!r})`: copies is a whole number, 0 or more."
            )
        X, y = self._checked(X, y)
        if sample_weight is not None:
            fit_params["sample_weight"] = sample_weight
        params = {k: self._repeat(v, _num_samples(X)) for k, v in fit_params.items()}
        params = process_routing(self, "fit", **params).estimator.fit if _routing() and params else params
        noisy, labels = self._copies(X, y)
        y_all = None if y is None else stack([y, *labels])
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

    def _copies(self, X: Any, y: Any) -> tuple[list[Any], list[Any]]:
        recipe, seed = Recipe(self.recipe), self._seed()
        self.profile_ = Profile.learn(X)
        noisy = [
            recipe.features.training_copy(X, copy=c, seed=seed, profile=self.profile_)
            for c in range(self.copies)
        ]
        if y is None or not recipe.labels.steps:
            return noisy, [y] * self.copies
        truth = Profile.learn(y)
        return noisy, [
            recipe.labels.training_copy(y, copy=c, seed=seed, profile=truth) for c in range(self.copies)
        ]

    def _seed(self) -> int:
        if self.random_state is None:
            return secrets.randbits(63)
        if isinstance(self.random_state, int | np.integer):
            return int(self.random_state)
        return int(self.random_state.randint(2**31 - 1))

    def _repeat(self, value: Any, rows: int) -> Any:
        array = hasattr(value, "__array__") or isinstance(value, list)
        if not array or _num_samples(value) != rows:
            return value
        return stack([value if hasattr(value, "iloc") else np.asarray(value)] * (self.copies + 1))

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
