"""Scores of any model: answers in any form, classes in any order, few or perfect rows."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import make_classification
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.svm import SVC

from hormesis import Profile, StressResult, stress
from hormesis.errors import DataError, ModelError, SettingError
from hormesis.models import Answers
from hormesis.scoring import scorers
from hormesis.statistics import METRICS, difference

X, Y = make_classification(400, 5, n_informative=3, random_state=0)


class Reversed(ClassifierMixin, BaseEstimator):
    """The same model, its classes in another order."""

    def __init__(self, inner=None):
        self.inner = inner
        self.classes_ = inner.classes_[::-1]

    def fit(self, X, y):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def predict(self, X):
        return self.inner.predict(X)

    def predict_proba(self, X):
        return self.inner.predict_proba(X)[:, ::-1]


@pytest.mark.parametrize("scoring", ["roc_auc", "neg_log_loss", "neg_brier_score", "f1", "average_precision"])
def test_the_order_of_a_models_classes_changes_nothing(scoring):
    model = LogisticRegression().fit(X, Y)
    result = stress(
        {"as is": model, "reversed": Reversed(model)},
        X,
        Y,
        noises="GaussianNoise",
        levels=0.5,
        scoring=scoring,
    )
    one, other = result.curves
    assert one.clean == other.clean
    assert one.score == other.score


@pytest.mark.parametrize("labels", [["b", "a"], [True, False], [0.0, 1.0], [7, -3]], ids=repr)
def test_any_labels_score_alike(labels):
    y = np.asarray(labels)[Y]
    model = LogisticRegression().fit(X, y)
    assert stress(model, X, y, noises="Outliers", levels=0.1, scoring="accuracy").curves[
        0
    ].clean == pytest.approx(model.score(X, y))


def test_a_model_with_a_decision_function_alone_is_ranked_by_it():
    from sklearn.metrics import roc_auc_score

    model = SVC().fit(X, Y)
    (curve,) = stress(model, X, Y, noises="Outliers", levels=0.1).curves
    assert curve.scoring == "roc_auc"
    assert curve.clean == pytest.approx(roc_auc_score(Y, model.decision_function(X)))


def test_answers_of_one_column_are_answers():
    y = X[:, :1] * 3
    model = LinearRegression().fit(X, y)
    assert stress(model, X, y, noises="Outliers", levels=0.1).curves[0].clean == pytest.approx(1.0)


def test_a_model_that_answers_nan_has_not_answered():
    def sigmoid(table):
        return 1 / (1 + np.exp(-table.sum(axis=1)))

    result = stress(sigmoid, X, Y, noises="MissingValues", levels=[0.1, 0.2], scoring=["roc_auc", "accuracy"])
    for curve in result.curves:
        assert curve.score == (None, None)
        assert "answers NaN" in curve.errors[0]
    assert StressResult.from_json(result.to_json()) == result


def test_a_profile_of_other_columns_is_refused_rather_than_passed():
    frame = pd.DataFrame(X, columns=list("abcde"))
    model = LogisticRegression().fit(X, Y)
    with pytest.raises(DataError, match="not in both"):
        stress(model, X, Y, profile=Profile.learn(frame))


@pytest.mark.parametrize("name", ["balanced_accuracy", "accuracy", "f1", "matthews_corrcoef"])
def test_a_perfect_model_is_not_certain(name):
    """True drop 0.01 from a perfect score: 200 rows hardly see it, and the interval must say so."""
    r = np.random.default_rng(0)
    hits, runs = 0, 300 if name in METRICS else 25
    for _ in range(runs):
        y = np.arange(200) % 2
        (scorer,) = scorers(name, None, y, np.array([0, 1]), "classification", 0)
        said = [y, np.where(r.random(200) < 0.01, 1 - y, y)]
        clean, noisy = (
            scorer.sample(Answers(lambda _, s=s: s, None, scorer.classes, "classification")) for s in said
        )
        _, low, high = difference(clean, [noisy], scorer.unseen(clean))
        truth = 0.02 if name == "matthews_corrcoef" else 0.01
        hits += low <= truth <= high
    assert hits >= binom.ppf(1e-6, runs, 0.93)


@pytest.mark.parametrize(
    ("scoring", "value"),
    [("roc_auc", 0.5), ("accuracy", 0.75), ("neg_log_loss", 0.25 * np.log(0.25) + 0.75 * np.log(0.75))],
)
def test_no_skill_knows_the_classes_and_not_the_rows(scoring, value):
    y = np.array([0, 1, 1, 1] * 25)
    (scorer,) = scorers(scoring, None, y, np.array([0, 1]), "classification", 0)
    assert scorer.no_skill.value == pytest.approx(value)


def test_no_skill_in_numbers_is_the_mean():
    y = np.arange(10.0)
    assert scorers("r2", None, y, np.array([]), "regression", 0)[0].floor == pytest.approx(0.0)
    assert scorers("neg_mean_absolute_error", None, y, np.array([]), "regression", 0)[
        0
    ].floor == pytest.approx(-2.5)


def test_rare_classes_are_not_measurable_where_they_carry_the_score():
    y = np.array([0] * 393 + [1] * 7)
    model = LogisticRegression().fit(X, Y)
    for scoring in ("roc_auc", "balanced_accuracy"):
        (curve,) = stress(model, X, y, noises="Outliers", levels=0.1, scoring=scoring).curves
        assert "only 7 test rows" in curve.break_point.words


def test_settings_that_nobody_reads_are_refused():
    model = LogisticRegression().fit(X, Y)
    with pytest.raises(SettingError, match="Did you mean `GaussianNoise`"):
        stress(model, X, Y, noises="GaussianNoise", levels={"GausianNoise": [0.1]})
    with pytest.raises(SettingError, match="at least one scorer"):
        stress(model, X, Y, scoring=[])


def test_labels_alone_cannot_be_ranked():
    class Words:
        def predict(self, X):
            return Y[: len(X)]

    with pytest.raises(ModelError, match="no predict_proba"):
        stress(Words(), X, Y, scoring="roc_auc")
