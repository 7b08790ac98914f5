"""NoisyTraining: every estimator check, noise at fit only, weights repeated, dtypes and names kept."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.utils.estimator_checks import parametrize_with_checks

from hormesis import Guard, NoisyTraining, Recipe
from hormesis.errors import SettingError
from hormesis.noise import GaussianNoise, LabelFlips, MissingValues, Outliers, Typos

MODELS = [
    LogisticRegression(),
    Ridge(),
    RandomForestClassifier(n_estimators=5, random_state=0),
    HistGradientBoostingClassifier(max_iter=5),
    GaussianNB(),
]
RECIPE = Recipe([GaussianNoise(0.1), Outliers(0.05)])


def expected(estimator):
    if isinstance(estimator, Guard):
        return {}
    return {
        "check_sample_weight_equivalence_on_dense_data": (
            "each row gets its own noise, so weight 2 is not the same as giving a row twice"
        )
    }


@pytest.mark.filterwarnings("ignore")  # scikit-learn's own models warn inside its checks
@parametrize_with_checks(
    [*(NoisyTraining(m, RECIPE, random_state=0) for m in MODELS), Guard()], expected_failed_checks=expected
)
def test_passes_every_estimator_check(estimator, check):
    check(estimator)


class Spy(ClassifierMixin, BaseEstimator):
    """Remembers what it was fitted on."""

    def fit(self, X, y, sample_weight=None, extra=None):
        self.X_, self.y_, self.sample_weight_, self.extra_ = X, y, sample_weight, extra
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


def table(n=40):
    r = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "a": r.normal(size=n).astype("float32"),
            "b": r.integers(0, 9, n),
            "c": pd.Categorical(r.choice(["x", "y"], n)),
        }
    )


def test_the_model_sees_clean_rows_then_fresh_copies():
    X, y = table(), np.arange(40) % 2
    spy = NoisyTraining(Spy(), GaussianNoise(0.5), copies=2, random_state=0).fit(X, y).estimator_
    assert len(spy.X_) == 120
    pd.testing.assert_frame_equal(spy.X_.iloc[:40], X)
    first, second = spy.X_["a"].to_numpy()[40:80], spy.X_["a"].to_numpy()[80:]
    assert (first != second).all()
    assert (spy.y_ == np.tile(y, 3)).all()


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow"])
def test_frames_keep_names_and_dtypes_for_the_inner_model(kind):
    X = table()
    given = {"pandas": X, "polars": pl.from_pandas(X), "arrow": pl.from_pandas(X).to_arrow()}[kind]
    spy = NoisyTraining(Spy(), [GaussianNoise(0.1), Typos(0.2)], copies=1, random_state=0)
    seen = spy.fit(given, np.arange(40) % 2).estimator_.X_
    assert type(seen) is type(given)
    schema = (lambda t: t.schema) if kind != "pandas" else (lambda t: dict(t.dtypes))
    assert schema(seen) == schema(given)


def test_unseen_categories_of_noisy_copies_become_missing_as_models_take_them():
    seen = (
        NoisyTraining(Spy(), Typos(1.0), copies=1, random_state=0)
        .fit(table(), np.arange(40) % 2)
        .estimator_.X_
    )
    assert list(seen["c"].cat.categories) == ["x", "y"]
    assert seen["c"].isna().sum() == 40


def test_weights_and_other_parameters_per_row_are_repeated_and_others_left_alone():
    X, y = np.random.default_rng(0).normal(size=(10, 2)), np.arange(10) % 2
    w = np.arange(10.0)
    model = NoisyTraining(Spy(), GaussianNoise(0.1), copies=2, random_state=0)
    assert (model.fit(X, y, sample_weight=w, extra=w + 1).estimator_.sample_weight_ == np.tile(w, 3)).all()
    assert (model.estimator_.extra_ == np.tile(w + 1, 3)).all()
    assert model.fit(X, y, extra="word").estimator_.extra_ == "word"


def test_predictions_never_see_noise(monkeypatch):
    X, y = np.random.default_rng(0).normal(size=(50, 3)), np.arange(50) % 2
    model = NoisyTraining(LogisticRegression(), GaussianNoise(1.0), random_state=0).fit(X, y)
    before = model.predict_proba(X)

    def forbidden(*_, **__):
        raise AssertionError("noise at predict")

    monkeypatch.setattr(GaussianNoise, "touch", forbidden)
    assert (model.predict_proba(X) == before).all()
    assert (model.predict_proba(X) == model.estimator_.predict_proba(X)).all()


def test_one_seed_one_model_and_no_seed_another():
    X, y = np.random.default_rng(0).normal(size=(50, 3)), np.arange(50) % 2

    def coefficients(seed):
        return (
            NoisyTraining(LogisticRegression(), GaussianNoise(1.0), random_state=seed)
            .fit(X, y)
            .estimator_.coef_
        )

    assert (coefficients(1) == coefficients(1)).all()
    assert (coefficients(1) != coefficients(2)).any()
    assert (coefficients(None) != coefficients(None)).any()


def test_label_noise_changes_the_copies_labels_only():
    X, y = np.random.default_rng(0).normal(size=(40, 2)), np.array(["no", "yes"] * 20)
    spy = (
        NoisyTraining(Spy(), [GaussianNoise(0.1), LabelFlips(1.0)], copies=1, random_state=0)
        .fit(X, y)
        .estimator_
    )
    assert (spy.y_[:40] == y).all()
    assert (spy.y_[40:] != y).all()


def test_a_pipelines_transformers_learn_from_clean_rows_alone():
    X, y = table(), np.arange(40) % 2
    pipe = make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), ["c"]), (SimpleImputer(), ["a", "b"])
        ),
        LogisticRegression(),
    )
    recipe = [Outliers(0.5, magnitude=1000.0), Typos(0.5), MissingValues(0.3)]
    fitted = NoisyTraining(pipe, recipe, copies=2, random_state=0).fit(X, y).estimator_
    plain = clone(pipe).fit(X, y)
    imputers = [p[0].named_transformers_["simpleimputer"].statistics_ for p in (fitted, plain)]
    assert (imputers[0] == imputers[1]).all()
    assert len(fitted[0].named_transformers_["onehotencoder"].categories_[0]) == 2
    assert fitted.predict(X).shape == (40,)


def test_copies_must_be_a_whole_number():
    with pytest.raises(SettingError, match="copies is a whole number"):
        NoisyTraining(Ridge(), RECIPE, copies=1.5).fit(np.ones((3, 1)), np.arange(3.0))


def test_a_guard_brings_back_what_is_near_and_loses_what_is_far():
    guard = Guard().fit(pd.DataFrame({"a": [0.0, 10.0], "b": ["x", "y"]}))
    out = guard.transform(pd.DataFrame({"a": [-1.0, 5.0, 11.0, 99.0], "b": ["q", "x", "y", "x"]}))
    assert out["a"].tolist()[:3] == [0.0, 5.0, 10.0]
    assert np.isnan(out["a"][3])
    assert out["b"].tolist() == ["q", "x", "y", "x"]
    near = Guard(beyond="median").fit(np.array([[0.0], [4.0], [10.0]]))
    assert near.transform(np.array([[99.0]]))[0, 0] == 4.0
