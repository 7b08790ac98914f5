"""The robust scorer where scikit-learn takes scorers: searches, processes, dicts of metrics, and its refusals."""

import dataclasses
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, check_scoring, make_scorer
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hormesis import NoisyTraining, Recipe, robust_scorer, stress
from hormesis.errors import DataError, ModelError, SettingError
from hormesis.noise import GaussianNoise, MissingValues, Outliers, Shift
from hormesis.profile import Profile
from hormesis.recipe import noisy


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    X = X.iloc[:, :6]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(X[::2], y[::2])
    return model, X[1::2], y[1::2]


def test_it_is_the_mean_score_over_noises_and_levels(cancer):
    model, X, y = cancer
    scorer = robust_scorer("accuracy", ["GaussianNoise", "Outliers"], levels=[0.2, 0.5], seed=3)
    profile, steps = Profile.learn(X), Recipe([GaussianNoise(), Outliers()]).steps
    tables = [noisy(s.at(level), X, profile, seed=3)[0] for s in steps for level in (0.2, 0.5)]
    assert scorer(model, X, y) == pytest.approx(
        np.mean([accuracy_score(y, model.predict(t)) for t in tables])
    )


def test_it_agrees_with_stress(cancer):
    model, X, y = cancer
    found = stress(
        model, X, y, noises="GaussianNoise", levels=[0.5, 1.0], scoring="roc_auc", repeats=1, seed=1
    )
    assert robust_scorer("roc_auc", "GaussianNoise", levels=[0.5, 1.0], seed=1)(model, X, y) == pytest.approx(
        np.mean(found.curves[0].score)
    )


def test_a_draw_that_all_rows_share_is_met_by_its_mirror_image(cancer):
    model, X, y = cancer
    profile, step = Profile.learn(X), Recipe([Shift(1.0)]).steps[0]
    tables = [noisy(step, X, profile, seed=0, repeat=r)[0] for r in (0, 1)]
    np.testing.assert_allclose(tables[0] - X, X - tables[1], atol=1e-9)
    assert robust_scorer("accuracy", Shift(), levels=[1.0])(model, X, y) == pytest.approx(
        np.mean([accuracy_score(y, model.predict(t)) for t in tables])
    )


def test_a_search_over_processes_equals_one_in_this_process(cancer):
    _, X, y = cancer
    search = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)), {"logisticregression__C": [1e-4, 0.1]},
        scoring=robust_scorer("accuracy", Outliers(0.1), levels=[0.3]), cv=3,
    )  # fmt: skip
    alone, both = search.fit(X, y), clone(search).set_params(n_jobs=2).fit(X, y)
    np.testing.assert_array_equal(alone.cv_results_["mean_test_score"], both.cv_results_["mean_test_score"])
    assert alone.best_params_ == both.best_params_
    assert both.score(X, y) == alone.score(X, y)


def test_cross_val_score_over_processes(cancer):
    model, X, y = cancer
    given = {"scoring": robust_scorer(noises=GaussianNoise(), levels=[0.5]), "cv": 3}
    np.testing.assert_array_equal(
        cross_val_score(model, X, y, n_jobs=2, **given), cross_val_score(model, X, y, **given)
    )


def test_it_is_one_of_several_metrics(cancer):
    model, X, y = cancer
    found = cross_validate(
        model, X, y, cv=3, return_train_score=True,
        scoring={"clean": "accuracy", "robust": robust_scorer("accuracy", "GaussianNoise", levels=[2.0])},
    )  # fmt: skip
    assert (found["test_robust"] < found["test_clean"]).all()
    assert (found["train_robust"] < found["train_clean"]).all()
    search = GridSearchCV(
        model, {"logisticregression__C": [0.1, 1.0]}, cv=3, refit="robust",
        scoring={"clean": "accuracy", "robust": robust_scorer("accuracy", "GaussianNoise", levels=[2.0])},
    )  # fmt: skip
    assert search.fit(X, y).best_index_ == search.cv_results_["mean_test_robust"].argmax()


def test_it_is_a_scorer_to_scikit_learn(cancer):
    model, X, y = cancer
    scorer = robust_scorer("accuracy", ["GaussianNoise", Outliers(0.1)], levels=[0.3], seed=5)
    assert check_scoring(model, scoring=scorer) is scorer
    again = pickle.loads(pickle.dumps(scorer))
    assert again == scorer
    assert hash(again) == hash(scorer)
    assert again(model, X, y) == scorer(model, X, y)
    with pytest.raises(dataclasses.FrozenInstanceError):
        scorer.seed = 1


def test_its_repr_is_the_call_that_makes_it():
    for scorer in (
        robust_scorer(),
        robust_scorer("accuracy"),
        robust_scorer("accuracy", "GaussianNoise", levels=(0.5, 1.0), seed=7),
        robust_scorer(noises=GaussianNoise(0.5)),
        robust_scorer("f1", ("Typos", "Outliers")),
    ):
        assert eval(repr(scorer)) == scorer
    assert repr(robust_scorer("accuracy", "Typos")) == "robust_scorer('accuracy', 'Typos')"


def test_a_list_that_changes_later_changes_nothing():
    noises = ["GaussianNoise"]
    scorer = robust_scorer("accuracy", noises)
    noises.append("Nonsense")
    assert scorer.noises == ("GaussianNoise",)


def test_noise_is_scaled_by_what_the_model_learnt(cancer):
    _, X, y = cancer
    wide = X.copy()
    wide.iloc[::2] *= 100
    model = NoisyTraining(LogisticRegression(max_iter=5000), GaussianNoise(0.1), random_state=0).fit(X, y)
    scorer = robust_scorer("accuracy", GaussianNoise(), levels=[0.5])
    X_noisy, _ = noisy(Recipe([GaussianNoise(0.5)]).steps[0], X[:100], model.profile_, seed=0)
    assert scorer(model, X[:100], y[:100]) == pytest.approx(accuracy_score(y[:100], model.predict(X_noisy)))
    own = scorer(model.estimator_, X[:100], y[:100])
    X_own, _ = noisy(Recipe([GaussianNoise(0.5)]).steps[0], X[:100], Profile.learn(X[:100]), seed=0)
    assert own == pytest.approx(accuracy_score(y[:100], model.predict(X_own)))


def test_a_search_by_it_chooses_noise_in_training(cancer):
    _, X, y = cancer
    search = GridSearchCV(
        NoisyTraining(make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)), Outliers(0.0), random_state=0),
        {"recipe": [Outliers(0.0), Outliers(0.2)]}, scoring=robust_scorer("roc_auc", "Outliers"), cv=3, n_jobs=2,
    )  # fmt: skip
    assert search.fit(X, y).best_params_ == {"recipe": Outliers(0.2)}


def test_regression_and_targets_of_one_column():
    r = np.random.default_rng(0)
    X = pd.DataFrame(r.normal(size=(200, 3)), columns=list("abc"))
    y = X["a"] + 0.1 * r.normal(size=200)
    model = Ridge().fit(X, y)
    scorer = robust_scorer(noises="GaussianNoise", levels=[0.5])
    assert scorer(model, X, y.to_frame()) == scorer(model, X, y)
    assert 0.4 < scorer(model, X, y) < 0.9


WRONG = {
    "a scorer that is none": (lambda: robust_scorer("acuracy"), "Did you mean `accuracy`"),
    "several scorers": (lambda: robust_scorer(["accuracy", "f1"]), "give scikit-learn a dict"),
    "a noise that is none": (lambda: robust_scorer(noises="Outlier"), "Did you mean `Outliers`"),
    "one of several noises": (lambda: robust_scorer(noises=["Typos", "Outlier"]), "Did you mean `Outliers`"),
    "a class": (lambda: robust_scorer(noises=Outliers), "give an instance"),
    "a level out of range": (lambda: robust_scorer(noises=MissingValues(), levels=[7]), "Did you mean 0.07"),
    "no levels": (lambda: robust_scorer(noises=MissingValues(), levels=[]), "at least one level"),
}


@pytest.mark.parametrize("case", WRONG)
def test_mistakes_are_said_at_once_and_not_as_nan_of_a_search(case):
    call, said = WRONG[case]
    with pytest.raises(SettingError, match=said):
        call()


def test_a_model_that_raises_under_noise_is_named_with_the_noise(cancer):
    model, X, y = cancer
    scorer = robust_scorer("accuracy", "MissingValues", levels=[0.05])
    with pytest.raises(ModelError, match=r"raises under missing values at 5 %: ValueError: .*NaN.* imputer"):
        scorer(model, X, y)


def test_a_model_that_raises_without_noise_is_not_blamed_on_it(cancer):
    _, X, y = cancer
    with pytest.raises(ModelError, match=r"on the rows as they are, before any noise: NotFittedError"):
        robust_scorer("accuracy", "MissingValues")(LogisticRegression(), X, y)


def test_a_score_that_is_no_number_is_refused(cancer):
    model, X, y = cancer
    blind = make_scorer(lambda _y, _p: float("nan"))
    with pytest.raises(SettingError, match="a score is a finite number"):
        robust_scorer(blind, "GaussianNoise", levels=[0.5])(model, X, y)


def test_rows_of_one_class_cannot_be_scored(cancer):
    model, X, y = cancer
    with pytest.raises(DataError, match="one class"):
        robust_scorer("roc_auc", "GaussianNoise")(model, X[y == 1], y[y == 1])


def test_scikit_learn_shows_the_reason_when_asked(cancer):
    model, X, y = cancer
    scorer = robust_scorer("accuracy", "MissingValues", levels=[0.05])
    with pytest.raises(ModelError, match="raises under missing values"):
        cross_val_score(model, X, y, scoring=scorer, cv=StratifiedKFold(3), error_score="raise")
